# distutils: language = c++
"""Compiled kernels: float32 and float64 arrays and sizes in, arrays out.

Callers choose shapes, dtypes and `threads`. Arrays are C-contiguous, aligned and of one dtype;
anything else raises, so no call can reach outside its arrays, but the messages are for
developers. Images are x[n, h, w, c] and kernels w[kh, kw, c / groups, oc]; `strides` and
`dilation` are (rows, columns), `pads` is ((top, bottom), (left, right)). Inputs are only read
and results are new, unless a docstring says otherwise. The GIL is released, and the result has
the same bits whatever `threads` is.

Padding counts as zeros: nan and infinities in images come out as the sums have them, but a kernel
weight that is not finite may or may not turn the padding beside it into nan.
"""
cimport numpy as cnp
from libc.stdint cimport uint32_t
from libcpp cimport bool as cbool

import numpy as np

cnp.import_array()

ctypedef Py_ssize_t index


cdef extern from "api.h" namespace "kcore" nogil:
    cdef struct Conv:
        index n, h, w, c, kh, kw, oc, groups, sh, sw, pt, pl, dh, dw, oh, ow
    cdef struct Pool:
        index n, h, w, c, kh, kw, sh, sw, pt, pl, oh, ow
    cdef struct Draws:
        void (*words)(uint32_t, uint32_t, index, uint32_t*, int) noexcept nogil
        void (*bits)(uint32_t, uint32_t, index, uint32_t*, int) noexcept nogil
        void (*units)(uint32_t, uint32_t, index, float*, int) noexcept nogil
        void (*below)(uint32_t, uint32_t, index, uint32_t, unsigned char*, int) noexcept nogil
    cdef struct Level:
        const char* name
        cbool (*supported)() noexcept
        const Draws* draws
    const Level* levels
    const Level* active
    cbool has_openmp() noexcept
    const char** curve_names

cdef extern from "memory.h" namespace "kcore" nogil:
    struct PoolState:
        size_t kept, in_use, limit, reused, fresh
    size_t pooled_bytes
    void* take_block(size_t, size_t*) noexcept
    void give_block(void*, size_t) noexcept
    PoolState block_state() noexcept
    void limit_blocks(size_t) noexcept
    void free_blocks() noexcept

cdef extern from "calls.h" namespace "kcore::call" nogil:
    cbool conv(cbool, Conv, void*, void*, void*, int) noexcept
    cbool conv_input_grad(cbool, Conv, void*, void*, void*, int) noexcept
    cbool conv_weight_grad(cbool, Conv, void*, void*, void*, int) noexcept
    cbool depthwise(cbool, Conv, void*, void*, void*, int) noexcept
    cbool depthwise_input_grad(cbool, Conv, void*, void*, void*, int) noexcept
    cbool depthwise_weight_grad(cbool, Conv, void*, void*, void*, int) noexcept
    void max_pool(cbool, Pool, void*, void*, void*, int, int) noexcept
    void max_pool_grad(cbool, Pool, void*, void*, int, void*, int) noexcept
    void avg_pool(cbool, Pool, void*, void*, cbool, int) noexcept
    void avg_pool_grad(cbool, Pool, void*, void*, cbool, int) noexcept
    void softmax(cbool, index, index, void*, void*, int) noexcept
    void softmax_grad(cbool, index, index, void*, void*, void*, int) noexcept
    void log_softmax(cbool, index, index, void*, void*, int) noexcept
    void log_softmax_grad(cbool, index, index, void*, void*, void*, int) noexcept
    cbool c_column_sums "kcore::call::column_sums"(cbool, index, index, void*, void*, int) noexcept
    void bias_add(cbool, index, index, void*, void*, cbool, void*, int) noexcept
    void c_normalize_rows "kcore::call::normalize_rows"(cbool, index, index, void*, void*, void*, double, void*, void*,
                                                        void*, int) noexcept
    cbool c_normalize_rows_grad "kcore::call::normalize_rows_grad"(cbool, index, index, void*, void*, void*, void*, void*,
                                                                   void*, void*, void*, int) noexcept
    cbool c_column_moments "kcore::call::column_moments"(cbool, index, index, void*, void*, void*, int) noexcept
    void c_column_affine "kcore::call::column_affine"(cbool, index, index, void*, void*, void*, void*, void*, int) noexcept
    cbool c_column_dots "kcore::call::column_dots"(cbool, index, index, void*, void*, void*, double*, double*,
                                                   int) noexcept
    void c_column_affine_grad "kcore::call::column_affine_grad"(cbool, index, index, void*, void*, void*, void*, void*,
                                                                void*, void*, int) noexcept
    void c_sparse_crossentropy "kcore::call::sparse_crossentropy"(cbool, index, index, void*, void*, void*, int) noexcept
    void c_sparse_crossentropy_grad "kcore::call::sparse_crossentropy_grad"(cbool, index, index, void*, void*, void*,
                                                                            void*, int) noexcept
    void c_dense_crossentropy "kcore::call::dense_crossentropy"(cbool, index, index, void*, void*, void*, int) noexcept
    void c_dense_crossentropy_grad "kcore::call::dense_crossentropy_grad"(cbool, index, index, void*, void*, void*, void*,
                                                                          int) noexcept
    void c_take_rows "kcore::call::take_rows"(cbool, index, index, void*, index, void*, void*, int) noexcept
    void c_add_rows "kcore::call::add_rows"(cbool, index, index, void*, index, void*, void*, void*, int) noexcept
    void c_relu "kcore::call::relu"(cbool, index, void*, void*, int) noexcept
    void c_relu_grad "kcore::call::relu_grad"(cbool, index, void*, void*, void*, int) noexcept
    void c_curve "kcore::call::curve"(cbool, int, index, void*, void*, double, double, int) noexcept
    void c_curve_grad "kcore::call::curve_grad"(cbool, int, index, void*, void*, void*, double, double, int) noexcept
    void adam(cbool, index, void*, void*, void*, void*, double, double, double, double, double, int) noexcept
    void sgd(cbool, index, void*, void*, void*, double, double, cbool, int) noexcept


# SIMD levels

def simd_levels():
    """The levels of this build that this CPU can run, widest first."""
    names = []
    cdef const Level* level = levels
    while level.name != NULL:
        if level.supported():
            names.append(level.name.decode())
        level += 1
    return tuple(names)


def get_simd():
    """The level in use."""
    return active.name.decode()


def set_simd(str name not None):
    """Use the level `name` from now on; ValueError if this build or CPU has none of that name."""
    global active
    cdef const Level* level = levels
    cdef bytes wanted = name.encode()
    while level.name != NULL:
        if level.name == wanted and level.supported():
            active = level
            return
        level += 1
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


cdef cnp.ndarray allocated(int ndim, cnp.npy_intp* dims, int kind):
    """A new array, not filled."""
    cdef size_t bytes = 4 if kind == cnp.NPY_FLOAT32 else 8
    cdef int i
    for i in range(ndim):
        bytes *= dims[i]
    if bytes < pooled_bytes or (kind != cnp.NPY_FLOAT32 and kind != cnp.NPY_FLOAT64):
        return cnp.PyArray_EMPTY(ndim, dims, kind, 0)
    cdef Block block = Block.__new__(Block)
    block.base = take_block(bytes, &block.bytes)
    if block.base == NULL:
        raise MemoryError(f"no memory for a result of {bytes} bytes.")
    cdef cnp.ndarray array = cnp.PyArray_SimpleNewFromData(ndim, dims, kind, block.base)
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


def new_array(tuple shape not None, str dtype not None):
    """An array of float32 or float64, not filled, from the pool if it is large."""
    cdef cnp.npy_intp dims[32]
    cdef int i
    if len(shape) > 32 or (len(shape) and min(shape) < 0):
        raise ValueError(f"expected at most 32 sizes of at least 0, got {shape}.")
    if dtype not in ("float32", "float64"):
        raise TypeError(f"expected float32 or float64, got {dtype}.")
    for i in range(len(shape)):
        dims[i] = shape[i]
    return allocated(len(shape), dims, cnp.NPY_FLOAT32 if dtype == "float32" else cnp.NPY_FLOAT64)


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


# Convolution and pooling

include "_windows.pxi"


# Rows and columns of a matrix

def softmax_rows(cnp.ndarray x not None, int threads=1):
    """exp(x - max) / sum(exp(x - max)) for each row of x[r, c]; +inf, nan or only -inf give nan."""
    check(x, 2, cnp.PyArray_TYPE(x))
    cdef cnp.ndarray y = empty_like(x)
    cdef index rows = x.shape[0], cols = x.shape[1]
    threads = team(threads)
    with nogil:
        softmax(single(x), rows, cols, data(x), data(y), threads)
    return y


def softmax_rows_grad(cnp.ndarray g not None, cnp.ndarray y not None, int threads=1):
    """The gradient by x where y = softmax_rows(x): y * (g - sum(g * y))."""
    cdef int kind = cnp.PyArray_TYPE(g)
    check(g, 2, kind)
    check(y, 2, kind)
    same_shape(y, (<object>g).shape)
    cdef cnp.ndarray dx = empty_like(g)
    cdef index rows = g.shape[0], cols = g.shape[1]
    threads = team(threads)
    with nogil:
        softmax_grad(single(g), rows, cols, data(g), data(y), data(dx), threads)
    return dx


def log_softmax_rows(cnp.ndarray x not None, int threads=1):
    """x - max - log(sum(exp(x - max))) for each row of x[r, c]."""
    check(x, 2, cnp.PyArray_TYPE(x))
    cdef cnp.ndarray y = empty_like(x)
    cdef index rows = x.shape[0], cols = x.shape[1]
    threads = team(threads)
    with nogil:
        log_softmax(single(x), rows, cols, data(x), data(y), threads)
    return y


def log_softmax_rows_grad(cnp.ndarray g not None, cnp.ndarray y not None, int threads=1):
    """The gradient by x where y = log_softmax_rows(x): g - exp(y) * sum(g)."""
    cdef int kind = cnp.PyArray_TYPE(g)
    check(g, 2, kind)
    check(y, 2, kind)
    same_shape(y, (<object>g).shape)
    cdef cnp.ndarray dx = empty_like(g)
    cdef index rows = g.shape[0], cols = g.shape[1]
    threads = team(threads)
    with nogil:
        log_softmax_grad(single(g), rows, cols, data(g), data(y), data(dx), threads)
    return dx


def column_sums(cnp.ndarray x not None, int threads=1):
    """sum(x, axis=0) for x[r, c], summed blockwise with the blocks added in double."""
    check(x, 2, cnp.PyArray_TYPE(x))
    cdef index rows = x.shape[0], cols = x.shape[1]
    cdef cnp.ndarray out = allocated(1, cnp.PyArray_DIMS(x) + 1, cnp.PyArray_TYPE(x))
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_column_sums(single(x), rows, cols, data(x), data(out), threads)
    finished(ok)
    return out


def bias_add_relu(cnp.ndarray x not None, cnp.ndarray bias not None, bint relu=True, int threads=1,
                  cnp.ndarray out=None):
    """x[r, c] + bias[c], then relu if asked; into `out` if given, which may be x itself."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    check(bias, 1, kind)
    cdef index rows = x.shape[0], cols = x.shape[1]
    check_flat(bias, kind, cols, False)
    if out is None:
        out = empty_like(x)
    else:
        same_shape(out, (<object>x).shape)
        check_flat(out, kind, rows * cols, True)
    threads = team(threads)
    with nogil:
        bias_add(single(x), rows, cols, data(x), data(bias), relu, data(out), threads)
    return out


cdef cnp.ndarray vector(index size, int kind):
    cdef cnp.npy_intp length = size
    return allocated(1, &length, kind)


cdef void* columns_of(cnp.ndarray a, int kind, index cols) except? NULL:
    """The memory of an optional argument with an element for each column; null for None."""
    if a is None:
        return NULL
    check_flat(a, kind, cols, False)
    return data(a)


def normalize_rows(cnp.ndarray x not None, cnp.ndarray gamma, cnp.ndarray beta, double epsilon, bint centre,
                   int threads=1):
    """(y, mean, scale) for x[r, c]: y = (x - mean) * scale * gamma + beta, row by row.

    scale[r] is 1 / sqrt(mean((x[r] - mean[r])**2) + epsilon). Without `centre`, mean is None and
    counts as 0. gamma[c] and beta[c] may be None.
    """
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    cdef index rows = x.shape[0], cols = x.shape[1]
    cdef void* gammas = columns_of(gamma, kind, cols)
    cdef void* betas = columns_of(beta, kind, cols)
    cdef cnp.ndarray y = empty_like(x), scale = vector(rows, kind), mean = vector(rows, kind) if centre else None
    cdef void* means = data(mean) if centre else NULL
    threads = team(threads)
    with nogil:
        c_normalize_rows(single(x), rows, cols, data(x), gammas, betas, epsilon, data(y), means, data(scale), threads)
    return y, mean, scale


def normalize_rows_grad(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray gamma, cnp.ndarray mean,
                        cnp.ndarray scale not None, int threads=1):
    """The gradients of sum(g * y), with y of `normalize_rows`, by x, gamma and beta."""
    cdef int kind = cnp.PyArray_TYPE(g)
    check(g, 2, kind)
    check(x, 2, kind)
    same_shape(x, (<object>g).shape)
    cdef index rows = g.shape[0], cols = g.shape[1]
    cdef void* gammas = columns_of(gamma, kind, cols)
    cdef void* means = columns_of(mean, kind, rows)
    check_flat(scale, kind, rows, False)
    cdef cnp.ndarray dx = empty_like(g), dgamma = vector(cols, kind), dbeta = vector(cols, kind)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_normalize_rows_grad(single(g), rows, cols, data(g), data(x), gammas, means, data(scale), data(dx),
                                   data(dgamma), data(dbeta), threads)
    finished(ok)
    if mean is None:
        dbeta = column_sums(g, threads)
    return dx, dgamma, dbeta


def column_moments(cnp.ndarray x not None, int threads=1):
    """(mean, variance) of each column of x[r, c]; the variance is that of the rows, not an estimate."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    cdef index rows = x.shape[0], cols = x.shape[1]
    cdef cnp.ndarray mean = vector(cols, kind), variance = vector(cols, kind)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_column_moments(single(x), rows, cols, data(x), data(mean), data(variance), threads)
    finished(ok)
    return mean, variance


def column_affine(cnp.ndarray x not None, cnp.ndarray mean not None, cnp.ndarray factor not None, cnp.ndarray offset,
                  int threads=1):
    """(x[r, c] - mean[c]) * factor[c] + offset[c]; offset may be None."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    cdef index rows = x.shape[0], cols = x.shape[1]
    check_flat(mean, kind, cols, False)
    check_flat(factor, kind, cols, False)
    cdef void* offsets = columns_of(offset, kind, cols)
    cdef cnp.ndarray y = empty_like(x)
    threads = team(threads)
    with nogil:
        c_column_affine(single(x), rows, cols, data(x), data(mean), data(factor), offsets, data(y), threads)
    return y


def column_dots(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray mean not None, int threads=1):
    """The column sums of g[r, c] and of g * (x - mean[c]), as float64."""
    cdef int kind = cnp.PyArray_TYPE(g)
    check(g, 2, kind)
    check(x, 2, kind)
    same_shape(x, (<object>g).shape)
    cdef index rows = g.shape[0], cols = g.shape[1]
    check_flat(mean, kind, cols, False)
    cdef cnp.ndarray sums = vector(cols, cnp.NPY_FLOAT64), dots = vector(cols, cnp.NPY_FLOAT64)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_column_dots(single(g), rows, cols, data(g), data(x), data(mean), <double*>data(sums),
                           <double*>data(dots), threads)
    finished(ok)
    return sums, dots


def column_affine_grad(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray mean not None,
                       cnp.ndarray factor not None, cnp.ndarray slope not None, cnp.ndarray level not None,
                       int threads=1):
    """g[r, c] * factor[c] + (x[r, c] - mean[c]) * slope[c] + level[c]."""
    cdef int kind = cnp.PyArray_TYPE(g)
    check(g, 2, kind)
    check(x, 2, kind)
    same_shape(x, (<object>g).shape)
    cdef index rows = g.shape[0], cols = g.shape[1]
    for part in (mean, factor, slope, level):
        check_flat(part, kind, cols, False)
    cdef cnp.ndarray dx = empty_like(g)
    threads = team(threads)
    with nogil:
        c_column_affine_grad(single(g), rows, cols, data(g), data(x), data(mean), data(factor), data(slope),
                             data(level), data(dx), threads)
    return dx


# Crossentropies of logits x[r, c]

cdef int check_classes(cnp.ndarray target, index rows) except -1:
    if cnp.PyArray_TYPE(target) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(target):
        raise TypeError(f"expected C-contiguous int64 numbers, got {target.dtype}.")
    if cnp.PyArray_NDIM(target) != 1 or target.shape[0] != rows:
        raise ValueError(f"expected {rows} numbers, got shape {(<object>target).shape}.")
    return 0


def sparse_crossentropy_rows(cnp.ndarray x not None, cnp.ndarray target not None, int threads=1):
    """-log(softmax(x[r]))[target[r]] for each row; 0 where target[r] is no column."""
    check(x, 2, cnp.PyArray_TYPE(x))
    cdef index rows = x.shape[0], cols = x.shape[1]
    check_classes(target, rows)
    cdef cnp.ndarray loss = vector(rows, cnp.PyArray_TYPE(x))
    threads = team(threads)
    if cols == 0:
        loss.fill(0)
        return loss
    with nogil:
        c_sparse_crossentropy(single(x), rows, cols, data(x), data(target), data(loss), threads)
    return loss


def sparse_crossentropy_rows_grad(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray target not None,
                                  int threads=1):
    """The gradient of sum(g * sparse_crossentropy_rows(x, target)) by x."""
    check(x, 2, cnp.PyArray_TYPE(x))
    cdef index rows = x.shape[0], cols = x.shape[1]
    check_flat(g, cnp.PyArray_TYPE(x), rows, False)
    check_classes(target, rows)
    cdef cnp.ndarray dx = empty_like(x)
    threads = team(threads)
    if cols:
        with nogil:
            c_sparse_crossentropy_grad(single(x), rows, cols, data(g), data(x), data(target), data(dx), threads)
    return dx


def crossentropy_rows(cnp.ndarray x not None, cnp.ndarray target not None, int threads=1):
    """-sum(target[r] * log(softmax(x[r]))) for each row."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    check(target, 2, kind)
    same_shape(target, (<object>x).shape)
    cdef index rows = x.shape[0], cols = x.shape[1]
    cdef cnp.ndarray loss = vector(rows, kind)
    threads = team(threads)
    if cols == 0:
        loss.fill(0)
        return loss
    with nogil:
        c_dense_crossentropy(single(x), rows, cols, data(x), data(target), data(loss), threads)
    return loss


def crossentropy_rows_grad(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray target not None, int threads=1):
    """The gradient of sum(g * crossentropy_rows(x, target)) by x."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    check(target, 2, kind)
    same_shape(target, (<object>x).shape)
    cdef index rows = x.shape[0], cols = x.shape[1]
    check_flat(g, kind, rows, False)
    cdef cnp.ndarray dx = empty_like(x)
    threads = team(threads)
    if cols:
        with nogil:
            c_dense_crossentropy_grad(single(x), rows, cols, data(g), data(x), data(target), data(dx), threads)
    return dx


# Rows by number

def take_rows(cnp.ndarray x not None, cnp.ndarray at not None, int threads=1):
    """x[at[i]] for each i, with x[r, c] and int64 numbers, negative ones from the end; nan where there is no such row."""
    check(x, 2, cnp.PyArray_TYPE(x))
    cdef index rows = x.shape[0], cols = x.shape[1], count = at.size
    check_classes(at, count)
    cdef cnp.npy_intp dims[2]
    dims[0], dims[1] = count, cols
    cdef cnp.ndarray y = allocated(2, dims, cnp.PyArray_TYPE(x))
    threads = team(threads)
    with nogil:
        c_take_rows(single(x), rows, cols, data(x), count, data(at), data(y), threads)
    return y


def add_rows(cnp.ndarray base, index rows, cnp.ndarray at not None, cnp.ndarray updates not None, int threads=1):
    """base[rows, c], or zeros for None, with updates[i] added to row at[i], one after the other; where there is
    no such row, nothing."""
    cdef int kind = cnp.PyArray_TYPE(updates)
    check(updates, 2, kind)
    cdef index count = updates.shape[0], cols = updates.shape[1]
    check_classes(at, count)
    cdef void* start = NULL
    if rows < 0:
        raise ValueError(f"expected a number of rows of at least 0, got {rows}.")
    if base is not None:
        check(base, 2, kind)
        same_shape(base, (rows, cols))
        start = data(base)
    cdef cnp.npy_intp dims[2]
    dims[0], dims[1] = rows, cols
    cdef cnp.ndarray y = allocated(2, dims, kind)
    threads = team(threads)
    with nogil:
        c_add_rows(single(updates), rows, cols, start, count, data(at), data(updates), data(y), threads)
    return y


# Flat arrays

def relu(cnp.ndarray x not None, int threads=1):
    """max(x, 0) for x of any shape; nan stays, -0 becomes 0."""
    cdef index size = cnp.PyArray_SIZE(x)
    check_flat(x, cnp.PyArray_TYPE(x), size, False)
    cdef cnp.ndarray y = empty_like(x)
    threads = team(threads)
    with nogil:
        c_relu(single(x), size, data(x), data(y), threads)
    return y


def relu_grad(cnp.ndarray g not None, cnp.ndarray y not None, int threads=1):
    """g where y = relu(x) is positive or nan, else 0."""
    cdef int kind = cnp.PyArray_TYPE(g)
    cdef index size = cnp.PyArray_SIZE(g)
    check_flat(g, kind, size, False)
    check_flat(y, kind, size, False)
    cdef cnp.ndarray dx = empty_like(g)
    threads = team(threads)
    with nogil:
        c_relu_grad(single(g), size, data(g), data(y), data(dx), threads)
    return dx


cdef dict curve_numbers():
    cdef dict numbers = {}
    while curve_names[len(numbers)] != NULL:
        numbers[curve_names[len(numbers)].decode()] = len(numbers)
    return numbers


cdef dict _curve_numbers = curve_numbers()


def curves():
    """The names that `curve` and `curve_grad` take."""
    return tuple(_curve_numbers)


def curve(str name not None, cnp.ndarray x not None, double a=0, double b=0, int threads=1):
    """A function by name, element by element of x of any shape.

    elu is b * x above 0, else a * expm1(x); leaky_relu has slope `a` below 0. gelu_tanh is gelu with
    the tanh formula. The others are what their names say, and have no parameters.
    """
    cdef index size = cnp.PyArray_SIZE(x)
    cdef int which = _curve_numbers[name]
    check_flat(x, cnp.PyArray_TYPE(x), size, False)
    cdef cnp.ndarray y = empty_like(x)
    threads = team(threads)
    with nogil:
        c_curve(single(x), which, size, data(x), data(y), a, b, threads)
    return y


def curve_grad(str name not None, cnp.ndarray g not None, cnp.ndarray given not None, double a=0, double b=0,
               int threads=1):
    """g times the slope of `curve`; `given` is its result for tanh, sigmoid and exp, its x for the others."""
    cdef int kind = cnp.PyArray_TYPE(g)
    cdef index size = cnp.PyArray_SIZE(g)
    cdef int which = _curve_numbers[name]
    check_flat(g, kind, size, False)
    check_flat(given, kind, size, False)
    cdef cnp.ndarray dx = empty_like(g)
    threads = team(threads)
    with nogil:
        c_curve_grad(single(g), which, size, data(g), data(given), data(dx), a, b, threads)
    return dx


def adam_step(cnp.ndarray param not None, cnp.ndarray grad not None, cnp.ndarray m not None, cnp.ndarray v not None,
              double step_size, double beta1, double beta2, double epsilon, double weight_decay_factor=0.0,
              int threads=1):
    """One step of Adam, writing param, m and v in place; arrays of one size, any shape.

    m += (grad - m) * (1 - beta1); v += (grad**2 - v) * (1 - beta2);
    param -= param * weight_decay_factor, then param -= step_size * m / (sqrt(v) + epsilon).
    The caller folds the bias correction into `step_size`.
    """
    cdef int kind = cnp.PyArray_TYPE(param)
    cdef index size = cnp.PyArray_SIZE(param)
    check_flat(param, kind, size, True)
    check_flat(grad, kind, size, False)
    check_flat(m, kind, size, True)
    check_flat(v, kind, size, True)
    threads = team(threads)
    with nogil:
        adam(single(param), size, data(param), data(grad), data(m), data(v), step_size, beta1, beta2, epsilon,
             weight_decay_factor, threads)


def sgd_step(cnp.ndarray param not None, cnp.ndarray grad not None, cnp.ndarray momentum_buffer, double lr,
             double momentum=0.0, bint nesterov=False, int threads=1):
    """One step of SGD, writing param and the momentum buffer (or None) in place.

    Without a buffer param -= lr * grad. With one, buffer = momentum * buffer - lr * grad and
    param += buffer; nesterov adds momentum * buffer - lr * grad instead.
    """
    cdef int kind = cnp.PyArray_TYPE(param)
    cdef index size = cnp.PyArray_SIZE(param)
    cdef void* velocity = NULL
    check_flat(param, kind, size, True)
    check_flat(grad, kind, size, False)
    if momentum_buffer is not None:
        check_flat(momentum_buffer, kind, size, True)
        velocity = data(momentum_buffer)
    threads = team(threads)
    with nogil:
        sgd(single(param), size, data(param), data(grad), velocity, lr, momentum, nesterov, threads)


# random numbers

def draw_words(uint32_t k0, uint32_t k1, index size, int threads=1):
    """Threefry 2x32-20 of the counters 0 to size - 1 under the key (k0, k1): uint32[size, 2]."""
    cdef cnp.ndarray out = drawn((size, 2), size, "uint32")
    threads = team(threads)
    with nogil:
        active.draws.words(k0, k1, size, <uint32_t*>data(out), threads)
    return out


def draw_bits(uint32_t k0, uint32_t k1, index size, int threads=1):
    """The two words of each counter xored: uint32[size]."""
    cdef cnp.ndarray out = drawn(size, size, "uint32")
    threads = team(threads)
    with nogil:
        active.draws.bits(k0, k1, size, <uint32_t*>data(out), threads)
    return out


def draw_units(uint32_t k0, uint32_t k1, index size, int threads=1):
    """The upper 23 bits of `draw_bits`, as a fraction of 1: float32[size]."""
    cdef cnp.ndarray out = drawn(size, size, "float32")
    threads = team(threads)
    with nogil:
        active.draws.units(k0, k1, size, <float*>data(out), threads)
    return out


def draw_below(uint32_t k0, uint32_t k1, index size, uint32_t threshold, int threads=1):
    """Whether `draw_bits` is below the threshold: bool[size]."""
    cdef cnp.ndarray out = drawn(size, size, "bool")
    threads = team(threads)
    with nogil:
        active.draws.below(k0, k1, size, threshold, <unsigned char*>data(out), threads)
    return out


cdef cnp.ndarray drawn(object shape, index size, str dtype):
    if size < 0:
        raise ValueError(f"expected a size of at least 0, got {size}.")
    return np.empty(shape, dtype)
