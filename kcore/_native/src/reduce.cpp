// Reductions of the middle axis of x[outer, fold, inner], and running sums and products along it.
#include "api/reduce.h"

#include "moments.h"
#include "top.h"

namespace kcore {
namespace KCORE_LEVEL {

// -- sums -----------------------------------------------------------------------------------------

// totals[j] += the sum of rows x[i * stride + j], for j < width; `sums` has room for a padded row.
template <class T, class F>
KCORE_INLINE void add_columns(index rows, index stride, index width, const T* x, T* sums,
                              double* totals, F&& term) {
  constexpr index lanes = Simd<T>::lanes;
  for (index r0 = 0; r0 < rows; r0 += chain) {
    const index r1 = min_of(rows, r0 + chain);
    for (index j = 0; j < width; j += lanes) store(sums + j, Vec<T>{});
    index r = r0;
    for (; r + 4 <= r1; r += 4) {
      const T* p = x + r * stride;
      over_lanes<T>(0, width, [&](index j, auto part) KCORE_INLINE_LAMBDA {
        const Vec<T> near = term(part.get(p + j)) + term(part.get(p + stride + j));
        const Vec<T> far = term(part.get(p + 2 * stride + j)) + term(part.get(p + 3 * stride + j));
        store(sums + j, load(sums + j) + (near + far));
      });
    }
    for (; r < r1; ++r)
      over_lanes<T>(0, width, [&](index j, auto part) KCORE_INLINE_LAMBDA {
        store(sums + j, load(sums + j) + term(part.get(x + r * stride + j)));
      });
    for (index j = 0; j < width; ++j) totals[j] += sums[j];
  }
}

// Rows of few columns are taken several at a time, as one row: their sums are added at the end.
template <class T>
KCORE_INLINE index rows_as_one(index rows, index inner, index width) {
  const index wanted = 4 * Simd<T>::lanes;
  return width == inner && inner < wanted && rows * inner >= 4 * wanted ? wanted / inner : 1;
}

template <class T>
bool sums(index outer, index fold, index inner, const T* x, bool squares, double divisor, T* y,
          int threads) {
  constexpr index lanes = Simd<T>::lanes;
  if (inner == 1 && fold <= short_row<T>) {
    over_short_rows<T>(outer, fold, threads, [&](index r, index n) {
      const T* row = x + r * fold;
      if (n == 1) {
        y[r] = static_cast<T>(sum_of_row(fold, row, squares) / divisor);
        return;
      }
      const Vec<T> total = joined_rows<T>(fold, row, Add<T>{}, [&](index, const T* p, auto part) KCORE_INLINE_LAMBDA {
        const Vec<T> v = part.get(p);
        return squares ? v * v : v;
      });
      store(y + r, total / static_cast<T>(divisor));
    });
    return true;
  }
  if (inner == 1)
    return fold_rows<double>(
        outer, fold, x, threads, [&](index n, const T* x) { return sum_of_row(n, x, squares); },
        [&](index r, const double* parts, index blocks) {
          double total = 0;
          for (index b = 0; b < blocks; ++b) total += parts[b];
          y[r] = static_cast<T>(total / divisor);
        });
  const Columns c(outer, fold, inner);
  const int team = threads < 1 ? 1 : threads;
  const index most = c.width + 4 * lanes;  // of columns, with several rows as one
  Scratch scratch(room<double>(outer * c.blocks * inner) + (room<T>(most) + room<double>(most)) * team);
  if (!scratch) return false;
  double* parts = take<double>(scratch, outer * c.blocks * inner);
  T* rows_of_sums = take<T>(scratch, static_cast<index>(room<T>(most) / sizeof(T)) * team);
  double* rows_of_totals = take<double>(scratch, static_cast<index>(room<double>(most) / sizeof(double)) * team);
  c.over(threads, [&](index o, index b, index r0, index rows, index j0, index width, int slot) {
    const T* from = x + (o * fold + r0) * inner + j0;
    double* totals = parts + (o * c.blocks + b) * inner + j0;
    T* sums = rows_of_sums + slot * static_cast<index>(room<T>(most) / sizeof(T));
    double* wide = rows_of_totals + slot * static_cast<index>(room<double>(most) / sizeof(double));
    const auto add = [&](index rows, index stride, index width, const T* x, double* totals) {
      if (squares)
        add_columns(rows, stride, width, x, sums, totals, [](Vec<T> v) { return v * v; });
      else
        add_columns(rows, stride, width, x, sums, totals, [](Vec<T> v) { return v; });
    };
    for (index j = 0; j < width; ++j) totals[j] = 0;
    const index group = rows_as_one<T>(rows, inner, width), groups = rows / group;
    if (group == 1) {
      add(rows, inner, width, from, totals);
      return;
    }
    for (index j = 0; j < group * inner; ++j) wide[j] = 0;
    add(groups, group * inner, group * inner, from, wide);
    add(rows - groups * group, inner, inner, from + groups * group * inner, totals);
    for (index j = 0; j < group * inner; ++j) totals[j % inner] += wide[j];
  });
  for (index o = 0; o < outer; ++o) {
    double* total = parts + o * c.blocks * inner;
    for (index b = 1; b < c.blocks; ++b)
      for (index j = 0; j < inner; ++j) total[j] += total[b * inner + j];
    for (index j = 0; j < inner; ++j) y[o * inner + j] = static_cast<T>(total[j] / divisor);
  }
  return true;
}

// -- peaks ----------------------------------------------------------------------------------------

template <class T, class Join>
KCORE_INLINE T peak_of_row(index n, const T* x, Join join) {
  constexpr index lanes = Simd<T>::lanes;
  NanWatch<T> nan;
  Vec<T> a = broadcast<T>(Join::none), b = a, c = a, d = a;
  index i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes) {
    const Vec<T> p = load(x + i), q = load(x + i + lanes);
    const Vec<T> r = load(x + i + 2 * lanes), s = load(x + i + 3 * lanes);
    nan.see(p, q);
    nan.see(r, s);
    a = Join::quick(a, p);
    b = Join::quick(b, q);
    c = Join::quick(c, r);
    d = Join::quick(d, s);
  }
  over_lanes<T>(i, n, [&](index i, auto part) KCORE_INLINE_LAMBDA {
    const Vec<T> v = part.get(x + i, Join::none);
    nan.see(v, v);
    a = Join::quick(a, v);
  });
  if (nan.any()) return static_cast<T>(__builtin_nan(""));
  return fold_lanes<T, T>(Join::quick(Join::quick(a, b), Join::quick(c, d)), join);
}
template <class T, class Join>
KCORE_INLINE void peaks_of_columns(index rows, index stride, index width, const T* x, T* best,
                                   Join join) {
  NanWatch<T> nan;
  over_lanes<T>(0, width, [&](index j, auto part) KCORE_INLINE_LAMBDA { part.put(best + j, broadcast<T>(Join::none)); });
  index r = 0;
  for (; r + 4 <= rows; r += 4) {
    const T* p = x + r * stride;
    over_lanes<T>(0, width, [&](index j, auto part) KCORE_INLINE_LAMBDA {
      const Vec<T> a = part.get(p + j), b = part.get(p + stride + j);
      const Vec<T> c = part.get(p + 2 * stride + j), d = part.get(p + 3 * stride + j);
      nan.see(a, b);
      nan.see(c, d);
      part.put(best + j, Join::quick(part.get(best + j), Join::quick(Join::quick(a, b), Join::quick(c, d))));
    });
  }
  for (; r < rows; ++r)
    over_lanes<T>(0, width, [&](index j, auto part) KCORE_INLINE_LAMBDA {
      const Vec<T> v = part.get(x + r * stride + j);
      nan.see(v, v);
      part.put(best + j, Join::quick(part.get(best + j), v));
    });
  if (nan.any())
    for (r = 0; r < rows; ++r)
      over_lanes<T>(0, width, [&](index j, auto part) KCORE_INLINE_LAMBDA {
        part.put(best + j, join(part.get(best + j), part.get(x + r * stride + j)));
      });
}

template <class T, class Join>
bool joined_peaks(index outer, index fold, index inner, const T* x, T* y, int threads, Join join) {
  if (inner == 1 && fold <= short_row<T>) {
    over_short_rows<T>(outer, fold, threads, [&](index r, index n) {
      const T* row = x + r * fold;
      if (n == 1) {
        y[r] = peak_of_row(fold, row, join);
        return;
      }
      NanWatch<T> nan;
      const auto found = [&](auto join) {
        return joined_rows<T>(fold, row, join, [&](index, const T* p, auto part) KCORE_INLINE_LAMBDA {
          const Vec<T> v = part.get(p, Join::none);
          nan.see(v, v);
          return v;
        });
      };
      store(y + r, found(Quick<T, Join>{}));
      if (nan.any()) store(y + r, found(join));
    });
    return true;
  }
  if (inner == 1)
    return fold_rows<T>(
        outer, fold, x, threads, [&](index n, const T* x) { return peak_of_row(n, x, join); },
        [&](index r, const T* parts, index blocks) {
          y[r] = parts[0];
          for (index b = 1; b < blocks; ++b) y[r] = join(y[r], parts[b]);
        });
  const Columns c(outer, fold, inner);
  Scratch scratch(room<T>(outer * c.blocks * inner));
  if (!scratch) return false;
  T* parts = take<T>(scratch, outer * c.blocks * inner);
  c.over(threads, [&](index o, index b, index r0, index rows, index j0, index width, int) {
    const T* from = x + (o * fold + r0) * inner + j0;
    peaks_of_columns(rows, inner, width, from, parts + (o * c.blocks + b) * inner + j0, join);
  });
  for (index o = 0; o < outer; ++o) {
    const T* found = parts + o * c.blocks * inner;
    for (index j = 0; j < inner; ++j) y[o * inner + j] = found[j];
    for (index b = 1; b < c.blocks; ++b)
      for (index j = 0; j < inner; ++j)
        y[o * inner + j] = join(y[o * inner + j], found[b * inner + j]);
  }
  return true;
}

template <class T>
bool peaks(index outer, index fold, index inner, const T* x, bool least, T* y, int threads) {
  return least ? joined_peaks(outer, fold, inner, x, y, threads, Peak<T, true>{})
               : joined_peaks(outer, fold, inner, x, y, threads, Peak<T, false>{});
}

// -- places of peaks ------------------------------------------------------------------------------

// The place of the first nan in each of `n` columns, or else of the first peak.
template <class T, bool least, class Part>
KCORE_INLINE void column_places(index fold, index stride, const T* x, std::int32_t* y, Part part,
                                index n) {
  typedef typename Bits<T>::V Int;
  typedef typename Bits<T>::Word Word;
  NanWatch<T> nan;
  Vec<T> best;
  Int at;
  const auto fold_all = [&](auto beats) {
    best = part.get(x);
    at = Int{};
    nan.see(best, best);
    for (index r = 1; r < fold; ++r) {
      const Vec<T> v = part.get(x + r * stride);
      nan.see(v, v);
      const auto better = beats(v, best);
      best = better ? v : best;
      at = better ? (Int)(typename Bits<T>::U{} + static_cast<Word>(r)) : at;
    }
  };
  fold_all([](Vec<T> v, Vec<T> best) { return least ? v < best : v > best; });
  if (nan.any())
    fold_all([](Vec<T> v, Vec<T> best) {
      return (least ? v < best : v > best) | ((v != v) & (best == best));
    });
  for (index i = 0; i < n; ++i) y[i] = static_cast<std::int32_t>(at[i]);
}

template <class T, bool least>
void places(index outer, index fold, index inner, const T* x, std::int32_t* y, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  if (inner > 1) {
    const index width = 4 * lanes, pieces = ceil_div(inner, width);
    parallel_blocks(outer * pieces, max_of<index>(1, block_elements / (fold * width)), threads,
                    [&](index begin, index end) {
                      for (index t = begin; t < end; ++t) {
                        const index o = t / pieces, j0 = t % pieces * width;
                        const T* from = x + o * fold * inner;
                        over_lanes<T>(j0, min_of(inner, j0 + width), [&](index j, auto part) KCORE_INLINE_LAMBDA {
                          column_places<T, least>(fold, inner, from + j, y + o * inner + j, part,
                                                  min_of(lanes, inner - j));
                        });
                      }
                    });
    return;
  }
  // As many rows at a time as a vector has lanes, transposed: they are columns then.
  parallel_blocks(outer, round_up(ceil_div(block_elements, fold), lanes), threads,
                  [&](index begin, index end) {
    T across[longest_place_row * lanes];
    for (index r = begin; r < end; r += lanes) {
      const index n = min_of(lanes, end - r);
      for (index j = 0; j < fold; j += lanes) {
        // A whole block reads into the rows that follow: only where there are some.
        if (n == lanes && (r + lanes - 1) * fold + j + lanes <= outer * fold)
          transpose_block(x + r * fold + j, fold, across + j * lanes, lanes);
        else
          for (index k = 0; k < lanes; ++k)
            for (index i = 0; i < lanes; ++i)
              across[(j + i) * lanes + k] = k < n && j + i < fold ? x[(r + k) * fold + j + i] : T(0);
      }
      column_places<T, least>(fold, lanes, across, y + r, Whole{}, n);
    }
  });
}

// Rows, where inner = 1, must be short.
template <class T>
void peak_places(index outer, index fold, index inner, const T* x, bool least, std::int32_t* y,
                 int threads) {
  if (least)
    places<T, true>(outer, fold, inner, x, y, threads);
  else
    places<T, false>(outer, fold, inner, x, y, threads);
}

// -- running sums and products --------------------------------------------------------------------

// As many elements as a vector has doubles.
typedef float NarrowFloats __attribute__((vector_size(KCORE_VECTOR_BYTES / 2)));
KCORE_INLINE Vec<double> load_wide(const float* p) {
  NarrowFloats v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Vec<double>);
}
KCORE_INLINE Vec<double> load_wide(const double* p) { return load(p); }
KCORE_INLINE void store_narrow(float* p, Vec<double> v) {
  const NarrowFloats narrow = __builtin_convertvector(v, NarrowFloats);
  std::memcpy(p, &narrow, sizeof narrow);
}
KCORE_INLINE void store_narrow(double* p, Vec<double> v) { store(p, v); }

KCORE_INLINE Vec<double> joined(Vec<double> a, Vec<double> b, bool products) {
  return products ? a * b : a + b;
}
KCORE_INLINE double joined(double a, double b, bool products) { return products ? a * b : a + b; }

// Calls f(offset of the first column in x[outer, fold, inner], columns, totals) for pieces of the columns.
template <class F>
KCORE_INLINE bool over_totals(index outer, index fold, index inner, int threads, F&& f) {
  const index width = min_of<index>(inner, 4096), pieces = ceil_div(inner, width);
  const index row = static_cast<index>(room<double>(width) / sizeof(double));
  const int team = threads < 1 ? 1 : threads;
  Scratch scratch(room<double>(width) * team);
  if (!scratch) return false;
  double* rows = take<double>(scratch, row * team);
  parallel_for(outer * pieces, threads, [&](index t, int slot) {
    const index o = t / pieces, j0 = t % pieces * width;
    f(o, j0, min_of(inner, j0 + width) - j0, rows + slot * row);
  });
  return true;
}

// In double: each element of the result is rounded once.
template <class T, bool products>
KCORE_INLINE void running_row(index n, const T* x, T* y) {
  constexpr index lanes = Simd<double>::lanes;
  typedef typename Bits<double>::V Int;
  double total = products ? 1 : 0;
  index i = 0;
  if (n >= 4 * lanes)  // shorter rows overlap in the processor
    for (; i + lanes <= n; i += lanes) {
      Vec<double> v = load_wide(x + i);
#ifdef __clang__
      for (index k = 1; k < lanes; ++k) v[k] = joined(v[k], v[k - 1], products);
#else
      // Each lane takes in those 1, 2 and 4 lanes before it.
#pragma GCC unroll 3
      for (index step = 1; step < lanes; step *= 2) {
        Int from;
#pragma GCC unroll 8
        for (index k = 0; k < lanes; ++k) from[k] = k >= step ? k - step : lanes;
        v = joined(v, __builtin_shuffle(v, broadcast<double>(products ? 1 : 0), from), products);
      }
#endif
      store_narrow(y + i, joined(v, broadcast(total), products));
      total = joined(total, v[lanes - 1], products);
    }
  for (; i < n; ++i) {
    total = joined(total, x[i], products);
    y[i] = static_cast<T>(total);
  }
}

template <class T, bool products>
bool running_joins(index outer, index fold, index inner, const T* x, T* y, int threads) {
  if (inner == 1) {
    over_rows(outer, fold, threads, [&](index at) { running_row<T, products>(fold, x + at, y + at); });
    return true;
  }
  return over_totals(outer, fold, inner, threads, [&](index o, index j0, index n, double* totals) {
    for (index j = 0; j < n; ++j) totals[j] = products ? 1 : 0;
    for (index r = 0; r < fold; ++r) {
      const index at = (o * fold + r) * inner + j0;
      for (index j = 0; j < n; ++j) {
        totals[j] = joined(totals[j], x[at + j], products);
        y[at + j] = static_cast<T>(totals[j]);
      }
    }
  });
}

template <class T>
bool running(index outer, index fold, index inner, const T* x, bool products, T* y, int threads) {
  return products ? running_joins<T, true>(outer, fold, inner, x, y, threads)
                  : running_joins<T, false>(outer, fold, inner, x, y, threads);
}

// -- products -------------------------------------------------------------------------------------

template <class T>
KCORE_INLINE double product_of_row(index n, const T* x) {
  constexpr index lanes = Simd<double>::lanes;
  double total = 1;
  index i = 0;
  if (n >= 4 * lanes) {
    Vec<double> a = broadcast<double>(1), b = a, c = a, d = a;
    for (; i + 4 * lanes <= n; i += 4 * lanes) {
      a *= load_wide(x + i);
      b *= load_wide(x + i + lanes);
      c *= load_wide(x + i + 2 * lanes);
      d *= load_wide(x + i + 3 * lanes);
    }
    total = fold_lanes<double, double>((a * b) * (c * d), [](double p, double q) { return p * q; });
  }
  for (; i < n; ++i) total *= x[i];
  return total;
}

// totals[j] *= the product of x[r * stride + j] over r < rows.
template <index rows, class T>
KCORE_INLINE void multiply_rows(index width, const T* x, index stride, double* totals) {
#pragma GCC ivdep
  for (index j = 0; j < width; ++j) {
    double product = x[j];
#pragma GCC unroll 4
    for (index r = 1; r < rows; ++r) product *= static_cast<double>(x[r * stride + j]);
    totals[j] *= product;
  }
}

// In double: each is rounded once.
template <class T>
bool products(index outer, index fold, index inner, const T* x, T* y, int threads) {
  if (inner > 1)
    return over_totals(outer, fold, inner, threads, [&](index o, index j0, index n, double* totals) {
      for (index j = 0; j < n; ++j) totals[j] = 1;
      const T* from = x + o * fold * inner + j0;
      index r = 0;
      for (; r + 4 <= fold; r += 4)  // four rows at a time, whose products no double is too small for
        multiply_rows<4>(n, from + r * inner, inner, totals);
      for (; r < fold; ++r) multiply_rows<1>(n, from + r * inner, inner, totals);
      for (index j = 0; j < n; ++j) y[o * inner + j0 + j] = static_cast<T>(totals[j]);
    });
  if (fold <= longest_block) {
    parallel_blocks(outer, rows_together(fold), threads, [&](index begin, index end) {
      index r = begin;
      if (fold <= short_row<T>)  // four chains at a time
        for (; r + 4 <= end; r += 4) {
          double total[4] = {1, 1, 1, 1};
          for (index i = 0; i < fold; ++i)
#pragma GCC unroll 4
            for (index k = 0; k < 4; ++k) total[k] *= x[(r + k) * fold + i];
          for (index k = 0; k < 4; ++k) y[r + k] = static_cast<T>(total[k]);
        }
      for (; r < end; ++r) y[r] = static_cast<T>(product_of_row(fold, x + r * fold));
    });
    return true;
  }
  return fold_rows<double>(
      outer, fold, x, threads, [](index n, const T* x) { return product_of_row(n, x); },
      [&](index r, const double* parts, index blocks) { y[r] = static_cast<T>(product_of_row(blocks, parts)); });
}

KCORE_EXPORT(reduce, ReduceKernels, KCORE_REDUCE_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
