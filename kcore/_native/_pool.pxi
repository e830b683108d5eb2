# Pooling. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore" nogil:
    cdef struct Pool:
        index n, h, w, c, kh, kw, sh, sw, pt, pl, oh, ow

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void max_pool(cbool, Pool, void*, void*, void*, int, int)
    void max_pool_grad(cbool, Pool, void*, void*, int, void*, int)
    void avg_pool(cbool, Pool, void*, void*, cbool, int)
    void avg_pool_grad(cbool, Pool, void*, void*, cbool, int)


cdef Pool pool_spec(tuple x_shape, size, strides, pads) except *:
    cdef Pool s
    cdef index bottom, right
    s.n, s.h, s.w, s.c = x_shape
    s.kh, s.kw = size
    s.sh, s.sw = strides
    (s.pt, bottom), (s.pl, right) = pads
    if min(x_shape) < 0 or min(s.kh, s.kw, s.sh, s.sw) < 1:
        raise ValueError("sizes and strides must be positive.")
    if min(s.pt, bottom, s.pl, right) < 0 or max(s.pt, bottom) >= s.kh or max(s.pl, right) >= s.kw:
        raise ValueError(f"padding {pads} must not be negative, and smaller than the window {size}.")
    s.oh = out_size(s.h, s.pt, bottom, s.kh, s.sh)
    s.ow = out_size(s.w, s.pl, right, s.kw, s.sw)
    return s


cdef int code_type(Pool s) noexcept:
    return cnp.NPY_UINT8 if s.kh * s.kw <= 256 else cnp.NPY_UINT16 if s.kh * s.kw <= 65536 else cnp.NPY_INT32


def max_pool2d(cnp.ndarray x not None, size, strides, pads, int threads=1):
    """The largest element of each window, and its place row * kw + column in the window.

    Padding never wins; the first of equal elements does, and the first nan if there is one. The
    places are uint8 for windows of up to 256 elements, then uint16, then int32.
    """
    check(x, 4, cnp.PyArray_TYPE(x))
    cdef Pool s = pool_spec((<object>x).shape, size, strides, pads)
    cdef cnp.ndarray y = empty((s.n, s.oh, s.ow, s.c), x)
    cdef cnp.ndarray argmax = cnp.PyArray_EMPTY(4, cnp.PyArray_DIMS(y), code_type(s), 0)
    cdef int code_bytes = cnp.PyArray_ITEMSIZE(argmax)
    threads = team(threads)
    if y.size:
        with nogil:
            max_pool(single(x), s, data(x), data(y), data(argmax), code_bytes, threads)
    return y, argmax


def max_pool2d_grad(cnp.ndarray g not None, cnp.ndarray argmax not None, tuple x_shape, size, strides, pads,
                    int threads=1):
    """The gradient of sum(g * max_pool2d(x)) by x: each g goes to the place that `argmax` names."""
    check(g, 4, cnp.PyArray_TYPE(g))
    cdef Pool s = pool_spec(x_shape, size, strides, pads)
    same_shape(g, (s.n, s.oh, s.ow, s.c))
    same_shape(argmax, (s.n, s.oh, s.ow, s.c))
    if cnp.PyArray_TYPE(argmax) != code_type(s) or not cnp.PyArray_ISCARRAY_RO(argmax):
        raise TypeError("expected argmax as max_pool2d gives it.")
    cdef cnp.ndarray dx = empty(x_shape, g)
    cdef int code_bytes = cnp.PyArray_ITEMSIZE(argmax)
    threads = team(threads)
    if dx.size:
        with nogil:
            max_pool_grad(single(g), s, data(g), data(argmax), code_bytes, data(dx), threads)
    return dx


def avg_pool2d(cnp.ndarray x not None, size, strides, pads, bint count_pads=False, int threads=1):
    """The mean of each window: over what lies inside the input, or with `count_pads` over kh * kw."""
    check(x, 4, cnp.PyArray_TYPE(x))
    cdef Pool s = pool_spec((<object>x).shape, size, strides, pads)
    cdef cnp.ndarray y = empty((s.n, s.oh, s.ow, s.c), x)
    threads = team(threads)
    if y.size:
        with nogil:
            avg_pool(single(x), s, data(x), data(y), count_pads, threads)
    return y


def avg_pool2d_grad(cnp.ndarray g not None, tuple x_shape, size, strides, pads, bint count_pads=False, int threads=1):
    """The gradient of sum(g * avg_pool2d(x)) by x."""
    check(g, 4, cnp.PyArray_TYPE(g))
    cdef Pool s = pool_spec(x_shape, size, strides, pads)
    same_shape(g, (s.n, s.oh, s.ow, s.c))
    cdef cnp.ndarray dx = empty(x_shape, g)
    threads = team(threads)
    if dx.size:
        with nogil:
            avg_pool_grad(single(g), s, data(g), data(dx), count_pads, threads)
    return dx
