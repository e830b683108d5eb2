// An axis resampled: each new element is a weighted sum of a few neighbouring ones.
#include "api/resample.h"

#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

// to[j] = sum over k < count of w[k] * from[k * stride + j].
template <class T, index count>
KCORE_INLINE void mix_few(index width, const T* from, index stride, const T* w, T* to) {
  Vec<T> weight[count];
#pragma GCC unroll 6
  for (index k = 0; k < count; ++k) weight[k] = broadcast(w[k]);
  over_lanes<T>(0, width, [&](index j, auto part) {
    Vec<T> sum = part.get(from + j) * weight[0];
#pragma GCC unroll 6
    for (index k = 1; k < count; ++k) sum += part.get(from + k * stride + j) * weight[k];
    part.put(to + j, sum);
  });
}
template <class T>
void mix(index count, index width, const T* from, index stride, const T* w, T* to) {
  switch (count) {
    case 1:
      return mix_few<T, 1>(width, from, stride, w, to);
    case 2:
      return mix_few<T, 2>(width, from, stride, w, to);
    case 3:
      return mix_few<T, 3>(width, from, stride, w, to);
    case 4:
      return mix_few<T, 4>(width, from, stride, w, to);
    case 6:
      return mix_few<T, 6>(width, from, stride, w, to);
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

template <class T>
void banded(index outer, index n, index out, index inner, const T* x, const std::int32_t* spans,
            const T* weights, index taps, T* y, int threads) {
  const index together = max_of<index>(1, (index{1} << 14) / (inner * max_of<index>(taps, 1)));
  const index pieces = ceil_div(out, together);
  // Whole rows where they are short: x is walked in order.
  const index rows = max_of<index>(1, together / out);
  const auto piece = [&](index o, index first, index last) {
    const T* from = x + o * n * inner;
    T* to = y + o * out * inner;
    for (index i = first; i < last; ++i) {
      const index start = spans[2 * i], count = spans[2 * i + 1];
      const T* w = weights + i * taps;
      if (inner == 1)
        mix_narrow<T, 1>(count, from + start, w, to + i);
      else if (inner == 3)
        mix_narrow<T, 3>(count, from + 3 * start, w, to + 3 * i);
      else
        mix(count, inner, from + start * inner, inner, w, to + i * inner);
    }
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

KCORE_EXPORT(resample, ResampleKernels, KCORE_RESAMPLE_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
