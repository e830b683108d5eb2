// What the Cython wrappers see: the SIMD levels of this build, and each kernel of the active one.
#pragma once

#include "api/attention.h"
#include "api/conv.h"
#include "api/crossentropy.h"
#include "api/curves.h"
#include "api/depthwise.h"
#include "api/draw.h"
#include "api/gather.h"
#include "api/half.h"
#include "api/layout.h"
#include "api/norms.h"
#include "api/pool.h"
#include "api/recurrent.h"
#include "api/reduce.h"
#include "api/resample.h"
#include "api/rows.h"
#include "api/steps.h"

namespace kcore {

#define KCORE_FAMILIES(F)                                        \
  F(attention, AttentionKernels, KCORE_ATTENTION_KERNELS)        \
  F(conv, ConvKernels, KCORE_CONV_KERNELS)                       \
  F(crossentropy, CrossentropyKernels, KCORE_CROSSENTROPY_KERNELS) \
  F(curves, CurveKernels, KCORE_CURVES_KERNELS)                  \
  F(depthwise, DepthwiseKernels, KCORE_DEPTHWISE_KERNELS)        \
  F(draw, DrawKernels, KCORE_DRAW_KERNELS)                       \
  F(gather, GatherKernels, KCORE_GATHER_KERNELS)                 \
  F(layout, LayoutKernels, KCORE_LAYOUT_KERNELS)                 \
  F(norms, NormKernels, KCORE_NORMS_KERNELS)                     \
  F(pool, PoolKernels, KCORE_POOL_KERNELS)                       \
  F(recurrent, RecurrentKernels, KCORE_RECURRENT_KERNELS)        \
  F(reduce, ReduceKernels, KCORE_REDUCE_KERNELS)                 \
  F(resample, ResampleKernels, KCORE_RESAMPLE_KERNELS)           \
  F(rows, RowKernels, KCORE_ROWS_KERNELS)                        \
  F(steps, StepKernels, KCORE_STEPS_KERNELS)

// The kernels of all families, for one type.
struct Families {};
#define KCORE_BASE(family, Type, KERNELS) , Type<T>
template <class T>
struct Kernels : Families KCORE_FAMILIES(KCORE_BASE) {};

struct Level {
  const char* name;
  bool (*supported)();
  Kernels<float> f32;
  Kernels<double> f64;
  const Draws* draws;
  const Halves* halves;
};

// The levels of this build, widest first; null-terminated.
extern const Level* const levels[];
extern const Level* active;

bool has_openmp();

// One C++ name for Cython instead of two: arrays are behind void pointers, `single` tells their
// type. Arrays of other types come with theirs.
namespace call {

template <class T, class A>
A typed(A value) {
  return value;
}
template <class T>
T* typed(void* array) {
  return static_cast<T*>(array);
}

#define KCORE_CALL(R, name, parameters)                       \
  template <class... A>                                       \
  R name(bool single, A... args) {                            \
    return single ? active->f32.name(typed<float>(args)...)   \
                  : active->f64.name(typed<double>(args)...); \
  }
#define KCORE_CALLS(family, Type, KERNELS) KERNELS(KCORE_CALL)
KCORE_FAMILIES(KCORE_CALLS)

}  // namespace call
}  // namespace kcore
