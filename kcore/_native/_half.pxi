# 16-bit floats as float32 and back. Included in _kernels.pyx, whose helpers it uses.

def widen(cnp.ndarray bits not None, bint brain, int threads=1):
    """float32 of the same shape: the bits, uint16, are those of bfloat16 if `brain`, else of float16."""
    cdef index size = cnp.PyArray_SIZE(bits)
    check_bits(bits)
    cdef cnp.ndarray y = allocated(cnp.PyArray_NDIM(bits), cnp.PyArray_DIMS(bits), cnp.NPY_FLOAT32)
    threads = team(threads)
    with nogil:
        active.halves.widen(brain, size, <uint16_t*>data(bits), <float*>data(y), threads)
    return y


def narrow(cnp.ndarray x not None, bint brain, int threads=1):
    """The bits, uint16 of the same shape, of float32 rounded to bfloat16 if `brain`, else to float16."""
    cdef index size = cnp.PyArray_SIZE(x)
    check_flat(x, cnp.NPY_FLOAT32, size, False)
    cdef cnp.ndarray bits = allocated(cnp.PyArray_NDIM(x), cnp.PyArray_DIMS(x), cnp.NPY_UINT16)
    threads = team(threads)
    with nogil:
        active.halves.narrow(brain, size, <float*>data(x), <uint16_t*>data(bits), threads)
    return bits


cdef int check_bits(cnp.ndarray bits) except -1:
    if cnp.PyArray_TYPE(bits) != cnp.NPY_UINT16 or not cnp.PyArray_ISCARRAY_RO(bits):
        raise TypeError(f"expected C-contiguous uint16 bits, got {bits.dtype} in shape {(<object>bits).shape}.")
    return 0
