// Convolutions: those that mix channels, and those with one kernel per channel.
#include "api/conv.h"
#include "dense.h"
#include "depthwise.h"

namespace kcore {
namespace KCORE_LEVEL {

KCORE_EXPORT(conv, ConvKernels, KCORE_CONV_KERNELS)

}  // namespace KCORE_LEVEL
}  // namespace kcore
