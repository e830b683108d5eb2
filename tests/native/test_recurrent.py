"""LSTM and GRU along whole sequences, against their NumPy definitions; their gradients, against the portable ops'."""

import numpy as np
import pytest

import kcore
from kcore import ops
from kcore.backends.reference import recurrent as reference

EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
# steps, batch, features, units: around the widths of vectors and tiles
SIZES = [(1, 1, 1, 1), (3, 2, 4, 5), (4, 7, 3, 8), (2, 15, 5, 16), (3, 33, 2, 17), (5, 3, 8, 40), (2, 29, 3, 70)]
sizes = pytest.mark.parametrize("size", SIZES)
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
ways = pytest.mark.parametrize(("reverse", "masked"), [(False, False), (False, True), (True, True)])


def tensors(rng, size, gates, dtype, bias_rows=1):
    steps, batch, features, units = size
    shapes = [(batch, steps, features), (batch, units), (batch, units), (features, gates * units)]
    shapes += [(units, gates * units), (gates * units,) if bias_rows == 1 else (2, gates * units)]
    made = [rng.standard_normal(s).astype(dtype) * 0.7 for s in shapes]
    for a in made:
        a.flags.writeable = False
    return made


def mask_for(rng, size, masked):
    if not masked:
        return None
    mask = rng.random((size[1], size[0])) < 0.6
    mask[0] = False  # a sample with no step at all
    return mask


def close(got, want, dtype, units=200):
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    scale = max(1.0, float(np.max(np.abs(want), initial=0)))
    np.testing.assert_allclose(got, want, rtol=0, atol=units * EPS[dtype] * scale)


@both_dtypes
@sizes
@ways
def test_lstm_is_its_definition(kernels, rng, size, reverse, masked, dtype):
    x, h, c, kernel, recurrent, bias = tensors(rng, size, 4, dtype)
    mask = mask_for(rng, size, masked)
    for offset in (bias, None):
        given = x, h, c, kernel, recurrent, offset, mask, reverse
        wants = reference._lstm_definition(*given)
        for got, want in zip(reference.lstm(*given, True), wants, strict=True):
            close(got, want, dtype)
        for got, want in zip(reference.lstm(*given, False), wants[1:], strict=True):
            close(got, want, dtype)


@both_dtypes
@sizes
@ways
@pytest.mark.parametrize("reset_after", [False, True])
def test_gru_is_its_definition(kernels, rng, size, reset_after, reverse, masked, dtype):
    x, h, _, kernel, recurrent, bias = tensors(rng, size, 3, dtype, 2 if reset_after else 1)
    mask = mask_for(rng, size, masked)
    for offset in (bias, None):
        given = x, h, kernel, recurrent, offset, mask, reverse
        wants = reference._gru_definition(*given, reset_after)
        for got, want in zip(reference.gru(*given, True, reset_after), wants, strict=True):
            close(got, want, dtype)


def gradients(op, body, tensors, rest, gs):
    """The gradients by the kernels and by the portable body."""

    def loss(function):
        return lambda *xs: sum(ops.sum(y * g) for y, g in zip(function(*xs, *rest), gs, strict=True))

    positions = tuple(range(len(tensors)))
    return (kcore.grad(loss(f), positions)(*tensors) for f in (op, body))


@both_dtypes
@sizes
@ways
@pytest.mark.parametrize("sequence", [False, True])
def test_lstm_has_the_gradients_of_its_steps(kernels, rng, size, sequence, reverse, masked, dtype):
    given = tensors(rng, size, 4, dtype)
    steps, batch, _, units = size
    shapes = [(batch, steps, units), (batch, units), (batch, units)][not sequence :]
    gs = [rng.standard_normal(s).astype(dtype) for s in shapes]
    rest = mask_for(rng, size, masked), reverse, sequence
    with kcore.backend("reference"):
        for got, want in zip(*gradients(ops.lstm, ops.lstm.op.body, given, rest, gs), strict=True):
            close(got, want, dtype, 1000)


@both_dtypes
@sizes
@ways
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("reset_after", [False, True])
def test_gru_has_the_gradients_of_its_steps(kernels, rng, size, reset_after, sequence, reverse, masked, dtype):
    x, h, _, *weights = tensors(rng, size, 3, dtype, 2 if reset_after else 1)
    steps, batch, _, units = size
    shapes = [(batch, steps, units), (batch, units)][not sequence :]
    gs = [rng.standard_normal(s).astype(dtype) for s in shapes]
    rest = mask_for(rng, size, masked), reverse, sequence, reset_after
    with kcore.backend("reference"):
        for got, want in zip(*gradients(ops.gru, ops.gru.op.body, [x, h, *weights], rest, gs), strict=True):
            close(got, want, dtype, 1000)


@both_dtypes
@pytest.mark.parametrize("masked", [False, True])
def test_thread_counts_give_the_same_bits(kernels, rng, masked, dtype):
    size = steps, batch, _, units = (3, 37, 4, 19)
    mask = mask_for(rng, size, masked)
    mask = None if mask is None else np.ascontiguousarray(mask.T)
    x, h, c, kernel, recurrent, bias = tensors(rng, size, 4, dtype)
    x = np.ascontiguousarray(np.swapaxes(x, 0, 1))
    gates, g = (rng.standard_normal((steps, batch, n * units)).astype(dtype) for n in (4, 1))
    narrow, of_state = np.ascontiguousarray(recurrent[:, : 3 * units]), np.ascontiguousarray(bias[: 3 * units])

    def run(threads):
        own = gates.copy()
        hs, cells, _ = kernels.lstm(own, recurrent, bias, h, c, mask, threads=threads)
        found = [hs, cells, own, *kernels.lstm_grad(g, h, c, own, cells, recurrent, c, mask, threads=threads)]
        found += kernels.lstm(None, recurrent, bias, h, c, mask, threads=threads, x=x, kernel=kernel)
        for after in (False, True):
            own = np.ascontiguousarray(gates[..., : 3 * units])
            more = (mask, False, after)
            hs, extra = kernels.gru(own, narrow, of_state, of_state if after else None, h, *more, threads=threads)
            found += [hs, extra, own, *kernels.gru_grad(g, h, own, hs, extra, narrow, h, *more, threads=threads)]
        return found

    for one, three in zip(run(1), run(3), strict=True):
        np.testing.assert_array_equal(one, three)


def test_nan_stays_in_its_row_and_infinities_saturate(kernels, rng):
    x, h, c, kernel, recurrent, bias = tensors(rng, (4, 5, 3, 20), 4, "float32")
    x = x.copy()
    clean = reference.lstm(x, h, c, kernel, recurrent, bias, None, False, True)[0]
    x[2, 1, 0] = np.nan
    dirty = reference.lstm(x, h, c, kernel, recurrent, bias, None, False, True)[0]
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(dirty[others], clean[others])
    np.testing.assert_array_equal(dirty[2, :1], clean[2, :1])
    assert np.isnan(dirty[2, 1:]).all()
    x[2, 1, 0] = np.inf
    with np.errstate(all="ignore"):
        want = reference._lstm_definition(x, h, c, kernel, recurrent, bias, None, False)[0]
    np.testing.assert_allclose(reference.lstm(x, h, c, kernel, recurrent, bias, None, False, True)[0], want, atol=1e-5)


def test_no_steps_leave_the_states(kernels, rng):
    x, h, c, kernel, recurrent, bias = tensors(rng, (0, 3, 2, 5), 4, "float32")
    hs, last_h, last_c = reference.lstm(x, h, c, kernel, recurrent, bias, None, False, True)
    assert hs.shape == (3, 0, 5)
    np.testing.assert_array_equal(last_h, h)
    np.testing.assert_array_equal(last_c, c)
    with kcore.backend("reference"):
        dx, dh = kcore.grad(lambda x, h: ops.sum(ops.lstm(x, h, c, kernel, recurrent, bias)[1]), (0, 1))(x, h)
    assert dx.shape == x.shape
    assert np.all(dh == 1)


def test_an_empty_batch_is_fine(kernels, rng):
    x, h, _, kernel, recurrent, bias = tensors(rng, (3, 0, 2, 5), 3, "float32", 2)
    assert reference.gru(x, h, kernel, recurrent, bias, None, False, True, True)[0].shape == (0, 3, 5)


def test_wrong_arrays_raise(kernels):
    gates, recurrent, h = (np.zeros(s, "float32") for s in ((2, 3, 16), (4, 16), (3, 4)))
    with pytest.raises(ValueError, match=r"expected shape \(4, 16\)"):
        kernels.lstm(gates, np.zeros((4, 12), "float32"), None, h, h)
    with pytest.raises(ValueError, match=r"expected shape \(3, 4\)"):
        kernels.lstm(gates, recurrent, None, h[:2], h)
    with pytest.raises(ValueError, match=r"expected shape \(5, 16\)"):
        kernels.lstm(None, recurrent, None, h, h, x=np.zeros((2, 3, 5), "float32"), kernel=recurrent)
    with pytest.raises(ValueError, match="either gates, or x and kernel"):
        kernels.lstm(gates, recurrent, None, h, h, kernel=recurrent)
    with pytest.raises(TypeError, match="bool mask"):
        kernels.lstm(gates, recurrent, None, h, h, np.ones((2, 3), "int8"))
    with pytest.raises(ValueError, match=r"expected shape \(2, 3\)"):
        kernels.lstm(gates, recurrent, None, h, h, np.ones((3, 2), bool))
    narrow = np.zeros((2, 3, 12), "float32"), np.zeros((4, 12), "float32")
    with pytest.raises(ValueError, match="without reset_after"):
        kernels.gru(*narrow, None, np.zeros(12, "float32"), h, reset_after=False)
