#pragma once

#include "core.h"

namespace kcore {

// Recurrent layers along whole sequences, time-major: gates[t, b, gate * units], h[t, b, units].
//
// Forward, `gates` holds the inputs' part of the gates, without the bias (which may be null), and is
// overwritten with the gates; h gets the states. lstm, given x[t, b, features], makes that part itself;
// without `keep` the gates may be null then. With `keep`, cells (lstm) or extra (gru) have a place for each step, which the
// gradients need; else for one. Where mask[t, b] is 0 the states stay; it may be null.
// gru's extra is h @ recurrent for the candidate with `reset_after`, else reset * h.
//
// Backward, g (or null) is the gradient by h; dh and dc come in with the last states' gradients
// and leave with the first states'. gru's dgates are those of the inputs' part, and with
// `reset_after` dstate those of the states' part.
#define KCORE_RECURRENT_KERNELS(K)                                                                 \
  K(bool, lstm,                                                                                    \
    (index steps, index batch, index units, index features, const T* x, const T* kernel,           \
     const T* recurrent, const T* bias, const T* h0,                                               \
     const T* c0, const unsigned char* mask, bool reverse, bool keep, T* gates, T* h, T* cells,    \
     int threads))                                                                                 \
  K(bool, lstm_grad,                                                                               \
    (index steps, index batch, index units, const T* recurrent, const T* c0,                       \
     const unsigned char* mask, bool reverse, const T* gates, const T* cells, const T* g,          \
     T* dgates, T* dh, T* dc, int threads))                                                        \
  K(bool, gru,                                                                                     \
    (index steps, index batch, index units, const T* recurrent, const T* bias,                     \
     const T* state_bias, const T* h0, const unsigned char* mask, bool reverse, bool reset_after,  \
     bool keep, T* gates, T* h, T* extra, int threads))                                            \
  K(bool, gru_grad,                                                                                \
    (index steps, index batch, index units, const T* recurrent, const T* h0,                       \
     const unsigned char* mask, bool reverse, bool reset_after, const T* gates, const T* h,        \
     const T* extra, const T* g, T* dgates, T* dstate, T* dh, int threads))
KCORE_TABLE(RecurrentKernels, KCORE_RECURRENT_KERNELS)

}  // namespace kcore
