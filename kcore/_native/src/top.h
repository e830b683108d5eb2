// The k greatest of each row, in order.
#pragma once

#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

template <class T>
struct Ranked {
  T value;
  std::int32_t place;
  // nan ranks above any number, and of equal ones the first.
  bool above(const Ranked& other) const {
    const bool own_nan = value != value, its_nan = other.value != other.value;
    if (own_nan != its_nan) return own_nan;
    if (!own_nan && value != other.value) return value > other.value;
    return place < other.place;
  }
};

// Lets `entry` sink from the root of a heap of n, whose root ranks lowest.
template <class T>
void sink(Ranked<T>* heap, index n, Ranked<T> entry, index at) {
  for (;;) {
    index child = 2 * at + 1;
    if (child >= n) break;
    if (child + 1 < n && heap[child].above(heap[child + 1])) ++child;
    if (!entry.above(heap[child])) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = entry;
}

// Whether any of four vectors has an element above the limit, or nan.
template <class T>
KCORE_INLINE bool any_above(const T* x, T limit) {
  constexpr index lanes = Simd<T>::lanes;
  const Vec<T> most = broadcast(limit);
  const auto beyond = [&](index i) { return ~(load(x + i * lanes) <= most); };
  const auto found = (beyond(0) | beyond(1)) | (beyond(2) | beyond(3));
  std::int64_t words[KCORE_VECTOR_BYTES / 8];
  std::memcpy(words, &found, sizeof words);
  std::int64_t all = 0;
#pragma GCC unroll 8
  for (index i = 0; i < KCORE_VECTOR_BYTES / 8; ++i) all |= words[i];
  return all != 0;
}

template <class T>
bool top(index rows, index cols, index k, const T* x, T* values, std::int32_t* places,
         int threads) {
  constexpr index four = 4 * Simd<T>::lanes;
  const int team = threads < 1 ? 1 : threads;
  const index stride = static_cast<index>(room<Ranked<T>>(k) / sizeof(Ranked<T>));
  Scratch scratch(room<Ranked<T>>(stride) * team);
  if (!scratch) return false;
  Ranked<T>* heaps = take<Ranked<T>>(scratch, stride * team);
  const index together = max_of<index>(1, (index{1} << 14) / cols);
  parallel_for(ceil_div(rows, together), threads, [&](index piece, int slot) {
    Ranked<T>* heap = heaps + slot * stride;
    for (index r = piece * together; r < min_of(rows, (piece + 1) * together); ++r) {
      const T* row = x + r * cols;
      const auto entry = [&](index i) { return Ranked<T>{row[i], static_cast<std::int32_t>(i)}; };
      for (index i = 0; i < k; ++i) heap[i] = entry(i);
      for (index i = k / 2; i-- > 0;) sink(heap, k, heap[i], i);
      for (index i = k; i < cols;) {
        if (i + four <= cols && !any_above(row + i, heap[0].value)) {
          i += four;
          continue;
        }
        for (const index end = min_of(cols, i + four); i < end; ++i)
          if (!(row[i] <= heap[0].value) && entry(i).above(heap[0])) sink(heap, k, entry(i), 0);
      }
      for (index n = k; n-- > 0;) {
        const Ranked<T> lowest = heap[0];
        sink(heap, n, heap[n], 0);
        values[r * k + n] = lowest.value;
        places[r * k + n] = lowest.place;
      }
    }
  });
  return true;
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
