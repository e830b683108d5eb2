"""Records of the ops that make tensors of other things and other dtypes."""

from __future__ import annotations

import numpy as np

from kcore import dtypes, ops
from kcore.conformance.record import Bad, Case, Sample
from kcore.conformance.samples import arrays, draw, whole
from kcore.conformance.shape import exact

nan, inf = np.nan, np.inf

Case(
    ops.array,
    reference=lambda x, dtype=None: x if dtype is None else x.astype(dtypes.to_numpy(dtype)),
    samples=[
        Sample(draw(2, 3)),
        arrays([1 + 2**-40], dtypes=["float64"], expect=[1 + 2**-40], why="every bit stays"),
        Sample(draw(2, 3), dtype="float32", grad=False),
        Sample(whole(2, 3), dtype="int8"),
        Sample(draw()),
        Sample(np.zeros((0, 2))),
    ],
    errors=[Bad(np.ones(2), dtype="float31", match="'float31' is no dtype")],
    tol={"float64": 0.0, "float32": 0.0},
)

exact(
    ops.copy,
    reference=np.copy,
    samples=[
        Sample(draw(2, 3)),
        Sample(draw()),
        Sample(np.zeros((0, 2))),
        arrays([nan, inf, -0.0], grad=False),
    ],
)


def _view(x, dtype=None):
    return x if dtype is None else x.view(dtypes.to_numpy(dtype))


exact(
    ops.view,
    reference=_view,
    samples=[
        Sample(whole(2, 4, dtype="int32"), dtype="float32", dtypes=["int32"]),
        Sample(whole(2, 4, dtype="int32"), dtype="uint8", why="four of them for each"),
        Sample(whole(2, 4, high=127, dtype="uint8"), dtype="int16", why="two make one"),
        Sample(whole(3, 4, high=127, dtype="int16"), dtype="int64", dtypes=["int16"]),
        Sample(whole(dtype="int32"), dtype="uint32", why="a scalar keeps its shape"),
        Sample(whole(2, 3, high=2, dtype="bool"), dtype="uint8", dtypes=["bool"]),
        Sample(whole(2, 3, dtype="int64"), dtypes=["int64"]),
        Sample(np.zeros((2, 0), "int32"), dtype="int8", dtypes=["int32"]),
    ],
    errors=[
        Bad(np.ones((2, 3), "uint8"), dtype="int32", match="3 bytes in a row, no multiple of the 4 of int32"),
        Bad(np.ones((), "uint8"), dtype="int32", match="at least 1 dimensions"),
    ],
    grad=False,
)


def _saturated(x, dtype):
    target = dtypes.to_numpy(dtype)
    if dtype == "bool":
        return x.astype(bool)
    if target.kind in "iu":
        bounds = np.iinfo(target)
        y = np.trunc(np.nan_to_num(x, nan=0, posinf=1e30, neginf=-1e30)) if x.dtype.kind == "f" else x
        return np.array([min(max(int(e), bounds.min), bounds.max) for e in y.ravel().tolist()], target).reshape(x.shape)
    bounds = np.finfo(target) if target.kind == "f" else dtypes.ml_dtypes.finfo(target)
    return np.clip(x, float(bounds.min), float(bounds.max)).astype(target)


ODD = np.array([-300.0, 300.0, 2.75, -2.75, nan, inf, -inf, 3e9, -3e9])

exact(
    ops.saturate_cast,
    reference=_saturated,
    samples=[
        *(Sample(ODD, dtype=d, grad=False) for d in ("uint8", "int8", "int32", "uint32", "int64", "bool")),
        Sample(np.array([1e6, -1e6, nan, inf, 1.5]), dtype="float16", grad=False),
        Sample(np.array([1e39, -1e39, 1.5]), dtype="float32", dtypes=["float64"], gradient=[0.0, 0.0, 1.0]),
        Sample(np.array([-300, 300, 7]), dtype="uint8"),
        Sample(np.array([4_000_000_000, 3], "uint32"), dtype="int32"),
        Sample(np.array([-1, 100], "int8"), dtype="uint32"),
        Sample(draw(2, 3), dtype="float64", grad=False),
    ],
    errors=[Bad(np.ones(2), dtype="float31", match="'float31' is no dtype")],
)

# -- complex ----------------------------------------------------------------------------

exact(
    ops.view_as_complex,
    reference=lambda x: x[..., 0] + 1j * x[..., 1],
    samples=[
        Sample(draw(3, 2)),
        Sample(draw(2, 3, 2)),
        Sample(draw(2)),
        Sample(np.zeros((0, 2))),
        Sample(whole(3, 2), why="integers become complex64"),
    ],
    errors=[
        Bad(np.ones((2, 3)), match=r"x of shape \(2, 3\) should end in 2"),
        Bad(np.ones(()), match="at least 1 dimensions"),
        Bad(np.ones((3, 2), "complex64"), match="complex already"),
    ],
)

exact(
    ops.view_as_real,
    reference=lambda x: np.stack([x.real, x.imag], -1),
    samples=[
        Sample(draw(2, 3) + 1j * draw(2, 3, seed=1)),
        Sample(draw(2, 3), why="the imaginary part of a real number is 0"),
        Sample(np.array(1 - 2j)),
    ],
)
