# Optimizer steps over flat arrays, in place. Included in _kernels.pyx, whose helpers it uses.

from libcpp.vector cimport vector as cpp_vector

cdef extern from "levels.h" namespace "kcore::call" nogil:
    void adam(cbool, index, const index*, void**, void**, void**, void**, double, double, double, double,
              const double*, int, void*)
    void sgd(cbool, index, const index*, void**, void**, void**, double, double, cbool, const double*, int, void*)


cdef int pointers(list arrays, int kind, cpp_vector[index]& sizes, cpp_vector[void*]& found, bint written) except -1:
    """The memory of arrays of these sizes."""
    cdef cnp.ndarray a
    cdef Py_ssize_t k
    if <size_t>len(arrays) != sizes.size():
        raise ValueError(f"expected {sizes.size()} arrays, got {len(arrays)}.")
    for k in range(len(arrays)):
        a = arrays[k]
        check_flat(a, kind, sizes[k], written)
        found.push_back(data(a))
    return 0


cdef int numbers(list given, size_t count, cpp_vector[double]& found) except -1:
    if given is None:
        found.assign(count, 0.0)
        return 0
    if <size_t>len(given) != count:
        raise ValueError(f"expected {count} numbers, got {len(given)}.")
    for value in given:
        found.push_back(value)
    return 0


cdef int sizes_of(list arrays, cpp_vector[index]& found) except -1:
    """The dtype number of the arrays, whose sizes go to `found`."""
    cdef cnp.ndarray a
    for a in arrays:
        found.push_back(cnp.PyArray_SIZE(a))
    return cnp.PyArray_TYPE(<cnp.ndarray?>arrays[0]) if arrays else cnp.NPY_FLOAT32


def adam_step(list params not None, list grads not None, list ms not None, list vs not None, double step_size,
              double beta1, double beta2, double epsilon, list weight_decay_factors=None, int threads=1):
    """One step of Adam over all params, writing them, ms and vs in place; arrays of one dtype, any shapes.

    m += (grad - m) * (1 - beta1); v += (grad**2 - v) * (1 - beta2);
    param -= param * weight_decay_factor, then param -= step_size * m / (sqrt(v) + epsilon).
    The caller folds the bias correction into `step_size`.
    """
    cdef cpp_vector[index] sizes
    cdef cpp_vector[void*] p, g, m, v
    cdef cpp_vector[double] decays
    cdef int kind = sizes_of(params, sizes)
    pointers(params, kind, sizes, p, True)
    pointers(grads, kind, sizes, g, False)
    pointers(ms, kind, sizes, m, True)
    pointers(vs, kind, sizes, v, True)
    numbers(weight_decay_factors, sizes.size(), decays)
    threads = team(threads)
    with nogil:
        adam(kind == cnp.NPY_FLOAT32, sizes.size(), sizes.data(), p.data(), g.data(), m.data(), v.data(), step_size,
             beta1, beta2, epsilon, decays.data(), threads, <void*>NULL)


def sgd_step(list params not None, list grads not None, list velocities, double lr, double momentum=0.0,
             bint nesterov=False, list weight_decay_factors=None, int threads=1):
    """One step of SGD over all params, writing them and the velocities (or None) in place.

    param -= param * weight_decay_factor; then, without velocities, param -= lr * grad. With them
    velocity = momentum * velocity - lr * grad and param += velocity; nesterov adds
    momentum * velocity - lr * grad instead.
    """
    cdef cpp_vector[index] sizes
    cdef cpp_vector[void*] p, g, speeds
    cdef cpp_vector[double] decays
    cdef int kind = sizes_of(params, sizes)
    pointers(params, kind, sizes, p, True)
    pointers(grads, kind, sizes, g, False)
    if velocities is not None:
        pointers(velocities, kind, sizes, speeds, True)
    numbers(weight_decay_factors, sizes.size(), decays)
    threads = team(threads)
    with nogil:
        sgd(kind == cnp.NPY_FLOAT32, sizes.size(), sizes.data(), p.data(), g.data(),
            speeds.data() if velocities is not None else NULL, lr, momentum, nesterov, decays.data(), threads, <void*>NULL)
