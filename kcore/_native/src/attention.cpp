// Attention without a matrix of all scores: a block of logits at a time, made by the register tiles
// of tile.h, turned into weights where it lies, and used up.
//
// A row's weights are exp(logit - peak) / total, with the peak of the blocks so far: where a later
// block has a larger one, what was summed is scaled down to it. The gradient makes the blocks again
// from the peaks and totals. Every sum is over fixed blocks in a fixed order.
#include "api/attention.h"

#include "fold.h"

namespace kcore {
namespace KCORE_LEVEL {

// So few queries, as in a decoder's step, meet keys and values where they lie.
constexpr index few_rows = 4;

// Elements of keys and values that a core's own cache holds.
template <class T>
constexpr index cached = (index{1} << 20) / sizeof(T);

// What masked logits become: finite, so that a row that sees nothing has weights all alike.
constexpr float far = -2e38f;

// The keys of a block, and the queries that the gradient takes at a time.
template <class T>
constexpr index key_block = 1024 / sizeof(T);
template <class T>
constexpr index grad_block = 512 / sizeof(T);

// Calls f(begin, end) for parts of [0, n), none longer than `most`, all nearly as long.
template <class F>
KCORE_INLINE void over_even_parts(index n, index most, F&& f) {
  const index parts = ceil_div(n, most);
  for (index p = 0; p < parts; ++p) f(n * p / parts, n * (p + 1) / parts);
}

template <class T>
KCORE_INLINE typename Bits<T>::V seen(const unsigned char* mask, Whole) {
  typedef unsigned char Bytes __attribute__((vector_size(Simd<T>::lanes)));
  Bytes bytes;
  std::memcpy(&bytes, mask, sizeof bytes);
  return __builtin_convertvector(bytes, typename Bits<T>::V) != 0;
}
template <class T>
KCORE_INLINE typename Bits<T>::V seen(const unsigned char* mask, Part part) {
  unsigned char bytes[Simd<T>::lanes] = {};
  for (index i = 0; i < part.n; ++i) bytes[i] = mask[i];
  return seen<T>(bytes, Whole{});
}

// One head: where its arrays begin, and how its logits are made.
template <class T>
struct Head {
  const Attention& s;
  const T *q, *k, *v, *bias;
  const unsigned char* mask;
  index q_row, k_row, v_row;

  Head(const Attention& s, index b, index h, const T* q, const T* k, const T* v, const T* bias,
       const unsigned char* mask)
      : s(s),
        q(q + (b * s.rows * s.heads + h) * s.depth),
        k(k + (b * s.columns * s.key_heads + h / (s.heads / s.key_heads)) * s.depth),
        v(v + (b * s.columns * s.key_heads + h / (s.heads / s.key_heads)) * s.value_depth),
        bias(bias ? bias + b * s.bias[0] + h * s.bias[1] : nullptr),
        mask(mask ? mask + b * s.mask[0] + h * s.mask[1] : nullptr),
        q_row(s.heads * s.depth),
        k_row(s.key_heads * s.depth),
        v_row(s.key_heads * s.value_depth) {}

  // dst[i, :] = q[r0 + i, :] * scale, for `rows` rows that are `width` apart, zeros behind them.
  void copy_queries(index r0, index rows, index width, T* dst) const {
    const T scale = static_cast<T>(s.scale);
    for (index i = 0; i < rows; ++i)
      over_padded(s.depth, width, dst + i * width, [&](index c, auto part) {
        return part.get(q + (r0 + i) * q_row + c) * scale;
      });
  }
  template <class F>
  static void over_padded(index columns, index width, T* dst, F&& f) {
    over_lanes<T>(0, columns, [&](index c, auto part) { part.put(dst + c, f(c, part)); });
    for (index c = columns; c < width; ++c) dst[c] = 0;
  }

  // Keys [j0, j1), or values, transposed: panels of two vectors of them, a row for each feature.
  static void pack_transposed(const T* x, index x_row, index features, index j0, index j1, T* dst) {
    const Panels<T> panels{j1 - j0, 2};
    for (index p = 0; p < panels.count(); ++p)
      pack<T>({x + j0 * x_row, 0, 0, 1, x_row}, 1, features, 0, features, panels.first(p),
              panels.columns(p), panels.padded_width(p), dst + panels.first(p) * features);
  }
  // Their rows as they are: panels of two vectors of features.
  static void pack_rows(const T* x, index x_row, index features, index j0, index j1, T* dst) {
    const Panels<T> panels{features, 2};
    for (index p = 0; p < panels.count(); ++p)
      pack<T>({x + j0 * x_row, 0, 0, x_row, 1}, 1, j1 - j0, 0, j1 - j0, panels.first(p),
              panels.columns(p), panels.padded_width(p), dst + panels.first(p) * (j1 - j0));
  }

  // The logits x of query r and keys [j0, j0 + count), from q . k: capped, biased and masked. What
  // the cap multiplies gradients by goes to `slopes` unless that is null.
  void finish_logits(index r, index j0, index count, T* x, T* slopes) const {
    if (bias || mask || s.cap != 0) {
      const T cap = static_cast<T>(s.cap), blind = far;
      const T* b = bias ? bias + r * s.bias[2] + j0 * s.bias[3] : nullptr;
      const unsigned char* m = mask ? mask + r * s.mask[2] + j0 * s.mask[3] : nullptr;
      const bool all_masked = m && s.mask[3] == 0 && *m == 0, by_key = m && s.mask[3] != 0;
      over_lanes<T>(0, count, [&](index j, auto part) {
        Vec<T> v = part.get(x + j);
        if (s.cap != 0) {
          const Vec<T> t = tanh_of(v / cap);
          v = t * cap;
          if (slopes) part.put(slopes + j, T(1) - t * t);
        }
        if (b) v += s.bias[3] ? part.get(b + j) : broadcast(*b);
        if (by_key) v = seen<T>(m + j, part) ? v : broadcast(blind);
        if (all_masked) v = broadcast(blind);
        part.put(x + j, v);
      });
    }
    if (s.causal)
      for (index j = max_of<index>(r + 1 - j0, 0); j < count; ++j) x[j] = far;
  }

  // Whether a row may leave out the keys after it, once its peak is this: it has seen one, or will.
  bool sees_some(const T* peaks, index rows) const {
    if (!bias && !mask) return true;
    bool all = true;
    for (index i = 0; i < rows; ++i) all = all && peaks[i] > far;
    return all;
  }
};

// c[i, j] = or += a[i, :length] . b[:length, j] for `rows` rows of a and those panels of the matrix b,
// of b_rows rows, that hold the first `wanted` columns.
template <class T>
KCORE_INLINE void tile_product(index rows, Panels<T> panels, index wanted, index length, const T* a,
                               index a_row, const T* b, index b_rows, T* c, index c_row, bool add) {
  for (index p = 0; panels.first(p) < wanted; ++p)
    product_for<T>(rows, panels.vectors(p))(1, length, a, a_row, 0, b + panels.first(p) * b_rows, 0,
                                            c + panels.first(p), c_row, add);
}

// Turns logits into weights where they lie, and joins them to a row's peak and total so far; with a
// larger peak, what was summed is scaled down to it.
template <class T>
KCORE_INLINE void make_weights(index count, T* x, index width, T* sum, T& peak, double& total) {
  const T before = peak, high = max_of(before, largest(x, count));
  const T base = high > static_cast<T>(-__builtin_inf()) ? high : T(0);
  if (before != high) {
    const T shrink = exp_of<T>(broadcast<T>(before - base))[0];
    for (index c = 0; c < width; c += Simd<T>::lanes) store(sum + c, load(sum + c) * shrink);
    total *= shrink;
    peak = high;
  }
  total += sum_over<T>(count, [&](index j, auto part) {
    const Vec<T> e = exp_below_0<T>(part.get(x + j) - base);
    part.put(x + j, e);
    return e;
  });
}

// dots[j] = q . k[j, :] for `count` rows of k, which lie k_row apart; `dots` has room for whole vectors.
template <class T>
KCORE_INLINE void dots_with(index depth, index count, const T* q, const T* k, index k_row, T* dots) {
  constexpr index lanes = Simd<T>::lanes;
  for (index j = 0; j < count; j += lanes) {
    const T* rows[lanes];
    Vec<T> sums[lanes];
#pragma GCC unroll 16
    for (index i = 0; i < lanes; ++i)
      rows[i] = k + min_of(j + i, count - 1) * k_row, sums[i] = Vec<T>{};
    over_lanes<T>(0, depth, [&](index c, auto part) {
      const Vec<T> v = part.get(q + c);
#pragma GCC unroll 16
      for (index i = 0; i < lanes; ++i) sums[i] += v * part.get(rows[i] + c);
    });
    store(dots + j, joined_lanes<T>(sums, Add<T>{}));
  }
}

// sums[:] += sum over j of weights[j] * v[j, :].
template <class T>
KCORE_INLINE void add_weighted(index features, index count, const T* weights, const T* v,
                               index v_row, T* sums) {
  constexpr index lanes = Simd<T>::lanes;
  over_vectors<T, 4>(features, [&](index c, auto vectors, auto part) {
    constexpr int n = decltype(vectors)::count;
    Vec<T> sum[n] = {};
    for (index j = 0; j < count; ++j) {
      const Vec<T> weight = broadcast(weights[j]);
#pragma GCC unroll 4
      for (int i = 0; i < n; ++i) sum[i] += weight * part.get(v + j * v_row + c + i * lanes);
    }
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) {
      T* to = sums + c + i * lanes;
      part.put(to, part.get(to) + sum[i]);
    }
  });
}

// Asks for the i-th of so many parts of [p, p + size).
template <class T>
KCORE_INLINE void ask_for(const T* p, index size, index i, index parts) {
  for (index c = size * i / parts; c < size * (i + 1) / parts; c += 64 / sizeof(T)) __builtin_prefetch(p + c, 0, 2);
}

// Few queries: packing keys and values would cost more than it saves. All heads of a block of them are met
// together, as they lie in memory, while the block after the next is asked for: a head's rows lie too far apart for
// the processor to foresee. A task has the keys of a chunk, by the shape alone, and what chunks find is joined at the end.
template <class T>
bool attend_few(const Attention& s, const T* q, const T* k, const T* v, const T* bias,
                const unsigned char* mask, T* y, T* peak, T* total, int threads) {
  constexpr index keys = 16, chunk = 512;
  const bool far_away = s.batch * s.columns * s.key_heads * (s.depth + s.value_depth) >= cached<T>;
  const index chunks = ceil_div(s.columns, chunk), each = s.heads * s.rows;
  const index width = round_up(s.value_depth, Simd<T>::lanes), found = s.batch * chunks * each;
  const index depth = max_of<index>(s.depth, 1);
  const int team = threads < 1 ? 1 : threads;
  const std::size_t slot_bytes = room<T>(keys + Simd<T>::lanes) + room<T>(each * depth);
  Scratch scratch(slot_bytes * team + room<T>(found * width) + room<T>(found) + room<double>(found));
  if (!scratch) return false;
  char* const slots = static_cast<char*>(scratch.take(slot_bytes * team));
  T* const all_sums = take<T>(scratch, found * width);
  T* const all_peaks = take<T>(scratch, found);
  double* const all_totals = take<double>(scratch, found);
  parallel_for(s.batch * chunks, threads, [&](index task, int slot) {
    T* scores = reinterpret_cast<T*>(slots + slot * slot_bytes);
    T* queries = reinterpret_cast<T*>(slots + slot * slot_bytes + room<T>(keys + Simd<T>::lanes));
    T *sums = all_sums + task * each * width, *peaks = all_peaks + task * each;
    double* totals = all_totals + task * each;
    const index b = task / chunks, begin = task % chunks * chunk;
    const index end = min_of(s.columns, begin + chunk);
    for (index i = 0; i < each; ++i) peaks[i] = static_cast<T>(-__builtin_inf()), totals[i] = 0;
    for (index i = 0; i < each * width; ++i) sums[i] = 0;
    for (index h = 0; h < s.heads; ++h)
      Head<T>(s, b, h, q, k, v, bias, mask)
          .copy_queries(0, s.rows, depth, queries + h * s.rows * depth);
    for (index j = begin; j < end; j += keys) {
      const index count = min_of(end, j + keys) - j;
      const index coming = b * s.columns + j + 2 * keys;
      const bool asks = far_away && coming + keys <= s.batch * s.columns;
      const T* coming_k = k + coming * s.key_heads * s.depth;
      const T* coming_v = v + coming * s.key_heads * s.value_depth;
      for (index i = 0; i < each; ++i) {
        const index h = i / s.rows, r = i % s.rows;
        const Head<T> head(s, b, h, q, k, v, bias, mask);
        T* sum = sums + i * width;
        if (asks) ask_for(coming_k, keys * head.k_row, i, each);
        dots_with<T>(s.depth, count, queries + i * depth, head.k + j * head.k_row, head.k_row, scores);
        head.finish_logits(r, j, count, scores, nullptr);
        if (asks) ask_for(coming_v, keys * head.v_row, i, each);
        make_weights<T>(count, scores, width, sum, peaks[i], totals[i]);
        add_weighted<T>(s.value_depth, count, scores, head.v + j * head.v_row, head.v_row, sum);
      }
    }
  });
  for (index b = 0; b < s.batch; ++b)
    for (index i = 0; i < each; ++i) {
      const index at = b * chunks * each + i;
      T high = all_peaks[at];
      for (index c = 1; c < chunks; ++c) high = max_of(high, all_peaks[at + c * each]);
      const T base = high > static_cast<T>(-__builtin_inf()) ? high : T(0);
      T* const sum = all_sums + at * width;
      double whole = 0;
      for (index c = 0; c < chunks; ++c) {
        const index here = at + c * each;
        const T share = exp_of<T>(broadcast<T>(all_peaks[here] - base))[0];
        const T* more = all_sums + here * width;
        for (index e = 0; e < width; e += Simd<T>::lanes)
          store(sum + e, (c ? load(sum + e) : Vec<T>{}) + load(more + e) * share);
        whole += all_totals[here] * share;
      }
      const T factor = static_cast<T>(1 / whole);
      T* to = y + ((b * s.rows + i % s.rows) * s.heads + i / s.rows) * s.value_depth;
      over_lanes<T>(0, s.value_depth, [&](index e, auto part) {
        part.put(to + e, part.get(sum + e) * factor);
      });
      if (peak) peak[b * each + i] = high;
      if (total) total[b * each + i] = static_cast<T>(whole);
    }
  return true;
}

template <class T>
bool attention(const Attention& s, const T* q, const T* k, const T* v, const T* bias,
               const unsigned char* mask, T* y, T* peak, T* total, int threads) {
  if (s.rows <= few_rows) return attend_few(s, q, k, v, bias, mask, y, peak, total, threads);
  constexpr index keys = key_block<T>, score_row = keys + Simd<T>::lanes;
  const index tile = tile_rows[2], packed = Panels<T>{s.value_depth, 2}.packed();
  // Rows that share packed keys and values: fewer where there would be too few blocks to share out.
  const index most = s.batch * s.heads >= 16 ? 512 : 128;
  const index blocks = ceil_div(s.rows, most), block = ceil_div(s.rows, blocks);
  const index depth = max_of<index>(s.depth, 1);
  const std::size_t slot_bytes = room<T>(block * depth) + room<T>(tile * score_row) +
                                 room<T>(keys * depth) + room<T>(keys * packed) +
                                 room<T>(block * packed) + room<T>(block) + room<double>(block);
  const int team = threads < 1 ? 1 : threads;
  Scratch scratch(slot_bytes * team);
  if (!scratch) return false;
  char* const slots = static_cast<char*>(scratch.take(slot_bytes * team));
  parallel_for(s.batch * s.heads * blocks, threads, [&](index task, int slot) {
    char* next = slots + slot * slot_bytes;
    const auto piece = [&](std::size_t bytes) {
      char* const p = next;
      next += bytes;
      return static_cast<void*>(p);
    };
    T* queries = static_cast<T*>(piece(room<T>(block * depth)));
    T* scores = static_cast<T*>(piece(room<T>(tile * score_row)));
    T* packed_keys = static_cast<T*>(piece(room<T>(keys * depth)));
    T* packed_values = static_cast<T*>(piece(room<T>(keys * packed)));
    T* sums = static_cast<T*>(piece(room<T>(block * packed)));
    T* peaks = static_cast<T*>(piece(room<T>(block)));
    double* totals = static_cast<double*>(piece(room<double>(block)));

    const index b = task / (s.heads * blocks), h = task / blocks % s.heads;
    const index r0 = task % blocks * block, rows = min_of(s.rows, r0 + block) - r0;
    if (rows <= 0) return;
    const Head<T> head(s, b, h, q, k, v, bias, mask);
    head.copy_queries(r0, rows, s.depth, queries);
    for (index i = 0; i < rows; ++i) peaks[i] = static_cast<T>(-__builtin_inf()), totals[i] = 0;
    for (index i = 0; i < rows * packed; ++i) sums[i] = 0;

    for (index j0 = 0; j0 < s.columns; j0 += keys) {
      if (s.causal && j0 >= r0 + rows && head.sees_some(peaks, rows)) break;
      const index j1 = min_of(s.columns, j0 + keys);
      Head<T>::pack_transposed(head.k, head.k_row, s.depth, j0, j1, packed_keys);
      Head<T>::pack_rows(head.v, head.v_row, s.value_depth, j0, j1, packed_values);
      over_even_parts(rows, tile, [&](index begin, index end) {
        const index n = end - begin;
        index count = j1 - j0;
        if (s.causal && head.sees_some(peaks + begin, n)) count = min_of(count, r0 + end - j0);
        if (count <= 0) return;
        tile_product<T>(n, {j1 - j0, 2}, count, s.depth, queries + begin * s.depth, s.depth,
                        packed_keys, s.depth, scores, score_row, false);
        for (index i = begin; i < end; ++i) {
          T* x = scores + (i - begin) * score_row;
          head.finish_logits(r0 + i, j0, count, x, nullptr);
          make_weights<T>(count, x, packed, sums + i * packed, peaks[i], totals[i]);
        }
        tile_product<T>(n, {s.value_depth, 2}, s.value_depth, count, scores, score_row,
                        packed_values, j1 - j0, sums + begin * packed, packed, true);
      });
    }
    for (index i = 0; i < rows; ++i) {
      const T factor = static_cast<T>(1 / totals[i]);
      T* to = y + ((b * s.rows + r0 + i) * s.heads + h) * s.value_depth;
      over_lanes<T>(0, s.value_depth, [&](index c, auto part) {
        part.put(to + c, part.get(sums + i * packed + c) * factor);
      });
      const index row = (b * s.heads + h) * s.rows + r0 + i;
      if (peak) peak[row] = peaks[i];
      if (total) total[row] = static_cast<T>(totals[i]);
    }
  });
  return true;
}

// sums[j, :] += sum over i of a[i, j] * b[i, :], for `length` rows i.
template <class T>
KCORE_INLINE void add_outer(index columns, index features, index length, const T* a, index a_row,
                            const T* b, T* sums, index width) {
  const Panels<T> panels{features, 2};
  for (index p = 0; p < panels.count(); ++p)
    over_even_parts(columns, tile_rows[2], [&](index begin, index end) {
      outer_for<T>(end - begin, panels.vectors(p))(1, length, &a, begin, a_row, &b, panels.first(p),
                                                   width, sums + begin * width + panels.first(p),
                                                   width, true);
    });
}

// A task has the queries of one key head and some of its keys. The keys of a head are split where
// there are few heads, by the shape alone; then each part's share of dq is kept, and summed at the end.
template <class T>
bool attention_grad(const Attention& s, const T* g, const T* q, const T* k, const T* v,
                    const T* bias, const unsigned char* mask, const T* y, const T* peak,
                    const T* total, T* dq, T* dk, T* dv, T* dlogits, int threads) {
  constexpr index keys = grad_block<T>, most = grad_block<T>, score_row = keys + Simd<T>::lanes;
  constexpr index wanted = 16;
  const index group = s.heads / s.key_heads, heads = s.batch * s.key_heads;
  const index chunks = max_of<index>(
      1, min_of(ceil_div(wanted, max_of<index>(heads, 1)), ceil_div(s.columns, 4 * keys)));
  const index chunk = round_up(ceil_div(s.columns, chunks), keys);
  const index wide = Panels<T>{s.depth, 2}.packed(), deep = Panels<T>{s.value_depth, 2}.packed();
  const index share = group * s.rows * wide;  // of dq
  const int team = threads < 1 ? 1 : threads;
  const std::size_t slot_bytes = 3 * room<T>(most * score_row) + room<T>(most * wide) +
                                 room<T>(most * deep) + 2 * room<T>(most) +
                                 room<T>(keys * s.depth) + room<T>(keys * s.value_depth) +
                                 2 * room<T>(keys * wide) + room<T>(keys * deep);
  const index shares = chunks > 1 ? heads * chunks : team;
  Scratch scratch(slot_bytes * team + room<T>(share) * shares);
  if (!scratch) return false;
  char* const slots = static_cast<char*>(scratch.take(slot_bytes * team));
  char* const all_shares = static_cast<char*>(scratch.take(room<T>(share) * shares));
  const auto share_at = [&](index i) {
    return reinterpret_cast<T*>(all_shares + static_cast<std::size_t>(i) * room<T>(share));
  };
  // dq of key head `kh` of batch b, from its shares [first, first + count).
  const auto sum_shares = [&](index b, index kh, index first, index count) {
    for (index h = 0; h < group; ++h)
      for (index r = 0; r < s.rows; ++r) {
        T* to = dq + ((b * s.rows + r) * s.heads + kh * group + h) * s.depth;
        over_lanes<T>(0, s.depth, [&](index c, auto part) {
          Vec<T> sum{};
          for (index i = 0; i < count; ++i)
            sum += part.get(share_at(first + i) + (h * s.rows + r) * wide + c);
          part.put(to + c, sum);
        });
      }
  };

  parallel_for(heads * chunks, threads, [&](index task, int slot) {
    char* next = slots + slot * slot_bytes;
    const auto piece = [&](index count) {
      T* const p = reinterpret_cast<T*>(next);
      next += room<T>(count);
      return p;
    };
    T *weights = piece(most * score_row), *slopes = piece(most * score_row);
    T *rises = piece(most * score_row);
    T *queries = piece(most * wide), *pulls = piece(most * deep);
    T *bases = piece(most), *levels = piece(most);
    T *keys_across = piece(keys * s.depth), *values_across = piece(keys * s.value_depth);
    T *key_rows = piece(keys * wide), *key_sums = piece(keys * wide);
    T* value_sums = piece(keys * deep);

    const index b = task / (s.key_heads * chunks), kh = task / chunks % s.key_heads;
    T* const query_sums = share_at(chunks > 1 ? task : slot);
    for (index i = 0; i < share; ++i) query_sums[i] = 0;
    const index begin = task % chunks * chunk, end = min_of(s.columns, begin + chunk);
    for (index j0 = begin; j0 < end; j0 += keys) {
      const index count = min_of(end, j0 + keys) - j0;
      const Head<T> first(s, b, kh * group, q, k, v, bias, mask);
      Head<T>::pack_transposed(first.k, first.k_row, s.depth, j0, j0 + count, keys_across);
      Head<T>::pack_transposed(first.v, first.v_row, s.value_depth, j0, j0 + count, values_across);
      Head<T>::pack_rows(first.k, first.k_row, s.depth, j0, j0 + count, key_rows);
      for (index i = 0; i < count * wide; ++i) key_rows[i] *= static_cast<T>(s.scale);
      for (index i = 0; i < count * wide; ++i) key_sums[i] = 0;
      for (index i = 0; i < count * deep; ++i) value_sums[i] = 0;

      for (index h = kh * group; h < (kh + 1) * group; ++h) {
        const Head<T> head(s, b, h, q, k, v, bias, mask);
        for (index block = 0; block < s.rows; block += most) {
          const index r1 = min_of(s.rows, block + most);
          const T* peaks = peak + (b * s.heads + h) * s.rows;
          const T* totals = total + (b * s.heads + h) * s.rows;
          index r0 = block;
          if (s.causal && head.sees_some(peaks + block, r1 - block)) r0 = max_of(r0, j0);
          if (r0 >= r1) continue;
          const index rows = r1 - r0;

          // Each row's gradient over its total makes exp(logit - peak) serve as its weight.
          head.copy_queries(r0, rows, wide, queries);
          for (index i = 0; i < rows; ++i) {
            const index at = ((b * s.rows + r0 + i) * s.heads + h) * s.value_depth;
            const T factor = 1 / totals[r0 + i], high = peaks[r0 + i];
            Head<T>::over_padded(s.value_depth, deep, pulls + i * deep, [&](index c, auto part) {
              return part.get(g + at + c) * factor;
            });
            bases[i] = high > static_cast<T>(-__builtin_inf()) ? high : T(0);
            levels[i] = static_cast<T>(sum_over<T>(s.value_depth, [&](index c, auto part) {
              return part.get(pulls + i * deep + c) * part.get(y + at + c);
            }));
          }

          over_even_parts(rows, tile_rows[2], [&](index i0, index i1) {
            tile_product<T>(i1 - i0, {count, 2}, count, s.depth, queries + i0 * wide, wide, keys_across, s.depth,
                            weights + i0 * score_row, score_row, false);
            tile_product<T>(i1 - i0, {count, 2}, count, s.value_depth, pulls + i0 * deep, deep, values_across,
                            s.value_depth, rises + i0 * score_row, score_row, false);
            for (index i = i0; i < i1; ++i) {
              T *w = weights + i * score_row, *rise = rises + i * score_row;
              T* slope = s.cap != 0 ? slopes + i * score_row : nullptr;
              head.finish_logits(r0 + i, j0, count, w, slope);
              const T base = bases[i], level = levels[i];
              // A row that sees nothing has weights, but none that its logits change.
              const bool blind = base <= far;
              T* out = dlogits ? dlogits + (((b * s.heads + h) * s.rows) + r0 + i) * s.columns + j0
                               : nullptr;
              over_lanes<T>(0, count, [&](index j, auto part) {
                const Vec<T> e = exp_below_0<T>(part.get(w + j) - base);
                Vec<T> d = blind ? Vec<T>{} : e * (part.get(rise + j) - level);
                part.put(w + j, e);
                if (out) part.put(out + j, d);
                part.put(rise + j, slope ? d * part.get(slope + j) : d);
              });
            }
            tile_product<T>(i1 - i0, {s.depth, 2}, s.depth, count, rises + i0 * score_row, score_row, key_rows,
                            count, query_sums + ((h - kh * group) * s.rows + r0 + i0) * wide, wide,
                            true);
          });
          add_outer<T>(count, s.value_depth, rows, weights, score_row, pulls, value_sums, deep);
          add_outer<T>(count, s.depth, rows, rises, score_row, queries, key_sums, wide);
        }
      }
      for (index j = 0; j < count; ++j) {
        const index row = (b * s.columns + j0 + j) * s.key_heads + kh;
        over_lanes<T>(0, s.depth, [&](index c, auto part) {
          part.put(dk + row * s.depth + c, part.get(key_sums + j * wide + c));
        });
        over_lanes<T>(0, s.value_depth, [&](index c, auto part) {
          part.put(dv + row * s.value_depth + c, part.get(value_sums + j * deep + c));
        });
      }
    }
    if (chunks == 1) sum_shares(b, kh, slot, 1);
  });
  if (chunks > 1)
    parallel_for(heads, threads, [&](index i, int) {
      sum_shares(i / s.key_heads, i % s.key_heads, i * chunks, chunks);
    });
  return true;
}

KCORE_EXPORT(attention, AttentionKernels, KCORE_ATTENTION_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
