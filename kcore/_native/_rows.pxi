# Rows of a matrix. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void softmax(cbool, index, index, void*, void*, int)
    void softmax_grad(cbool, index, index, void*, void*, void*, int)
    void log_softmax(cbool, index, index, void*, void*, int)
    void log_softmax_grad(cbool, index, index, void*, void*, void*, int)
    void c_end_rows "kcore::call::end_rows"(cbool, index, index, c_Ending, void*, void*, int)


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


def end_rows(cnp.ndarray x not None, Ending ending not None, int threads=1, cnp.ndarray out=None):
    """x[..., c] ended as `ending` says; into `out` if given, which may be x itself."""
    cdef int kind = cnp.PyArray_TYPE(x)
    cdef index cols = x.shape[cnp.PyArray_NDIM(x) - 1], size = cnp.PyArray_SIZE(x)
    check_flat(x, kind, size, False)
    if out is None:
        out = empty_like(x)
    else:
        same_shape(out, (<object>x).shape)
        check_flat(out, kind, size, True)
    cdef c_Ending ends = ending.of(x)
    cdef index rows = size // cols if cols else 0
    threads = team(threads)
    with nogil:
        c_end_rows(single(x), rows, cols, ends, data(x), data(out), threads)
    return out
