// Changes of layout, by blocks that are transposed in registers.
#include "api/layout.h"
#include "tile.h"

namespace kcore {
namespace KCORE_LEVEL {

template <class T>
void swap_axes(index n, index rows, index cols, const T* x, T* y, int threads) {
  constexpr index lanes = Simd<T>::lanes, block = 4 * lanes;  // what a task writes side by side
  const index blocks = ceil_div(rows, block);
  parallel_for(n * blocks, threads, [&](index item, int) {
    const index r0 = item % blocks * block, r1 = min_of(rows, r0 + block);
    const T* from = x + item / blocks * rows * cols;
    T* to = y + item / blocks * rows * cols;
    for (index c = 0; c < cols; c += lanes) {
      const index width = min_of(lanes, cols - c);
      index r = r0;
      if (width == lanes)
        for (; r + lanes <= r1; r += lanes)
          transpose_block(from + r * cols + c, cols, to + c * rows + r, rows);
      for (; r < r1; ++r)
        for (index j = 0; j < width; ++j) to[(c + j) * rows + r] = from[r * cols + c + j];
    }
  });
}

KCORE_EXPORT(layout, LayoutKernels, KCORE_LAYOUT_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
