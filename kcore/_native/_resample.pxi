# An axis resampled. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_banded "kcore::call::banded"(cbool, index, index, index, index, void*, const int32_t*, void*, index,
        void*, int)
    cbool c_banded_planes "kcore::call::banded_planes"(cbool, index, index, index, index, index, index, void*,
        const int32_t*, void*, index, const int32_t*, void*, index, void*, int)


cdef int check_band(cnp.ndarray spans, cnp.ndarray weights, int kind, index n) except -1:
    """Raises unless each row of the band lies within an axis of n elements."""
    check(weights, 2, kind)
    cdef index taps = weights.shape[1], i
    if cnp.PyArray_TYPE(spans) != cnp.NPY_INT32 or not cnp.PyArray_ISCARRAY_RO(spans):
        raise TypeError(f"expected C-contiguous int32 spans, got {spans.dtype}.")
    same_shape(spans, (weights.shape[0], 2))
    cdef const int32_t* span = <const int32_t*>data(spans)
    for i in range(<index>weights.shape[0]):
        if span[2 * i] < 0 or span[2 * i + 1] < 0 or span[2 * i + 1] > taps or span[2 * i] + span[2 * i + 1] > n:
            raise ValueError(f"row {i} has the span {spans[i].tolist()}, of {n} elements and {taps} weights.")
    return 0


def banded(cnp.ndarray x not None, index outer, index inner, cnp.ndarray spans not None, cnp.ndarray weights not None,
           int threads=1):
    """y[o, i, j] = sum over k of weights[i, k] * x[o, spans[i, 0] + k, j], with k < spans[i, 1], for x[outer, n, inner].

    spans is int32 [out, 2]; weights, [out, most], may have more columns than a row has of use.
    """
    cdef int kind = cnp.PyArray_TYPE(x)
    if outer < 1 or inner < 1 or x.size == 0 or x.size % (outer * inner):
        raise ValueError(f"expected sizes that x of shape {(<object>x).shape} has, got {outer} and {inner}.")
    cdef index n = x.size // (outer * inner)
    check_flat(x, kind, outer * n * inner, False)
    check_band(spans, weights, kind, n)
    cdef cnp.npy_intp dims[3]
    dims[0], dims[1], dims[2] = outer, weights.shape[0], inner
    cdef cnp.ndarray y = allocated(3, dims, kind)
    threads = team(threads)
    with nogil:
        c_banded(single(x), outer, n, dims[1], inner, data(x), <const int32_t*>data(spans), data(weights),
                 weights.shape[1], data(y), threads)
    return y


def banded_planes(cnp.ndarray x not None, index n, index m, index inner, cnp.ndarray spans not None,
                  cnp.ndarray weights not None, cnp.ndarray next_spans not None, cnp.ndarray next_weights not None,
                  int threads=1):
    """`banded` along the axis of n elements, and of what that gives along the next one, for x[outer, n, m, inner]."""
    cdef int kind = cnp.PyArray_TYPE(x)
    if min(n, m, inner) < 1 or x.size == 0 or x.size % (n * m * inner):
        raise ValueError(f"expected sizes that x of shape {(<object>x).shape} has, got {n}, {m} and {inner}.")
    cdef index outer = x.size // (n * m * inner)
    check_flat(x, kind, x.size, False)
    check_band(spans, weights, kind, n)
    check_band(next_spans, next_weights, kind, m)
    cdef cnp.npy_intp dims[4]
    dims[0], dims[1], dims[2], dims[3] = outer, weights.shape[0], next_weights.shape[0], inner
    cdef cnp.ndarray y = allocated(4, dims, kind)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_banded_planes(single(x), outer, n, m, dims[1], dims[2], inner, data(x), <const int32_t*>data(spans),
                             data(weights), weights.shape[1], <const int32_t*>data(next_spans), data(next_weights),
                             next_weights.shape[1], data(y), threads)
    finished(ok)
    return y
