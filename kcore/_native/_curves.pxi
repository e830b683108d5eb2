# Elementwise functions over flat arrays. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore" nogil:
    const char** curve_names
    const char** bias_curve_names

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_relu "kcore::call::relu"(cbool, index, void*, void*, int)
    void c_relu_grad "kcore::call::relu_grad"(cbool, index, void*, void*, void*, int)
    void c_relu_with_bits "kcore::call::relu_with_bits"(cbool, index, void*, void*, unsigned char*, int)
    void c_relu_bits_grad "kcore::call::relu_bits_grad"(cbool, index, void*, const unsigned char*, void*, int)
    void c_curve_with_slope "kcore::call::curve_with_slope"(
        cbool, int, index, void*, void*, void*, double, double, int)
    void c_curve "kcore::call::curve"(cbool, int, index, void*, void*, double, double, int)
    void c_curve_grad "kcore::call::curve_grad"(cbool, int, index, void*, void*, void*, double, double, int)
    void c_bias_curve "kcore::call::bias_curve"(cbool, int, index, index, void*, void*, void*, int)
    cbool c_bias_curve_grad "kcore::call::bias_curve_grad"(
        cbool, int, index, index, void*, void*, void*, void*, void*, int)


def relu(cnp.ndarray x not None, int threads=1):
    """max(x, 0) for x of any shape; nan stays, -0 becomes 0."""
    cdef index size = cnp.PyArray_SIZE(x)
    check_flat(x, cnp.PyArray_TYPE(x), size, False)
    cdef cnp.ndarray y = empty_like(x)
    threads = team(threads)
    with nogil:
        c_relu(single(x), size, data(x), data(y), threads)
    return y


def relu_grad(cnp.ndarray g not None, cnp.ndarray y not None, int threads=1):
    """g where y = relu(x) is positive or nan, else 0."""
    cdef int kind = cnp.PyArray_TYPE(g)
    cdef index size = cnp.PyArray_SIZE(g)
    check_flat(g, kind, size, False)
    check_flat(y, kind, size, False)
    cdef cnp.ndarray dx = empty_like(g)
    threads = team(threads)
    with nogil:
        c_relu_grad(single(g), size, data(g), data(y), data(dx), threads)
    return dx


def relu_with_bits(cnp.ndarray x not None, int threads=1):
    """`relu`, and where it is not 0, in bits: uint8[ceil(size / 8)], lowest first."""
    cdef index size = cnp.PyArray_SIZE(x)
    check_flat(x, cnp.PyArray_TYPE(x), size, False)
    cdef cnp.ndarray y = empty_like(x), bits = new_mask_bits(size)
    threads = team(threads)
    with nogil:
        c_relu_with_bits(single(x), size, data(x), data(y), <unsigned char*>data(bits), threads)
    return y, bits


def relu_bits_grad(cnp.ndarray g not None, cnp.ndarray bits not None, int threads=1):
    """g where the bits of `relu_with_bits` are set, else 0."""
    cdef index size = cnp.PyArray_SIZE(g)
    check_flat(g, cnp.PyArray_TYPE(g), size, False)
    check_mask_bits(bits, size)
    cdef cnp.ndarray dx = empty_like(g)
    threads = team(threads)
    with nogil:
        c_relu_bits_grad(single(g), size, data(g), <unsigned char*>data(bits), data(dx), threads)
    return dx


cdef dict curve_numbers():
    cdef dict numbers = {}
    while curve_names[len(numbers)] != NULL:
        numbers[curve_names[len(numbers)].decode()] = len(numbers)
    return numbers


cdef dict _curve_numbers = curve_numbers()


def curves():
    """The names that `curve` and `curve_grad` take."""
    return tuple(_curve_numbers)


def curve(str name not None, cnp.ndarray x not None, double a=0, double b=0, int threads=1):
    """A function by name, element by element of x of any shape.

    elu is b * x above 0, else a * expm1(x); leaky_relu has slope `a` below 0. gelu_tanh is gelu with
    the tanh formula. The others are what their names say, and have no parameters.
    """
    cdef index size = cnp.PyArray_SIZE(x)
    cdef int which = _curve_numbers[name]
    check_flat(x, cnp.PyArray_TYPE(x), size, False)
    cdef cnp.ndarray y = empty_like(x)
    threads = team(threads)
    with nogil:
        c_curve(single(x), which, size, data(x), data(y), a, b, threads)
    return y


def curve_with_slope(str name not None, cnp.ndarray x not None, double a=0, double b=0, int threads=1):
    """`curve`, and the slope that `curve_grad` multiplies by."""
    cdef index size = cnp.PyArray_SIZE(x)
    cdef int which = _curve_numbers[name]
    check_flat(x, cnp.PyArray_TYPE(x), size, False)
    cdef cnp.ndarray y = empty_like(x), slope = empty_like(x)
    threads = team(threads)
    with nogil:
        c_curve_with_slope(single(x), which, size, data(x), data(y), data(slope), a, b, threads)
    return y, slope


def curve_grad(str name not None, cnp.ndarray g not None, cnp.ndarray given not None, double a=0, double b=0,
               int threads=1):
    """g times the slope of `curve`; `given` is its result for tanh, sigmoid and exp, its x for the others."""
    cdef int kind = cnp.PyArray_TYPE(g)
    cdef index size = cnp.PyArray_SIZE(g)
    cdef int which = _curve_numbers[name]
    check_flat(g, kind, size, False)
    check_flat(given, kind, size, False)
    cdef cnp.ndarray dx = empty_like(g)
    threads = team(threads)
    with nogil:
        c_curve_grad(single(g), which, size, data(g), data(given), data(dx), a, b, threads)
    return dx


cdef dict bias_curve_numbers():
    cdef dict numbers = {}
    while bias_curve_names[len(numbers)] != NULL:
        numbers[bias_curve_names[len(numbers)].decode()] = len(numbers)
    return numbers


cdef dict _bias_curve_numbers = bias_curve_numbers()


def bias_curves():
    """The names that `bias_curve` and `bias_curve_grad` take."""
    return tuple(_bias_curve_numbers)


def bias_curve(str name not None, cnp.ndarray x not None, cnp.ndarray bias, int threads=1, cnp.ndarray out=None):
    """A function by name of x[r, c] + bias[c], or of x for None; into `out` if given, which may be x itself."""
    cdef int kind = cnp.PyArray_TYPE(x), which = _bias_curve_numbers[name]
    check(x, 2, kind)
    cdef index rows = x.shape[0], cols = x.shape[1]
    cdef void* offset = columns_of(bias, kind, cols)
    if out is None:
        out = empty_like(x)
    else:
        same_shape(out, (<object>x).shape)
        check_flat(out, kind, rows * cols, True)
    threads = team(threads)
    with nogil:
        c_bias_curve(single(x), which, rows, cols, data(x), offset, data(out), threads)
    return out


def bias_curve_grad(str name not None, cnp.ndarray g not None, cnp.ndarray given not None, cnp.ndarray bias=None,
                    int threads=1):
    """(g times the slope of `bias_curve`, its sums down the columns: of 64 rows at most in a chain, then in double).

    `given` is the result for relu, sigmoid and tanh, without a bias; for the others x, with the bias.
    """
    cdef int kind = cnp.PyArray_TYPE(g), which = _bias_curve_numbers[name]
    check(g, 2, kind)
    check(given, 2, kind)
    same_shape(given, (<object>g).shape)
    cdef index rows = g.shape[0], cols = g.shape[1]
    cdef void* offset = columns_of(bias, kind, cols)
    cdef cnp.ndarray dx = empty_like(g), sums = vector(cols, kind)
    cdef bint ok
    threads = team(threads)
    with nogil:
        ok = c_bias_curve_grad(
            single(g), which, rows, cols, data(g), data(given), offset, data(dx), data(sums), threads)
    finished(ok)
    return dx, sums
