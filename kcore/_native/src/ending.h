// An `Ending` as kernels apply it: to vectors of sums, before they leave the registers or the cache.
#pragma once

#include <type_traits>

#include "api/ending.h"
#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

// Has a tile of memory on its way, that will be read or written soon.
template <class T>
KCORE_INLINE_MEMBER void fetch(const T* at, index rows, index row, index cols) {
  for (index i = 0; i < rows; ++i)
    for (index j = 0; j < cols; j += 64 / static_cast<index>(sizeof(T)))
      __builtin_prefetch(at + i * row + j);
}

template <class T>
struct Ends {
  const T *bias, *mean, *factor, *offset, *beside;
  bool low, high;

  explicit Ends(const Ending& e)
      : bias(static_cast<const T*>(e.bias)),
        mean(static_cast<const T*>(e.mean)),
        factor(static_cast<const T*>(e.factor)),
        offset(static_cast<const T*>(e.offset)),
        beside(static_cast<const T*>(e.beside)),
        low(e.low),
        high(e.high) {}

  bool plain() const { return !bias && !factor && !beside && !low && !high; }

  // The same for what begins `column` columns and, in memory, `elements` elements further on.
  Ends shifted(index column, index elements) const {
    Ends e = *this;
    if (bias) e.bias += column;
    if (factor) e.factor += column, e.mean += column;
    if (offset) e.offset += column;
    if (beside) e.beside += elements;
    return e;
  }

  // Has what lies beside a tile on its way while the tile's sums are made.
  KCORE_INLINE_MEMBER void fetch(index rows, index row, index cols) const {
    if (beside) kcore::KCORE_LEVEL::fetch(beside, rows, row, cols);
  }

  // What a vector of columns shares in all rows.
  struct Columns {
    Vec<T> bias, mean, factor, offset;
  };
  template <class Part>
  KCORE_INLINE_MEMBER Columns columns(index column, Part part) const {
    Columns c{};
    if (bias) c.bias = part.get(bias + column);
    if (factor) c.mean = part.get(mean + column), c.factor = part.get(factor + column);
    if (offset) c.offset = part.get(offset + column);
    return c;
  }

  // v ended, where v is at `element`.
  template <class Part>
  KCORE_INLINE_MEMBER Vec<T> of(Vec<T> v, const Columns& c, index element, Part part) const {
    if (bias) v += c.bias;
    // One expression, so that compilers that fuse multiplication and addition do it wherever this is
    // inlined, and the results have the same bits.
    if (factor) v = (v - c.mean) * c.factor + c.offset;
    if (beside) v += part.get(beside + element);
    if (low) v = v <= Vec<T>{} ? Vec<T>{} : v;
    if (high) v = v >= broadcast<T>(6) ? broadcast<T>(6) : v;
    return v;
  }

  // Whether a normalization is all there is.
  bool affine() const { return factor && !bias && !beside && !low && !high; }

  // to = from ended, for `count` rows of `cols` columns; they may be the same rows. `known`: it is
  // known to be affine, so nothing is asked for each vector.
  template <int count, bool known>
  KCORE_INLINE_MEMBER void rows(index cols, const T* from, T* to) const {
    over_lanes<T>(0, cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
      const Columns c = columns(j, part);
#pragma GCC unroll 4
      for (int k = 0; k < count; ++k) {
        const index at = k * cols + j;
        const Vec<T> v = part.get(from + at);
        part.put(to + at, known ? (v - c.mean) * c.factor + c.offset : of(v, c, at, part));
      }
    });
  }
};

// out = x ended, all rows; out may be x.
template <class T>
void end_rows(index rows, index cols, const Ends<T>& ends, const T* x, T* out, int threads) {
  if (ends.plain() && out == x) return;
  const index together = max_of<index>(4, (index{1} << 12) / max_of<index>(cols, 1));
  const auto all = [&](auto known) {
    parallel_blocks(rows, together, threads, [&](index begin, index end) {
      const auto ended = [&](index r, auto count) {
        const Ends<T> here = ends.shifted(0, r * cols);
        here.template rows<count.value, known.value>(cols, x + r * cols, out + r * cols);
      };
      index r = begin;
      for (; r + 4 <= end; r += 4) ended(r, std::integral_constant<int, 4>{});
      for (; r < end; ++r) ended(r, std::integral_constant<int, 1>{});
    });
  };
  ends.affine() ? all(std::true_type{}) : all(std::false_type{});
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
