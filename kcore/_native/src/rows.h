// Sums and maxima of rows, and how the rows of a matrix are shared out.
#pragma once

#include "transcendental.h"

namespace kcore {
namespace KCORE_LEVEL {

// Sums f(i, part) over [0, n): chains of at most 64 vectors, then double.
template <class T, class F>
KCORE_INLINE double sum_over(index n, F&& f) {
  constexpr index lanes = Simd<T>::lanes, chain = 64 * lanes;
  double total = 0;
  index i = 0;
  for (; i + lanes <= n;) {
    const index end = min_of(n, i + chain);
    Vec<T> s0{}, s1{}, s2{}, s3{};
    for (; i + 4 * lanes <= end; i += 4 * lanes) {
      s0 += f(i, Whole{});
      s1 += f(i + lanes, Whole{});
      s2 += f(i + 2 * lanes, Whole{});
      s3 += f(i + 3 * lanes, Whole{});
    }
    for (; i + lanes <= end; i += lanes) s0 += f(i, Whole{});
    total += sum_lanes<T>((s0 + s1) + (s2 + s3));
    if (end == n) break;
  }
  if (i < n) {
    // Lanes beyond the end hold what f makes of zeros.
    const Vec<T> v = f(i, Part{n - i});
    T lanes_of_v[lanes];
    store(lanes_of_v, v);
    total += sum_lanes<T>(load_part(lanes_of_v, n - i));
  }
  return total;
}

template <class T>
KCORE_INLINE T largest(const T* x, index n) {
  Vec<T> best = broadcast<T>(-__builtin_inf());
  over_lanes<T>(0, n, [&](index i, auto part) KCORE_INLINE_LAMBDA {
    const Vec<T> v = part.get(x + i, static_cast<T>(-__builtin_inf()));
    best = v > best ? v : best;
  });
  return fold_lanes<T, T>(best, [](T a, T b) { return b > a ? b : a; });
}

constexpr index row_block_elements = 4096;
KCORE_INLINE index rows_together(index cols) {
  return max_of<index>(1, row_block_elements / max_of<index>(cols, 1));
}

template <class F>
KCORE_INLINE void over_rows(index rows, index cols, int threads, F&& f) {
  parallel_blocks(rows, rows_together(cols), threads, [&](index begin, index end) {
    for (index r = begin; r < end; ++r) f(r * cols);
  });
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
