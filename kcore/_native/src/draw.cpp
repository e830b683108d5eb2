// Random numbers: Threefry 2x32 with 20 rounds on the counters 0, 1, 2...
//
// Plain loops: the compiler vectorizes them for the level at hand.
#include "api/draw.h"
#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index draw_block = 16384;  // divides 2^32, so a block's counters share their high word

struct Pair {
  std::uint32_t a, b;
};

KCORE_INLINE void turn(Pair& x, int by) {
  x.a += x.b;
  x.b = ((x.b << by) | (x.b >> (32 - by))) ^ x.a;
}

KCORE_INLINE void four_turns(Pair& x, int by0, int by1, int by2, int by3, std::uint32_t key_a,
                             std::uint32_t key_b) {
  turn(x, by0);
  turn(x, by1);
  turn(x, by2);
  turn(x, by3);
  x.a += key_a;
  x.b += key_b;
}

// The cipher of a counter that has the first two key words added.
KCORE_INLINE Pair cipher(Pair x, std::uint32_t k0, std::uint32_t k1, std::uint32_t k2) {
  four_turns(x, 13, 15, 26, 6, k1, k2 + 1);
  four_turns(x, 17, 29, 16, 24, k2, k0 + 2);
  four_turns(x, 13, 15, 26, 6, k0, k1 + 3);
  four_turns(x, 17, 29, 16, 24, k1, k2 + 4);
  four_turns(x, 13, 15, 26, 6, k2, k0 + 5);
  return x;
}

// store(i, words) for the counters begin + i. They share their high word.
template <class Store>
KCORE_INLINE void block_ciphers(std::uint32_t k0, std::uint32_t k1, index begin, index count,
                                Store store) {
  const std::uint64_t first = static_cast<std::uint64_t>(begin);
  const std::uint32_t k2 = k0 ^ k1 ^ 0x1BD11BDAu;
  const std::uint32_t high = k0 + static_cast<std::uint32_t>(first >> 32);
  const std::uint32_t low = k1 + static_cast<std::uint32_t>(first);
#pragma GCC ivdep
  for (index i = 0; i < count; ++i)
    store(i, cipher(Pair{high, low + static_cast<std::uint32_t>(i)}, k0, k1, k2));
}

template <class Store>
KCORE_INLINE void ciphers(std::uint32_t k0, std::uint32_t k1, index size, int threads,
                          Store store) {
  parallel_blocks(size, draw_block, threads, [&](index begin, index end) {
    block_ciphers(k0, k1, begin, end - begin, [&](index i, Pair x) { store(begin + i, x); });
  });
}

inline void draw_words(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t* out,
                       int threads) {
  ciphers(k0, k1, size, threads, [out](index i, Pair x) {
    out[2 * i] = x.a;
    out[2 * i + 1] = x.b;
  });
}

inline void draw_bits(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t* out,
                      int threads) {
  ciphers(k0, k1, size, threads, [out](index i, Pair x) { out[i] = x.a ^ x.b; });
}

inline void draw_units(std::uint32_t k0, std::uint32_t k1, index size, float* out, int threads) {
  ciphers(k0, k1, size, threads, [out](index i, Pair x) {
    out[i] = static_cast<float>(static_cast<std::int32_t>((x.a ^ x.b) >> 9)) * 0x1p-23f;
  });
}

// The words first and then the comparisons: with bytes as results the cipher would not vectorize.
inline void draw_below(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t threshold,
                       unsigned char* out, int threads) {
  constexpr index step = 1024;  // divides draw_block
  parallel_blocks(size, draw_block, threads, [&](index begin, index end) {
    std::uint32_t words[step];
    for (index from = begin; from < end; from += step) {
      const index count = min_of(step, end - from);
      block_ciphers(k0, k1, from, count, [&](index i, Pair x) { words[i] = x.a ^ x.b; });
      unsigned char* const y = out + from;
#pragma GCC ivdep
      for (index i = 0; i < count; ++i) y[i] = words[i] < threshold;
    }
  });
}

extern const Draws draws;
const Draws draws = {draw_words, draw_bits, draw_units, draw_below};

}  // namespace KCORE_LEVEL
}  // namespace kcore
