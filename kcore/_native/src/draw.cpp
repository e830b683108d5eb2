// Random numbers: Threefry 2x32 with 20 rounds on the counters 0, 1, 2...
//
// Plain loops: the compiler vectorizes them for the level at hand.
#include "api/draw.h"
#include "fill.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index draw_block = 16384;  // divides 2^32, so a block's counters share their high word

struct Pair {
  std::uint32_t a, b;
};

KCORE_INLINE void turn(std::uint32_t& word, int by) {
  word = (word << by) | (word >> (32 - by));
}

// Two counters at a time, step by step: each step of one waits for the one before.
KCORE_INLINE void four_turns(Pair& x, Pair& y, int by0, int by1, int by2, int by3,
                             std::uint32_t key_a, std::uint32_t key_b) {
  const int by[] = {by0, by1, by2, by3};
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    x.a += x.b;
    y.a += y.b;
    turn(x.b, by[i]);
    turn(y.b, by[i]);
    x.b ^= x.a;
    y.b ^= y.a;
  }
  x.a += key_a;
  y.a += key_a;
  x.b += key_b;
  y.b += key_b;
}

// The cipher of counters that have the first two key words added.
KCORE_INLINE void cipher(Pair& x, Pair& y, std::uint32_t k0, std::uint32_t k1, std::uint32_t k2) {
  four_turns(x, y, 13, 15, 26, 6, k1, k2 + 1);
  four_turns(x, y, 17, 29, 16, 24, k2, k0 + 2);
  four_turns(x, y, 13, 15, 26, 6, k0, k1 + 3);
  four_turns(x, y, 17, 29, 16, 24, k1, k2 + 4);
  four_turns(x, y, 13, 15, 26, 6, k2, k0 + 5);
}

// store(i, words) for the counters begin + i. They share their high word.
template <class Store>
KCORE_INLINE void block_ciphers(std::uint32_t k0, std::uint32_t k1, index begin, index count,
                                Store store) {
  const std::uint64_t first = static_cast<std::uint64_t>(begin);
  const std::uint32_t k2 = k0 ^ k1 ^ 0x1BD11BDAu;
  const std::uint32_t high = k0 + static_cast<std::uint32_t>(first >> 32);
  const std::uint32_t low = k1 + static_cast<std::uint32_t>(first);
  const index half = (count + 1) / 2, second = count - half;  // of an odd count the middle one twice
#pragma GCC ivdep
  for (index i = 0; i < half; ++i) {
    Pair x{high, low + static_cast<std::uint32_t>(i)};
    Pair y{high, low + static_cast<std::uint32_t>(second + i)};
    cipher(x, y, k0, k1, k2);
    store(i, x);
    store(second + i, y);
  }
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

constexpr index draw_step = 1024;  // divides draw_block
// y[i] = whether word begin + i is below the threshold, for at most draw_step of them. The words first and then the
// comparisons: with bytes as results the cipher would not vectorize.
KCORE_INLINE void step_below(std::uint32_t k0, std::uint32_t k1, index begin, index count,
                             std::uint32_t threshold, unsigned char* y) {
  std::uint32_t words[draw_step];
  block_ciphers(k0, k1, begin, count, [&](index i, Pair x) { words[i] = x.a ^ x.b; });
#pragma GCC ivdep
  for (index i = 0; i < count; ++i) y[i] = words[i] < threshold;
}

// Calls f(begin, count) for the steps of [0, size).
template <class F>
KCORE_INLINE void over_steps(index size, int threads, F&& f) {
  parallel_blocks(size, draw_block, threads, [&](index begin, index end) {
    for (index from = begin; from < end; from += draw_step)
      f(from, min_of(draw_step, end - from));
  });
}

inline void draw_below(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t threshold,
                       unsigned char* out, int threads) {
  over_steps(size, threads, [&](index from, index count) {
    step_below(k0, k1, from, count, threshold, out + from);
  });
}

// A bit of each of eight bytes that are 0 or 1: the product moves byte i's to bit 56 + i, and no two to one place.
KCORE_INLINE unsigned char packed(const unsigned char* bytes) {
  std::uint64_t all;
  std::memcpy(&all, bytes, sizeof all);
  if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) all = __builtin_bswap64(all);
  return static_cast<unsigned char>((all * 0x0102040810204080u) >> 56);
}

template <class T>
void dropout(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t threshold,
             double divisor, const T* x, T* y, unsigned char* bits, int threads) {
  const T by = static_cast<T>(divisor);
  const bool streamed = is_streamed(size, y);
  over_steps(size, threads, [&](index from, index count) {
    unsigned char below[draw_step];
    step_below(k0, k1, from, count, threshold, below);
    for (index i = count; i % 8 != 0; ++i) below[i] = 0;
    for (index i = 0; i < count; i += 8) bits[(from + i) / 8] = packed(below + i);
    fill_vectors<T>(from, from + count, y, streamed, [&](index i, auto part) KCORE_INLINE_LAMBDA {
      return where_bits<T>(bits, i, part, part.get(x + i) / by);
    });
  });
}

template <class T>
void dropout_grad(index size, double divisor, const unsigned char* bits, const T* g, T* dx,
                  int threads) {
  const T by = static_cast<T>(divisor);
  fill_flat<T>(size, dx, threads, [&](index i, auto part) KCORE_INLINE_LAMBDA {
    return where_bits<T>(bits, i, part, part.get(g + i) / by);
  });
}

extern const Draws draws;
const Draws draws = {draw_words, draw_bits, draw_units, draw_below};

KCORE_EXPORT(draw, DrawKernels, KCORE_DRAW_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
