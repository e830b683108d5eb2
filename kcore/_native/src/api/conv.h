#pragma once

#include "core.h"

namespace kcore {

// Convolutions: x[n, h, w, c] with kernel[kh, kw, c / groups, oc] to y[n, oh, ow, oc].
// Padding is what precedes x; what follows it is implied by oh and ow.
struct Conv {
  index n, h, w, c;
  index kh, kw, oc, groups;
  index sh, sw, pt, pl, dh, dw;
  index oh, ow;
};
#define KCORE_CONV_KERNELS(K)                                                                     \
  K(bool, conv, (const Conv& shape, const T* x, const T* w, T* y, int threads))                   \
  K(bool, conv_input_grad, (const Conv& shape, const T* g, const T* w, T* dx, int threads))       \
  K(bool, conv_weight_grad, (const Conv& shape, const T* x, const T* g, T* dw, int threads))      \
  K(bool, depthwise, (const Conv& shape, const T* x, const T* w, T* y, int threads))              \
  K(bool, depthwise_input_grad, (const Conv& shape, const T* g, const T* w, T* dx, int threads))  \
  K(bool, depthwise_weight_grad, (const Conv& shape, const T* x, const T* g, T* dw, int threads))
KCORE_TABLE(ConvKernels, KCORE_CONV_KERNELS)

}  // namespace kcore
