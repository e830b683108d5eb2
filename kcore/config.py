"""Process-wide settings: floatx, epsilon, image layout, numerics, and the configuration file.

`~/.keras/keras.json` (or `$KERAS_HOME/keras.json`) is read once, when first needed; it is
never written. A bad value in it is an error that names the file.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

_FLOATX = ("bfloat16", "float16", "float32", "float64")
_LAYOUTS = ("channels_first", "channels_last")
_NUMERICS = ("standard", "fast")
_settings: dict[str, Any] = {}


def path() -> pathlib.Path:
    """Where the configuration file is looked for."""
    home = os.environ.get("KERAS_HOME")
    return (pathlib.Path(home) if home else pathlib.Path.home() / ".keras") / "keras.json"


@functools.cache
def from_file() -> dict[str, Any]:
    """The settings of the configuration file; empty where there is none.

    Raises:
        ValueError: The file is no JSON object.
    """
    where = path()
    try:
        text = where.read_text()
    except OSError:
        return {}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{where} should hold a JSON object, not {type(found).__name__}.")
    return found


def _setting(name: str, default: Any, check: Any) -> Any:
    if name not in _settings:
        _settings[name] = check(from_file().get(name, default))
    return _settings[name]


def _checked_floatx(value: str) -> str:
    if value not in _FLOATX:
        raise ValueError(f"floatx is {value!r}; expected one of {', '.join(_FLOATX)}.")
    return value


def _checked_layout(value: str) -> str:
    if value not in _LAYOUTS:
        raise ValueError(f"image_data_format is {value!r}; expected one of {', '.join(_LAYOUTS)}.")
    return value


def _checked_numerics(value: str) -> str:
    if value not in _NUMERICS:
        raise ValueError(f"numerics is {value!r}; expected one of {', '.join(_NUMERICS)}.")
    return value


def floatx() -> str:
    """The default float dtype, "float32" unless set."""
    return _settings.get("floatx") or _setting("floatx", "float32", _checked_floatx)


def set_floatx(value: str) -> None:
    """Sets the default float dtype: bfloat16, float16, float32 or float64."""
    _settings["floatx"] = _checked_floatx(value)
    for listener in _listeners:
        listener()


def epsilon() -> float:
    """The small number that keeps denominators and logarithms finite, 1e-7 unless set."""
    return _setting("epsilon", 1e-7, float)


def set_epsilon(value: float) -> None:
    """Sets the small number used against division by zero."""
    _settings["epsilon"] = float(value)


def image_data_format() -> str:
    """The default image layout, "channels_last" unless set."""
    return _setting("image_data_format", "channels_last", _checked_layout)


def set_image_data_format(data_format: str) -> None:
    """Sets the default image layout: "channels_last" or "channels_first"."""
    _settings["image_data_format"] = _checked_layout(data_format)
    for listener in _listeners:
        listener()


def numerics() -> str:
    """How the reference backend computes: "standard", or "fast"; from `$KCORE_NUMERICS`, "standard" unless set."""
    if "numerics" not in _settings:
        _settings["numerics"] = _checked_numerics(os.environ.get("KCORE_NUMERICS") or "standard")
    return _settings["numerics"]


def set_numerics(value: str) -> None:
    """Sets how the reference backend computes.

    "fast" allows algorithms that are less accurate: float32 convolutions of 3x3 with stride 1, and their input
    gradients, are done by Winograd's where that pays, with errors up to 40 times as large (about 1e-4 of the results'
    standard deviation), and nan around inputs that are not finite. All else stays as it is.

    Raises:
        ValueError: It is neither "standard" nor "fast".
    """
    _settings["numerics"] = _checked_numerics(value)
    for listener in _listeners:
        listener()


@contextlib.contextmanager
def numerics_scope(value: str) -> Iterator[None]:
    """Sets `numerics` for a block; for the whole process, as all settings here."""
    before = numerics()
    set_numerics(value)
    try:
        yield
    finally:
        set_numerics(before)


def standardize_data_format(data_format: str | None) -> str:
    """`data_format` checked, or the default for None."""
    return image_data_format() if data_format is None else _checked_layout(data_format)


# Called when a setting that op plans depend on changes.
_listeners: list[Any] = []


def on_change(listener: Any) -> None:
    _listeners.append(listener)


# -- what Keras keeps under the same name -------------------------------------------------


def backend() -> str:
    """The name of the active backend."""
    from kcore import backends

    chosen = backends.chosen.get()
    return chosen.name if chosen is not None else backends.default_name()


def set_backend(backend: str) -> None:
    """Makes a backend the process default; layers and variables keep the one that they were made under.

    Raises:
        ValueError: There is no such backend.
        ImportError: Its framework is not installed.
    """
    from kcore import backends

    backends.set_default(backend)


def dtype_policy() -> Any:
    """The dtype policy of layers that are given none."""
    from kcore import dtype_policies

    return dtype_policies.dtype_policy()


def set_dtype_policy(policy: Any) -> None:
    """Sets the dtype policy of layers made from now on: a DTypePolicy or the name of one."""
    from kcore import dtype_policies

    dtype_policies.set_dtype_policy(policy)


# -- switches -----------------------------------------------------------------------------


def enable_unsafe_deserialization() -> None:
    """From now on files may bring code; only for files that you trust."""
    from kcore import saving

    saving.enable_unsafe_deserialization()


def is_interactive_logging_enabled() -> bool:
    """Whether progress and messages go to stdout; else to the logger "kcore". True unless set."""
    return _settings.get("interactive_logging", True)


def enable_interactive_logging() -> None:
    """Prints progress and messages to stdout."""
    _settings["interactive_logging"] = True


def disable_interactive_logging() -> None:
    """Sends progress and messages to the logger "kcore", at level INFO."""
    _settings["interactive_logging"] = False


def is_traceback_filtering_enabled() -> bool:
    """Whether tracebacks of the training loop leave kcore's inner frames out. True unless set."""
    return _settings.get("traceback_filtering", True)


def enable_traceback_filtering() -> None:
    """Leaves kcore's inner frames out of tracebacks of the training loop."""
    _settings["traceback_filtering"] = True


def disable_traceback_filtering() -> None:
    """Shows tracebacks whole."""
    _settings["traceback_filtering"] = False


def is_flash_attention_enabled() -> bool | None:
    """What `flash_attention=None` means in attention: True, False, or None: what the backend finds best."""
    return _settings.get("flash_attention")


def enable_flash_attention() -> None:
    """Has attention insist on the framework's fused kernel unless a call says otherwise."""
    _set_flash_attention(True)


def disable_flash_attention() -> None:
    """Has attention go without fused kernels unless a call says otherwise."""
    _set_flash_attention(False)


def _set_flash_attention(value: bool | None) -> None:
    _settings["flash_attention"] = value
    for listener in _listeners:
        listener()


def is_nnx_enabled() -> bool:
    """Whether JAX layers are flax.nnx modules: they are not, their state is a pytree of its own."""
    return False


def max_epochs() -> int | None:
    """The most epochs that `fit` runs, whatever it is asked for; from `$KERAS_MAX_EPOCHS`, None without a limit."""
    return _limit("max_epochs", "KERAS_MAX_EPOCHS")


def set_max_epochs(max_epochs: int | None) -> None:
    """Limits the epochs of every `fit`; None takes the limit away."""
    _settings["max_epochs"] = _checked_limit("max_epochs", max_epochs)


def max_steps_per_epoch() -> int | None:
    """The most batches in an epoch, an evaluation or a prediction; from `$KERAS_MAX_STEPS_PER_EPOCH`, None without a limit."""
    return _limit("max_steps_per_epoch", "KERAS_MAX_STEPS_PER_EPOCH")


def set_max_steps_per_epoch(max_steps_per_epoch: int | None) -> None:
    """Limits the batches of every epoch, evaluation and prediction; None takes the limit away."""
    _settings["max_steps_per_epoch"] = _checked_limit("max_steps_per_epoch", max_steps_per_epoch)


def _limit(name: str, variable: str) -> int | None:
    if name not in _settings:
        text = os.environ.get(variable)
        _settings[name] = _checked_limit(variable, int(text)) if text else None
    return _settings[name]


def _checked_limit(name: str, value: int | None) -> int | None:
    if value is not None and (not isinstance(value, int) or value < 1):
        raise ValueError(f"{name} is {value!r}; expected a positive integer or None.")
    return value
