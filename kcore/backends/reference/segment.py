"""Rows folded by segment, by a kernel."""

from __future__ import annotations

from kcore import ops
from kcore.backends.reference.index import _has_kernel, _scattered
from kcore.backends.reference.tensor import Tensor as _Tensor


def _folded(call, reduction):
    def definition(data, segment_ids, num_segments, sorted):
        if not _has_kernel(data):
            return call.op.body(data.view(_Tensor), segment_ids.view(_Tensor), num_segments, sorted)
        count = int(segment_ids.max(initial=-1)) + 1 if num_segments is None else int(num_segments)
        return _scattered(None, count, segment_ids, data, reduction, from_end=False)

    return definition


segment_sum = _folded(ops.segment_sum, "add")
segment_prod = _folded(ops.segment_prod, "mul")
segment_max = _folded(ops.segment_max, "max")
segment_min = _folded(ops.segment_min, "min")
