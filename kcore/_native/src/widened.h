// The input gradient of a strided convolution of few channels, with all phases in one vector: each by
// itself would leave most lanes empty.
//
// Pixels (sh * m + a, sw * n + b) of x, padding counted, are one wide pixel (m, n) of sh * sw * c
// channels, and wide pixels come of a convolution of g with stride 1:
//
//     wide[m, n, (a, b, i)] = sum over t, u of g[m - t, n - u] . w[sh * t + a, sw * u + b, i]
//
// Where a phase has fewer taps than another, its weights are zeros.
#pragma once

#include "dense.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index wide_bytes = 1 << 20;  // of wide pixels that are made before they are spread

struct Widened {
  index kh, kw, channels;          // of the convolution that gives wide pixels
  index top, left, rows, columns;  // the first wide pixel, and how many there are
  explicit Widened(const Conv& s)
      : kh(ceil_div(s.kh, s.sh)),
        kw(ceil_div(s.kw, s.sw)),
        channels(s.sh * s.sw * s.c),
        top(s.pt / s.sh),
        left(s.pl / s.sw),
        rows((s.h - 1 + s.pt) / s.sh - top + 1),
        columns((s.w - 1 + s.pl) / s.sw - left + 1) {}

  // Whether every phase has all the taps.
  bool exact(const Conv& s) const { return kh * s.sh == s.kh && kw * s.sw == s.kw; }
  index pixels() const { return rows * columns * channels; }
  // From `images` images of g, which lie `step` elements apart.
  Walk walk(const Conv& s, index images, index step) const {
    return {images, s.oh, s.ow, step, s.oc, kh, kw, 1, 1, 1, 1, kh - 1 - top, kw - 1 - left,
            rows, columns, pixels(), columns * channels, channels};
  }
};

template <class T>
bool widening_pays(const Conv& s) {
  if (s.groups > 1 || s.dh > 1 || s.dw > 1 || s.sh * s.sw == 1) return false;
  const Widened wide(s);
  constexpr index lanes = Simd<T>::lanes;
  return 4 * wide.kh * wide.kw * ceil_div(wide.channels, lanes) <
         3 * s.kh * s.kw * ceil_div(s.c, lanes);
}

// The weights of wide pixels: [kh, kw, wide channels, oc], taps reversed; w is one tap of the depth.
template <class T>
void widen_weights(const Conv& s, const Widened& wide, const T* w, T* to) {
  const index tap = s.c * s.oc;
  for (index t = wide.kh - 1; t >= 0; --t)
    for (index u = wide.kw - 1; u >= 0; --u)
      for (index a = t * s.sh; a < (t + 1) * s.sh; ++a)
        for (index b = u * s.sw; b < (u + 1) * s.sw; ++b, to += tap)
          if (a < s.kh && b < s.kw)
            std::memcpy(to, w + (a * s.kw + b) * tap, tap * sizeof(T));
          else
            std::memset(to, 0, tap * sizeof(T));
}

// Row h of an image's gradient from its wide pixels, added to what is there if `add`; whether no wide
// pixel is nan.
template <class T>
bool spread_row(const Conv& s, const Widened& wide, const T* from, index h, bool add, T* dx) {
  const index run = s.sw * s.c, end = s.w * s.c;
  const index row = (h + s.pt) / s.sh - wide.top, phase = (h + s.pt) % s.sh;
  from += row * wide.columns * wide.channels + phase * run;
  typename Bits<T>::V odd{};
  for (index n = 0; n < wide.columns; ++n, from += wide.channels) {
    const index to = (wide.left + n) * run - s.pl * s.c;  // before 0, or past the end, is padding
    const index low = max_of<index>(0, -to), high = min_of(run, end - to);
    over_lanes<T>(low, high, [&](index i, auto part) {
      const Vec<T> v = part.get(from + i);
      odd |= v != v;
      part.put(dx + to + i, add ? part.get(dx + to + i) + v : v);
    });
  }
  for (index i = 0; i < Simd<T>::lanes; ++i)
    if (odd[i]) return false;
  return true;
}

// What some planes of g give by one tap of the depth. `numbers` becomes false where the result may be
// wrong: zeros times what is not finite in g are nan where there should be no product, and then
// phases have to be done apart.
template <class T>
bool widened_input_grad(const Conv& s, const Planes& planes, const T* g, const T* w, T* dx,
                        int threads, bool* numbers) {
  const Widened wide(s);
  const index taps = wide.kh * wide.kw * wide.channels * s.oc;
  const index bytes = wide.pixels() * static_cast<index>(sizeof(T)),
              together = min_of(planes.n, max_of<index>(1, wide_bytes / bytes));
  Scratch scratch(room<T>(taps) + room<T>(together * wide.pixels()));
  if (!scratch) return false;
  T* made = take<T>(scratch, taps);
  T* pixels = take<T>(scratch, together * wide.pixels());
  widen_weights(s, wide, w + planes.tap * s.kh * s.kw * s.c * s.oc, made);
  const Weights<T> weights{made, wide.kw * wide.channels * s.oc, wide.channels * s.oc, 1, s.oc};
  const T* ready = nullptr;
  for (index first = 0; first < planes.n; first += together) {
    const Walk walk = wide.walk(s, min_of(together, planes.n - first), planes.y_step);
    if (!convolve(walk, s.oc, panels_of<T>(walk, wide.channels),
                  g + planes.y + first * planes.y_step, weights, ready, false, Ends<T>(Ending{}),
                  pixels, threads))
      return false;
    parallel_for(walk.n * s.h, threads, [&](index r, int) {
      const index image = r / s.h, h = r % s.h;
      T* to = dx + planes.x + (first + image) * planes.x_step + h * s.w * s.c;
      if (!spread_row(s, wide, pixels + image * wide.pixels(), h, !s.flat(), to) && !wide.exact(s))
        __atomic_store_n(numbers, false, __ATOMIC_RELAXED);
    });
  }
  return true;
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
