// Max and average pooling. Vectors run over channels; windows are cut to the input.
//
// Gradients are gathered: each row of dx is written by one task, which visits the windows over
// that row, in order; or, for large windows, some channels of an image are. So threads share nothing
// and the sums do not depend on their number.
#include "api/pool.h"
#include "fold.h"

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
// The elements of one axis in a window, and where it starts before it is cut.
struct Span {
  index start, first, last;
  Span(const Pool& s, int axis, index o)
      : start(s.bounds[axis][2 * o]),
        first(max_of<index>(0, start)),
        last(min_of<index>(s.size[axis], s.bounds[axis][2 * o + 1])) {}
  index length() const { return last - first; }
  // Whether the box that holds every window is inside of the image along this axis, if it begins here.
  bool boxed(const Pool& s, int axis) const { return start >= 0 && start + s.window[axis] <= s.size[axis]; }
};

// A row of elements or windows is cut into tasks of so many.
constexpr index row_piece = 256;

// Calls f(image, plane, row, first, last) for pieces of the rows of images of those sizes.
template <class F>
KCORE_INLINE void over_pieces(index n, const index* sizes, int threads, F&& f) {
  const index pieces = ceil_div(sizes[2], row_piece);
  parallel_for(n * sizes[0] * sizes[1] * pieces, threads, [&](index task, int) {
    const index row = task / pieces, first = task % pieces * row_piece;
    f(row / sizes[1] / sizes[0], row / sizes[1] % sizes[0], row % sizes[1], first,
      min_of(sizes[2], first + row_piece));
  });
}

// A window, and how many of its kind lie beside it, `step` elements each from the one before.
struct Window {
  const Pool& s;
  Span planes, rows, columns;
  index first, place;  // the offset of its first element, and that element's place
  index run, step;

  index count() const { return planes.length() * rows.length() * columns.length(); }
  // Calls f(elements, place) for the beginning of each of its rows, columns.length() elements long.
  template <class T, class F>
  KCORE_INLINE_MEMBER void over_rows(const T* x, F&& f) const {
    if (planes.length() * rows.length() == 1) return f(x + first, place);  // a sequence's: loops around it would cost
    const index row = s.size[2] * s.c;
    for (index a = 0; a < planes.length(); ++a)
      for (index b = 0; b < rows.length(); ++b)
        f(x + first + (a * s.size[1] + b) * row, place + (a * s.window[1] + b) * s.window[2]);
  }
};

// How many windows of a row are met together, at most: few enough for what they hold to stay in the L1 cache.
constexpr index longest_run = 8;

// Calls f(window, pixel of y) for every window that begins a run.
template <class F>
KCORE_INLINE void over_windows(const Pool& s, int threads, F&& f) {
  over_pieces(s.n, s.out, threads, [&](index n, index plane, index row, index begin, index end) {
    const Span planes(s, 0, plane), rows(s, 1, row);
    const index pixel = ((n * s.out[0] + plane) * s.out[1] + row) * s.out[2];
    const index line = ((n * s.size[0] + planes.first) * s.size[1] + rows.first) * s.size[2];
    const index place = ((planes.first - planes.start) * s.window[1] + rows.first - rows.start) *
                        s.window[2];
    for (index q = begin, run; q < end; q += run) {
      const Span columns(s, 2, q);
      index step = 0;
      for (run = 1; run < min_of(longest_run, end - q); ++run) {
        const Span next(s, 2, q + run);
        if (run == 1) step = next.first - columns.first;
        if (next.start - columns.start != run * step || next.first - columns.first != run * step ||
            next.length() != columns.length())
          break;
      }
      f(Window{s, planes, rows, columns, (line + columns.first) * s.c,
               place + columns.first - columns.start, run, step},
        pixel + q);
    }
  });
}

// The windows that hold each element, axis by axis: from first[axis][i] up to last[axis][i].
class Holders {
 public:
  const index *first[3], *last[3];
  explicit Holders(const Pool& s)
      : scratch_(2 * (room<index>(s.size[0]) + room<index>(s.size[1]) + room<index>(s.size[2]))) {
    if (!scratch_) return;
    for (int axis = 0; axis < 3; ++axis) {
      index* from = take<index>(scratch_, s.size[axis]);
      index* to = take<index>(scratch_, s.size[axis]);
      const std::int64_t* bounds = s.bounds[axis];
      index begun = 0, ended = 0;
      for (index i = 0; i < s.size[axis]; ++i) {
        while (ended < s.out[axis] && bounds[2 * ended + 1] <= i) ++ended;
        while (begun < s.out[axis] && bounds[2 * begun] <= i) ++begun;
        from[i] = ended, to[i] = begun;
      }
      first[axis] = from, last[axis] = to;
    }
  }
  explicit operator bool() const { return static_cast<bool>(scratch_); }

 private:
  Scratch scratch_;
};

// b > a ? b : a, which GCC makes a comparison and a choice of.
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
KCORE_INLINE Vec<float> greater_of(Vec<float> a, Vec<float> b) {
  return (Vec<float>)_mm512_maskz_max_ps(0xffff, (__m512)b, (__m512)a);
}
KCORE_INLINE Vec<double> greater_of(Vec<double> a, Vec<double> b) {
  return (Vec<double>)_mm512_maskz_max_pd(0xff, (__m512d)b, (__m512d)a);
}
#else
template <class V>
KCORE_INLINE V greater_of(V a, V b) {
  return b > a ? b : a;
}
#endif

template <class T, class Code, bool kept>
void max_pool_as(const Pool& s, const T* x, T* y, Code* places, int threads) {
  typedef typename Bits<T>::V Index;
  constexpr index lanes = Simd<T>::lanes;
  const index channels = s.c;
  over_windows(s, threads, [=](const Window& window, index pixel) {
    const index step = window.step * channels;
    over_vectors<T, 4>(channels, [&](index c, auto vectors, auto part) {
      constexpr int n = decltype(vectors)::count;
      const T* from = x + c;
      index at = pixel * channels + c;
      for (index i = 0; i < window.run; ++i, from += step, at += channels) {
        Vec<T> best[n];
        Index where[n];
        NanWatch<T> nan;
        // Calls take(j, v, here) for the vectors of each element.
        const auto fold = [&](auto take) {
#pragma GCC unroll 4
          for (int j = 0; j < n; ++j) {
            best[j] = broadcast<T>(-__builtin_inf());
            where[j] = Index{} + static_cast<typename Bits<T>::Word>(window.place);
          }
          window.over_rows(from, [&](const T* p, index place) {
            for (index b = 0; b < window.columns.length(); ++b, p += channels) {
              const Index here = Index{} + static_cast<typename Bits<T>::Word>(place + b);
#pragma GCC unroll 4
              for (int j = 0; j < n; ++j) {
                const Vec<T> v = part.get(p + j * lanes);
                if (j % 2) nan.see(part.get(p + (j - 1) * lanes), v);
                if (n == 1) nan.see(v, v);
                take(j, v, here);
              }
            }
          });
        };
        const auto choose = [&](int j, auto better, Vec<T> v, Index here) {
          best[j] = better ? v : best[j];
          if (kept) where[j] = better ? here : where[j];
        };
        if (kept)
          fold([&](int j, Vec<T> v, Index here) { choose(j, v > best[j], v, here); });
        else
          fold([&](int j, Vec<T> v, Index) { best[j] = greater_of(best[j], v); });
        // The first nan wins: a number is replaced by what is greater or unordered, a nan never.
        if (nan.any())
          fold([&](int j, Vec<T> v, Index here) { choose(j, ~(v <= best[j]) & (best[j] == best[j]), v, here); });
#pragma GCC unroll 4
        for (int j = 0; j < n; ++j) {
          part.put(y + at + j * lanes, best[j]);
          if (kept) Codes<T, Code>::put(places + at + j * lanes, lanes_of<T>(part), where[j]);
        }
      }
    });
  });
}

// How windows meet in dx: without a shared element there is nothing to add to, and where they
// also leave no gap, nothing to clear first.
struct Cover {
  bool apart = true, all = true;
  explicit Cover(const Pool& s) {
    for (int axis = 0; axis < 3; ++axis) {
      index end = 0;
      for (index o = 0; o < s.out[axis]; ++o) {
        const Span span(s, axis, o);
        apart = apart && span.first >= end;
        all = all && span.first == end;
        end = span.last;
      }
      all = all && end == s.size[axis];
    }
  }
};

// Calls f(row of dx, window's pixel in y, its elements, the place in it of the row's element 0, first column, last one) for
// pieces of the rows of dx and the windows over each, in order. What no window holds, or several do, is 0 before: then f
// adds.
template <class T, class F>
KCORE_INLINE bool over_holders(const Pool& s, const Cover& cover, T* dx, int threads, F&& f) {
  const Holders holders(s);
  if (!holders) return false;
  over_pieces(s.n, s.size, threads, [&](index n, index d, index h, index begin, index end) {
    T* line = dx + ((n * s.size[0] + d) * s.size[1] + h) * s.size[2] * s.c;
    if (!cover.all) std::memset(line + begin * s.c, 0, (end - begin) * s.c * sizeof(T));
    for (index a = holders.first[0][d]; a < holders.last[0][d]; ++a)
      for (index o = holders.first[1][h]; o < holders.last[1][h]; ++o) {
        const Span planes(s, 0, a), rows(s, 1, o);
        const index pixel = ((n * s.out[0] + a) * s.out[1] + o) * s.out[2];
        const index place = ((d - planes.start) * s.window[1] + h - rows.start) * s.window[2];
        const index area = planes.length() * rows.length();
        for (index q = holders.first[2][begin]; q < holders.last[2][end - 1]; ++q) {
          const Span columns(s, 2, q);
          f(line, pixel + q, area * columns.length(), place - columns.start, max_of(begin, columns.first),
            min_of(end, columns.last));
        }
      }
  });
  return true;
}

// Each g is added at its place, one by one: for large windows, most of whose elements get nothing. A row of dx is cleared
// when the first window reaches it. A task has some channels of an image, and meets their windows in order. False if
// there is not a task for each thread.
constexpr index large_window = 8;
template <class T>
bool spread_to_places(const Pool& s, const T* g, const std::uint8_t* places, T* dx, int threads) {
  const index elements = s.window[0] * s.window[1] * s.window[2];
  const index planes = s.size[0], rows = s.size[1], columns = s.size[2], channels = s.c;
  const index width = s.n < threads ? 64 : channels, pieces = ceil_div(channels, width);
  if (elements < large_window || s.n * pieces < threads) return false;
  const bool apart = Cover(s).apart;
  index offsets[256] = {};  // of a place from the window's first one
  for (index i = 0; i < elements; ++i) {
    const index row = i / s.window[2], plane = row / s.window[1];
    offsets[i] = ((plane * rows + row % s.window[1]) * columns + i % s.window[2]) * channels;
  }
  parallel_for(s.n * pieces, threads, [&](index task, int) {
    const index image = task / pieces, first = task % pieces * width, count = min_of(width, channels - first);
    const index volume = planes * rows * columns * channels;
    T* to = dx + image * volume;
    const auto clear = [=](index plane, index last_plane, index row, index last_row) {
      const index pixels = (last_row - row) * columns, whole = pieces == 1 ? pixels : 1;  // that lie side by side
      for (; plane < last_plane; ++plane)
        for (index i = 0; i < pixels; i += whole)
          std::memset(to + ((plane * rows + row) * columns + i) * channels + first, 0, whole * count * sizeof(T));
    };
    index cleared = 0, pixel = image * s.out[0] * s.out[1] * s.out[2];
    for (index a = 0; a < s.out[0]; ++a) {
      const Span plane(s, 0, a);
      const index last = max_of(cleared, plane.last);
      index reached = 0;
      for (index o = 0; o < s.out[1]; ++o) {
        const Span row(s, 1, o);
        clear(cleared, last, reached, row.last);
        reached = row.last;
        for (index q = 0; q < s.out[2]; ++q, ++pixel) {
          const Span column(s, 2, q);
          const index window = ((plane.start * rows + row.start) * columns + column.start) * channels + first;
          const T* from = g + pixel * channels + first;
          const std::uint8_t* codes = places + pixel * channels + first;
          std::uint8_t most = 0;
          for (index c = 0; c < count; ++c) most = max_of(most, codes[c]);
          // Places that max_pool does not give must not lead out of the image: they are looked at one by one where they
          // might.
          const bool inside = most < elements && plane.boxed(s, 0) && row.boxed(s, 1) && column.boxed(s, 2);
          const auto each = [&](auto put) {
            if (inside) {
              for (index c = 0; c < count; ++c) put(to + window + offsets[codes[c]] + c, from[c]);
            } else {
              for (index c = 0; c < count; ++c) {
                const index at = window + offsets[codes[c]] + c;
                if (at >= 0 && at < volume) put(to + at, from[c]);
              }
            }
          };
          if (apart)
            each([](T* p, T v) { *p = v; });
          else
            each([](T* p, T v) { *p += v; });
        }
      }
      clear(cleared, last, reached, rows);
      cleared = last;
    }
    clear(cleared, planes, 0, rows);
  });
  return true;
}

// Each window gives its elements of dx what is theirs.
template <class T, class Code>
bool max_pool_grad_as(const Pool& s, const T* g, const Code* places, T* dx, int threads) {
  typedef typename Bits<T>::V Index;
  constexpr index lanes = Simd<T>::lanes;
  const Cover cover(s);
  const bool apart = cover.apart;
  const index channels = s.c;
  return over_holders(s, cover, dx, threads, [=](T* line, index pixel, index size, index place, index first, index last) {
    const index at = pixel * channels;
    over_vectors<T, 4>(channels, [&](index c, auto vectors, auto part) {
      constexpr int count = decltype(vectors)::count;
      Vec<T> pull[count];
      Index where[count];
#pragma GCC unroll 4
      for (int j = 0; j < count; ++j) {
        pull[j] = part.get(g + at + c + j * lanes);
        where[j] = Codes<T, Code>::get(places + at + c + j * lanes, lanes_of<T>(part));
      }
      for (index w = first; w < last; ++w) {
        const Index mine = Index{} + static_cast<typename Bits<T>::Word>(place + w);
#pragma GCC unroll 4
        for (int j = 0; j < count; ++j) {
          T* p = line + w * channels + c + j * lanes;
          const Vec<T> share = where[j] == mine ? pull[j] : Vec<T>{};
          part.put(p, apart ? share : part.get(p) + share);
        }
      }
    });
  });
}

template <class T>
void max_pool(const Pool& s, const T* x, T* y, void* places, int code_bytes, int threads) {
  if (!places)
    max_pool_as<T, std::uint8_t, false>(s, x, y, nullptr, threads);
  else if (code_bytes == 1)
    max_pool_as<T, std::uint8_t, true>(s, x, y, static_cast<std::uint8_t*>(places), threads);
  else if (code_bytes == 2)
    max_pool_as<T, std::uint16_t, true>(s, x, y, static_cast<std::uint16_t*>(places), threads);
  else
    max_pool_as<T, std::int32_t, true>(s, x, y, static_cast<std::int32_t*>(places), threads);
}

template <class T>
bool max_pool_grad(const Pool& s, const T* g, const void* places, int code_bytes, T* dx,
                   int threads) {
  if (code_bytes == 1) {
    const auto* codes = static_cast<const std::uint8_t*>(places);
    return spread_to_places(s, g, codes, dx, threads) || max_pool_grad_as(s, g, codes, dx, threads);
  }
  if (code_bytes == 2)
    return max_pool_grad_as(s, g, static_cast<const std::uint16_t*>(places), dx, threads);
  return max_pool_grad_as(s, g, static_cast<const std::int32_t*>(places), dx, threads);
}

template <class T>
void avg_pool(const Pool& s, const T* x, T* y, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const index channels = s.c;
  over_windows(s, threads, [=](const Window& window, index pixel) {
    const T count = static_cast<T>(window.count());
    const index step = window.step * channels;
    over_vectors<T, 8>(channels, [&](index c, auto vectors, auto part) {
      constexpr int n = decltype(vectors)::count;
      const T* from = x + c;
      T* to = y + pixel * channels + c;
      for (index i = 0; i < window.run; ++i, from += step, to += channels) {
        Vec<T> total[n] = {};
        window.over_rows(from, [&](const T* p, index) {
          Vec<T> sum[n] = {};  // row by row: shorter chains in a large window
          for (index b = 0; b < window.columns.length(); ++b, p += channels)
#pragma GCC unroll 8
            for (int j = 0; j < n; ++j) sum[j] += part.get(p + j * lanes);
#pragma GCC unroll 8
          for (int j = 0; j < n; ++j) total[j] += sum[j];
        });
#pragma GCC unroll 8
        for (int j = 0; j < n; ++j) part.put(to + j * lanes, total[j] / count);
      }
    });
  });
}

template <class T>
bool avg_pool_grad(const Pool& s, const T* g, T* dx, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const Cover cover(s);
  const bool apart = cover.apart;
  const index channels = s.c;
  return over_holders(s, cover, dx, threads, [=](T* line, index pixel, index size, index place, index first, index last) {
    const T* from = g + pixel * channels;
    const T count = static_cast<T>(size);
    over_vectors<T, 4>(channels, [&](index c, auto vectors, auto part) {
      constexpr int n = decltype(vectors)::count;
      Vec<T> share[n];
#pragma GCC unroll 4
      for (int j = 0; j < n; ++j) share[j] = part.get(from + c + j * lanes) / count;
      for (index w = first; w < last; ++w) {
        T* p = line + w * channels + c;
#pragma GCC unroll 4
        for (int j = 0; j < n; ++j)
          part.put(p + j * lanes, apart ? share[j] : part.get(p + j * lanes) + share[j]);
      }
    });
  });
}

KCORE_EXPORT(pool, PoolKernels, KCORE_POOL_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
