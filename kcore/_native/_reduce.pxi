# Reductions of the middle axis of x[outer, fold, inner]. Included in _kernels.pyx, whose helpers it uses.
#
# x is C-contiguous and of any shape with that many elements, none of the sizes is 0; results are [outer, inner].

cdef extern from "levels.h" namespace "kcore" nogil:
    const index longest_place_row

cdef extern from "levels.h" namespace "kcore::call" nogil:
    cbool c_sums "kcore::call::sums"(cbool, index, index, index, void*, cbool, double, void*, int)
    cbool c_peaks "kcore::call::peaks"(cbool, index, index, index, void*, cbool, void*, int)
    void c_peak_places "kcore::call::peak_places"(cbool, index, index, index, void*, cbool, int32_t*, int)
    cbool c_top "kcore::call::top"(cbool, index, index, index, void*, void*, int32_t*, int)
    cbool c_moments "kcore::call::moments"(cbool, index, index, index, void*, void*, void*, int)
    cbool c_logsumexps "kcore::call::logsumexps"(cbool, index, index, index, void*, void*, int)
    cbool c_products "kcore::call::products"(cbool, index, index, index, void*, void*, int)
    cbool c_running "kcore::call::running"(cbool, index, index, index, void*, cbool, void*, int)


cdef int check_fold(cnp.ndarray x, index outer, index fold, index inner) except -1:
    check_flat(x, cnp.PyArray_TYPE(x), outer * fold * inner, False)
    if outer < 1 or fold < 1 or inner < 1:
        raise ValueError(f"expected sizes of at least 1, got {outer}, {fold} and {inner}.")
    return 0


cdef cnp.ndarray folded(index outer, index inner, int kind):
    cdef cnp.npy_intp dims[2]
    dims[0], dims[1] = outer, inner
    return allocated(2, dims, kind)


def sums(cnp.ndarray x not None, index outer, index fold, index inner, bint squares=False, double divisor=1.0,
         int threads=1):
    """sum(x) / divisor, or that of x**2. Floats add up at most 64 in a chain, then in double."""
    check_fold(x, outer, fold, inner)
    cdef cnp.ndarray y = folded(outer, inner, cnp.PyArray_TYPE(x))
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_sums(single(x), outer, fold, inner, data(x), squares, divisor, data(y), threads)
    finished(ok)
    return y


def peaks(cnp.ndarray x not None, index outer, index fold, index inner, bint least=False, int threads=1):
    """max(x), or min(x); nan where there is one."""
    check_fold(x, outer, fold, inner)
    cdef cnp.ndarray y = folded(outer, inner, cnp.PyArray_TYPE(x))
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_peaks(single(x), outer, fold, inner, data(x), least, data(y), threads)
    finished(ok)
    return y


def peak_places(cnp.ndarray x not None, index outer, index fold, index inner, bint least=False, int threads=1):
    """argmax(x), or argmin(x), as int32: the first of several, or of those that are nan. Rows, with inner = 1, have at most 64 elements."""
    check_fold(x, outer, fold, inner)
    if fold > (2147483647 if inner > 1 else longest_place_row):
        raise ValueError(f"expected a shorter axis, got {fold}.")
    cdef cnp.npy_intp dims[2]
    dims[0], dims[1] = outer, inner
    cdef cnp.ndarray y = cnp.PyArray_EMPTY(2, dims, cnp.NPY_INT32, 0)
    threads = team(threads)
    with nogil:
        c_peak_places(single(x), outer, fold, inner, data(x), least, <int32_t*>data(y), threads)
    return y


def top(cnp.ndarray x not None, index k, int threads=1):
    """(values, places) of the k greatest of each row of x[r, c], in order; nan first, and of equal ones the first."""
    check(x, 2, cnp.PyArray_TYPE(x))
    cdef index rows = x.shape[0], cols = x.shape[1]
    if not 1 <= k <= cols <= 2147483647:
        raise ValueError(f"expected 1 <= k <= {cols}, got {k}.")
    cdef cnp.ndarray values = folded(rows, k, cnp.PyArray_TYPE(x))
    cdef cnp.ndarray places = cnp.PyArray_EMPTY(2, cnp.PyArray_DIMS(values), cnp.NPY_INT32, 0)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_top(single(x), rows, cols, k, data(x), data(values), <int32_t*>data(places), threads)
    finished(ok)
    return values, places


def moments(cnp.ndarray x not None, index outer, index fold, index inner, int threads=1):
    """(mean, variance); the variance is that of the elements, not an estimate, by squares about means of blocks."""
    check_fold(x, outer, fold, inner)
    cdef int kind = cnp.PyArray_TYPE(x)
    cdef cnp.ndarray mean = folded(outer, inner, kind), variance = folded(outer, inner, kind)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_moments(single(x), outer, fold, inner, data(x), data(mean), data(variance), threads)
    finished(ok)
    return mean, variance


def logsumexps(cnp.ndarray x not None, index outer, index fold, index inner, int threads=1):
    """log(sum(exp(x))), without overflow."""
    check_fold(x, outer, fold, inner)
    cdef cnp.ndarray y = folded(outer, inner, cnp.PyArray_TYPE(x))
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_logsumexps(single(x), outer, fold, inner, data(x), data(y), threads)
    finished(ok)
    return y


def products(cnp.ndarray x not None, index outer, index fold, index inner, int threads=1):
    """prod(x), multiplied in double."""
    check_fold(x, outer, fold, inner)
    cdef cnp.ndarray y = folded(outer, inner, cnp.PyArray_TYPE(x))
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_products(single(x), outer, fold, inner, data(x), data(y), threads)
    finished(ok)
    return y


def running(cnp.ndarray x not None, index outer, index fold, index inner, bint products=False, int threads=1):
    """cumsum(x), or cumprod(x), along the middle axis, of x's shape, in double."""
    check_fold(x, outer, fold, inner)
    cdef cnp.ndarray y = empty_like(x)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_running(single(x), outer, fold, inner, data(x), products, data(y), threads)
    finished(ok)
    return y
