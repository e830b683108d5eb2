// Softmax and its kin over the rows of a matrix, and sums down its columns.
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
  over_lanes<T>(0, n, [&](index i, auto part) {
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

// exp(x - max) / sum: a row with +inf or nan, or all -inf, has nan in x - max, so in the sum.
template <class T>
void softmax(index rows, index cols, const T* x, T* y, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const T peak = largest(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) {
      const Vec<T> e = exp_of<T>(part.get(x + at + i) - peak);
      part.put(y + at + i, e);
      return e;
    });
    const T scale = static_cast<T>(1 / total);
    over_lanes<T>(0, cols,
                  [&](index i, auto part) { part.put(y + at + i, part.get(y + at + i) * scale); });
  });
}

template <class T>
void softmax_grad(index rows, index cols, const T* g, const T* y, T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const T mean = static_cast<T>(sum_over<T>(
        cols, [&](index i, auto part) { return part.get(g + at + i) * part.get(y + at + i); }));
    over_lanes<T>(0, cols, [&](index i, auto part) {
      part.put(dx + at + i, part.get(y + at + i) * (part.get(g + at + i) - mean));
    });
  });
}

template <class T>
void log_softmax(index rows, index cols, const T* x, T* y, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const T peak = largest(x + at, cols);
    const double total = sum_over<T>(
        cols, [&](index i, auto part) { return exp_of<T>(part.get(x + at + i) - peak); });
    const T log_total = static_cast<T>(__builtin_log(total));
    over_lanes<T>(0, cols, [&](index i, auto part) {
      part.put(y + at + i, part.get(x + at + i) - peak - log_total);
    });
  });
}

template <class T>
void log_softmax_grad(index rows, index cols, const T* g, const T* y, T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const T total =
        static_cast<T>(sum_over<T>(cols, [&](index i, auto part) { return part.get(g + at + i); }));
    over_lanes<T>(0, cols, [&](index i, auto part) {
      part.put(dx + at + i, part.get(g + at + i) - exp_of<T>(part.get(y + at + i)) * total);
    });
  });
}

// out[j] = sum over i of x[i, j]: 64 rows in T, the rest in double.
template <class T>
bool column_sums(index rows, index cols, const T* x, T* out, int threads) {
  constexpr index chain = 64;
  const index block =
      max_of<index>(chain, round_up((index{1} << 16) / max_of<index>(cols, 1), chain));
  const index blocks = ceil_div(rows, block);
  Scratch scratch(room<double>(blocks * cols));
  if (!scratch) return false;
  double* parts = take<double>(scratch, blocks * cols);
  parallel_for(blocks, threads, [&](index b, int) {
    double* part_sums = parts + b * cols;
    for (index j = 0; j < cols; ++j) part_sums[j] = 0;
    for (index r0 = b * block; r0 < min_of(rows, (b + 1) * block); r0 += chain) {
      const index r1 = min_of(min_of(rows, (b + 1) * block), r0 + chain);
      over_lanes<T>(0, cols, [&](index j, auto part) {
        Vec<T> s{};
        for (index r = r0; r < r1; ++r) s += part.get(x + r * cols + j);
        for (index i = 0; i < min_of(Simd<T>::lanes, cols - j); ++i) part_sums[j + i] += s[i];
      });
    }
  });
  for (index j = 0; j < cols; ++j) {
    double total = 0;
    for (index b = 0; b < blocks; ++b) total += parts[b * cols + j];
    out[j] = static_cast<T>(total);
  }
  return true;
}

template <class T>
void bias_add(index rows, index cols, const T* x, const T* bias, bool relu, T* out, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    over_lanes<T>(0, cols, [&](index j, auto part) {
      const Vec<T> v = part.get(x + at + j) + part.get(bias + j);
      part.put(out + at + j, relu ? (v <= Vec<T>{} ? Vec<T>{} : v) : v);
    });
  });
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
