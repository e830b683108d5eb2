// What the Cython wrappers see: problem descriptions, and one table of kernels per SIMD level.
//
// Every kernel takes C-contiguous arrays whose shapes the wrapper has checked, runs without the
// GIL, and gives the same bits for every thread count. One that needs working memory returns
// false if there is none.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kcore {

using index = std::ptrdiff_t;

// A 2D convolution over x[n, h, w, c] with kernel[kh, kw, c / groups, oc] and y[n, oh, ow, oc].
// Padding is what precedes x; what follows it is implied by oh and ow.
struct Conv {
  index n, h, w, c;
  index kh, kw, oc, groups;
  index sh, sw, pt, pl, dh, dw;
  index oh, ow;
};

// Pooling of x[n, h, w, c] to y[n, oh, ow, c] over windows cut to the input.
struct Pool {
  index n, h, w, c;
  index kh, kw, sh, sw, pt, pl;
  index oh, ow;
};

// Elementwise functions of x with up to two parameters.
#define KCORE_CURVES(X)                                                                     \
  X(exp) X(expm1) X(log) X(tanh) X(sigmoid) X(log_sigmoid) X(softplus) X(silu) X(gelu)      \
  X(gelu_tanh) X(erf) X(elu) X(leaky_relu) X(relu6) X(hard_sigmoid) X(hard_silu)
enum class Curve : int {
#define KCORE_NAME(name) name,
  KCORE_CURVES(KCORE_NAME)
#undef KCORE_NAME
      count
};
extern const char* const curve_names[];  // null-terminated

// y = f(x), and dx = g * f'(given): `given` is y for tanh, sigmoid and exp, x for the others.
template <class T>
struct CurveKernels {
  void (*value)(index size, const T* x, T* y, T a, T b, int threads);
  void (*grad)(index size, const T* g, const T* given, T* dx, T a, T b, int threads);
};

template <class T>
struct Kernels {
  bool (*conv)(const Conv&, const T* x, const T* w, T* y, int threads);
  bool (*conv_input_grad)(const Conv&, const T* g, const T* w, T* dx, int threads);
  bool (*conv_weight_grad)(const Conv&, const T* x, const T* g, T* dw, int threads);
  bool (*depthwise)(const Conv&, const T* x, const T* w, T* y, int threads);
  bool (*depthwise_input_grad)(const Conv&, const T* g, const T* w, T* dx, int threads);
  bool (*depthwise_weight_grad)(const Conv&, const T* x, const T* g, T* dw, int threads);

  // `code_bytes` is the width of one element of `argmax`: 1, 2 or 4.
  void (*max_pool)(const Pool&, const T* x, T* y, void* argmax, int code_bytes, int threads);
  void (*max_pool_grad)(const Pool&, const T* g, const void* argmax, int code_bytes, T* dx,
                        int threads);
  void (*avg_pool)(const Pool&, const T* x, T* y, bool count_pads, int threads);
  void (*avg_pool_grad)(const Pool&, const T* g, T* dx, bool count_pads, int threads);

  void (*softmax)(index rows, index cols, const T* x, T* y, int threads);
  void (*softmax_grad)(index rows, index cols, const T* g, const T* y, T* dx, int threads);
  void (*log_softmax)(index rows, index cols, const T* x, T* y, int threads);
  void (*log_softmax_grad)(index rows, index cols, const T* g, const T* y, T* dx, int threads);
  bool (*column_sums)(index rows, index cols, const T* x, T* out, int threads);
  void (*bias_add)(index rows, index cols, const T* x, const T* bias, bool relu, T* out,
                   int threads);

  // `mean` null: rows are not centred. gamma, beta, dgamma and dbeta may be null.
  void (*normalize_rows)(index rows, index cols, const T* x, const T* gamma, const T* beta,
                         double epsilon, T* y, T* mean, T* scale, int threads);
  bool (*normalize_rows_grad)(index rows, index cols, const T* g, const T* x, const T* gamma,
                              const T* mean, const T* scale, T* dx, T* dgamma, T* dbeta,
                              int threads);
  bool (*column_moments)(index rows, index cols, const T* x, T* mean, T* variance, int threads);
  // `offset` may be null.
  void (*column_affine)(index rows, index cols, const T* x, const T* mean, const T* factor,
                        const T* offset, T* y, int threads);
  bool (*column_dots)(index rows, index cols, const T* g, const T* x, const T* mean, double* sums,
                      double* dots, int threads);
  void (*column_affine_grad)(index rows, index cols, const T* g, const T* x, const T* mean,
                             const T* factor, const T* slope, const T* level, T* dx, int threads);
  void (*sparse_crossentropy)(index rows, index cols, const T* x, const std::int64_t* target,
                              T* loss, int threads);
  void (*sparse_crossentropy_grad)(index rows, index cols, const T* g, const T* x,
                                   const std::int64_t* target, T* dx, int threads);
  void (*dense_crossentropy)(index rows, index cols, const T* x, const T* target, T* loss,
                             int threads);
  void (*dense_crossentropy_grad)(index rows, index cols, const T* g, const T* x, const T* target,
                                  T* dx, int threads);

  void (*take_rows)(index rows, index cols, const T* x, index count, const std::int64_t* at, T* y,
                    int threads);
  // `base` may be null.
  void (*add_rows)(index rows, index cols, const T* base, index count, const std::int64_t* at,
                   const T* updates, T* y, int threads);

  void (*relu)(index size, const T* x, T* y, int threads);
  void (*relu_grad)(index size, const T* g, const T* y, T* dx, int threads);
  void (*adam)(index size, T* param, const T* grad, T* m, T* v, double step_size, double beta1,
               double beta2, double epsilon, double weight_decay, int threads);
  // `velocity` may be null.
  void (*sgd)(index size, T* param, const T* grad, T* velocity, double rate, double momentum,
              bool nesterov, int threads);

  CurveKernels<T> curves[static_cast<int>(Curve::count)];
};

// Random numbers of the key (k0, k1), for the counters from 0 to size - 1.
struct Draws {
  // Both words of the cipher: out[2 * i] and out[2 * i + 1].
  void (*words)(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t* out, int threads);
  // The two xored, in the others too: as they are, as multiples of 2^-23 below 1, and whether
  // they are below a threshold.
  void (*bits)(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t* out, int threads);
  void (*units)(std::uint32_t k0, std::uint32_t k1, index size, float* out, int threads);
  void (*below)(std::uint32_t k0, std::uint32_t k1, index size, std::uint32_t threshold,
                unsigned char* out, int threads);
};

struct Level {
  const char* name;
  bool (*supported)();
  const Kernels<float>* f32;
  const Kernels<double>* f64;
  const Draws* draws;
};

// The levels of this build, widest first; null-terminated by name.
extern const Level levels[];
extern const Level* active;

bool has_openmp();

// Working memory that a thread keeps between calls: fresh pages cost as much as a small
// convolution. One lease at a time in each thread.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  explicit operator bool() const { return base_ != nullptr; }

  // The next piece, aligned to 64 bytes. The pieces must fit what was asked for, each rounded up
  // to a multiple of 64 bytes.
  void* take(std::size_t bytes);

 private:
  char* base_;
  char* next_;
  std::size_t bytes_;
};

}  // namespace kcore
