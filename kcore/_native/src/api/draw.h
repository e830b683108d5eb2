#pragma once

#include "core.h"

namespace kcore {

// Random numbers of the key (k0, k1), for the counters from 0 to size - 1.
struct Draws {
  // Both words of the cipher: out[2 * i] and out[2 * i + 1].
  void (*words)(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t* out, int threads);
  // The two xored, in the others too: as they are, as multiples of 2^-23 below 1, and whether
  // they are below a threshold.
  void (*bits)(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t* out, int threads);
  void (*units)(std::uint32_t k0, std::uint32_t k1, index size, float* out, int threads);
  void (*below)(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t threshold,
                unsigned char* out, int threads);
};

// Dropout: y = x / divisor where the word of the element's counter is below the threshold, else 0. bits[i / 8] >> i % 8
// says so of element i, and makes of a gradient what dropout made of x.
#define KCORE_DRAW_KERNELS(K)                                                                     \
  K(void, dropout,                                                                                \
    (std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t threshold, double divisor,     \
     const T* x, T* y, unsigned char* bits, int threads))                                         \
  K(void, dropout_grad,                                                                           \
    (index size, double divisor, const unsigned char* bits, const T* g, T* dx, int threads))
KCORE_TABLE(DrawKernels, KCORE_DRAW_KERNELS)

}  // namespace kcore
