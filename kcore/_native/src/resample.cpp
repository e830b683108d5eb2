// An axis resampled: each new element is a weighted sum of a few neighbouring ones.
#include "api/resample.h"

#include "fill.h"

namespace kcore {
namespace KCORE_LEVEL {

// Whole vectors that go past the caches.
struct Past : Whole {
  template <class T>
  KCORE_INLINE_MEMBER void put(T* p, Vec<T> v) const {
    stream(p, v);
  }
};

// to[j] = sum over k < count of w[k] * from[k * stride + j]; whole vectors, past the caches, if `streamed`.
template <class T, index count>
KCORE_INLINE void mix_few(index width, const T* from, index stride, const T* w, T* to, bool streamed) {
  Vec<T> weight[count];
#pragma GCC unroll 6
  for (index k = 0; k < count; ++k) weight[k] = broadcast(w[k]);
  const auto one = [&](index j, auto part) KCORE_INLINE_LAMBDA {
    Vec<T> sum = part.get(from + j) * weight[0];
#pragma GCC unroll 6
    for (index k = 1; k < count; ++k) sum += part.get(from + k * stride + j) * weight[k];
    part.put(to + j, sum);
  };
  if (streamed)
    for (index j = 0; j < width; j += Simd<T>::lanes) one(j, Past{});
  else
    over_lanes<T>(0, width, one);
}
template <class T>
void mix(index count, index width, const T* from, index stride, const T* w, T* to, bool streamed = false) {
  switch (count) {
    case 1:
      return mix_few<T, 1>(width, from, stride, w, to, streamed);
    case 2:
      return mix_few<T, 2>(width, from, stride, w, to, streamed);
    case 3:
      return mix_few<T, 3>(width, from, stride, w, to, streamed);
    case 4:
      return mix_few<T, 4>(width, from, stride, w, to, streamed);
    case 6:
      return mix_few<T, 6>(width, from, stride, w, to, streamed);
  }
  over_lanes<T>(0, width, [&](index j, auto part) {
    Vec<T> sum{};
    for (index k = 0; k < count; ++k) sum += part.get(from + k * stride + j) * w[k];
    part.put(to + j, sum);
  });
}

// The same for one element, or three of a pixel: vectors would be nearly empty.
template <class T, index width>
KCORE_INLINE void mix_narrow(index count, const T* from, const T* w, T* to) {
  T sums[width] = {};
  for (index k = 0; k < count; ++k)
#pragma GCC unroll 4
    for (index j = 0; j < width; ++j) sums[j] += from[k * width + j] * w[k];
#pragma GCC unroll 4
  for (index j = 0; j < width; ++j) to[j] = sums[j];
}

// Rows [first, last) of the band, for an axis of pixels of `inner` elements.
template <class T>
void mix_pixels(index first, index last, index inner, const T* from, const Band<T>& band, T* to, bool streamed = false) {
  for (index i = first; i < last; ++i) {
    const index start = band.spans[2 * i], count = band.spans[2 * i + 1];
    const T* w = band.weights + i * band.taps;
    if (inner == 1)
      mix_narrow<T, 1>(count, from + start, w, to + i);
    else if (inner == 3)
      mix_narrow<T, 3>(count, from + 3 * start, w, to + 3 * i);
    else
      mix(count, inner, from + start * inner, inner, w, to + i * inner, streamed);
  }
}

// Elements that a task writes.
constexpr index resampled_block = index{1} << 14;

template <class T>
void banded(index outer, index n, index out, index inner, const T* x, const std::int32_t* spans,
            const T* weights, index taps, T* y, int threads) {
  const Band<T> band{spans, weights, taps};
  const index together = max_of<index>(1, resampled_block / (inner * max_of<index>(taps, 1)));
  const index pieces = ceil_div(out, together);
  // Whole rows where they are short: x is walked in order.
  const index rows = max_of<index>(1, together / out);
  const auto piece = [&](index o, index first, index last) {
    mix_pixels(first, last, inner, x + o * n * inner, band, y + o * out * inner);
  };
  if (pieces == 1)
    parallel_blocks(outer, rows, threads, [&](index begin, index end) {
      for (index o = begin; o < end; ++o) piece(o, 0, out);
    });
  else
    parallel_for(outer * pieces, threads, [&](index t, int) {
      const index first = t % pieces * together;
      piece(t / pieces, first, min_of(out, first + together));
    });
}

// A row of the result at a time: the rows of x that it is made of are mixed, and then the pixels of that one.
template <class T>
bool banded_planes(index outer, index n, index m, index out, index out_m, index inner, const T* x,
                   const std::int32_t* spans, const T* weights, index taps, const std::int32_t* next_spans,
                   const T* next_weights, index next_taps, T* y, int threads) {
  const Band<T> across{next_spans, next_weights, next_taps};
  const index row = m * inner, out_row = out_m * inner;
  const int team = threads < 1 ? 1 : threads;
  const index apart = static_cast<index>(room<T>(row) / sizeof(T));
  Scratch scratch(room<T>(apart * team));
  if (!scratch) return false;
  T* mixed = take<T>(scratch, apart * team);
  // A result that takes half of a last-level cache, beside x, would not stay in it.
  const bool streamed = inner % Simd<T>::lanes == 0 && is_streamed(2 * outer * out * out_row, y);
  const index together = max_of<index>(1, resampled_block / out_row);
  parallel_for(ceil_div(outer * out, together), threads, [&](index task, int slot) {
    T* const one = mixed + slot * apart;
    for (index r = task * together; r < min_of(outer * out, (task + 1) * together); ++r) {
      const index o = r / out, i = r % out, count = spans[2 * i + 1];
      const T* from = x + (o * n + spans[2 * i]) * row;
      const T* w = weights + i * taps;
      if (count != 1 || w[0] != 1) {
        mix(count, row, from, row, w, one);
        from = one;
      }
      mix_pixels(0, out_m, inner, from, across, y + r * out_row, streamed);
    }
    stream_fence();
  });
  return true;
}

KCORE_EXPORT(resample, ResampleKernels, KCORE_RESAMPLE_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
