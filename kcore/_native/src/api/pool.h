#pragma once

#include "core.h"

namespace kcore {

// Windows over x[n, size..., c], with three spatial axes, give y[n, out..., c]. Along an axis, window o
// holds the elements from bounds[2 * o] up to bounds[2 * o + 1], cut to the input: both ascend, and
// something is left of each. `window` is the most elements that one has before it is cut.
struct Pool {
  index n, c;
  index size[3], out[3], window[3];
  const std::int64_t* bounds[3];
};

// The place of an element is its number in a box of `window`, row by row from where its window starts.
// `code_bytes` is the width of one place: 1, 2 or 4. max_pool's places may be null.
#define KCORE_POOL_KERNELS(K)                                                                     \
  K(void, max_pool,                                                                               \
    (const Pool& shape, const T* x, T* y, void* places, int code_bytes, int threads))             \
  K(bool, max_pool_grad,                                                                          \
    (const Pool& shape, const T* g, const void* places, int code_bytes, T* dx, int threads))      \
  K(void, avg_pool, (const Pool& shape, const T* x, T* y, int threads))                           \
  K(bool, avg_pool_grad, (const Pool& shape, const T* g, T* dx, int threads))
KCORE_TABLE(PoolKernels, KCORE_POOL_KERNELS)

}  // namespace kcore
