#pragma once

#include "core.h"

namespace kcore {

// q[batch, rows, heads, depth], k[batch, columns, key_heads, depth], v[batch, columns, key_heads,
// value_depth]. Bias and mask, either of which may be null, are walked by the elements from one
// (batch, head, row, column) to the next: 0 where they are the same for all, and the last is 0 or 1.
struct Attention {
  index batch, rows, columns, heads, key_heads, depth, value_depth;
  double scale, cap;  // cap 0: none
  bool causal;
  index bias[4], mask[4];
};
// peak and total, [batch, heads, rows], are each row's largest logit and the sum of exp(logit - peak).
// dlogits[batch, heads, rows, columns], which may be null, comes filled with zeros.
#define KCORE_ATTENTION_KERNELS(K)                                                                 \
  K(bool, attention,                                                                               \
    (const Attention& shape, const T* q, const T* k, const T* v, const T* bias,                    \
     const unsigned char* mask, T* y, T* peak, T* total, int threads))                             \
  K(bool, attention_grad,                                                                          \
    (const Attention& shape, const T* g, const T* q, const T* k, const T* v, const T* bias,        \
     const unsigned char* mask, const T* y, const T* peak, const T* total, T* dq, T* dk, T* dv,    \
     T* dlogits, int threads))
KCORE_TABLE(AttentionKernels, KCORE_ATTENTION_KERNELS)

}  // namespace kcore
