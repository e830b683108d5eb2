// Normalization of the rows of a matrix (layer normalization) and of its columns (batch
// normalization), and crossentropies of its rows.
//
// Variances are sums of squares about a mean, never differences of large sums; sums that are
// longer than 64 elements go on in double.
#pragma once

#include "rows.h"

namespace kcore {
namespace KCORE_LEVEL {

// y = (x - mean) * scale * gamma + beta with scale = 1 / sqrt(mean of squares + epsilon), row by
// row; `mean` null leaves the mean in. gamma and beta may be null.
template <class T>
void normalize_rows(index rows, index cols, const T* x, const T* gamma, const T* beta,
                    double epsilon, T* y, T* mean, T* scale, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / max_of<index>(cols, 1);
    const T centre =
        mean ? static_cast<T>(
                   sum_over<T>(cols, [&](index i, auto part) { return part.get(x + at + i); }) /
                   cols)
             : T(0);
    const double square = sum_over<T>(cols, [&](index i, auto part) {
      const Vec<T> d = part.get(x + at + i, centre) - centre;
      return d * d;
    });
    const T factor = static_cast<T>(1 / __builtin_sqrt(square / cols + epsilon));
    if (mean) mean[r] = centre;
    scale[r] = factor;
    over_lanes<T>(0, cols, [&](index i, auto part) {
      Vec<T> v = (part.get(x + at + i) - centre) * factor;
      if (gamma) v *= part.get(gamma + i);
      if (beta) v += part.get(beta + i);
      part.put(y + at + i, v);
    });
  });
}

// dx, and the column sums dgamma and dbeta, each of which may be null. With h = (x - mean) * scale
// and w = g * gamma, dx = (w - mean of w - h * mean of (w * h)) * scale.
template <class T>
bool normalize_rows_grad(index rows, index cols, const T* g, const T* x, const T* gamma,
                         const T* mean, const T* scale, T* dx, T* dgamma, T* dbeta, int threads) {
  constexpr index chain = 64;
  const index block =
      max_of<index>(chain, round_up((index{1} << 15) / max_of<index>(cols, 1), chain));
  const index blocks = ceil_div(rows, block), width = round_up(cols, Simd<T>::lanes);
  const int team = threads < 1 ? 1 : threads;
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
      for (index r = r0; r < min_of(last, r0 + chain); ++r) {
        const index at = r * cols;
        const T centre = mean ? mean[r] : T(0), factor = scale[r];
        const double along = sum_over<T>(cols, [&](index i, auto part) {
          const Vec<T> h = (part.get(x + at + i, centre) - centre) * factor;
          const Vec<T> gv = part.get(g + at + i);
          store(to_gamma + i, load(to_gamma + i) + gv * h);
          if (mean) store(to_beta + i, load(to_beta + i) + gv);
          return (gamma ? gv * part.get(gamma + i) : gv) * h;
        });
        const double level =
            mean ? sum_over<T>(cols,
                               [&](index i, auto part) {
                                 const Vec<T> gv = part.get(g + at + i);
                                 return gamma ? gv * part.get(gamma + i) : gv;
                               })
                 : 0.0;
        const T a = static_cast<T>(along / cols), m = static_cast<T>(level / cols);
        over_lanes<T>(0, cols, [&](index i, auto part) {
          const Vec<T> h = (part.get(x + at + i) - centre) * factor;
          const Vec<T> gv = part.get(g + at + i);
          const Vec<T> w = gamma ? gv * part.get(gamma + i) : gv;
          part.put(dx + at + i, (w - m - h * a) * factor);
        });
      }
      for (index j = 0; j < cols; ++j) {
        totals[j] += to_gamma[j];
        totals[cols + j] += to_beta[j];
      }
    }
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

// Calls f(b, r0, r1, j, part) for the vectors of columns from j on in block b, which has the rows
// r0 to r1 - 1, at most 64.
template <class T, class F>
KCORE_INLINE void over_column_blocks(index rows, index cols, int threads, F&& f) {
  const index blocks = ceil_div(rows, column_chain);
  const index together = max_of<index>(1, row_block_elements / (column_chain * max_of<index>(cols, 1)));
  parallel_blocks(blocks, together, threads, [&](index begin, index end) {
    for (index b = begin; b < end; ++b)
      over_lanes<T>(0, cols, [&](index j, auto part) {
        f(b, b * column_chain, min_of(rows, (b + 1) * column_chain), j, part);
      });
  });
}

// Mean and variance (by the count) of each column. Each block's squares are taken about its own
// mean, and the blocks joined in double.
template <class T>
bool column_moments(index rows, index cols, const T* x, T* mean, T* variance, int threads) {
  const index blocks = ceil_div(rows, column_chain);
  Scratch scratch(3 * room<T>(blocks * cols));
  if (!scratch) return false;
  T* sums = take<T>(scratch, blocks * cols);
  T* centres = take<T>(scratch, blocks * cols);
  T* squares = take<T>(scratch, blocks * cols);
  over_column_blocks<T>(rows, cols, threads, [&](index b, index r0, index r1, index j, auto part) {
    Vec<T> s0{}, s1{};
    index r = r0;
    for (; r + 2 <= r1; r += 2) {
      s0 += part.get(x + r * cols + j);
      s1 += part.get(x + (r + 1) * cols + j);
    }
    if (r < r1) s0 += part.get(x + r * cols + j);
    const Vec<T> centre = (s0 + s1) / static_cast<T>(r1 - r0);
    // What the rounding of the centre left: the sum of what is above it.
    Vec<T> rest{}, q0{}, q1{};
    for (r = r0; r + 2 <= r1; r += 2) {
      const Vec<T> d0 = part.get(x + r * cols + j) - centre;
      const Vec<T> d1 = part.get(x + (r + 1) * cols + j) - centre;
      rest += d0 + d1;
      q0 += d0 * d0;
      q1 += d1 * d1;
    }
    if (r < r1) {
      const Vec<T> d = part.get(x + r * cols + j) - centre;
      rest += d;
      q0 += d * d;
    }
    part.put(sums + b * cols + j, rest);
    part.put(centres + b * cols + j, centre);
    part.put(squares + b * cols + j, q0 + q1);
  });
  for (index j = 0; j < cols; ++j) {
    double total = 0;
    for (index b = 0; b < blocks; ++b) {
      const double count = static_cast<double>(min_of(rows, (b + 1) * column_chain) - b * column_chain);
      const double centre = centres[b * cols + j];
      total += __builtin_isfinite(centre) ? count * centre + sums[b * cols + j] : centre;
    }
    const double middle = total / rows;
    double square = 0;
    for (index b = 0; b < blocks; ++b) {
      const double count = static_cast<double>(min_of(rows, (b + 1) * column_chain) - b * column_chain);
      const double off = centres[b * cols + j] - middle;
      square += squares[b * cols + j] + off * (2.0 * sums[b * cols + j] + count * off);
    }
    mean[j] = static_cast<T>(middle);
    variance[j] = static_cast<T>(square / rows);
  }
  return true;
}

// y = (x - mean) * factor + offset, column by column; offset may be null.
template <class T>
void column_affine(index rows, index cols, const T* x, const T* mean, const T* factor,
                   const T* offset, T* y, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    over_lanes<T>(0, cols, [&](index j, auto part) {
      Vec<T> v = (part.get(x + at + j) - part.get(mean + j)) * part.get(factor + j);
      if (offset) v += part.get(offset + j);
      part.put(y + at + j, v);
    });
  });
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
  over_column_blocks<T>(rows, cols, threads, [&](index b, index r0, index r1, index j, auto part) {
    const Vec<T> centre = part.get(mean + j);
    Vec<T> s{}, d{};
    for (index r = r0; r < r1; ++r) {
      const Vec<T> gv = part.get(g + r * cols + j);
      s += gv;
      d += gv * (part.get(x + r * cols + j) - centre);
    }
    part.put(part_sums + b * cols + j, s);
    part.put(part_dots + b * cols + j, d);
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

// -- crossentropies -----------------------------------------------------------------------------

// log(sum(exp(x))) of a row in two parts, and 1 / sum(exp(x - peak)).
template <class T>
struct LogSum {
  T peak, log_total;
  double total;
};
template <class T>
KCORE_INLINE LogSum<T> log_sum(const T* x, index cols) {
  const T peak = largest(x, cols);
  const double total =
      sum_over<T>(cols, [&](index i, auto part) { return exp_of<T>(part.get(x + i) - peak); });
  return {peak, static_cast<T>(__builtin_log(total)), total};
}

// -log(softmax(x)) at the target; 0 where the target is no class.
template <class T>
void sparse_crossentropy(index rows, index cols, const T* x, const std::int64_t* target, T* loss,
                         int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const std::int64_t t = target[r];
    if (t < 0 || t >= cols) {
      loss[r] = 0;
      return;
    }
    const LogSum<T> s = log_sum(x + at, cols);
    loss[r] = -(x[at + t] - s.peak - s.log_total);
  });
}

// g * (softmax(x) - 1 at the target); 0 where the target is no class.
template <class T>
void sparse_crossentropy_grad(index rows, index cols, const T* g, const T* x,
                              const std::int64_t* target, T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const std::int64_t t = target[r];
    if (t < 0 || t >= cols) {
      std::memset(dx + at, 0, cols * sizeof(T));
      return;
    }
    const T peak = largest(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) {
      const Vec<T> e = exp_of<T>(part.get(x + at + i) - peak);
      part.put(dx + at + i, e);
      return e;
    });
    const T scale = static_cast<T>(g[r] / total);
    over_lanes<T>(0, cols,
                  [&](index i, auto part) { part.put(dx + at + i, part.get(dx + at + i) * scale); });
    dx[at + t] -= g[r];
  });
}

// -sum(target * log(softmax(x)))
template <class T>
void dense_crossentropy(index rows, index cols, const T* x, const T* target, T* loss,
                        int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const LogSum<T> s = log_sum(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) {
      return part.get(target + at + i) * (part.get(x + at + i) - s.peak - s.log_total);
    });
    loss[at / cols] = static_cast<T>(-total);
  });
}

// g * (softmax(x) * sum(target) - target)
template <class T>
void dense_crossentropy_grad(index rows, index cols, const T* g, const T* x, const T* target,
                             T* dx, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    const index r = at / cols;
    const T peak = largest(x + at, cols);
    const double total = sum_over<T>(cols, [&](index i, auto part) {
      const Vec<T> e = exp_of<T>(part.get(x + at + i) - peak);
      part.put(dx + at + i, e);
      return e;
    });
    const double mass =
        sum_over<T>(cols, [&](index i, auto part) { return part.get(target + at + i); });
    const T scale = static_cast<T>(mass / total), gr = g[r];
    over_lanes<T>(0, cols, [&](index i, auto part) {
      part.put(dx + at + i, (part.get(dx + at + i) * scale - part.get(target + at + i)) * gr);
    });
  });
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
