# Normalization of rows and columns of a matrix. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_normalize_rows "kcore::call::normalize_rows"(cbool, index, index, void*, void*, void*, double, void*,
        void*, void*, int)
    cbool c_normalize_rows_grad "kcore::call::normalize_rows_grad"(cbool, index, index, void*, void*, void*,
        void*, void*, void*, void*, void*, int)
    cbool c_column_dots "kcore::call::column_dots"(cbool, index, index, void*, void*, void*, double*, double*,
        int)
    void c_column_affine_grad "kcore::call::column_affine_grad"(cbool, index, index, void*, void*, void*, void*,
        void*, void*, void*, int)


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
        dbeta = sums(g, 1, rows, cols, threads=threads).reshape(cols)
    return dx, dgamma, dbeta


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
