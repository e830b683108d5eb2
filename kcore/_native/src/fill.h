// Writes of flat results, vector by vector.
#pragma once

#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

// Whether results of that size go past the caches, which takes an aligned place.
template <class T>
KCORE_INLINE bool is_streamed(index size, const T* y) {
  return size * static_cast<index>(sizeof(T)) >= streamed_bytes &&
         reinterpret_cast<std::uintptr_t>(y) % KCORE_VECTOR_BYTES == 0;
}

// y[i...] = f(i, part) for the vectors of [begin, end), where `begin` is a multiple of their lanes. `f` is a lambda with
// KCORE_INLINE_LAMBDA.
template <class T, class F>
KCORE_INLINE void fill_vectors(index begin, index end, T* y, bool streamed, F&& f) {
  index i = begin;
  constexpr index lanes = Simd<T>::lanes;
  if (streamed) {
    for (; i + lanes <= end; i += lanes) stream(y + i, f(i, Whole{}));
    stream_fence();
  } else {
    for (; i + lanes <= end; i += lanes) store(y + i, f(i, Whole{}));
  }
  if (i < end) store_part(y + i, end - i, f(i, Part{end - i}));
}

constexpr index fill_block = 8192;
// The same for all of [0, size).
template <class T, class F>
KCORE_INLINE void fill_flat(index size, T* y, int threads, F&& f) {
  const bool streamed = is_streamed(size, y);
  parallel_blocks(size, fill_block, threads,
                  [&](index begin, index end) { fill_vectors(begin, end, y, streamed, f); });
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
