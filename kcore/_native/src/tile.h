// The register-tiled products that all dense convolutions come down to, and packing for them.
#pragma once

#include "ending.h"
#include "geometry.h"

namespace kcore {
namespace KCORE_LEVEL {

// AVX-512 has 32 vector registers, the other levels 16 or more: a tile's sums, one row of B and
// one broadcast must fit. Rows of a tile that is 1, 2 and 4 vectors wide:
#if KCORE_VECTOR_BYTES == 64
constexpr index tile_rows[5] = {0, 14, 14, 0, 7};
#else
constexpr index tile_rows[5] = {0, 12, 6, 0, 0};
#endif
constexpr index max_tile_rows = 14;

template <class T>
constexpr index line = 64 / sizeof(T);  // elements of a cache line

// How a tile's sums are stored: they join what is there, if `add`, and the last ones are ended as
// `ends` says, unless it is null. Meanwhile `ahead` is asked for, unless it is null: a cache line for
// each row of B.
template <class T>
struct Store {
  bool add;
  const Ends<T>* ends;
  const T* ahead;
  Store(bool joins, const Ends<T>* ended = nullptr, const T* asked = nullptr)
      : add(joins), ends(ended), ahead(asked) {}
};

// c[i, :] = or += sum over q < runs, k < length of a[q*a_run + k + i*a_pixel] * b[q*b_run + k, :]
//
// c has NV vectors in a row. Sums start at 0 and join c at the end, so long sums that are cut
// into several calls are summed blockwise, which is more accurate than one long chain. A sum
// is rounded before it is ended, so the result is that of separate passes.
template <class T, int MR, int NV>
void product(index runs, index length, const T* a, index a_pixel, index a_run, const T* b,
             index b_run, T* c, index c_row, Store<T> how) {
  constexpr index lanes = Simd<T>::lanes;
  Vec<T> sum[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
  const index s = a_pixel, s3 = 3 * s;
  const T* ahead = how.ahead ? how.ahead : b;
  const index ask = how.ahead ? line<T> : 0;
  for (index q = 0; q < runs; ++q) {
    // Three pointers, with offsets of 0, s, 2s, 3s and 4s from each, reach all rows: more
    // pointers would not fit the integer registers.
    const T* a0 = a + q * a_run;
    const T* a1 = a0 + 5 * s;
    const T* a2 = a0 + 10 * s;
    const T* bq = b + q * b_run;
    for (index k = 0; k < length; ++k) {
      Vec<T> row[NV];
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) row[j] = load(bq + j * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const T* p = i < 5 ? a0 : i < 10 ? a1 : a2;
        const int r = i % 5;
        const Vec<T> x = broadcast(*(r == 0   ? p
                                     : r == 1 ? p + s
                                     : r == 2 ? p + 2 * s
                                     : r == 3 ? p + s3
                                              : p + 4 * s));
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sum[i][j] += x * row[j];
      }
      __builtin_prefetch(ahead, 0, 2);
      ++a0, ++a1, ++a2, bq += NV * lanes, ahead += ask;
    }
  }
  const bool add = how.add;
  if (!how.ends) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) {
        T* p = c + i * c_row + j * lanes;
        store(p, add ? load(p) + sum[i][j] : sum[i][j]);
      }
    return;
  }
#pragma GCC unroll 4
  for (int j = 0; j < NV; ++j) {
    const auto columns = how.ends->columns(j * lanes, Whole{});
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const index at = i * c_row + j * lanes;
      const Vec<T> v = add ? load(c + at) + sum[i][j] : sum[i][j];
      store(c + at, how.ends->of(v, columns, at, Whole{}));
    }
  }
}

// c[i, :] = or += sum over r < rows, k < length of x[r][k*x_pixel + i] * g[r][k*g_pixel + :]
// for i < MR, where x[r] and g[r] start `x_first` and `g_first` elements into their rows.
template <class T, int MR, int NV>
void outer_product(index rows, index length, const T* const* x, index x_first, index x_pixel,
                   const T* const* g, index g_first, index g_pixel, T* c, index c_row, bool add) {
  constexpr index lanes = Simd<T>::lanes;
  Vec<T> sum[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
  for (index r = 0; r < rows; ++r) {
    const T* xp = x[r] + x_first;
    const T* gp = g[r] + g_first;
    for (index k = 0; k < length; ++k) {
      Vec<T> row[NV];
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) row[j] = load(gp + j * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> v = broadcast(xp[i]);
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) sum[i][j] += v * row[j];
      }
      xp += x_pixel, gp += g_pixel;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      T* p = c + i * c_row + j * lanes;
      store(p, add ? load(p) + sum[i][j] : sum[i][j]);
    }
}

// Room for a tile whose columns do not all exist in the result.
template <class T>
struct alignas(64) TileSums {
  T at[max_tile_rows * 4 * Simd<T>::lanes];
};

template <class T>
using Product = decltype(&product<T, 1, 1>);
template <class T>
using OuterProduct = decltype(&outer_product<T, 1, 1>);

// The kernels for 1 to tile_rows[vectors] rows.
template <class T, int MR, int NV, bool fits>
struct Tile {
  static constexpr Product<T> product_of = &product<T, MR, NV>;
  static constexpr OuterProduct<T> outer_of = &outer_product < T, MR, NV <= 2 ? NV : 2 > ;
};
template <class T, int MR, int NV>
struct Tile<T, MR, NV, false> {
  static constexpr Product<T> product_of = nullptr;
  static constexpr OuterProduct<T> outer_of = nullptr;
};
#define KCORE_TILE(MR) Tile<T, MR, NV, (MR <= tile_rows[NV])>
#define KCORE_TILES(what) \
  {nullptr,               \
   KCORE_TILE(1)::what,   \
   KCORE_TILE(2)::what,   \
   KCORE_TILE(3)::what,   \
   KCORE_TILE(4)::what,   \
   KCORE_TILE(5)::what,   \
   KCORE_TILE(6)::what,   \
   KCORE_TILE(7)::what,   \
   KCORE_TILE(8)::what,   \
   KCORE_TILE(9)::what,   \
   KCORE_TILE(10)::what,  \
   KCORE_TILE(11)::what,  \
   KCORE_TILE(12)::what,  \
   KCORE_TILE(13)::what,  \
   KCORE_TILE(14)::what}
template <class T, int NV>
struct Tiles {
  static constexpr Product<T> products[max_tile_rows + 1] = KCORE_TILES(product_of);
  static constexpr OuterProduct<T> outers[max_tile_rows + 1] = KCORE_TILES(outer_of);
};

template <class T>
KCORE_INLINE Product<T> product_for(index rows, index vectors) {
  assert(rows > 0 && rows <= tile_rows[vectors]);
  return vectors == 4   ? Tiles<T, 4>::products[rows]
         : vectors == 2 ? Tiles<T, 2>::products[rows]
                        : Tiles<T, 1>::products[rows];
}
template <class T>
KCORE_INLINE OuterProduct<T> outer_for(index rows, index vectors) {
  assert(rows > 0 && vectors <= 2 && rows <= tile_rows[vectors]);
  return vectors == 2 ? Tiles<T, 2>::outers[rows] : Tiles<T, 1>::outers[rows];
}

// How `total` columns fall into panels of `full` vectors; the last one may be narrower.
template <class T>
struct Panels {
  index total, full;
  index width() const { return full * Simd<T>::lanes; }
  index count() const { return ceil_div(total, width()); }
  index first(index p) const { return p * width(); }
  index columns(index p) const { return min_of(width(), total - first(p)); }
  index vectors(index p) const {
    const index v = ceil_div(columns(p), Simd<T>::lanes);
    return v == 3 ? 4 : v;
  }
  index padded_width(index p) const { return vectors(p) * Simd<T>::lanes; }
  // Columns in packed form, all panels together.
  index packed() const { return (count() - 1) * width() + padded_width(count() - 1); }
};

// Transposes a lanes x lanes block: d[j*d_row + i] = s[i*s_row + j].
#if defined(__clang__) || __GNUC__ >= 12
template <int step, class V, int... lane>
KCORE_INLINE void exchange(V& a, V& b) {
  constexpr int n = sizeof...(lane);
  const V low = __builtin_shufflevector(a, b, (lane & step ? n + lane - step : lane)...);
  b = __builtin_shufflevector(a, b, (lane & step ? n + lane : lane + step)...);
  a = low;
}
template <int step, class V>
KCORE_INLINE void exchange_pairs(V* rows, int n) {
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) {
    if (i & step) continue;
    if constexpr (sizeof(V) / sizeof(rows[0][0]) == 16)
      exchange<step, V, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>(rows[i],
                                                                              rows[i + step]);
    else if constexpr (sizeof(V) / sizeof(rows[0][0]) == 8)
      exchange<step, V, 0, 1, 2, 3, 4, 5, 6, 7>(rows[i], rows[i + step]);
    else if constexpr (sizeof(V) / sizeof(rows[0][0]) == 4)
      exchange<step, V, 0, 1, 2, 3>(rows[i], rows[i + step]);
    else
      exchange<step, V, 0, 1>(rows[i], rows[i + step]);
  }
}
template <class T>
KCORE_INLINE void transpose_block(const T* s, index s_row, T* d, index d_row) {
  constexpr int n = Simd<T>::lanes;
  Vec<T> rows[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) rows[i] = load(s + i * s_row);
  exchange_pairs<1>(rows, n);
  if constexpr (n > 2) exchange_pairs<2>(rows, n);
  if constexpr (n > 4) exchange_pairs<4>(rows, n);
  if constexpr (n > 8) exchange_pairs<8>(rows, n);
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) store(d + i * d_row, rows[i]);
}
#else
template <class T>
KCORE_INLINE void transpose_block(const T* s, index s_row, T* d, index d_row) {
  for (index i = 0; i < Simd<T>::lanes; ++i)
    for (index j = 0; j < Simd<T>::lanes; ++j) d[j * d_row + i] = s[i * s_row + j];
}
#endif

// A kernel as a matrix: row (i, j, c) for tap (i, j) and input channel c, one column per output
// channel. `rows` is the elements from one row to the next, `cols` the same for columns; one is 1.
template <class T>
struct Weights {
  const T* w;
  index tap_h, tap_w, rows, cols;
};

// dst[k - first, j] = weights[k, column + j], zero for j in columns .. width.
template <class T>
void pack(const Weights<T>& m, index kw, index channels, index first, index last, index column,
          index columns, index width, T* dst) {
  constexpr index lanes = Simd<T>::lanes;
  while (first < last) {
    const index tap = first / channels, c = first % channels;
    const index count = min_of(channels - c, last - first);
    const T* src = m.w + (tap / kw) * m.tap_h + (tap % kw) * m.tap_w + c * m.rows + column * m.cols;
    if (m.cols == 1) {
      for (index r = 0; r < count; ++r) {
        T* d = dst + r * width;
        over_lanes<T>(0, columns,
                      [&](index j, auto part) { store(d + j, part.get(src + r * m.rows + j)); });
        for (index j = round_up(columns, lanes); j < width; ++j) d[j] = 0;
      }
    } else {
      for (index j = 0; j < width; j += lanes) {
        index r = 0;
        if (j + lanes <= columns)
          for (; r + lanes <= count; r += lanes)
            transpose_block(src + j * m.cols + r, m.cols, dst + r * width + j, width);
        for (; r < count; ++r)
          for (index i = j; i < j + lanes; ++i)
            dst[r * width + i] = i < columns ? src[i * m.cols + r] : T(0);
      }
    }
    dst += count * width;
    first += count;
  }
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
