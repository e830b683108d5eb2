# An axis resampled. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_banded "kcore::call::banded"(cbool, index, index, index, index, void*, const int32_t*, void*, index,
        void*, int)


def banded(cnp.ndarray x not None, index outer, index inner, cnp.ndarray spans not None, cnp.ndarray weights not None,
           int threads=1):
    """y[o, i, j] = sum over k of weights[i, k] * x[o, spans[i, 0] + k, j], with k < spans[i, 1], for x[outer, n, inner].

    spans is int32 [out, 2]; weights, [out, most], may have more columns than a row has of use.
    """
    cdef int kind = cnp.PyArray_TYPE(x)
    check(weights, 2, kind)
    if outer < 1 or inner < 1 or x.size == 0 or x.size % (outer * inner):
        raise ValueError(f"expected sizes that x of shape {(<object>x).shape} has, got {outer} and {inner}.")
    cdef index n = x.size // (outer * inner), out = weights.shape[0], taps = weights.shape[1], i
    check_flat(x, kind, outer * n * inner, False)
    if cnp.PyArray_TYPE(spans) != cnp.NPY_INT32 or not cnp.PyArray_ISCARRAY_RO(spans):
        raise TypeError(f"expected C-contiguous int32 spans, got {spans.dtype}.")
    same_shape(spans, (out, 2))
    cdef const int32_t* span = <const int32_t*>data(spans)
    for i in range(out):
        if span[2 * i] < 0 or span[2 * i + 1] < 0 or span[2 * i + 1] > taps or span[2 * i] + span[2 * i + 1] > n:
            raise ValueError(f"row {i} has the span {spans[i].tolist()}, of {n} elements and {taps} weights.")
    cdef cnp.npy_intp dims[3]
    dims[0], dims[1], dims[2] = outer, out, inner
    cdef cnp.ndarray y = allocated(3, dims, kind)
    threads = team(threads)
    with nogil:
        c_banded(single(x), outer, n, out, inner, data(x), span, data(weights), taps, data(y), threads)
    return y
