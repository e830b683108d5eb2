#pragma once

#include "core.h"

namespace kcore {

// Normalizations. `mean` null: rows are not centred. gamma, beta, dgamma, dbeta and offset may be null.
#define KCORE_NORMS_KERNELS(K)                                                                \
  K(void, normalize_rows,                                                                     \
    (index rows, index cols, const T* x, const T* gamma, const T* beta, double epsilon, T* y, \
     T* mean, T* scale, int threads))                                                         \
  K(bool, normalize_rows_grad,                                                                \
    (index rows, index cols, const T* g, const T* x, const T* gamma, const T* mean,           \
     const T* scale, T* dx, T* dgamma, T* dbeta, int threads))                                \
  K(bool, normalize_columns,                                                                  \
    (index outer, index rows, index cols, index groups, const T* x, const T* gamma,           \
     const T* beta, double epsilon, T* y, T* mean, T* variance, int threads))                 \
  K(bool, normalize_columns_grad,                                                             \
    (index outer, index rows, index cols, index groups, const T* g, const T* x,               \
     const T* gamma, const T* mean, const T* variance, const T* g_mean, const T* g_variance,  \
     double epsilon, T* dx, T* dgamma, T* dbeta, int threads))
KCORE_TABLE(NormKernels, KCORE_NORMS_KERNELS)

}  // namespace kcore
