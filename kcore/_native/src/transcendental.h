// Vectors of exp, expm1, log, log1p, tanh, erf and the normal distribution: within 1 to 4 units in
// the last place, subnormal numbers included; nan and infinities as they should be.
//
// The polynomials are Chebyshev interpolants of the named function on the named interval, and the
// rational functions are near-minimax in relative error; highest power first.
#pragma once

#include "simd.h"

namespace kcore {
namespace KCORE_LEVEL {

template <class T>
struct Constants;

template <>
struct Constants<float> {
  static constexpr int bias = 127, fraction = 23;
  static constexpr std::int32_t one = 0x3f800000, three_quarters = 0x3f400000;  // bits
  static constexpr float least = 1.17549435e-38f, lift = 8388608.0f;  // below least: times lift
  static constexpr int lifted = 23;
  static constexpr float round = 12582912.0f;  // adding and subtracting it rounds to an integer
  static constexpr std::uint32_t upper_half = 0xfffff000;  // keeps half of a number's bits
  static constexpr float log2e = 1.44269504f;
  // n * high is exact, and low above 0, so that both parts of an infinite n are infinite alike.
  static constexpr float ln2_high = 0.693145751953125f, ln2_low = 1.42860682e-6f;
  static constexpr float low = -104.0f, high = 89.0f;  // exp: 0 and inf beyond
  static constexpr float expm1_low = -17.5f, tail_high = 14.6f;
  // (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2
  static constexpr float exp[] = {1.392620336e-3f, 8.363194882e-3f, 4.16665545e-2f, 0.1666657689f,
                                  0.5f};
  // (2 atanh(s) / s - 2) / s^2 in s^2, for |s| <= 1 / 5
  static constexpr float log[] = {0.2374734454f, 0.2853274477f, 0.4000031125f, 0.6666666628f};
  // The same for |s| <= 1 / 3
  static constexpr float log1p[] = {0.2322432922f, 0.217065758f, 0.2859235799f, 0.3999970633f, 0.6666666732f};
  // erf(x) / x in x^2, above and below the line, for |x| <= erf_high
  static constexpr float erf_high = 3.93f;
  static constexpr float erf[] = {2.041814085e-6f, 2.847546868e-4f, 3.778516007e-3f,
                                  5.278714465e-2f, 0.1907627629f,   1.128379146f};
  static constexpr float erf_below[] = {3.799948254e-5f, 1.164885373e-3f, 1.499539076e-2f,
                                        0.1142484682f,   0.5023918304f,   1.0f};
  // tanh(x) / x in the same way, for |x| <= tanh_high
  static constexpr float tanh_high = 9.02f;
  static constexpr float tanh[] = {5.076129708e-8f, 3.158873872e-5f, 4.008492483e-3f,
                                   0.1378535071f, 0.9999999991f};
  static constexpr float tanh_below[] = {7.374274172e-10f, 1.617462482e-6f, 4.207378839e-4f,
                                         2.773745134e-2f,  0.4711868312f,   1.0f};
  // P(Z < -z) e^(z^2 / 2) in z, above and below the line, for 0 <= z <= tail_high
  static constexpr float tail[] = {4.12382403e-3f, 4.068377572e-2f, 0.1833849611f, 0.4384969779f, 0.500000003f};
  static constexpr float tail_below[] = {1.033677586e-2f, 0.1019854809f, 0.4698661884f, 1.203125128f,
                                         1.674878942f, 1.0f};
};

template <>
struct Constants<double> {
  static constexpr int bias = 1023, fraction = 52;
  static constexpr std::int64_t one = 0x3ff0000000000000, three_quarters = 0x3fe8000000000000;
  static constexpr double least = 2.2250738585072014e-308, lift = 4503599627370496.0;
  static constexpr int lifted = 52;
  static constexpr double round = 6755399441055744.0;
  static constexpr std::uint64_t upper_half = 0xfffffffff8000000;
  static constexpr double log2e = 1.4426950408889634;
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
  static constexpr double low = -746.0, high = 710.0;
  static constexpr double expm1_low = -38.0, tail_high = 39.0;
  static constexpr double exp[] = {
      2.09147070696123534e-9, 2.51052451539013699e-8, 2.75572735947994132e-7,
      2.75572553325544091e-6, 2.48015873255858389e-5, 1.98412698748739751e-4,
      1.38888888888837374e-3, 8.33333333332611986e-3, 4.16666666666666698e-2,
      0.16666666666666671,    0.5};
  static constexpr double log[] = {0.136040157071240775, 0.132103604851326198, 0.153888346778019151,
                                   0.181817384547230256, 0.222222230378072419, 0.285714285673391893,
                                   0.400000000000078006, 0.666666666666666642};
  static constexpr double log1p[] = {0.156305778009228504, 0.074921437955507673, 0.108451783948800148, 0.117342790613031975, 0.133351786314492558, 0.153845439648605493, 0.181818198979627144, 0.222222221982367706, 0.285714285716000993, 0.399999999999995225, 0.666666666666666669};
  // erf(x) / x in x^2, for |x| <= 1
  static constexpr double erf[] = {
      -7.79589882700214224e-10, 1.37200645467776856e-8,   -1.62084838018717059e-7,
      1.64474247033173624e-6,   -1.49247369074196603e-5,  1.20552949048397079e-4,
      -8.54832597538969208e-4,  5.22397760711642273e-3,   -2.68661706432377704e-2,
      0.112837916709450063,     -0.376126389031835404,    1.12837916709551257};
  // P(Z < -z) e^(z^2 / 2) (z + 4) in (z - 4) / (z + 4), for 0 <= z <= tail_high
  static constexpr double tail[] = {
      -9.65342542022850467e-10, 7.26954547902668946e-11, 1.39240239935017101e-8,
      1.45785933470364597e-8,   -7.63808205349045035e-8, -1.54263205367710739e-7,
      2.63682485764076251e-7,   1.01980485181351727e-6,  -6.25132104047868019e-7,
      -5.91889273176323645e-6,  7.15005595921609866e-7,  3.51441811577609727e-5,
      -1.90786653166135743e-6,  -2.31094818319376211e-4, 1.33344254019049116e-4,
      1.63081844189035960e-3,   -3.47969236224253334e-3, -7.54018896559305902e-3,
      6.03965748906994641e-2,   -0.186521857959694163,   0.387137400742218879,
      -0.607896641971891759,    0.755285130415751480};
};

template <class T, unsigned n>
KCORE_INLINE Vec<T> polynomial(Vec<T> x, const T (&terms)[n]) {
  Vec<T> p = broadcast(terms[0]);
#pragma GCC unroll 24
  for (unsigned i = 1; i < n; ++i) p = p * x + terms[i];
  return p;
}

template <class T>
KCORE_INLINE Vec<T> magnitude(Vec<T> x) {
  typedef typename Bits<T>::U Uint;
  return (Vec<T>)(((Uint)x << 1) >> 1);
}
template <class T>
KCORE_INLINE Vec<T> with_sign_of(Vec<T> x, Vec<T> sign) {
  typedef typename Bits<T>::U Uint;
  const Uint top = (Uint)broadcast<T>(T(-0.0));
  return (Vec<T>)(((Uint)x & ~top) | ((Uint)sign & top));
}
// nan stays: both comparisons are false for it, and the instructions give their second operand.
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
// Zero-masked: what the plain ones do with an undefined register, GCC warns about.
KCORE_INLINE Vec<float> at_least(Vec<float> x, float low) {
  return (Vec<float>)_mm512_maskz_max_ps(0xffff, _mm512_set1_ps(low), (__m512)x);
}
KCORE_INLINE Vec<double> at_least(Vec<double> x, double low) {
  return (Vec<double>)_mm512_maskz_max_pd(0xff, _mm512_set1_pd(low), (__m512d)x);
}
KCORE_INLINE Vec<float> at_most(Vec<float> x, float high) {
  return (Vec<float>)_mm512_maskz_min_ps(0xffff, _mm512_set1_ps(high), (__m512)x);
}
KCORE_INLINE Vec<double> at_most(Vec<double> x, double high) {
  return (Vec<double>)_mm512_maskz_min_pd(0xff, _mm512_set1_pd(high), (__m512d)x);
}
#elif KCORE_VECTOR_BYTES == 32 && defined(__AVX__)
KCORE_INLINE Vec<float> at_least(Vec<float> x, float low) {
  return (Vec<float>)_mm256_max_ps(_mm256_set1_ps(low), (__m256)x);
}
KCORE_INLINE Vec<double> at_least(Vec<double> x, double low) {
  return (Vec<double>)_mm256_max_pd(_mm256_set1_pd(low), (__m256d)x);
}
KCORE_INLINE Vec<float> at_most(Vec<float> x, float high) {
  return (Vec<float>)_mm256_min_ps(_mm256_set1_ps(high), (__m256)x);
}
KCORE_INLINE Vec<double> at_most(Vec<double> x, double high) {
  return (Vec<double>)_mm256_min_pd(_mm256_set1_pd(high), (__m256d)x);
}
#else
template <class V, class T>
KCORE_INLINE V at_least(V x, T low) {
  return x < low ? broadcast<T>(low) : x;
}
template <class V, class T>
KCORE_INLINE V at_most(V x, T high) {
  return x > high ? broadcast<T>(high) : x;
}
#endif

// x * 2^n for whole n, with results that overflow or are subnormal rounded once.
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
KCORE_INLINE Vec<float> scaled(Vec<float> x, Vec<float> n, Vec<float>) {
  return (Vec<float>)_mm512_maskz_scalef_ps(0xffff, (__m512)x, (__m512)n);
}
KCORE_INLINE Vec<double> scaled(Vec<double> x, Vec<double> n, Vec<double>) {
  return (Vec<double>)_mm512_maskz_scalef_pd(0xff, (__m512d)x, (__m512d)n);
}
#else
// `shifted` is n + round, with the integer in its low bits. 2^n goes in two factors, each of them
// in range.
template <class V>
KCORE_INLINE V scaled(V x, V, V shifted) {
  typedef __typeof__(x[0] + x[0]) T;
  typedef Constants<T> C;
  typedef typename Bits<T>::V Int;
  typedef typename Bits<T>::U Uint;
  const Int power = (Int)((Uint)shifted - (Uint)broadcast<T>(C::round));
  const Int half = power >> 1;
  const V first = (V)((Uint)(half + C::bias) << C::fraction);
  const V second = (V)((Uint)(power - half + C::bias) << C::fraction);
  return x * first * second;
}
#endif

// e^x for x that is in range, `change` applied to what is left of it once n ln(2) is taken off.
template <class T, class F>
KCORE_INLINE Vec<T> exp_in_range(Vec<T> x, F&& change) {
  typedef Constants<T> C;
  const Vec<T> shifted = x * C::log2e + C::round;
  const Vec<T> n = shifted - C::round;
  const Vec<T> r = change((x - n * C::ln2_high) - n * C::ln2_low);
  const Vec<T> p = polynomial<T>(r, C::exp) * (r * r) + r + T(1);
  return scaled(p, n, shifted);
}
template <class T>
KCORE_INLINE Vec<T> exp_of(Vec<T> x) {
  typedef Constants<T> C;
  return exp_in_range<T>(at_most(at_least(x, C::low), C::high), [](Vec<T> r) { return r; });
}
// For x that is nan or at most 0.
template <class T>
KCORE_INLINE Vec<T> exp_below_0(Vec<T> x) {
  return exp_in_range<T>(at_least(x, Constants<T>::low), [](Vec<T> r) { return r; });
}

template <class T>
KCORE_INLINE Vec<T> expm1_of(Vec<T> x) {
  typedef Constants<T> C;
  typedef typename Bits<T>::U Uint;
  const Vec<T> given = x;
  x = at_most(at_least(x, C::expm1_low), C::high);
  const Vec<T> shifted = x * C::log2e + C::round;
  const Vec<T> n = shifted - C::round;
  const Vec<T> r = (x - n * C::ln2_high) - n * C::ln2_low;
  const Vec<T> p = polynomial<T>(r, C::exp) * (r * r) + r;
  // 2^n (e^r - 1) + (2^n - 1), through 2^(n - 1), which does not overflow.
  const Vec<T> half =
      (Vec<T>)(((Uint)shifted - (Uint)broadcast<T>(C::round) + (C::bias - 1)) << C::fraction);
  const Vec<T> y = T(2) * (half * p + (half - T(0.5)));
  return given == 0 ? given : y;  // -0
}

// x = 2^n m with 3/4 <= m < 3/2. Of infinity and zeros n is infinite; below zero m is nan.
template <class T>
struct Parts {
  Vec<T> n, m;
};
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
// Zero-masked, as above. A whole n follows from the exponents: m's is 0, or -1 where n was rounded up.
KCORE_INLINE Parts<float> parts_of(Vec<float> x) {
  const __m512 m = _mm512_maskz_getmant_ps(0xffff, (__m512)x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);
  return {(Vec<float>)(_mm512_maskz_getexp_ps(0xffff, (__m512)x) - _mm512_maskz_getexp_ps(0xffff, m)),
          (Vec<float>)m};
}
KCORE_INLINE Parts<double> parts_of(Vec<double> x) {
  const __m512d m = _mm512_maskz_getmant_pd(0xff, (__m512d)x, _MM_MANT_NORM_p75_1p5, _MM_MANT_SIGN_nan);
  return {(Vec<double>)(_mm512_maskz_getexp_pd(0xff, (__m512d)x) - _mm512_maskz_getexp_pd(0xff, m)),
          (Vec<double>)m};
}
#else
template <class V>
KCORE_INLINE auto parts_of(V x) {
  typedef __typeof__(x[0] + x[0]) T;
  typedef Constants<T> C;
  typedef typename Bits<T>::V Int;
  typedef typename Bits<T>::U Uint;
  typedef typename Bits<T>::Word Word;
  const Int small = x < C::least;
  Uint bits = (Uint)(small ? x * C::lift : x);
  bits += static_cast<Word>(C::one - C::three_quarters);
  const Int power = (Int)(bits >> C::fraction) - C::bias - (small & C::lifted);
  const Word mask = (Word{1} << C::fraction) - 1;
  const V m = (V)((bits & mask) + static_cast<Word>(C::three_quarters));
  const V n = __builtin_convertvector(power, V);
  const V infinite = broadcast<T>(static_cast<T>(__builtin_inf()));
  return Parts<T>{x == infinite ? x : x == 0 ? -infinite : n,
                  x >= 0 ? m : broadcast<T>(static_cast<T>(__builtin_nan("")))};
}
#endif

// log(x) = n ln(2) + 2 atanh(f / (2 + f)) with x = 2^n (1 + f), as in FreeBSD's msun.
template <class T>
KCORE_INLINE Vec<T> log_of(Vec<T> x) {
  typedef Constants<T> C;
  const Parts<T> parts = parts_of(x);
  const Vec<T> n = parts.n, f = parts.m - T(1);
  const Vec<T> s = f / (T(2) + f), z = s * s;
  const Vec<T> tail = polynomial<T>(z, C::log) * z, half = T(0.5) * f * f;
  return n * C::ln2_high - ((half - (s * (half + tail) + n * C::ln2_low)) - f);
}

// log(1 + x) = 2 atanh(x / (2 + x)), for 0 <= x <= 1.
template <class T>
KCORE_INLINE Vec<T> log1p_of(Vec<T> x) {
  const Vec<T> s = x / (x + T(2)), z = s * s;
  return s * (z * polynomial<T>(z, Constants<T>::log1p) + T(2));
}

// x above(x^2) / below(x^2), an odd function that is 1 from `high` on.
template <unsigned n, unsigned m>
KCORE_INLINE Vec<float> odd_ratio(Vec<float> x, float high, const float (&above)[n],
                                  const float (&below)[m]) {
  const Vec<float> a = at_most(magnitude<float>(x), high), u = a * a;
  const Vec<float> y =
      at_most(a * polynomial<float>(u, above) / polynomial<float>(u, below), 1.0f);
  return with_sign_of<float>(a == high ? broadcast(1.0f) : y, x);
}

KCORE_INLINE Vec<float> tanh_of(Vec<float> x) {
  typedef Constants<float> C;
  return odd_ratio(x, C::tanh_high, C::tanh, C::tanh_below);
}
KCORE_INLINE Vec<double> tanh_of(Vec<double> x) {
  const Vec<double> e = expm1_of<double>(2.0 * at_most(magnitude<double>(x), 20.0));
  return with_sign_of<double>(e / (e + 2.0), x);
}

// sigmoid(x) and its slope, sigmoid(x) sigmoid(-x), both precise.
template <class T>
struct Sigmoid {
  Vec<T> value, slope;
};
template <class T>
KCORE_INLINE Sigmoid<T> sigmoid_and_slope(Vec<T> x) {
  const Vec<T> e = exp_below_0<T>(-magnitude<T>(x));
  const Vec<T> value = (x < 0 ? e : broadcast<T>(1)) / (e + T(1));
  return {value, value * (x < 0 ? T(1) - value : e * value)};
}
template <class T>
KCORE_INLINE Vec<T> sigmoid_of(Vec<T> x) {
  return sigmoid_and_slope<T>(x).value;
}

template <class T>
KCORE_INLINE Vec<T> softplus_of(Vec<T> x) {
  const Vec<T> above = x < 0 ? Vec<T>{} : x;  // nan stays
  return above + log1p_of<T>(exp_below_0<T>(-magnitude<T>(x)));
}

// x^2 - square, for the square as it is rounded: exact, where there is a fused multiply-add.
#if KCORE_VECTOR_BYTES == 64 && defined(__AVX512F__)
KCORE_INLINE Vec<float> square_rest(Vec<float> x, Vec<float> square) {
  return (Vec<float>)_mm512_fmsub_ps((__m512)x, (__m512)x, (__m512)square);
}
KCORE_INLINE Vec<double> square_rest(Vec<double> x, Vec<double> square) {
  return (Vec<double>)_mm512_fmsub_pd((__m512d)x, (__m512d)x, (__m512d)square);
}
#elif KCORE_VECTOR_BYTES == 32 && defined(__FMA__)
KCORE_INLINE Vec<float> square_rest(Vec<float> x, Vec<float> square) {
  return (Vec<float>)_mm256_fmsub_ps((__m256)x, (__m256)x, (__m256)square);
}
KCORE_INLINE Vec<double> square_rest(Vec<double> x, Vec<double> square) {
  return (Vec<double>)_mm256_fmsub_pd((__m256d)x, (__m256d)x, (__m256d)square);
}
#else
template <class V>
KCORE_INLINE V square_rest(V x, V square) {
  typedef __typeof__(x[0] + x[0]) T;
  typedef typename Bits<T>::U Uint;
  const V high = (V)((Uint)x & Constants<T>::upper_half), low = x - high;
  return (high * high - square) + low * (x + high);
}
#endif

// e^(-x^2 / parts), the square taken to twice the precision. x is at most tail_high.
template <class T, int parts>
KCORE_INLINE Vec<T> gauss_of(Vec<T> x) {
  typedef Constants<T> C;
  const Vec<T> square = x * x, rest = square_rest(x, square);
  const Vec<T> shifted = square * (C::log2e / -parts) + C::round;
  const Vec<T> n = shifted - C::round;
  // What is left of the square, once n ln(2) is taken off the exponent.
  const Vec<T> r = (square + n * (C::ln2_high * parts)) + (n * (C::ln2_low * parts) + rest);
  // e^(-r / parts): the powers of parts go into the coefficients, without rounding.
  constexpr int degree = sizeof(C::exp) / sizeof(T) + 1;
  T scale[degree] = {1};
  for (int i = 1; i < degree; ++i) scale[i] = scale[i - 1] / -parts;
  Vec<T> p = broadcast(C::exp[0] * (scale[degree - 1] / -parts));
#pragma GCC unroll 24
  for (int i = 1; i < degree - 1; ++i) p = p * r + C::exp[i] * scale[degree - i];
  return scaled((p * r + scale[1]) * r + T(1), n, shifted);
}

// P(Z < -z) e^(z^2 / 2) of the normal distribution, for 0 <= z <= tail_high; nan stays.
KCORE_INLINE Vec<float> tail_ratio_of(Vec<float> z) {
  typedef Constants<float> C;
  return polynomial<float>(z, C::tail) / polynomial<float>(z, C::tail_below);
}
KCORE_INLINE Vec<double> tail_ratio_of(Vec<double> z) {
  const Vec<double> w = 1.0 / (z + 4.0);
  return polynomial<double>((z - 4.0) * w, Constants<double>::tail) * w;
}

// The normal distribution function, and its density times sqrt(2 pi).
template <class T>
struct Normal {
  Vec<T> below, bell;
};
template <class T>
KCORE_INLINE Normal<T> normal_of(Vec<T> x) {
  const Vec<T> z = at_most(magnitude<T>(x), Constants<T>::tail_high);
  const Vec<T> bell = gauss_of<T, 2>(z);
  const Vec<T> tail = tail_ratio_of(z) * bell;
  return {x < 0 ? tail : T(1) - tail, bell};
}

KCORE_INLINE Vec<float> erf_of(Vec<float> x) {
  typedef Constants<float> C;
  return odd_ratio(x, C::erf_high, C::erf, C::erf_below);
}
KCORE_INLINE Vec<double> erf_of(Vec<double> x) {
  const Vec<double> a = at_most(magnitude<double>(x), 7.0);
  const Vec<double> near = a * polynomial<double>(a * a, Constants<double>::erf);
  const Vec<double> tail = tail_ratio_of(a * 1.4142135623730951) * gauss_of<double, 1>(a);
  return with_sign_of<double>(a < 1 ? near : 1.0 - 2.0 * tail, x);
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
