# Pooling of x[n, d, h, w, c]. Included in _kernels.pyx, whose helpers it uses.
#
# `bounds` has an int64 array for each spatial axis: its rows, (start, stop), are the windows, before they are cut to x.
# Along an axis both ascend, and no window lies outside.

cdef extern from "levels.h" namespace "kcore" nogil:
    cdef struct Pool:
        index n, c
        index size[3]
        index out[3]
        index window[3]
        const int64_t* bounds[3]

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_max_pool "kcore::call::max_pool"(cbool, Pool, void*, void*, void*, int, int)
    cbool c_max_pool_grad "kcore::call::max_pool_grad"(cbool, Pool, void*, void*, int, void*, int)
    void c_avg_pool "kcore::call::avg_pool"(cbool, Pool, void*, void*, int)
    cbool c_avg_pool_grad "kcore::call::avg_pool_grad"(cbool, Pool, void*, void*, int)


cdef index largest_window(const int64_t* bounds, index count, index size) noexcept nogil:
    """The most elements in a window, or -1 where one is not as it should be."""
    cdef index i, largest = 0
    for i in range(count):
        if bounds[2 * i] >= size or bounds[2 * i + 1] <= max(bounds[2 * i], 0):
            return -1
        if i and (bounds[2 * i] < bounds[2 * i - 2] or bounds[2 * i + 1] < bounds[2 * i - 1]):
            return -1
        largest = max(largest, bounds[2 * i + 1] - bounds[2 * i])
    return largest


cdef Pool pool_spec(tuple x_shape, tuple bounds) except *:
    cdef Pool s
    cdef cnp.ndarray part
    cdef int i
    if len(x_shape) != 5 or min(x_shape) < 0 or len(bounds) != 3:
        raise ValueError(f"expected bounds for three axes, got {len(bounds)} for shape {x_shape}.")
    s.n, s.size[0], s.size[1], s.size[2], s.c = x_shape
    for i in range(3):
        part = bounds[i]
        if cnp.PyArray_TYPE(part) != cnp.NPY_INT64 or not cnp.PyArray_ISCARRAY_RO(part):
            raise TypeError(f"expected C-contiguous bounds in int64, got {part.dtype}.")
        if cnp.PyArray_NDIM(part) != 2 or part.shape[1] != 2:
            raise ValueError(f"expected (start, stop) of windows, got shape {(<object>part).shape}.")
        s.out[i] = part.shape[0]
        s.bounds[i] = <const int64_t*>data(part)
        s.window[i] = largest_window(s.bounds[i], s.out[i], s.size[i])
        if s.window[i] < 0:
            raise ValueError(f"windows should ascend and meet {s.size[i]} elements.")
    if <object>s.window[0] * s.window[1] * s.window[2] > 2147483647:
        raise ValueError("the windows are too large.")
    return s


cdef int place_type(Pool s) noexcept:
    cdef index elements = s.window[0] * s.window[1] * s.window[2]
    return cnp.NPY_UINT8 if elements <= 256 else cnp.NPY_UINT16 if elements <= 65536 else cnp.NPY_INT32


def max_pool(cnp.ndarray x not None, tuple bounds not None, bint places=True, int threads=1):
    """(y, places): the largest element of each window, and, or None, its place in it, row by row.

    The first of equal elements wins, and the first nan if there is one. Places are numbers in a box as large as the
    largest window: uint8 for up to 256 elements, then uint16, then int32.
    """
    check(x, 5, cnp.PyArray_TYPE(x))
    cdef Pool s = pool_spec((<object>x).shape, bounds)
    cdef cnp.ndarray y = empty((s.n, s.out[0], s.out[1], s.out[2], s.c), x), found = None
    if places:
        found = cnp.PyArray_EMPTY(5, cnp.PyArray_DIMS(y), place_type(s), 0)
    cdef void* codes = data_or_null(found)
    cdef int code_bytes = cnp.PyArray_ITEMSIZE(found) if places else 0
    threads = team(threads)
    if y.size:
        with nogil:
            c_max_pool(single(x), s, data(x), data(y), codes, code_bytes, threads)
    return y, found


def max_pool_grad(cnp.ndarray g not None, cnp.ndarray places not None, tuple x_shape not None, tuple bounds not None,
                  int threads=1):
    """The gradient of sum(g * max_pool(x)) by x: each g goes to the place that `places` names."""
    check(g, 5, cnp.PyArray_TYPE(g))
    cdef Pool s = pool_spec(x_shape, bounds)
    same_shape(g, (s.n, s.out[0], s.out[1], s.out[2], s.c))
    same_shape(places, (<object>g).shape)
    if cnp.PyArray_TYPE(places) != place_type(s) or not cnp.PyArray_ISCARRAY_RO(places):
        raise TypeError("expected places as max_pool gives them.")
    cdef cnp.ndarray dx = empty(x_shape, g)
    cdef int code_bytes = cnp.PyArray_ITEMSIZE(places)
    cdef bint ok = True
    threads = team(threads)
    if dx.size:
        with nogil:
            ok = c_max_pool_grad(single(g), s, data(g), data(places), code_bytes, data(dx), threads)
    finished(ok)
    return dx


def avg_pool(cnp.ndarray x not None, tuple bounds not None, int threads=1):
    """The mean of what each window has inside the input."""
    check(x, 5, cnp.PyArray_TYPE(x))
    cdef Pool s = pool_spec((<object>x).shape, bounds)
    cdef cnp.ndarray y = empty((s.n, s.out[0], s.out[1], s.out[2], s.c), x)
    threads = team(threads)
    if y.size:
        with nogil:
            c_avg_pool(single(x), s, data(x), data(y), threads)
    return y


def avg_pool_grad(cnp.ndarray g not None, tuple x_shape not None, tuple bounds not None, int threads=1):
    """The gradient of sum(g * avg_pool(x)) by x."""
    check(g, 5, cnp.PyArray_TYPE(g))
    cdef Pool s = pool_spec(x_shape, bounds)
    same_shape(g, (s.n, s.out[0], s.out[1], s.out[2], s.c))
    cdef cnp.ndarray dx = empty(x_shape, g)
    cdef bint ok = True
    threads = team(threads)
    if dx.size:
        with nogil:
            ok = c_avg_pool_grad(single(g), s, data(g), data(dx), threads)
    finished(ok)
    return dx
