// The levels of this build and the working memory. Compiled for the baseline CPU.
#include "levels.h"

#include <cassert>
#include <cstdlib>

namespace kcore {

namespace {

constexpr std::size_t kept_bytes = std::size_t{64} << 20;

struct Store {
  void* base = nullptr;
  std::size_t bytes = 0;
  ~Store() { std::free(base); }
};
thread_local Store stores[2];
thread_local int leases = 0;

bool always() { return true; }

#ifdef KCORE_X86_LEVELS
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#endif

}  // namespace

#define KCORE_DECLARE(family, Type, KERNELS) extern const Both<Type> family##_table;
#define KCORE_F32(family, Type, KERNELS) , family##_table.f32
#define KCORE_F64(family, Type, KERNELS) , family##_table.f64
#define KCORE_LEVEL_OF(name, supported)                                                 \
  namespace name {                                                                      \
  KCORE_FAMILIES(KCORE_DECLARE)                                                         \
  extern const Draws draws;                                                             \
  extern const Halves halves;                                                           \
  const Level level = {#name, supported, {{} KCORE_FAMILIES(KCORE_F32)}, {{} KCORE_FAMILIES(KCORE_F64)}, &draws, &halves}; \
  }
#ifdef KCORE_X86_LEVELS
KCORE_LEVEL_OF(avx512, has_avx512)
KCORE_LEVEL_OF(avx2, has_avx2)
#endif
KCORE_LEVEL_OF(baseline, always)

const Level* const levels[] = {
#ifdef KCORE_X86_LEVELS
    &avx512::level,
    &avx2::level,
#endif
    &baseline::level,
    nullptr,
};

namespace {
const Level* widest() {
#ifdef KCORE_X86_LEVELS
  __builtin_cpu_init();
#endif
  const Level* const* level = levels;
  while (!(*level)->supported()) ++level;
  return *level;
}
}  // namespace

const Level* active = widest();

const char* const curve_names[] = {
#define KCORE_NAME(name) #name,
    KCORE_CURVES(KCORE_NAME)
#undef KCORE_NAME
        nullptr};

const char* const bias_curve_names[] = {
#define KCORE_NAME(name) #name,
    KCORE_BIAS_CURVES(KCORE_NAME)
#undef KCORE_NAME
        nullptr};

bool has_openmp() {
#ifdef _OPENMP
  return true;
#else
  return false;
#endif
}

Scratch::Scratch(std::size_t bytes) : base_(nullptr), next_(nullptr), bytes_(bytes) {
  assert(leases < 2);
  Store& store = stores[leases++];
  if (bytes == 0) bytes = 64;  // null means failure
  if (store.bytes < bytes) {
    std::free(store.base);
    store.bytes = 0;
    store.base = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!store.base) return;
    store.bytes = bytes;
  }
  base_ = next_ = static_cast<char*>(store.base);
}

Scratch::~Scratch() {
  Store& store = stores[--leases];
  if (store.bytes > kept_bytes) {
    std::free(store.base);
    store.base = nullptr;
    store.bytes = 0;
  }
}

void* Scratch::take(std::size_t bytes) {
  char* piece = next_;
  next_ += (bytes + 63) / 64 * 64;
  assert(static_cast<std::size_t>(next_ - base_) <= bytes_);
  return piece;
}

}  // namespace kcore
