"""Steps as the reference backend compiles them: run as they are written once, then captured for each kind of batch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import backends, state, tree
from kcore.backends.reference import tape
from kcore.backends.reference.plan import StepPlan
from kcore.backends.reference.quiet import quiet_throughout
from kcore.backends.reference.tensor import Tensor
from kcore.backends.reference.trace import captured
from kcore.backends.reference.tracer import Disturbed

_log = logging.getLogger(__name__)

# Kinds of batches that are captured for one step; batches of further ones run as the step is written.
MOST_PLANS = 32
# A capture pays for itself in so many steps; after so many that did not, there are no more.
FEW_RUNS, MOST_WASTED = 4, 4

# glibc's malloc returns the free end of its heap to the system where it is longer than twice the largest block that has come
# back so far, up to 32 MiB; a step that frees its activations would fault the same pages in again and again, which can
# take as long as its arithmetic. One such block, never touched, ends that; to other allocators it means nothing.
_LARGE = 31 << 20


class _Captured:
    """A captured step, for one kind of batch and as long as nothing it has read changes."""

    __slots__ = ("function", "revision", "runs")

    def __init__(self, function: Callable[[list[np.ndarray]], Any]) -> None:
        self.function, self.revision, self.runs = function, state.revision, 0


class CapturedStep:
    """A training, test or predict step, captured where it can be.

    The first batch of a kind runs the step as it is written, so that whatever is made late has been made; the second
    captures it; from then on the captured calls run, until something changes that the step may have read: an attribute
    of a layer, a setting. They compute the same, bit for bit. A step that can't be captured always runs as it is written.

    Args:
        step: A function of a batch.
        backend: The one that it runs on.

    Attributes:
        refused: Why the step is not captured; None if it is, or may be.
    """

    def __init__(self, step: Callable[[Any], Any], backend: Any) -> None:
        self._step, self._backend = step, backend
        self._plans: dict[Any, _Captured | None] = {}  # None: this kind has come once
        self._wasted = 0
        self.refused: str | None = None

    def __call__(self, data: Any) -> Any:
        with quiet_throughout():
            leaves: list[np.ndarray] = []
            kind = _kind(data, leaves) if self._may_capture() else None
            if kind is None:
                return self._step(data)
            found = self._plans.get(kind)
            if found is None:
                if kind in self._plans:
                    return self._captured(kind, data, leaves)
            elif found.revision == state.revision:
                found.runs += 1
                return found.function(leaves)
            elif found.runs < FEW_RUNS and self._wasted >= MOST_WASTED:
                self._refuse("what it reads changes from step to step")
            else:
                self._wasted += found.runs < FEW_RUNS
            if kind in self._plans or len(self._plans) < MOST_PLANS:
                self._plans[kind] = None
            return self._step(data)

    def _may_capture(self) -> bool:
        """Whether the step is called by a loop: in no gradient, no scope, and on its own backend."""
        outside = state._scope.get() is None and state._autocast.get() is None and not tape.active
        return outside and self.refused is None and backends.active() is self._backend

    def _captured(self, kind: Any, data: Any, leaves: list[np.ndarray]) -> Any:
        np.empty(_LARGE, np.uint8)
        try:
            plan = StepPlan(*captured(self._step, data, leaves))
            result = plan.first(leaves)
        except Exception as error:  # whatever it was: the step as it is written is right, or raises its own
            self._wasted += 1
            if not isinstance(error, Disturbed) or self._wasted > MOST_WASTED:
                self._refuse(str(error) or type(error).__name__)
            return self._step(data)
        self._plans[kind] = _Captured(plan.compiled())
        return result

    def _refuse(self, why: str) -> None:
        self.refused = why
        self._plans.clear()
        _log.debug("A step is not captured: %s.", why)


def _kind(data: Any, leaves: list[np.ndarray]) -> Any:
    """What a batch is, without its values, as a key; its tensors go to `leaves`. None for what is not known."""
    paths: Any = None
    parts = data if data.__class__ is tuple else (data,)
    if any(map(tree.is_nested, parts)):
        paths, parts = zip(*tree.flatten_with_path(data), strict=True)
    found = []
    for part in parts:
        if part.__class__ is Tensor and part._node is None:
            leaves.append(part.view(np.ndarray))
            found.append((part.dtype, part.shape))
        elif part is None:
            found.append(None)
        else:
            return None
    return data.__class__, paths, *found
