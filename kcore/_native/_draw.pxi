# Random numbers. Included in _kernels.pyx, whose helpers it uses.

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


cdef cnp.ndarray drawn(object shape, index size, str dtype):
    if size < 0:
        raise ValueError(f"expected a size of at least 0, got {size}.")
    return np.empty(shape, dtype)
