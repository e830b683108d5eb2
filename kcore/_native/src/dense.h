// Convolutions that mix channels: forward, input gradient, weight gradient.
//
// There is no im2col. For one kernel row the inputs of an output pixel, kw * c of them, lie side
// by side in the channels-last input, so the convolution is a matrix product whose left rows
// overlap in memory; the register tiles of tile.h read them in place, or from a small copy that
// adds the padding and stays in the L2 cache.
#pragma once

#include "tile.h"

namespace kcore {
namespace KCORE_LEVEL {

constexpr index block_bytes = 256 << 10;  // of padded input per task: a part of the L2 cache
constexpr index large_bytes = 1 << 20;    // of weights: as much as the L2 cache has
constexpr index max_block_rows = 256;

// Copies of the input rows that output rows [r0, r1) and columns [q0, q1) read, zeros around
// them. Rows count through all images; those of one image share what they overlap in.
template <class T>
struct Block {
  const Walk& walk;
  index channels, pixel;  // how many to copy, and the elements that a pixel takes in the copy

  // Where the kernel is one tap wide (or high), what lies between two windows is left out.
  index thin_h() const { return walk.kh == 1 ? walk.sh : 1; }
  index thin_w() const { return walk.kw == 1 ? walk.sw : 1; }
  // Rows from one output row to the next, and elements from one output pixel to the next.
  index step_h() const { return walk.sh / thin_h(); }
  index step_w() const { return walk.sw / thin_w() * pixel; }
  index columns(index q0, index q1) const {
    return ((q1 - q0 - 1) * walk.sw + walk.span_w() - 1) / thin_w() + 1;
  }
  index row(index q0, index q1) const { return columns(q0, q1) * pixel; }
  // Elements enough for any `rows` consecutive output rows.
  index room(index rows, index q0, index q1) const {
    return (rows * step_h() + (rows / walk.oh + 2) * walk.span_h()) * row(q0, q1);
  }

  // starts[r - r0] is where output row r begins to read.
  void copy(const T* in, index r0, index r1, index q0, index q1, T* dst, const T** starts,
            int threads) const {
    const index size = row(q0, q1);
    while (r0 < r1) {
      const index image = r0 / walk.oh, h0 = r0 % walk.oh;
      const index count = min_of(r1 - r0, walk.oh - h0);
      const index rows = (count - 1) * step_h() + walk.span_h();
      const index top = h0 * walk.sh - walk.pt;
      parallel_for(rows, threads, [&](index i, int) {
        const index h = top + i * thin_h();
        const bool inside = h >= 0 && h < walk.h;
        copy_row(inside ? in + image * walk.in_n + h * walk.w * walk.pixel : nullptr,
                 q0 * walk.sw - walk.pl, columns(q0, q1), dst + i * size);
      });
      for (index i = 0; i < count; ++i) starts[i] = dst + i * step_h() * size;
      dst += rows * size, starts += count, r0 += count;
    }
  }

 private:
  // Columns first, first + thin_w(), ... of a row of the input; of zeros where there is none.
  void copy_row(const T* src, index first, index count, T* dst) const {
    const index step = thin_w();
    const index low = src ? min_of(max_of<index>(ceil_div(-first, step), 0), count) : count;
    const index high = max_of(min_of(ceil_div(walk.w - first, step), count), low);
    std::memset(dst, 0, low * pixel * sizeof(T));
    if (high > low) {
      const T* from = src + (first + low * step) * walk.pixel;
      T* to = dst + low * pixel;
      if (pixel == channels && walk.pixel == channels && step == 1)
        std::memcpy(to, from, (high - low) * pixel * sizeof(T));
      else if (pixel == Simd<T>::lanes && channels == pixel)  // groups of one vector
        for (index i = low; i < high; ++i, from += step * walk.pixel, to += Simd<T>::lanes)
          store(to, load(from));
      else
        for (index i = low; i < high; ++i, from += step * walk.pixel, to += pixel) {
          over_lanes<T>(0, channels,
                        [&](index c, auto part) { part.put(to + c, part.get(from + c)); });
          for (index c = channels; c < pixel; ++c) to[c] = 0;
        }
    }
    std::memset(dst + high * pixel, 0, (count - high) * pixel * sizeof(T));
  }
};

// The runs of neighbouring inputs that one output pixel reads: outer x inner of them, `length`
// long. Whole kernel rows where the pixels of a row touch, single pixels elsewhere.
struct Runs {
  index outer, inner, length, outer_step, inner_step;
  Runs(const Walk& walk, index channels, index pixel, index row, bool apart = false) {
    if (!apart && ((walk.dw == 1 && pixel == channels) || walk.kw == 1))
      outer = 1, inner = walk.kh, length = walk.kw * channels, outer_step = 0,
      inner_step = walk.dh * row;
    else
      outer = walk.kh, inner = walk.kw, length = channels, outer_step = walk.dh * row,
      inner_step = walk.dw * pixel;
  }
};

// What is summed in one chain: `count` runs from `run` on, or a part of one. It is the `place`th in
// the order of summation.
struct Chunk {
  index place, run, count, first, length;
};
struct Chunks {
  const Runs& runs;
  index lead;  // the run of each kernel row that comes first, if taps are summed apart; else -1
  index together, cut, inner, parts, count;

  Chunks(const Runs& all, index leading)
      : runs(all),
        lead(leading),
        together(lead >= 0 ? 1 : min_of(runs.inner, max_of<index>(1, longest_sum / runs.length))),
        cut(ceil_div(runs.length, ceil_div(runs.length, longest_sum))),
        inner(ceil_div(runs.inner, together)),
        parts(ceil_div(runs.length, cut)),
        count(runs.outer * inner * parts) {}

  Chunk at(index n) const {
    const index first = n % parts * cut, i = n / parts % inner * together,
                row = n / parts / inner * runs.inner;
    const index run = i > lead ? i : i == 0 ? lead : i - 1;
    return {row + i, row + (lead < 0 ? i : run), min_of(together, runs.inner - i), first,
            min_of(cut, runs.length - first)};
  }
  // The first of the weights' rows that a chunk meets, and how many there are.
  index from(const Chunk& c) const { return c.run * runs.length + c.first; }
  index rows(const Chunk& c) const { return (c.count - 1) * runs.length + c.length; }
};

// In narrow maps much of what a kernel row meets is padding. There its taps are summed apart, each for
// the columns where it falls inside, if that spares more than the additional sums cost: some cycles
// for each tile. Gives the tap that comes first, one that falls inside for all columns; else -1.
inline index leading_tap(const Walk& walk, index channels, index vectors) {
  index lead = -1, spared = 0;
  for (index b = 0; b < walk.kw; ++b) {
    const Inside inside(walk, b, 1);
    if (inside.high - inside.low == walk.ow) lead = b;
    spared += walk.ow - (inside.high - inside.low);
  }
  const index joins = (walk.kw - 1) * ceil_div(walk.ow, tile_rows[vectors]);
  if (spared * channels * vectors <= 150 * joins) return -1;
  for (index h = 0; h < walk.oh; ++h) {
    const Taps taps(h * walk.sh - walk.pt, walk.dh, walk.kh, walk.h);
    if (taps.first >= taps.last) return -1;  // these rows read padding alone
  }
  return lead;
}

// How many vectors wide the panels of a walk's weights are: rows of a few pixels get wide tiles.
template <class T>
Panels<T> panels_of(const Walk& walk, index oc) {
  const bool wide = tile_rows[4] && walk.ow <= tile_rows[4] && oc >= 4 * Simd<T>::lanes;
  return Panels<T>{oc, wide ? index{4} : index{2}};
}

// Packs all weights of a group, as `convolve` reads them: some rows at a time, for all panels, so
// that rows are read in one go.
template <class T>
void pack_all(const Weights<T>& weights, index kw, index channels, index sums,
              const Panels<T>& panels, T* packed, int threads) {
  parallel_blocks(sums, Simd<T>::lanes, threads, [&](index first, index last) {
    for (index p = 0; p < panels.count(); ++p)
      pack(weights, kw, channels, first, last, panels.first(p), panels.columns(p),
           panels.padded_width(p),
           packed + sums * panels.first(p) + first * panels.padded_width(p));
  });
}

// One output channel group of a convolution, whose weights are the columns of `weights` that the
// panels name. `ready` are those weights packed, or null. The sums join what is there if `join`, and
// end as `ends` says.
template <class T>
bool convolve(const Walk& walk, index channels, const Panels<T>& panels, const T* in,
              const Weights<T>& weights, const T* ready, bool join, const Ends<T>& ends, T* out,
              int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const index sums = walk.kh * walk.kw * channels, rows = walk.n * walk.oh;

  // Columns and rows of output pixels per task, so that the inputs of a task fit the cache.
  const index wide = tile_rows[2];
  const index row_bytes = min_of(walk.span_h(), walk.h) * walk.pixel * walk.sw * sizeof(T);
  index q_step = walk.ow;
  if (q_step * row_bytes > block_bytes)
    q_step = min_of(walk.ow, max_of<index>(block_bytes / row_bytes / wide, 1) * wide);
  const index q_blocks = ceil_div(walk.ow, q_step);

  // Pixels a multiple of 2 KB apart fall into few cache sets: a copy keeps them apart.
  const bool skew = channels * sizeof(T) % 2048 == 0 && q_step > 7;
  const index lead = q_blocks == 1 ? leading_tap(walk, channels, panels.vectors(0)) : -1;
  const bool apart = lead >= 0, copied = (walk.padded() && !apart) || skew;
  const Block<T> block{walk, channels, channels + (skew ? lanes : 0)};
  const index pixel = copied ? block.pixel : walk.pixel;
  const index step_w = copied ? block.step_w() : walk.sw * walk.pixel;

  // Weights that do not fit the cache pass through it once for each task: larger tasks pay.
  const bool large = sums * panels.packed() * static_cast<index>(sizeof(T)) >= 4 * large_bytes;
  const index task_room = (large ? 8 : 1) * block_bytes / static_cast<index>(sizeof(T));
  index r_step = max_of<index>(1, task_room / (block.step_h() * block.row(0, q_step)));
  r_step = min_of(min_of(r_step, rows), max_block_rows);
  const index wanted = threads > 1 ? 4 * threads : 1;
  if (ceil_div(rows, r_step) * q_blocks * panels.count() < wanted)
    r_step = max_of<index>(1, rows * q_blocks * panels.count() / wanted);
  const index r_blocks = ceil_div(rows, r_step);
  const index p_blocks = min_of(panels.count(), ceil_div(wanted, r_blocks * q_blocks));
  const index p_step = ceil_div(panels.count(), p_blocks);

  // Several tasks share packed weights; a lone one packs each piece just before it reads it.
  const bool packed = !ready && r_blocks * q_blocks > 1, piecewise = !ready && !packed;
  const index slot_input = copied ? block.room(r_step, 0, q_step) : 0;
  const index slot_weights = piecewise ? min_of(sums, longest_sum) * panels.width() : 0;
  Scratch scratch(room<T>(packed ? sums * panels.packed() : 0) +
                  threads * (room<T>(slot_input) + room<T>(slot_weights)));
  if (!scratch) return false;
  T* made = take<T>(scratch, packed ? sums * panels.packed() : 0);
  T* inputs = take<T>(scratch, threads * round_up(slot_input, 64 / sizeof(T)));
  T* pieces = take<T>(scratch, threads * round_up(slot_weights, 64 / sizeof(T)));
  if (packed) pack_all(weights, walk.kw, channels, sums, panels, made, threads);
  const T* all_weights = ready ? ready : made;

  const bool plain = ends.plain();
  parallel_for(r_blocks * q_blocks * p_blocks, threads, [&](index task, int slot) {
    const index pb = task % p_blocks, qb = task / p_blocks % q_blocks,
                rb = task / p_blocks / q_blocks;
    const index r0 = rb * r_step, r1 = min_of(rows, r0 + r_step);
    const index q0 = qb * q_step, q1 = min_of(walk.ow, q0 + q_step), columns = q1 - q0;
    const T* starts[max_block_rows];
    index first_run[max_block_rows], last_run[max_block_rows], row_out[max_block_rows];
    const Runs runs(walk, channels, pixel, copied ? block.row(q0, q1) : walk.w * walk.pixel,
                    apart);
    const Chunks chunks(runs, lead);
    if (copied)
      block.copy(in, r0, r1, q0, q1, inputs + slot * round_up(slot_input, 64 / sizeof(T)), starts,
                 1);
    for (index r = r0; r < r1; ++r) {
      const index image = r / walk.oh, h = r % walk.oh, top = h * walk.sh - walk.pt;
      row_out[r - r0] = image * walk.out_n + h * walk.out_h + q0 * walk.out_w;
      if (!copied)
        starts[r - r0] =
            in + image * walk.in_n + (top * walk.w + q0 * walk.sw - walk.pl) * walk.pixel;
      // Kernel rows that fall on padding are left out, unless there are no others.
      const Taps taps(top, walk.dh, walk.kh, walk.h);
      const bool some = taps.first < taps.last;
      const index in_row = runs.outer * runs.inner / walk.kh;
      first_run[r - r0] = some ? taps.first * in_row : 0;
      last_run[r - r0] = (some ? taps.last : walk.kh) * in_row;
    }
    const index p_end = min_of(panels.count(), (pb + 1) * p_step);
    const auto weights_of = [&](index p, const Chunk& chunk) {
      return all_weights + sums * panels.first(p) + chunks.from(chunk) * panels.padded_width(p);
    };
    for (index p = pb * p_step; p < p_end; ++p) {
      const index vectors = panels.vectors(p), width = panels.padded_width(p),
                  used = panels.columns(p);
      for (index n = 0; n < chunks.count; ++n) {
        const Chunk chunk = chunks.at(n);
        const T *b = weights_of(p, chunk), *ahead = nullptr, *ahead_end = nullptr;
        if (piecewise) {
          T* piece = pieces + slot * round_up(slot_weights, 64 / sizeof(T));
          const index from = chunks.from(chunk);
          pack(weights, walk.kw, channels, from, from + chunks.rows(chunk), panels.first(p), used,
               width, piece);
          b = piece;
        } else if (n + 1 < chunks.count || p + 1 < p_end) {  // the first tiles ask for what is next
          const index next = n + 1 < chunks.count ? p : p + 1;
          const Chunk after = chunks.at(next == p ? n + 1 : 0);
          ahead = weights_of(next, after);
          ahead_end = ahead + chunks.rows(after) * panels.padded_width(next);
        }
        const Inside inside = apart ? Inside(walk, chunk.run % walk.kw, 1) : Inside(0, columns);
        const index size = inside.high - inside.low;
        const index tile = ceil_div(size, max_of<index>(1, ceil_div(size, tile_rows[vectors])));
        const index offset = chunk.run / runs.inner * runs.outer_step +
                             chunk.run % runs.inner * runs.inner_step + chunk.first;
        for (index r = r0; r < r1; ++r) {
          const index low = max_of(chunk.place, first_run[r - r0]),
                      high = min_of(chunk.place + chunk.count, last_run[r - r0]);
          if (low >= high) continue;
          const bool add = join || low > first_run[r - r0] || chunk.first > 0;
          const bool last = high == last_run[r - r0] && chunk.first + chunk.length == runs.length;
          const index left_out = low - chunk.place;
          const T* a = starts[r - r0] + offset + left_out * runs.inner_step;
          const T* br = b + left_out * runs.length * width;
          const index to = row_out[r - r0] + panels.first(p);
          for (index q = inside.low; q < inside.high; q += tile) {
            const index here = min_of(tile, inside.high - q);
            const Product<T> multiply = product_for<T>(here, vectors);
            const T* aq = a + q * step_w;
            T* cq = out + to + q * walk.out_w;
            if (!add) fetch(cq, here, walk.out_w, used);
            Ends<T> tile_ends = ends;
            if (last && !plain) {
              tile_ends = ends.shifted(panels.first(p), to + q * walk.out_w);
              tile_ends.fetch(here, walk.out_w, used);
            }
            const bool ending = last && !plain && !apart;
            Store<T> how{add, ending ? &tile_ends : nullptr};
            if (ahead < ahead_end) {
              how.ahead = ahead;
              ahead += (high - low) * chunk.length * line<T>;
            }
            if (used == width) {
              multiply(high - low, chunk.length, aq, step_w, runs.inner_step, br,
                       runs.length * width, cq, walk.out_w, how);
            } else {
              TileSums<T> sum;
              multiply(high - low, chunk.length, aq, step_w, runs.inner_step, br,
                       runs.length * width, sum.at, width, {false, nullptr, how.ahead});
              for (index t = 0; t < here; ++t)
                over_lanes<T>(0, used, [&](index j, auto part) {
                  const index at = t * walk.out_w + j;
                  Vec<T> v = load(sum.at + t * width + j);
                  if (add) v = part.get(cq + at) + v;
                  if (ending) v = tile_ends.of(v, tile_ends.columns(j, part), at, part);
                  part.put(cq + at, v);
                });
            }
          }
          if (last && !plain && apart)  // some tap may have left out some columns
            for (index q = 0; q < columns; ++q) {
              const index at = to + q * walk.out_w;
              ends.shifted(panels.first(p), at).template rows<1, false>(used, out + at, out + at);
            }
        }
      }
    }
  });
  return true;
}

// Whether the walk just maps each pixel of an unbroken array: a 1x1 kernel, stride 1, no padding.
inline bool maps_pixels(const Walk& walk) {
  return walk.kh == 1 && walk.kw == 1 && walk.sh == 1 && walk.sw == 1 && walk.pt == 0 &&
         walk.pl == 0 && walk.oh == walk.h && walk.ow == walk.w &&
         walk.in_n == walk.h * walk.w * walk.pixel &&
         walk.out_h == walk.ow * walk.out_w && walk.out_n == walk.oh * walk.out_h;
}

// Such a walk over one image, with its pixels laid out as `rows` rows.
inline Walk with_rows(Walk walk, index rows) {
  walk.w = walk.ow = walk.n * walk.h * walk.w / rows;
  walk.n = 1;
  walk.h = walk.oh = rows;
  walk.in_n = rows * walk.w * walk.pixel;
  walk.out_h = walk.ow * walk.out_w;
  walk.out_n = rows * walk.out_h;
  return walk;
}

inline Walk as_one_row(const Walk& walk) { return maps_pixels(walk) ? with_rows(walk, 1) : walk; }

constexpr index shared_bytes = 4 << 20;  // of copied input and gradient between two barriers
constexpr index tiles_together = 8;      // tiles of x that meet a panel of g while it is cached

// dw[k, j] = or += sum over output pixels of x[pixel, k] * g[pixel, j], with `ld` elements in a row
// of dw.
template <class T>
bool correlate(const Walk& walk, index channels, index oc, const T* x, const T* g, T* dw, index ld,
               bool join, int threads) {
  constexpr index lanes = Simd<T>::lanes;
  const index rows = walk.n * walk.oh;
  // Pixels a multiple of 2 KB apart fall into few cache sets: a copy keeps them apart; or together, if
  // they are many and parts of groups.
  const auto far = [](index elements) { return elements * sizeof(T) % 2048 == 0; };
  const bool many = rows * walk.ow > 400;
  const bool x_skew = far(channels) || (walk.kw == 1 && walk.sw > 1), g_skew = far(oc);
  const bool x_copied = walk.padded() || x_skew || (many && far(walk.pixel)),
             g_copied = oc % lanes != 0 || g_skew || (many && far(walk.out_w));
  const Block<T> block{walk, channels, channels + (x_skew ? lanes : 0)};
  const Walk of_g{walk.n, walk.oh, walk.ow, walk.out_n, walk.out_w, 1, 1, 1, 1,
                  1,      1,       0,       0,          walk.oh,    walk.ow, 0, 0, 0};
  const Block<T> g_block{of_g, oc, round_up(oc, lanes) + (g_skew ? lanes : 0)};
  const index x_pixel = x_copied ? block.pixel : walk.pixel,
              x_step = x_copied ? block.step_w() : walk.sw * walk.pixel,
              g_pixel = g_copied ? g_block.pixel : walk.out_w;

  // Rows whose x and g stay in the L2 cache, and rows that are copied at a time.
  const index row_bytes =
      (block.step_h() * block.row(0, walk.ow) + walk.ow * round_up(oc, lanes)) * sizeof(T);
  // For each block of rows dw is gone through once: where it is large, larger blocks pay.
  const index dw_bytes = walk.kh * walk.kw * channels * oc * static_cast<index>(sizeof(T));
  const index together = dw_bytes >= large_bytes ? 4 * block_bytes : 5 * block_bytes / 4;
  const index r_step = min_of(rows, max_of<index>(1, together / row_bytes));
  const index s_step =
      x_copied || g_copied
          ? min_of(rows, r_step * max_of<index>(1, shared_bytes / (r_step * row_bytes)))
          : rows;

  const index x_room = x_copied ? block.room(s_step, 0, walk.ow) : 0,
              g_room = g_copied ? g_block.room(s_step, 0, walk.ow) : 0;
  const index listed = walk.kh * s_step;
  Scratch scratch(room<T>(x_room) + room<T>(g_room) + 2 * room<const T*>(s_step) +
                  2 * room<const T*>(listed) + room<index>(listed + walk.kh));
  if (!scratch) return false;
  T* x_copy = take<T>(scratch, x_room);
  T* g_copy = take<T>(scratch, g_room);
  const T** x_starts = take<const T*>(scratch, s_step);
  const T** g_starts = take<const T*>(scratch, s_step);
  // For each kernel row, the rows where it meets x and no padding, and how many precede each row.
  const T** x_rows = take<const T*>(scratch, listed);
  const T** g_rows = take<const T*>(scratch, listed);
  index* before = take<index>(scratch, listed + walk.kh);

  const Runs runs(walk, channels, x_pixel, x_copied ? block.row(0, walk.ow) : walk.w * walk.pixel);
  const Panels<T> panels{oc, 2};
  const index tile = ceil_div(runs.length, ceil_div(runs.length, tile_rows[2]));
  const index tiles = ceil_div(runs.length, tile), tile_groups = ceil_div(tiles, tiles_together);
  const index items = runs.outer * runs.inner * tile_groups * panels.count();
  const int team = static_cast<int>(min_of<index>(threads, items));

  for (index s0 = 0; s0 < rows; s0 += s_step) {
    const index s1 = min_of(rows, s0 + s_step);
    if (x_copied) block.copy(x, s0, s1, 0, walk.ow, x_copy, x_starts, threads);
    if (g_copied) g_block.copy(g, s0, s1, 0, walk.ow, g_copy, g_starts, threads);
    for (index a = 0; a < walk.kh; ++a) {
      index k = a * s_step;
      for (index r = s0; r < s1; ++r) {
        const index image = r / walk.oh, h = r % walk.oh, top = h * walk.sh - walk.pt;
        before[a * (s_step + 1) + r - s0] = k;
        if (top + a * walk.dh < 0 || top + a * walk.dh >= walk.h) continue;
        x_rows[k] = x_copied ? x_starts[r - s0]
                             : x + image * walk.in_n + (top * walk.w - walk.pl) * walk.pixel;
        g_rows[k++] = g_copied ? g_starts[r - s0] : g + image * walk.out_n + h * walk.out_h;
      }
      before[a * (s_step + 1) + s1 - s0] = k;
    }
    // Each thread owns some items for all rows, and with them a part of dw: nothing is shared.
    parallel_for(team, team, [&](index member, int) {
      const index first = items * member / team, last = items * (member + 1) / team;
      for (index r0 = s0; r0 < s1; r0 += r_step) {
        const bool add = join || r0 > 0;
        for (index item = first; item < last; ++item) {
          const index group = item % tile_groups, p = item / tile_groups % panels.count();
          const index run = item / tile_groups / panels.count();
          const index offset =
              run / runs.inner * runs.outer_step + run % runs.inner * runs.inner_step;
          const index vectors = panels.vectors(p), width = panels.padded_width(p),
                      used = panels.columns(p);
          const index* list = before + run * walk.kh / (runs.outer * runs.inner) * (s_step + 1);
          const index from = list[r0 - s0], count = list[min_of(r0 + r_step, s1) - s0] - from;
          for (index t = group * tiles_together; t < min_of(tiles, (group + 1) * tiles_together);
               ++t) {
            const index k = t * tile, size = min_of(tile, runs.length - k);
            const OuterProduct<T> multiply = outer_for<T>(size, vectors);
            T* c = dw + (run * runs.length + k) * ld + panels.first(p);
            const T* const* xr = x_rows + from;
            const T* const* gr = g_rows + from;
            if (used == width) {
              multiply(count, walk.ow, xr, offset + k, x_step, gr, panels.first(p), g_pixel, c, ld,
                       add);
            } else {
              TileSums<T> sum;
              multiply(count, walk.ow, xr, offset + k, x_step, gr, panels.first(p), g_pixel, sum.at,
                       width, false);
              for (index i = 0; i < size; ++i)
                over_lanes<T>(0, used, [&](index j, auto part) {
                  const Vec<T> v = load(sum.at + i * width + j);
                  part.put(c + i * ld + j, add ? part.get(c + i * ld + j) + v : v);
                });
            }
          }
        }
      }
    });
  }
  return true;
}

// Where the rows may be chosen: as many whole rows together as give about 256 pixels, so that the
// loop over pixels is long and blocks still fit the cache.
inline Walk with_long_rows(const Walk& walk) {
  if (!maps_pixels(walk)) return walk;
  const index rows = walk.n * walk.h;
  index together = 1;
  for (index t = 1; t <= rows && t * walk.w <= 256; ++t)
    if (rows % t == 0) together = t;
  return with_rows(walk, rows / together);
}

}  // namespace KCORE_LEVEL
}  // namespace kcore
