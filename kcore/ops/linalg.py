"""Linear algebra: products and norms."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from kcore import dtypes, ops
from kcore.ops import rules
from kcore.ops.mechanism import Axes, Plan, Tensor, op
from kcore.ops.numerics import real_dtype, vector_norm, wide
from kcore.ops.symbolic import Shape, Spec

# -- products ---------------------------------------------------------------------------


def _product_dtype(*xs: Spec) -> str:
    """The dtype of a matrix product: what the operands meet in; int8 alone is summed in int32."""
    dtype = dtypes.promote(*(x.dtype for x in xs))
    return "int32" if all(x.dtype == "int8" for x in xs) else dtype


def _matmul(x1: Spec, x2: Spec) -> Plan:
    if not x1.ndim or not x2.ndim:
        raise ValueError(f"a scalar has no matrix product; the shapes are {x1.shape} and {x2.shape}.")
    inner1, inner2 = x1.shape[-1], x2.shape[-2 if x2.ndim > 1 else -1]
    if inner1 != inner2 and None not in (inner1, inner2):
        raise ValueError(f"shapes {x1.shape} and {x2.shape} don't multiply: the inner sizes are {inner1} and {inner2}.")
    batch = rules.broadcast(x1.shape[:-2], x2.shape[:-2])
    rows = x1.shape[-2:-1]
    columns = x2.shape[-1:] if x2.ndim > 1 else ()
    dtype = _product_dtype(x1, x2)
    return Plan(batch + rows + columns, dtype, cast=dtype)


@op(rule=_matmul)
def matmul(x1: Tensor, x2: Tensor) -> Tensor:
    """The matrix product of the last two axes; earlier ones broadcast. Vectors count as a row on the left, a column on the right.

    Args:
        x1: (..., n, k) or (k,).
        x2: (..., k, m) or (k,).

    Returns:
        (..., n, m), without the axes that a vector lacks. 16-bit floats are summed in float32,
        two int8 operands in int32; bools are and-ed and or-ed.

    Raises:
        ValueError: The inner sizes differ, or an operand is a scalar.

    >>> ops.matmul([[1, 2], [3, 4]], [1, 1])
    Tensor([3, 7], dtype=int32)
    """


def parse_einsum(subscripts: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    """The terms of an einsum and its output, made explicit: "ij,jk" gives (["ij", "jk"], "ik").

    Raises:
        ValueError: The text is malformed, or does not fit the number of operands or their dimensions.
    """
    if not isinstance(subscripts, str):
        raise TypeError(f"subscripts should be a string such as 'ij,jk->ik', not {subscripts!r}.")
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    for term in (*terms, output):
        letters = term.replace("...", "", 1)
        if wrong := letters.strip(string.ascii_letters):
            raise ValueError(
                f"subscripts={subscripts!r} should have letters, commas, one '->' and '...', not {wrong!r}."
            )
    if len(terms) != len(shapes):
        raise ValueError(f"subscripts={subscripts!r} names {len(terms)} operands, but there are {len(shapes)}.")
    for term, x_shape in zip(terms, shapes, strict=True):
        named = len(term.replace("...", ""))
        if len(x_shape) < named or (len(x_shape) > named and "..." not in term):
            raise ValueError(f"subscripts={subscripts!r}: {term!r} does not fit an operand of shape {x_shape}.")
    letters = "".join(terms).replace(".", "")
    rest = any("..." in t and len(s) > len(t) - 3 for t, s in zip(terms, shapes, strict=True))
    if not arrow:
        output = ("..." if rest else "") + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    for c in output.replace("...", ""):
        if c not in letters:
            raise ValueError(f"subscripts={subscripts!r}: the output's {c!r} is in no operand.")
        if output.count(c) > 1:
            raise ValueError(f"subscripts={subscripts!r}: the output has {c!r} twice.")
    if rest and "..." not in output:
        raise ValueError(f"subscripts={subscripts!r}: the output should keep the '...' of the operands.")
    return terms, output


def _einsum(subscripts: str, operands: Sequence[Spec]) -> Plan:
    terms, output = parse_einsum(subscripts, [x.shape for x in operands])
    sizes: dict[str, int | None] = {}
    dots: list[Shape] = []
    for term, x in zip(terms, operands, strict=True):
        before, there, after = term.partition("...")
        middle = x.shape[len(before) : x.ndim - len(after)] if there else ()
        dots.append(middle)
        named = zip(before + after, (*x.shape[: len(before)], *x.shape[x.ndim - len(after) :]), strict=True)
        for c, size in named:
            if None not in (known := sizes.get(c), size) and known != size:
                raise ValueError(f"subscripts={subscripts!r}: {c!r} is {known} in one place and {size} in another.")
            sizes[c] = size if known is None else known
    before, there, after = output.partition("...")
    middle = rules.broadcast(*dots) if there else ()
    dtype = _product_dtype(*operands)
    found = (*(sizes[c] for c in before), *middle, *(sizes[c] for c in after))
    return Plan(found, dtype, cast=dtype, subscripts=f"{','.join(terms)}->{output}")


@op(rule=_einsum)
def einsum(subscripts: str, *operands: Tensor) -> Tensor:
    """Sums of products over named axes, in Einstein's notation.

    Args:
        subscripts: A letter for each axis of each operand: "ij,jk->ik" is the matrix product. A letter twice
            in one operand takes its diagonal; one that the output lacks is summed over. "..." stands for
            further axes, which broadcast. Without "->" the output has the letters that occur once, sorted.
        *operands: At least one.

    Returns:
        The output's axes, in the dtype that the operands meet in; int8 alone is summed in int32.

    Raises:
        ValueError: The text is malformed, does not fit the operands, or a letter has two sizes.

    >>> ops.einsum("ij,kj->ik", [[1, 2], [3, 4]], [[1, 1]])
    Tensor([[3],
           [7]], dtype=int32)
    """


def _dotted(x1: Spec, x2: Spec, axes: Any = 2) -> Plan:
    axes1, axes2 = _contracted(x1, x2, axes)
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    free = [d for i, d in enumerate(x1.shape) if i not in axes1] + [d for i, d in enumerate(x2.shape) if i not in axes2]
    return Plan(tuple(free), dtype, cast=dtype, axes=(axes1, axes2))


def _contracted(x1: Spec, x2: Spec, axes: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if hasattr(axes, "__index__"):
        count = int(axes)
        if not 0 <= count <= min(x1.ndim, x2.ndim):
            raise ValueError(
                f"axes={axes!r} should be from 0 to the number of dimensions; shapes are {x1.shape} and {x2.shape}."
            )
        pair: Any = (tuple(range(x1.ndim - count, x1.ndim)), tuple(range(count)))
    else:
        pair = axes
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise ValueError(f"axes={axes!r} should be a number of axes, or a pair of axes or lists of them.")
    many = [tuple(a) if isinstance(a, (tuple, list)) else (a,) for a in pair]
    axes1, axes2 = (
        tuple(rules.normalize_axis(a, x.ndim, x.shape, "axes") for a in named)
        for named, x in zip(many, (x1, x2), strict=True)
    )
    if len(axes1) != len(axes2) or len(set(axes1)) < len(axes1) or len(set(axes2)) < len(axes2):
        raise ValueError(f"axes={axes!r} should name as many axes of x1 as of x2, none twice.")
    for i, j in zip(axes1, axes2, strict=True):
        if x1.shape[i] != x2.shape[j] and None not in (x1.shape[i], x2.shape[j]):
            raise ValueError(f"axis {i} of shape {x1.shape} and axis {j} of shape {x2.shape} differ in size.")
    return axes1, axes2


@op(rule=_dotted)
def tensordot(x1: Tensor, x2: Tensor, axes: Any = 2) -> Tensor:
    """The sum of products over pairs of axes.

    Args:
        x1, x2: Any shapes.
        axes: A number n, for the last n axes of x1 with the first n of x2; or a pair of axes,
            or of equally long lists of axes.

    Returns:
        What is left of x1's axes, then of x2's.

    Raises:
        ValueError: The axes don't pair up, or their sizes differ.

    >>> ops.tensordot([[1, 2], [3, 4]], [[1, 0], [0, 1]])
    Tensor(5, dtype=int32)
    """
    axes1, axes2 = axes
    letters = iter(string.ascii_letters)
    term1 = [next(letters) for _ in x1.shape]
    paired = dict(zip(axes2, (term1[i] for i in axes1), strict=True))
    term2 = [paired[j] if j in paired else next(letters) for j in range(len(x2.shape))]
    free = [c for c in (*term1, *term2) if c not in paired.values()]
    y = einsum(f"{''.join(term1)},{''.join(term2)}->{''.join(free)}", x1, x2)
    return ops.cast(y, dtypes.name_of(x1.dtype))


def _last_with(x1: Spec, x2: Spec, axis: int) -> Plan:
    """The last axis of x1 is paired with that of x2; a scalar is a factor."""
    return _dotted(x1, x2, (-1, axis)) if x1.ndim and x2.ndim else rules.promoted(x1, x2)


@op(rule=lambda x1, x2: _last_with(x1, x2, -2 if x2.ndim > 1 else -1))
def dot(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum of products over the last axis of x1 and the last but one of x2 (the only one of a vector).

    With a scalar it is the product. Unlike `matmul` it does not pair the other axes: it keeps them all.

    Raises:
        ValueError: The two sizes differ.

    >>> ops.dot([1, 2], [3, 4])
    Tensor(11, dtype=int32)
    """
    if not len(x1.shape) or not len(x2.shape):
        return ops.multiply(x1, x2)
    return tensordot(x1, x2, (-1, -2 if len(x2.shape) > 1 else -1))


@op(rule=lambda x1, x2: _last_with(x1, x2, -1))
def inner(x1: Tensor, x2: Tensor) -> Tensor:
    """The sum of products over the last axis of both; with a scalar it is the product.

    Raises:
        ValueError: The last axes differ in size.

    >>> ops.inner([[1, 2], [3, 4]], [1, 1])
    Tensor([3, 7], dtype=int32)
    """
    if not len(x1.shape) or not len(x2.shape):
        return ops.multiply(x1, x2)
    return tensordot(x1, x2, (-1, -1))


def _vdot(x1: Spec, x2: Spec) -> Plan:
    size1, size2 = rules.size_of(x1.shape), rules.size_of(x2.shape)
    if size1 != size2 and None not in (size1, size2):
        raise ValueError(f"shapes {x1.shape} and {x2.shape} have {size1} and {size2} elements.")
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    return Plan((), dtype, cast=dtype)


@op(rule=_vdot)
def vdot(x1: Tensor, x2: Tensor) -> Tensor:
    """The dot product of the flattened operands; the complex conjugate of x1 is taken.

    Raises:
        ValueError: The numbers of elements differ.

    >>> ops.vdot([[1, 2]], [[3], [4]])
    Tensor(11, dtype=int32)
    """
    return tensordot(ops.conj(ops.reshape(x1, (-1,))), ops.reshape(x2, (-1,)), 1)


def _outer(x1: Spec, x2: Spec) -> Plan:
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    return Plan((rules.size_of(x1.shape), rules.size_of(x2.shape)), dtype, cast=dtype)


@op(rule=_outer)
def outer(x1: Tensor, x2: Tensor) -> Tensor:
    """The products of every element of x1 (rows) with every one of x2 (columns), both flattened.

    >>> ops.outer([1, 2], [3, 4])
    Tensor([[3, 4],
           [6, 8]], dtype=int32)
    """
    return ops.reshape(x1, (-1, 1)) * ops.reshape(x2, (1, -1))


def _kron(x1: Spec, x2: Spec) -> Plan:
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    a, b = _same_ndim(x1.shape, x2.shape)
    return Plan(tuple(None if None in (m, n) else m * n for m, n in zip(a, b, strict=True)), dtype, cast=dtype)


def _same_ndim(a: Shape, b: Shape) -> tuple[Shape, Shape]:
    ndim = max(len(a), len(b))
    return (1,) * (ndim - len(a)) + tuple(a), (1,) * (ndim - len(b)) + tuple(b)


@op(rule=_kron)
def kron(x1: Tensor, x2: Tensor) -> Tensor:
    """The Kronecker product: each element of x1 is replaced by itself times x2.

    Operands of fewer dimensions get axes of size 1 in front.

    >>> ops.kron([1, 10], [1, 2])
    Tensor([ 1,  2, 10, 20], dtype=int32)
    """
    a, b = _same_ndim(x1.shape, x2.shape)
    blocks = ops.reshape(x1, [d for m in a for d in (m, 1)]) * ops.reshape(x2, [d for n in b for d in (1, n)])
    return ops.reshape(blocks, [m * n for m, n in zip(a, b, strict=True)])


def _crossed(x1: Spec, x2: Spec, axisa: int, axisb: int, axisc: int, axis: int | None) -> Plan:
    if axis is not None:
        axisa = axisb = axisc = axis
    a = rules.normalize_axis(axisa, x1.ndim, x1.shape, "axisa" if axis is None else "axis")
    b = rules.normalize_axis(axisb, x2.ndim, x2.shape, "axisb" if axis is None else "axis")
    sizes = (x1.shape[a], x2.shape[b])
    if not set(sizes) <= {2, 3}:
        raise ValueError(
            f"vectors should have 2 or 3 components; shapes {x1.shape} and {x2.shape} have {sizes[0]} and {sizes[1]}."
        )
    rest = rules.broadcast(x1.shape[:a] + x1.shape[a + 1 :], x2.shape[:b] + x2.shape[b + 1 :])
    dtype = dtypes.promote(x1.dtype, x2.dtype)
    dtype = "int32" if dtype == "bool" else dtype
    if sizes == (2, 2):
        return Plan(rest, dtype, cast=dtype, axisa=a, axisb=b, axisc=None, axis=None)
    c = rules.normalize_axis(axisc, len(rest) + 1, None, "axisc" if axis is None else "axis")
    return Plan(rest[:c] + (3,) + rest[c:], dtype, cast=dtype, axisa=a, axisb=b, axisc=c, axis=None)


@op(rule=_crossed)
def cross(x1: Tensor, x2: Tensor, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Tensor:
    """The cross product of vectors of 2 or 3 components; a third one that is missing counts as 0.

    Args:
        x1, x2: The other axes broadcast.
        axisa, axisb: Where the components of x1 and x2 are.
        axisc: Where they are in the result; two vectors of 2 components give their third component alone.
        axis: Stands for all three.

    Raises:
        ValueError: A vector has not 2 or 3 components, or an axis is out of range.

    >>> ops.cross([1, 0, 0], [0, 1, 0])
    Tensor([0, 0, 1], dtype=int32)
    """
    a, b = ops.unstack(x1, axis=axisa), ops.unstack(x2, axis=axisb)
    third = a[0] * b[1] - a[1] * b[0]
    if axisc is None:
        return third
    zero = ops.cast(0, dtypes.name_of(x1.dtype))
    a, b = ([*v, zero][:3] for v in (a, b))
    first, second = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2]
    return ops.stack([first, second, third], axisc)


# -- norms ------------------------------------------------------------------------------

_MATRIX_ORDERS = (None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


def _norm(x: Spec, ord: Any, axis: Axes, keepdims: bool) -> Plan:
    if axis is None:
        axes: tuple[int, ...] = tuple(range(x.ndim))
        if ord is not None and x.ndim not in (1, 2):
            raise ValueError(f"ord={ord!r} is of vectors and matrices; name the axis of x of shape {x.shape}.")
    else:
        many = axis if isinstance(axis, (tuple, list)) else (axis,)
        axes = tuple(rules.normalize_axis(a, x.ndim, x.shape) for a in many)  # in their order: rows, columns
        if len(axes) not in (1, 2) or len(set(axes)) < len(axes):
            raise ValueError(f"axis={axis!r} should be one axis, for vectors, or two, for matrices.")
    if len(axes) == 2 and (axis is not None or ord is not None):
        rules.one_of(ord, _MATRIX_ORDERS, "ord")
    elif not (ord is None or (isinstance(ord, (int, float)) and not isinstance(ord, bool))):
        raise ValueError(f"ord={ord!r} should be None or a number for vectors.")
    dtype = dtypes.float_of(x.dtype)
    return Plan(rules.fold(x.shape, axes, keepdims), dtypes.real_of(dtype), cast=dtype, axis=axes)


@op(rule=_norm)
def norm(x: Tensor, ord: Any = None, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The norm of vectors or matrices.

    Args:
        x: Any shape. Integers are taken as the default float.
        ord: For vectors: None or 2, the Euclidean norm; inf and -inf, the greatest and least |x|; 0, how many are not
            0; another p, sum(|x|**p)**(1/p). For matrices: None or "fro", Frobenius'; "nuc", the sum of the
            singular values; 2 and -2, the greatest and least of them; 1 and -1, the greatest and least
            column sum of |x|; inf and -inf, those of rows.
        axis: One axis for vectors, two for matrices (rows, columns). None takes all of x: a vector or a
            matrix, or, for ord=None, whatever it is, flattened.
        keepdims: Keep the folded axes with size 1.

    Returns:
        A real float; nan where x holds nan, but for ord=0, which counts it. Where a norm is 0, so is its gradient.

    Raises:
        ValueError: `ord` does not fit, or an axis is out of range.

    >>> ops.norm([[3.0, 4.0], [0.0, 1.0]], axis=-1)
    Tensor([5., 1.], dtype=float32)
    """
    dtype = real_dtype(x)
    x = wide(x)
    if len(axis) == 1:
        y = vector_norm(x, 2 if ord is None else ord, axis, keepdims)
    elif ord in (None, "fro"):
        y = vector_norm(x, 2, axis, keepdims)
    elif ord in ("nuc", 2, -2):
        y = _singular_norm(x, ord, axis, keepdims)
    else:
        summed, picked = (axis[0], axis[1]) if abs(ord) == 1 else (axis[1], axis[0])
        fold = ops.max if ord > 0 else ops.min
        y = fold(ops.sum(ops.absolute(x), summed, keepdims=True), picked, keepdims=True)
        y = y if keepdims else ops.squeeze(y, axis)
    return ops.cast(y, dtype)


def _singular_norm(x: Tensor, order: Any, axis: tuple[int, int], keepdims: bool) -> Tensor:
    values = ops.svd(ops.moveaxis(x, axis, (-2, -1)), compute_uv=False)
    y = ops.sum(values, -1) if order == "nuc" else ops.max(values, -1) if order == 2 else ops.min(values, -1)
    return ops.expand_dims(y, sorted(axis)) if keepdims else y
