// All kernels for one SIMD level: the including file names the level and its vector size.
#pragma once

#include "curves.h"
#include "dense.h"
#include "depthwise.h"
#include "draw.h"
#include "flat.h"
#include "gather.h"
#include "norms.h"
#include "pool.h"
#include "rows.h"

namespace kcore {
namespace KCORE_LEVEL {

template <class T>
constexpr Kernels<T> table() {
  return {conv<T>,
          conv_input_grad<T>,
          conv_weight_grad<T>,
          depthwise<T>,
          depthwise_input_grad<T>,
          depthwise_weight_grad<T>,
          max_pool<T>,
          max_pool_grad<T>,
          avg_pool<T>,
          avg_pool_grad<T>,
          softmax<T>,
          softmax_grad<T>,
          log_softmax<T>,
          log_softmax_grad<T>,
          column_sums<T>,
          bias_add<T>,
          normalize_rows<T>,
          normalize_rows_grad<T>,
          column_moments<T>,
          column_affine<T>,
          column_dots<T>,
          column_affine_grad<T>,
          sparse_crossentropy<T>,
          sparse_crossentropy_grad<T>,
          dense_crossentropy<T>,
          dense_crossentropy_grad<T>,
          take_rows<T>,
          add_rows<T>,
          relu<T>,
          relu_grad<T>,
          adam<T>,
          sgd<T>,
          {
#define KCORE_ENTRY(name) {curve_value<curves::name, T>, curve_grad<curves::name, T>},
              KCORE_CURVES(KCORE_ENTRY)
#undef KCORE_ENTRY
          }};
}

extern const Kernels<float> f32;
extern const Kernels<double> f64;
const Kernels<float> f32 = table<float>();
const Kernels<double> f64 = table<double>();
extern const Draws draws;
const Draws draws = {draw_words, draw_bits, draw_units, draw_below};

}  // namespace KCORE_LEVEL
}  // namespace kcore
