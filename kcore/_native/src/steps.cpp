// Optimizer steps over flat arrays, one pass each.
//
// Plain loops: the compiler vectorizes them for the level at hand.
#include "api/steps.h"
#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index step_block = 16384;

KCORE_INLINE float root(float x) { return __builtin_sqrtf(x); }
KCORE_INLINE double root(double x) { return __builtin_sqrt(x); }

// 1 - beta is taken in double: in float, 1 - 0.999f is off by 5e-5 of itself.
template <bool decays, class T>
KCORE_INLINE void adam_block(index begin, index end, T* param, const T* grad, T* m, T* v,
                             T step_size, T gain1, T gain2, T epsilon, T weight_decay) {
#pragma GCC ivdep
  for (index i = begin; i < end; ++i) {
    const T g = grad[i];
    const T mi = m[i] + (g - m[i]) * gain1;
    const T vi = v[i] + (g * g - v[i]) * gain2;
    const T p = decays ? param[i] - param[i] * weight_decay : param[i];
    m[i] = mi;
    v[i] = vi;
    param[i] = p - step_size * mi / (root(vi) + epsilon);
  }
}

template <class T>
void adam(index size, T* param, const T* grad, T* m, T* v, double step_size, double beta1,
          double beta2, double epsilon, double weight_decay, int threads) {
  const T step = static_cast<T>(step_size), gain1 = static_cast<T>(1 - beta1),
          gain2 = static_cast<T>(1 - beta2);
  const T eps = static_cast<T>(epsilon), decay = static_cast<T>(weight_decay);
  parallel_blocks(size, step_block, threads, [&](index begin, index end) {
    if (weight_decay != 0)
      adam_block<true>(begin, end, param, grad, m, v, step, gain1, gain2, eps, decay);
    else
      adam_block<false>(begin, end, param, grad, m, v, step, gain1, gain2, eps, decay);
  });
}

template <class T>
void sgd(index size, T* param, const T* grad, T* velocity, double learning_rate, double decay,
         bool nesterov, int threads) {
  const T rate = static_cast<T>(learning_rate), momentum = static_cast<T>(decay);
  parallel_blocks(size, step_block, threads, [&](index begin, index end) {
    if (!velocity) {
#pragma GCC ivdep
      for (index i = begin; i < end; ++i) param[i] -= rate * grad[i];
    } else if (nesterov) {
#pragma GCC ivdep
      for (index i = begin; i < end; ++i) {
        const T step = rate * grad[i];
        const T speed = momentum * velocity[i] - step;
        velocity[i] = speed;
        param[i] += momentum * speed - step;
      }
    } else {
#pragma GCC ivdep
      for (index i = begin; i < end; ++i) {
        const T speed = momentum * velocity[i] - rate * grad[i];
        velocity[i] = speed;
        param[i] += speed;
      }
    }
  });
}

KCORE_EXPORT(steps, StepKernels, KCORE_STEPS_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
