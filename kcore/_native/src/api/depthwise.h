#pragma once

#include "api/conv.h"

namespace kcore {

// Convolutions with one kernel per channel, or per small group of channels, as many out as in: those that
// `fits_depthwise` says yes to.
#define KCORE_DEPTHWISE_KERNELS(K)                                                                 \
  K(bool, fits_depthwise, (const Conv& shape, const T* w))                                         \
  K(bool, depthwise,                                                                               \
    (const Conv& shape, const T* x, const T* w, const Ending& ending, T* y, int threads))          \
  K(bool, depthwise_input_grad,                                                                    \
    (const Conv& shape, const T* g, const T* w, const Ending& ending, T* dx, int threads))         \
  K(bool, depthwise_weight_grad, (const Conv& shape, const T* x, const T* g, T* dw, int threads))
KCORE_TABLE(DepthwiseKernels, KCORE_DEPTHWISE_KERNELS)

}  // namespace kcore
