// Rows of a matrix picked by number, and rows joined to those that numbers name: embeddings and their
// gradient, sums and the greatest by segment.
#include "api/gather.h"
#include "fold.h"

namespace kcore {
namespace KCORE_LEVEL {

// Negative numbers count from the end.
KCORE_INLINE std::int64_t row_of(std::int64_t number, index rows) {
  return number < 0 ? number + rows : number;
}

// Calls f(j, Whole or Part) along a row of `vectors` whole vectors, or, for 0, of any length.
template <class T, int vectors, class F>
KCORE_INLINE void over_row(index cols, F&& f) {
  if constexpr (vectors > 0)
#pragma GCC unroll 4
    for (index j = 0; j < vectors * Simd<T>::lanes; j += Simd<T>::lanes) f(j, Whole{});
  else
    over_lanes<T>(0, cols, f);
}

// Calls f(Vectors<n>) for rows of n whole vectors, where these are few: then there is no loop along a row.
template <class T, class F>
KCORE_INLINE void by_vectors(index cols, F&& f) {
  constexpr index lanes = Simd<T>::lanes;
  if (cols == lanes)
    f(Vectors<1>{});
  else if (cols == 2 * lanes)
    f(Vectors<2>{});
  else if (cols == 4 * lanes)
    f(Vectors<4>{});
  else
    f(Vectors<0>{});
}

// y[i] = x[at[i]]; nan where there is no such row.
template <class T>
void take_rows(index rows, index cols, const T* x, index count, const std::int64_t* at, T* y,
               int threads) {
  constexpr index ahead = 3;  // rows far apart are asked for before they are needed
  const index together = max_of<index>(1, 16384 / max_of<index>(cols, 1));
  by_vectors<T>(cols, [&](auto vectors) {
    constexpr int few = decltype(vectors)::count;
    parallel_blocks(count, together, threads, [=](index begin, index end) {
      for (index i = begin; i < end; ++i) {
        const std::int64_t r = row_of(at[i], rows);
        if (r < 0 || r >= rows) {
          for (index j = 0; j < cols; ++j) y[i * cols + j] = static_cast<T>(__builtin_nan(""));
          continue;
        }
        if (few == 0 && i + ahead < end) {
          const std::int64_t next = row_of(at[i + ahead], rows);
          if (next >= 0 && next < rows)
            for (index j = 0; j < min_of<index>(cols, 512); j += 64 / sizeof(T))
              __builtin_prefetch(x + next * cols + j);
        }
        over_row<T, few>(cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
          part.put(y + i * cols + j, part.get(x + r * cols + j));
        });
      }
    });
  });
}

template <class T>
struct Times {
  static constexpr T none = 1;
  KCORE_INLINE_MEMBER Vec<T> operator()(Vec<T> a, Vec<T> b) const { return a * b; }
};

// to[:] = join(to[:], from[:])
template <int vectors, class T, class Join>
KCORE_INLINE void join_row(index cols, const T* from, T* to, Join join) {
  if (vectors == 0 && cols == 1)
    *to = join(broadcast(*to), broadcast(*from))[0];
  else
    over_row<T, vectors>(cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
      part.put(to + j, join(part.get(to + j), part.get(from + j)));
    });
}

// Numbers of rows; negative ones count from the end, unless that is 0.
struct Numbers {
  index count;
  const std::int64_t* at;
  index end;

  // Calls f(i, r) for those of rows r in [low, high), in order.
  template <class F>
  KCORE_INLINE_MEMBER void within(index low, index high, F&& f) const {
    const std::uint64_t first = static_cast<std::uint64_t>(low), width = static_cast<std::uint64_t>(high - low);
    for (index i = 0; i < count; ++i) {
      const std::int64_t r = row_of(at[i], end);
      if (static_cast<std::uint64_t>(r) - first < width) f(i, r);  // unsigned: any number may come
    }
  }
};

// Calls f(low, high) for ranges of all rows, one for each thread: the order of what meets in a row is the same for
// every team.
template <class F>
KCORE_INLINE void over_ranges(index rows, int threads, F&& f) {
  const index parts = max_of<index>(1, min_of<index>(threads, rows));
  parallel_for(parts, threads, [&](index p, int) { f(rows * p / parts, rows * (p + 1) / parts); });
}

template <int vectors, class T, class Join>
KCORE_INLINE void join_rows(index rows, index cols, const T* base, Numbers numbers, const T* updates, T* y,
                            int threads, Join join) {
  over_ranges(rows, threads, [=](index low, index high) {
    over_lanes<T>(low * cols, high * cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
      part.put(y + j, base ? part.get(base + j) : broadcast(Join::none));
    });
    numbers.within(low, high, [=](index i, index r) KCORE_INLINE_LAMBDA {
      join_row<vectors>(cols, updates + i * cols, y + r * cols, join);
    });
  });
}

// A row past the caches: f(j) for the vector from j on.
template <class T, class F>
KCORE_INLINE void stream_row(index cols, T* to, F f) {
  for (index j = 0; j < cols; j += Simd<T>::lanes) stream(to + j, f(j));
}

// Zeros, with the updates added, past the caches, which would not hold them: each row is written once, but for those
// that several numbers name. `named` has room for a byte for each row.
template <class T>
void stream_sums(index rows, index cols, Numbers numbers, const T* updates, T* y, unsigned char* named,
                 int threads) {
  enum : unsigned char { never, once, often, begun };
  over_ranges(rows, threads, [&](index low, index high) {
    std::memset(named + low, never, static_cast<std::size_t>(high - low));
    numbers.within(low, high, [&](index, index r) KCORE_INLINE_LAMBDA {
      named[r] = named[r] == never ? once : often;
    });
    for (index r = low; r < high; ++r)
      if (named[r] == never)
        stream_row(cols, y + r * cols, [](index) KCORE_INLINE_LAMBDA { return Vec<T>{}; });
    numbers.within(low, high, [&](index i, index r) KCORE_INLINE_LAMBDA {
      const T* from = updates + i * cols;
      T* to = y + r * cols;
      if (named[r] == once) {
        stream_row(cols, to, [=](index j) KCORE_INLINE_LAMBDA { return load(from + j) + Vec<T>{}; });  // -0 becomes 0
        return;
      }
      if (named[r] == often) std::memset(to, 0, static_cast<std::size_t>(cols) * sizeof(T));
      named[r] = begun;
      join_row<0>(cols, from, to, Add<T>{});
    });
    stream_fence();
  });
}

// What a last-level cache holds beside the updates.
constexpr index streamed_table = streamed_bytes / 2;

// y = base, or what changes nothing if that is null, with updates[i] joined to row at[i], in the order of i; those that
// are no row are left out.
template <class T>
void scatter_rows(index rows, index cols, const T* base, index count, const std::int64_t* at,
                  bool from_end, const T* updates, int how, T* y, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const Numbers numbers{count, at, from_end ? rows : 0};
  if (how == scatter_add && !base && cols % lanes == 0 && rows * cols * index{sizeof(T)} >= streamed_table &&
      reinterpret_cast<std::uintptr_t>(y) % KCORE_VECTOR_BYTES == 0) {
    Scratch scratch(room<unsigned char>(rows));
    if (scratch) {
      stream_sums(rows, cols, numbers, updates, y, take<unsigned char>(scratch, rows), threads);
      return;
    }
  }
  const auto by = [&](auto join) {
    by_vectors<T>(cols, [&](auto vectors) {
      join_rows<decltype(vectors)::count>(rows, cols, base, numbers, updates, y, threads, join);
    });
  };
  if (how == scatter_add)
    by(Add<T>{});
  else if (how == scatter_mul)
    by(Times<T>{});
  else if (how == scatter_max)
    by(Peak<T, false>{});
  else
    by(Peak<T, true>{});
}

KCORE_EXPORT(gather, GatherKernels, KCORE_GATHER_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
