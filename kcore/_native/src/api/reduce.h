#pragma once

#include "core.h"

namespace kcore {

// Rows, with inner = 1, that peak_places takes.
constexpr index longest_place_row = 64;

// Arrays are x[outer, fold, inner], results y[outer, inner], except for running,
// the sums or products up to each element, and top, the k greatest of each row.
#define KCORE_REDUCE_KERNELS(K)                                                                   \
  K(bool, sums,                                                                                   \
    (index outer, index fold, index inner, const T* x, bool squares, double divisor, T* y,        \
     int threads))                                                                                \
  K(bool, peaks,                                                                                  \
    (index outer, index fold, index inner, const T* x, bool least, T* y, int threads))            \
  K(void, peak_places,                                                                            \
    (index outer, index fold, index inner, const T* x, bool least, std::int32_t* y, int threads)) \
  K(bool, top,                                                                                    \
    (index rows, index cols, index k, const T* x, T* values, std::int32_t* places, int threads))  \
  K(bool, moments,                                                                                \
    (index outer, index fold, index inner, const T* x, T* mean, T* variance, int threads))        \
  K(bool, logsumexps,                                                                             \
    (index outer, index fold, index inner, const T* x, T* y, int threads))                        \
  K(bool, products, (index outer, index fold, index inner, const T* x, T* y, int threads))        \
  K(bool, running,                                                                                \
    (index outer, index fold, index inner, const T* x, bool products, T* y, int threads))
KCORE_TABLE(ReduceKernels, KCORE_REDUCE_KERNELS)

}  // namespace kcore
