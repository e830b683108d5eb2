// 3x3 convolutions of stride 1 by Winograd's F(4x4, 3x3): 36 multiplications give a tile of 4x4
// results, where the definition needs 144.
//
// A tile of 6x6 inputs d and the kernel g are transformed, multiplied element by element with the
// channels summed (36 matrix products), and transformed back:
//
//     Y = A' [ (G g G') * (B' d B) ] A
//
// The transforms have factors up to 8, so float32 results are off by 6 to 40 times as much as those
// of the definition, more with more channels. An input that is not finite makes its tiles so. That
// is why callers ask for it.
#pragma once

#include "dense.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index tile_out = 4, tile_in = 6, points = tile_in * tile_in;
constexpr index tiles_bytes = 2 << 20;  // of transformed tiles that are worked on together

inline bool fits_winograd(const Walk& walk) {
  return walk.kh == 3 && walk.kw == 3 && walk.sh == 1 && walk.sw == 1 && walk.dh == 1 &&
         walk.dw == 1;
}

// How a result is cut into tiles.
struct TileGrid {
  index down, across, count;
  explicit TileGrid(const Walk& walk)
      : down(ceil_div(walk.oh, tile_out)),
        across(ceil_div(walk.ow, tile_out)),
        count(walk.n * down * across) {}
};

template <class V>
KCORE_INLINE void to_points(const V* d, V* o) {  // B' d
  const V t0 = d[4] - 4 * d[2], t1 = d[3] - 4 * d[1], t2 = d[4] - d[2], t3 = 2 * (d[3] - d[1]);
  o[0] = 4 * d[0] - 5 * d[2] + d[4];
  o[1] = t0 + t1;
  o[2] = t0 - t1;
  o[3] = t2 + t3;
  o[4] = t2 - t3;
  o[5] = 4 * d[1] - 5 * d[3] + d[5];
}
template <class V>
KCORE_INLINE void from_points(const V* m, V* o) {  // A' m
  const V a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  o[0] = m[0] + a + c;
  o[1] = b + 2 * d;
  o[2] = a + 4 * c;
  o[3] = b + 8 * d + m[5];
}
template <class T, class V>
KCORE_INLINE void kernel_points(const V* g, V* o) {  // G g
  const V even = g[0] + g[2], far = g[0] + 4 * g[2];
  o[0] = T(0.25) * g[0];
  o[1] = T(-1.0 / 6) * (even + g[1]);
  o[2] = T(-1.0 / 6) * (even - g[1]);
  o[3] = T(1.0 / 24) * (far + 2 * g[1]);
  o[4] = T(1.0 / 24) * (far - 2 * g[1]);
  o[5] = g[2];
}

template <class T>
index winograd_packed(index channels, index oc) {
  return points * channels * Panels<T>{oc, 2}.packed();
}

// packed[point][panel][channel][column of the panel] = G g G'.
template <class T>
void winograd_pack(const Weights<T>& weights, index channels, index oc, T* packed, int threads) {
  constexpr index lanes = Simd<T>::lanes, together = Simd<T>::lanes;
  const Panels<T> panels{oc, 2};
  const index plane = channels * panels.packed(), blocks = ceil_div(channels, together);
  parallel_for(panels.count() * blocks, threads, [&](index item, int) {
    const index p = item / blocks, c0 = item % blocks * together,
                c1 = min_of(channels, c0 + together), width = panels.padded_width(p);
    alignas(64) T taps[9][together * 2 * lanes];
    for (index tap = 0; tap < 9; ++tap)
      pack(weights, 3, channels, tap * channels + c0, tap * channels + c1, panels.first(p),
           panels.columns(p), width, taps[tap]);
    T* to = packed + channels * panels.first(p) + c0 * width;
    for (index at = 0; at < (c1 - c0) * width; at += lanes) {
      Vec<T> g[3], half[tile_in][3], full[tile_in];
      for (int j = 0; j < 3; ++j) {
        for (int i = 0; i < 3; ++i) g[i] = load(taps[i * 3 + j] + at);
        kernel_points<T>(g, full);
        for (int i = 0; i < tile_in; ++i) half[i][j] = full[i];
      }
      for (int i = 0; i < tile_in; ++i) {
        kernel_points<T>(half[i], full);
        for (int j = 0; j < tile_in; ++j) store(to + (i * tile_in + j) * plane + at, full[j]);
      }
    }
  });
}

// One tile of the input, transformed: v[point * v_point + channel]. `zeros` has `channels` zeros.
template <class T>
void transform_input(const Walk& walk, const TileGrid& grid, index channels, const T* in,
                     index tile, const T* zeros, T* v, index v_point) {
  const index image = tile / (grid.down * grid.across);
  const index top = tile / grid.across % grid.down * tile_out - walk.pt,
              left = tile % grid.across * tile_out - walk.pl;
  const T* from[tile_in][tile_in];
  for (index i = 0; i < tile_in; ++i)
    for (index j = 0; j < tile_in; ++j) {
      const bool inside =
          top + i >= 0 && top + i < walk.h && left + j >= 0 && left + j < walk.w;
      from[i][j] =
          inside ? in + image * walk.in_n + ((top + i) * walk.w + left + j) * walk.pixel : zeros;
    }
  over_lanes<T>(0, channels, [&](index c, auto part) {
    Vec<T> d[tile_in], half[tile_in][tile_in], full[tile_in];
#pragma GCC unroll 6
    for (int j = 0; j < tile_in; ++j) {
#pragma GCC unroll 6
      for (int i = 0; i < tile_in; ++i) d[i] = part.get(from[i][j] + c);
      to_points(d, full);
#pragma GCC unroll 6
      for (int i = 0; i < tile_in; ++i) half[i][j] = full[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < tile_in; ++i) {
      to_points(half[i], full);
#pragma GCC unroll 6
      for (int j = 0; j < tile_in; ++j) part.put(v + (i * tile_in + j) * v_point + c, full[j]);
    }
  });
}

// One tile of the result from its sums m[point * m_point + column].
template <class T>
void transform_output(const Walk& walk, const TileGrid& grid, index oc, const T* m, index m_point,
                      index tile, const Ends<T>& ends, T* out) {
  const index image = tile / (grid.down * grid.across);
  const index top = tile / grid.across % grid.down * tile_out,
              left = tile % grid.across * tile_out;
  const index rows = min_of(tile_out, walk.oh - top), cols = min_of(tile_out, walk.ow - left);
  const index first = image * walk.out_n + top * walk.out_h + left * walk.out_w;
  over_lanes<T>(0, oc, [&](index c, auto part) {
    Vec<T> d[tile_in], half[tile_out][tile_in], full[tile_out];
#pragma GCC unroll 6
    for (int j = 0; j < tile_in; ++j) {
#pragma GCC unroll 6
      for (int i = 0; i < tile_in; ++i) d[i] = load(m + (i * tile_in + j) * m_point + c);
      from_points(d, full);
#pragma GCC unroll 4
      for (int i = 0; i < tile_out; ++i) half[i][j] = full[i];
    }
    const auto columns = ends.columns(c, part);
#pragma GCC unroll 4
    for (int i = 0; i < tile_out; ++i) {
      if (i >= rows) break;
      from_points(half[i], full);
#pragma GCC unroll 4
      for (int j = 0; j < tile_out; ++j) {
        if (j >= cols) break;
        const index at = first + i * walk.out_h + j * walk.out_w + c;
        part.put(out + at, ends.of(full[j], columns, at, part));
      }
    }
  });
}

// `convolve` for walks that fit; `ready` is what winograd_pack gives, or null.
template <class T>
bool winograd(const Walk& walk, index channels, index oc, const T* in, const Weights<T>& weights,
              const T* ready, const Ends<T>& ends, T* out, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const TileGrid grid(walk);
  const Panels<T> panels{oc, 2};
  const index v_row = round_up(channels, lanes) + lanes, m_row = panels.packed();
  const index bytes = points * (v_row + m_row) * static_cast<index>(sizeof(T));
  const index most = max_of(2 * tile_rows[2], round_up(tiles_bytes / bytes, tile_rows[2]));
  const index step = min_of(grid.count, most);
  const index blocks = ceil_div(grid.count, step);
  // Threads share the blocks, or the parts of each if blocks are few.
  const bool apart = blocks >= 2 * threads;
  const int slots = apart ? threads : 1, inside = apart ? 1 : threads;

  const index packed = ready ? 0 : winograd_packed<T>(channels, oc);
  const index slot = round_up(points * step * (v_row + m_row), 64 / sizeof(T));
  Scratch scratch(room<T>(packed) + room<T>(channels) + room<T>(slots * slot));
  if (!scratch) return false;
  T* made = take<T>(scratch, packed);
  T* zeros = take<T>(scratch, channels);
  T* work = take<T>(scratch, slots * slot);
  std::memset(zeros, 0, channels * sizeof(T));
  if (!ready) winograd_pack(weights, channels, oc, made, threads);
  const T* u = ready ? ready : made;

  parallel_for(blocks, slots, [&](index b, int at) {
    const index first = b * step, count = min_of(step, grid.count - first);
    T* v = work + at * slot;
    T* m = v + points * step * v_row;
    parallel_for(count, inside, [&](index t, int) {
      transform_input(walk, grid, channels, in, first + t, zeros, v + t * v_row, step * v_row);
    });
    parallel_for(points, inside, [&](index point, int) {
      for (index p = 0; p < panels.count(); ++p) {
        const index vectors = panels.vectors(p), width = panels.padded_width(p);
        const index tile = ceil_div(count, ceil_div(count, tile_rows[vectors]));
        const T* up = u + point * channels * m_row + channels * panels.first(p);
        for (index k = 0; k < channels; k += longest_sum)
          for (index t = 0; t < count; t += tile)
            product_for<T>(min_of(tile, count - t), vectors)(
                1, min_of(longest_sum, channels - k), v + (point * step + t) * v_row + k, v_row, 0,
                up + k * width, 0, m + (point * step + t) * m_row + panels.first(p), m_row,
                k > 0);
      }
    });
    parallel_for(count, inside, [&](index t, int) {
      transform_output(walk, grid, oc, m + t * m_row, step * m_row, first + t, ends,
                       out);
    });
  });
  return true;
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
