// Means and variances, and logs of sums of exponentials, which need more than one pass.
#pragma once

#include "fold.h"

namespace kcore {
namespace KCORE_LEVEL {

// Calls f(i, count) for the parts of n elements, at most 4096: few enough to stay in the L1 cache from pass to pass.
template <class F>
KCORE_INLINE void over_parts(index n, F&& f) {
  constexpr index most = 4096;
  for (index i = 0; i < n; i += most) f(i, min_of(most, n - i));
}

// -- mean and variance ----------------------------------------------------------------------------

// Some elements: how many, their mean, and the sum of squares about it.
struct Moments {
  double count = 0, mean = 0, squares = 0;
  // With others; what is not finite becomes nan, but for the mean.
  __attribute__((noinline)) void join(double n, double centre, double sum, double square) {
    const double m = __builtin_isfinite(centre) ? centre + sum / n : centre;
    const double own = square - (__builtin_isfinite(centre) ? sum * sum / n : 0);
    if (count == 0) {
      count = n, mean = m, squares = own;
      return;
    }
    const double off = m - mean, total = count + n;
    squares += own + off * off * (count * n / total);
    mean = __builtin_isfinite(off) ? mean + off * (n / total) : mean + m;
    count = total;
  }
};

template <int count>
struct Count {
  static constexpr int n = count;
};

// Of each of n vectors of columns, for at most 64 rows: a number near the mean, the sum of what is off it, and of its
// squares. The number c is the mean of eight rows. With m the mean of all, and S the sum of squares about it,
// 8 (c - m)^2 <= S, so that the squares about c are 9 S at most: they are as good as those about m, and x is read once.
template <class T, class Part, int n>
KCORE_INLINE void block_moments(index stride, const T* x, index r0, index r1, T* sums, T* centres,
                                T* squares, Part part, Count<n>) {
  constexpr index lanes = Simd<T>::lanes;
  Vec<T> centre[n], sum[n], square[n];
#pragma GCC unroll 4
  for (int k = 0; k < n; ++k) centre[k] = sum[k] = square[k] = Vec<T>{};
  const index few = min_of(r1, r0 + 8);
  for (index r = r0; r < few; ++r)
#pragma GCC unroll 4
    for (int k = 0; k < n; ++k) centre[k] += part.get(x + r * stride + k * lanes);
#pragma GCC unroll 4
  for (int k = 0; k < n; ++k) centre[k] /= static_cast<T>(few - r0);
  for (index r = r0; r < r1; ++r)
#pragma GCC unroll 4
    for (int k = 0; k < n; ++k) {
      const Vec<T> d = part.get(x + r * stride + k * lanes) - centre[k];
      sum[k] += d;
      square[k] += d * d;
    }
#pragma GCC unroll 4
  for (int k = 0; k < n; ++k) {
    part.put(sums + k * lanes, sum[k]);
    part.put(centres + k * lanes, centre[k]);
    part.put(squares + k * lanes, square[k]);
  }
}

// The room that column_moments takes for its parts.
KCORE_INLINE index column_parts(index rows, index cols) {
  return 3 * max_of<index>(1, ceil_div(rows, chain)) * cols;
}

// Calls f(j, part, Count<n>) for n vectors of columns from j on, until all have been met. Four vectors at a time read
// whole stretches of a row.
template <class T, class F>
KCORE_INLINE void over_columns(index cols, F&& f) {
  constexpr index lanes = Simd<T>::lanes;
  index j = 0;
  for (; j + 4 * lanes <= cols; j += 4 * lanes) f(j, Whole{}, Count<4>{});
  for (; j + lanes <= cols; j += lanes) f(j, Whole{}, Count<1>{});
  if (j < cols) f(j, Part{cols - j}, Count<1>{});
}
// Calls f(b, r0, r1) for each block of the rows r0 to r1 - 1, at most 64.
template <class F>
KCORE_INLINE void over_row_blocks(index rows, index cols, int threads, F&& f) {
  const index together = max_of<index>(1, block_elements / (chain * max_of<index>(cols, 1)));
  parallel_blocks(ceil_div(rows, chain), together, threads, [&](index begin, index end) {
    for (index b = begin; b < end; ++b) f(b, b * chain, min_of(rows, (b + 1) * chain));
  });
}

// For each column of x[rows, cols], the mean of all the columns of its group, which has `size` neighbours, and the sum of
// the column's squares about that mean, in double.
template <class T>
__attribute__((noinline)) void column_moments(index rows, index cols, index size, const T* x,
                                              T* parts, double* middle, double* square,
                                              int threads) {
  const index blocks = ceil_div(rows, chain);
  T *sums = parts, *centres = sums + blocks * cols, *squares = centres + blocks * cols;
  over_row_blocks(rows, cols, threads, [&](index b, index r0, index r1) {
    over_columns<T>(cols, [&](index j, auto part, auto count) KCORE_INLINE_LAMBDA {
      const index at = b * cols + j;
      block_moments(cols, x + j, r0, r1, sums + at, centres + at, squares + at, part, count);
    });
  });
  const auto count_of = [&](index b) {
    return static_cast<double>(min_of(rows, (b + 1) * chain) - b * chain);
  };
  for (index j = 0; j < cols; ++j) middle[j] = square[j] = 0;
  for (index b = 0; b < blocks; ++b) {
    const index at = b * cols;
    const double count = count_of(b);
    for (index j = 0; j < cols; ++j) {
      const double centre = centres[at + j];
      middle[j] += __builtin_isfinite(centre) ? count * centre + sums[at + j] : centre;
    }
  }
  for (index first = 0; first < cols; first += size) {
    double total = 0;
    for (index j = first; j < first + size; ++j) total += middle[j];
    for (index j = first; j < first + size; ++j) middle[j] = total / static_cast<double>(rows * size);
  }
  for (index b = 0; b < blocks; ++b) {
    const index at = b * cols;
    const double count = count_of(b);
    for (index j = 0; j < cols; ++j) {
      const double off = centres[at + j] - middle[j];
      square[j] += squares[at + j] + off * (sums[at + j] + (sums[at + j] + count * off));
    }
  }
}

// Calls f(i, slot, team) for every i < n: many at the same time if there are enough of them, and else one after the
// other, each with all threads. `size` is that of one; slot < slots_of(n, threads) tells apart what runs at the same time.
KCORE_INLINE int slots_of(index n, int threads) { return n < threads ? 1 : max_of(threads, 1); }
template <class F>
KCORE_INLINE void share_out(index n, index size, int threads, F&& f) {
  if (n < threads) {
    for (index i = 0; i < n; ++i) f(i, 0, threads);
    return;
  }
  const index together = max_of<index>(1, block_elements / max_of<index>(size, 1));
  parallel_for(ceil_div(n, together), threads, [&](index b, int slot) {
    for (index i = b * together; i < min_of(n, (b + 1) * together); ++i) f(i, slot, 1);
  });
}

// Calls f(o, parts, first, second, threads) for each matrix x[o] of outer, many at the same time or one after the other,
// and then done(first) if that succeeded. `parts` has `size` elements of T, and first and second a double for each column:
// those of x[o] alone if they are `kept`, side by side in the order of o.
template <class T, class F, class G>
KCORE_INLINE bool over_samples(index outer, index rows, index cols, index size, bool kept, int threads, F&& f, G&& done) {
  const int slots = slots_of(outer, threads);
  const index pairs = kept ? outer : slots;
  Scratch scratch(room<T>(size * slots) + room<double>(2 * cols * pairs));
  if (!scratch) return false;
  T* parts = take<T>(scratch, size * slots);
  double* both = take<double>(scratch, 2 * cols * pairs);
  share_out(outer, rows * cols, threads, [&](index o, int slot, int team) {
    double* first = both + 2 * cols * (kept ? o : slot);
    f(o, parts + slot * size, first, first + cols, team);
  });
  done(both);
  return true;
}

template <class T>
bool column_moments_of(index outer, index fold, index inner, const T* x, T* mean, T* variance,
                       int threads) {
  const auto of_sample = [&](index o, T* parts, double* middle, double* square, int team) {
    column_moments(fold, inner, 1, x + o * fold * inner, parts, middle, square, team);
    for (index j = 0; j < inner; ++j) {
      mean[o * inner + j] = static_cast<T>(middle[j]);
      variance[o * inner + j] = static_cast<T>(square[j] / static_cast<double>(fold));
    }
  };
  return over_samples<T>(outer, fold, inner, column_parts(fold, inner), false, threads, of_sample, [](double*) {});
}

template <class T>
bool moments(index outer, index fold, index inner, const T* x, T* mean, T* variance, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  if (inner > 1) return column_moments_of(outer, fold, inner, x, mean, variance, threads);
  const auto part_moments = [](index n, const T* x, Moments& all) {
    const T centre = static_cast<T>(sum_of_row(n, x, false) / static_cast<double>(n));
    double sum = 0;
    const double square = sum_over<T>(n, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      const Vec<T> d = part.get(x + i, centre) - centre;
      return d * d;
    });
    sum = sum_over<T>(n, [&](index i, auto part) KCORE_INLINE_LAMBDA { return part.get(x + i, centre) - centre; });
    all.join(static_cast<double>(n), centre, sum, square);
  };
  if (fold <= short_row<T>) {
    const T count = static_cast<T>(fold);
    over_short_rows<T>(outer, fold, threads, [&](index r, index n) {
      const T* row = x + r * fold;
      if (n == 1) {
        Moments all;
        part_moments(fold, row, all);
        mean[r] = static_cast<T>(all.mean);
        variance[r] = static_cast<T>(all.squares / all.count);
        return;
      }
      const Vec<T> centre =
          joined_rows<T>(fold, row, Add<T>{}, [](index, const T* p, auto part) KCORE_INLINE_LAMBDA { return part.get(p); }) / count;
      T centres[lanes];
      store(centres, centre);
      const auto away = [&](index k, const T* p, auto part) KCORE_INLINE_LAMBDA {
        return part.get(p, centres[k]) - centres[k];
      };
      const Vec<T> off = joined_rows<T>(fold, row, Add<T>{}, away) / count;
      const Vec<T> square = joined_rows<T>(fold, row, Add<T>{}, [&](index k, const T* p, auto part) KCORE_INLINE_LAMBDA {
        const Vec<T> d = away(k, p, part);
        return d * d;
      });
      store(mean + r, centre + (off == off ? off : Vec<T>{}));
      store(variance + r, square / count - off * off);
    });
    return true;
  }
  const auto found = [&](index n, const T* x) {
    Moments all;
    over_parts(n, [&](index i, index count) { part_moments(count, x + i, all); });
    return all;
  };
  return fold_rows<Moments>(outer, fold, x, threads, found, [&](index r, const Moments* parts, index blocks) {
    Moments all = parts[0];
    for (index b = 1; b < blocks; ++b) all.join(parts[b].count, parts[b].mean, 0, parts[b].squares);
    mean[r] = static_cast<T>(all.mean);
    variance[r] = static_cast<T>(all.squares / all.count);
  });
}

// -- log of a sum of exponentials -----------------------------------------------------------------

// A peak, and the sum of exp(x - peak) for what came so far; a peak that is not finite counts as 0.
struct ExpSum {
  double peak = -__builtin_inf(), total = 0;
  __attribute__((noinline)) void join(double other, double sum) {
    const double high = max_of(peak, other);
    total = scaled(total, peak, high) + scaled(sum, other, high);
    peak = high;
  }
  static KCORE_INLINE_MEMBER double scaled(double sum, double from, double to) {
    return from == to || sum == 0 ? sum : sum * __builtin_exp(base_of(from) - base_of(to));
  }
  static KCORE_INLINE_MEMBER double base_of(double peak) {
    return __builtin_isfinite(peak) ? peak : 0;
  }
  KCORE_INLINE_MEMBER double log() const { return __builtin_log(total) + base_of(peak); }
};

template <class T>
KCORE_INLINE void exp_sum_of_row(index n, const T* x, ExpSum& all) {
  const T peak = largest(x, n), base = static_cast<T>(ExpSum::base_of(peak));
  all.join(peak, sum_over<T>(n, [&](index i, auto part) KCORE_INLINE_LAMBDA { return exp_of<T>(part.get(x + i) - base); }));
}

template <class T>
KCORE_INLINE Vec<T> finite_or_0(Vec<T> x) {
  return x - x == 0 ? x : Vec<T>{};
}

// Not inlined, as it would be twice, with products and sums fused differently for one thread and for more.
template <class T, class Part>
__attribute__((noinline)) void exp_sums_of_columns(index first, index last, index stride,
                                                   const T* x, ExpSum* found, Part part, index n) {
  constexpr index lanes = Simd<T>::lanes;
  const Vec<T> lowest = broadcast<T>(static_cast<T>(-__builtin_inf()));
  Vec<T> high = lowest;
  double totals[lanes] = {};
  for (index r0 = first; r0 < last; r0 += chain) {
    const index r1 = min_of(last, r0 + chain);
    Vec<T> peak = high, sum{};
    for (index r = r0; r < r1; ++r) {
      const Vec<T> v = part.get(x + r * stride);
      peak = v > peak ? v : peak;
    }
    const Vec<T> base = finite_or_0<T>(peak), before = finite_or_0<T>(high);
    for (index r = r0; r < r1; ++r) sum += exp_of<T>(part.get(x + r * stride) - base);
    Vec<T> shrink = high == lowest ? Vec<T>{} : exp_of<T>(before - base);
    shrink = high == peak ? broadcast<T>(1) : shrink;
    for (index i = 0; i < lanes; ++i) totals[i] = totals[i] * shrink[i] + sum[i];
    high = peak;
  }
  for (index i = 0; i < n; ++i) found[i].peak = high[i], found[i].total = totals[i];
}

template <class T>
bool logsumexps(index outer, index fold, index inner, const T* x, T* y, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  if (inner > 1) {
    const Columns c(outer, fold, inner);
    Scratch scratch(room<ExpSum>(outer * c.blocks * inner));
    if (!scratch) return false;
    ExpSum* parts = take<ExpSum>(scratch, outer * c.blocks * inner);
    c.over(threads, [&](index o, index b, index r0, index rows, index j0, index width, int) {
      const T* from = x + o * fold * inner;
      ExpSum* found = parts + (o * c.blocks + b) * inner;
      over_lanes<T>(j0, j0 + width, [&](index j, auto part) KCORE_INLINE_LAMBDA {
        exp_sums_of_columns(r0, r0 + rows, inner, from + j, found + j, part, min_of(lanes, inner - j));
      });
    });
    for (index o = 0; o < outer; ++o)
      for (index j = 0; j < inner; ++j) {
        ExpSum all = parts[o * c.blocks * inner + j];
        for (index b = 1; b < c.blocks; ++b) {
          const ExpSum& more = parts[(o * c.blocks + b) * inner + j];
          all.join(more.peak, more.total);
        }
        y[o * inner + j] = static_cast<T>(all.log());
      }
    return true;
  }
  if (fold <= short_row<T>) {
    constexpr T lowest = -__builtin_inf();
    over_short_rows<T>(outer, fold, threads, [&](index r, index n) {
      const T* row = x + r * fold;
      if (n == 1) {
        ExpSum all;
        exp_sum_of_row(fold, row, all);
        y[r] = static_cast<T>(all.log());
        return;
      }
      const Vec<T> base = finite_or_0<T>(joined_rows<T>(fold, row, Largest<T>{}, [&](index, const T* p, auto part) KCORE_INLINE_LAMBDA {
        return part.get(p, lowest);
      }));
      T bases[lanes];
      store(bases, base);
      const Vec<T> total = joined_rows<T>(fold, row, Add<T>{}, [&](index k, const T* p, auto part) KCORE_INLINE_LAMBDA {
        return exp_of<T>(part.get(p, lowest) - bases[k]);
      });
      store(y + r, log_of<T>(total) + base);
    });
    return true;
  }
  const auto found = [&](index n, const T* x) {
    ExpSum all;
    over_parts(n, [&](index i, index count) { exp_sum_of_row(count, x + i, all); });
    return all;
  };
  return fold_rows<ExpSum>(outer, fold, x, threads, found, [&](index r, const ExpSum* parts, index blocks) {
    ExpSum all = parts[0];
    for (index b = 1; b < blocks; ++b) all.join(parts[b].peak, parts[b].total);
    y[r] = static_cast<T>(all.log());
  });
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
