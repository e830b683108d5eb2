# Random numbers. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void c_dropout "kcore::call::dropout"(
        cbool, uint32_t, uint32_t, index, uint32_t, double, void*, void*, unsigned char*, int)
    void c_dropout_grad "kcore::call::dropout_grad"(cbool, index, double, unsigned char*, void*, void*, int)


def draw_words(uint32_t k0, uint32_t k1, index size, int threads=1):
    """Threefry 2x32-20 of the counters 0 to size - 1 under the key (k0, k1): uint32[size, 2]."""
    cdef cnp.ndarray out = drawn((size, 2), size, "uint32")
    threads = team(threads)
    with nogil:
        active.draws.words(k0, k1, size, <uint32_t*>data(out), threads)
    return out


def draw_bits(uint32_t k0, uint32_t k1, index size, int threads=1):
    """The two words of each counter xored: uint32[size]."""
    cdef cnp.ndarray out = drawn(size, size, "uint32")
    threads = team(threads)
    with nogil:
        active.draws.bits(k0, k1, size, <uint32_t*>data(out), threads)
    return out


def draw_units(uint32_t k0, uint32_t k1, index size, int threads=1):
    """The upper 23 bits of `draw_bits`, as a fraction of 1: float32[size]."""
    cdef cnp.ndarray out = drawn(size, size, "float32")
    threads = team(threads)
    with nogil:
        active.draws.units(k0, k1, size, <float*>data(out), threads)
    return out


def draw_below(uint32_t k0, uint32_t k1, index size, uint32_t threshold, int threads=1):
    """Whether `draw_bits` is below the threshold: bool[size]."""
    cdef cnp.ndarray out = drawn(size, size, "bool")
    threads = team(threads)
    with nogil:
        active.draws.below(k0, k1, size, threshold, <unsigned char*>data(out), threads)
    return out


def dropout(uint32_t k0, uint32_t k1, cnp.ndarray x not None, uint32_t threshold, double divisor, int threads=1):
    """x / divisor where `draw_below` is true, else 0; and which those are, in bits: uint8[ceil(size / 8)], lowest first."""
    cdef index size = cnp.PyArray_SIZE(x)
    check_flat(x, cnp.PyArray_TYPE(x), size, False)
    cdef cnp.ndarray y = empty_like(x), bits = new_mask_bits(size)
    threads = team(threads)
    with nogil:
        c_dropout(single(x), k0, k1, size, threshold, divisor, data(x), data(y), <unsigned char*>data(bits), threads)
    return y, bits


def dropout_grad(cnp.ndarray g not None, cnp.ndarray bits not None, double divisor, int threads=1):
    """The gradient of `dropout` by x: g / divisor where the bits are set, else 0."""
    cdef index size = cnp.PyArray_SIZE(g)
    check_flat(g, cnp.PyArray_TYPE(g), size, False)
    check_mask_bits(bits, size)
    cdef cnp.ndarray dx = empty_like(g)
    threads = team(threads)
    with nogil:
        c_dropout_grad(single(g), size, divisor, <unsigned char*>data(bits), data(g), data(dx), threads)
    return dx


cdef cnp.ndarray drawn(object shape, index size, str dtype):
    if size < 0:
        raise ValueError(f"expected a size of at least 0, got {size}.")
    return np.empty(shape, dtype)
