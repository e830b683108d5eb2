#pragma once

#include "core.h"

namespace kcore {

// 16-bit floats, bfloat16 if `brain` and else float16, as float32 and back: rounded to the nearest,
// ties to even, and beyond the largest to infinity; nan stays nan.
struct Halves {
  void (*widen)(bool brain, index size, const std::uint16_t* x, float* y, int threads);
  void (*narrow)(bool brain, index size, const float* x, std::uint16_t* y, int threads);
};

}  // namespace kcore
