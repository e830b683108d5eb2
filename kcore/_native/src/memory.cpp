// The pool of large blocks. Compiled for the baseline CPU.
#include "memory.h"

#include <cstdlib>
#include <vector>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace kcore {

namespace {

struct Kept {
  void* base;
  std::size_t bytes;
};

constexpr std::size_t huge_page = std::size_t{1} << 21;

// A sixteenth of the memory there is, 1 GiB at most.
std::size_t default_limit() {
  const std::size_t most = std::size_t{1} << 30;
#ifdef __linux__
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
  if (pages > 0 && page > 0) {
    const std::size_t share = static_cast<std::size_t>(pages) / 16 * static_cast<std::size_t>(page);
    return share < most ? share : most;
  }
#endif
  return most / 4;
}

std::vector<Kept> kept;  // the oldest first
PoolState state = {0, 0, default_limit(), 0, 0};

void drop_oldest(std::size_t most) {
  std::size_t gone = 0;
  while (state.kept > most) {
    std::free(kept[gone].base);
    state.kept -= kept[gone].bytes;
    ++gone;
  }
  kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(gone));
}

void* fresh_block(std::size_t bytes) {
  void* base = std::aligned_alloc(huge_page, bytes);
#ifdef __linux__
  if (base) madvise(base, bytes, MADV_HUGEPAGE);
#endif
  return base;
}

}  // namespace

void* take_block(std::size_t bytes, std::size_t* got) {
  if (bytes < pooled_bytes) {
    *got = bytes;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  bytes = (bytes + huge_page - 1) / huge_page * huge_page;
  // The smallest that fits without wasting a quarter of it.
  std::size_t best = kept.size();
  for (std::size_t i = kept.size(); i-- > 0;)
    if (kept[i].bytes >= bytes && kept[i].bytes - bytes <= bytes / 4 &&
        (best == kept.size() || kept[i].bytes < kept[best].bytes))
      best = i;
  void* base;
  if (best < kept.size()) {
    base = kept[best].base;
    bytes = kept[best].bytes;
    state.kept -= bytes;
    ++state.reused;
    kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(best));
  } else {
    base = fresh_block(bytes);
    if (!base) {
      free_blocks();
      base = fresh_block(bytes);
    }
    if (!base) return nullptr;
    ++state.fresh;
  }
  state.in_use += bytes;
  *got = bytes;
  return base;
}

void give_block(void* base, std::size_t bytes) {
  if (bytes < pooled_bytes) {
    std::free(base);
    return;
  }
  state.in_use -= bytes;
  if (bytes > state.limit) {
    std::free(base);
    return;
  }
  drop_oldest(state.limit - bytes);
  kept.push_back({base, bytes});
  state.kept += bytes;
}

PoolState block_state() { return state; }

void limit_blocks(std::size_t bytes) {
  state.limit = bytes;
  drop_oldest(bytes);
}

void free_blocks() { drop_oldest(0); }

}  // namespace kcore
