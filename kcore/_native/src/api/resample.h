#pragma once

#include "core.h"

namespace kcore {

// A banded matrix: row i of it has spans[2 i + 1] weights, at weights[i * taps], for the elements from spans[2 i] on.
template <class T>
struct Band {
  const std::int32_t* spans;
  const T* weights;
  index taps;
};

// x[outer, n, inner] to y[outer, out, inner] by a banded matrix; x[outer, n, m, inner] to y[outer, out, out_m, inner] by two.
#define KCORE_RESAMPLE_KERNELS(K)                                                               \
  K(void, banded,                                                                               \
    (index outer, index n, index out, index inner, const T* x, const std::int32_t* spans,       \
     const T* weights, index taps, T* y, int threads))                                          \
  K(bool, banded_planes,                                                                        \
    (index outer, index n, index m, index out, index out_m, index inner, const T* x,            \
     const std::int32_t* spans, const T* weights, index taps, const std::int32_t* next_spans,   \
     const T* next_weights, index next_taps, T* y, int threads))
KCORE_TABLE(ResampleKernels, KCORE_RESAMPLE_KERNELS)

}  // namespace kcore
