// 16-bit floats as float32 and back. Plain loops on bits, which the compiler vectorizes, but where the
// level has instructions for float16; those keep subnormal numbers, as the loops do.
#include "api/half.h"
#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index half_block = 16384;

KCORE_INLINE std::uint32_t bits_of(float x) {
  std::uint32_t u;
  std::memcpy(&u, &x, sizeof u);
  return u;
}
KCORE_INLINE float from_bits(std::uint32_t u) {
  float x;
  std::memcpy(&x, &u, sizeof x);
  return x;
}

// bfloat16 is the upper half of a float32.
KCORE_INLINE float from_brain(std::uint16_t x) { return from_bits(std::uint32_t{x} << 16); }
KCORE_INLINE std::uint16_t to_brain(float x) {
  const std::uint32_t u = bits_of(x);
  const std::uint32_t rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
  const std::uint32_t quiet = ((u >> 16) & 0x8000) | 0x7fc0;
  return static_cast<std::uint16_t>((u & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

// The exponent and fraction of a float16, 13 bits up, are those of a float32 that is 2^112 times too
// small, subnormal numbers too.
KCORE_INLINE float from_half(std::uint16_t x) {
  const std::uint32_t sign = std::uint32_t{x & 0x8000u} << 16, rest = x & 0x7fffu;
  const std::uint32_t scaled = bits_of(from_bits(rest << 13) * 0x1p112f);
  return from_bits(sign | (rest >= 0x7c00 ? 0x7f800000u | (rest << 13) : scaled));
}
// Adding 0.5 to what becomes subnormal rounds it to a multiple of 2^-24 and leaves that many in the
// low bits; for the others an addition to the bits rounds, carries into the exponent and all.
KCORE_INLINE std::uint16_t to_half(float x) {
  const std::uint32_t u = bits_of(x), rest = u & 0x7fffffff;
  const std::uint32_t below = bits_of(from_bits(rest) + 0.5f) - 0x3f000000;
  const std::uint32_t normal = (rest + 0xc8000fff + ((rest >> 13) & 1)) >> 13;
  const std::uint32_t special = rest > 0x7f800000 ? 0x7e00 : 0x7c00;
  const std::uint32_t y = rest >= 0x477ff000 ? special : rest < 0x38800000 ? below : normal;
  return static_cast<std::uint16_t>(((u >> 16) & 0x8000) | y);
}

#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
constexpr index half_lanes = 16;
KCORE_INLINE void widen_vector(const std::uint16_t* x, float* y) {
  _mm512_storeu_ps(y, _mm512_maskz_cvtph_ps(
                          0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x))));
}
KCORE_INLINE void narrow_vector(const float* x, std::uint16_t* y) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y),
                      _mm512_maskz_cvtps_ph(0xffff, _mm512_loadu_ps(x),
                                            _MM_FROUND_TO_NEAREST_INT));
}
#elif KCORE_VECTOR_BYTES == 32 && defined(__F16C__)
constexpr index half_lanes = 8;
KCORE_INLINE void widen_vector(const std::uint16_t* x, float* y) {
  _mm256_storeu_ps(y, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x))));
}
KCORE_INLINE void narrow_vector(const float* x, std::uint16_t* y) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(y),
                   _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT));
}
#else
constexpr index half_lanes = 1;
KCORE_INLINE void widen_vector(const std::uint16_t* x, float* y) { *y = from_half(*x); }
KCORE_INLINE void narrow_vector(const float* x, std::uint16_t* y) { *y = to_half(*x); }
#endif

static void widen(bool brain, index size, const std::uint16_t* x, float* y, int threads) {
  parallel_blocks(size, half_block, threads, [&](index begin, index end) {
    index i = begin;
    if (brain) {
#pragma GCC ivdep
      for (; i < end; ++i) y[i] = from_brain(x[i]);
    } else {
      for (; i + half_lanes <= end; i += half_lanes) widen_vector(x + i, y + i);
      for (; i < end; ++i) y[i] = from_half(x[i]);
    }
  });
}

static void narrow(bool brain, index size, const float* x, std::uint16_t* y, int threads) {
  parallel_blocks(size, half_block, threads, [&](index begin, index end) {
    index i = begin;
    if (brain) {
#pragma GCC ivdep
      for (; i < end; ++i) y[i] = to_brain(x[i]);
    } else {
      for (; i + half_lanes <= end; i += half_lanes) narrow_vector(x + i, y + i);
      for (; i < end; ++i) y[i] = to_half(x[i]);
    }
  });
}

extern const Halves halves;
const Halves halves = {widen, narrow};

}  // namespace KCORE_LEVEL
}  // namespace kcore
