"""Layers against Keras's: the same call makes both, and everything that a user sees of them is compared."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import kcore.layers
from kcore import naming, tree

sys.path.insert(0, str(Path(__file__).parent.parent))
from peers import keras


@pytest.fixture
def same_as_keras():
    """The comparison, as a function (expression, *inputs, ...): see `compare`."""
    return compare


@pytest.fixture
def pair():
    """A function (expression, *inputs) to a layer here and its peer, built by a call and with the same weights."""
    return made_pair


@pytest.fixture
def both():
    """A function (expression) to a layer here and its peer, of the same config."""

    def made(expression):
        ours, theirs = (maker(expression)(namespace) for namespace in (kcore.layers, keras().layers))
        same_but_for_name(ours, theirs)
        return ours, theirs

    return made


def same_but_for_name(ours, theirs):
    """The same config, whatever the automatic names."""
    a, b = _plain(ours.get_config()), _plain(theirs.get_config())
    assert list(a) == list(b)
    assert _close(a | {"name": ""}, b | {"name": ""}), f"{a} is not {b}"


def maker(expression):
    """What makes the layer that an expression in `L`, a namespace of layers, stands for."""
    return lambda namespace: eval(expression, {"L": namespace, "np": np})


def made_pair(expression, *inputs):
    """(ours, theirs), called on the inputs once, with the same weights."""
    naming.reset_names()
    keras().backend.clear_session()
    ours, theirs = maker(expression)(kcore.layers), maker(expression)(keras().layers)
    for layer in (ours, theirs):
        layer(inputs[0] if len(inputs) == 1 else list(inputs))
    copy_weights(ours, theirs)
    return ours, theirs


def compare(expression, *inputs, call=None, training=(False,), tol=1e-5, symbolic=True):
    """Makes a layer here and in Keras, gives both the same weights, and compares what they show and compute.

    Args:
        expression: Makes the layer, from `L`, the namespace of layers: "L.Dense(4)".
        inputs: Arrays; several are given in a list.
        call: Keyword arguments of the call.
        training: The values of `training` to call it with, one after the other; None leaves it out.
        tol: |ours - theirs| / max(1, |theirs|) at most.
        symbolic: Whether to call it on symbolic inputs too.

    Returns:
        (ours, theirs).
    """
    theirs_of, make = keras(), maker(expression)
    naming.reset_names()
    theirs_of.backend.clear_session()
    with np.errstate(all="ignore"):
        ours, theirs = make(kcore.layers), make(theirs_of.layers)
        same_config(ours, theirs)
        given = inputs[0] if len(inputs) == 1 else list(inputs)
        options = {"training": training[0]} if _takes_training(theirs) and training[0] is not None else {}
        ours(given, **options, **(call or {}))
        theirs(given, **options, **(call or {}))
    same_weights(ours, theirs)
    copy_weights(ours, theirs)
    for layer in (ours, theirs):
        if getattr(layer, "stateful", False):
            layer.reset_state()
    for mode in training:
        options = {"training": mode} if _takes_training(theirs) and mode is not None else {}
        with np.errstate(all="ignore"):
            y, want = ours(given, **options, **(call or {})), theirs(given, **options, **(call or {}))
        same_values(y, want, tol)
        same_values(ours.losses, theirs.losses, tol, "losses")
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            same_values(a.numpy(), np.asarray(b), tol, b.path)
    if symbolic:
        same_symbolic(make, inputs, y, call or {})
    remade = type(ours).from_config(ours.get_config())
    assert _unbuilt(_plain(remade.get_config())) == _unbuilt(_plain(ours.get_config()))
    return ours, theirs


def same_config(ours, theirs):
    """Keys in the same order, with the same values; what JSON can't tell apart is the same."""
    a, b = ours.get_config(), theirs.get_config()
    assert list(a) == list(b)
    assert _close(_plain(a), _plain(b)), f"{a} is not {b}"
    json.dumps(_plain(a))


def same_weights(ours, theirs):
    """Names, paths, shapes, dtypes, order, and which are trained."""
    for group in ("weights", "trainable_weights", "variables"):
        a, b = getattr(ours, group), getattr(theirs, group)
        # Keras does not count the states of stateful layers as variables; compiled steps need them to be.
        a = [v for v in a if v.name != "rnn_state"]
        assert [v.path for v in a] == [v.path for v in b], f"{group}: {a}, not {b}"
        assert [(tuple(v.shape), v.dtype) for v in a] == [(tuple(v.shape), v.dtype) for v in b], group
    assert ours.supports_masking == theirs.supports_masking
    a, b = ours.get_build_config(), theirs.get_build_config()
    assert _plain(a) == _plain(b)


def copy_weights(ours, theirs, seed=0):
    """Gives both the same random weights; those that are variances are positive."""
    rng = np.random.default_rng(seed)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        if not str(a.dtype).startswith(("float", "bfloat")):
            a.assign(np.asarray(b))
            continue
        value = 0.5 * rng.normal(size=a.shape)
        if any(word in a.path for word in ("variance", "stddev")):
            value = np.abs(value) + 0.1
        a.assign(value)
        b.assign(value)
    if hasattr(theirs, "finalize_state"):
        theirs.finalize_state()


def same_symbolic(make, inputs, y, call):
    """A symbolic call gives the shape and dtype of the real one, and what Keras knows of its shape."""
    ours, theirs = make(kcore.layers), make(keras().layers)
    made, want = (
        layer(specs[0] if len(specs) == 1 else specs, **call)
        for layer, specs in ((ours, [_open(kcore, x) for x in inputs]), (theirs, [_open(keras(), x) for x in inputs]))
    )
    for m, w, real in zip(tree.flatten(made), tree.flatten(want), tree.flatten(y), strict=True):
        assert len(m.shape) == len(w.shape)
        assert all(a == b or b is None for a, b in zip(m.shape, w.shape, strict=True)), f"{m.shape}, not {w.shape}"
        assert m.dtype == kcore.dtypes.name_of(real.dtype)
        assert m.shape[1:] == real.shape[1:]


def _open(library, x):
    return library.Input(batch_shape=(None, *x.shape[1:]), dtype=str(x.dtype))


def same_values(ours, theirs, tol=1e-5, what=""):
    """Outputs in the same structure, of the same shapes and dtypes, and as close as `tol` says."""
    for a, b in zip(tree.flatten(ours), tree.flatten(theirs), strict=True):
        b = np.asarray(b)
        assert tuple(a.shape) == b.shape, what
        assert kcore.dtypes.name_of(a.dtype) == kcore.dtypes.name_of(b.dtype), what
        a, b = np.asarray(a, "float64"), b.astype("float64")
        assert np.array_equal(np.isnan(a), np.isnan(b)), what
        gap = np.abs(a - b) / np.maximum(1, np.abs(b))
        assert np.nanmax(gap, initial=0) <= tol, f"{what}: {np.nanmax(gap)}"


def _takes_training(layer):
    return "training" in inspect.signature(layer.call).parameters


def _unbuilt(config):
    """A config without the shapes that inner layers were built with."""
    if isinstance(config, dict):
        return {k: _unbuilt(v) for k, v in config.items() if k != "build_config"}
    return [_unbuilt(v) for v in config] if isinstance(config, list) else config


def _plain(value):
    """What JSON makes of it: tuples are lists."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _close(a, b):
    if isinstance(b, dict):
        return isinstance(a, dict) and list(a) == list(b) and all(_close(a[k], b[k]) for k in b)
    if isinstance(b, list):
        return isinstance(a, list) and len(a) == len(b) and all(map(_close, a, b))
    if isinstance(b, float):
        return isinstance(a, (int, float)) and abs(a - b) <= 1e-7 * max(1, abs(b))
    return a == b and type(a) is type(b)
