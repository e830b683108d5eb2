#pragma once

#include "core.h"

namespace kcore {

// Optimizer steps over `count` arrays at once, in place. The pointers are to T; `velocities` may be null.
#define KCORE_STEPS_KERNELS(K)                                                                \
  K(void, adam,                                                                               \
    (index count, const index* sizes, void* const* params, void* const* grads, void* const*   \
     ms, void* const* vs, double step_size, double beta1, double beta2, double epsilon, const \
     double* decays, int threads, T* type))                                                   \
  K(void, sgd,                                                                                \
    (index count, const index* sizes, void* const* params, void* const* grads, void* const*   \
     velocities, double rate, double momentum, bool nesterov, const double* decays, int       \
     threads, T* type))
KCORE_TABLE(StepKernels, KCORE_STEPS_KERNELS)

}  // namespace kcore
