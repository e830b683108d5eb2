// Long short-term memory and gated recurrent units along whole sequences.
//
// The recurrent kernel is packed once per call, the columns of one unit's gates beside each other:
// so a tile's sums are whole gates, and the step goes on with them while they are in the cache.
// Threads share out the batch, whose rows never meet.
#include "api/recurrent.h"
#include "tile.h"
#include "transcendental.h"

namespace kcore {
namespace KCORE_LEVEL {

// The steps in the order of going, and the step before each.
struct Course {
  index steps;
  bool reverse;
  index at(index i) const { return reverse ? steps - 1 - i : i; }
};

// h @ w, or x @ w, for some of the gates, w packed for tiles: blocks of `lanes` units, in each the
// gates' columns of those units, two or four gates at a time.
template <class T>
class GateProducts {
 public:
  static constexpr index lanes = Simd<T>::lanes;

  GateProducts(index depth, index units, index gates)
      : depth_(depth), units_(units), gates_(gates) {
    rows_ = max_tile_rows;
    for (index gate = 0; gate < gates; gate += width_at(gate))
      rows_ = min_of(rows_, tile_rows[width_at(gate)]);
  }

  index room_needed() const { return round_up(units_, lanes) * gates_ * depth_; }

  // Packs the gates from column `first` on; a row of w has `columns`.
  void pack_from(const T* w, index columns, index first, T* packed) {
    packed_ = packed;
    for (index u = 0; u < units_; u += lanes)
      for (index gate = 0; gate < gates_; gate += width_at(gate))
        for (index k = 0; k < depth_; ++k)
          for (index j = 0; j < width_at(gate); ++j, packed += lanes) {
            const T* from = w + k * columns + first + (gate + j) * units_ + u;
            store(packed, u + lanes <= units_ ? load(from) : load_part(from, units_ - u));
          }
  }

  // Calls f(row, u, sums) for rows of h in [begin, end) and blocks of units from u on; sums[j * lanes]
  // is gate j's. `more`, unless null, adds its products with rows of x.
  template <class F>
  void over(const T* h, index begin, index end, F&& f, const GateProducts* more = nullptr,
            const T* x = nullptr) const {
    if (begin == end) return;
    TileSums<T> sums;
    const index tiles = ceil_div(end - begin, rows_), rows = ceil_div(end - begin, tiles);
    for (index u = 0; u < units_; u += lanes)
      for (index r = begin; r < end; r += rows) {
        const index count = min_of(rows, end - r);
        multiply(h, u, r, count, sums.at, false);
        if (more) more->multiply(x, u, r, count, sums.at, true);
        for (index i = 0; i < count; ++i) f(r + i, u, sums.at + i * gates_ * lanes);
      }
  }

 private:
  void multiply(const T* a, index u, index row, index count, T* sums, bool add) const {
    const T* part = packed_ + u * gates_ * depth_;
    for (index gate = 0; gate < gates_; gate += width_at(gate)) {
      const index width = width_at(gate);
      product_for<T>(count, width)(1, depth_, a + row * depth_, depth_, 0, part, 0,
                                   sums + gate * lanes, gates_ * lanes, add);
      part += depth_ * width * lanes;
    }
  }

  // How many gates one tile takes from `gate` on.
  index width_at(index gate) const {
    const index left = gates_ - gate;
    return left >= 4 && tile_rows[4] ? 4 : left >= 2 ? 2 : 1;
  }

  index depth_, units_, gates_, rows_;
  const T* packed_ = nullptr;
};

// c += a @ w^T, for rows of gates' gradients a and some columns of the recurrent kernel w. A row of c
// has `width()` elements, those beyond the units without meaning.
template <class T>
class StateProducts {
 public:
  StateProducts(index units, index columns) : panels_{units, 2}, columns_(columns) {}

  index width() const { return panels_.packed(); }
  index room_needed() const { return panels_.packed() * columns_; }

  void pack_from(const T* w, index w_columns, index first, T* packed) {
    packed_ = packed;
    const Weights<T> turned{w + first, 0, 0, 1, w_columns};
    for (index p = 0; p < panels_.count(); ++p) {
      pack<T>(turned, 1, columns_, 0, columns_, panels_.first(p), panels_.columns(p),
              panels_.padded_width(p), packed + panels_.first(p) * columns_);
    }
  }

  // For rows [begin, end) of a, `a_row` elements apart.
  void add(const T* a, index a_row, index begin, index end, T* c) const {
    if (begin == end) return;
    for (index p = 0; p < panels_.count(); ++p) {
      const index most = tile_rows[panels_.vectors(p)];
      const index tiles = ceil_div(end - begin, most), rows = ceil_div(end - begin, tiles);
      const T* b = packed_ + panels_.first(p) * columns_;
      for (index r = begin; r < end; r += rows)
        product_for<T>(min_of(rows, end - r), panels_.vectors(p))(
            1, columns_, a + r * a_row, a_row, 0, b, 0, c + r * width() + panels_.first(p),
            width(), true);
    }
  }

 private:
  Panels<T> panels_;
  index columns_;
  const T* packed_ = nullptr;
};

// Has what the next step reads or writes at p on its way: a step's rows lie too far apart for the
// processor to foresee.
template <class T>
KCORE_INLINE void fetch(const T* p, int gates, index units) {
  for (int j = 0; j < gates; ++j) __builtin_prefetch(p + j * units, 1, 2);
}

// The rows of the batch for each thread; whole tiles where there are enough.
template <class F>
KCORE_INLINE void over_batch(index batch, int threads, F&& f) {
  parallel_blocks(batch, max_of<index>(1, ceil_div(batch, max_of(threads, 1))), threads, f);
}

KCORE_INLINE bool left_out(const unsigned char* mask, index step, index batch, index row) {
  return mask && !mask[step * batch + row];
}

template <class T, class F>
KCORE_INLINE void over_block(index u, index units, F&& f) {
  if (u + Simd<T>::lanes <= units)
    f(Whole{});
  else
    f(Part{units - u});
}

// The inputs' part of a gate that starts at `offset`, for the units from u on.
template <class P, class T>
KCORE_INLINE Vec<T> with_bias(P part, const T* gate, const T* bias, index offset, index u) {
  const Vec<T> x = part.get(gate + offset);
  return bias ? x + part.get(bias + offset + u) : x;
}

template <class T>
bool lstm(index steps, index batch, index units, index features, const T* x, const T* kernel,
          const T* recurrent, const T* bias, const T* h0, const T* c0, const unsigned char* mask, bool reverse, bool keep, T* gates, T* h, T* cells,
          int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const index size = batch * units;
  GateProducts<T> products(units, units, 4), of_x(features, units, 4);
  Scratch scratch(room<T>(products.room_needed()) + room<T>(of_x.room_needed()));
  if (!scratch) return false;
  products.pack_from(recurrent, 4 * units, 0, take<T>(scratch, products.room_needed()));
  if (x) of_x.pack_from(kernel, 4 * units, 0, take<T>(scratch, of_x.room_needed()));
  const Course course{steps, reverse};
  over_batch(batch, threads, [&](index begin, index end) {
    const T *h_old = h0, *c_old = c0;
    for (index i = 0; i < steps; ++i) {
      const index t = course.at(i), next = course.at(min_of(i + 1, steps - 1)) - t;
      T* h_new = h + t * size;
      T* c_new = keep ? cells + t * size : cells;
      const auto step = [&](index row, index u, const T* sums) {
        over_block<T>(u, units, [&](auto part) {
          T* gate = gates + (t * batch + row) * 4 * units + u;
          const index at = row * units + u;
          if (keep || !x) fetch(gate + next * batch * 4 * units, 4, units);
          fetch(h_new + next * size + at, 1, units);
          if (keep) fetch(c_new + next * size + at, 1, units);
          const Vec<T> before = part.get(c_old + at);
          if (left_out(mask, t, batch, row)) {
            part.put(h_new + at, part.get(h_old + at));
            part.put(c_new + at, before);
            if (keep && x)
              for (int j = 0; j < 4; ++j) part.put(gate + j * units, Vec<T>{});
            return;
          }
          const auto given = [&](index j) {
            const Vec<T> v = load(sums + j * lanes);
            if (!x) return with_bias(part, gate, bias, j * units, u) + v;
            return bias ? part.get(bias + j * units + u) + v : v;
          };
          const Vec<T> in = sigmoid_of<T>(given(0)), forget = sigmoid_of<T>(given(1));
          const Vec<T> candidate = tanh_of(given(2)), out = sigmoid_of<T>(given(3));
          const Vec<T> cell = forget * before + in * candidate;
          part.put(c_new + at, cell);
          part.put(h_new + at, out * tanh_of(cell));
          if (!keep) return;
          part.put(gate, in);
          part.put(gate + units, forget);
          part.put(gate + 2 * units, candidate);
          part.put(gate + 3 * units, out);
        });
      };
      if (x)
        products.over(h_old, begin, end, step, &of_x, x + t * batch * features);
      else
        products.over(h_old, begin, end, step);
      h_old = h_new;
      c_old = c_new;
    }
  });
  return true;
}

template <class T>
bool lstm_grad(index steps, index batch, index units, const T* recurrent, const T* c0,
               const unsigned char* mask, bool reverse, const T* gates, const T* cells, const T* g,
               T* dgates, T* dh, T* dc, int threads) {
  const index size = batch * units;
  StateProducts<T> products(units, 4 * units);
  const index width = products.width(), apart = 4 * units + Simd<T>::lanes;
  Scratch scratch(room<T>(products.room_needed()) + room<T>(batch * width) + room<T>(batch * apart));
  if (!scratch) return false;
  products.pack_from(recurrent, 4 * units, 0, take<T>(scratch, products.room_needed()));
  T* carry = take<T>(scratch, batch * width);  // the gradient by the state before
  T* now = take<T>(scratch, batch * apart);    // a step's gates' gradients, no power of 2 apart: those would share cache sets
  const Course course{steps, reverse};
  over_batch(batch, threads, [&](index begin, index end) {
    for (index row = begin; row < end; ++row) {
      for (index u = 0; u < units; ++u) carry[row * width + u] = dh[row * units + u];
      for (index u = units; u < width; ++u) carry[row * width + u] = 0;
    }
    for (index i = steps - 1; i >= 0; --i) {
      const index t = course.at(i), next = course.at(max_of<index>(i - 1, 0)) - t;
      const T* c_old = i ? cells + course.at(i - 1) * size : c0;
      for (index row = begin; row < end; ++row) {
        const bool skipped = left_out(mask, t, batch, row);
        const T* gate_row = gates + (t * batch + row) * 4 * units;
        T* d_row = dgates + (t * batch + row) * 4 * units;
        over_lanes<T>(0, units, [&](index u, auto part) {
          const index at = row * units + u;
          const T* gate = gate_row + u;
          T* d = d_row + u;
          T* dh_at = carry + row * width + u;
          fetch(gate + next * batch * 4 * units, 4, units);
          fetch(d + next * batch * 4 * units, 4, units);
          const auto give = [&](index j, Vec<T> v) KCORE_INLINE_LAMBDA {
            part.put(d + j * units, v);
            part.put(now + row * apart + j * units + u, v);
          };
          Vec<T> dh_now = part.get(dh_at);
          if (g) dh_now += part.get(g + t * size + at);
          if (skipped) {
            for (int j = 0; j < 4; ++j) give(j, Vec<T>{});
            part.put(dh_at, dh_now);
            return;
          }
          const Vec<T> in = part.get(gate), forget = part.get(gate + units);
          const Vec<T> candidate = part.get(gate + 2 * units), out = part.get(gate + 3 * units);
          const Vec<T> shown = tanh_of(part.get(cells + t * size + at));
          const Vec<T> dc_now =
              part.get(dc + at) + dh_now * out * (T(1) - shown * shown);
          give(0, dc_now * candidate * in * (T(1) - in));
          give(1, dc_now * part.get(c_old + at) * forget * (T(1) - forget));
          give(2, dc_now * in * (T(1) - candidate * candidate));
          give(3, dh_now * shown * out * (T(1) - out));
          part.put(dc + at, dc_now * forget);
          part.put(dh_at, Vec<T>{});
        });
      }
      products.add(now, apart, begin, end, carry);
    }
    for (index row = begin; row < end; ++row)
      for (index u = 0; u < units; ++u) dh[row * units + u] = carry[row * width + u];
  });
  return true;
}

// The gates are update, reset and candidate.
template <class T>
bool gru_after(index steps, index batch, index units, const T* recurrent, const T* bias,
               const T* state_bias, const T* h0, const unsigned char* mask, bool reverse,
               bool keep, T* gates, T* h, T* extra, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const index size = batch * units;
  GateProducts<T> products(units, units, 3);
  Scratch scratch(room<T>(products.room_needed()));
  if (!scratch) return false;
  products.pack_from(recurrent, 3 * units, 0, take<T>(scratch, products.room_needed()));
  const Course course{steps, reverse};
  over_batch(batch, threads, [&](index begin, index end) {
    const T* h_old = h0;
    for (index i = 0; i < steps; ++i) {
      const index t = course.at(i), next = course.at(min_of(i + 1, steps - 1)) - t;
      T* h_new = h + t * size;
      products.over(h_old, begin, end, [&](index row, index u, const T* sums) {
        over_block<T>(u, units, [&](auto part) {
          T* gate = gates + (t * batch + row) * 3 * units + u;
          const index at = row * units + u;
          fetch(gate + next * batch * 3 * units, 3, units);
          fetch(h_new + next * size + at, 1, units);
          if (keep) fetch(extra + (t + next) * size + at, 1, units);
          const Vec<T> before = part.get(h_old + at);
          if (left_out(mask, t, batch, row)) {
            part.put(h_new + at, before);
            if (keep) part.put(extra + t * size + at, Vec<T>{});
            return;
          }
          Vec<T> of_state[3];
          for (int j = 0; j < 3; ++j) {
            of_state[j] = load(sums + j * lanes);
            if (state_bias) of_state[j] += part.get(state_bias + j * units + u);
          }
          const auto given = [&](index j) { return with_bias(part, gate, bias, j * units, u); };
          const Vec<T> update = sigmoid_of<T>(given(0) + of_state[0]);
          const Vec<T> reset = sigmoid_of<T>(given(1) + of_state[1]);
          const Vec<T> candidate = tanh_of(given(2) + reset * of_state[2]);
          part.put(h_new + at, update * before + (T(1) - update) * candidate);
          if (!keep) return;
          part.put(gate, update);
          part.put(gate + units, reset);
          part.put(gate + 2 * units, candidate);
          part.put(extra + t * size + at, of_state[2]);
        });
      });
      h_old = h_new;
    }
  });
  return true;
}

template <class T>
bool gru_before(index steps, index batch, index units, const T* recurrent, const T* bias,
                const T* h0, const unsigned char* mask, bool reverse, bool keep, T* gates, T* h,
                T* extra, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const index size = batch * units;
  GateProducts<T> first(units, units, 2), second(units, units, 1);
  Scratch scratch(room<T>(first.room_needed()) + room<T>(second.room_needed()));
  if (!scratch) return false;
  first.pack_from(recurrent, 3 * units, 0, take<T>(scratch, first.room_needed()));
  second.pack_from(recurrent, 3 * units, 2 * units, take<T>(scratch, second.room_needed()));
  const Course course{steps, reverse};
  over_batch(batch, threads, [&](index begin, index end) {
    const T* h_old = h0;
    for (index i = 0; i < steps; ++i) {
      const index t = course.at(i), next = course.at(min_of(i + 1, steps - 1)) - t;
      T* h_new = h + t * size;
      T* kept = keep ? extra + t * size : extra;
      first.over(h_old, begin, end, [&](index row, index u, const T* sums) {
        over_block<T>(u, units, [&](auto part) {
          T* gate = gates + (t * batch + row) * 3 * units + u;
          const index at = row * units + u;
          fetch(gate + next * batch * 3 * units, 3, units);
          fetch(h_new + next * size + at, 1, units);
          const auto given = [&](index j) {
            return with_bias(part, gate, bias, j * units, u) + load(sums + j * lanes);
          };
          const Vec<T> reset = sigmoid_of<T>(given(1));
          part.put(gate, sigmoid_of<T>(given(0)));
          part.put(gate + units, reset);
          part.put(kept + at, reset * part.get(h_old + at));
        });
      });
      second.over(kept, begin, end, [&](index row, index u, const T* sums) {
        over_block<T>(u, units, [&](auto part) {
          T* gate = gates + (t * batch + row) * 3 * units + u;
          const index at = row * units + u;
          const Vec<T> before = part.get(h_old + at);
          if (left_out(mask, t, batch, row)) {
            part.put(h_new + at, before);
            return;
          }
          const Vec<T> update = part.get(gate);
          const Vec<T> candidate = tanh_of(with_bias(part, gate, bias, 2 * units, u) + load(sums));
          part.put(h_new + at, update * before + (T(1) - update) * candidate);
          if (keep) part.put(gate + 2 * units, candidate);
        });
      });
      h_old = h_new;
    }
  });
  return true;
}

template <class T>
bool gru(index steps, index batch, index units, const T* recurrent, const T* bias,
         const T* state_bias, const T* h0, const unsigned char* mask, bool reverse,
         bool reset_after, bool keep, T* gates, T* h, T* extra, int threads) {
  return reset_after ? gru_after(steps, batch, units, recurrent, bias, state_bias, h0, mask,
                                 reverse, keep, gates, h, extra, threads)
                     : gru_before(steps, batch, units, recurrent, bias, h0, mask, reverse, keep,
                                  gates, h, extra, threads);
}

template <class T>
bool gru_grad(index steps, index batch, index units, const T* recurrent, const T* h0,
              const unsigned char* mask, bool reverse, bool reset_after, const T* gates,
              const T* h, const T* extra, const T* g, T* dgates, T* dstate, T* dh, int threads) {
  const index size = batch * units, wide = 3 * units;
  // By the state before, and by reset * h, which is of its own without reset_after.
  StateProducts<T> products(units, reset_after ? wide : 2 * units), inner(units, units);
  const index width = products.width();
  Scratch scratch(room<T>(products.room_needed()) + room<T>(inner.room_needed()) +
                  2 * room<T>(batch * width));
  if (!scratch) return false;
  products.pack_from(recurrent, wide, 0, take<T>(scratch, products.room_needed()));
  if (!reset_after)
    inner.pack_from(recurrent, wide, 2 * units, take<T>(scratch, inner.room_needed()));
  T* carry = take<T>(scratch, batch * width);
  T* inner_carry = take<T>(scratch, batch * width);
  const Course course{steps, reverse};
  over_batch(batch, threads, [&](index begin, index end) {
    for (index row = begin; row < end; ++row) {
      for (index u = 0; u < units; ++u) carry[row * width + u] = dh[row * units + u];
      for (index u = units; u < width; ++u) carry[row * width + u] = 0;
      for (index u = 0; u < width; ++u) inner_carry[row * width + u] = 0;
    }
    for (index i = steps - 1; i >= 0; --i) {
      const index t = course.at(i), next = course.at(max_of<index>(i - 1, 0)) - t;
      const T* h_old = i ? h + course.at(i - 1) * size : h0;
      for (index row = begin; row < end; ++row) {
        const bool skipped = left_out(mask, t, batch, row);
        const index gates_at = (t * batch + row) * wide;
        over_lanes<T>(0, units, [&](index u, auto part) {
          const index at = row * units + u;
          const T* gate = gates + gates_at + u;
          T* d = dgates + gates_at + u;
          T* d_state = reset_after ? dstate + gates_at + u : nullptr;
          T* dh_at = carry + row * width + u;
          fetch(gate + next * batch * wide, 3, units);
          fetch(d + next * batch * wide, 3, units);
          if (d_state) fetch(d_state + next * batch * wide, 3, units);
          Vec<T> dh_now = part.get(dh_at);
          if (g) dh_now += part.get(g + t * size + at);
          if (skipped) {
            for (int j = 0; j < 3; ++j) {
              part.put(d + j * units, Vec<T>{});
              if (d_state) part.put(d_state + j * units, Vec<T>{});
            }
            part.put(dh_at, dh_now);
            if (!reset_after) part.put(inner_carry + row * width + u, Vec<T>{});
            return;
          }
          const Vec<T> update = part.get(gate), candidate = part.get(gate + 2 * units);
          const Vec<T> by_candidate =
              dh_now * (T(1) - update) * (T(1) - candidate * candidate);
          const Vec<T> by_update =
              dh_now * (part.get(h_old + at) - candidate) * update * (T(1) - update);
          part.put(d, by_update);
          part.put(d + 2 * units, by_candidate);
          part.put(dh_at, dh_now * update);
          if (reset_after) {
            const Vec<T> reset = part.get(gate + units);
            const Vec<T> by_reset =
                by_candidate * part.get(extra + t * size + at) * reset * (T(1) - reset);
            part.put(d + units, by_reset);
            part.put(d_state, by_update);
            part.put(d_state + units, by_reset);
            part.put(d_state + 2 * units, by_candidate * reset);
          } else {
            part.put(inner_carry + row * width + u, Vec<T>{});
          }
        });
      }
      if (reset_after) {
        products.add(dstate + t * batch * wide, wide, begin, end, carry);
        continue;
      }
      inner.add(dgates + t * batch * wide + 2 * units, wide, begin, end, inner_carry);
      for (index row = begin; row < end; ++row) {
        if (left_out(mask, t, batch, row)) continue;
        const index gates_at = (t * batch + row) * wide;
        over_lanes<T>(0, units, [&](index u, auto part) {
          const Vec<T> reset = part.get(gates + gates_at + units + u);
          const Vec<T> by_product = part.get(inner_carry + row * width + u);
          const Vec<T> before = part.get(h_old + row * units + u);
          part.put(dgates + gates_at + units + u, by_product * before * reset * (T(1) - reset));
          T* dh_at = carry + row * width + u;
          part.put(dh_at, part.get(dh_at) + by_product * reset);
        });
      }
      products.add(dgates + t * batch * wide, wide, begin, end, carry);
    }
    for (index row = begin; row < end; ++row)
      for (index u = 0; u < units; ++u) dh[row * units + u] = carry[row * width + u];
  });
  return true;
}

KCORE_EXPORT(recurrent, RecurrentKernels, KCORE_RECURRENT_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
