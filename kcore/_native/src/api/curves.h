#pragma once

#include "core.h"

namespace kcore {

// Elementwise functions by number, of x with up to two parameters.
// y = f(x), and dx = g * f'(given): `given` is y for tanh, sigmoid and exp, x for the others.
#define KCORE_CURVES(X)                                                                     \
  X(exp) X(expm1) X(log) X(tanh) X(sigmoid) X(log_sigmoid) X(softplus) X(silu) X(gelu)      \
  X(gelu_tanh) X(erf) X(elu) X(leaky_relu) X(relu6) X(hard_sigmoid) X(hard_silu)
extern const char* const curve_names[];  // null-terminated

// What bias_curve does with the sums, by number.
#define KCORE_BIAS_CURVES(X) X(linear) X(relu) X(sigmoid) X(tanh) X(silu) X(gelu) X(gelu_tanh)
extern const char* const bias_curve_names[];  // null-terminated

// bias_curve: y = f(x + bias), with a bias for each column or null; y may be x.
// bias_curve_grad: dx = g * f'(x + bias), and the sums down its columns. `given` is y and bias null for relu, sigmoid and
// tanh, whose slopes follow from their results; x and the bias for the others.
// relu_with_bits: also which of y are not 0, a bit for each, the lowest first; relu_bits_grad takes them for y.
// curve_with_slope: y = f(x), and what curve_grad would multiply g by.
#define KCORE_CURVES_KERNELS(K)                                                              \
  K(void, relu, (index size, const T* x, T* y, int threads))                                 \
  K(void, relu_grad, (index size, const T* g, const T* y, T* dx, int threads))               \
  K(void, relu_with_bits, (index size, const T* x, T* y, unsigned char* bits, int threads))  \
  K(void, relu_bits_grad,                                                                    \
    (index size, const T* g, const unsigned char* bits, T* dx, int threads))                 \
  K(void, curve, (int which, index size, const T* x, T* y, double a, double b, int threads)) \
  K(void, curve_with_slope,                                                                  \
    (int which, index size, const T* x, T* y, T* slope, double a, double b, int threads))    \
  K(void, curve_grad,                                                                        \
    (int which, index size, const T* g, const T* given, T* dx, double a, double b, int       \
     threads))                                                                                \
  K(void, bias_curve,                                                                        \
    (int which, index rows, index cols, const T* x, const T* bias, T* y, int threads))       \
  K(bool, bias_curve_grad,                                                                   \
    (int which, index rows, index cols, const T* g, const T* given, const T* bias, T* dx, T* sums,  \
     int threads))
KCORE_TABLE(CurveKernels, KCORE_CURVES_KERNELS)

}  // namespace kcore
