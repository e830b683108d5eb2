#pragma once

#include "ending.h"

namespace kcore {

// Rows of a matrix.
#define KCORE_ROWS_KERNELS(K)                                                                     \
  K(void, softmax, (index rows, index cols, const T* x, T* y, int threads))                       \
  K(void, softmax_grad, (index rows, index cols, const T* g, const T* y, T* dx, int threads))     \
  K(void, log_softmax, (index rows, index cols, const T* x, T* y, int threads))                   \
  K(void, log_softmax_grad, (index rows, index cols, const T* g, const T* y, T* dx, int threads)) \
  K(void, end_rows,                                                                               \
    (index rows, index cols, const Ending& ending, const T* x, T* out, int threads))
KCORE_TABLE(RowKernels, KCORE_ROWS_KERNELS)

}  // namespace kcore
