// Max and average pooling. Vectors run over channels; windows are cut to the input.
//
// Gradients are gathered: each row of dx is written by one task, which visits the windows over
// that row, in order. So threads share nothing and the sums do not depend on their number.
#include "api/pool.h"
#include "depthwise.h"

namespace kcore {
namespace KCORE_LEVEL {

// Converts a vector of window positions from and to its storage.
template <class T, class Code>
struct Codes {
  typedef Code Narrow __attribute__((vector_size(Simd<T>::lanes * sizeof(Code))));
  typedef typename Bits<T>::V Wide;
  KCORE_INLINE_MEMBER static void put(Code* p, index n, Wide v) {
    const Narrow codes = __builtin_convertvector(v, Narrow);
    if (n == Simd<T>::lanes)
      std::memcpy(p, &codes, sizeof codes);
    else
      for (index i = 0; i < n; ++i) p[i] = codes[i];
  }
  KCORE_INLINE_MEMBER static Wide get(const Code* p, index n) {
    Narrow codes{};
    if (n == Simd<T>::lanes)
      std::memcpy(&codes, p, sizeof codes);
    else
      for (index i = 0; i < n; ++i) codes[i] = p[i];
    return widened(codes);
  }

 private:
  KCORE_INLINE_MEMBER static Wide widened(Narrow codes) {
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
    // GCC 12 converts bytes to four times as many one by one.
    if constexpr (sizeof codes == 16 && sizeof(Code) == 1)
      return (Wide)_mm512_maskz_cvtepu8_epi32(0xffff, (__m128i)codes);
#elif KCORE_VECTOR_BYTES == 32 && defined(__AVX2__)
    if constexpr (sizeof codes == 8 && sizeof(Code) == 1)
      return (Wide)_mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)codes));
#endif
    return __builtin_convertvector(codes, Wide);
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

// Walks channels `most` vectors at a time, so that memory is read and written in longer pieces, and
// the rest one by one: f(channel, vectors, Whole or Part).
template <int n>
struct Vectors {
  static constexpr int count = n;
};
template <class T, int most, class F>
KCORE_INLINE void over_channels(index channels, F&& f) {
  constexpr index step = most * Simd<T>::lanes;
  index c = 0;
  for (; c + step <= channels; c += step) f(c, Vectors<most>{}, Whole{});
  if constexpr (most > 4)
    for (; c + step / 2 <= channels; c += step / 2) f(c, Vectors<most / 2>{}, Whole{});
  over_lanes<T>(c, channels, [&](index i, auto part) { f(i, Vectors<1>{}, part); });
}

// Calls f(row, column, taps over rows, taps over columns, pixel) for every output pixel.
template <class F>
KCORE_INLINE void over_windows(const Pool& s, int threads, F&& f) {
  parallel_for(s.n * s.oh, threads, [&](index r, int) {
    const index top = r % s.oh * s.sh - s.pt;
    const Taps rows(top, 1, s.kh, s.h);
    for (index q = 0; q < s.ow; ++q) {
      const index left = q * s.sw - s.pl;
      f(r / s.oh * s.h + top, left, rows, Taps(left, 1, s.kw, s.w), r * s.ow + q);
    }
  });
}

// Calls f(input row, output row, kernel row) for all windows over each input row, and
// start(input row) first.
template <class S, class F>
KCORE_INLINE void over_input_rows(const Pool& s, int threads, S&& start, F&& f) {
  parallel_for(s.n * s.h, threads, [&](index r, int) {
    const index image = r / s.h, h = r % s.h;
    start(r);
    const index first = max_of<index>(0, floor_div(h + s.pt - s.kh, s.sh) + 1);
    const index last = min_of(s.oh - 1, floor_div(h + s.pt, s.sh));
    for (index o = first; o <= last; ++o) f(r, image * s.oh + o, h + s.pt - o * s.sh);
  });
}

// How windows meet in dx: without a shared element there is nothing to add to, and where they
// also leave no gap, nothing to clear first.
struct Cover {
  bool apart, all;
  explicit Cover(const Pool& s) {
    apart = s.sh >= s.kh && s.sw >= s.kw;
    all = s.sh == s.kh && s.sw == s.kw && s.pt == 0 && s.pl == 0 && s.h == s.oh * s.kh &&
          s.w == s.ow * s.kw;
  }
};

template <class T, class Code>
void max_pool_as(const Pool& s, const T* x, T* y, Code* argmax, int threads) {
  typedef typename Bits<T>::V Index;
  over_windows(
      s, threads, [&](index row, index column, const Taps& rows, const Taps& cols, index pixel) {
        over_lanes<T>(0, s.c, [&](index c, auto part) {
          Vec<T> best = broadcast<T>(-__builtin_inf());
          Index where{};
          if (rows.first < rows.last && cols.first < cols.last) {
            best = part.get(x + ((row + rows.first) * s.w + column + cols.first) * s.c + c);
            where += static_cast<typename Bits<T>::Word>(rows.first * s.kw + cols.first);
          }
          for (index a = rows.first; a < rows.last; ++a) {
            const T* p = x + ((row + a) * s.w + column + cols.first) * s.c + c;
            for (index b = cols.first; b < cols.last; ++b, p += s.c) {
              const Vec<T> v = part.get(p);
              // The first nan wins: a number is replaced by what is greater or unordered, a nan
              // never.
              const Index better = ~(v <= best) & (best == best);
              best = better ? v : best;
              where = better ? Index{} + static_cast<typename Bits<T>::Word>(a * s.kw + b) : where;
            }
          }
          part.put(y + pixel * s.c + c, best);
          Codes<T, Code>::put(argmax + pixel * s.c + c, lanes_of<T>(part), where);
        });
      });
}

// The windows of one axis that cover an element, first .. last, as it moves from 0 on.
class Covering {
 public:
  index first, last;
  Covering(index window, index stride, index pad, index count)
      : stride_(stride),
        count_(count),
        begin_(floor_div(pad - window, stride) + 1),
        end_(floor_div(pad, stride)),
        begin_left_(begin_ * stride - (pad - window)),
        end_left_((end_ + 1) * stride - pad) {
    clip();
  }
  KCORE_INLINE_MEMBER void next() {
    if (--begin_left_ == 0) begin_left_ = stride_, ++begin_;
    if (--end_left_ == 0) end_left_ = stride_, ++end_;
    clip();
  }

 private:
  KCORE_INLINE_MEMBER void clip() {
    first = max_of<index>(0, begin_), last = min_of(count_ - 1, end_);
  }
  index stride_, count_, begin_, end_, begin_left_, end_left_;
};

// Each element of dx looks for itself in the windows over it, row by row.
template <class T, class Code>
void max_pool_grad_as(const Pool& s, const T* g, const Code* argmax, T* dx, int threads) {
  typedef typename Bits<T>::V Index;
  parallel_for(s.n * s.h, threads, [&](index r, int) {
    const index image = r / s.h, h = r % s.h;
    const index top = max_of<index>(0, floor_div(h + s.pt - s.kh, s.sh) + 1);
    const index bottom = min_of(s.oh - 1, floor_div(h + s.pt, s.sh));
    Covering cols(s.kw, s.sw, s.pl, s.ow);
    for (index w = 0; w < s.w; ++w, cols.next()) {
      T* to = dx + (r * s.w + w) * s.c;
      over_channels<T, 4>(s.c, [&](index c, auto vectors, auto part) {
        constexpr int n = decltype(vectors)::count;
        Vec<T> sum[n] = {};
        for (index o = top; o <= bottom; ++o) {
          const index code = (h + s.pt - o * s.sh) * s.kw + w + s.pl;
          for (index q = cols.first; q <= cols.last; ++q) {
            const index at = ((image * s.oh + o) * s.ow + q) * s.c + c;
            const Index mine = Index{} + static_cast<typename Bits<T>::Word>(code - q * s.sw);
#pragma GCC unroll 4
            for (int j = 0; j < n; ++j) {
              const Code* codes = argmax + at + j * Simd<T>::lanes;
              const Index here = Codes<T, Code>::get(codes, lanes_of<T>(part)) == mine;
              sum[j] += here ? part.get(g + at + j * Simd<T>::lanes) : Vec<T>{};
            }
          }
        }
#pragma GCC unroll 4
        for (int j = 0; j < n; ++j) part.put(to + c + j * Simd<T>::lanes, sum[j]);
      });
    }
  });
}

template <class T>
void max_pool(const Pool& s, const T* x, T* y, void* argmax, int code_bytes, int threads) {
  if (code_bytes == 1)
    max_pool_as(s, x, y, static_cast<std::uint8_t*>(argmax), threads);
  else if (code_bytes == 2)
    max_pool_as(s, x, y, static_cast<std::uint16_t*>(argmax), threads);
  else
    max_pool_as(s, x, y, static_cast<std::int32_t*>(argmax), threads);
}

template <class T>
void max_pool_grad(const Pool& s, const T* g, const void* argmax, int code_bytes, T* dx,
                   int threads) {
  if (code_bytes == 1)
    max_pool_grad_as(s, g, static_cast<const std::uint8_t*>(argmax), dx, threads);
  else if (code_bytes == 2)
    max_pool_grad_as(s, g, static_cast<const std::uint16_t*>(argmax), dx, threads);
  else
    max_pool_grad_as(s, g, static_cast<const std::int32_t*>(argmax), dx, threads);
}

KCORE_INLINE index divisor(const Pool& s, bool count_pads, const Taps& rows, const Taps& cols) {
  return count_pads ? s.kh * s.kw : (rows.last - rows.first) * (cols.last - cols.first);
}

template <class T>
void avg_pool(const Pool& s, const T* x, T* y, bool count_pads, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  over_windows(s, threads,
               [&](index row, index column, const Taps& rows, const Taps& cols, index pixel) {
                 const T count = static_cast<T>(divisor(s, count_pads, rows, cols));
                 over_channels<T, 8>(s.c, [&](index c, auto vectors, auto part) {
                   constexpr int n = decltype(vectors)::count;
                   Vec<T> total[n] = {};
                   for (index a = rows.first; a < rows.last; ++a) {
                     Vec<T> sum[n] = {};  // row by row: shorter chains in a large window
                     const T* p = x + ((row + a) * s.w + column + cols.first) * s.c + c;
                     for (index b = cols.first; b < cols.last; ++b, p += s.c)
#pragma GCC unroll 8
                       for (int j = 0; j < n; ++j) sum[j] += part.get(p + j * lanes);
#pragma GCC unroll 8
                     for (int j = 0; j < n; ++j) total[j] += sum[j];
                   }
#pragma GCC unroll 8
                   for (int j = 0; j < n; ++j)
                     part.put(y + pixel * s.c + c + j * lanes, total[j] / count);
                 });
               });
}

template <class T>
void avg_pool_grad(const Pool& s, const T* g, T* dx, bool count_pads, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const Cover cover(s);
  over_input_rows(
      s, threads,
      [&](index r) {
        if (!cover.all) std::memset(dx + r * s.w * s.c, 0, s.w * s.c * sizeof(T));
      },
      [&](index r, index o, index) {
        const Taps rows(o % s.oh * s.sh - s.pt, 1, s.kh, s.h);
        for (index q = 0; q < s.ow; ++q) {
          const index left = q * s.sw - s.pl;
          const Taps cols(left, 1, s.kw, s.w);
          const T count = static_cast<T>(divisor(s, count_pads, rows, cols));
          over_channels<T, 4>(s.c, [&](index c, auto vectors, auto part) {
            constexpr int n = decltype(vectors)::count;
            Vec<T> share[n];
#pragma GCC unroll 4
            for (int j = 0; j < n; ++j)
              share[j] = part.get(g + (o * s.ow + q) * s.c + c + j * lanes) / count;
            for (index b = cols.first; b < cols.last; ++b) {
              T* p = dx + (r * s.w + left + b) * s.c + c;
#pragma GCC unroll 4
              for (int j = 0; j < n; ++j)
                part.put(p + j * lanes,
                         cover.apart ? share[j] : part.get(p + j * lanes) + share[j]);
            }
          });
        }
      });
}

KCORE_EXPORT(pool, PoolKernels, KCORE_POOL_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
