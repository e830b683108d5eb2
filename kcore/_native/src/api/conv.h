#pragma once

#include "ending.h"

namespace kcore {

constexpr index longest_sum = 1024;  // products summed in one chain of roundings

// Convolutions: x[n, d, h, w, c] with kernel[kd, kh, kw, c / groups, oc] to y[n, od, oh, ow, oc].
// Padding is what precedes x; what follows it is implied by od, oh and ow.
struct Conv {
  index n, d, h, w, c;
  index kd, kh, kw, oc, groups;
  index sd, sh, sw, pf, pt, pl, dd, dh, dw;
  index od, oh, ow;

  // Whether each plane of y is made of the plane of x in its place, and no other.
  bool flat() const { return kd == 1 && sd == 1 && pf == 0 && od == d; }

  // Whether the direct kernel stores each sum once, and has then read what ends it: y may be that.
  bool stored_once() const {
    return flat() && kh == 1 && kw == 1 && groups == 1 && c <= longest_sum;
  }
};
// A forward convolution may be given its weights packed beforehand (conv_packed elements, in the
// layout that conv_layout numbers). `fast` allows algorithms with larger errors, in float32. product_few is a product of
// matrices, of which the first has at most three rows: too few for a convolution's tiles.
#define KCORE_CONV_KERNELS(K)                                                                     \
  K(index, conv_layout, (const Conv& shape, bool fast, const T* w))                               \
  K(index, conv_packed, (const Conv& shape, bool fast, const T* w))                               \
  K(void, conv_pack, (const Conv& shape, bool fast, const T* w, T* packed, int threads))          \
  K(std::uint64_t, fingerprint, (const T* x, index count, int threads))                           \
  K(bool, conv,                                                                                   \
    (const Conv& shape, bool fast, const T* x, const T* w, const T* packed, const Ending& ending, \
     T* y, int threads))                                                                          \
  K(bool, conv_input_grad,                                                                        \
    (const Conv& shape, bool fast, const T* g, const T* w, const Ending& ending, T* dx,           \
     int threads))                                                                                \
  K(bool, conv_weight_grad, (const Conv& shape, const T* x, const T* g, T* dw, int threads))      \
  K(void, product_few,                                                                            \
    (index rows, index sums, index columns, const T* a, const T* b, const Ending& ending, T* y,   \
     int threads))
KCORE_TABLE(ConvKernels, KCORE_CONV_KERNELS)

}  // namespace kcore
