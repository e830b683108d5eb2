# Products of matrices, by the kernels of _conv.pxi. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void product_few(cbool, index, index, index, void*, void*, c_Ending, void*, int)

cdef index longest_row = 512  # pixels: sums over more are made in blocks of rows


cdef Conv rows_of_pixels(index rows, index pixels, index c, index oc) noexcept:
    """The convolution of rows of pixels by a kernel of 1x1."""
    cdef Conv s
    s.n = s.d = s.kd = s.kh = s.kw = s.groups = s.sd = s.sh = s.sw = s.dd = s.dh = s.dw = s.od = 1
    s.pf = s.pt = s.pl = 0
    s.h = s.oh = rows
    s.w = s.ow = pixels
    s.c = c
    s.oc = oc
    return s


cdef index row_length(index pixels) noexcept:
    """How many of the pixels make a row, of rows of one length; 0 if those would be too short."""
    cdef index n = longest_row
    if pixels <= n:
        return pixels
    while n >= 32:
        if pixels % n == 0:
            return n
        n -= 1
    return 0


def product(cnp.ndarray a not None, cnp.ndarray b not None, int threads=1, Packs packs=None, Ending ending=nothing):
    """a @ b, ended as `ending` says; None for matrices whose order in memory no kernel is made for.

    It is a convolution of one row of pixels by a kernel of 1x1; of a transposed b the gradient by the input, of a
    transposed a that by the kernel. `packs` are those of b, if it is not transposed and a has more than three rows.
    """
    if cnp.PyArray_NDIM(a) != 2 or cnp.PyArray_NDIM(b) != 2 or a.shape[1] != b.shape[0]:
        raise ValueError(f"expected matrices that fit, got shapes {(<object>a).shape} and {(<object>b).shape}.")
    cdef cnp.npy_intp[2] shape = [a.shape[0], b.shape[1]]
    cdef index sums = a.shape[1], row = 1
    cdef bint a_turned = not cnp.PyArray_IS_C_CONTIGUOUS(a), b_turned = not cnp.PyArray_IS_C_CONTIGUOUS(b)
    cdef cnp.ndarray x = a.T if a_turned else a, w = b.T if b_turned else b
    if a_turned:
        row = row_length(sums)
    if (a_turned and b_turned) or row == 0 or not cnp.PyArray_IS_C_CONTIGUOUS(x) or not cnp.PyArray_IS_C_CONTIGUOUS(w):
        return None
    cdef int kind = cnp.PyArray_TYPE(a)
    check(x, 2, kind)
    check(w, 2, kind)
    cdef cnp.ndarray y = allocated(2, shape, kind)
    if y.size == 0 or sums == 0:
        return zeros_ended(y, ending)
    cdef c_Ending ends = ending.of(y)
    cdef Conv s
    cdef cnp.ndarray ready
    cdef void* packed = NULL
    cdef bint ok
    threads = team(threads)
    if a_turned:
        s = rows_of_pixels(sums // row, row, shape[0], shape[1])
        with nogil:
            ok = conv_weight_grad(single(y), s, data(x), data(w), data(y), threads)
        finished(ok)
        return y if ending is nothing else end_rows(y, ending, threads, y)
    if b_turned:
        s = rows_of_pixels(1, shape[0], shape[1], sums)
        with nogil:
            ok = c_conv_input_grad(single(y), s, False, data(x), data(w), ends, data(y), threads)
    elif shape[0] <= 3:
        with nogil:
            product_few(single(y), shape[0], sums, shape[1], data(x), data(w), ends, data(y), threads)
        ok = True
    else:
        s = rows_of_pixels(1, shape[0], sums, shape[1])
        if packs is not None:
            ready = packs.of(s, False, w, threads)
            packed = data(ready) if ready.shape[0] else NULL
        with nogil:
            ok = c_conv(single(y), s, False, data(x), data(w), packed, ends, data(y), threads)
    finished(ok)
    return y
