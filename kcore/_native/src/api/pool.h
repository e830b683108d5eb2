#pragma once

#include "core.h"

namespace kcore {

// Pooling of x[n, h, w, c] to y[n, oh, ow, c] over windows cut to the input.
struct Pool {
  index n, h, w, c;
  index kh, kw, sh, sw, pt, pl;
  index oh, ow;
};

// `code_bytes` is the width of one element of `argmax`: 1, 2 or 4.
#define KCORE_POOL_KERNELS(K)                                                                  \
  K(void, max_pool,                                                                            \
    (const Pool& shape, const T* x, T* y, void* argmax, int code_bytes, int threads))          \
  K(void, max_pool_grad,                                                                       \
    (const Pool& shape, const T* g, const void* argmax, int code_bytes, T* dx, int threads))   \
  K(void, avg_pool, (const Pool& shape, const T* x, T* y, bool count_pads, int threads))       \
  K(void, avg_pool_grad, (const Pool& shape, const T* g, T* dx, bool count_pads, int threads))
KCORE_TABLE(PoolKernels, KCORE_POOL_KERNELS)

}  // namespace kcore
