// The pool of large blocks. Compiled for the baseline CPU.
#include "memory.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <vector>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(base, bytes) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(base, bytes) ((void)0)
#endif

namespace kcore {

namespace {

constexpr std::size_t page = std::size_t{1} << 21;  // a huge one

// A stretch of addresses that pieces are cut from.
struct Arena {
  char* base;
  std::vector<bool> resident;  // which pages take memory
};

// Neighbours in an arena, all in use or all free: two free ones are made one.
struct Piece {
  Arena* arena;
  std::size_t pages, kept;  // kept: how many of a free piece's pages take memory
  bool free;
  std::size_t age;  // when it came back
};

using Pieces = std::map<char*, Piece>;

std::size_t physical_memory() {
#ifdef __linux__
  const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGE_SIZE);
  if (pages > 0 && bytes > 0) return static_cast<std::size_t>(pages) * static_cast<std::size_t>(bytes);
#endif
  return std::size_t{4} << 30;
}

Pieces pieces;
PoolState state = {0, 0, std::min(physical_memory() / 16, std::size_t{1} << 30), 0, 0};
std::size_t returns = 0;

// Memory that nothing has touched yet, aligned to a page. On Linux that is an address range of its own, and pages
// can be given back one by one.
char* map_pages(std::size_t pages) {
#ifdef __linux__
  const std::size_t bytes = (pages + 1) * page;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  char* base = reinterpret_cast<char*>((reinterpret_cast<std::size_t>(at) + page - 1) / page * page);
  madvise(base, pages * page, MADV_HUGEPAGE);
  return base;
#else
  return static_cast<char*>(std::aligned_alloc(page, pages * page));
#endif
}

// Adds an arena with room for so many pages: on Linux a large one, as addresses cost nothing, and pieces of
// one arena can be joined.
bool add_arena(std::size_t pages) {
  if (pages > physical_memory() / page) return false;
  std::size_t size = pages;
#ifdef __linux__
  size = std::max(pages, physical_memory() / 4 / page);
#endif
  char* base = map_pages(size);
  if (!base && size > pages) base = map_pages(size = pages);
  if (!base) return false;
  Arena* arena = new Arena{base, std::vector<bool>(size)};
  pieces.emplace(base, Piece{arena, size, 0, true, 0});
  ASAN_POISON_MEMORY_REGION(base, size * page);
  return true;
}

std::vector<bool>::iterator pages_of(Pieces::iterator at) {
  Arena* arena = at->second.arena;
  return arena->resident.begin() + (at->first - arena->base) / static_cast<std::ptrdiff_t>(page);
}

// Gives up to so many pages of a free piece back to the system, the last ones first.
void vacate(Pieces::iterator at, std::size_t most) {
  Piece& piece = at->second;
#ifdef __linux__
  const auto resident = pages_of(at);
  for (std::size_t i = piece.pages; i-- > 0 && most > 0;) {
    if (!resident[i]) continue;
    madvise(at->first + i * page, page, MADV_DONTNEED);
    resident[i] = false;
    --piece.kept, --most;
    state.kept -= page;
  }
#else
  if (piece.pages < piece.arena->resident.size()) return;  // others use a part
  state.kept -= piece.kept * page;
  ASAN_UNPOISON_MEMORY_REGION(at->first, piece.pages * page);
  std::free(at->first);
  delete piece.arena;
  pieces.erase(at);
#endif
}

// Takes pages from the oldest pieces until no more than `most` bytes are kept.
void drop_oldest(std::size_t most) {
  while (state.kept > most) {
    auto oldest = pieces.end();
    for (auto at = pieces.begin(); at != pieces.end(); ++at)
      if (at->second.kept && (oldest == pieces.end() || at->second.age < oldest->second.age)) oldest = at;
    const std::size_t before = state.kept;
    if (oldest != pieces.end()) vacate(oldest, (before - most + page - 1) / page);
    if (state.kept == before) return;  // what is left can't be taken out of its arena here
  }
}

// Makes a free piece and the one after it one, if that is free and of the same arena.
void join(Pieces::iterator left) {
  const auto right = std::next(left);
  if (right == pieces.end() || right->second.arena != left->second.arena || !right->second.free) return;
  left->second.pages += right->second.pages;
  left->second.kept += right->second.kept;
  left->second.age = std::max(left->second.age, right->second.age);
  pieces.erase(right);
}

// The free piece whose first pages ask for the least new memory; of those the smallest.
Pieces::iterator cheapest(std::size_t pages) {
  auto best = pieces.end();
  std::size_t best_cost = 0;
  for (auto at = pieces.begin(); at != pieces.end(); ++at) {
    const Piece& piece = at->second;
    if (!piece.free || piece.pages < pages) continue;
    const auto first = pages_of(at);
    const std::size_t cost = piece.kept == piece.pages ? 0
                             : piece.kept == 0         ? pages
                                                       : std::count(first, first + pages, false);
    if (best == pieces.end() || cost < best_cost || (cost == best_cost && piece.pages < best->second.pages))
      best = at, best_cost = cost;
  }
  return best;
}

}  // namespace

void* take_block(std::size_t bytes, std::size_t* got) {
  if (bytes < pooled_bytes) {
    *got = bytes;
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  const std::size_t pages = (bytes + page - 1) / page;
  auto at = cheapest(pages);
  if (at == pieces.end()) {
    if (!add_arena(pages)) {
      free_blocks();
      if (!add_arena(pages)) return nullptr;
    }
    at = cheapest(pages);
  }
  Piece& piece = at->second;
  const auto first = pages_of(at);
  const std::size_t kept = std::count(first, first + pages, true);
  std::fill(first, first + pages, true);
  if (piece.pages > pages)
    pieces.emplace(at->first + pages * page,
                   Piece{piece.arena, piece.pages - pages, piece.kept - kept, true, piece.age});
  piece = {piece.arena, pages, 0, false, 0};
  ++(kept == pages ? state.reused : state.fresh);
  state.kept -= kept * page;
  state.in_use += pages * page;
  *got = pages * page;
  ASAN_UNPOISON_MEMORY_REGION(at->first, bytes);
  return at->first;
}

void give_block(void* base, std::size_t bytes) {
  if (bytes < pooled_bytes) {
    std::free(base);
    return;
  }
  ASAN_POISON_MEMORY_REGION(base, bytes);
  auto at = pieces.find(static_cast<char*>(base));
  Piece& piece = at->second;
  piece.free = true;
  piece.kept = piece.pages;
  piece.age = ++returns;
  state.in_use -= bytes;
  state.kept += bytes;
  join(at);
  if (at != pieces.begin() && std::prev(at)->second.free && std::prev(at)->second.arena == piece.arena)
    join(std::prev(at));
  drop_oldest(state.limit);
}

PoolState block_state() { return state; }

void limit_blocks(std::size_t bytes) {
  state.limit = bytes;
  drop_oldest(bytes);
}

void free_blocks() { drop_oldest(0); }

}  // namespace kcore
