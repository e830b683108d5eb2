#pragma once

#include "core.h"

namespace kcore {

// y[n, j, i] = x[n, i, j]: from channels last to channels first, and back.
#define KCORE_LAYOUT_KERNELS(K) \
  K(void, swap_axes, (index n, index rows, index cols, const T* x, T* y, int threads))
KCORE_TABLE(LayoutKernels, KCORE_LAYOUT_KERNELS)

}  // namespace kcore
