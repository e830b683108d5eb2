// Normalization of the rows of a matrix (layer normalization) and of its columns (batch
// normalization).
//
// Variances are sums of squares about a mean, never differences of large sums; sums that are
// longer than 64 elements go on in double.
#include "api/norms.h"
#include "rows.h"

namespace kcore {
namespace KCORE_LEVEL {

// `count` rows at a time, for normalize_rows: their sums do not wait for each other.
template <int count, class T>
void normalize_group(index cols, const T* x, const T* gamma, const T* beta,
                     double epsilon, T* y, T* mean, T* scale) {
  constexpr index chain = 64 * Simd<T>::lanes;
  T centre[count], factor[count];
  double total[count];
  // The sum of f(row, offset, part) for each row, in chains of at most 64 vectors, then in double.
  const auto sums = [&](auto f) {
    if (count == 1) {
      total[0] = sum_over<T>(cols, [&](index i, auto part) { return f(0, i, part); });
      return;
    }
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) total[k] = 0;
    for (index i0 = 0; i0 < cols; i0 += chain) {
      Vec<T> sum[count];
#pragma GCC unroll 4
      for (int k = 0; k < count; ++k) sum[k] = Vec<T>{};
      over_lanes<T>(i0, min_of(cols, i0 + chain), [&](index i, auto part) {
#pragma GCC unroll 4
        for (int k = 0; k < count; ++k) sum[k] += f(k, i, part);
      });
#pragma GCC unroll 4
      for (int k = 0; k < count; ++k) total[k] += sum_lanes<T>(sum[k]);
    }
  };
#pragma GCC unroll 4
  for (int k = 0; k < count; ++k) centre[k] = 0;
  if (mean) {
    sums([&](int k, index i, auto part) { return part.get(x + k * cols + i); });
    for (int k = 0; k < count; ++k) mean[k] = centre[k] = static_cast<T>(total[k] / cols);
  }
  sums([&](int k, index i, auto part) {
    const Vec<T> d = part.get(x + k * cols + i, centre[k]) - centre[k];
    return d * d;
  });
  for (int k = 0; k < count; ++k)
    scale[k] = factor[k] = static_cast<T>(1 / __builtin_sqrt(total[k] / cols + epsilon));
  over_lanes<T>(0, cols, [&](index i, auto part) {
    const Vec<T> weight = gamma ? part.get(gamma + i) : broadcast<T>(1);
    const Vec<T> offset = beta ? part.get(beta + i) : Vec<T>{};
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) {
      const Vec<T> h = (part.get(x + k * cols + i) - centre[k]) * factor[k];
      part.put(y + k * cols + i, h * weight + offset);
    }
  });
}

// y = (x - mean) * scale * gamma + beta with scale = 1 / sqrt(mean of squares + epsilon), row by
// row; `mean` null leaves the mean in. gamma and beta may be null.
template <class T>
void normalize_rows(index rows, index cols, const T* x, const T* gamma, const T* beta,
                    double epsilon, T* y, T* mean, T* scale, int threads) {
  // In long rows the sums have chains enough, and memory likes one row at a time better.
  constexpr int most = 4;
  const index in_groups = cols <= 512 ? most : 1;
  const index together = round_up(rows_together(cols), most);
  parallel_blocks(rows, together, threads, [&](index begin, index end) {
    index r = begin;
    const auto group = [&](auto normalize) {
      normalize(cols, x + r * cols, gamma, beta, epsilon, y + r * cols, mean ? mean + r : nullptr,
                scale + r);
    };
    if (in_groups == most)
      for (; r + most <= end; r += most) group(normalize_group<most, T>);
    for (; r < end; ++r) group(normalize_group<1, T>);
  });
}

// What `count` rows give: their sums of w * h and of w, and their share of dgamma and dbeta.
template <int count, class T>
KCORE_INLINE void row_sums(index cols, const T* g, const T* x, const T* gamma, const T* centre,
                           const T* factor, T* to_gamma, T* to_beta, double* along,
                           double* level) {
  constexpr index chain = 64 * Simd<T>::lanes;
#pragma GCC unroll 4
  for (int k = 0; k < count; ++k) along[k] = level[k] = 0;
  for (index i0 = 0; i0 < cols; i0 += chain) {
    Vec<T> a[count], l[count];
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) a[k] = l[k] = Vec<T>{};
    over_lanes<T>(i0, min_of(cols, i0 + chain), [&](index i, auto part) {
      const Vec<T> weight = gamma ? part.get(gamma + i) : broadcast<T>(1);
      Vec<T> dg = load(to_gamma + i), db = load(to_beta + i);  // padded to whole vectors
#pragma GCC unroll 4
      for (int k = 0; k < count; ++k) {
        // Lanes beyond the end add g = 0 times h = 0.
        const Vec<T> h = (part.get(x + k * cols + i, centre[k]) - centre[k]) * factor[k];
        const Vec<T> gv = part.get(g + k * cols + i), w = gv * weight;
        a[k] += w * h;
        l[k] += w;
        dg += gv * h;
        db += gv;
      }
      store(to_gamma + i, dg);
      store(to_beta + i, db);
    });
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) {
      along[k] += sum_lanes<T>(a[k]);
      level[k] += sum_lanes<T>(l[k]);
    }
  }
}

// dx, and the column sums dgamma and dbeta, each of which may be null. With h = (x - mean) * scale
// and w = g * gamma, dx = (w - mean of w - h * mean of (w * h)) * scale.
template <class T>
bool normalize_rows_grad(index rows, index cols, const T* g, const T* x, const T* gamma,
                         const T* mean, const T* scale, T* dx, T* dgamma, T* dbeta, int threads) {
  constexpr index chain = 64;
  constexpr int most = 4;
  const index block =
      max_of<index>(chain, round_up((index{1} << 15) / max_of<index>(cols, 1), chain));
  const index blocks = ceil_div(rows, block), width = round_up(cols, Simd<T>::lanes);
  const int team = threads < 1 ? 1 : threads;
  // What no cache would keep goes straight to memory.
  const bool streams = 3 * rows * cols * static_cast<index>(sizeof(T)) >= streamed_bytes &&
                       cols % Simd<T>::lanes == 0 &&
                       reinterpret_cast<std::uintptr_t>(dx) % KCORE_VECTOR_BYTES == 0;
  Scratch scratch(room<double>(blocks * 2 * cols) + room<T>(2 * width * team));
  if (!scratch) return false;
  double* parts = take<double>(scratch, blocks * 2 * cols);
  T* sums = take<T>(scratch, 2 * width * team);
  parallel_for(blocks, threads, [&](index b, int slot) {
    double* totals = parts + b * 2 * cols;
    for (index j = 0; j < 2 * cols; ++j) totals[j] = 0;
    T* to_gamma = sums + slot * 2 * width;
    T* to_beta = to_gamma + width;
    const index last = min_of(rows, (b + 1) * block);
    for (index r0 = b * block; r0 < last; r0 += chain) {
      for (index j = 0; j < 2 * width; ++j) to_gamma[j] = 0;
      const index r1 = min_of(last, r0 + chain);
      for (index r = r0; r < r1;) {
        const int count = r + most <= r1 ? most : 1;
        const index at = r * cols;
        T centre[most];
        double along[most], level[most];
        for (int k = 0; k < count; ++k) centre[k] = mean ? mean[r + k] : T(0);
        if (count == most)
          row_sums<most>(cols, g + at, x + at, gamma, centre, scale + r, to_gamma, to_beta, along,
                         level);
        else
          row_sums<1>(cols, g + at, x + at, gamma, centre, scale + r, to_gamma, to_beta, along,
                      level);
        for (int k = 0; k < count; ++k) {
          const index row = at + k * cols;
          const T c = centre[k], factor = scale[r + k];
          const T slope = static_cast<T>(-along[k] / cols) * factor * factor;
          const T offset = mean ? static_cast<T>(-level[k] / cols) * factor : T(0);
          over_lanes<T>(0, cols, [&](index i, auto part) {
            const Vec<T> weight = gamma ? part.get(gamma + i) * factor : broadcast(factor);
            const Vec<T> away = part.get(x + row + i) - c;
            const Vec<T> v = part.get(g + row + i) * weight + (away * slope + offset);
            if (streams)
              stream(dx + row + i, v);
            else
              part.put(dx + row + i, v);
          });
        }
        r += count;
      }
      for (index j = 0; j < cols; ++j) {
        totals[j] += to_gamma[j];
        totals[cols + j] += to_beta[j];
      }
    }
    if (streams) stream_fence();
  });
  for (index j = 0; j < cols; ++j) {
    double to_gamma = 0, to_beta = 0;
    for (index b = 0; b < blocks; ++b) {
      to_gamma += parts[b * 2 * cols + j];
      to_beta += parts[b * 2 * cols + cols + j];
    }
    if (dgamma) dgamma[j] = static_cast<T>(to_gamma);
    if (dbeta) dbeta[j] = static_cast<T>(to_beta);
  }
  return true;
}

// -- columns ------------------------------------------------------------------------------------

constexpr index column_chain = 64;

template <int n>
struct Count {};

// Calls f(b, r0, r1, j, part, Count<n>) for n vectors of columns from j on in block b, which has the
// rows r0 to r1 - 1, at most 64. Four vectors at a time read whole stretches of a row.
template <class T, class F>
KCORE_INLINE void over_column_blocks(index rows, index cols, int threads, F&& f) {
  constexpr index lanes = Simd<T>::lanes;
  const index blocks = ceil_div(rows, column_chain);
  const index together =
      max_of<index>(1, row_block_elements / (column_chain * max_of<index>(cols, 1)));
  parallel_blocks(blocks, together, threads, [&](index begin, index end) {
    for (index b = begin; b < end; ++b) {
      const index r0 = b * column_chain, r1 = min_of(rows, r0 + column_chain);
      index j = 0;
      for (; j + 4 * lanes <= cols; j += 4 * lanes) f(b, r0, r1, j, Whole{}, Count<4>{});
      for (; j + lanes <= cols; j += lanes) f(b, r0, r1, j, Whole{}, Count<1>{});
      if (j < cols) f(b, r0, r1, j, Part{cols - j}, Count<1>{});
    }
  });
}

template <class T, class Part, int n>
void block_dots(index cols, const T* g, const T* x, const T* mean, index r0, index r1, T* sums,
                T* dots, Part part, Count<n>) {
  constexpr index lanes = Simd<T>::lanes;
  Vec<T> centre[n], sum[n], dot[n];
#pragma GCC unroll 4
  for (int k = 0; k < n; ++k) {
    centre[k] = part.get(mean + k * lanes);
    sum[k] = dot[k] = Vec<T>{};
  }
  for (index r = r0; r < r1; ++r)
#pragma GCC unroll 4
    for (int k = 0; k < n; ++k) {
      const Vec<T> gv = part.get(g + r * cols + k * lanes);
      sum[k] += gv;
      dot[k] += gv * (part.get(x + r * cols + k * lanes) - centre[k]);
    }
#pragma GCC unroll 4
  for (int k = 0; k < n; ++k) {
    part.put(sums + k * lanes, sum[k]);
    part.put(dots + k * lanes, dot[k]);
  }
}

// The column sums of g and of g * (x - mean), in double.
template <class T>
bool column_dots(index rows, index cols, const T* g, const T* x, const T* mean, double* sums,
                 double* dots, int threads) {
  const index blocks = ceil_div(rows, column_chain);
  Scratch scratch(2 * room<T>(blocks * cols));
  if (!scratch) return false;
  T* part_sums = take<T>(scratch, blocks * cols);
  T* part_dots = take<T>(scratch, blocks * cols);
  over_column_blocks<T>(
      rows, cols, threads, [&](index b, index r0, index r1, index j, auto part, auto count) {
        const index at = b * cols + j;
        block_dots(cols, g + j, x + j, mean + j, r0, r1, part_sums + at, part_dots + at, part,
                   count);
      });
  for (index j = 0; j < cols; ++j) sums[j] = dots[j] = 0;
  for (index b = 0; b < blocks; ++b)
    for (index j = 0; j < cols; ++j) {
      sums[j] += part_sums[b * cols + j];
      dots[j] += part_dots[b * cols + j];
    }
  return true;
}

// dx = g * factor + (x - mean) * slope + level, column by column.
template <class T>
void column_affine_grad(index rows, index cols, const T* g, const T* x, const T* mean,
                        const T* factor, const T* slope, const T* level, T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    over_lanes<T>(0, cols, [&](index j, auto part) {
      const Vec<T> away = part.get(x + at + j) - part.get(mean + j);
      part.put(dx + at + j, part.get(g + at + j) * part.get(factor + j) +
                                (away * part.get(slope + j) + part.get(level + j)));
    });
  });
}

KCORE_EXPORT(norms, NormKernels, KCORE_NORMS_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
