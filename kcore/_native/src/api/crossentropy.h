#pragma once

#include "core.h"

namespace kcore {

// Crossentropies of the rows of a matrix: of logits, and `picked` of scores that are divided by their sum. What those of
// logits keep for their gradients: softmax(x) = exp(x - peak) * share, of which `exps` are the exponentials. The sparse one
// keeps nothing where exps are null.
#define KCORE_CROSSENTROPY_KERNELS(K)                                                       \
  K(void, sparse_crossentropy,                                                              \
    (index rows, index cols, const T* x, const std::int64_t* target, T* loss, T* exps,      \
     T* share, int threads))                                                                \
  K(void, sparse_crossentropy_grad,                                                         \
    (index rows, index cols, const T* g, const std::int64_t* target, const T* exps,         \
     const T* share, T* dx, int threads))                                                   \
  K(void, dense_crossentropy,                                                               \
    (index rows, index cols, const T* x, const T* target, T* loss, T* peak, T* share,       \
     int threads))                                                                          \
  K(void, dense_crossentropy_grad,                                                          \
    (index rows, index cols, const T* g, const T* x, const T* target, const T* peak,        \
     const T* share, T* dx, int threads))                                                   \
  K(void, picked_crossentropy,                                                              \
    (index rows, index cols, const T* p, const std::int64_t* target, T* loss, double        \
     epsilon, int threads))                                                                 \
  K(void, picked_crossentropy_grad,                                                         \
    (index rows, index cols, const T* g, const T* p, const std::int64_t* target, T* dp,     \
     double epsilon, int threads))
KCORE_TABLE(CrossentropyKernels, KCORE_CROSSENTROPY_KERNELS)

}  // namespace kcore
