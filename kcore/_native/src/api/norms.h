#pragma once

#include "core.h"

namespace kcore {

// Normalizations. `mean` null: rows are not centred. gamma, beta, dgamma and dbeta may be null.
#define KCORE_NORMS_KERNELS(K)                                                                \
  K(void, normalize_rows,                                                                     \
    (index rows, index cols, const T* x, const T* gamma, const T* beta, double epsilon, T* y, \
     T* mean, T* scale, int threads))                                                         \
  K(bool, normalize_rows_grad,                                                                \
    (index rows, index cols, const T* g, const T* x, const T* gamma, const T* mean,           \
     const T* scale, T* dx, T* dgamma, T* dbeta, int threads))                                \
  K(bool, column_dots,                                                                        \
    (index rows, index cols, const T* g, const T* x, const T* mean, double* sums,             \
     double* dots, int threads))                                                              \
  K(void, column_affine_grad,                                                                 \
    (index rows, index cols, const T* g, const T* x, const T* mean, const T* factor,          \
     const T* slope, const T* level, T* dx, int threads))
KCORE_TABLE(NormKernels, KCORE_NORMS_KERNELS)

}  // namespace kcore
