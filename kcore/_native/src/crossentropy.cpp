// Crossentropies of the rows of a matrix of logits, or of scores.
#include "api/crossentropy.h"
#include "rows.h"

namespace kcore {
namespace KCORE_LEVEL {

// What the softmax of a row is made of: exp(x - peak) * share. The log of share is that of 1 / sum(exp(x - peak)).
template <class T>
struct Shares {
  T peak, share, log_share;
};
template <class T>
KCORE_INLINE Shares<T> shares_of(const T* x, index cols, T* exps = nullptr) {
  const T peak = largest(x, cols);
  const double total = sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
    const Vec<T> e = exp_below_0<T>(part.get(x + i) - peak);
    if (exps) part.put(exps + i, e);
    return e;
  });
  return {peak, static_cast<T>(1 / total), static_cast<T>(-__builtin_log(total))};
}

// -log(softmax(x)) at the target; 0 where the target is no class, and then nothing is kept.
template <class T>
void sparse_crossentropy(index rows, index cols, const T* x, const std::int64_t* target, T* loss,
                         T* exps, T* share, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const std::int64_t t = target[r];
    if (t < 0 || t >= cols) {
      loss[r] = 0;
      return;
    }
    const Shares<T> s = exps ? shares_of(x + at, cols, exps + at) : shares_of(x + at, cols);
    loss[r] = -(x[at + t] - s.peak + s.log_share);
    if (exps) share[r] = s.share;
  });
}

// g * (softmax(x) - 1 at the target); 0 where the target is no class.
template <class T>
void sparse_crossentropy_grad(index rows, index cols, const T* g, const std::int64_t* target,
                              const T* exps, const T* share, T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const std::int64_t t = target[r];
    if (t < 0 || t >= cols) {
      std::memset(dx + at, 0, cols * sizeof(T));
      return;
    }
    const T scale = g[r] * share[r];
    over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA { part.put(dx + at + i, part.get(exps + at + i) * scale); });
    dx[at + t] -= g[r];
  });
}

// -sum(target * log(softmax(x)))
template <class T>
void dense_crossentropy(index rows, index cols, const T* x, const T* target, T* loss, T* peak,
                        T* share, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const Shares<T> s = shares_of(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      return part.get(target + at + i) * (part.get(x + at + i) - s.peak + s.log_share);
    });
    const index r = at / cols;
    loss[r] = static_cast<T>(-total);
    peak[r] = s.peak;
    share[r] = s.share;
  });
}

// g * (softmax(x) * sum(target) - target)
template <class T>
void dense_crossentropy_grad(index rows, index cols, const T* g, const T* x, const T* target,
                             const T* peak, const T* share, T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const double mass =
        sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA { return part.get(target + at + i); });
    const T high = peak[r], scale = static_cast<T>(mass * share[r]), gr = g[r];
    over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      const Vec<T> e = exp_below_0<T>(part.get(x + at + i) - high);
      part.put(dx + at + i, (e * scale - part.get(target + at + i)) * gr);
    });
  });
}

// -log(p / sum(p)) at the target, the quotient clipped to epsilon from 0 and 1; 0 where the target is no class.
template <class T>
void picked_crossentropy(index rows, index cols, const T* p, const std::int64_t* target, T* loss,
                         double epsilon, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const std::int64_t t = target[r];
    if (t < 0 || t >= cols) {
      loss[r] = 0;
      return;
    }
    const double total = sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA { return part.get(p + at + i); });
    double q = p[at + t] / total;
    q = q < epsilon ? epsilon : q > 1 - epsilon ? 1 - epsilon : q;
    loss[r] = static_cast<T>(-__builtin_log(q));
  });
}

// g * (1 / sum(p) - 1 / p at the target); 0 where the quotient is clipped, or the target is no class.
template <class T>
void picked_crossentropy_grad(index rows, index cols, const T* g, const T* p,
                              const std::int64_t* target, T* dp, double epsilon, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const std::int64_t t = target[r];
    const double total =
        t < 0 || t >= cols
            ? 0
            : sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA { return part.get(p + at + i); });
    const double q = total == 0 ? 0 : p[at + t] / total;
    if (!(q >= epsilon && q <= 1 - epsilon)) {
      std::memset(dp + at, 0, cols * sizeof(T));
      return;
    }
    const T rise = static_cast<T>(g[r] / total);
    for (index i = 0; i < cols; ++i) dp[at + i] = rise;
    dp[at + t] -= g[r] / p[at + t];
  });
}

KCORE_EXPORT(crossentropy, CrossentropyKernels, KCORE_CROSSENTROPY_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
