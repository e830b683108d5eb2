// What all kernels and their wrappers share: sizes, working memory, and how a family's table is made.
//
// Every kernel takes C-contiguous arrays whose shapes the wrapper has checked, runs without the
// GIL, and gives the same bits for every thread count. One that needs working memory returns
// false if there is none.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kcore {

using index = std::ptrdiff_t;

// A family lists its kernels once, in api/<family>.h: KERNELS(K) has K(result, name, (parameters))
// for each, with T for float or double. KCORE_TABLE makes of it the type of its table: pointers.
// KCORE_EXPORT, at the end of <family>.cpp, makes the tables of the level that is being compiled.
#define KCORE_POINTER(R, name, parameters) R(*name) parameters;
#define KCORE_TABLE(Type, KERNELS) \
  template <class T>               \
  struct Type {                    \
    KERNELS(KCORE_POINTER)         \
  };

template <template <class> class Table>
struct Both {
  Table<float> f32;
  Table<double> f64;
};

#define KCORE_ENTRY(R, name, parameters) name<T>,
#define KCORE_EXPORT(family, Type, KERNELS)                                                 \
  template <class T>                                                                        \
  constexpr Type<T> family##_kernels() {                                                    \
    return {KERNELS(KCORE_ENTRY)};                                                          \
  }                                                                                         \
  extern const Both<Type> family##_table;                                                   \
  const Both<Type> family##_table = {family##_kernels<float>(), family##_kernels<double>()};

// Working memory that a thread keeps between calls: fresh pages cost as much as a small
// convolution. Two leases at a time in each thread, the later one given back first.
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
