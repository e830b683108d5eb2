# Convolution. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore" nogil:
    cdef struct Conv:
        index n, h, w, c, kh, kw, oc, groups, sh, sw, pt, pl, dh, dw, oh, ow

cdef extern from "levels.h" namespace "kcore::call" nogil:
    cbool conv(cbool, Conv, void*, void*, void*, int)
    cbool conv_input_grad(cbool, Conv, void*, void*, void*, int)
    cbool conv_weight_grad(cbool, Conv, void*, void*, void*, int)
    cbool depthwise(cbool, Conv, void*, void*, void*, int)
    cbool depthwise_input_grad(cbool, Conv, void*, void*, void*, int)
    cbool depthwise_weight_grad(cbool, Conv, void*, void*, void*, int)


cdef Conv conv_spec(tuple x_shape, tuple w_shape, strides, pads, dilation, index groups) except *:
    """Checks the sizes against each other and gives them as one struct."""
    cdef Conv s
    cdef index depth, bottom, right
    s.n, s.h, s.w, s.c = x_shape
    s.kh, s.kw, depth, s.oc = w_shape
    s.sh, s.sw = strides
    s.dh, s.dw = dilation
    (s.pt, bottom), (s.pl, right) = pads
    s.groups = groups
    if min(x_shape) < 0 or min(w_shape) < 0 or min(s.kh, s.kw, s.sh, s.sw, s.dh, s.dw, groups) < 1:
        raise ValueError("sizes, strides, dilations and groups must be positive.")
    if min(s.pt, bottom, s.pl, right) < 0:
        raise ValueError(f"padding must not be negative, got {pads}.")
    if depth * groups != s.c or s.oc % groups:
        raise ValueError(f"kernel {w_shape} with groups={groups} does not fit an input of shape {x_shape}.")
    s.oh = out_size(s.h, s.pt, bottom, (s.kh - 1) * s.dh + 1, s.sh)
    s.ow = out_size(s.w, s.pl, right, (s.kw - 1) * s.dw + 1, s.sw)
    return s


cdef bint is_depthwise(Conv s) noexcept:
    return s.groups == s.c and s.c > 1


cdef Conv one_to_one(Conv s) noexcept:
    """The depthwise convolution after each input channel is repeated for each of its outputs."""
    s.c = s.groups = s.oc
    return s


cdef cnp.ndarray sum_repeats(cnp.ndarray x, index times):
    """Each `times` neighbouring channels summed; a sum over so short an axis is slow in NumPy."""
    n, h, w, c = (<object>x).shape
    split = x.reshape(n, h, w, c // times, times)
    total = split[..., 0].copy()
    for i in range(1, times):
        total += split[..., i]
    return total


def conv2d(cnp.ndarray x not None, cnp.ndarray w not None, strides, pads, dilation, index groups=1, int threads=1):
    """y[n, r, q, j] = sum of x_padded[n, r*sh + a*dh, q*sw + b*dw, i] * w[a, b, i, j].

    Output channel j belongs to group j // (oc / groups) and sees that group's input channels.
    """
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 4, kind)
    check(w, 4, kind)
    cdef Conv s = conv_spec((<object>x).shape, (<object>w).shape, strides, pads, dilation, groups)
    cdef cnp.ndarray y = empty((s.n, s.oh, s.ow, s.oc), x)
    cdef bint ok
    if s.c == 0 or y.size == 0:
        y.fill(0)
        return y
    threads = team(threads)
    if is_depthwise(s):
        if s.oc > s.c:
            x = np.repeat(x, s.oc // s.c, axis=3)
            s = one_to_one(s)
        with nogil:
            ok = depthwise(single(x), s, data(x), data(w), data(y), threads)
    else:
        with nogil:
            ok = conv(single(x), s, data(x), data(w), data(y), threads)
    finished(ok)
    return y


def conv2d_input_grad(cnp.ndarray g not None, cnp.ndarray w not None, tuple x_shape, strides, pads, dilation,
                      index groups=1, int threads=1):
    """The gradient of sum(g * conv2d(x, w)) by x, for x of shape `x_shape`."""
    cdef int kind = cnp.PyArray_TYPE(g)
    check(g, 4, kind)
    check(w, 4, kind)
    cdef Conv s = conv_spec(x_shape, (<object>w).shape, strides, pads, dilation, groups)
    same_shape(g, (s.n, s.oh, s.ow, s.oc))
    cdef cnp.ndarray dx
    cdef index multiplier = 1
    cdef bint ok
    if g.size == 0 or s.c == 0 or s.n * s.h * s.w == 0:
        return np.zeros(x_shape, g.dtype)
    threads = team(threads)
    if is_depthwise(s):
        multiplier = s.oc // s.c
        s = one_to_one(s)
        dx = empty((s.n, s.h, s.w, s.c), g)
        with nogil:
            ok = depthwise_input_grad(single(g), s, data(g), data(w), data(dx), threads)
        if multiplier > 1:
            dx = sum_repeats(dx, multiplier)
    else:
        dx = empty(x_shape, g)
        with nogil:
            ok = conv_input_grad(single(g), s, data(g), data(w), data(dx), threads)
    finished(ok)
    return dx


def conv2d_weight_grad(cnp.ndarray x not None, cnp.ndarray g not None, tuple w_shape, strides, pads, dilation,
                       index groups=1, int threads=1):
    """The gradient of sum(g * conv2d(x, w)) by w, for w of shape `w_shape`."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check(x, 4, kind)
    check(g, 4, kind)
    cdef Conv s = conv_spec((<object>x).shape, w_shape, strides, pads, dilation, groups)
    same_shape(g, (s.n, s.oh, s.ow, s.oc))
    cdef cnp.ndarray dw = empty(w_shape, x)
    cdef bint ok
    if g.size == 0 or x.size == 0 or dw.size == 0:
        dw.fill(0)
        return dw
    threads = team(threads)
    if is_depthwise(s):
        if s.oc > s.c:
            x = np.repeat(x, s.oc // s.c, axis=3)
            s = one_to_one(s)
        with nogil:
            ok = depthwise_weight_grad(single(x), s, data(x), data(g), data(dw), threads)
    else:
        with nogil:
            ok = conv_weight_grad(single(x), s, data(x), data(g), data(dw), threads)
    finished(ok)
    return dw
