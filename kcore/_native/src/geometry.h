// How a convolution, and each part of its input gradient, walks over its input.
#pragma once

#include "api/conv.h"
#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

// out[n, r, q] = sum over a < kh, b < kw of in[n, r*sh + a*dh - pt, q*sw + b*dw - pl] . w[a, b],
// where `in` counts as zero outside h x w. Paddings may be negative.
struct Walk {
  index n, h, w;
  index in_n, pixel;  // elements from one image of the input to the next, and from pixel to pixel
  index kh, kw, sh, sw, dh, dw, pt, pl;
  index oh, ow;
  index out_n, out_h, out_w;  // output strides, in elements

  index span_h() const { return (kh - 1) * dh + 1; }
  index span_w() const { return (kw - 1) * dw + 1; }
  bool padded() const {
    return pt > 0 || pl > 0 || (oh - 1) * sh + span_h() - pt > h ||
           (ow - 1) * sw + span_w() - pl > w;
  }
};

// Taps first .. last of `taps` that keep `start + tap * dilation` inside [0, size).
struct Taps {
  index first, last;
  Taps(index start, index dilation, index taps, index size) {
    first = start >= 0 ? 0 : min_of(taps, ceil_div(-start, dilation));
    last = start >= size ? first : max_of(first, min_of(taps, ceil_div(size - start, dilation)));
  }
  KCORE_INLINE_MEMBER bool has(index tap) const { return tap >= first && tap < last; }
};

// The output columns low .. high where taps b .. b + count of a kernel row all fall inside.
struct Inside {
  index low, high;
  Inside(index first, index end) : low(first), high(end) {}
  Inside(const Walk& walk, index b, index count) : low(0), high(walk.ow) {
    for (index i = 0; i < count; ++i) {
      const index start = (b + i) * walk.dw - walk.pl;  // columns q with 0 <= q * sw + start < w
      low = max_of(low, start >= 0 ? 0 : ceil_div(-start, walk.sw));
      high = min_of(high, floor_div(walk.w - 1 - start, walk.sw) + 1);
    }
    high = max_of(low, high);
  }
};

// Volumes are walked plane by plane: a tap of the kernel's depth meets some of the planes of x and
// as many of y, evenly spaced. `n` of them in a row, the first, and the elements to the next.
struct Planes {
  index n, tap;
  index x, x_step, y, y_step;
};

// Calls f(planes) for each tap and image whose planes meet; for flat images once, with all of them.
template <class F>
void over_planes(const Conv& s, F&& f) {
  const index x_plane = s.h * s.w * s.c, y_plane = s.oh * s.ow * s.oc;
  if (s.flat()) {
    f(Planes{s.n * s.d, 0, 0, x_plane, 0, y_plane});
    return;
  }
  for (index tap = 0; tap < s.kd; ++tap) {
    const index start = tap * s.dd - s.pf;  // plane j of y meets plane j * sd + start of x
    const index first = start >= 0 ? 0 : ceil_div(-start, s.sd);
    const index last = min_of(s.od, floor_div(s.d - 1 - start, s.sd) + 1);
    if (first >= last) continue;
    for (index n = 0; n < s.n; ++n)
      f(Planes{last - first, tap, (n * s.d + first * s.sd + start) * x_plane, s.sd * x_plane,
               (n * s.od + first) * y_plane, y_plane});
  }
}

inline Walk forward_walk(const Conv& s, const Planes& planes) {
  return {planes.n, s.h,  s.w,  planes.x_step, s.c,  s.kh, s.kw,          s.sh,        s.sw,
          s.dh,     s.dw, s.pt, s.pl,          s.oh, s.ow, planes.y_step, s.ow * s.oc, s.oc};
}

// The input gradient of a strided convolution falls apart into phases: the rows i of x with
// (i + pad) % stride == phase meet only the kernel rows k with k * dilation % stride == phase,
// and they meet them as in a convolution of g with stride 1. One dimension of that:
struct Phase {
  index taps, tap, tap_step;  // how many, the first (kernel order reversed), to the next (< 0)
  index dilation, pad;        // of the convolution over g
  index size, first, step;    // the rows of x it gives: how many, the first, to the next
};

inline Phase phase_of(index phase, index stride, index dilation, index pad, index kernel,
                      index size) {
  Phase p{};
  index common = stride, rest = dilation;
  while (rest) {
    const index next = common % rest;
    common = rest;
    rest = next;
  }
  const index step = stride / common;
  index tap = 0;
  while (tap < min_of(kernel, stride) && tap * dilation % stride != phase) ++tap;
  p.taps = tap < min_of(kernel, stride) ? ceil_div(kernel - tap, step) : 0;
  p.tap = tap + (p.taps - 1) * step;
  p.tap_step = -step;
  p.dilation = dilation / common;
  // Row i = phase - pad + stride * q, so q starts where i reaches 0 and ends before i = size.
  const index q0 = -floor_div(phase - pad, stride);
  const index q1 = floor_div(size - 1 + pad - phase, stride) + 1;
  p.size = max_of<index>(0, q1 - q0);
  p.first = phase - pad + stride * q0;
  p.step = stride;
  p.pad = (p.taps - 1) * p.dilation + floor_div(tap * dilation - phase, stride) - q0;
  return p;
}

// Calls f(walk, row, column) for each pair of phases: `walk` reads g and writes x's gradient from
// pixel (row.first, column.first) on. Without taps there is nothing to sum, and f is not called.
template <class F>
void over_phases(const Conv& s, const Planes& planes, F&& f) {
  for (index a = 0; a < s.sh; ++a) {
    const Phase row = phase_of(a, s.sh, s.dh, s.pt, s.kh, s.h);
    for (index b = 0; b < s.sw; ++b) {
      const Phase col = phase_of(b, s.sw, s.dw, s.pl, s.kw, s.w);
      if (row.taps <= 0 || col.taps <= 0 || row.size <= 0 || col.size <= 0) continue;
      const Walk walk{planes.n,
                      s.oh,
                      s.ow,
                      planes.y_step,
                      s.oc,
                      row.taps,
                      col.taps,
                      1,
                      1,
                      row.dilation,
                      col.dilation,
                      row.pad,
                      col.pad,
                      row.size,
                      col.size,
                      planes.x_step,
                      row.step * s.w * s.c,
                      col.step * s.c};
      f(walk, row, col);
    }
  }
}

// Whether some pixels of the input may meet no kernel tap at all, so that over_phases leaves them
// out.
inline bool has_empty_phase(const Conv& s) {
  if (!s.flat()) return true;
  for (index a = 0; a < s.sh; ++a)
    if (phase_of(a, s.sh, s.dh, s.pt, s.kh, s.h).taps <= 0) return true;
  for (index b = 0; b < s.sw; ++b)
    if (phase_of(b, s.sw, s.dw, s.pl, s.kw, s.w).taps <= 0) return true;
  return false;
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
