# distutils: language = c++
"""Compiled kernels: float32 and float64 arrays and sizes in, arrays out.

Callers choose shapes, dtypes and `threads`. Arrays are C-contiguous, aligned and of one dtype;
anything else raises, so no call can reach outside its arrays, but the messages are for
developers. Images are x[n, h, w, c] and kernels w[kh, kw, c / groups, oc]; `strides` and
`dilation` are (rows, columns), `pads` is ((top, bottom), (left, right)). Volumes have one axis,
kernel size, stride, dilation and pair of pads more, in front of these. Inputs are only read
and results are new, unless a docstring says otherwise. The GIL is released, and the result has
the same bits whatever `threads` is.

Padding counts as zeros: nan and infinities in images come out as the sums have them, but a kernel
weight that is not finite may or may not turn the padding beside it into nan.
"""
cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libcpp cimport bool as cbool

import numpy as np

cnp.import_array()

ctypedef Py_ssize_t index


cdef extern from "levels.h" namespace "kcore" nogil:
    cdef struct Draws:
        void (*words)(uint32_t, uint32_t, index, uint32_t*, int) noexcept nogil
        void (*bits)(uint32_t, uint32_t, index, uint32_t*, int) noexcept nogil
        void (*units)(uint32_t, uint32_t, index, float*, int) noexcept nogil
        void (*below)(uint32_t, uint32_t, index, uint32_t, unsigned char*, int) noexcept nogil
    cdef struct Halves:
        void (*widen)(cbool, index, const uint16_t*, float*, int) noexcept nogil
        void (*narrow)(cbool, index, const float*, uint16_t*, int) noexcept nogil
    cdef struct Level:
        const char* name
        cbool (*supported)() noexcept
        const Draws* draws
        const Halves* halves
    const Level** levels
    const Level* active
    cbool has_openmp() noexcept

cdef extern from "api/ending.h" namespace "kcore" nogil:
    cdef struct c_Ending "kcore::Ending":
        const void* bias
        const void* mean
        const void* factor
        const void* offset
        const void* beside
        cbool low, high

cdef extern from "memory.h" namespace "kcore" nogil:
    struct PoolState:
        size_t kept, in_use, limit, reused, fresh
    size_t aligned_bytes
    void* take_block(size_t, size_t*) noexcept
    void give_block(void*, size_t) noexcept
    PoolState block_state() noexcept
    void limit_blocks(size_t) noexcept
    void free_blocks() noexcept


# SIMD levels

def simd_levels():
    """The levels of this build that this CPU can run, widest first."""
    names = []
    cdef int i = 0
    while levels[i] != NULL:
        if levels[i].supported():
            names.append(levels[i].name.decode())
        i += 1
    return tuple(names)


def get_simd():
    """The level in use."""
    return active.name.decode()


def set_simd(str name not None):
    """Use the level `name` from now on; ValueError if this build or CPU has none of that name."""
    global active
    cdef int i = 0
    cdef bytes wanted = name.encode()
    while levels[i] != NULL:
        if levels[i].name == wanted and levels[i].supported():
            active = levels[i]
            return
        i += 1
    raise ValueError(
        f"SIMD level {name!r} is not available on this CPU; expected one of {', '.join(simd_levels())}."
    )


def openmp():
    """Whether this build runs more than one thread."""
    return has_openmp()


# Arguments

cdef int check(cnp.ndarray a, int ndim, int kind) except -1:
    """Raises unless `a` is a plain array of `ndim` dimensions and dtype number `kind`."""
    if kind != cnp.NPY_FLOAT32 and kind != cnp.NPY_FLOAT64:
        raise TypeError(f"expected float32 or float64, got {a.dtype}.")
    if cnp.PyArray_TYPE(a) != kind:
        raise TypeError(f"expected arrays of one dtype, got {a.dtype} beside {np.dtype(cnp.PyArray_DescrFromType(kind))}.")
    if cnp.PyArray_NDIM(a) != ndim:
        raise ValueError(f"expected {ndim} dimensions, got shape {(<object>a).shape}.")
    if not cnp.PyArray_ISCARRAY_RO(a):
        raise ValueError("expected a C-contiguous, aligned array.")
    return 0


cdef int check_flat(cnp.ndarray a, int kind, index size, bint written) except -1:
    """The same for an array of any shape with `size` elements."""
    check(a, cnp.PyArray_NDIM(a), kind)
    if cnp.PyArray_SIZE(a) != size:
        raise ValueError(f"expected {size} elements, got shape {(<object>a).shape}.")
    if written and not cnp.PyArray_ISWRITEABLE(a):
        raise ValueError("expected a writable array.")
    return 0


cdef int same_shape(cnp.ndarray a, tuple shape) except -1:
    if (<object>a).shape != shape:
        raise ValueError(f"expected shape {shape}, got {(<object>a).shape}.")
    return 0


cdef inline bint single(cnp.ndarray a) noexcept nogil:
    return cnp.PyArray_TYPE(a) == cnp.NPY_FLOAT32


cdef inline void* data(cnp.ndarray a) noexcept nogil:
    return cnp.PyArray_DATA(a)


# Memory for results: large blocks are kept when their arrays die, for the next ones

cdef class Block:
    """Memory that goes back to the pool with the last array that uses it."""
    cdef void* base
    cdef size_t bytes

    def __dealloc__(self):
        give_block(self.base, self.bytes)


cdef cnp.ndarray allocated(int ndim, cnp.npy_intp* dims, int kind, type subtype=np.ndarray):
    """A new array, not filled; of a subtype if it is large."""
    cdef size_t bytes = 2 if kind == cnp.NPY_UINT16 else 4 if kind == cnp.NPY_FLOAT32 else 8
    cdef int i
    for i in range(ndim):
        bytes *= dims[i]
    if bytes < aligned_bytes or kind not in (cnp.NPY_UINT16, cnp.NPY_FLOAT32, cnp.NPY_FLOAT64):
        return cnp.PyArray_EMPTY(ndim, dims, kind, 0)
    cdef Block block = Block.__new__(Block)
    block.base = take_block(bytes, &block.bytes)
    if block.base == NULL:
        raise MemoryError(f"no memory for a result of {bytes} bytes.")
    cdef cnp.ndarray array = cnp.PyArray_New(subtype, ndim, dims, kind, NULL, block.base, 0, cnp.NPY_ARRAY_CARRAY, None)
    cnp.set_array_base(array, block)
    return array


cdef cnp.ndarray empty(tuple shape, cnp.ndarray like):
    cdef cnp.npy_intp dims[32]
    cdef int i
    for i in range(len(shape)):
        dims[i] = shape[i]
    return allocated(len(shape), dims, cnp.PyArray_TYPE(like))


cdef inline cnp.ndarray empty_like(cnp.ndarray a):
    return allocated(cnp.PyArray_NDIM(a), cnp.PyArray_DIMS(a), cnp.PyArray_TYPE(a))


def new_array(tuple shape not None, str dtype not None, type subtype=np.ndarray):
    """An array of float32 or float64, not filled; if it is large, from the pool, and of the subtype."""
    cdef cnp.npy_intp dims[32]
    cdef int i
    if len(shape) > 32 or (len(shape) and min(shape) < 0):
        raise ValueError(f"expected at most 32 sizes of at least 0, got {shape}.")
    if dtype not in ("float32", "float64"):
        raise TypeError(f"expected float32 or float64, got {dtype}.")
    for i in range(len(shape)):
        dims[i] = shape[i]
    return allocated(len(shape), dims, cnp.NPY_FLOAT32 if dtype == "float32" else cnp.NPY_FLOAT64, subtype)


def pool_state():
    """The pool in numbers: bytes kept for later, in use by arrays, and the most that is kept; blocks reused and fresh."""
    cdef PoolState state = block_state()
    return {
        "kept": state.kept,
        "in_use": state.in_use,
        "limit": state.limit,
        "reused": state.reused,
        "fresh": state.fresh,
    }


def set_pool_limit(size_t bytes):
    """Keep at most so many bytes that no array uses; 0 keeps none."""
    limit_blocks(bytes)


def release_pool():
    """Gives what no array uses back to the system."""
    free_blocks()


cdef inline int team(int threads) noexcept:
    return 1 if threads < 1 else 256 if threads > 256 else threads


cdef int finished(bint ok) except -1:
    if not ok:
        raise MemoryError("no working memory for a kernel.")
    return 0


cdef index out_size(index size, index before, index after, index span, index stride) noexcept:
    cdef index room = size + before + after - span
    return room // stride + 1 if room >= 0 else 0


cdef cnp.ndarray vector(index size, int kind):
    cdef cnp.npy_intp length = size
    return allocated(1, &length, kind)


cdef void* columns_of(cnp.ndarray a, int kind, index cols) except? NULL:
    """The memory of an optional argument with an element for each column; null for None."""
    if a is None:
        return NULL
    check_flat(a, kind, cols, False)
    return data(a)


cdef class Ending:
    """What becomes of finished sums v[..., column], in this order; None leaves a step out.

    v + bias; (v - mean) * factor + offset; v + beside, which has v's shape; relu or relu6 as `activation` has it.
    `spent` lets a kernel that can write the results over `beside`, and return that.
    """
    cdef tuple columns
    cdef object beside
    cdef bint low, high, spent

    def __init__(self, cnp.ndarray bias=None, cnp.ndarray mean=None, cnp.ndarray factor=None, cnp.ndarray offset=None,
                 cnp.ndarray beside=None, str activation="linear", bint spent=False):
        if activation not in ("linear", "relu", "relu6"):
            raise ValueError(f"expected 'linear', 'relu' or 'relu6', got {activation!r}.")
        if (mean is None) != (factor is None) or (factor is None and offset is not None):
            raise ValueError("mean and factor go together, and offset with them.")
        if spent and (beside is None or not cnp.PyArray_ISWRITEABLE(beside)):
            raise ValueError("only what lies beside sums, and can be written, can be spent.")
        self.columns, self.beside, self.spent = (bias, mean, factor, offset), beside, spent
        self.low, self.high = activation != "linear", activation == "relu6"

    cdef c_Ending of(self, cnp.ndarray y) except *:
        """The memory, for results like y."""
        cdef int kind = cnp.PyArray_TYPE(y)
        cdef index cols = y.shape[cnp.PyArray_NDIM(y) - 1]
        cdef c_Ending parts
        parts.bias = columns_of(self.columns[0], kind, cols)
        parts.mean = columns_of(self.columns[1], kind, cols)
        parts.factor = columns_of(self.columns[2], kind, cols)
        parts.offset = columns_of(self.columns[3], kind, cols)
        parts.beside = columns_of(self.beside, kind, cnp.PyArray_SIZE(y))
        parts.low, parts.high = self.low, self.high
        return parts


cdef Ending nothing = Ending()


cdef cnp.ndarray new_mask_bits(index size):
    """Room for a bit for each of so many elements."""
    return np.empty((size + 7) // 8, "uint8")


cdef int check_mask_bits(cnp.ndarray bits, index size) except -1:
    if cnp.PyArray_TYPE(bits) != cnp.NPY_UINT8 or not cnp.PyArray_IS_C_CONTIGUOUS(bits):
        raise TypeError(f"expected C-contiguous uint8, got {(<object>bits).dtype}.")
    if cnp.PyArray_SIZE(bits) != (size + 7) // 8:
        raise ValueError(f"expected bits for {size} elements, got {8 * cnp.PyArray_SIZE(bits)}.")
    return 0


cdef int check_classes(cnp.ndarray target, index rows) except -1:
    if cnp.PyArray_TYPE(target) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(target):
        raise TypeError(f"expected C-contiguous int64 numbers, got {target.dtype}.")
    if cnp.PyArray_NDIM(target) != 1 or target.shape[0] != rows:
        raise ValueError(f"expected {rows} numbers, got shape {(<object>target).shape}.")
    return 0


# The families, each beside the C++ file of its name

include "_attention.pxi"
include "_conv.pxi"
include "_product.pxi"
include "_crossentropy.pxi"
include "_curves.pxi"
include "_draw.pxi"
include "_gather.pxi"
include "_half.pxi"
include "_layout.pxi"
include "_norms.pxi"
include "_pool.pxi"
include "_recurrent.pxi"
include "_reduce.pxi"
include "_resample.pxi"
include "_rows.pxi"
include "_steps.pxi"
