#pragma once

#include "core.h"

namespace kcore {

// What becomes of finished sums v[row, column], in this order; what is null is left out. Each array
// has an element for each column, but `beside`, which has the shape of v. All are float or double,
// as v is.
//
//     v + bias;  (v - mean) * factor + offset;  v + beside;  at least 0, if `low`;  at most 6, if `high`
struct Ending {
  const void *bias, *mean, *factor, *offset, *beside;
  bool low, high;
};

}  // namespace kcore
