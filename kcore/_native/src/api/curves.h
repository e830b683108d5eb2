#pragma once

#include "core.h"

namespace kcore {

// Elementwise functions by number, of x with up to two parameters.
// y = f(x), and dx = g * f'(given): `given` is y for tanh, sigmoid and exp, x for the others.
#define KCORE_CURVES(X)                                                                     \
  X(exp) X(expm1) X(log) X(tanh) X(sigmoid) X(log_sigmoid) X(softplus) X(silu) X(gelu)      \
  X(gelu_tanh) X(erf) X(elu) X(leaky_relu) X(relu6) X(hard_sigmoid) X(hard_silu)
extern const char* const curve_names[];  // null-terminated

#define KCORE_CURVES_KERNELS(K)                                                              \
  K(void, relu, (index size, const T* x, T* y, int threads))                                 \
  K(void, relu_grad, (index size, const T* g, const T* y, T* dx, int threads))               \
  K(void, curve, (int which, index size, const T* x, T* y, double a, double b, int threads)) \
  K(void, curve_grad,                                                                        \
    (int which, index size, const T* g, const T* given, T* dx, double a, double b, int       \
     threads))
KCORE_TABLE(CurveKernels, KCORE_CURVES_KERNELS)

}  // namespace kcore
