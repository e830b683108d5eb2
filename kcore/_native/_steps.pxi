# Optimizer steps over flat arrays, in place. Included in _kernels.pyx, whose helpers it uses.

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void adam(cbool, index, void*, void*, void*, void*, double, double, double, double, double, int)
    void sgd(cbool, index, void*, void*, void*, double, double, cbool, int)


def adam_step(cnp.ndarray param not None, cnp.ndarray grad not None, cnp.ndarray m not None, cnp.ndarray v not None,
              double step_size, double beta1, double beta2, double epsilon, double weight_decay_factor=0.0,
              int threads=1):
    """One step of Adam, writing param, m and v in place; arrays of one size, any shape.

    m += (grad - m) * (1 - beta1); v += (grad**2 - v) * (1 - beta2);
    param -= param * weight_decay_factor, then param -= step_size * m / (sqrt(v) + epsilon).
    The caller folds the bias correction into `step_size`.
    """
    cdef int kind = cnp.PyArray_TYPE(param)
    cdef index size = cnp.PyArray_SIZE(param)
    check_flat(param, kind, size, True)
    check_flat(grad, kind, size, False)
    check_flat(m, kind, size, True)
    check_flat(v, kind, size, True)
    threads = team(threads)
    with nogil:
        adam(single(param), size, data(param), data(grad), data(m), data(v), step_size, beta1, beta2, epsilon,
             weight_decay_factor, threads)


def sgd_step(cnp.ndarray param not None, cnp.ndarray grad not None, cnp.ndarray momentum_buffer, double lr,
             double momentum=0.0, bint nesterov=False, int threads=1):
    """One step of SGD, writing param and the momentum buffer (or None) in place.

    Without a buffer param -= lr * grad. With one, buffer = momentum * buffer - lr * grad and
    param += buffer; nesterov adds momentum * buffer - lr * grad instead.
    """
    cdef int kind = cnp.PyArray_TYPE(param)
    cdef index size = cnp.PyArray_SIZE(param)
    cdef void* velocity = NULL
    check_flat(param, kind, size, True)
    check_flat(grad, kind, size, False)
    if momentum_buffer is not None:
        check_flat(momentum_buffer, kind, size, True)
        velocity = data(momentum_buffer)
    threads = team(threads)
    with nogil:
        sgd(single(param), size, data(param), data(grad), velocity, lr, momentum, nesterov, threads)
