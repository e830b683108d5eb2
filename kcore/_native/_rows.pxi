# Rows of a matrix. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void softmax(cbool, index, index, void*, void*, int)
    void softmax_grad(cbool, index, index, void*, void*, void*, int)
    void log_softmax(cbool, index, index, void*, void*, int)
    void log_softmax_grad(cbool, index, index, void*, void*, void*, int)
    void bias_add(cbool, index, index, void*, void*, cbool, void*, int)


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
