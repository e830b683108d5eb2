"""Calls of ops in configs, as Keras writes them.

Keras has a class behind each op. What its __init__ takes is in the "config", what its call takes is
in the "args" and "kwargs" of the node. As a rule the tensors are the call's, by position, and
the rest is the config's; the tables have what differs.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from kcore import config as settings
from kcore.ops import mechanism
from kcore.ops.class_names import class_name
from kcore.ops.mechanism import OpCall

_MODULES = {
    "keras.src.ops.core": (
        "associative_scan cast cond convert_to_tensor fori_loop map saturate_cast scan scatter scatter_update slice "
        "slice_update stop_gradient switch unstack vectorized_map while_loop"
    ),
    "keras.src.ops.einops": "rearrange",
    "keras.src.ops.image": (
        "affine_transform crop_images elastic_transform extract_patches gaussian_blur hsv_to_rgb map_coordinates "
        "pad_images perspective_transform resize rgb_to_grayscale rgb_to_hsv scale_and_translate sobel_edges ssim"
    ),
    "keras.src.ops.linalg": (
        "cholesky cholesky_inverse det eig eigh inv jvp lstsq lu_factor matrix_rank norm pinv qr solve "
        "solve_triangular svd"
    ),
    "keras.src.ops.math": (
        "cdist erf erfc erfinv extract_sequences fft fft2 ifft2 in_top_k irfft istft logdet logsumexp rfft rsqrt "
        "segment_max segment_min segment_prod segment_sum stft top_k view_as_complex view_as_real"
    ),
    "keras.src.ops.nn": (
        "adaptive_average_pool adaptive_max_pool average_pool batch_normalization binary_crossentropy "
        "categorical_crossentropy celu conv conv_transpose ctc_decode ctc_loss depth_to_space depthwise_conv "
        "dot_product_attention elu fold gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh "
        "layer_normalization leaky_relu log_sigmoid log_softmax max_pool moments multi_hot normalize one_hot polar "
        "psnr relu relu6 rms_normalization selu separable_conv sigmoid silu soft_shrink softmax softplus softsign "
        "space_to_depth sparse_categorical_crossentropy sparse_plus sparse_sigmoid sparsemax squareplus swish "
        "tanh_shrink threshold unfold"
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

# Ops that Keras has no class for: a file with one loads in kcore alone.
_OWN = frozenset({"empty", "eye", "identity", "logaddexp2", "ones", "positive", "tri", "zeros"})

# Parameters of the call, by position | by keyword, where they are not simply the tensors.
_CALLS = {
    "arange": "start stop step |",
    "associative_scan": "f elems |",
    "average": "x | weights",
    "clip": "x |",
    "cond": "pred true_fn false_fn |",
    "digitize": "x bins |",
    "dot_product_attention": "query key value | bias mask scale",
    "fori_loop": "init_val |",
    "get_item": "x key |",
    "isclose": "x1 x2 rtol atol |",
    "map": "f xs |",
    "pad": "x | constant_values",
    "rms_normalization": "x | scale",
    "scan": "f init xs |",
    "select": "condlist choicelist default |",
    "slice": "inputs start_indices |",
    "slice_update": "inputs start_indices updates |",
    "switch": "index branches operands |",
    "vectorized_map": "elements |",
    "while_loop": "loop_vars |",
}
# What Keras's config has besides, and the only value of it that kcore has an op for.
_FIXED = {"layer_normalization": {"rms_scaling": False}}
# Ops whose config has the data format that None stood for.
_RESOLVE_LAYOUT = frozenset(
    [
        "activated_conv",
        "adaptive_average_pool",
        "adaptive_max_pool",
        "average_pool",
        "conv",
        "conv_transpose",
        "depthwise_conv",
        "max_pool",
        "separable_conv",
    ]
)


class Form:
    """Where the parameters of an op are in a config.

    Attributes:
        settings: Those in "config".
        positional, named: Those of the call, by position and by keyword.
    """

    def __init__(self, op: Any) -> None:
        given = _CALLS.get(op.name)
        if given is None:
            self.positional = [name for name, role in op.roles.items() if role != "plain"]
            self.named: list[str] = []
        else:
            self.positional, self.named = (part.split() for part in given.split("|"))
        in_call = {*self.positional, *self.named}
        self.settings = [name for name in op.roles if name not in in_call]


@functools.cache
def form_of(op: Any) -> Form:
    """The form of an op."""
    return Form(op)


def is_variadic(op: Any, name: str) -> bool:
    """Whether a parameter takes any number of arguments, which are then the call's one by one."""
    return op.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL


# -- writing ----------------------------------------------------------------------------


def module_of(op: Any) -> str:
    """The module of Keras's class for an op; kcore's own for what Keras lacks."""
    return _MODULE_OF.get(op.name, "kcore.ops" if op.name in _OWN else "keras.src.ops.numpy")


def settings_of(call: OpCall) -> dict[str, Any]:
    """The "config" of a call: its name, and the arguments that are no part of the node."""
    given = dict(zip(call.op.roles, call._inbound_nodes[0].args, strict=True))
    found = {"name": call.name} | {name: given[name] for name in form_of(call.op).settings}
    if call.op.name in _RESOLVE_LAYOUT and found["data_format"] is None:
        found["data_format"] = settings.image_data_format()
    return found | _FIXED.get(call.op.name, {})


def node_arguments(call: OpCall, args: tuple) -> tuple[tuple, dict[str, Any]]:
    """(args, kwargs) of a node, from all the op's arguments in order."""
    given, form = dict(zip(call.op.roles, args, strict=True)), form_of(call.op)
    positional: list[Any] = []
    if call.op.name == "get_item" and isinstance(given["key"], list):
        given["key"] = np.asarray(given["key"])  # in a file a list stands for a tuple
    for name in form.positional:
        positional += given[name] if is_variadic(call.op, name) else [given[name]]
    return tuple(positional), {name: given[name] for name in form.named}


# -- reading ----------------------------------------------------------------------------


@functools.cache
def _by_class() -> dict[str, tuple[Any, str]]:
    """Class name -> (op, the public name it is called by)."""
    from kcore import ops

    found: dict[str, tuple[Any, str]] = {}
    for public in (ops, *(getattr(ops, n) for n in ("image", "linalg", "nn") if hasattr(ops, n))):
        for name, function in vars(public).items():
            op = getattr(function, "op", None)
            if isinstance(op, mechanism.Op) and not name.startswith("_"):
                found.setdefault(class_name(name), (op, name))
    for name, op in mechanism.REGISTRY.items():  # an op's own name comes before its aliases
        found[class_name(name)] = (op, name)
    # Where two ops have one class, the op that is named after it.
    found.update(
        {"Silu": (mechanism.REGISTRY["silu"], "silu"), "HardSilu": (mechanism.REGISTRY["hard_silu"], "hard_silu")}
    )
    return found


class PendingCall:
    """A call of an op that a config describes: made when the tensors are there."""

    def __init__(self, op: Any, called: str, config: dict[str, Any]) -> None:
        config = dict(config)
        self.op = op
        self.call = OpCall(op, called, config.pop("name", None))
        for name, value in _FIXED.get(op.name, {}).items():
            if config.pop(name, value) != value:
                raise ValueError(f"{op.name}: {name} can only be {value!r} here.")
        unknown = sorted(set(config) - set(op.roles))
        if unknown:
            raise ValueError(f"{op.name}: the config has {', '.join(unknown)}, which the op does not take.")
        self.settings = config

    @property
    def name(self) -> str:
        return self.call.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The symbolic result, as the op's own call would record it."""
        given = {**self.settings, **kwargs, **dict(self._by_name(args))}
        parameters = self.op.signature.parameters
        missing = [n for n, p in parameters.items() if n not in given and p.default is p.empty]
        if missing or set(given) - set(parameters):
            what = (
                f"lacks {', '.join(missing)}"
                if missing
                else f"has {', '.join(sorted(set(given) - set(parameters)))} too"
            )
            raise ValueError(f"{self.name}: the call of {self.op.name} {what}.")
        if self.op.name == "get_item" and isinstance(given["key"], list):
            given["key"] = tuple(given["key"])
        full = tuple(given.get(n, p.default) for n, p in parameters.items())
        return self.op.trace(full, self.call)

    def _by_name(self, args: tuple) -> Iterator[tuple[str, Any]]:
        names = list(form_of(self.op).positional)
        for i, name in enumerate(names):
            if is_variadic(self.op, name):
                yield name, args[i:]
                return
            if i < len(args):
                yield name, args[i]
        if len(args) > len(names):
            raise ValueError(f"{self.name}: {self.op.name} takes {len(names)} arguments, the config has {len(args)}.")


class OpReader:
    """Stands for an op's class while a config is read."""

    def __init__(self, op: Any, called: str) -> None:
        self.op, self.called = op, called

    def from_config(self, config: dict[str, Any]) -> PendingCall:
        return PendingCall(self.op, self.called, config)


def reader_of(class_name: str) -> OpReader:
    """What makes calls of the op behind one of Keras's classes ("Multiply", "GetItem").

    Raises:
        TypeError: There is no such op.
    """
    found = _by_class().get(class_name)
    if found is None:
        raise TypeError(f"The operation {class_name!r} is not known.")
    return OpReader(*found)
