"""Steps through torch.compile.

A step is traced on the variables' values, gradients included, into one graph of tensor operations, as
JAX does it; torch.compile gets that graph, and so never has to follow kcore's own Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from kcore import tree
from kcore.state import StatelessScope


class CompiledStep:
    """A step as a compiled graph; one for each combination of shapes and dtypes that it meets.

    Args:
        step: A function of a batch that reads and assigns variables.
        assigned: The variables that it may assign.
        read: Further variables that it reads.
    """

    def __init__(self, step: Callable, assigned: list[Any], read: list[Any]) -> None:
        self._step, self._assigned, self._read = step, assigned, read
        self._graphs: dict[Any, tuple[Callable, Any]] = {}

    def __call__(self, data: Any) -> Any:
        leaves = tree.flatten(data)
        tensors = [x for x in leaves if x is not None]
        if any(x.layout is not torch.strided for x in tensors):  # make_fx traces no sparse tensors
            return self._step(data)
        key = tuple(None if x is None else (x.shape, x.dtype, x.device) for x in leaves)
        values = [v._storage.detach() for v in (*self._assigned, *self._read)]
        if key not in self._graphs:
            self._graphs[key] = self._traced(data, leaves, values, tensors)
        graph, shell = self._graphs[key]
        with torch.no_grad():
            results = graph(*values, *tensors)
            count = len(results) - len(self._assigned)
            for variable, value in zip(self._assigned, results[count:]):
                variable._storage.copy_(value)
        return tree.pack_sequence_as(shell, results[:count])

    def _traced(self, data: Any, leaves: list[Any], values: list[Any], tensors: list[Any]) -> tuple[Callable, Any]:
        """(the compiled graph, the structure of what the step returns)."""
        shell: list[Any] = [None]

        def pure(*flat: Any) -> list[Any]:
            given, rest = flat[: len(values)], iter(flat[len(values) :])
            batch = tree.pack_sequence_as(data, [None if x is None else next(rest) for x in leaves])
            with StatelessScope(zip((*self._assigned, *self._read), given, strict=True)) as scope:
                result = self._step(batch)
            shell[0] = tree.map_structure(lambda _: None, result)
            after = [scope.get_current_value(v) for v in self._assigned]
            return [x.detach() for x in (*tree.flatten(result), *after)]

        pure(*values, *tensors)  # finds out which kernels are missing, before a failed call can get into the graph
        graph = make_fx(pure)(*values, *tensors)
        return torch.compile(graph), shell[0]
