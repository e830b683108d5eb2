// Convolutions with one kernel per channel, or with small groups of channels: forward, input
// gradient, weight gradient.
//
// Vectors run over channels. Kernel taps that fall on padding are left out, so there is no copy.
// A group has as many channels in as out, `width` of them, and no vector has a part of one:
// kernel[kh, kw, width, c], where y[j] sums the channels i of its group times kernel[.., .., i, j].
// Several output channels per input channel (a depth multiplier) are the wrapper's job.
#include "api/depthwise.h"
#include "depth_blocks.h"

namespace kcore {
namespace KCORE_LEVEL {

// out[0 .. count) pixels of one row, all with the same taps; `in` is the first tap of the first.
template <int width, int count, class T, class Part>
KCORE_INLINE void depth_pixels(const Walk& walk, const Taps& rows, const Taps& cols,
                               const DepthKernel<T>& kernel, const T* in, index in_row, T* out,
                               Part part) {
  Vec<T> sum[count];
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i)
    sum[i] = kernel.add ? part.get(out + i * walk.out_w) : Vec<T>{};
  const index pixel = walk.sw * walk.pixel, next = walk.dw * walk.pixel;
  for (index a = rows.first; a < rows.last; ++a) {
    const T* p = in + a * in_row + cols.first * next;
    const T* w = kernel.w + a * kernel.tap_h + cols.first * kernel.tap_w;
    for (index b = cols.first; b < cols.last; ++b, p += next, w += kernel.tap_w) {
      Vec<T> wv[width];
#pragma GCC unroll 8
      for (int k = 0; k < width; ++k) wv[k] = part.get(w + k * kernel.channel);
#pragma GCC unroll 8
      for (int i = 0; i < count; ++i) {
        const Vec<T> x = part.get(p + i * pixel);
#pragma GCC unroll 8
        for (int k = 0; k < width; ++k) sum[i] += pick<width, T>(x, k) * wv[k];
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) part.put(out + i * walk.out_w, sum[i]);
}

template <int width, int count, class T>
void depth_tile(const Walk& walk, index channels, const Taps& rows, const Taps& cols,
                const DepthKernel<T>& kernel, const T* in, index in_row, T* out) {
  over_lanes<T>(0, channels, [&](index i, auto part) {
    depth_pixels<width, count>(walk, rows, cols, kernel.from(i), in + i, in_row, out + i, part);
  });
}

template <int width, class T>
void depth_convolve(const Walk& walk, index channels, const T* in, const DepthKernel<T>& kernel,
                    const Ends<T>& ends, T* out, int threads) {
  if constexpr (sizeof(T) == sizeof(float)) {
    const bool whole = width == 1 || channels % Simd<T>::lanes == 0;
    if (whole && fits_blocks<T>(walk, 1))
      return depth_blocks<width, 1>(walk, channels, in, kernel, ends, out, threads);
    if constexpr (width == 1)
      if (fits_blocks<T>(walk, 2))
        return depth_blocks<1, 2>(walk, channels, in, kernel, ends, out, threads);
  }
  const Taps all(0, 1, walk.kw, walk.kw);
  // Output columns [low, high) have all their taps inside.
  const index low = min_of(walk.ow, max_of<index>(0, ceil_div(walk.pl, walk.sw)));
  const index high =
      max_of(low, min_of(walk.ow, floor_div(walk.w - walk.span_w() + walk.pl, walk.sw) + 1));
  parallel_for(walk.n * walk.oh, threads, [&](index r, int) {
    const index image = r / walk.oh, h = r % walk.oh, top = h * walk.sh - walk.pt;
    const Taps rows(top, walk.dh, walk.kh, walk.h);
    const index in_row = walk.dh * walk.w * walk.pixel;
    const T* base = in + image * walk.in_n + top * walk.w * walk.pixel;
    T* o = out + image * walk.out_n + h * walk.out_h;
    const auto start = [&](index q) { return base + (q * walk.sw - walk.pl) * walk.pixel; };
    const auto edge = [&](index q) {
      const Taps cols(q * walk.sw - walk.pl, walk.dw, walk.kw, walk.w);
      depth_tile<width, 1>(walk, channels, rows, cols, kernel, start(q), in_row,
                           o + q * walk.out_w);
    };
    index q = 0;
    for (; q < low; ++q) edge(q);
    for (; q + 8 <= high; q += 8)
      depth_tile<width, 8>(walk, channels, rows, all, kernel, start(q), in_row, o + q * walk.out_w);
    for (; q + 4 <= high; q += 4)
      depth_tile<width, 4>(walk, channels, rows, all, kernel, start(q), in_row, o + q * walk.out_w);
    for (; q < high; ++q)
      depth_tile<width, 1>(walk, channels, rows, all, kernel, start(q), in_row, o + q * walk.out_w);
    for (; q < walk.ow; ++q) edge(q);
    if (!ends.plain())  // while the row is cached
      for (q = 0; q < walk.ow; ++q) {
        const index at = image * walk.out_n + h * walk.out_h + q * walk.out_w;
        ends.shifted(0, at).template rows<1, false>(channels, out + at, out + at);
      }
  });
}

template <int width, class T>
void depthwise_of(const Conv& s, const T* x, const T* w, const Ends<T>& ends, T* y, int threads) {
  if (!s.flat()) std::memset(y, 0, s.n * s.od * s.oh * s.ow * s.c * sizeof(T));
  const index tap = width * s.c;
  over_planes(s, [&](const Planes& planes) {
    const DepthKernel<T> kernel{w + planes.tap * s.kh * s.kw * tap, s.kw * tap, tap, s.c,
                                !s.flat()};
    depth_convolve<width>(forward_walk(s, planes), s.c, x + planes.x, kernel,
                          s.flat() ? ends : Ends<T>(Ending{}), y + planes.y, threads);
  });
  if (!s.flat()) end_rows(s.n * s.od * s.oh * s.ow, s.oc, ends, y, y, threads);
}

// `w` has its groups transposed: w[.., .., j, i] for the gradient of channel i by output j.
template <int width, class T>
void depthwise_input_grad_of(const Conv& s, const T* g, const T* w, T* dx, int threads) {
  if (has_empty_phase(s)) std::memset(dx, 0, s.n * s.d * s.h * s.w * s.c * sizeof(T));
  const index tap = width * s.c;
  over_planes(s, [&](const Planes& planes) {
    if constexpr (width == 1 && sizeof(T) == sizeof(float))
      if (fits_blocks<T>(forward_walk(s, planes), 2)) {
        const DepthKernel<T> kernel{w + planes.tap * 9 * s.c, 3 * s.c, s.c, s.c, !s.flat()};
        return depth_spreads(s, planes, g, kernel, dx, threads);
      }
    over_phases(s, planes, [&](const Walk& walk, const Phase& row, const Phase& col) {
      const T* first = w + ((planes.tap * s.kh + row.tap) * s.kw + col.tap) * tap;
      const DepthKernel<T> kernel{first, row.tap_step * s.kw * tap, col.tap_step * tap, s.c,
                                  !s.flat()};
      depth_convolve<width>(walk, s.c, g + planes.y, kernel, Ends<T>(Ending{}),
                            dx + planes.x + (row.first * s.w + col.first) * s.c, threads);
    });
  });
}

// Adds one output row's part of kernel row `a`: sum over q of x[q * sw + b * dw] * g[q], for taps
// b .. b + count. Columns where some tap falls outside go tap by tap.
template <int width, int count, class T, class Part>
KCORE_INLINE void depth_taps(const Walk& walk, const Inside& inside, index b, const T* x,
                             const T* g, index channels, T* dw, Part part) {
  Vec<T> sum[count][width];
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i)
#pragma GCC unroll 8
    for (int k = 0; k < width; ++k) sum[i][k] = Vec<T>{};
  const index low = inside.low, high = inside.high;
  const auto column = [&](index q, int i) {
    return x + (q * walk.sw + (b + i) * walk.dw - walk.pl) * walk.pixel;
  };
  const auto edge = [&](index q) {
    const Vec<T> gv = part.get(g + q * channels);
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) {
      const index w = q * walk.sw + (b + i) * walk.dw - walk.pl;
      if (w < 0 || w >= walk.w) continue;
      const Vec<T> xv = part.get(column(q, i));
#pragma GCC unroll 8
      for (int k = 0; k < width; ++k) sum[i][k] += pick<width, T>(xv, k) * gv;
    }
  };
  for (index q = 0; q < min_of(low, walk.ow); ++q) edge(q);
  for (index q = low; q < high; ++q) {
    const Vec<T> gv = part.get(g + q * channels);
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) {
      const Vec<T> xv = part.get(column(q, i));
#pragma GCC unroll 8
      for (int k = 0; k < width; ++k) sum[i][k] += pick<width, T>(xv, k) * gv;
    }
  }
  for (index q = high; q < walk.ow; ++q) edge(q);
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i)
#pragma GCC unroll 8
    for (int k = 0; k < width; ++k) {
      T* to = dw + ((b + i) * width + k) * channels;
      part.put(to, part.get(to) + sum[i][k]);
    }
}

template <int width, class T>
void depthwise_weight_grad_of(const Conv& s, const T* x, const T* g, T* dw, int threads) {
  const index tap = width * s.c;
  std::memset(dw, 0, s.kd * s.kh * s.kw * tap * sizeof(T));
  // A thread owns some channels of dw, and if there is but one vector of them, one kernel row.
  // Whole pixels in one pass are best: narrow strips read little of each memory page.
  const index together = round_up(ceil_div(s.c, threads), Simd<T>::lanes),
              blocks = ceil_div(s.c, together);
  const index parts = blocks < threads ? s.kh : 1;
  over_planes(s, [&](const Planes& planes) {
    const Walk walk = forward_walk(s, planes);
    // Narrow maps have many channels: the vectors of a column lie so far apart that they share a
    // few lines of L1, and rows of channels are better there. So they are where registers are few.
    if constexpr (width == 1 && sizeof(T) == sizeof(float) && KCORE_VECTOR_BYTES == 64)
      if (const index step = s.sh; walk.ow > block_columns &&
                                   (fits_blocks<T>(walk, 1) || fits_blocks<T>(walk, 2))) {
        const auto grads = step == 1 ? &depth_block_grads<1, T> : &depth_block_grads<2, T>;
        return parallel_for(blocks, threads, [&](index item, int) {
          const index c0 = item * together, c1 = min_of(s.c, c0 + together);
          grads(walk, s.c, c0, c1, x + planes.x, g + planes.y, dw + planes.tap * 9 * s.c);
        });
      }
    parallel_for(parts * blocks, threads, [&](index item, int) {
      const index c0 = item / parts * together, c1 = min_of(s.c, c0 + together);
      const index a0 = parts > 1 ? item % parts : 0, a1 = parts > 1 ? a0 + 1 : s.kh;
      for (index r = 0; r < walk.n * s.oh; ++r)
        for (index a = a0; a < a1; ++a) {
          const index h = r % s.oh * s.sh + a * s.dh - s.pt;
          if (h < 0 || h >= s.h) continue;
          const T* xr = x + planes.x + r / s.oh * walk.in_n + h * s.w * s.c;
          const T* gr = g + planes.y + r * s.ow * s.c;
          T* d = dw + (planes.tap * s.kh + a) * s.kw * tap;
          index b = 0;
          const auto taps = [&](auto count) {
            constexpr int n = decltype(count)::value;
            for (; b + n <= s.kw; b += n) {
              const Inside inside(walk, b, n);
              over_lanes<T>(c0, c1, [&](index c, auto part) {
                depth_taps<width, n>(walk, inside, b, xr + c, gr + c, s.c, d + c, part);
              });
            }
          };
          if constexpr (width == 1) taps(Width<5>{});
          if constexpr (width <= 4) taps(Width<3>{});
          taps(Width<1>{});
        }
    });
  });
}

// How many channels a group has, where these loops take the convolution; else 0.
template <class T>
int group_width(const Conv& s) {
  const index width = s.c / s.groups;
  const bool fits = s.groups > 1 && s.oc == s.c &&
                    (width == 1 || width == 2 || width == 4 || width == 8) &&
                    Simd<T>::lanes % width == 0;
  return fits ? static_cast<int>(width) : 0;
}
template <class T>
bool fits_depthwise(const Conv& s, const T*) {
  return group_width<T>(s) > 0;
}

// f(Width<n>) for the width of the groups.
template <class T, class F>
KCORE_INLINE void with_width(const Conv& s, F&& f) {
  const int width = group_width<T>(s);
  if (width == 1) f(Width<1>{});
  if (width == 2) f(Width<2>{});
  if constexpr (Simd<T>::lanes >= 4)
    if (width == 4) f(Width<4>{});
  if constexpr (Simd<T>::lanes >= 8)
    if (width == 8) f(Width<8>{});
}

// turned[tap, j, group * width + i] = w[tap, i, group * width + j].
template <class T>
void turn_groups(const Conv& s, index width, const T* w, T* turned) {
  for (index tap = 0; tap < s.kd * s.kh * s.kw; ++tap, w += width * s.c, turned += width * s.c)
    for (index first = 0; first < s.c; first += width)
      for (index i = 0; i < width; ++i)
        for (index j = 0; j < width; ++j)
          turned[j * s.c + first + i] = w[i * s.c + first + j];
}

template <class T>
bool depthwise(const Conv& s, const T* x, const T* w, const Ending& ending, T* y, int threads) {
  with_width<T>(s, [&](auto n) { depthwise_of<n.value>(s, x, w, Ends<T>(ending), y, threads); });
  return true;
}

template <class T>
bool depthwise_input_grad(const Conv& s, const T* g, const T* w, const Ending& ending, T* dx,
                          int threads) {
  const index width = group_width<T>(s), count = width > 1 ? s.kd * s.kh * s.kw * width * s.c : 0;
  Scratch scratch(room<T>(count));
  if (!scratch) return false;
  T* turned = take<T>(scratch, count);
  if (count) turn_groups(s, width, w, turned);
  with_width<T>(s, [&](auto n) {
    depthwise_input_grad_of<n.value>(s, g, count ? turned : w, dx, threads);
  });
  end_rows(s.n * s.d * s.h * s.w, s.c, Ends<T>(ending), dx, dx, threads);
  return true;
}

template <class T>
bool depthwise_weight_grad(const Conv& s, const T* x, const T* g, T* dw, int threads) {
  with_width<T>(s, [&](auto n) { depthwise_weight_grad_of<n.value>(s, x, g, dw, threads); });
  return true;
}

KCORE_EXPORT(depthwise, DepthwiseKernels, KCORE_DEPTHWISE_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
