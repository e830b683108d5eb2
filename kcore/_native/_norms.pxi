# Normalization of rows and columns of a matrix. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_normalize_rows "kcore::call::normalize_rows"(cbool, index, index, void*, void*, void*, double, void*,
        void*, void*, int)
    cbool c_normalize_rows_grad "kcore::call::normalize_rows_grad"(cbool, index, index, void*, void*, void*,
        void*, void*, void*, void*, void*, int)
    cbool c_normalize_columns "kcore::call::normalize_columns"(cbool, index, index, index, index, void*, void*,
        void*, double, void*, void*, void*, int)
    cbool c_normalize_columns_grad "kcore::call::normalize_columns_grad"(cbool, index, index, index, index, void*,
        void*, void*, void*, void*, void*, void*, double, void*, void*, void*, int)


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


cdef int check_groups(index cols, index groups) except -1:
    if groups < 1 or cols % groups:
        raise ValueError(f"expected groups that divide {cols} columns, got {groups}.")
    return 0


cdef cnp.ndarray matrix(index rows, index cols, int kind):
    cdef cnp.npy_intp[2] dims = [rows, cols]
    return allocated(2, dims, kind)


def normalize_columns(cnp.ndarray x not None, cnp.ndarray gamma, cnp.ndarray beta, index groups, double epsilon,
                      int threads=1):
    """(y, mean, variance) for x[o, r, c]: y = (x - mean) / sqrt(variance + epsilon) * gamma + beta.

    mean[o, q] and variance[o, q] are those of the columns of group q, which are neighbours, in x[o].
    gamma[c] and beta[c] may be None.
    """
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 3, kind)
    cdef index outer = x.shape[0], rows = x.shape[1], cols = x.shape[2]
    check_groups(cols, groups)
    cdef void* gammas = columns_of(gamma, kind, cols)
    cdef void* betas = columns_of(beta, kind, cols)
    cdef cnp.ndarray y = empty_like(x), mean = matrix(outer, groups, kind), variance = matrix(outer, groups, kind)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_normalize_columns(single(x), outer, rows, cols, groups, data(x), gammas, betas, epsilon, data(y),
                                 data(mean), data(variance), threads)
    finished(ok)
    return y, mean, variance


def normalize_columns_grad(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray gamma,
                           cnp.ndarray mean not None, cnp.ndarray variance not None, cnp.ndarray g_mean,
                           cnp.ndarray g_variance, index groups, double epsilon, int threads=1):
    """The gradients of sum(g * y) + sum(g_mean * mean) + sum(g_variance * variance), with the results of
    `normalize_columns`, by x, gamma and beta. gamma, g_mean and g_variance may be None."""
    cdef int kind = cnp.PyArray_TYPE(g)
    check(g, 3, kind)
    check(x, 3, kind)
    same_shape(x, (<object>g).shape)
    cdef index outer = g.shape[0], rows = g.shape[1], cols = g.shape[2]
    check_groups(cols, groups)
    check_flat(mean, kind, outer * groups, False)
    check_flat(variance, kind, outer * groups, False)
    cdef void* gammas = columns_of(gamma, kind, cols)
    cdef void* g_means = columns_of(g_mean, kind, outer * groups)
    cdef void* g_variances = columns_of(g_variance, kind, outer * groups)
    cdef cnp.ndarray dx = empty_like(g), dgamma = vector(cols, kind), dbeta = vector(cols, kind)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_normalize_columns_grad(single(g), outer, rows, cols, groups, data(g), data(x), gammas, data(mean),
                                      data(variance), g_means, g_variances, epsilon, data(dx), data(dgamma),
                                      data(dbeta), threads)
    finished(ok)
    return dx, dgamma, dbeta
