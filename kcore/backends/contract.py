"""What a backend offers. A new backend is a folder with a `Backend` subclass and op modules.

The ops themselves are plain functions in the folder's family modules (`elementwise.py`,
`reduce.py`, ...), found by name. They get arguments that the op's rule has checked,
normalized and cast, by position, and return a native tensor (or a tuple, or a list, as the
op says). A rename is a whole definition: `sinh = torch.sinh`. Names with a leading
underscore are helpers.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
import types
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from kcore import dtypes, tree
from kcore.backends.coo import Coo, home_of, to_coo
from kcore.backends.host import to_array

Fn = Callable[..., Any]
NO_CONTEXT = contextlib.nullcontext()
# A wider dtype for each that frameworks lack kernels for: `Backend.wider` of those that lack many.
WIDER: dict[str, str | None] = {
    **dict.fromkeys(("bool", "int8", "uint8", "int16", "uint16"), "int32"),
    "uint32": "int64",
    "uint64": None,
    **dict.fromkeys(("float16", "bfloat16", *dtypes.FLOAT8), "float32"),
}


# fmt: off
FAMILIES = (
    "activate", "attention", "control", "conv", "convert", "create", "decompose", "differentiate", "elementwise", "fourier",
    "fused", "image", "index", "join", "linalg", "loss", "normalize", "pool", "random", "recurrent", "reduce", "resample",
    "segment", "sequence", "shape", "sort", "special", "statistics", "vectorize",
)
# fmt: on


def families(package: str) -> list[types.ModuleType]:
    """The family modules that a backend's package has."""
    here = {module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)}
    return [importlib.import_module(f"{package}.{name}") for name in FAMILIES if name in here]


def collect(*modules: types.ModuleType) -> dict[str, Fn]:
    """The op table of a backend: every public function of its family modules, by name.

    What a module merely imports from kcore, typing, or elsewhere in its own package, is not its own, and left out; so are
    the private ops that it declares for its gradient rules.
    """
    table: dict[str, Fn] = {}
    for module in modules:
        packages = ("kcore.", module.__name__.partition(".")[0] + ".")
        for name, value in vars(module).items():
            if name.startswith("_") or isinstance(value, (types.ModuleType, type)) or not callable(value):
                continue
            home = getattr(value, "__module__", None) or ""
            if home in ("typing", "collections.abc") or (
                home.startswith(packages) and (home != module.__name__ or hasattr(value, "op"))
            ):
                continue
            if name in table:
                raise ValueError(f"{module.__name__}.{name}: another module of this backend defines {name} too.")
            table[name] = value
    return table


def _loaded(name: str) -> Backend:
    from kcore import backends

    return backends.load(name)


class Backend:
    """One backend. Subclasses fill in the class attributes and every method without a body here.

    Attributes:
        name: How users ask for it.
        ops: Functions by op name; each primitive op is here or in `unsupported`.
        sparse_ops: Functions by op name for calls on sparse tensors, where they do better than those of
            `kcore.ops.stored`; they get sparse tensors as they are. `matrix_product` is that of a sparse and a dense
            matrix, which the others lead back to.
        unsupported: Primitives that this backend does not have, each with the reason.
        tensor_types: Classes of its own tensors, tracers included.
        module_base: Class that layers derive from under this backend (torch.nn.Module...).
        wider: Dtypes that some of the framework's kernels lack, each with one that holds all its
            values; None sends it to the reference definition on the host.
    """

    name: ClassVar[str]
    ops: ClassVar[dict[str, Fn]]
    sparse_ops: ClassVar[dict[str, Fn]] = {}
    unsupported: ClassVar[dict[str, str]] = {}
    tensor_types: tuple[type, ...]
    # Whether a sparse tensor keeps what it no longer stores as padding, so that its arrays keep their size.
    pads_sparse: ClassVar[bool] = False
    # Whether sparse tensors are of the class of dense ones, so that a plan may be looked up for the wrong kind.
    hides_sparse: ClassVar[bool] = False
    module_base: type = object
    wider: ClassVar[dict[str, str | None]] = {}
    # Whether an eager op is compiled anew for each shape and dtype, so that new ones are slow at first.
    compiles_shapes: ClassVar[bool] = False
    # Whether any call takes long beside its arithmetic, so that checks should be few.
    slow_calls: ClassVar[bool] = False
    # (op, dtypes) for which a kernel was found missing. Asking again would leave the failure in a trace.
    _lacking: ClassVar[set[tuple[str, frozenset[str]]]] = set()
    # The optimizer updates that `optimizer_step` does.
    fused_steps: ClassVar[frozenset[str]] = frozenset()

    def __reduce__(self) -> tuple:
        return _loaded, (self.name,)  # a backend is itself in every copy of what refers to it

    # -- tensors ------------------------------------------------------------------------

    def is_tensor(self, x: Any) -> bool:
        """Whether `x` is one of this backend's own tensors, dense or sparse."""
        return isinstance(x, self.tensor_types) or home_of(x) == self.name

    def is_sparse(self, x: Any) -> bool:
        """Whether `x` is one of this backend's own sparse tensors."""
        return home_of(x) == self.name

    def coo(self, x: Any) -> Coo:
        """The stored elements of one of its sparse tensors, each once; gradients flow through the values."""
        raise NotImplementedError(f"The {self.name} backend has no sparse tensors.")

    def from_coo(self, x: Coo) -> Any:
        """The sparse tensor with these stored elements, as `coo` gives them or with some stored twice or out of order."""
        raise NotImplementedError(f"The {self.name} backend has no sparse tensors.")

    def convert(self, x: Any, dtype: str | None = None) -> Any:
        """`x` as a tensor: from a scalar, nested lists, an array or any framework's tensor.

        With `dtype` the result has it; without, arrays keep theirs, and Python numbers
        become bool, int32, floatx or complex64. A differentiable cast where `x` is a
        tracked tensor. A sparse tensor, of any framework, stays sparse.
        """
        raise NotImplementedError

    def convert_sparse(self, x: Any, dtype: str | None = None) -> Any:
        """A sparse tensor of any framework as one of this backend's: what `convert` does with one."""
        if home_of(x) != self.name:
            x = x if isinstance(x, Coo) else to_coo(x)
            # The indices' own dtype is the backend's affair.
            x = self.from_coo(Coo(self.convert(x.indices), self.convert(x.values, dtype), x.shape))
        if dtype is None or self.dtype(x) == dtype:
            return x
        c = self.coo(x)
        return self.from_coo(c.with_values(self.convert(c.values, dtype)))

    def numpy(self, x: Any) -> np.ndarray:
        """The values as a NumPy array of the same dtype (ml_dtypes for bfloat16 and float8)."""
        return to_array(x)

    def shape(self, x: Any) -> tuple[int | None, ...]:
        """The shape; None for a size that is unknown inside a compiled function."""
        return tuple(x.shape)

    def sizes(self, x: Any) -> tuple[Any, ...]:
        """The shape, with a scalar tensor for a size that only the run will tell."""
        return self.shape(x)

    def dtype(self, x: Any) -> str:
        """The name of the dtype."""
        return dtypes.name_of(x.dtype)

    # -- ops ----------------------------------------------------------------------------

    def bind(self, op: Any, plan: Any, sources: Sequence[Any], once: bool = False) -> Fn:
        """A function of the op's arguments that runs it here, for arguments of one kind.

        Made once for each combination of argument types, dtypes and shapes, then cached;
        `sources` tells, for each argument, how it becomes what the op's function takes
        (see `kcore.ops.mechanism.Source`). With `once` the function is for a single call, and not
        worth much work.
        """
        fn = self.implementation(op)
        steps = [source.step(self) for source in sources]
        fn = self.prepared(op, fn, plan, sources)  # a body too: it may use the framework's own operators
        if not any(steps):
            return fn

        def run(*args: Any) -> Any:
            return fn(*[a if step is None else step(a) for a, step in zip(args, steps, strict=True)])

        return run

    def prepared(self, op: Any, fn: Fn, plan: Any, sources: Sequence[Any]) -> Fn:
        """`fn`, made fit for arguments of these dtypes: where a kernel is missing, in a wider dtype."""
        seen = {s.dtype for source in sources for s in (source, *source.parts) if s.dtype}
        made = {spec.dtype for spec in tree.flatten(plan.outputs)}
        narrow = (seen | made) & self.wider.keys()
        return self._with_wider(op, fn, plan, narrow) if narrow else fn

    def _with_wider(self, op: Any, fn: Fn, plan: Any, narrow: set[str]) -> Fn:
        """`fn`; where it turns out to lack a kernel, and from then on, `fn` in the wider dtype, cast back."""
        if len(narrow) > 1:
            narrow = narrow - {"bool"}  # a mask beside numbers: it is they that lack the kernel
        on_host = None in [self.wider[d] for d in narrow]

        def widened(*args: Any) -> Any:
            if on_host:
                return self._on_host(op, plan, *args)
            y = fn(*tree.map_structure(widen, list(args)))
            return tree.map_structure(lambda spec, r: self.convert(r, spec.dtype), plan.outputs, y)

        def widen(a: Any) -> Any:
            if self.is_tensor(a):
                dtype = self.dtype(a)
                return self.convert(a, self.wider[dtype]) if dtype in narrow else a
            return self.wider[a] if isinstance(a, str) and a in narrow else a

        case = (op.name, frozenset(narrow))

        def run(*args: Any) -> Any:
            if case in self._lacking:
                return widened(*args)
            try:
                return fn(*args)
            except Exception as error:
                if not self.lacks_kernel(error):
                    raise
            y = widened(*args)
            self._lacking.add(case)
            return y

        return run

    def _on_host(self, op: Any, plan: Any, *args: Any) -> Any:
        """The reference definition's result: for integers that no wider dtype of the framework holds."""
        from kcore import backends

        reference = backends.load("reference")
        arrays = tree.map_structure(lambda a: self.numpy(a) if self.is_tensor(a) else a, list(args))
        if op.name in reference.ops:
            return tree.map_structure(self.convert, reference.ops[op.name](*arrays))
        with backends.use(reference):
            y = op.body(*tree.map_structure(lambda a: reference.convert(a) if reference.is_tensor(a) else a, arrays))
        return tree.map_structure(self.convert, y)

    def lacks_kernel(self, error: Exception) -> bool:
        """Whether an op failed because the framework has no kernel for the dtype."""
        return False

    def from_sequence(self, x: Any, dtype: str | None) -> Any:
        """Nested lists that hold tensors of this backend, stacked so that gradients flow; else None."""
        if not isinstance(x, (list, tuple)) or not any(self.is_tensor(leaf) for leaf in tree.flatten(x)):
            return None
        from kcore import ops

        y = ops.stack([self.convert(e) for e in x])
        return y if dtype is None else self.convert(y, dtype)

    def implementation(self, op: Any) -> Fn:
        """This backend's own function for an op, else the op's portable body.

        Raises:
            NotImplementedError: A primitive that this backend lists as unsupported.
        """
        fn = self.ops.get(op.name) or op.body
        if fn is None:
            reason = self.unsupported.get(op.name, "it is not defined there")
            raise NotImplementedError(f"{op.name}: not available on the {self.name} backend: {reason}.")
        return fn

    # -- gradients ----------------------------------------------------------------------

    def vjp(
        self, fn: Fn, leaves: list[Any], once: bool = False
    ) -> tuple[list[Any], Any, Callable[[list[Any]], list[Any]]]:
        """Runs `fn(*leaves) -> (outputs, aux)` and returns (outputs, aux, pullback).

        `leaves` and `outputs` are flat lists of inexact tensors. `pullback` takes the
        gradients of the outputs and returns those of the leaves, zeros where an output does
        not depend on a leaf. It can be differentiated, and, unless `once`, called again; with
        `once` it may free what it has used.
        """
        raise NotImplementedError

    def jvp(self, fn: Fn, leaves: list[Any], tangents: list[Any]) -> tuple[list[Any], Any, list[Any]]:
        """Runs `fn(*leaves) -> (outputs, aux)` and returns (outputs, aux, the outputs' tangents).

        The pullback is linear in what it is given, so its own pullback pushes tangents forward.
        """
        from kcore import ops

        outputs, aux, pullback = self.vjp(fn, leaves)
        zeros = [ops.zeros_like(y) for y in outputs]
        _, _, push = self.vjp(lambda *gs: (pullback(list(gs)), None), zeros, once=True)
        return outputs, aux, push(tangents)

    # -- state --------------------------------------------------------------------------

    def new_storage(self, value: Any, dtype: str, trainable: bool, name: str) -> Any:
        """What holds a variable's value between calls: a tensor, a Parameter, a tf.Variable."""
        raise NotImplementedError

    def read(self, storage: Any) -> Any:
        """The tensor that ops get for a variable."""
        return storage

    def write(self, storage: Any, value: Any) -> Any:
        """Stores a checked tensor of the same shape and dtype; returns the storage to keep."""
        raise NotImplementedError

    def init_module(self, layer: Any) -> None:
        """Makes a new layer a proper instance of `module_base`, before its own __init__ runs."""

    def track_variable(self, layer: Any, variable: Any) -> None:
        """Tells the framework's own module that `layer` owns `variable`."""

    def track_layers(self, layer: Any, sublayers: list[Any]) -> None:
        """Tells the framework's own module which layers `layer` keeps, in lists and dicts too."""

    # -- running ------------------------------------------------------------------------

    def jit(self, fn: Fn, hastily: bool = False) -> Fn:
        """`fn`, of tensors and returning tensors, compiled where the framework does that lightly; else as it is.

        With `hastily` the compiler may leave out what takes it long: for code that runs once.
        """
        return fn

    def forget_compiled(self) -> None:
        """Frees the memory of what has been compiled in this process; it is compiled again when it is used again."""

    def compile(self, step: Fn, assigned: list[Any], read: list[Any], *, jit: bool | str) -> Fn:
        """A training, test or predict step, made as fast as the backend can.

        `step(data)` reads and assigns Variables; the result does the same.

        Args:
            step: A function of a batch; returns tensors in any structure.
            assigned: The variables that it may assign.
            read: Further variables that it reads.
            jit: What the user asked for: True, False or "auto".
        """
        return step

    def as_step_input(self, x: Any) -> Any:
        """An array of a batch as a step takes it: a tensor, unless the compiled step converts faster itself."""
        return self.convert(x)

    def optimizer_step(
        self, kind: str, variables: list[Any], gradients: list[Any], slots: list[list[Any]], numbers: Fn, at: Any
    ) -> bool:
        """One whole optimizer update, fused and in place. False where the portable one should run.

        Args:
            kind: "adam" or "sgd".
            variables, gradients: What is updated, and by what.
            slots: The optimizer's variables for each of them.
            numbers: `numbers(rate, iterations)` gives the step's hyperparameters as Python floats, by name, from a
                float and an int; "decay" among them, for each variable.
            at: The learning rate and the number of updates so far, as scalar tensors or variables.
        """
        return False

    def synchronize(self, x: Any) -> None:
        """Waits until `x` has been computed."""

    def increase(self, storage: Any, value: Any) -> bool:
        """Adds to a variable's storage in place; False where the ordinary way, an op and `write`, should do it."""
        return False

    def full_width(self, *dtypes: str) -> Any:
        """A context in which the framework's own operators keep these dtypes: for code between ops."""
        return NO_CONTEXT

    def versions(self) -> dict[str, str]:
        """Names and versions of what it runs on."""
        return {}

    # -- devices ------------------------------------------------------------------------

    def devices(self) -> list[str]:
        """The devices that are here: "cpu", and "cuda:0" and the like."""
        return ["cpu"]

    def device(self) -> str:
        """The one of them that new tensors are on."""
        return "cpu"

    def on_device(self, name: str) -> Any:
        """A context in which new tensors are on that one of `devices()`."""
        return contextlib.nullcontext()

    def precision(self) -> dict[str, str]:
        """The settings under which the framework computes in less than its inputs' precision, with their values."""
        return {}
