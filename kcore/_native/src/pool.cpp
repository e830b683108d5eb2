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
              const Index better = (v > best) | ((v != v) & (best == best));
              best = better ? v : best;
              where = better ? Index{} + static_cast<typename Bits<T>::Word>(a * s.kw + b) : where;
            }
          }
          part.put(y + pixel * s.c + c, best);
          Codes<T, Code>::put(argmax + pixel * s.c + c, lanes_of<T>(part), where);
        });
      });
}

template <class T, class Code>
void max_pool_grad_as(const Pool& s, const T* g, const Code* argmax, T* dx, int threads) {
  typedef typename Bits<T>::V Index;
  const Cover cover(s);
  over_input_rows(
      s, threads,
      [&](index r) {
        if (!cover.all) std::memset(dx + r * s.w * s.c, 0, s.w * s.c * sizeof(T));
      },
      [&](index r, index o, index a) {
        for (index q = 0; q < s.ow; ++q) {
          const index left = q * s.sw - s.pl, at = (o * s.ow + q) * s.c;
          const Taps cols(left, 1, s.kw, s.w);
          over_lanes<T>(0, s.c, [&](index c, auto part) {
            const Index where = Codes<T, Code>::get(argmax + at + c, lanes_of<T>(part));
            const Vec<T> gv = part.get(g + at + c);
            for (index b = cols.first; b < cols.last; ++b) {
              T* p = dx + (r * s.w + left + b) * s.c + c;
              const Index here =
                  where == Index{} + static_cast<typename Bits<T>::Word>(a * s.kw + b);
              const Vec<T> share = here ? gv : Vec<T>{};
              part.put(p, cover.apart ? share : part.get(p) + share);
            }
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
  over_windows(s, threads,
               [&](index row, index column, const Taps& rows, const Taps& cols, index pixel) {
                 const T count = static_cast<T>(divisor(s, count_pads, rows, cols));
                 over_lanes<T>(0, s.c, [&](index c, auto part) {
                   Vec<T> total{};
                   for (index a = rows.first; a < rows.last; ++a) {
                     Vec<T> sum{};  // row by row: shorter chains of roundings in a large window
                     const T* p = x + ((row + a) * s.w + column + cols.first) * s.c + c;
                     for (index b = cols.first; b < cols.last; ++b, p += s.c) sum += part.get(p);
                     total += sum;
                   }
                   part.put(y + pixel * s.c + c, total / count);
                 });
               });
}

template <class T>
void avg_pool_grad(const Pool& s, const T* g, T* dx, bool count_pads, int threads) {
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
          over_lanes<T>(0, s.c, [&](index c, auto part) {
            const Vec<T> share = part.get(g + (o * s.ow + q) * s.c + c) / count;
            for (index b = cols.first; b < cols.last; ++b) {
              T* p = dx + (r * s.w + left + b) * s.c + c;
              part.put(p, cover.apart ? share : part.get(p) + share);
            }
          });
        }
      });
}

KCORE_EXPORT(pool, PoolKernels, KCORE_POOL_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
