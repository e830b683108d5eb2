# Changes of layout. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_swap_axes "kcore::call::swap_axes"(cbool, index, index, index, void*, void*, int)


def swap_axes(cnp.ndarray x not None, int threads=1):
    """y[n, j, i] = x[n, i, j]."""
    check(x, 3, cnp.PyArray_TYPE(x))
    cdef index n = x.shape[0], rows = x.shape[1], cols = x.shape[2]
    cdef cnp.ndarray y = empty((n, cols, rows), x)
    threads = team(threads)
    with nogil:
        c_swap_axes(single(x), n, rows, cols, data(x), data(y), threads)
    return y
