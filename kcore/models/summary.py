"""The table of a model's layers, output shapes and parameters."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kcore import dtypes, tree
from kcore.layers import home


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Prints the summary of a model; see `Model.summary` for the arguments."""
    from rich.console import Console
    from rich.table import Table

    width = line_length or min(shutil.get_terminal_size((80, 24)).columns, 98)
    branched = not _is_chain(model)
    titles = ["Layer (type)", "Output Shape", "Param #"]
    titles += ["Connected to"] if branched else []
    titles += ["Trainable"] if show_trainable else []
    table = Table(width=width)
    shares = _shares(positions, len(titles))
    for title, share in zip(titles, shares, strict=True):
        table.add_column(
            title, justify="right" if title == "Param #" else "left", ratio=share, overflow="fold", no_wrap=False
        )
    for depth, layer, owner in _rows(model, expand_nested, layer_range):
        row = [
            f"{'    ' * depth}{layer.name} ({home.own_class(layer).__name__})",
            _shape_text(layer),
            f"{layer.count_params():,}" if layer.built else "0 (unbuilt)",
        ]
        row += [_sources(layer, owner)] if branched else []
        row += ["Y" if layer.trainable else "N"] if show_trainable else []
        table.add_row(*row)

    console = Console(width=width, highlight=False, force_terminal=False, no_color=True)
    with console.capture() as captured:
        console.print(f'Model: "{model.name}"')
        console.print(table)
        for line in _totals(model):
            console.print(line)
    text = captured.get()
    if print_fn is None:
        pass
    else:
        print_fn(text)


def _is_chain(model: Any) -> bool:
    """Whether each layer takes the one before: then no column says what is connected to what."""
    graph = getattr(model, "_graph", None)
    if graph is None:
        return True
    used: dict[int, int] = {}
    for node in graph.nodes:
        for tensor in node.inputs:
            at = id(tensor._keras_history.operation)
            used[at] = used.get(at, 0) + 1
        if len(node.inputs) > 1:
            return False
    return all(count == 1 for count in used.values()) and len(model.inputs) == 1


def _shares(positions: Sequence[float] | None, count: int) -> list[int]:
    """How the columns share the width; positions are where each ends, as shares or characters."""
    if positions is None:
        return [8, 6, 4, 8, 3][:count] if count > 3 else [9, 7, 4]
    ends = [0.0, *positions[:count]]
    widths = [max(b - a, 0) for a, b in itertools.pairwise(ends)]
    whole = sum(widths) or 1
    return [max(round(100 * w / whole), 1) for w in widths] + [10] * (count - len(widths))


def _rows(model: Any, expand: bool, layer_range: Sequence[str] | None) -> list[tuple[int, Any, Any]]:
    """(depth, layer, the model it is in) for each line."""
    own = list(model.layers)
    if layer_range is not None:
        own = _within(own, layer_range)
    rows = []
    for layer in own:
        rows.append((0, layer, model))
        if expand and hasattr(layer, "layers"):
            rows += [(depth + 1, inner, owner) for depth, inner, owner in _rows(layer, True, None)]
    return rows


def _within(own: list[Any], layer_range: Sequence[str]) -> list[Any]:
    if len(layer_range) != 2:
        raise ValueError(f"summary: layer_range={layer_range!r} should be the names of two layers.")
    found = []
    for pattern in layer_range:
        at = [i for i, layer in enumerate(own) if re.fullmatch(pattern, layer.name)]
        if not at:
            raise ValueError(f"summary: no layer is called {pattern!r}; there are {', '.join(x.name for x in own)}.")
        found.append(at)
    return own[min(found[0]) : max(found[1]) + 1]


def _shape_text(layer: Any) -> str:
    if not layer._inbound_nodes:
        return "?"
    shapes = [str(t.shape) for t in layer._inbound_nodes[0].outputs]
    return ", ".join(shapes)


def _sources(layer: Any, owner: Any) -> str:
    """Where a layer's arguments come from: "dense[0][0]", call and result."""
    found = []
    graph = getattr(owner, "_graph", None)
    for i, node in enumerate(layer._inbound_nodes):
        if graph is not None and (id(layer), i) not in graph.node_keys:
            continue
        for tensor in node.inputs:
            operation, at, index = tensor._keras_history
            found.append(f"{operation.name}[{at}][{index}]")
    return ", ".join(found) or "-"


def _totals(model: Any) -> list[str]:
    if not model.built:
        return [" Total params: 0 (unbuilt)"]
    trainable = {id(w) for w in model.trainable_weights}
    groups = {
        "Trainable": [w for w in model.weights if id(w) in trainable],
        "Non-trainable": [w for w in model.weights if id(w) not in trainable],
    }
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.built:
        groups["Optimizer"] = optimizer.variables
    every = tree.flatten(list(groups.values()))
    lines = [f" Total params: {_counted(every)}"]
    return lines + [f" {name} params: {_counted(group)}" for name, group in groups.items()]


def _counted(variables: list[Any]) -> str:
    count = sum(int(np.prod(v.shape)) for v in variables)
    size = sum(int(np.prod(v.shape)) * dtypes.to_numpy(v._dtype).itemsize for v in variables)
    return f"{count:,} ({_size_text(size)})"


def _size_text(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"
