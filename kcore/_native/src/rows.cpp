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

// Calls f(Vectors<n>) and is true if n = count for a n from 1 to `most`.
template <int most, class F>
KCORE_INLINE bool counted(index count, F&& f) {
  if constexpr (most > 0) {
    if (count != most) return counted<most - 1>(count, f);
    f(Vectors<most>{});
    return true;
  }
  return false;
}

// softmax_grad of a row of n vectors, which stay in registers; the last of them is a `part`.
template <int n, class T, class P>
KCORE_INLINE void short_softmax_grad(const T* g, const T* y, T* dx, P part) {
  constexpr index lanes = Simd<T>::lanes;
  Vec<T> gs[n], ys[n], sum{};
#pragma GCC unroll 8
  for (int k = 0; k < n; ++k) {
    gs[k] = k == n - 1 ? part.get(g + k * lanes) : load(g + k * lanes);
    ys[k] = k == n - 1 ? part.get(y + k * lanes) : load(y + k * lanes);
    sum += gs[k] * ys[k];
  }
  const T mean = static_cast<T>(sum_lanes<T>(sum));
#pragma GCC unroll 8
  for (int k = 0; k < n; ++k) {
    const Vec<T> v = ys[k] * (gs[k] - mean);
    if (k == n - 1)
      part.put(dx + k * lanes, v);
    else
      store(dx + k * lanes, v);
  }
}

// y * (g - sum(g * y))
template <class T>
void softmax_grad(index rows, index cols, const T* g, const T* y, T* dx, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const auto each_short = [&](auto count) {
    constexpr int n = decltype(count)::count;
    over_rows(rows, cols, threads, [&](index at) {
      if (cols == n * lanes)
        short_softmax_grad<n>(g + at, y + at, dx + at, Whole{});
      else
        short_softmax_grad<n>(g + at, y + at, dx + at, Part{cols - (n - 1) * lanes});
    });
  };
  if (counted<KCORE_VECTOR_BYTES / 8>(ceil_div(cols, lanes), each_short)) return;  // two of each for half of the registers
  over_rows(rows, cols, threads, [&](index at) {
    const T mean = static_cast<T>(sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      return part.get(g + at + i) * part.get(y + at + i);
    }));
    over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      part.put(dx + at + i, part.get(y + at + i) * (part.get(g + at + i) - mean));
    });
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
