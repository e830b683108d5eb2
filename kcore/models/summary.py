"""The table of a model's layers, output shapes and parameters, laid out as Keras's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from kcore import dtypes, tree
from kcore.layers import home
from kcore.ops.mechanism import OpCall

# Where the columns end, as shares of the width; and the width that is not exceeded unless asked for.
_CHAIN = ([0.45, 0.8, 1.0], 88)
_BRANCHED = ([0.3, 0.56, 0.74, 1.0], 108)


class _Row(NamedTuple):
    depth: int
    operation: Any
    owner: Any  # the model that it is in


def print_summary(
    model: Any,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    print_fn: Callable[[str], Any] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """Prints the summary of a model; see `Model.summary` for the arguments."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    chain = _is_chain(model)
    titles = ["Layer (type)", "Output Shape", "Param #"] + ([] if chain else ["Connected to"])
    titles += ["Trainable"] if show_trainable else []
    shares, most = _CHAIN if chain else _BRANCHED
    if show_trainable:
        shares, most = [*(0.9 * s for s in shares), 1.0], most + 12
    width = line_length or min(most, Console().width - 4)
    table = Table(width=width, show_lines=True, header_style="bold")
    for title, size in zip(titles, _widths(positions or shares, width, len(titles)), strict=True):
        justify: Any = {"Param #": "right", "Trainable": "center"}.get(title, "left")
        table.add_column(Text(title, justify="left" if title == "Trainable" else justify), width=size, justify=justify)
    for row in _rows(model, expand_nested, layer_range):
        cells = _cells(row, show_trainable)
        if not chain:
            cells.insert(3, _sources(row.operation, model) if row.owner is model else "-")
        table.add_row(*map(Text, cells))

    styled = {} if print_fn is None else {"no_color": True, "force_terminal": False}
    console = Console(width=width, highlight=False, **styled)  # type: ignore[arg-type]
    with console.capture() as captured:
        console.print(Text(f'Model: "{model.name}"', style="bold"), soft_wrap=True)
        console.print(table)
        for line in _totals(model):
            console.print(Text(line), soft_wrap=True)
    (console.file.write if print_fn is None else print_fn)(captured.get())


def _is_chain(model: Any) -> bool:
    """Whether each layer takes the one before: then no column says what is connected to what."""
    graph = getattr(model, "_graph", None)
    if graph is None:
        return True
    users: dict[int, int] = {}
    for node in graph.nodes.values():
        if len(node.inputs) > 1:
            return False
        for tensor in node.inputs:
            source = id(tensor._keras_history.operation)
            users[source] = users.get(source, 0) + 1
    once = all(len(graph.calls_of(operation)) == 1 for operation in graph.operations)
    return once and all(count == 1 for count in users.values()) and len(model.inputs) == 1


def _widths(positions: Sequence[float], width: int, count: int) -> list[int]:
    """The columns' widths without borders and padding; positions are where each ends, as shares or characters.

    Raises:
        ValueError: There are not as many positions as columns.
    """
    if len(positions) < count:
        raise ValueError(f"summary: positions={list(positions)} should have {count} entries, one for each column.")
    ends = [int(width * p) if positions[count - 1] <= 1 else int(p) for p in positions[:count]]
    sizes = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    # Borders: one for each column and one more, which is taken from the last but one.
    return [max(size - (4 if i == count - 2 else 3), 1) for i, size in enumerate(sizes)]


def _rows(model: Any, expand: bool, layer_range: Sequence[str] | None) -> Iterator[_Row]:
    own = list(getattr(model, "operations", model.layers))
    for operation in own if layer_range is None else _within(own, layer_range):
        yield _Row(0, operation, model)
        if expand and hasattr(operation, "layers"):
            for depth, inner, owner in _rows(operation, True, None):
                yield _Row(depth + 1, inner, owner)


def _within(own: list[Any], layer_range: Sequence[str]) -> list[Any]:
    if len(layer_range) != 2:
        raise ValueError(
            f"summary: layer_range={layer_range!r} should be the names of two layers, or patterns of them."
        )
    found = []
    for pattern in layer_range:
        at = [i for i, operation in enumerate(own) if re.match(pattern, operation.name)]
        if not at:
            names = ", ".join(operation.name for operation in own)
            raise ValueError(f"summary: no layer is called {pattern!r}; there are {names}.")
        found.append(at)
    return own[min(found[0]) : max(found[1]) + 1]


def _cells(row: _Row, show_trainable: bool) -> list[str]:
    operation = row.operation
    kind = operation.class_name if isinstance(operation, OpCall) else home.public_class(operation).__name__
    mark = f"{'   ' * row.depth}└ " if row.depth else ""
    cells = [f"{mark}{operation.name} ({kind})", _shape_text(operation), _count_text(operation)]
    if show_trainable:
        weights = getattr(operation, "weights", ())
        cells.append(("Y" if operation.trainable else "N") if weights else "-")
    return cells


def _count_text(operation: Any) -> str:
    if not getattr(operation, "built", True):
        return "0 (unbuilt)"
    return f"{_elements(getattr(operation, 'weights', ())):,}"


def _shape_text(operation: Any) -> str:
    """The shape of the results, or a list of several; "?" where nothing tells."""
    if operation._inbound_nodes:
        return _as_text([t.shape for t in operation._inbound_nodes[0].outputs])
    shapes = getattr(operation, "_build_shapes", None)
    if not shapes:
        return "?"
    try:
        compute = operation.compute_output_shape
        found = compute(*shapes.values()) if len(shapes) == 1 else compute(**shapes)
    except Exception:  # only a call on data would tell
        return "?"
    return _as_text(found) if isinstance(found, list) else str(found)


def _as_text(shapes: list[Any]) -> str:
    return str(shapes[0]) if len(shapes) == 1 else f"[{', '.join(map(str, shapes))}]"


def _sources(operation: Any, model: Any) -> str:
    """Where the arguments come from: "dense[0][0]", call and result."""
    found = []
    for _, node in model._graph.calls_of(operation):
        for tensor in node.inputs:
            source, call, index = tensor._keras_history
            found.append(f"{source.name}[{call}][{index}]")
    return ", ".join(found) or "-"


def _totals(model: Any) -> list[str]:
    trainable = {id(w) for w in model.trainable_weights}
    groups = {
        "Trainable": [w for w in model.weights if id(w) in trainable],
        "Non-trainable": [w for w in model.weights if id(w) not in trainable],
    }
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.built:
        groups["Optimizer"] = optimizer.variables
    lines = [f" Total params: {_counted(tree.flatten(list(groups.values())))}"]
    return lines + [f" {name} params: {_counted(group)}" for name, group in groups.items()]


def _elements(variables: Sequence[Any]) -> int:
    return sum(int(np.prod(v.shape)) for v in variables)


def _counted(variables: list[Any]) -> str:
    size = sum(int(np.prod(v.shape)) * dtypes.to_numpy(v._dtype).itemsize for v in variables)
    return f"{_elements(variables):,} ({_size_text(size)})"


def _size_text(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} TB"
