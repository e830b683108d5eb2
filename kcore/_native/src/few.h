// Products of a few rows, as one sample gives them: the matrix is read once, in the order of memory, and nothing is packed.
#pragma once

#include <algorithm>

#include "ending.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index most_rows = 3;
constexpr index far_bytes = 16 << 20;  // more than caches have to give
constexpr index few_columns = 4096;  // whose sums stay in L1

// y[i, first .. end) = sum over k of a[i, k] * b[k, :], eight k at a time: their products are summed before they join.
template <int rows, class T>
void multiply_few(index sums, index columns, index first, index end, const T* a, const T* b, T* y) {
  constexpr int together = 8;
  // From memory, the processor alone does not foresee rows in time.
  const bool far = sums * columns * static_cast<index>(sizeof(T)) > far_bytes;
  for (int i = 0; i < rows; ++i) std::fill(y + i * columns + first, y + i * columns + end, T(0));
  index k = 0;
  const auto add = [&](auto count) {
    constexpr int n = count.value;
    over_lanes<T>(first, end, [&](index j, auto part) KCORE_INLINE_LAMBDA {
      Vec<T> sum[rows];
#pragma GCC unroll 8
      for (int q = 0; q < n; ++q) {
        const T* at = b + (k + q) * columns + j;
        if (far) __builtin_prefetch(at + together * columns, 0, 2);
        const Vec<T> row = part.get(at);
#pragma GCC unroll 3
        for (int i = 0; i < rows; ++i) {
          const Vec<T> x = broadcast<T>(a[i * sums + k + q]);
          sum[i] = q == 0 ? x * row : sum[i] + x * row;
        }
      }
#pragma GCC unroll 3
      for (int i = 0; i < rows; ++i) {
        T* to = y + i * columns + j;
        part.put(to, part.get(to) + sum[i]);
      }
    });
    k += n;
  };
  while (k + together <= sums) add(std::integral_constant<int, together>{});
  while (k < sums) add(std::integral_constant<int, 1>{});
}

// y[rows, columns] = a[rows, sums] @ b[sums, columns], ended, for at most `most_rows` rows.
template <class T>
void product_few(index rows, index sums, index columns, const T* a, const T* b, const Ending& ending, T* y, int threads) {
  const index wanted = threads > 1 ? round_up(ceil_div(columns, 4 * threads), 4 * Simd<T>::lanes) : columns;
  const index width = max_of<index>(1, min_of(wanted, few_columns));
  parallel_for(ceil_div(columns, width), threads, [&](index task, int) {
    const index first = task * width, end = min_of(columns, first + width);
    if (rows == 1) multiply_few<1>(sums, columns, first, end, a, b, y);
    if (rows == 2) multiply_few<2>(sums, columns, first, end, a, b, y);
    if (rows == 3) multiply_few<3>(sums, columns, first, end, a, b, y);
  });
  end_rows(rows, columns, Ends<T>(ending), y, y, 1);
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
