# Attention. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore" nogil:
    cdef struct Attention:
        index batch, rows, columns, heads, key_heads, depth, value_depth
        double scale, cap
        cbool causal
        index bias[4]
        index mask[4]

cdef extern from "levels.h" namespace "kcore::call" nogil:
    cbool c_attention "kcore::call::attention"(cbool, Attention, void*, void*, void*, void*, const unsigned char*,
        void*, void*, void*, int)
    cbool c_attention_grad "kcore::call::attention_grad"(cbool, Attention, void*, void*, void*, void*, void*,
        const unsigned char*, void*, void*, void*, void*, void*, void*, void*, int)


cdef int strides_over(cnp.ndarray part, tuple logits, index* strides) except -1:
    """The elements from one logit's to the next one's, along each axis, of an array that broadcasts to the logits."""
    cdef index step = 1
    cdef int i
    shape = (1,) * (4 - part.ndim) + (<object>part).shape
    if len(shape) != 4 or any(d != 1 and d != t for d, t in zip(shape, logits)):
        raise ValueError(f"expected a shape that broadcasts to {logits}, got {(<object>part).shape}.")
    for i in range(3, -1, -1):
        strides[i] = 0 if shape[i] == 1 else step
        step *= <index>shape[i]
    return 0


cdef Attention attention_spec(cnp.ndarray q, cnp.ndarray k, cnp.ndarray v, cnp.ndarray bias, cnp.ndarray mask,
                              double scale, bint causal, double cap) except *:
    """Checks the arrays against each other and gives their sizes as one struct."""
    cdef Attention s
    cdef int i, kind = cnp.PyArray_TYPE(q)
    for part in (q, k, v):
        check(part, 4, kind)
    s.batch, s.rows, s.heads, s.depth = (<object>q).shape
    s.columns, s.key_heads, s.value_depth = k.shape[1], k.shape[2], v.shape[3]
    same_shape(k, (s.batch, s.columns, s.key_heads, s.depth))
    same_shape(v, (s.batch, s.columns, s.key_heads, s.value_depth))
    if min(s.batch, s.rows, s.columns, s.heads, s.key_heads, s.depth, s.value_depth) < 1 or s.heads % s.key_heads:
        raise ValueError(f"no attention of queries {(<object>q).shape} to keys {(<object>k).shape}.")
    if cap < 0:
        raise ValueError(f"expected a cap above 0, or 0 for none, got {cap}.")
    s.scale, s.cap, s.causal = scale, cap, causal
    for i in range(4):
        s.bias[i] = s.mask[i] = 0
    logits = (s.batch, s.heads, s.rows, s.columns)
    if bias is not None:
        check(bias, cnp.PyArray_NDIM(bias), kind)
        strides_over(bias, logits, s.bias)
    if mask is not None:
        if cnp.PyArray_TYPE(mask) != cnp.NPY_BOOL or not cnp.PyArray_ISCARRAY_RO(mask):
            raise TypeError(f"expected a C-contiguous bool mask, got {mask.dtype}.")
        strides_over(mask, logits, s.mask)
    return s


cdef inline void* data_or_null(cnp.ndarray a) noexcept:
    return NULL if a is None else data(a)


def attention(cnp.ndarray q not None, cnp.ndarray k not None, cnp.ndarray v not None, cnp.ndarray bias=None,
              cnp.ndarray mask=None, double scale=1.0, bint causal=False, double cap=0.0, int threads=1):
    """(y, peak, total): softmax(q @ k * scale + bias) @ v for q[b, r, h, d], k[b, c, j, d] and v[b, c, j, e].

    Each of the j key heads serves h / j neighbouring heads. bias and mask broadcast to (b, h, r, c).
    Logits are capped by cap * tanh(logits / cap), unless cap is 0, before the bias; where the mask is false, or
    `causal` and c > r, they become -2e38. A row's weights are exp(logits - peak) / total, both [b, h, r].
    """
    cdef Attention s = attention_spec(q, k, v, bias, mask, scale, causal, cap)
    cdef cnp.ndarray y = empty((s.batch, s.rows, s.heads, s.value_depth), q)
    cdef cnp.ndarray peak = empty((s.batch, s.heads, s.rows), q), total = empty_like(peak)
    cdef void* biases = data_or_null(bias)
    cdef const unsigned char* masks = <const unsigned char*>data_or_null(mask)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_attention(single(q), s, data(q), data(k), data(v), biases, masks, data(y), data(peak), data(total),
                         threads)
    finished(ok)
    return y, peak, total


def attention_grad(cnp.ndarray g not None, cnp.ndarray q not None, cnp.ndarray k not None, cnp.ndarray v not None,
                   cnp.ndarray bias, cnp.ndarray mask, double scale, bint causal, double cap,
                   cnp.ndarray y not None, cnp.ndarray peak not None, cnp.ndarray total not None,
                   bint by_logits=False, int threads=1):
    """The gradients of sum(g * y), with y, peak and total of `attention`, by q, k, v, and, if asked, the biased logits."""
    cdef Attention s = attention_spec(q, k, v, bias, mask, scale, causal, cap)
    cdef int kind = cnp.PyArray_TYPE(q)
    for part in (g, y):
        check(part, 4, kind)
        same_shape(part, (s.batch, s.rows, s.heads, s.value_depth))
    for part in (peak, total):
        check(part, 3, kind)
        same_shape(part, (s.batch, s.heads, s.rows))
    cdef cnp.ndarray dq = empty_like(q), dk = empty_like(k), dv = empty_like(v), dlogits = None
    if by_logits:
        dlogits = np.zeros((s.batch, s.heads, s.rows, s.columns), q.dtype)
    cdef void* biases = data_or_null(bias)
    cdef void* slopes = data_or_null(dlogits)
    cdef const unsigned char* masks = <const unsigned char*>data_or_null(mask)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_attention_grad(single(q), s, data(g), data(q), data(k), data(v), biases, masks, data(y), data(peak),
                              data(total), data(dq), data(dk), data(dv), slopes, threads)
    finished(ok)
    return dq, dk, dv, dlogits
