#pragma once

#include "core.h"

namespace kcore {

// Rows by number. `base` may be null.
#define KCORE_GATHER_KERNELS(K)                                                           \
  K(void, take_rows,                                                                      \
    (index rows, index cols, const T* x, index count, const std::int64_t* at, T* y, int   \
     threads))                                                                            \
  K(void, add_rows,                                                                       \
    (index rows, index cols, const T* base, index count, const std::int64_t* at,          \
     const T* updates, T* y, int threads))
KCORE_TABLE(GatherKernels, KCORE_GATHER_KERNELS)

}  // namespace kcore
