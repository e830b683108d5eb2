// How the middle axis of x[outer, fold, inner] is folded: what reductions share.
//
// With inner = 1 the elements of a sum lie side by side: a vector takes as many of them as it has
// lanes. Otherwise the lanes of a vector belong to different sums. In floats at most 64 rows or
// vectors are added up in a chain, which goes on in double. Long folds are cut into blocks by the
// shape alone.
#pragma once

#include "rows.h"
#include "tile.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index chain = 64;
constexpr index block_elements = 1 << 15;  // that one task folds at least

// -- how two elements are joined ------------------------------------------------------------------

template <class T>
struct Add {
  static constexpr T none = 0;
  KCORE_INLINE_MEMBER Vec<T> operator()(Vec<T> a, Vec<T> b) const { return a + b; }
};
template <class T>
struct Largest {
  static constexpr T none = -__builtin_inf();
  KCORE_INLINE_MEMBER Vec<T> operator()(Vec<T> a, Vec<T> b) const { return b > a ? b : a; }
};
// The greater or less of both; nan where either is.
template <class T, bool least>
struct Peak {
  static constexpr T none = least ? __builtin_inf() : -__builtin_inf();
  static KCORE_INLINE_MEMBER Vec<T> quick(Vec<T> a, Vec<T> b) {  // not minding nan
    return (least ? b < a : b > a) ? b : a;
  }
  KCORE_INLINE_MEMBER Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    return ((least ? b < a : b > a) | (b != b)) ? b : a;
  }
  KCORE_INLINE_MEMBER T operator()(T a, T b) const {
    return (least ? b < a : b > a) || b != b ? b : a;
  }
};

// The same without minding nan.
template <class T, class Join>
struct Quick {
  static constexpr T none = Join::none;
  KCORE_INLINE_MEMBER Vec<T> operator()(Vec<T> a, Vec<T> b) const { return Join::quick(a, b); }
};

// Whether there is a nan in what it saw: one comparison for two vectors, where the join needs one for
// each. What has one is folded again, by the join that minds them.
template <class T>
struct NanWatch {
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
  __mmask16 bits = 0;
  KCORE_INLINE_MEMBER void see(Vec<float> a, Vec<float> b) {
    bits = _kor_mask16(bits, _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q));
  }
  KCORE_INLINE_MEMBER void see(Vec<double> a, Vec<double> b) {
    bits = _kor_mask16(bits, _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_UNORD_Q));
  }
  KCORE_INLINE_MEMBER bool any() const { return bits != 0; }
#else
  typename Bits<T>::V bits{};
  KCORE_INLINE_MEMBER void see(Vec<T> a, Vec<T> b) { bits |= (a != a) | (b != b); }
  KCORE_INLINE_MEMBER bool any() const {
    bool found = false;
    for (index i = 0; i < Simd<T>::lanes; ++i) found = found || bits[i] != 0;
    return found;
  }
#endif
};

// Lane r of the result joins the lanes of rows[r].
#if defined(__clang__) || __GNUC__ >= 12
template <int step, class T, class Join>
KCORE_INLINE void join_pairs(Vec<T>* rows, Join& join) {
  constexpr int n = Simd<T>::lanes;
#pragma GCC unroll 16
  for (int i = 0; i < n; i += 2 * step) {
    if constexpr (n == 16)
      exchange<step, Vec<T>, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>(rows[i], rows[i + step]);
    else if constexpr (n == 8)
      exchange<step, Vec<T>, 0, 1, 2, 3, 4, 5, 6, 7>(rows[i], rows[i + step]);
    else if constexpr (n == 4)
      exchange<step, Vec<T>, 0, 1, 2, 3>(rows[i], rows[i + step]);
    else
      exchange<step, Vec<T>, 0, 1>(rows[i], rows[i + step]);
    rows[i] = join(rows[i], rows[i + step]);
  }
}
template <class T, class Join>
KCORE_INLINE Vec<T> joined_lanes(Vec<T>* rows, Join join) {
  join_pairs<1, T>(rows, join);
  if constexpr (Simd<T>::lanes > 2) join_pairs<2, T>(rows, join);
  if constexpr (Simd<T>::lanes > 4) join_pairs<4, T>(rows, join);
  if constexpr (Simd<T>::lanes > 8) join_pairs<8, T>(rows, join);
  return rows[0];
}
#else
template <class T, class Join>
KCORE_INLINE Vec<T> joined_lanes(Vec<T>* rows, Join join) {
  Vec<T> found;
  for (index r = 0; r < Simd<T>::lanes; ++r) {
    Vec<T> all = broadcast<T>(rows[r][0]);
    for (index i = 1; i < Simd<T>::lanes; ++i) all = join(all, broadcast<T>(rows[r][i]));
    found[r] = all[0];
  }
  return found;
}
#endif

// Rows of so few vectors are taken as many at a time as a vector has lanes.
template <class T>
constexpr index short_row = 8 * Simd<T>::lanes;

// Calls f(r, n) for every row r of [0, rows) with n = 1, or for r to r + n - 1 with n the lanes.
template <class T, class F>
KCORE_INLINE void over_short_rows(index rows, index cols, int threads, F&& f) {
  constexpr index lanes = Simd<T>::lanes;
  const index together = round_up(ceil_div(block_elements, max_of<index>(cols, 1)), lanes);
  parallel_blocks(rows, together, threads, [&](index begin, index end) {
    index r = begin;
    for (; r + lanes <= end; r += lanes) f(r, Simd<T>::lanes);
    for (; r < end; ++r) f(r, 1);
  });
}
// Lane k is the join of term(v, part) over row k of `rows`, one after the other in memory.
template <class T, class Join, class F>
KCORE_INLINE Vec<T> joined_rows(index cols, const T* x, Join join, F&& term) {
  constexpr index lanes = Simd<T>::lanes;
  Vec<T> all[lanes];
  for (index k = 0; k < lanes; ++k) {
    Vec<T> one = broadcast<T>(Join::none);
    over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA { one = join(one, term(k, x + k * cols + i, part)); });
    all[k] = one;
  }
  return joined_lanes<T>(all, join);
}

// How columns are shared out: pieces of them, and blocks of rows.
struct Columns {
  index outer, fold, inner, width, pieces, rows, blocks;
  Columns(index outer, index fold, index inner) : outer(outer), fold(fold), inner(inner) {
    width = min_of<index>(max_of<index>(inner, 1), 4096);
    pieces = ceil_div(inner, width);
    rows = max_of<index>(round_up(ceil_div(block_elements, width), chain), chain);
    if (outer * pieces >= 64) rows = max_of<index>(fold, 1);
    blocks = max_of<index>(1, ceil_div(fold, rows));
  }
  // Calls f(o, block, its first row, its rows, first column, columns, slot), with several small ones as one piece of work.
  template <class F>
  KCORE_INLINE_MEMBER void over(int threads, F&& f) const {
    const index each = blocks * pieces, count = outer * each;
    const index together = max_of<index>(1, block_elements / (min_of(rows, max_of<index>(fold, 1)) * width));
    parallel_for(ceil_div(count, together), threads, [&](index p, int slot) {
      for (index t = p * together; t < min_of(count, (p + 1) * together); ++t) {
        const index b = t % each / pieces, r0 = b * rows, j0 = t % pieces * width;
        f(t / each, b, r0, min_of(fold, r0 + rows) - r0, j0, min_of(inner, j0 + width) - j0, slot);
      }
    });
  }
};

constexpr index longest_block = 2 * block_elements;
// Folds the rows of x[outer, fold], long ones in blocks: found(n, x) is a Part of a block, and done(r, parts, blocks) is
// called for each row.
template <class Part, class T, class F, class G>
KCORE_INLINE bool fold_rows(index outer, index fold, const T* x, int threads, F&& found, G&& done) {
  const index blocks = ceil_div(fold, longest_block);
  Scratch scratch(room<Part>(outer * blocks));
  if (!scratch) return false;
  Part* parts = take<Part>(scratch, outer * blocks);
  parallel_blocks(outer * blocks, max_of<index>(1, block_elements / fold), threads, [&](index begin, index end) {
    for (index t = begin; t < end; ++t) {
      const index first = t % blocks * longest_block;
      parts[t] = found(min_of(longest_block, fold - first), x + t / blocks * fold + first);
    }
  });
  for (index r = 0; r < outer; ++r) done(r, parts + r * blocks, blocks);
  return true;
}

template <class T>
KCORE_INLINE double sum_of_row(index n, const T* x, bool squares) {
  return squares ? sum_over<T>(n,
                               [&](index i, auto part) KCORE_INLINE_LAMBDA {
                                 const Vec<T> v = part.get(x + i);
                                 return v * v;
                               })
                 : sum_over<T>(n, [&](index i, auto part) KCORE_INLINE_LAMBDA { return part.get(x + i); });
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
