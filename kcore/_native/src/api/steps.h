#pragma once

#include "core.h"

namespace kcore {

// Optimizer steps, in place. `velocity` may be null.
#define KCORE_STEPS_KERNELS(K)                                                               \
  K(void, adam,                                                                              \
    (index size, T* param, const T* grad, T* m, T* v, double step_size, double beta1, double \
     beta2, double epsilon, double weight_decay, int threads))                               \
  K(void, sgd,                                                                               \
    (index size, T* param, const T* grad, T* velocity, double rate, double momentum, bool    \
     nesterov, int threads))
KCORE_TABLE(StepKernels, KCORE_STEPS_KERNELS)

}  // namespace kcore
