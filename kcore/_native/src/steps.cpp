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

// body(array, begin, end) for blocks of all arrays together, so that threads share many small ones evenly.
template <class F>
void over_arrays(index count, const index* sizes, int threads, F body) {
  index total = 0;
  for (index k = 0; k < count; ++k) total += sizes[k];
  parallel_blocks(total, step_block, threads, [&](index begin, index end) {
    index k = 0, before = 0;
    while (before + sizes[k] <= begin) before += sizes[k++];
    while (begin < end) {
      const index stop = before + sizes[k] < end ? before + sizes[k] : end;
      if (begin < stop) body(k, begin - before, stop - before);
      begin = stop;
      before += sizes[k++];
    }
  });
}

// `type` only tells T apart, as the pointers do not.
template <class T>
void adam(index count, const index* sizes, void* const* params, void* const* grads,
          void* const* ms, void* const* vs, double step_size, double beta1, double beta2,
          double epsilon, const double* decays, int threads, T*) {
  const T step = static_cast<T>(step_size), gain1 = static_cast<T>(1 - beta1),
          gain2 = static_cast<T>(1 - beta2), eps = static_cast<T>(epsilon);
  over_arrays(count, sizes, threads, [&](index k, index begin, index end) {
    T *param = static_cast<T*>(params[k]), *m = static_cast<T*>(ms[k]), *v = static_cast<T*>(vs[k]);
    const T* grad = static_cast<const T*>(grads[k]);
    const T decay = static_cast<T>(decays[k]);
    if (decays[k] != 0)
      adam_block<true>(begin, end, param, grad, m, v, step, gain1, gain2, eps, decay);
    else
      adam_block<false>(begin, end, param, grad, m, v, step, gain1, gain2, eps, decay);
  });
}

template <bool decays, class T>
KCORE_INLINE void sgd_block(index begin, index end, T* param, const T* grad, T* velocity, T rate,
                            T momentum, bool nesterov, T weight_decay) {
  const auto before = [&](index i) {
    return decays ? param[i] - param[i] * weight_decay : param[i];
  };
  if (!velocity) {
#pragma GCC ivdep
    for (index i = begin; i < end; ++i) param[i] = before(i) - rate * grad[i];
  } else if (nesterov) {
#pragma GCC ivdep
    for (index i = begin; i < end; ++i) {
      const T step = rate * grad[i];
      const T speed = momentum * velocity[i] - step;
      velocity[i] = speed;
      param[i] = before(i) + (momentum * speed - step);
    }
  } else {
#pragma GCC ivdep
    for (index i = begin; i < end; ++i) {
      const T speed = momentum * velocity[i] - rate * grad[i];
      velocity[i] = speed;
      param[i] = before(i) + speed;
    }
  }
}

template <class T>
void sgd(index count, const index* sizes, void* const* params, void* const* grads,
         void* const* velocities, double learning_rate, double decay, bool nesterov,
         const double* decays, int threads, T*) {
  const T rate = static_cast<T>(learning_rate), momentum = static_cast<T>(decay);
  over_arrays(count, sizes, threads, [&](index k, index begin, index end) {
    T* param = static_cast<T*>(params[k]);
    const T* grad = static_cast<const T*>(grads[k]);
    T* velocity = velocities ? static_cast<T*>(velocities[k]) : nullptr;
    const T fade = static_cast<T>(decays[k]);
    if (decays[k] != 0)
      sgd_block<true>(begin, end, param, grad, velocity, rate, momentum, nesterov, fade);
    else
      sgd_block<false>(begin, end, param, grad, velocity, rate, momentum, nesterov, fade);
  });
}

KCORE_EXPORT(steps, StepKernels, KCORE_STEPS_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
