#pragma once

#include "core.h"

namespace kcore {

// x[outer, n, inner] to y[outer, out, inner] by a banded matrix: row i of it has spans[2 i + 1] weights,
// at weights[i * taps], for the elements of x from spans[2 i] on.
#define KCORE_RESAMPLE_KERNELS(K)                                                               \
  K(void, banded,                                                                               \
    (index outer, index n, index out, index inner, const T* x, const std::int32_t* spans,       \
     const T* weights, index taps, T* y, int threads))
KCORE_TABLE(ResampleKernels, KCORE_RESAMPLE_KERNELS)

}  // namespace kcore
