// Elementwise functions and their gradients over flat arrays: `value(x)` and `slope(given)`, where
// `given` is what api/curves.h says. `a` and `b` are the function's parameters.
#include "api/curves.h"
#include "fill.h"
#include "rows.h"

namespace kcore {
namespace KCORE_LEVEL {

namespace curves {

// What `slope` is given.
struct from_x {
  static constexpr bool by_value = false;
};
struct from_value {
  static constexpr bool by_value = true;
};

struct exp : from_value {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return exp_of<T>(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> y, T, T) {
    return y;
  }
};

struct expm1 : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return expm1_of<T>(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    return exp_of<T>(x);
  }
};

struct log : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return log_of<T>(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    return T(1) / x;
  }
};

struct tanh : from_value {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return tanh_of(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> y, T, T) {
    return T(1) - y * y;
  }
};

struct sigmoid : from_value {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return sigmoid_of<T>(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> y, T, T) {
    return y * (T(1) - y);
  }
};

struct softplus : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return softplus_of<T>(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    return sigmoid_of<T>(x);
  }
};

struct log_sigmoid : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return -softplus_of<T>(-x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    return sigmoid_of<T>(-x);
  }
};

struct silu : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return x * sigmoid_of<T>(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    const Sigmoid<T> s = sigmoid_and_slope<T>(x);
    return s.value + x * s.slope;
  }
};

// x P(Z < x)
struct gelu : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return x * normal_of<T>(x).below;
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    const Normal<T> n = normal_of<T>(x);
    return n.below + x * n.bell * T(0.3989422804014327);
  }
};

// x sigmoid(u) with u = sqrt(8 / pi) (x + 0.044715 x^3)
struct gelu_tanh : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return x * sigmoid_of<T>(x * (T(1.5957691216057308) + T(0.07135481627260025) * (x * x)));
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    const Vec<T> xx = x * x;
    const Sigmoid<T> s =
        sigmoid_and_slope<T>(x * (T(1.5957691216057308) + T(0.07135481627260025) * xx));
    return s.value + x * s.slope * (T(1.5957691216057308) + T(0.21406444881780075) * xx);
  }
};

struct erf : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return erf_of(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    return T(1.1283791670955126) *
           gauss_of<T, 1>(at_most(magnitude<T>(x), T(0.7) * Constants<T>::tail_high));
  }
};

// b x above 0, else a (e^x - 1)
struct elu : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T a, T b) {
    return x > 0 ? b * x : a * expm1_of<T>(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T a, T b) {
    return x > 0 ? broadcast(b) : a * exp_of<T>(x);
  }
};

struct leaky_relu : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T a, T) {
    return x > 0 ? x : a * x;
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T a, T) {
    return x > 0 ? broadcast<T>(1) : broadcast(a);
  }
};

template <class T>
KCORE_INLINE Vec<T> relu6_of(Vec<T> x) {
  return x <= 0 ? Vec<T>{} : at_most(x, T(6));
}
template <class T>
KCORE_INLINE Vec<T> relu6_slope(Vec<T> x, T inside) {
  return x <= 0 ? Vec<T>{} : x >= 6 ? Vec<T>{} : broadcast(inside);
}

struct relu6 : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return relu6_of<T>(x);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    return relu6_slope<T>(x, T(1));
  }
};

struct hard_sigmoid : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return relu6_of<T>(x + T(3)) / T(6);
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    return relu6_slope<T>(x + T(3), T(1) / T(6));
  }
};

struct hard_silu : from_x {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x, T, T) {
    return x * (relu6_of<T>(x + T(3)) / T(6));
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> slope(Vec<T> x, T, T) {
    return relu6_of<T>(x + T(3)) / T(6) + x * relu6_slope<T>(x + T(3), T(1) / T(6));
  }
};

}  // namespace curves

// !(x <= 0) rather than x > 0, so that nan passes; -0 becomes 0.
template <class T>
void relu(index size, const T* x, T* y, int threads) {
  parallel_blocks(size, fill_block, threads, [&](index begin, index end) {
#pragma GCC ivdep
    for (index i = begin; i < end; ++i) y[i] = x[i] <= 0 ? T(0) : x[i];
  });
}

template <class T>
void relu_grad(index size, const T* g, const T* y, T* dx, int threads) {
  parallel_blocks(size, fill_block, threads, [&](index begin, index end) {
#pragma GCC ivdep
    for (index i = begin; i < end; ++i) dx[i] = y[i] <= 0 ? T(0) : g[i];
  });
}

// relu of the elements of a `part`; and the bits of those that are not 0.
template <class T, class P>
KCORE_INLINE std::uint32_t relu_of_part(const T* x, T* y, P part) {
  const Vec<T> v = part.get(x);
  part.put(y, v <= 0 ? Vec<T>{} : v);
  return bits_of<T>(~(v <= 0));
}

template <class T>
void relu_with_bits(index size, const T* x, T* y, unsigned char* bits, int threads) {
  constexpr index lanes = Simd<T>::lanes, step = max_of<index>(8, lanes);  // whole bytes of bits
  parallel_blocks(size, fill_block, threads, [&](index begin, index end) {
    // In registers: bytes that are stored might be a pointer that is captured, for all the compiler knows.
    const T* from = x + begin;
    T* to = y + begin;
    unsigned char* marks = bits + begin / 8;
    for (index left = end - begin; left > 0; left -= step, from += step, to += step, marks += step / 8) {
      std::uint32_t word = 0;
      if (left >= step) {
#pragma GCC unroll 4
        for (index i = 0; i < step; i += lanes) word |= relu_of_part(from + i, to + i, Whole{}) << i;
      } else {
        over_lanes<T>(0, left, [&](index i, auto part) { word |= relu_of_part(from + i, to + i, part) << i; });
      }
      for (index k = 0; k < min_of(step, left); k += 8) marks[k / 8] = static_cast<unsigned char>(word >> k);
    }
  });
}

template <class T>
void relu_bits_grad(index size, const T* g, const unsigned char* bits, T* dx, int threads) {
  fill_flat<T>(size, dx, threads, [&](index i, auto part) KCORE_INLINE_LAMBDA {
    return where_bits<T>(bits, i, part, part.get(g + i));
  });
}

template <class C, class T>
void values(index size, const T* x, T* y, T a, T b, int threads) {
  fill_flat<T>(size, y, threads,
                [&](index i, auto part) KCORE_INLINE_LAMBDA { return C::template value<T>(part.get(x + i), a, b); });
}

template <class C, class T>
void values_and_slopes(index size, const T* x, T* y, T* slope, T a, T b, int threads) {
  fill_flat<T>(size, y, threads, [&](index i, auto part) KCORE_INLINE_LAMBDA {
    const Vec<T> v = part.get(x + i), value = C::template value<T>(v, a, b);
    part.put(slope + i, C::template slope<T>(C::by_value ? value : v, a, b));
    return value;
  });
}

template <class C, class T>
void slopes(index size, const T* g, const T* given, T* dx, T a, T b, int threads) {
  fill_flat<T>(size, dx, threads, [&](index i, auto part) KCORE_INLINE_LAMBDA {
    return part.get(g + i) * C::template slope<T>(part.get(given + i), a, b);
  });
}

template <class T>
struct CurveEntry {
  void (*values)(index size, const T* x, T* y, T a, T b, int threads);
  void (*both)(index size, const T* x, T* y, T* slope, T a, T b, int threads);
  void (*slopes)(index size, const T* g, const T* given, T* dx, T a, T b, int threads);
};
template <class T>
constexpr CurveEntry<T> curve_entries[] = {
#define KCORE_CURVE(name) {values<curves::name, T>, values_and_slopes<curves::name, T>, slopes<curves::name, T>},
    KCORE_CURVES(KCORE_CURVE)
#undef KCORE_CURVE
};

template <class T>
void curve(int which, index size, const T* x, T* y, double a, double b, int threads) {
  curve_entries<T>[which].values(size, x, y, static_cast<T>(a), static_cast<T>(b), threads);
}

template <class T>
void curve_with_slope(int which, index size, const T* x, T* y, T* slope, double a, double b, int threads) {
  curve_entries<T>[which].both(size, x, y, slope, static_cast<T>(a), static_cast<T>(b), threads);
}

template <class T>
void curve_grad(int which, index size, const T* g, const T* given, T* dx, double a, double b,
                int threads) {
  curve_entries<T>[which].slopes(size, g, given, dx, static_cast<T>(a), static_cast<T>(b),
                                 threads);
}

namespace bias_curves {

struct linear {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x) {
    return x;
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> pulled(Vec<T> g, Vec<T>) {
    return g;
  }
};

struct relu {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x) {
    return x <= 0 ? Vec<T>{} : x;
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> pulled(Vec<T> g, Vec<T> y) {
    return y <= 0 ? Vec<T>{} : g;
  }
};

template <class C>
struct of_curve {
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> value(Vec<T> x) {
    return C::template value<T>(x, T(0), T(0));
  }
  template <class T>
  static KCORE_INLINE_MEMBER Vec<T> pulled(Vec<T> g, Vec<T> given) {
    return g * C::template slope<T>(given, T(0), T(0));
  }
};
using sigmoid = of_curve<curves::sigmoid>;
using tanh = of_curve<curves::tanh>;
using silu = of_curve<curves::silu>;
using gelu = of_curve<curves::gelu>;
using gelu_tanh = of_curve<curves::gelu_tanh>;

}  // namespace bias_curves

template <class C, class T>
void bias_values(index rows, index cols, const T* x, const T* bias, T* y, int threads) {
  over_rows(rows, cols, threads, [&](index at) {
    over_lanes<T>(0, cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
      const Vec<T> v = part.get(x + at + j);
      part.put(y + at + j, C::template value<T>(bias ? v + part.get(bias + j) : v));
    });
  });
}

// Sums of 64 rows in T, the rest in double.
template <class C, class T>
bool bias_slopes(index rows, index cols, const T* g, const T* given, const T* bias, T* dx, T* sums,
                 int threads) {
  constexpr index chain = 64;
  const index block =
      max_of<index>(chain, round_up((index{1} << 16) / max_of<index>(cols, 1), chain));
  const index blocks = ceil_div(rows, block), team = max_of(threads, 1);
  Scratch scratch(room<double>(blocks * cols) + team * room<T>(cols));
  if (!scratch) return false;
  double* parts = take<double>(scratch, blocks * cols);
  T* chains = take<T>(scratch, static_cast<index>(team * room<T>(cols) / sizeof(T)));
  parallel_for(blocks, threads, [&](index b, int slot) {
    double* part_sums = parts + b * cols;
    T* chain_sums = chains + slot * static_cast<index>(room<T>(cols) / sizeof(T));
    for (index j = 0; j < cols; ++j) part_sums[j] = 0;
    const index end = min_of(rows, (b + 1) * block);
    for (index r0 = b * block; r0 < end; r0 += chain) {
      for (index j = 0; j < cols; ++j) chain_sums[j] = 0;
      for (index r = r0; r < min_of(end, r0 + chain); ++r)
        over_lanes<T>(0, cols, [&](index j, auto part) KCORE_INLINE_LAMBDA {
          const index at = r * cols + j;
          const Vec<T> v = part.get(given + at);
          const Vec<T> d =
              C::template pulled<T>(part.get(g + at), bias ? v + part.get(bias + j) : v);
          part.put(dx + at, d);
          part.put(chain_sums + j, part.get(chain_sums + j) + d);
        });
      for (index j = 0; j < cols; ++j) part_sums[j] += chain_sums[j];
    }
  });
  for (index j = 0; j < cols; ++j) {
    double total = 0;
    for (index b = 0; b < blocks; ++b) total += parts[b * cols + j];
    sums[j] = static_cast<T>(total);
  }
  return true;
}

template <class T>
struct BiasEntry {
  void (*values)(index rows, index cols, const T* x, const T* bias, T* y, int threads);
  bool (*slopes)(index rows, index cols, const T* g, const T* given, const T* bias, T* dx, T* sums,
                 int threads);
};
template <class T>
constexpr BiasEntry<T> bias_entries[] = {
#define KCORE_CURVE(name) {bias_values<bias_curves::name, T>, bias_slopes<bias_curves::name, T>},
    KCORE_BIAS_CURVES(KCORE_CURVE)
#undef KCORE_CURVE
};

template <class T>
void bias_curve(int which, index rows, index cols, const T* x, const T* bias, T* y, int threads) {
  bias_entries<T>[which].values(rows, cols, x, bias, y, threads);
}

template <class T>
bool bias_curve_grad(int which, index rows, index cols, const T* g, const T* given, const T* bias,
                     T* dx, T* sums, int threads) {
  return bias_entries<T>[which].slopes(rows, cols, g, given, bias, dx, sums, threads);
}

KCORE_EXPORT(curves, CurveKernels, KCORE_CURVES_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
