// Convolutions with one kernel per channel: forward, input gradient, weight gradient.
//
// Vectors run over channels. Kernel taps that fall on padding are left out, so there is no copy.
// Several output channels per input channel (a depth multiplier) are the wrapper's job: here
// kernel[kh, kw, c] has the channels of x and of y.
#pragma once

#include "geometry.h"

namespace kcore {
namespace KCORE_LEVEL {

// Taps first .. last of `taps` that keep `start + tap * dilation` inside [0, size).
struct Taps {
  index first, last;
  Taps(index start, index dilation, index taps, index size) {
    first = start >= 0 ? 0 : min_of(taps, ceil_div(-start, dilation));
    last = start >= size ? first : max_of(first, min_of(taps, ceil_div(size - start, dilation)));
  }
};

// A depthwise kernel read in steps, so that a reversed one needs no copy.
template <class T>
struct DepthKernel {
  const T* w;
  index tap_h, tap_w;
};

// out[0 .. count) pixels of one row, all with the same taps; `in` is the first tap of the first.
template <int count, class T, class Part>
KCORE_INLINE void depth_pixels(const Walk& walk, const Taps& rows, const Taps& cols,
                               const DepthKernel<T>& kernel, const T* in, index in_row, T* out,
                               Part part) {
  Vec<T> sum[count];
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) sum[i] = Vec<T>{};
  const index pixel = walk.sw * walk.pixel, next = walk.dw * walk.pixel;
  for (index a = rows.first; a < rows.last; ++a) {
    const T* p = in + a * in_row + cols.first * next;
    const T* w = kernel.w + a * kernel.tap_h + cols.first * kernel.tap_w;
    for (index b = cols.first; b < cols.last; ++b, p += next, w += kernel.tap_w) {
      const Vec<T> wv = part.get(w);
#pragma GCC unroll 8
      for (int i = 0; i < count; ++i) sum[i] += part.get(p + i * pixel) * wv;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) part.put(out + i * walk.out_w, sum[i]);
}

template <int count, class T>
void depth_tile(const Walk& walk, index channels, const Taps& rows, const Taps& cols,
                const DepthKernel<T>& kernel, const T* in, index in_row, T* out) {
  over_lanes<T>(0, channels, [&](index c, auto part) {
    depth_pixels<count>(walk, rows, cols, DepthKernel<T>{kernel.w + c, kernel.tap_h, kernel.tap_w},
                        in + c, in_row, out + c, part);
  });
}

template <class T>
void depth_convolve(const Walk& walk, index channels, const T* in, const DepthKernel<T>& kernel,
                    T* out, int threads) {
  const Taps all(0, 1, walk.kw, walk.kw);
  // Output columns [low, high) have all their taps inside.
  const index low = min_of(walk.ow, max_of<index>(0, ceil_div(walk.pl, walk.sw)));
  const index high =
      max_of(low, min_of(walk.ow, floor_div(walk.w - walk.span_w() + walk.pl, walk.sw) + 1));
  parallel_for(walk.n * walk.oh, threads, [&](index r, int) {
    const index image = r / walk.oh, h = r % walk.oh, top = h * walk.sh - walk.pt;
    const Taps rows(top, walk.dh, walk.kh, walk.h);
    const index in_row = walk.dh * walk.w * walk.pixel;
    const T* base = in + (image * walk.h + top) * walk.w * walk.pixel;
    T* o = out + image * walk.out_n + h * walk.out_h;
    const auto start = [&](index q) { return base + (q * walk.sw - walk.pl) * walk.pixel; };
    const auto edge = [&](index q) {
      const Taps cols(q * walk.sw - walk.pl, walk.dw, walk.kw, walk.w);
      depth_tile<1>(walk, channels, rows, cols, kernel, start(q), in_row, o + q * walk.out_w);
    };
    index q = 0;
    for (; q < low; ++q) edge(q);
    for (; q + 8 <= high; q += 8)
      depth_tile<8>(walk, channels, rows, all, kernel, start(q), in_row, o + q * walk.out_w);
    for (; q + 4 <= high; q += 4)
      depth_tile<4>(walk, channels, rows, all, kernel, start(q), in_row, o + q * walk.out_w);
    for (; q < high; ++q)
      depth_tile<1>(walk, channels, rows, all, kernel, start(q), in_row, o + q * walk.out_w);
    for (; q < walk.ow; ++q) edge(q);
  });
}

template <class T>
bool depthwise(const Conv& s, const T* x, const T* w, T* y, int threads) {
  depth_convolve(forward_walk(s), s.c, x, DepthKernel<T>{w, s.kw * s.c, s.c}, y, threads);
  return true;
}

template <class T>
bool depthwise_input_grad(const Conv& s, const T* g, const T* w, T* dx, int threads) {
  if (has_empty_phase(s)) std::memset(dx, 0, s.n * s.h * s.w * s.c * sizeof(T));
  over_phases(s, [&](const Walk& walk, const Phase& row, const Phase& col) {
    const DepthKernel<T> kernel{w + (row.tap * s.kw + col.tap) * s.c, row.tap_step * s.kw * s.c,
                                col.tap_step * s.c};
    depth_convolve(walk, s.c, g, kernel, dx + (row.first * s.w + col.first) * s.c, threads);
  });
  return true;
}

// Adds one output row's part of kernel row `a`: sum over q of x[q * sw + b * dw] * g[q], for taps
// b .. b + count. Columns where some tap falls outside go tap by tap.
template <int count, class T, class Part>
KCORE_INLINE void depth_taps(const Walk& walk, index b, const T* x, const T* g, index channels,
                             T* dw, Part part) {
  Vec<T> sum[count];
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) sum[i] = Vec<T>{};
  index low = 0, high = walk.ow;
  for (int i = 0; i < count; ++i) {
    const index start = (b + i) * walk.dw - walk.pl;  // columns q with 0 <= q * sw + start < w
    low = max_of(low, start >= 0 ? 0 : ceil_div(-start, walk.sw));
    high = min_of(high, floor_div(walk.w - 1 - start, walk.sw) + 1);
  }
  high = max_of(low, high);
  const auto column = [&](index q, int i) {
    return x + (q * walk.sw + (b + i) * walk.dw - walk.pl) * walk.pixel;
  };
  const auto edge = [&](index q) {
    const Vec<T> gv = part.get(g + q * channels);
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) {
      const index w = q * walk.sw + (b + i) * walk.dw - walk.pl;
      if (w >= 0 && w < walk.w) sum[i] += part.get(column(q, i)) * gv;
    }
  };
  for (index q = 0; q < min_of(low, walk.ow); ++q) edge(q);
  for (index q = low; q < high; ++q) {
    const Vec<T> gv = part.get(g + q * channels);
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) sum[i] += part.get(column(q, i)) * gv;
  }
  for (index q = high; q < walk.ow; ++q) edge(q);
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i)
    part.put(dw + (b + i) * channels, part.get(dw + (b + i) * channels) + sum[i]);
}

template <class T>
bool depthwise_weight_grad(const Conv& s, const T* x, const T* g, T* dw, int threads) {
  const Walk walk = forward_walk(s);
  std::memset(dw, 0, s.kh * s.kw * s.c * sizeof(T));
  // A thread owns some channels of dw, and if there is but one vector of them, one kernel row.
  // Whole pixels in one pass are best: narrow strips read little of each memory page.
  const index together = round_up(ceil_div(s.c, threads), Simd<T>::lanes),
              blocks = ceil_div(s.c, together);
  const index parts = blocks < threads ? s.kh : 1;
  parallel_for(parts * blocks, threads, [&](index item, int) {
    const index c0 = item / parts * together, c1 = min_of(s.c, c0 + together);
    const index a0 = parts > 1 ? item % parts : 0, a1 = parts > 1 ? a0 + 1 : s.kh;
    for (index r = 0; r < s.n * s.oh; ++r)
      for (index a = a0; a < a1; ++a) {
        const index h = r % s.oh * s.sh + a * s.dh - s.pt;
        if (h < 0 || h >= s.h) continue;
        const T* xr = x + (r / s.oh * s.h + h) * s.w * s.c;
        const T* gr = g + r * s.ow * s.c;
        T* d = dw + a * s.kw * s.c;
        over_lanes<T>(c0, c1, [&](index c, auto part) {
          index b = 0;
          for (; b + 5 <= s.kw; b += 5) depth_taps<5>(walk, b, xr + c, gr + c, s.c, d + c, part);
          for (; b + 3 <= s.kw; b += 3) depth_taps<3>(walk, b, xr + c, gr + c, s.c, d + c, part);
          for (; b < s.kw; ++b) depth_taps<1>(walk, b, xr + c, gr + c, s.c, d + c, part);
        });
      }
  });
  return true;
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
