# Crossentropies of logits x[r, c]. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_sparse_crossentropy "kcore::call::sparse_crossentropy"(cbool, index, index, void*, const int64_t*, void*,
        void*, void*, int)
    void c_sparse_crossentropy_grad "kcore::call::sparse_crossentropy_grad"(cbool, index, index, void*,
        const int64_t*, void*, void*, void*, int)
    void picked_crossentropy(cbool, index, index, void*, const int64_t*, void*, double, int)
    void picked_crossentropy_grad(cbool, index, index, void*, void*, const int64_t*, void*, double, int)
    void c_dense_crossentropy "kcore::call::dense_crossentropy"(cbool, index, index, void*, void*, void*, void*,
        void*, int)
    void c_dense_crossentropy_grad "kcore::call::dense_crossentropy_grad"(cbool, index, index, void*, void*,
        void*, void*, void*, void*, int)


def sparse_crossentropy_rows(cnp.ndarray x not None, cnp.ndarray target not None, bint kept=False, int threads=1):
    """(loss, exps, share): -log(softmax(x[r]))[target[r]] for each row, 0 where target[r] is no column.

    With `kept` also what the gradient takes, else None: softmax(x[r]) = exps[r] * share[r], of rows with a target.
    """
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    cdef index rows = x.shape[0], cols = x.shape[1]
    check_classes(target, rows)
    cdef cnp.ndarray loss = vector(rows, kind)
    cdef cnp.ndarray exps = empty_like(x) if kept else None, share = vector(rows, kind) if kept else None
    cdef void* exps_data = data_or_null(exps)
    cdef void* share_data = data_or_null(share)
    threads = team(threads)
    if cols == 0:
        loss.fill(0)
    else:
        with nogil:
            c_sparse_crossentropy(single(x), rows, cols, data(x), <const int64_t*>data(target), data(loss), exps_data,
                                  share_data, threads)
    return loss, exps, share


def sparse_crossentropy_rows_grad(cnp.ndarray g not None, cnp.ndarray target not None, cnp.ndarray exps not None,
                                  cnp.ndarray share not None, int threads=1):
    """The gradient of sum(g * loss), with the results of `sparse_crossentropy_rows`, by x."""
    cdef int kind = cnp.PyArray_TYPE(exps)
    check(exps, 2, kind)
    cdef index rows = exps.shape[0], cols = exps.shape[1]
    for part in (g, share):
        check_flat(part, kind, rows, False)
    check_classes(target, rows)
    cdef cnp.ndarray dx = empty_like(exps)
    threads = team(threads)
    if cols:
        with nogil:
            c_sparse_crossentropy_grad(single(exps), rows, cols, data(g), <const int64_t*>data(target), data(exps),
                                       data(share), data(dx), threads)
    return dx


def picked_crossentropy_rows(cnp.ndarray p not None, cnp.ndarray target not None, double epsilon, int threads=1):
    """-log(p[r] / sum(p[r]))[target[r]] for each row, the quotient clipped to epsilon from 0 and 1; 0 where target[r]
    is no column."""
    check(p, 2, cnp.PyArray_TYPE(p))
    cdef index rows = p.shape[0], cols = p.shape[1]
    check_classes(target, rows)
    cdef cnp.ndarray loss = vector(rows, cnp.PyArray_TYPE(p))
    threads = team(threads)
    if cols == 0:
        loss.fill(0)
        return loss
    with nogil:
        picked_crossentropy(single(p), rows, cols, data(p), <const int64_t*>data(target), data(loss), epsilon, threads)
    return loss


def picked_crossentropy_rows_grad(cnp.ndarray g not None, cnp.ndarray p not None, cnp.ndarray target not None,
                                  double epsilon, int threads=1):
    """The gradient of sum(g * picked_crossentropy_rows(p, target, epsilon)) by p; 0 where the quotient is clipped."""
    check(p, 2, cnp.PyArray_TYPE(p))
    cdef index rows = p.shape[0], cols = p.shape[1]
    check_flat(g, cnp.PyArray_TYPE(p), rows, False)
    check_classes(target, rows)
    cdef cnp.ndarray dp = empty_like(p)
    threads = team(threads)
    if cols:
        with nogil:
            picked_crossentropy_grad(single(p), rows, cols, data(g), data(p), <const int64_t*>data(target), data(dp),
                                     epsilon, threads)
    return dp


def crossentropy_rows(cnp.ndarray x not None, cnp.ndarray target not None, int threads=1):
    """(loss, peak, share): -sum(target[r] * log(softmax(x[r]))) for each row, and what the gradient takes,
    softmax(x[r]) = exp(x[r] - peak[r]) * share[r]."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    check(target, 2, kind)
    same_shape(target, (<object>x).shape)
    cdef index rows = x.shape[0], cols = x.shape[1]
    cdef cnp.ndarray loss = vector(rows, kind), peak = vector(rows, kind), share = vector(rows, kind)
    threads = team(threads)
    if cols == 0:
        for part in (loss, peak, share):
            part.fill(0)
    else:
        with nogil:
            c_dense_crossentropy(single(x), rows, cols, data(x), data(target), data(loss), data(peak), data(share),
                                 threads)
    return loss, peak, share


def crossentropy_rows_grad(cnp.ndarray g not None, cnp.ndarray x not None, cnp.ndarray target not None,
                           cnp.ndarray peak not None, cnp.ndarray share not None, int threads=1):
    """The gradient of sum(g * loss), with the results of `crossentropy_rows`, by x."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 2, kind)
    check(target, 2, kind)
    same_shape(target, (<object>x).shape)
    cdef index rows = x.shape[0], cols = x.shape[1]
    for part in (g, peak, share):
        check_flat(part, kind, rows, False)
    cdef cnp.ndarray dx = empty_like(x)
    threads = team(threads)
    if cols:
        with nogil:
            c_dense_crossentropy_grad(single(x), rows, cols, data(g), data(x), data(target), data(peak), data(share),
                                      data(dx), threads)
    return dx
