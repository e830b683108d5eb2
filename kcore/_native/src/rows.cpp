// Softmax and its kin over the rows of a matrix.
#include "ending.h"
#include "fold.h"

#include "api/rows.h"

namespace kcore {
namespace KCORE_LEVEL {

// exp(x - max) / sum: a row with +inf or nan, or all -inf, has nan in x - max, so in the sum.
template <class T>
void softmax(index rows, index cols, const T* x, T* y, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const T peak = largest(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      const Vec<T> e = exp_below_0<T>(part.get(x + at + i) - peak);
      part.put(y + at + i, e);
      return e;
    });
    const T scale = static_cast<T>(1 / total);
    over_lanes<T>(0, cols,
                  [&](index i, auto part) KCORE_INLINE_LAMBDA { part.put(y + at + i, part.get(y + at + i) * scale); });
  });
}

// y * (g - sum(g * y))
template <class T>
void softmax_grad(index rows, index cols, const T* g, const T* y, T* dx, int threads) {
  const auto row = [&](index at, T mean) {
    over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      part.put(dx + at + i, part.get(y + at + i) * (part.get(g + at + i) - mean));
    });
  };
  const auto one = [&](index at) {
    row(at, static_cast<T>(sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
          return part.get(g + at + i) * part.get(y + at + i);
        })));
  };
  if (cols > short_row<T>) return over_rows(rows, cols, threads, one);
  over_short_rows<T>(rows, cols, threads, [&](index r, index n) {
    if (n == 1) return one(r * cols);
    T means[Simd<T>::lanes];
    store(means, joined_rows<T>(cols, g + r * cols, Add<T>{}, [&](index, const T* p, auto part) KCORE_INLINE_LAMBDA {
            return part.get(p) * part.get(y + (p - g));
          }));
    for (index k = 0; k < n; ++k) row((r + k) * cols, means[k]);
  });
}

template <class T>
void log_softmax(index rows, index cols, const T* x, T* y, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const T peak = largest(x + at, cols);
    const double total = sum_over<T>(
        cols, [&](index i, auto part) KCORE_INLINE_LAMBDA { return exp_below_0<T>(part.get(x + at + i) - peak); });
    const T log_total = static_cast<T>(__builtin_log(total));
    over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      part.put(y + at + i, part.get(x + at + i) - peak - log_total);
    });
  });
}

template <class T>
void log_softmax_grad(index rows, index cols, const T* g, const T* y, T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const T total =
        static_cast<T>(sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA { return part.get(g + at + i); }));
    over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      part.put(dx + at + i, part.get(g + at + i) - exp_of<T>(part.get(y + at + i)) * total);
    });
  });
}

template <class T>
void end_rows(index rows, index cols, const Ending& ending, const T* x, T* out, int threads) {
  end_rows(rows, cols, Ends<T>(ending), x, out, threads);
}

KCORE_EXPORT(rows, RowKernels, KCORE_ROWS_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
