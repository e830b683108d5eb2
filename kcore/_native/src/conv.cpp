// Convolutions that mix channels.
#include "api/conv.h"
#include "dense.h"
#include "few.h"
#include "widened.h"
#include "winograd.h"

namespace kcore {
namespace KCORE_LEVEL {

// The weights of one group for one tap of the depth, forward.
template <class T>
Weights<T> group_weights(const Conv& s, const T* w, index group, index tap = 0) {
  const index c = s.c / s.groups, oc = s.oc / s.groups;
  return {w + tap * s.kh * s.kw * c * s.oc + group * oc, s.kw * c * s.oc, c * s.oc, s.oc, 1};
}

// How a plane is walked, whatever the number of planes.
inline Walk plane_walk(const Conv& s) {
  return as_one_row(forward_walk(s, {s.n * s.d, 0, 0, s.h * s.w * s.c, 0, s.oh * s.ow * s.oc}));
}

// Whether F(4x4, 3x3) is worth while, for walks that it fits. Transforming the weights takes as
// long as some 800 multiplications for each of them, and reading them transformed as some 250.
inline bool winograd_pays(const Walk& walk, index channels, index oc, bool ready) {
  const index pixels = walk.n * walk.oh * walk.ow;
  return channels >= 16 && oc >= 16 &&
         9 * pixels > points * TileGrid(walk).count + (ready ? 250 : 800);
}
template <class T>
bool takes_winograd(const Conv& s, bool fast, bool ready) {
  if (sizeof(T) != sizeof(float) || !fast || !s.flat() || s.groups > 1) return false;
  const Walk walk = plane_walk(s);
  return fits_winograd(walk) && winograd_pays(walk, s.c, s.oc, ready);
}

// Elements that the packed weights of a group take for one tap of the depth.
template <class T>
index packed_group(const Conv& s) {
  const index c = s.c / s.groups, oc = s.oc / s.groups;
  return round_up(s.kh * s.kw * c * panels_of<T>(plane_walk(s), oc).packed(), 64 / sizeof(T));
}

template <class T>
index conv_layout(const Conv& s, bool fast, const T*) {
  return takes_winograd<T>(s, fast, true) ? 0 : panels_of<T>(plane_walk(s), s.oc / s.groups).full;
}

template <class T>
index conv_packed(const Conv& s, bool fast, const T*) {
  return takes_winograd<T>(s, fast, true) ? winograd_packed<T>(s.c, s.oc)
                                          : s.kd * s.groups * packed_group<T>(s);
}

template <class T>
void conv_pack(const Conv& s, bool fast, const T* w, T* packed, int threads) {
  const index c = s.c / s.groups;
  if (takes_winograd<T>(s, fast, true)) {
    winograd_pack(group_weights(s, w, 0), s.c, s.oc, packed, threads);
    return;
  }
  const Panels<T> panels = panels_of<T>(plane_walk(s), s.oc / s.groups);
  for (index tap = 0; tap < s.kd; ++tap)
    for (index g = 0; g < s.groups; ++g)
      pack_all(group_weights(s, w, g, tap), s.kw, c, s.kh * s.kw * c, panels,
               packed + (tap * s.groups + g) * packed_group<T>(s), threads);
}

// A number that tells arrays apart by their bits. Each 32-bit word goes into one of many chains,
// whose steps are one-to-one, so that a change of a single word always changes the number.
template <class T>
std::uint64_t fingerprint(const T* x, index count, int threads) {
  typedef Bits<float>::U U;
  constexpr index lanes = Simd<float>::lanes, chains = 8, block = index{1} << 14;
  constexpr std::uint32_t odd = 0x9e3779b1u;
  constexpr std::uint64_t mix = 0x9e3779b97f4a7c15u;
  const index words = count * static_cast<index>(sizeof(T) / sizeof(std::uint32_t)),
              blocks = ceil_div(words, block);
  const char* bytes = reinterpret_cast<const char*>(x);
  std::uint64_t total = static_cast<std::uint64_t>(count);
  constexpr index together = 64;  // blocks between two joins
  for (index b0 = 0; b0 < blocks; b0 += together) {
    std::uint64_t parts[together] = {};
    parallel_for(min_of(together, blocks - b0), threads, [&](index b, int) {
      index i = (b0 + b) * block;
      const index end = min_of(words, i + block);
      U h[chains];
      for (int j = 0; j < chains; ++j) h[j] = U{} + static_cast<std::uint32_t>(j + 1);
      for (; i + chains * lanes <= end; i += chains * lanes)
#pragma GCC unroll 8
        for (int j = 0; j < chains; ++j) {
          U word;
          std::memcpy(&word, bytes + (i + j * lanes) * 4, sizeof word);
          h[j] = (h[j] ^ word) * odd;
          h[j] ^= h[j] >> 16;  // else a change of all signs would cancel
        }
      std::uint64_t sum = 0;
      for (; i < end; ++i) {
        std::uint32_t word;
        std::memcpy(&word, bytes + i * 4, sizeof word);
        sum = (sum ^ word) * mix;
        sum ^= sum >> 32;
      }
      for (int j = 0; j < chains; ++j)
        for (index k = 0; k < lanes; ++k) sum = (sum ^ sum >> 29) * mix + h[j][k];
      parts[b] = sum;
    });
    for (index b = 0; b < min_of(together, blocks - b0); ++b)
      total = (total ^ total >> 31) * mix + parts[b];
  }
  return total;
}

template <class T>
bool conv(const Conv& s, bool fast, const T* x, const T* w, const T* packed, const Ending& ending,
          T* y, int threads) {
  const index c = s.c / s.groups, oc = s.oc / s.groups, pixels = s.n * s.od * s.oh * s.ow;
  const Ends<T> ends(ending), none(Ending{});
  if (takes_winograd<T>(s, fast, packed != nullptr))
    return winograd(plane_walk(s), c, oc, x, group_weights(s, w, 0), packed, ends, y,
                    threads);
  if (!s.flat()) std::memset(y, 0, pixels * s.oc * sizeof(T));
  const Panels<T> panels = panels_of<T>(plane_walk(s), oc);
  bool ok = true;
  over_planes(s, [&](const Planes& planes) {
    const Walk walk = as_one_row(forward_walk(s, planes));
    for (index g = 0; g < s.groups && ok; ++g) {
      const T* ready =
          packed ? packed + (planes.tap * s.groups + g) * packed_group<T>(s) : nullptr;
      const Weights<T> weights = group_weights(s, w, g, planes.tap);
      ok = convolve(walk, c, panels, x + planes.x + g * c, weights, ready, !s.flat(),
                    s.flat() ? ends.shifted(g * oc, g * oc) : none, y + planes.y + g * oc, threads);
    }
  });
  if (!s.flat()) end_rows(pixels, s.oc, ends, y, y, threads);
  return ok;
}

template <class T>
bool conv_input_grad(const Conv& s, bool fast, const T* g, const T* w, const Ending& ending, T* dx,
                     int threads) {
  const index pixels = s.n * s.d * s.h * s.w;
  const Ends<T> ends(ending), none(Ending{});
  bool ok = true, numbers = true;
  if (widening_pays<T>(s)) {
    if (!s.flat()) std::memset(dx, 0, pixels * s.c * sizeof(T));
    over_planes(s, [&](const Planes& planes) {
      if (ok && numbers) ok = widened_input_grad(s, planes, g, w, dx, threads, &numbers);
    });
    if (ok && numbers) end_rows(pixels, s.c, ends, dx, dx, threads);
    if (numbers) return ok;
  }
  // Each phase ends what it gives; not where sums join, or some phase gives nothing.
  const bool apart = !s.flat() || has_empty_phase(s);
  if (has_empty_phase(s)) std::memset(dx, 0, pixels * s.c * sizeof(T));
  const index c = s.c / s.groups, oc = s.oc / s.groups;
  const T* ready = nullptr;
  over_planes(s, [&](const Planes& planes) {
    const T* wd = w + planes.tap * s.kh * s.kw * c * s.oc;
    over_phases(s, planes, [&](const Walk& phase, const Phase& row, const Phase& col) {
      const Walk walk = as_one_row(phase);
      const bool quick = sizeof(T) == sizeof(float) && fast && s.flat() && s.groups == 1 &&
                         fits_winograd(walk) && winograd_pays(walk, oc, c, false);
      for (index i = 0; i < s.groups && ok; ++i) {
        const Weights<T> weights{wd + (row.tap * s.kw + col.tap) * c * s.oc + i * oc,
                                 row.tap_step * s.kw * c * s.oc, col.tap_step * c * s.oc, 1, s.oc};
        const T* from = g + planes.y + i * oc;
        const index to = planes.x + (row.first * s.w + col.first) * s.c + i * c;
        const Ends<T> here = apart ? none : ends.shifted(i * c, to);
        ok = quick ? winograd(walk, oc, c, from, weights, ready, here, dx + to, threads)
                   : convolve(walk, oc, panels_of<T>(walk, c), from, weights, ready, !s.flat(),
                              here, dx + to, threads);
      }
    });
  });
  if (apart) end_rows(pixels, s.c, ends, dx, dx, threads);
  return ok;
}

template <class T>
bool conv_weight_grad(const Conv& s, const T* x, const T* g, T* dw, int threads) {
  const index c = s.c / s.groups, oc = s.oc / s.groups, taps = s.kh * s.kw * c * s.oc;
  if (!s.flat()) std::memset(dw, 0, s.kd * taps * sizeof(T));
  bool ok = true;
  over_planes(s, [&](const Planes& planes) {
    const Walk walk = with_long_rows(forward_walk(s, planes));
    for (index i = 0; i < s.groups && ok; ++i)
      ok = correlate(walk, c, oc, x + planes.x + i * c, g + planes.y + i * oc,
                     dw + planes.tap * taps + i * oc, s.oc, !s.flat(), threads);
  });
  return ok;
}

KCORE_EXPORT(conv, ConvKernels, KCORE_CONV_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
