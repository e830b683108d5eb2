// Memory for results. The pages of a fresh large block cost more to get than most kernels take to
// fill them, so blocks are kept when they come back: up to a limit, the oldest leaving first, and
// all of them before an allocation fails. A smaller block is cut from a larger one, and what comes
// back is joined to its free neighbours, so that a training step's memory is little more than what
// it has in use at its peak. Callers hold the GIL.
#pragma once

#include <cstddef>

namespace kcore {

// Smaller blocks are left to malloc, which keeps their pages.
constexpr std::size_t pooled_bytes = std::size_t{1} << 20;
// Results that begin on a cache line: NumPy's do not, and a vector across two lines costs twice, which
// small arrays do not notice.
constexpr std::size_t aligned_bytes = std::size_t{1} << 14;

struct PoolState {
  std::size_t kept, in_use, limit;
  std::size_t reused, fresh;
};

// Aligned to 64 bytes; `got` is the size to give it back with. Null if there is none.
void* take_block(std::size_t bytes, std::size_t* got);
void give_block(void* base, std::size_t bytes);
PoolState block_state();
void limit_blocks(std::size_t bytes);
void free_blocks();

}  // namespace kcore
