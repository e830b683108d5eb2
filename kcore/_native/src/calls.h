// Calls a kernel of the active level for float or double arrays behind void pointers: one C++
// name for Cython instead of two.
#pragma once

#include "api.h"

namespace kcore {
namespace call {

template <class T, class A>
A typed(A value) {
  return value;
}
template <class T>
T* typed(void* array) {
  return static_cast<T*>(array);
}

#define KCORE_CALL(name)                                       \
  template <class... A>                                        \
  auto name(bool single, A... args) {                          \
    return single ? active->f32->name(typed<float>(args)...)   \
                  : active->f64->name(typed<double>(args)...); \
  }
KCORE_CALL(conv)
KCORE_CALL(conv_input_grad)
KCORE_CALL(conv_weight_grad)
KCORE_CALL(depthwise)
KCORE_CALL(depthwise_input_grad)
KCORE_CALL(depthwise_weight_grad)
KCORE_CALL(max_pool)
KCORE_CALL(max_pool_grad)
KCORE_CALL(avg_pool)
KCORE_CALL(avg_pool_grad)
KCORE_CALL(softmax)
KCORE_CALL(softmax_grad)
KCORE_CALL(log_softmax)
KCORE_CALL(log_softmax_grad)
KCORE_CALL(column_sums)
KCORE_CALL(bias_add)
KCORE_CALL(normalize_rows)
KCORE_CALL(normalize_rows_grad)
KCORE_CALL(column_moments)
KCORE_CALL(column_affine)
KCORE_CALL(column_affine_grad)
KCORE_CALL(dense_crossentropy)
KCORE_CALL(dense_crossentropy_grad)
KCORE_CALL(relu)
KCORE_CALL(relu_grad)
KCORE_CALL(adam)
KCORE_CALL(sgd)
#undef KCORE_CALL

inline bool column_dots(bool single, index rows, index cols, void* g, void* x, void* mean,
                        double* sums, double* dots, int threads) {
  return single ? active->f32->column_dots(rows, cols, typed<float>(g), typed<float>(x),
                                           typed<float>(mean), sums, dots, threads)
                : active->f64->column_dots(rows, cols, typed<double>(g), typed<double>(x),
                                           typed<double>(mean), sums, dots, threads);
}
inline void sparse_crossentropy(bool single, index rows, index cols, void* x, void* target,
                                void* loss, int threads) {
  const auto* classes = static_cast<const std::int64_t*>(target);
  if (single)
    active->f32->sparse_crossentropy(rows, cols, typed<float>(x), classes, typed<float>(loss),
                                     threads);
  else
    active->f64->sparse_crossentropy(rows, cols, typed<double>(x), classes, typed<double>(loss),
                                     threads);
}
inline void sparse_crossentropy_grad(bool single, index rows, index cols, void* g, void* x,
                                     void* target, void* dx, int threads) {
  const auto* classes = static_cast<const std::int64_t*>(target);
  if (single)
    active->f32->sparse_crossentropy_grad(rows, cols, typed<float>(g), typed<float>(x), classes,
                                          typed<float>(dx), threads);
  else
    active->f64->sparse_crossentropy_grad(rows, cols, typed<double>(g), typed<double>(x), classes,
                                          typed<double>(dx), threads);
}
inline void take_rows(bool single, index rows, index cols, void* x, index count, void* at, void* y,
                      int threads) {
  const auto* numbers = static_cast<const std::int64_t*>(at);
  if (single)
    active->f32->take_rows(rows, cols, typed<float>(x), count, numbers, typed<float>(y), threads);
  else
    active->f64->take_rows(rows, cols, typed<double>(x), count, numbers, typed<double>(y), threads);
}
inline void add_rows(bool single, index rows, index cols, void* base, index count, void* at,
                     void* updates, void* y, int threads) {
  const auto* numbers = static_cast<const std::int64_t*>(at);
  if (single)
    active->f32->add_rows(rows, cols, typed<float>(base), count, numbers, typed<float>(updates),
                          typed<float>(y), threads);
  else
    active->f64->add_rows(rows, cols, typed<double>(base), count, numbers, typed<double>(updates),
                          typed<double>(y), threads);
}
inline void curve(bool single, int which, index size, void* x, void* y, double a, double b,
                  int threads) {
  if (single)
    active->f32->curves[which].value(size, typed<float>(x), typed<float>(y), static_cast<float>(a),
                                     static_cast<float>(b), threads);
  else
    active->f64->curves[which].value(size, typed<double>(x), typed<double>(y), a, b, threads);
}
inline void curve_grad(bool single, int which, index size, void* g, void* given, void* dx, double a,
                       double b, int threads) {
  if (single)
    active->f32->curves[which].grad(size, typed<float>(g), typed<float>(given), typed<float>(dx),
                                    static_cast<float>(a), static_cast<float>(b), threads);
  else
    active->f64->curves[which].grad(size, typed<double>(g), typed<double>(given),
                                    typed<double>(dx), a, b, threads);
}

}  // namespace call
}  // namespace kcore
