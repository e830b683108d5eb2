// Crossentropies of the rows of a matrix of logits.
#include "api/crossentropy.h"
#include "rows.h"

namespace kcore {
namespace KCORE_LEVEL {

// log(sum(exp(x))) of a row in two parts, and 1 / sum(exp(x - peak)).
template <class T>
struct LogSum {
  T peak, log_total;
  double total;
};
template <class T>
KCORE_INLINE LogSum<T> log_sum(const T* x, index cols) {
  const T peak = largest(x, cols);
  const double total =
      sum_over<T>(cols, [&](index i, auto part) { return exp_of<T>(part.get(x + i) - peak); });
  return {peak, static_cast<T>(__builtin_log(total)), total};
}

// -log(softmax(x)) at the target; 0 where the target is no class.
template <class T>
void sparse_crossentropy(index rows, index cols, const T* x, const std::int64_t* target, T* loss,
                         int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const std::int64_t t = target[r];
    if (t < 0 || t >= cols) {
      loss[r] = 0;
      return;
    }
    const LogSum<T> s = log_sum(x + at, cols);
    loss[r] = -(x[at + t] - s.peak - s.log_total);
  });
}

// g * (softmax(x) - 1 at the target); 0 where the target is no class.
template <class T>
void sparse_crossentropy_grad(index rows, index cols, const T* g, const T* x,
                              const std::int64_t* target, T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const std::int64_t t = target[r];
    if (t < 0 || t >= cols) {
      std::memset(dx + at, 0, cols * sizeof(T));
      return;
    }
    const T peak = largest(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) {
      const Vec<T> e = exp_of<T>(part.get(x + at + i) - peak);
      part.put(dx + at + i, e);
      return e;
    });
    const T scale = static_cast<T>(g[r] / total);
    over_lanes<T>(0, cols,
                  [&](index i, auto part) { part.put(dx + at + i, part.get(dx + at + i) * scale); });
    dx[at + t] -= g[r];
  });
}

// -sum(target * log(softmax(x)))
template <class T>
void dense_crossentropy(index rows, index cols, const T* x, const T* target, T* loss,
                        int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const LogSum<T> s = log_sum(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) {
      return part.get(target + at + i) * (part.get(x + at + i) - s.peak - s.log_total);
    });
    loss[at / cols] = static_cast<T>(-total);
  });
}

// g * (softmax(x) * sum(target) - target)
template <class T>
void dense_crossentropy_grad(index rows, index cols, const T* g, const T* x, const T* target,
                             T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const T peak = largest(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) {
      const Vec<T> e = exp_of<T>(part.get(x + at + i) - peak);
      part.put(dx + at + i, e);
      return e;
    });
    const double mass =
        sum_over<T>(cols, [&](index i, auto part) { return part.get(target + at + i); });
    const T scale = static_cast<T>(mass / total), gr = g[r];
    over_lanes<T>(0, cols, [&](index i, auto part) {
      part.put(dx + at + i, (part.get(dx + at + i) * scale - part.get(target + at + i)) * gr);
    });
  });
}

KCORE_EXPORT(crossentropy, CrossentropyKernels, KCORE_CROSSENTROPY_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
