// Normalization of the rows of a matrix (layer normalization) and of its columns (batch
// normalization).
//
// Variances are sums of squares about a mean, never differences of large sums; sums that are
// longer than 64 elements go on in double.
#include "api/norms.h"
#include "ending.h"
#include "moments.h"

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
      total[0] = sum_over<T>(cols, [&](index i, auto part) KCORE_INLINE_LAMBDA { return f(0, i, part); });
      return;
    }
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) total[k] = 0;
    for (index i0 = 0; i0 < cols; i0 += chain) {
      Vec<T> sum[count];
#pragma GCC unroll 4
      for (int k = 0; k < count; ++k) sum[k] = Vec<T>{};
      over_lanes<T>(i0, min_of(cols, i0 + chain), [&](index i, auto part) KCORE_INLINE_LAMBDA {
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
    sums([&](int k, index i, auto part) KCORE_INLINE_LAMBDA { return part.get(x + k * cols + i); });
    for (int k = 0; k < count; ++k) mean[k] = centre[k] = static_cast<T>(total[k] / cols);
  }
  sums([&](int k, index i, auto part) KCORE_INLINE_LAMBDA {
    const Vec<T> d = part.get(x + k * cols + i, centre[k]) - centre[k];
    return d * d;
  });
  for (int k = 0; k < count; ++k)
    scale[k] = factor[k] = static_cast<T>(1 / __builtin_sqrt(total[k] / cols + epsilon));
  over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
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
    over_lanes<T>(i0, min_of(cols, i0 + chain), [&](index i, auto part) KCORE_INLINE_LAMBDA {
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

// dx of `count` rows, from what row_sums gave.
template <int count, bool streams, class T>
KCORE_INLINE void row_grads(index cols, const T* g, const T* x, const T* gamma, const T* centre,
                            const T* factor, const double* along, const double* level, bool centred,
                            T* dx) {
  Vec<T> middle[count], rise[count], slope[count], offset[count];
#pragma GCC unroll 4
  for (int k = 0; k < count; ++k) {
    middle[k] = broadcast(centre[k]);
    rise[k] = broadcast(factor[k]);
    slope[k] = broadcast(static_cast<T>(-along[k] / cols) * factor[k] * factor[k]);
    offset[k] = broadcast(centred ? static_cast<T>(-level[k] / cols) * factor[k] : T(0));
  }
  over_lanes<T>(0, cols, [&](index i, auto part) KCORE_INLINE_LAMBDA {
    const Vec<T> weight = gamma ? part.get(gamma + i) : broadcast<T>(1);
#pragma GCC unroll 4
    for (int k = 0; k < count; ++k) {
      const index at = k * cols + i;
      // The next rows come into the L2 cache meanwhile; else memory would wait while these are written.
      __builtin_prefetch(g + at + count * cols, 0, 2);
      __builtin_prefetch(x + at + count * cols, 0, 2);
      const Vec<T> away = part.get(x + at) - middle[k];
      const Vec<T> v = part.get(g + at) * (weight * rise[k]) + (away * slope[k] + offset[k]);
      if (streams)
        stream(dx + at, v);
      else
        part.put(dx + at, v);
    }
  });
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
        const index at = r * cols;
        T centre[most];
        double along[most], level[most];
        const auto group = [&](auto counted) {
          constexpr int count = decltype(counted)::n;
          for (int k = 0; k < count; ++k) centre[k] = mean ? mean[r + k] : T(0);
          row_sums<count>(cols, g + at, x + at, gamma, centre, scale + r, to_gamma, to_beta, along,
                          level);
          const auto write = streams ? row_grads<count, true, T> : row_grads<count, false, T>;
          write(cols, g + at, x + at, gamma, centre, scale + r, along, level, mean != nullptr,
                dx + at);
          r += count;
        };
        if (r + most <= r1)
          group(Count<most>{});
        else
          group(Count<1>{});
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

// Calls f(at, Count<n>) for the n rows that begin at the element `at`. What belongs to a column is loaded once for four.
template <class F>
KCORE_INLINE void over_four_rows(index rows, index cols, int threads, F&& f) {
  parallel_blocks(rows, round_up(rows_together(cols), 4), threads, [&](index begin, index end) {
    index r = begin;
    for (; r + 4 <= end; r += 4) f(r * cols, Count<4>{});
    for (; r < end; ++r) f(r * cols, Count<1>{});
  });
}

// dx = g * factor + (x - mean) * slope + level, column by column.
template <class T>
void column_affine_grad(index rows, index cols, const T* g, const T* x, const T* mean,
                        const T* factor, const T* slope, const T* level, T* dx, int threads) {
  over_four_rows(rows, cols, threads, [&](index at, auto count) {
    over_lanes<T>(0, cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
      const Vec<T> centre = part.get(mean + j), rise = part.get(factor + j);
      const Vec<T> tilt = part.get(slope + j), lift = part.get(level + j);
#pragma GCC unroll 4
      for (index i = at + j, k = 0; k < count.n; ++k, i += cols)
        part.put(dx + i, part.get(g + i) * rise + ((part.get(x + i) - centre) * tilt + lift));
    });
  });
}

template <class T, class Part, int n>
KCORE_INLINE void block_dots(index cols, const T* g, const T* x, const T* mean, index r0, index r1,
                             T* sums, T* dots, Part part, Count<n>) {
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

// The column sums of g and of g * (x - mean), in double. `parts` has room for two numbers for each column and block.
template <class T>
__attribute__((noinline)) void column_dots(index rows, index cols, const T* g, const T* x,
                                           const T* mean, T* parts, double* sums, double* dots,
                                           int threads) {
  const index blocks = ceil_div(rows, chain);
  T *part_sums = parts, *part_dots = parts + blocks * cols;
  over_row_blocks(rows, cols, threads, [&](index b, index r0, index r1) {
    over_columns<T>(cols, [&](index j, auto part, auto count) KCORE_INLINE_LAMBDA {
      const index at = b * cols + j;
      block_dots(cols, g + j, x + j, mean + j, r0, r1, part_sums + at, part_dots + at, part, count);
    });
  });
  for (index j = 0; j < cols; ++j) sums[j] = dots[j] = 0;
  for (index b = 0; b < blocks; ++b)
    for (index j = 0; j < cols; ++j) {
      sums[j] += part_sums[b * cols + j];
      dots[j] += part_dots[b * cols + j];
    }
}

// One o of normalize_columns. `parts`, `middle` and `square` are working memory.
template <class T>
__attribute__((noinline)) void normalize_sample(index rows, index cols, index groups, const T* x,
                                                const T* gamma, const T* beta, double epsilon,
                                                T* y, T* mean, T* variance, T* parts,
                                                double* middle, double* square, int threads) {
  const index size = cols / groups;
  column_moments(rows, cols, size, x, parts, middle, square, threads);
  T *centre = parts, *factor = parts + cols;  // the parts are summed up
  for (index q = 0; q < groups; ++q) {
    const index first = q * size, last = first + size;
    double spread = 0;
    for (index j = first; j < last; ++j) spread += square[j];
    spread /= static_cast<double>(rows * size);
    mean[q] = static_cast<T>(middle[first]);
    variance[q] = static_cast<T>(spread);
    const double scale = 1 / __builtin_sqrt(spread + epsilon);
    for (index j = first; j < last; ++j) {
      centre[j] = mean[q];
      factor[j] = static_cast<T>(gamma ? scale * gamma[j] : scale);
    }
  }
  const Ending affine{nullptr, centre, factor, beta, nullptr, false, false};
  end_rows(rows, cols, Ends<T>(affine), x, y, threads);
}

// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta for x[outer, rows, cols], where each x[o] has one mean and
// variance for each of `groups` runs of neighbouring columns. gamma and beta, one for each column, may be null.
template <class T>
bool normalize_columns(index outer, index rows, index cols, index groups, const T* x,
                       const T* gamma, const T* beta, double epsilon, T* y, T* mean, T* variance,
                       int threads) {
  const auto of_sample = [&](index o, T* parts, double* middle, double* square, int team) {
    const index at = o * rows * cols, q = o * groups;
    normalize_sample(rows, cols, groups, x + at, gamma, beta, epsilon, y + at, mean + q,
                     variance + q, parts, middle, square, team);
  };
  return over_samples<T>(outer, rows, cols, column_parts(rows, cols), false, threads, of_sample, [](double*) {});
}

// One o of normalize_columns_grad: dx, and its shares of dbeta and dgamma.
template <class T>
__attribute__((noinline)) void normalize_sample_grad(
    index rows, index cols, index groups, const T* g, const T* x, const T* gamma, const T* mean,
    const T* variance, const T* g_mean, const T* g_variance, double epsilon, T* dx, double* to_beta,
    double* to_gamma, T* parts, int threads) {
  T *centre = parts, *factor = centre + cols, *slope = factor + cols, *level = slope + cols;
  const index size = cols / groups;
  for (index q = 0; q < groups; ++q)
    for (index j = q * size; j < (q + 1) * size; ++j) centre[j] = mean[q];
  column_dots(rows, cols, g, x, centre, level + cols, to_beta, to_gamma, threads);
  const double count = static_cast<double>(rows * size);
  for (index q = 0; q < groups; ++q) {
    const index first = q * size, last = first + size;
    const double scale = 1 / __builtin_sqrt(variance[q] + epsilon);
    double sum = 0, dot = 0;
    for (index j = first; j < last; ++j) {
      const double weight = gamma ? gamma[j] : 1;
      sum += weight * to_beta[j];
      dot += weight * to_gamma[j];
    }
    const double by_mean = g_mean ? g_mean[q] : 0, by_variance = g_variance ? 2 * g_variance[q] : 0;
    const T tilt = static_cast<T>((by_variance - scale * scale * scale * dot) / count);
    const T lift = static_cast<T>((by_mean - scale * sum) / count);
    for (index j = first; j < last; ++j) {
      factor[j] = static_cast<T>(gamma ? scale * gamma[j] : scale);
      slope[j] = tilt;
      level[j] = lift;
      to_gamma[j] *= scale;
    }
  }
  column_affine_grad(rows, cols, g, x, centre, factor, slope, level, dx, threads);
}

// The gradients of normalize_columns by x, gamma and beta, from those of y and, if they are not null, of mean and
// variance. With s = 1 / sqrt(variance + epsilon), h = (x - mean) * s and w = g * gamma,
// dx = (w - mean of w - h * mean of (w * h)) * s.
template <class T>
bool normalize_columns_grad(index outer, index rows, index cols, index groups, const T* g,
                            const T* x, const T* gamma, const T* mean, const T* variance,
                            const T* g_mean, const T* g_variance, double epsilon, T* dx, T* dgamma,
                            T* dbeta, int threads) {
  const auto of_sample = [&](index o, T* parts, double* to_beta, double* to_gamma, int team) {
    const index at = o * rows * cols, q = o * groups;
    normalize_sample_grad(rows, cols, groups, g + at, x + at, gamma, mean + q, variance + q,
                          g_mean ? g_mean + q : nullptr, g_variance ? g_variance + q : nullptr,
                          epsilon, dx + at, to_beta, to_gamma, parts, team);
  };
  const auto joined = [&](const double* shares) {
    for (index j = 0; j < cols; ++j) {
      double to_beta = 0, to_gamma = 0;
      for (index o = 0; o < outer; ++o) {
        to_beta += shares[2 * cols * o + j];
        to_gamma += shares[2 * cols * o + cols + j];
      }
      dbeta[j] = static_cast<T>(to_beta);
      dgamma[j] = static_cast<T>(to_gamma);
    }
  };
  const index size = column_parts(rows, cols) + 4 * cols;
  return over_samples<T>(outer, rows, cols, size, true, threads, of_sample, joined);
}

KCORE_EXPORT(norms, NormKernels, KCORE_NORMS_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
