# Rows by number. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore" nogil:
    cdef enum Scatter:
        scatter_add, scatter_mul, scatter_max, scatter_min

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_take_rows "kcore::call::take_rows"(cbool, index, index, void*, index, const int64_t*, void*, int)
    void c_scatter_rows "kcore::call::scatter_rows"(cbool, index, index, void*, index, const int64_t*, cbool, void*, int,
        void*, int)


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
        c_take_rows(single(x), rows, cols, data(x), count, <const int64_t*>data(at), data(y), threads)
    return y


_SCATTERS = {"add": scatter_add, "mul": scatter_mul, "max": scatter_max, "min": scatter_min}


def scatter_rows(cnp.ndarray base, index rows, cnp.ndarray at not None, cnp.ndarray updates not None, str how="add",
                 int threads=1, bint from_end=True):
    """base[rows, c] with updates[i] joined to row at[i], one after the other; where there is no such row, nothing.

    `how` is "add", "mul", "max" or "min", where nan wins. Without a base, rows begin with 0, 1, -inf or inf.
    With `from_end`, negative numbers count from the end.
    """
    cdef int kind = cnp.PyArray_TYPE(updates)
    check(updates, 2, kind)
    cdef index count = updates.shape[0], cols = updates.shape[1]
    check_classes(at, count)
    cdef void* start = NULL
    cdef int code = _SCATTERS[how]
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
        c_scatter_rows(single(updates), rows, cols, start, count, <const int64_t*>data(at), from_end, data(updates),
                       code, data(y), threads)
    return y
