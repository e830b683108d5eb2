# Recurrent layers along whole sequences, time-major. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    cbool c_lstm "kcore::call::lstm"(
        cbool, index, index, index, index, void*, void*, void*, void*, void*, void*, unsigned char*, cbool, cbool,
        void*, void*, void*, int)
    cbool c_lstm_grad "kcore::call::lstm_grad"(
        cbool, index, index, index, void*, void*, unsigned char*, cbool, void*, void*, void*, void*, void*, void*, int)
    cbool c_gru "kcore::call::gru"(
        cbool, index, index, index, void*, void*, void*, void*, unsigned char*, cbool, cbool, cbool, void*, void*,
        void*, int)
    cbool c_gru_grad "kcore::call::gru_grad"(
        cbool, index, index, index, void*, void*, unsigned char*, cbool, cbool, void*, void*, void*, void*, void*,
        void*, void*, int)


cdef int check_sequence(cnp.ndarray gates, index many, cnp.ndarray recurrent, cnp.ndarray first) except -1:
    """Raises unless gates[t, b, many * u], recurrent[u, many * u] and a first state [b, u] fit."""
    cdef int kind = cnp.PyArray_TYPE(gates)
    check(gates, 3, kind)
    check(recurrent, 2, kind)
    check(first, 2, kind)
    cdef index batch = gates.shape[1], units = recurrent.shape[0]
    same_shape(recurrent, (units, many * units))
    same_shape(gates, (gates.shape[0], batch, many * units))
    same_shape(first, (batch, units))
    if units == 0:
        raise ValueError("expected at least one unit.")
    return 0


cdef unsigned char* mask_of(cnp.ndarray mask, index steps, index batch) except? NULL:
    """The memory of an optional bool mask[t, b]; null for None."""
    if mask is None:
        return NULL
    if cnp.PyArray_TYPE(mask) != cnp.NPY_BOOL or not cnp.PyArray_ISCARRAY_RO(mask):
        raise TypeError(f"expected a C-contiguous bool mask, got {mask.dtype}.")
    same_shape(mask, (steps, batch))
    return <unsigned char*>data(mask)


cdef cnp.ndarray carried(cnp.ndarray g, cnp.ndarray like):
    """A copy of the gradient of a last state, to be written."""
    check(g, 2, cnp.PyArray_TYPE(like))
    same_shape(g, (<object>like).shape)
    cdef cnp.ndarray copy = empty_like(g)
    copy[...] = g
    return copy


def lstm(cnp.ndarray gates, cnp.ndarray recurrent not None, cnp.ndarray bias, cnp.ndarray h0 not None,
         cnp.ndarray c0 not None, cnp.ndarray mask=None, bint reverse=False, bint keep=True, int threads=1,
         cnp.ndarray x=None, cnp.ndarray kernel=None):
    """(h[t, b, u], cells, gates): the states of an LSTM. Overwrites `gates`[t, b, 4 * u].

    `gates` comes with the inputs' part of the gates (in, forget, candidate, out), without `bias`[4 * u]
    (or None), and leaves with the gates. It is None where x[t, b, f] and kernel[f, 4 * u] are given: then the
    product with them is made on the way. Where the bool mask[t, b] is false the states stay. With `keep`, cells has
    all steps, and gates and cells are what `lstm_grad` takes; else cells has the last one alone, [b, u], and
    gates holds nothing of use.
    """
    cdef int kind = cnp.PyArray_TYPE(recurrent)
    cdef index steps = 0, batch = 0, units, features = 0
    cdef void* inputs = NULL
    cdef void* weights = NULL
    check(recurrent, 2, kind)
    units = recurrent.shape[0]
    if (x is None) != (kernel is None) or (x is None) == (gates is None):
        raise ValueError("expected either gates, or x and kernel.")
    if x is not None:
        check(x, 3, kind)
        check(kernel, 2, kind)
        steps, batch, features = x.shape[0], x.shape[1], x.shape[2]
        same_shape(kernel, (features, 4 * units))
        inputs, weights = data(x), data(kernel)
        gates = empty((steps if keep else 0, batch, 4 * units), x)
    check_sequence(gates, 4, recurrent, h0)
    check_flat(gates, kind, cnp.PyArray_SIZE(gates), True)
    check(c0, 2, kind)
    same_shape(c0, (<object>h0).shape)
    if x is None:
        steps, batch = gates.shape[0], gates.shape[1]
    cdef void* offset = columns_of(bias, kind, 4 * units)
    cdef unsigned char* there = mask_of(mask, steps, batch)
    cdef tuple kept = (steps, batch, units)
    cdef cnp.ndarray h = empty(kept, recurrent)
    if not keep:
        kept = (batch, units)
    cdef cnp.ndarray cells = empty(kept, recurrent)
    cdef bint ok
    if not keep and steps == 0:
        cells[...] = c0
    threads = team(threads)
    with nogil:
        ok = c_lstm(single(recurrent), steps, batch, units, features, inputs, weights, data(recurrent), offset,
                    data(h0), data(c0), there, reverse, keep, data(gates), data(h), data(cells), threads)
    finished(ok)
    return h, cells, gates


def lstm_grad(cnp.ndarray g, cnp.ndarray g_h not None, cnp.ndarray g_c not None, cnp.ndarray gates not None,
              cnp.ndarray cells not None, cnp.ndarray recurrent not None, cnp.ndarray c0 not None,
              cnp.ndarray mask=None, bint reverse=False, int threads=1):
    """(dgates[t, b, 4 * u], dh0, dc0) from the gradients of h[t, b, u] (None for 0) and of the last states.

    dgates are those of the gates before their activations: of the inputs' part and of the states' part.
    """
    check_sequence(gates, 4, recurrent, c0)
    cdef int kind = cnp.PyArray_TYPE(gates)
    cdef index steps = gates.shape[0], batch = gates.shape[1], units = recurrent.shape[0]
    check(cells, 3, kind)
    same_shape(cells, (steps, batch, units))
    cdef void* by_h = NULL
    if g is not None:
        check(g, 3, kind)
        same_shape(g, (steps, batch, units))
        by_h = data(g)
    cdef unsigned char* there = mask_of(mask, steps, batch)
    cdef cnp.ndarray dgates = empty_like(gates), dh = carried(g_h, c0), dc = carried(g_c, c0)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_lstm_grad(single(gates), steps, batch, units, data(recurrent), data(c0), there, reverse, data(gates),
                         data(cells), by_h, data(dgates), data(dh), data(dc), threads)
    finished(ok)
    return dgates, dh, dc


def gru(cnp.ndarray gates not None, cnp.ndarray recurrent not None, cnp.ndarray bias, cnp.ndarray state_bias,
        cnp.ndarray h0 not None, cnp.ndarray mask=None, bint reverse=False, bint reset_after=True, bint keep=True, int threads=1):
    """(h[t, b, u], extra): the states of a GRU. Overwrites `gates`[t, b, 3 * u].

    As `lstm`, with the gates update, reset and candidate. `bias` and `state_bias`, [3 * u] or None, are
    those of the inputs' and, with reset_after, of the states' part. extra is what `gru_grad` takes: the states' part of the candidate with reset_after, else
    reset * h.
    """
    check_sequence(gates, 3, recurrent, h0)
    cdef int kind = cnp.PyArray_TYPE(gates)
    check_flat(gates, kind, cnp.PyArray_SIZE(gates), True)
    cdef index steps = gates.shape[0], batch = gates.shape[1], units = recurrent.shape[0]
    if state_bias is not None and not reset_after:
        raise ValueError("expected no bias of the states' part without reset_after.")
    cdef void* offset = columns_of(bias, kind, 3 * units)
    cdef void* state_offset = columns_of(state_bias, kind, 3 * units)
    cdef unsigned char* there = mask_of(mask, steps, batch)
    cdef tuple kept = (steps, batch, units)
    cdef cnp.ndarray h = empty(kept, gates)
    if not keep:
        kept = (batch, units)
    cdef cnp.ndarray extra = empty(kept, gates)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_gru(single(gates), steps, batch, units, data(recurrent), offset, state_offset, data(h0), there,
                   reverse, reset_after, keep, data(gates), data(h), data(extra), threads)
    finished(ok)
    return h, extra


def gru_grad(cnp.ndarray g, cnp.ndarray g_h not None, cnp.ndarray gates not None, cnp.ndarray h not None,
             cnp.ndarray extra not None, cnp.ndarray recurrent not None, cnp.ndarray h0 not None,
             cnp.ndarray mask=None, bint reverse=False, bint reset_after=True, int threads=1):
    """(dgates[t, b, 3 * u], dstate, dh0) from the gradients of h[t, b, u] (None for 0) and of the last state.

    dgates are those of the inputs' part of the gates, dstate those of the states' part: with reset_after an array
    of its own, else dgates again (where the candidate's state is reset * h).
    """
    check_sequence(gates, 3, recurrent, h0)
    cdef int kind = cnp.PyArray_TYPE(gates)
    cdef index steps = gates.shape[0], batch = gates.shape[1], units = recurrent.shape[0]
    cdef tuple shape = (steps, batch, units)
    cdef void* by_h = NULL
    check(h, 3, kind)
    same_shape(h, shape)
    check(extra, 3, kind)
    same_shape(extra, shape)
    if g is not None:
        check(g, 3, kind)
        same_shape(g, shape)
        by_h = data(g)
    cdef unsigned char* there = mask_of(mask, steps, batch)
    cdef cnp.ndarray dgates = empty_like(gates), dh = carried(g_h, h0)
    cdef cnp.ndarray dstate = empty_like(gates) if reset_after else dgates
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_gru_grad(single(gates), steps, batch, units, data(recurrent), data(h0), there, reverse, reset_after,
                        data(gates), data(h), data(extra), by_h, data(dgates), data(dstate), data(dh), threads)
    finished(ok)
    return dgates, dstate, dh
