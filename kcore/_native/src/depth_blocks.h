// 3x3 kernels with stride 1 or 2, one for each channel or small group of channels, by blocks of
// outputs whose sums stay in registers: each input is loaded once for all sums that it joins.
#pragma once

#include "ending.h"
#include "geometry.h"

namespace kcore {
namespace KCORE_LEVEL {

// A depthwise kernel read in steps, so that a reversed one needs no copy.
template <class T>
struct DepthKernel {
  const T* w;
  index tap_h, tap_w, channel;  // elements to the next tap, and to the next channel of the group
  bool add;                     // the sums go on from what is there

  KCORE_INLINE_MEMBER DepthKernel from(index column) const {
    return {w + column, tap_h, tap_w, channel, add};
  }
};

// A number as a type: how many channels a group has, or how many taps are summed together.
template <int n>
struct Width {
  static constexpr int value = n;
};

// Each lane gets lane i of its group of `width`.
template <int width, class T>
KCORE_INLINE Vec<T> pick(Vec<T> v, int i) {
  constexpr int lanes = Simd<T>::lanes;
  if constexpr (width == 1) return v;
#ifdef __clang__
  Vec<T> picked;
#pragma GCC unroll 16
  for (int j = 0; j < lanes; ++j) picked[j] = v[j / width * width + i];
  return picked;
#else
  typename Bits<T>::V from;
#pragma GCC unroll 16
  for (int j = 0; j < lanes; ++j) from[j] = j / width * width;
  return __builtin_shuffle(v, from + i);
#endif
}
// The same of what lies at `p`.
template <int width, class T, class Part>
KCORE_INLINE Vec<T> picked(const T* p, int i, Part part) {
  if constexpr (width == Simd<T>::lanes)
    return broadcast(p[i]);
  else
    return pick<width, T>(part.get(p), i);
}

// Outputs of a block. Its sums, the weights of two kernel rows and an input fit the registers.
constexpr int block_rows = 2, block_columns = KCORE_VECTOR_BYTES == 64 ? 7 : 4;

// Inputs under so many outputs in a row.
constexpr int reach(int outputs, int step) { return (outputs - 1) * step + 3; }

// The block whose first output is (h, q): how many outputs there are, and which inputs that they
// read are no padding.
template <int step>
struct DepthBlock {
  index top, left, rows, columns;
  Taps down, along;
  DepthBlock(const Walk& walk, index h, index q)
      : top(h * step - walk.pt),
        left(q * step - walk.pl),
        rows(min_of<index>(block_rows, walk.oh - h)),
        columns(min_of<index>(block_columns, walk.ow - q)),
        down(top, 1, (rows - 1) * step + 3, walk.h),
        along(left, 1, (columns - 1) * step + 3, walk.w) {}

  // The block's first input, which may be padding.
  index first(const Walk& walk) const { return (top * walk.w + left) * walk.pixel; }
};

// Whether a walk is done in blocks. float64, which is there for its digits, is not: blocks take
// long to compile.
template <class T>
inline bool fits_blocks(const Walk& walk, index step) {
  return sizeof(T) == sizeof(float) && walk.kh == 3 && walk.kw == 3 && walk.dh == 1 &&
         walk.dw == 1 && walk.sh == step && walk.sw == step;
}

// Asks for `rows` by `columns` pixels, to have them when the next rows of blocks come.
template <int rows, int columns, class T>
KCORE_INLINE void ask_for(const T* pixel, index row, index column) {
#pragma GCC unroll 4
  for (int i = 0; i < rows; ++i)
#pragma GCC unroll 16
    for (int j = 0; j < columns; ++j) __builtin_prefetch(pixel + i * row + j * column, 0, 2);
}
// The inputs that the block below this one reads anew.
template <int step, class T>
KCORE_INLINE void ask_below(const Walk& walk, const DepthBlock<step>& block, const T* in) {
  constexpr int deep = reach(block_rows, step), more = block_rows * step;
  if (block.top + deep + more <= walk.h)
    ask_for<more, block_columns * step>(in + deep * walk.w * walk.pixel, walk.w * walk.pixel,
                                        walk.pixel);
}

// What has to come from memory, and whose results would push it out of the last-level cache.
template <class T>
inline bool exceeds_caches(index elements) {
  return elements * static_cast<index>(sizeof(T)) >= streamed_bytes / 2;
}
constexpr index asked_bytes = index{14} << 20;  // some of so much has to, where there are no such results
template <class T>
inline bool streams(const T* out, index channels, bool add) {
  return !add && channels % Simd<T>::lanes == 0 && reinterpret_cast<std::uintptr_t>(out) % 64 == 0;
}

// Whole vectors that go past the caches if asked.
struct Outward : Whole {
  bool past;
  explicit Outward(bool goes_past) : past(goes_past) {}
  template <class T>
  KCORE_INLINE_MEMBER void put(T* p, Vec<T> v) const {
    past ? stream(p, v) : store(p, v);
  }
};

// Calls f(c, Outward or Part(n)) for the vectors of channels; f is large, and must be told to be
// inlined.
template <class T, bool parts = true, class F>
KCORE_INLINE void over_channels(index channels, bool past, F&& f) {
  index c = 0;
  for (; c + Simd<T>::lanes <= channels; c += Simd<T>::lanes) f(c, Outward(past));
  if constexpr (parts)
    if (c < channels) f(c, Part{channels - c});
}

template <int width, int step, class T, class Part>
KCORE_INLINE void depth_block(const Walk& walk, const DepthBlock<step>& block,
                              const DepthKernel<T>& kernel, const T* in, T* out, Part part) {
  constexpr int deep = reach(block_rows, step), wide = reach(block_columns, step);
  Vec<T> sum[block_rows][block_columns];
#pragma GCC unroll 2
  for (int r = 0; r < block_rows; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < block_columns; ++q)
      sum[r][q] = kernel.add && r < block.rows && q < block.columns
                      ? part.get(out + r * walk.out_h + q * walk.out_w)
                      : Vec<T>{};
#pragma GCC unroll 1
  for (int k = 0; k < width; ++k)
#pragma GCC unroll 8
    for (int i = 0; i < deep; ++i) {
      if (!block.down.has(i)) continue;
      const T* p = in + i * walk.w * walk.pixel;
      Vec<T> w[block_rows][3];
#pragma GCC unroll 2
      for (int r = 0; r < block_rows; ++r)
#pragma GCC unroll 4
        for (int b = 0; b < 3; ++b)
          if (const int a = i - r * step; a >= 0 && a < 3)
            w[r][b] = part.get(kernel.w + a * kernel.tap_h + b * kernel.tap_w + k * kernel.channel);
#pragma GCC unroll 16
      for (int j = 0; j < wide; ++j) {
        if (!block.along.has(j)) continue;
        const Vec<T> x = picked<width>(p + j * walk.pixel, k, part);
#pragma GCC unroll 2
        for (int r = 0; r < block_rows; ++r)
#pragma GCC unroll 8
          for (int q = 0; q < block_columns; ++q) {
            const int a = i - r * step, b = j - q * step;
            if (a >= 0 && a < 3 && b >= 0 && b < 3) sum[r][q] += x * w[r][b];
          }
      }
    }
#pragma GCC unroll 2
  for (int r = 0; r < block_rows; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < block_columns; ++q)
      if (r < block.rows && q < block.columns)
        part.put(out + r * walk.out_h + q * walk.out_w, sum[r][q]);
}

// Groups of several channels fill whole vectors.
template <int width, int step, class T>
void depth_blocks(const Walk& walk, index channels, const T* in, const DepthKernel<T>& kernel,
                  const Ends<T>& ends, T* out, int threads) {
  const bool large = exceeds_caches<T>(walk.n * (walk.in_n + walk.out_n)),
             past = large && ends.plain() && streams(out, channels, kernel.add);
  const index blocks = ceil_div(walk.oh, block_rows);
  parallel_for(walk.n * blocks, threads, [&](index item, int) {
    const index image = item / blocks, h = item % blocks * block_rows;
    for (index q = 0; q < walk.ow; q += block_columns) {
      const DepthBlock<step> block(walk, h, q);
      const T* from = in + image * walk.in_n + block.first(walk);
      T* to = out + image * walk.out_n + h * walk.out_h + q * walk.out_w;
      over_channels<T, width == 1>(channels, past, [&](index c, auto part) KCORE_INLINE_LAMBDA {
        if (large) ask_below(walk, block, from + c);
        depth_block<width, step>(walk, block, kernel.from(c), from + c, to + c, part);
      });
      if (ends.plain()) continue;
      for (index r = 0; r < block.rows; ++r)  // while the block is cached
        for (index i = 0; i < block.columns; ++i) {
          T* row = to + r * walk.out_h + i * walk.out_w;
          ends.shifted(0, row - out).template rows<1, false>(channels, row, row);
        }
    }
    if (past) stream_fence();
  });
}

// -- the input gradient of stride 2 -------------------------------------------------------

// Two rows of x's gradient and `spread_columns` pairs of columns: pixel (2m - pad, 2n - pad) meets
// row 0 of the kernel over row m of g and row 2 over row m - 1; the pixel after it row 1 over m.
constexpr int spread_columns = KCORE_VECTOR_BYTES == 64 ? 4 : 2;

// Which rows (or columns) of a spread's two and of the two of g exist.
struct Spread {
  index first;  // row of x's gradient
  Taps to, from;
  Spread(index m, index pairs, index pad, index size, index out)
      : first(2 * m - pad), to(first, 1, 2 * pairs, size), from(m - 1, 1, pairs + 1, out) {}
};

template <class T, class Part>
KCORE_INLINE void depth_spread(const Conv& s, const Spread& row, const Spread& column,
                               const DepthKernel<T>& kernel, const T* g, T* dx, Part part) {
  Vec<T> sum[2][2 * spread_columns];
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < 2 * spread_columns; ++q)
      sum[r][q] = kernel.add && row.to.has(r) && column.to.has(q)
                      ? part.get(dx + (r * s.w + q) * s.c)
                      : Vec<T>{};
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    if (!row.from.has(i)) continue;
    const auto weight = [&](int a, int b) {
      return part.get(kernel.w + a * kernel.tap_h + b * kernel.tap_w);
    };
    const Vec<T> even[3] = {weight(i ? 0 : 2, 0), weight(i ? 0 : 2, 1), weight(i ? 0 : 2, 2)};
    const Vec<T> odd[3] = {weight(1, 0), weight(1, 1), weight(1, 2)};
#pragma GCC unroll 8
    for (int j = 0; j <= spread_columns; ++j) {
      if (!column.from.has(j)) continue;
      const Vec<T> v = part.get(g + (i * s.ow + j) * s.c);
      // Column j - 1 of g: its pair of columns, and the first of the next pair.
#pragma GCC unroll 4
      for (int b = 0; b < 3; ++b) {
        const int q = 2 * (j - 1) + b;
        if (q < 0 || q >= 2 * spread_columns) continue;
        sum[0][q] += v * even[b];
        if (i == 1) sum[1][q] += v * odd[b];
      }
    }
  }
#pragma GCC unroll 2
  for (int r = 0; r < 2; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < 2 * spread_columns; ++q)
      if (row.to.has(r) && column.to.has(q)) part.put(dx + (r * s.w + q) * s.c, sum[r][q]);
}

template <class T>
void depth_spreads(const Conv& s, const Planes& planes, const T* g, const DepthKernel<T>& kernel,
                   T* dx, int threads) {
  const bool past = exceeds_caches<T>(planes.n * (planes.x_step + planes.y_step)) &&
                    streams(dx, s.c, kernel.add);
  const index m0 = s.pt / 2, n0 = s.pl / 2, rows = (s.h - 1 + s.pt) / 2 - m0 + 1;
  parallel_for(planes.n * rows, threads, [&](index item, int) {
    const index m = m0 + item % rows, image = item / rows;
    const Spread row(m, 1, s.pt, s.h, s.oh);
    for (index n = n0; 2 * n - s.pl < s.w; n += spread_columns) {
      const Spread column(n, spread_columns, s.pl, s.w, s.ow);
      const T* from = g + planes.y + image * planes.y_step + ((m - 1) * s.ow + n - 1) * s.c;
      T* to = dx + planes.x + image * planes.x_step + (row.first * s.w + column.first) * s.c;
      over_channels<T>(s.c, past, [&](index c, auto part) KCORE_INLINE_LAMBDA {
        depth_spread(s, row, column, kernel.from(c), from + c, to + c, part);
      });
    }
    if (past) stream_fence();
  });
}

// -- the weight gradient ------------------------------------------------------------------

// Adds to sum[a][b] the inputs under tap (a, b) times g, over the outputs of a block. `full`: there
// are as many columns as a block has.
template <int step, bool full, class T, class Part>
KCORE_INLINE void depth_block_taps(const Walk& walk, const DepthBlock<step>& block, const T* in,
                                   const T* g, Vec<T> (&sum)[3][3], Part part) {
  constexpr int deep = reach(block_rows, step), wide = reach(block_columns, step);
  Vec<T> gv[block_rows][block_columns];
#pragma GCC unroll 2
  for (int r = 0; r < block_rows; ++r)
#pragma GCC unroll 8
    for (int q = 0; q < block_columns; ++q)
      gv[r][q] = r < block.rows && (full || q < block.columns)
                     ? part.get(g + r * walk.out_h + q * walk.out_w)
                     : Vec<T>{};
  // Column by column, so that all nine sums grow side by side.
#pragma GCC unroll 16
  for (int j = 0; j < wide; ++j) {
    if (!block.along.has(j)) continue;
#pragma GCC unroll 8
    for (int i = 0; i < deep; ++i) {
      if (!block.down.has(i)) continue;
      const Vec<T> x = part.get(in + (i * walk.w + j) * walk.pixel);
#pragma GCC unroll 2
      for (int r = 0; r < block_rows; ++r) {
        const int a = i - r * step;
        if (a < 0 || a > 2 || r >= block.rows) continue;
#pragma GCC unroll 8
        for (int q = 0; q < block_columns; ++q) {
          const int b = j - q * step;
          if (b >= 0 && b < 3 && (full || q < block.columns)) sum[a][b] += x * gv[r][q];
        }
      }
    }
  }
}

// Adds to the channels c0 .. c1 of dw[a, b, c] the sums of some rows at a time, so that long ones
// are not one chain.
template <int step, class T>
void depth_block_grads(const Walk& walk, index channels, index c0, index c1, const T* in,
                       const T* g, T* dw) {
  const bool large = walk.n * (walk.in_n + walk.out_n) * static_cast<index>(sizeof(T)) >= asked_bytes;
  const index together = round_up(ceil_div(200, walk.ow), block_rows);
  for (index image = 0; image < walk.n; ++image)
    for (index h0 = 0; h0 < walk.oh; h0 += together)
      over_channels<T>(c1 - c0, false, [&](index i, auto part) KCORE_INLINE_LAMBDA {
        const index c = c0 + i;
        Vec<T> sum[3][3] = {};
        for (index h = h0; h < min_of(walk.oh, h0 + together); h += block_rows)
          for (index q = 0; q < walk.ow; q += block_columns) {
            const DepthBlock<step> block(walk, h, q);
            const T* from = in + image * walk.in_n + block.first(walk) + c;
            const T* gp = g + image * walk.out_n + h * walk.out_h + q * walk.out_w + c;
            if (large) {
              ask_below(walk, block, from);
              if (h + 2 * block_rows <= walk.oh)
                ask_for<block_rows, block_columns>(gp + block_rows * walk.out_h, walk.out_h,
                                                   walk.out_w);
            }
            if (block.columns == block_columns)
              depth_block_taps<step, true>(walk, block, from, gp, sum, part);
            else
              depth_block_taps<step, false>(walk, block, from, gp, sum, part);
          }
        for (int tap = 0; tap < 9; ++tap) {
          T* to = dw + tap * channels + c;
          part.put(to, part.get(to) + sum[tap / 3][tap % 3]);
        }
      });
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
