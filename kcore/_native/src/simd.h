// Vectors of T, as wide as the level being compiled, and the few helpers all kernels share.
//
// All of it lives in the level's namespace, and none of it uses templates of the standard
// library: the linker keeps one copy of an inline function for the whole module, and if it kept
// the AVX-512 copy of std::min, older CPUs would run it.
#pragma once

#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "core.h"

namespace kcore {
namespace KCORE_LEVEL {

template <class T>
struct Simd {
  static constexpr index lanes = KCORE_VECTOR_BYTES / sizeof(T);
  typedef T V __attribute__((vector_size(KCORE_VECTOR_BYTES)));
  typedef T Unaligned __attribute__((vector_size(KCORE_VECTOR_BYTES), aligned(sizeof(T))));
};
template <class T>
using Vec = typename Simd<T>::V;

// Integer vectors of the same shape: what comparing vectors of T gives.
template <class T>
struct Bits;
template <>
struct Bits<float> {
  typedef std::int32_t V __attribute__((vector_size(KCORE_VECTOR_BYTES)));
  typedef std::uint32_t U __attribute__((vector_size(KCORE_VECTOR_BYTES)));
  typedef std::uint32_t Word;
};
template <>
struct Bits<double> {
  typedef std::int64_t V __attribute__((vector_size(KCORE_VECTOR_BYTES)));
  typedef std::uint64_t U __attribute__((vector_size(KCORE_VECTOR_BYTES)));
  typedef std::uint64_t Word;
};

#define KCORE_INLINE static inline __attribute__((always_inline))
#define KCORE_INLINE_MEMBER inline __attribute__((always_inline))
// Behind the parameters of a lambda that is called for each vector, from several places: GCC would make of it
// a function that loads its constants in every call.
#define KCORE_INLINE_LAMBDA __attribute__((always_inline))

template <class A>
KCORE_INLINE constexpr A min_of(A a, A b) {
  return b < a ? b : a;
}
template <class A>
KCORE_INLINE constexpr A max_of(A a, A b) {
  return a < b ? b : a;
}
KCORE_INLINE constexpr index ceil_div(index a, index b) { return (a + b - 1) / b; }
KCORE_INLINE constexpr index round_up(index a, index b) { return ceil_div(a, b) * b; }
// Division towards minus infinity, for offsets that may be negative; b > 0.
KCORE_INLINE constexpr index floor_div(index a, index b) {
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

template <class T>
KCORE_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Simd<T>::Unaligned*>(p);
}
template <class T>
KCORE_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Simd<T>::Unaligned*>(p) = v;
}
// x - 0 is x for every x, so the compiler drops the subtraction; 0 + x loses -0 and stays.
template <class T>
KCORE_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

// The first n of a vector's lanes, 0 <= n < lanes; `fill` in the others.
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
KCORE_INLINE Vec<float> load_part(const float* p, index n, float fill = 0) {
  return (Vec<float>)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), (__mmask16)((1u << n) - 1), p);
}
KCORE_INLINE Vec<double> load_part(const double* p, index n, double fill = 0) {
  return (Vec<double>)_mm512_mask_loadu_pd(_mm512_set1_pd(fill), (__mmask8)((1u << n) - 1), p);
}
KCORE_INLINE void store_part(float* p, index n, Vec<float> v) {
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
KCORE_INLINE void store_part(double* p, index n, Vec<double> v) {
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
}
#else
template <class T>
KCORE_INLINE Vec<T> load_part(const T* p, index n, T fill = 0) {
  T lanes[Simd<T>::lanes];
  for (index i = 0; i < Simd<T>::lanes; ++i) lanes[i] = i < n ? p[i] : fill;
  return load(lanes);
}
template <class T>
KCORE_INLINE void store_part(T* p, index n, Vec<T> v) {
  T lanes[Simd<T>::lanes];
  store(lanes, v);
  for (index i = 0; i < n; ++i) p[i] = lanes[i];
}
#endif

// Results larger than a last-level cache go past it: the line that a plain store fetches first
// would be one more stream from memory.
constexpr index streamed_bytes = index{32} << 20;

// Stores that go past the caches, to an aligned place; fenced once they are done.
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
KCORE_INLINE void stream(float* p, Vec<float> v) { _mm512_stream_ps(p, (__m512)v); }
KCORE_INLINE void stream(double* p, Vec<double> v) { _mm512_stream_pd(p, (__m512d)v); }
#elif KCORE_VECTOR_BYTES == 32 && defined(__AVX__)
KCORE_INLINE void stream(float* p, Vec<float> v) { _mm256_stream_ps(p, (__m256)v); }
KCORE_INLINE void stream(double* p, Vec<double> v) { _mm256_stream_pd(p, (__m256d)v); }
#elif KCORE_VECTOR_BYTES == 16 && defined(__SSE2__)
KCORE_INLINE void stream(float* p, Vec<float> v) { _mm_stream_ps(p, (__m128)v); }
KCORE_INLINE void stream(double* p, Vec<double> v) { _mm_stream_pd(p, (__m128d)v); }
#else
template <class T>
KCORE_INLINE void stream(T* p, Vec<T> v) {
  store(p, v);
}
#endif
KCORE_INLINE void stream_fence() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

// One walk for both cases: f(offset, Whole or Part(n)), so a body is written once.
struct Whole {
  template <class T>
  KCORE_INLINE_MEMBER Vec<T> get(const T* p, T = 0) const {
    return load(p);
  }
  template <class T>
  KCORE_INLINE_MEMBER void put(T* p, Vec<T> v) const {
    store(p, v);
  }
};
struct Part {
  index n;
  template <class T>
  KCORE_INLINE_MEMBER Vec<T> get(const T* p, T fill = 0) const {
    return load_part(p, n, fill);
  }
  template <class T>
  KCORE_INLINE_MEMBER void put(T* p, Vec<T> v) const {
    store_part(p, n, v);
  }
};
template <class T>
KCORE_INLINE index lanes_of(Whole) {
  return Simd<T>::lanes;
}
template <class T>
KCORE_INLINE index lanes_of(Part part) {
  return part.n;
}
template <class T, class F>
KCORE_INLINE void over_lanes(index begin, index end, F&& f) {
  index i = begin;
  for (; i + Simd<T>::lanes <= end; i += Simd<T>::lanes) f(i, Whole{});
  if (i < end) f(i, Part{end - i});
}

// Bit k says whether lane k of a comparison is true.
template <class T>
KCORE_INLINE std::uint32_t bits_of(typename Bits<T>::V found) {
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512DQ__)
  if constexpr (sizeof(T) == 4)
    return _mm512_movepi32_mask((__m512i)found);
  else
    return _mm512_movepi64_mask((__m512i)found);
#elif KCORE_VECTOR_BYTES == 32 && defined(__AVX__)
  if constexpr (sizeof(T) == 4)
    return _mm256_movemask_ps((__m256)found);
  else
    return _mm256_movemask_pd((__m256d)found);
#elif KCORE_VECTOR_BYTES == 16 && defined(__SSE2__)
  if constexpr (sizeof(T) == 4)
    return _mm_movemask_ps((__m128)found);
  else
    return _mm_movemask_pd((__m128d)found);
#else
  std::uint32_t bits = 0;
  for (index k = 0; k < Simd<T>::lanes; ++k) bits |= static_cast<std::uint32_t>(found[k] & 1) << k;
  return bits;
#endif
}
// v where the bits from bit i on are set, else 0, for a lane each; `i` is a multiple of the lanes.
template <class T, class P>
KCORE_INLINE Vec<T> where_bits(const unsigned char* bits, index i, P part, Vec<T> v) {
  typedef typename Bits<T>::Word Word;
  Word word = 0;
  for (index at = 0; at < lanes_of<T>(part); at += 8) word |= static_cast<Word>(bits[(i + at) / 8]) << at;
  word >>= i % 8;
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_mov_ps(static_cast<__mmask16>(word), (__m512)v);
  else
    return (Vec<T>)_mm512_maskz_mov_pd(static_cast<__mmask8>(word), (__m512d)v);
#else
  typedef typename Bits<T>::U Uint;
  Uint mine;
  for (index lane = 0; lane < Simd<T>::lanes; ++lane) mine[lane] = Word{1} << lane;
  return (Vec<T>)((Uint)v & (Uint)(((word - Uint{}) & mine) != 0));
#endif
}

// Walks [0, end) `most` vectors at a time, so that memory is read and written in longer pieces, and the
// rest one by one: f(offset, vectors, Whole or Part).
template <int n>
struct Vectors {
  static constexpr int count = n;
};
template <class T, int most, class F>
KCORE_INLINE void over_vectors(index end, F&& f) {
  constexpr index step = most * Simd<T>::lanes;
  index i = 0;
  for (; i + step <= end; i += step) f(i, Vectors<most>{}, Whole{});
  if constexpr (most > 4)
    for (; i + step / 2 <= end; i += step / 2) f(i, Vectors<most / 2>{}, Whole{});
  over_lanes<T>(i, end, [&](index at, auto part) { f(at, Vectors<1>{}, part); });
}

// Joins the lanes by halves: four steps for sixteen lanes, where one by one takes fifteen.
template <class A, class T, class F>
KCORE_INLINE A fold_lanes(Vec<T> v, F&& join) {
  A lanes[Simd<T>::lanes];
#pragma GCC unroll 16
  for (index i = 0; i < Simd<T>::lanes; ++i) lanes[i] = v[i];
#pragma GCC unroll 4
  for (index half = Simd<T>::lanes / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (index i = 0; i < half; ++i) lanes[i] = join(lanes[i], lanes[i + half]);
  return lanes[0];
}
// The sum of the lanes in double, each half added to the other, and so on.
template <class T>
KCORE_INLINE double sum_lanes(Vec<T> v) {
  typedef double Wide __attribute__((vector_size(Simd<T>::lanes * sizeof(double))));
  typedef double Half __attribute__((vector_size(Simd<T>::lanes * sizeof(double) / 2)));
  union {
    Wide whole;
    Half halves[2];
    double lanes[Simd<T>::lanes];
  } x;
  x.whole = __builtin_convertvector(v, Wide);
  union {
    Half whole;
    double lanes[Simd<T>::lanes / 2];
  } y;
  y.whole = x.halves[0] + x.halves[1];
#pragma GCC unroll 4
  for (index half = Simd<T>::lanes / 4; half > 0; half /= 2)
#pragma GCC unroll 8
    for (index i = 0; i < half; ++i) y.lanes[i] += y.lanes[i + half];
  return y.lanes[0];
}

// A piece of working memory for `count` elements, and the bytes that it takes.
template <class T>
KCORE_INLINE T* take(Scratch& scratch, index count) {
  return static_cast<T*>(scratch.take(static_cast<std::size_t>(count) * sizeof(T)));
}
template <class T>
KCORE_INLINE std::size_t room(index count) {
  return (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
}

// Calls f(i, slot) for every i < n; slot < threads tells apart what runs at the same time.
template <class F>
KCORE_INLINE void parallel_for(index n, int threads, F&& f) {
#ifdef _OPENMP
  if (threads > 1 && n > 1) {
    const int team = static_cast<int>(min_of<index>(n, threads));
#pragma omp parallel for schedule(dynamic, 1) num_threads(team)
    for (index i = 0; i < n; ++i) f(i, omp_get_thread_num());
    return;
  }
#endif
  for (index i = 0; i < n; ++i) f(i, 0);
}

// Calls f(begin, end) on blocks of [0, n). The blocks do not depend on the thread count.
template <class F>
KCORE_INLINE void parallel_blocks(index n, index block, int threads, F&& f) {
  parallel_for(ceil_div(n, block), threads,
               [&](index b, int) { f(b * block, min_of(n, (b + 1) * block)); });
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
