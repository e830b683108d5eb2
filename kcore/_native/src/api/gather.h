#pragma once

#include "core.h"

namespace kcore {

// How rows are joined.
enum Scatter { scatter_add, scatter_mul, scatter_max, scatter_min };

// Rows by number. `base` may be null; with `from_end`, negative numbers count from the end; `how` is a Scatter.
#define KCORE_GATHER_KERNELS(K)                                                           \
  K(void, take_rows,                                                                      \
    (index rows, index cols, const T* x, index count, const std::int64_t* at, T* y, int   \
     threads))                                                                            \
  K(void, scatter_rows,                                                                   \
    (index rows, index cols, const T* base, index count, const std::int64_t* at,          \
     bool from_end, const T* updates, int how, T* y, int threads))
KCORE_TABLE(GatherKernels, KCORE_GATHER_KERNELS)

}  // namespace kcore
