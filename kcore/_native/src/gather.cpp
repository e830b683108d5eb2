// Rows of a matrix picked by number, and rows joined to those that numbers name: embeddings and their
// gradient, sums and the greatest by segment.
#include "api/gather.h"
#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

// Negative numbers count from the end.
KCORE_INLINE std::int64_t row_of(std::int64_t number, index rows) {
  return number < 0 ? number + rows : number;
}

// y[i] = x[at[i]]; nan where there is no such row.
template <class T>
void take_rows(index rows, index cols, const T* x, index count, const std::int64_t* at, T* y,
               int threads) {
  constexpr index ahead = 3;  // rows far apart are asked for before they are needed
  const index together = max_of<index>(1, 16384 / max_of<index>(cols, 1));
  parallel_blocks(count, together, threads, [&](index begin, index end) {
    for (index i = begin; i < end; ++i) {
      const std::int64_t r = row_of(at[i], rows);
      if (r < 0 || r >= rows) {
        for (index j = 0; j < cols; ++j) y[i * cols + j] = static_cast<T>(__builtin_nan(""));
        continue;
      }
      if (i + ahead < end) {
        const std::int64_t next = row_of(at[i + ahead], rows);
        if (next >= 0 && next < rows)
          for (index j = 0; j < min_of<index>(cols, 512); j += 64 / sizeof(T))
            __builtin_prefetch(x + next * cols + j);
      }
      over_lanes<T>(0, cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
        part.put(y + i * cols + j, part.get(x + r * cols + j));
      });
    }
  });
}

template <class T>
struct Sum {
  KCORE_INLINE_MEMBER Vec<T> operator()(Vec<T> a, Vec<T> b) const { return a + b; }
};
template <class T>
struct Times {
  KCORE_INLINE_MEMBER Vec<T> operator()(Vec<T> a, Vec<T> b) const { return a * b; }
};
// nan where either is.
template <class T, bool least>
struct Extreme {
  KCORE_INLINE_MEMBER Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    return ((least ? b < a : b > a) | (b != b)) ? b : a;
  }
};

template <class T, class Join>
KCORE_INLINE void join_rows(index rows, index cols, const T* base, index count,
                            const std::int64_t* at, const T* updates, T* y, int threads, Join join) {
  const index parts = max_of<index>(1, min_of<index>(threads, rows));
  parallel_for(parts, threads, [&](index p, int) {
    const index low = rows * p / parts, high = rows * (p + 1) / parts;
    const std::size_t bytes = static_cast<std::size_t>((high - low) * cols) * sizeof(T);
    if (base)
      std::memcpy(y + low * cols, base + low * cols, bytes);
    else
      std::memset(y + low * cols, 0, bytes);
    for (index i = 0; i < count; ++i) {
      const std::int64_t r = row_of(at[i], rows);
      if (r < low || r >= high) continue;
      T* to = y + r * cols;
      const T* from = updates + i * cols;
      if (cols == 1)
        *to = join(broadcast(*to), broadcast(*from))[0];
      else
        over_lanes<T>(0, cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
          part.put(to + j, join(part.get(to + j), part.get(from + j)));
        });
    }
  });
}

// y = base, or 0 if that is null, with updates[i] joined to row at[i], in the order of i; those that are
// no row are left out. A thread owns a range of rows, so the order is the same for every team.
template <class T>
void scatter_rows(index rows, index cols, const T* base, index count, const std::int64_t* at,
                  const T* updates, int how, T* y, int threads) {
  const auto by = [&](auto join) { join_rows(rows, cols, base, count, at, updates, y, threads, join); };
  if (how == scatter_add)
    by(Sum<T>{});
  else if (how == scatter_mul)
    by(Times<T>{});
  else if (how == scatter_max)
    by(Extreme<T, false>{});
  else
    by(Extreme<T, true>{});
}

KCORE_EXPORT(gather, GatherKernels, KCORE_GATHER_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
