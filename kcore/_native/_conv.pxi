# Convolution. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore" nogil:
    cdef struct Conv:
        index n, d, h, w, c, kd, kh, kw, oc, groups, sd, sh, sw, pf, pt, pl, dd, dh, dw, od, oh, ow
        cbool stored_once()

cdef extern from "levels.h" namespace "kcore::call" nogil:
    index conv_layout(cbool, Conv, cbool, void*)
    index conv_packed(cbool, Conv, cbool, void*)
    void conv_pack(cbool, Conv, cbool, void*, void*, int)
    uint64_t c_fingerprint "kcore::call::fingerprint"(cbool, void*, index, int)
    cbool c_conv "kcore::call::conv"(cbool, Conv, cbool, void*, void*, void*, c_Ending, void*, int)
    cbool c_conv_input_grad "kcore::call::conv_input_grad"(cbool, Conv, cbool, void*, void*, c_Ending, void*, int)
    cbool conv_weight_grad(cbool, Conv, void*, void*, void*, int)
    cbool fits_depthwise(cbool, Conv, void*)
    cbool depthwise(cbool, Conv, void*, void*, c_Ending, void*, int)
    cbool depthwise_input_grad(cbool, Conv, void*, void*, c_Ending, void*, int)
    cbool depthwise_weight_grad(cbool, Conv, void*, void*, void*, int)


cdef Conv conv_spec(tuple x_shape, tuple w_shape, strides, pads, dilation, index groups) except *:
    """Checks the sizes against each other and gives them as one struct; flat images have depth 1."""
    cdef Conv s
    cdef index depth, back, bottom, right
    s.d = s.kd = s.sd = s.dd = 1
    s.pf = back = 0
    if len(x_shape) == 4:
        s.n, s.h, s.w, s.c = x_shape
        s.kh, s.kw, depth, s.oc = w_shape
        s.sh, s.sw = strides
        s.dh, s.dw = dilation
        (s.pt, bottom), (s.pl, right) = pads
    else:
        s.n, s.d, s.h, s.w, s.c = x_shape
        s.kd, s.kh, s.kw, depth, s.oc = w_shape
        s.sd, s.sh, s.sw = strides
        s.dd, s.dh, s.dw = dilation
        (s.pf, back), (s.pt, bottom), (s.pl, right) = pads
    s.groups = groups
    if (min(x_shape) < 0 or min(w_shape) < 0 or min(s.kd, s.kh, s.kw, s.sd, s.sh, s.sw) < 1
            or min(s.dd, s.dh, s.dw, groups) < 1):
        raise ValueError("sizes, strides, dilations and groups must be positive.")
    if min(s.pf, back, s.pt, bottom, s.pl, right) < 0:
        raise ValueError(f"padding must not be negative, got {pads}.")
    if depth * groups != s.c or s.oc % groups:
        raise ValueError(f"kernel {w_shape} with groups={groups} does not fit an input of shape {x_shape}.")
    s.od = out_size(s.d, s.pf, back, (s.kd - 1) * s.dd + 1, s.sd)
    s.oh = out_size(s.h, s.pt, bottom, (s.kh - 1) * s.dh + 1, s.sh)
    s.ow = out_size(s.w, s.pl, right, (s.kw - 1) * s.dw + 1, s.sw)
    return s


cdef int check_images(cnp.ndarray x, cnp.ndarray y, int kind) except -1:
    """Raises unless both are flat images (or kernels), or both volumes."""
    cdef int ndim = 5 if cnp.PyArray_NDIM(x) == 5 else 4
    check(x, ndim, kind)
    check(y, ndim, kind)
    return 0


cdef tuple image_shape(cnp.ndarray like, index n, index d, index h, index w, index c):
    if cnp.PyArray_NDIM(like) == 4:
        return (n, h, w, c)
    return (n, d, h, w, c)


cdef bint is_depthwise(Conv s) noexcept:
    return s.groups == s.c and s.c > 1


cdef bint has_small_groups(cnp.ndarray x, Conv s) noexcept:
    """Whether the kernels for depthwise convolutions take it, once it is one to one if it is depthwise."""
    return is_depthwise(s) or fits_depthwise(single(x), s, data(x))


cdef Conv one_to_one(Conv s) noexcept:
    """The depthwise convolution after each input channel is repeated for each of its outputs."""
    s.c = s.groups = s.oc
    return s


cdef cnp.ndarray sum_repeats(cnp.ndarray x, index times):
    """Each `times` neighbouring channels summed; a sum over so short an axis is slow in NumPy."""
    cdef index channels = x.shape[cnp.PyArray_NDIM(x) - 1]
    split = np.reshape(x, (-1, channels // times, times))
    total = split[..., 0].copy()
    for i in range(1, times):
        total += split[..., i]
    return total


cdef cnp.ndarray zeros_ended(cnp.ndarray y, Ending ending):
    """y, of zeros that are ended."""
    y.fill(0)
    return end_rows(y, ending, 1, y)


def fingerprint(cnp.ndarray a not None, int threads=1):
    """A number that differs between arrays whose bits differ, but for one in 2**64; surely if one word alone does.

    It is the same on every SIMD level only by chance.
    """
    check(a, cnp.PyArray_NDIM(a), cnp.PyArray_TYPE(a))
    cdef uint64_t found
    threads = team(threads)
    with nogil:
        found = c_fingerprint(single(a), data(a), cnp.PyArray_SIZE(a), threads)
    return found


cdef class Packs:
    """What `conv` reads instead of a kernel, made when first needed and kept: for callers that hold weights still.

    It belongs to one kernel, whose values must not change while it is used.
    """
    cdef dict _made
    cdef readonly size_t nbytes

    def __cinit__(self):
        self._made = {}
        self.nbytes = 0

    cdef cnp.ndarray of(self, Conv s, bint fast, cnp.ndarray w, int threads):
        cdef tuple key = (<size_t>active, conv_layout(single(w), s, fast, data(w)), (<object>w).shape, s.groups)
        cdef object found = self._made.get(key)
        cdef cnp.ndarray packed
        if found is not None:
            return found
        packed = vector(conv_packed(single(w), s, fast, data(w)), cnp.PyArray_TYPE(w))
        with nogil:
            conv_pack(single(w), s, fast, data(w), data(packed), threads)
        self._made[key] = packed
        self.nbytes += packed.nbytes
        return packed


def conv(cnp.ndarray x not None, cnp.ndarray w not None, strides, pads, dilation, index groups=1, int threads=1,
         bint fast=False, Packs packs=None, Ending ending=nothing):
    """y[n, r, q, j] = sum of x_padded[n, r*sh + a*dh, q*sw + b*dw, i] * w[a, b, i, j], ended as `ending` says.

    Output channel j belongs to group j // (oc / groups) and sees that group's input channels.
    Volumes x[n, d, h, w, c] and kernels w[kd, kh, kw, c / groups, oc] do, too.
    `fast` lets float32 kernels of 3x3 and stride 1 be done by Winograd's algorithm, which is several times
    less accurate, and where an input is not finite gives nan in a neighbourhood.
    """
    cdef int kind = cnp.PyArray_TYPE(x)
    check_images(x, w, kind)
    cdef Conv s = conv_spec((<object>x).shape, (<object>w).shape, strides, pads, dilation, groups)
    cdef cnp.ndarray y
    if ending.spent and not fast and s.stored_once():
        y = np.reshape(ending.beside, image_shape(x, s.n, s.od, s.oh, s.ow, s.oc))
    else:
        y = empty(image_shape(x, s.n, s.od, s.oh, s.ow, s.oc), x)
    cdef c_Ending ends = ending.of(y)
    cdef cnp.ndarray ready
    cdef void* packed = NULL
    cdef bint ok
    threads = team(threads)
    if s.c == 0 or y.size == 0:
        return zeros_ended(y, ending)
    if has_small_groups(x, s):
        if is_depthwise(s) and s.oc > s.c:
            x = np.repeat(x, s.oc // s.c, axis=-1)
            s = one_to_one(s)
        with nogil:
            ok = depthwise(single(x), s, data(x), data(w), ends, data(y), threads)
        finished(ok)
        return y
    if packs is not None:
        ready = packs.of(s, fast, w, threads)
        packed = data(ready)
    with nogil:
        ok = c_conv(single(x), s, fast, data(x), data(w), packed, ends, data(y), threads)
    finished(ok)
    return y


def conv_input_grad(cnp.ndarray g not None, cnp.ndarray w not None, tuple x_shape, strides, pads, dilation,
                    index groups=1, int threads=1, bint fast=False, Ending ending=nothing):
    """The gradient of sum(g * conv(x, w)) by x, for x of shape `x_shape`, ended as `ending` says."""
    cdef int kind = cnp.PyArray_TYPE(g)
    check_images(g, w, kind)
    cdef Conv s = conv_spec(x_shape, (<object>w).shape, strides, pads, dilation, groups)
    same_shape(g, image_shape(g, s.n, s.od, s.oh, s.ow, s.oc))
    cdef index multiplier = s.oc // s.c if is_depthwise(s) else 1
    cdef bint ok
    if g.size == 0 or 0 in x_shape:
        return zeros_ended(empty(x_shape, g), ending)
    threads = team(threads)
    cdef bint small = has_small_groups(g, s)
    if multiplier > 1:
        s = one_to_one(s)
    cdef cnp.ndarray dx = empty(image_shape(g, s.n, s.d, s.h, s.w, s.c), g)
    cdef c_Ending ends = (ending if multiplier == 1 else nothing).of(dx)
    with nogil:
        if small:
            ok = depthwise_input_grad(single(g), s, data(g), data(w), ends, data(dx), threads)
        else:
            ok = c_conv_input_grad(single(g), s, fast, data(g), data(w), ends, data(dx), threads)
    finished(ok)
    if multiplier == 1:
        return dx
    dx = sum_repeats(dx, multiplier).reshape(x_shape)
    return end_rows(dx, ending, threads, dx)


def conv_kernel_grad(cnp.ndarray x not None, cnp.ndarray g not None, tuple w_shape, strides, pads, dilation,
                     index groups=1, int threads=1):
    """The gradient of sum(g * conv(x, w)) by w, for w of shape `w_shape`."""
    cdef int kind = cnp.PyArray_TYPE(x)
    check_images(x, g, kind)
    cdef Conv s = conv_spec((<object>x).shape, w_shape, strides, pads, dilation, groups)
    same_shape(g, image_shape(g, s.n, s.od, s.oh, s.ow, s.oc))
    cdef cnp.ndarray dw = empty(w_shape, x)
    cdef bint ok
    if g.size == 0 or x.size == 0 or dw.size == 0:
        dw.fill(0)
        return dw
    threads = team(threads)
    if has_small_groups(x, s):
        if is_depthwise(s) and s.oc > s.c:
            x = np.repeat(x, s.oc // s.c, axis=-1)
            s = one_to_one(s)
        with nogil:
            ok = depthwise_weight_grad(single(x), s, data(x), data(g), data(dw), threads)
    else:
        with nogil:
            ok = conv_weight_grad(single(x), s, data(x), data(g), data(dw), threads)
    finished(ok)
    return dw
