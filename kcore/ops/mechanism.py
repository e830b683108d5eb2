"""How an op is declared and run.

`@op(rule=...)` turns a signature, a docstring and perhaps a portable body into a function that

1. asks the rule (`kcore/ops/rules.py`) what these arguments mean: it checks them, infers the
   result's shape and dtype, normalizes axes and says what to cast;
2. on symbolic arguments answers with that shape and dtype;
3. else hands cast, normalized arguments to the active backend's function of the same name,
   or to the portable body.

Step 1 is done once for each combination of backend, argument types, dtypes, shapes and plain
arguments, and remembered. The generated function looks that up and calls; so an eager op
costs a dictionary look-up more than the backend's own function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from kcore import backends, config, dtypes, naming, tree
from kcore.backends.coo import is_sparse, on_meeting
from kcore.backends.host import to_array
from kcore.ops import sparsity, symbolic
from kcore.ops.class_names import class_name
from kcore.ops.symbolic import KerasTensor, Spec

Tensor = Any  # a backend's tensor, a NumPy array, a Variable, a KerasTensor, a Python number
Tensors = Sequence[Any]
Axes = int | Sequence[int] | None
Shape = Sequence[int | None]

REGISTRY: dict[str, Op] = {}
_PRIVATE: list[Op] = []  # ops that one backend keeps for its own gradient rules

# Plans of an op are dropped when there are more: ever new shapes must not fill the memory.
MOST_PLANS = 2048

SCALARS = (bool, int, float, complex)
_KEYED_BY_TYPE = frozenset({*SCALARS, type(None)})


class Plan:
    """What a rule answers.

    Args:
        shape, dtype: Of the result. `Plan.many` is for several results.
        cast: The dtype that tensor arguments get before the backend sees them: one for all,
            or by parameter name (those not named stay as they are; a Python number becomes its default dtype).
        arguments: Plain arguments as backends get them, where that differs from the call. Those that the op does not
            have, which a shared rule may name, count for nothing.

    Attributes:
        unsized: Whether a size in the arguments is None, so that nothing can be computed: the call is
            symbolic though no argument is (`zeros((None, 3))`, where a layer is traced).
        sparse: What becomes of sparse operands, one of `kcore.ops.sparsity`'s; None where there are none.
    """

    __slots__ = ("arguments", "cast", "container", "outputs", "sparse", "unsized")

    def __init__(
        self, shape: symbolic.Shape, dtype: str, /, cast: str | dict[str, str | None] | None = None, **arguments: Any
    ) -> None:
        self.outputs: Any = Spec(shape, dtype)
        self.cast = cast
        self.arguments = arguments
        self.unsized = False
        self.sparse: str | None = None

    @classmethod
    def many(cls, outputs: Any, /, cast: str | dict[str, str | None] | None = None, **arguments: Any) -> Plan:
        """A plan with a tuple, list or other structure of Specs as its result."""
        plan = cls.__new__(cls)
        plan.outputs, plan.cast, plan.arguments, plan.unsized, plan.sparse = outputs, cast, arguments, False, None
        return plan

    def cast_of(self, name: str) -> str | None:
        return self.cast.get(name) if isinstance(self.cast, dict) else self.cast


class Source:
    """How one argument of a call becomes what the backend's function takes.

    Attributes:
        kind: "tensor" (native already), "traced" (so, but without values), "number" (Python's), "convert" (an array...),
            "variable", "tensors" (a sequence of any of these), "plain" or "index".
        cast: The dtype to convert to, or None.
        dtype: The dtype that the backend's function sees.
        value: For "plain", the normalized value; for "index", a function that makes it of what the caller gave.
        changed: For "plain", whether `value` replaces what the caller gave.
        parts: For "tensors", a Source for each element.
    """

    __slots__ = ("cast", "changed", "dtype", "kind", "parts", "value")

    def __init__(
        self, kind: str, cast: str | None = None, dtype: str | None = None, value: Any = None, changed: bool = False
    ) -> None:
        self.kind, self.cast, self.dtype, self.value, self.changed = kind, cast, dtype, value, changed
        self.parts: list[Source] = []

    def step(self, backend: Any) -> Callable[[Any], Any] | None:
        """The function that converts this argument on `backend`; None where it is right already."""
        cast, convert = self.cast, backend.convert
        if self.kind == "tensors":
            steps = [part.step(backend) for part in self.parts]
            return lambda many: [a if s is None else s(a) for a, s in zip(many, steps, strict=True)]
        if self.kind == "plain":
            value = self.value
            return (lambda _: value) if self.changed else None
        if self.kind == "index":
            return self.value
        if self.kind == "variable":
            return lambda v: convert(v.__kcore_value__(), cast)
        if self.kind in ("tensor", "traced") and cast is None:
            return None
        return lambda x: convert(x, cast)


def _is_primitive(function: Callable) -> bool:
    """Whether the function has no statement besides its docstring, or `...` where it is given one."""

    def empty() -> None:
        """Nothing."""

    def bare() -> None: ...

    return function.__code__.co_code in (empty.__code__.co_code, bare.__code__.co_code)


class Index(NamedTuple):
    """How plans are kept for a plain argument that may hold arrays, as an index does.

    Attributes:
        key: The value's part of a plan's key: arrays by type, dtype and shape. Raises TypeError where the
            plan depends on more.
        remade: remade(normalized) is the function that normalizes another value of the same key; None where
            there is no array in it, so that every such value is the same.
    """

    key: Callable[[Any], Any]
    remade: Callable[[Any], Callable[[Any], Any] | None]


class Op:
    """One op: its signature, rule and portable body. `call` is the public function.

    Attributes:
        name: Its name, in every backend too.
        rule: Answers a Plan for Specs and plain arguments.
        body: The portable definition; None for a primitive.
        roles: Parameter name -> "tensor", "tensors" or "plain".
        indices: Parameter name -> Index, for plain arguments that may hold arrays.
        vjp: The reference backend's gradient rule, if one is registered.
        sparse: What it does with sparse tensors, if it takes them (`kcore/ops/sparse.py`).
        definition: For a private op, the one function that runs it.
    """

    def __init__(
        self,
        function: Callable,
        rule: Callable[..., Plan],
        private: bool = False,
        indices: dict[str, Index] | None = None,
    ) -> None:
        self.name = function.__name__
        self.indices = indices or {}
        self.signature = inspect.signature(function)
        self.body = None if private or _is_primitive(function) else _by_position(function, self.signature)
        self.definition = function if private else None
        self.roles = {p.name: role_of(p) for p in self.signature.parameters.values()}
        self.rule = _by_name(rule, tuple(self.roles))
        self.vjp: Any = None
        self.sparse: sparsity.Entry | None = None
        self.plans: dict[Any, Callable] = {}
        self.call = self._generate(function)
        if private:
            _PRIVATE.append(self)
            return
        if self.name in REGISTRY:
            raise ValueError(f"Two ops are called {self.name}.")
        REGISTRY[self.name] = self

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def _generate(self, function: Callable) -> Callable:
        """The public function: a look-up in `plans` by what the arguments are, then the call."""
        parameters = self.signature.parameters.values()
        # Two keys for one plan: the first is quick, and fails for Python numbers, which have no dtype.
        heads, names, key, number_key = [], [], ["chosen()"], ["chosen()"]
        for p in parameters:
            star = "*" if p.kind is p.VAR_POSITIONAL else ""
            if p.kind is p.KEYWORD_ONLY and not any(h.startswith("*") for h in heads):
                heads.append("*")
            heads.append(star + p.name + ("" if p.default is p.empty else f"=defaults[{p.name!r}]"))
            names.append(p.name)
            role = self.roles[p.name]
            plain = f"index_key_{p.name}({p.name})" if p.name in self.indices else f"type({p.name}), {p.name}"
            key.append(f"type({p.name}), {p.name}.dtype, {p.name}.shape" if role == "tensor" else plain)
            number_key.append(f"*operand_key({p.name})" if role == "tensor" else plain)
        args = ", ".join(names) + ","
        failures = "except (KeyError, AttributeError, TypeError, ValueError):"
        lines = [f"def {self.name}({', '.join(heads)}):"]
        if "tensors" in self.roles.values():  # a sequence has no key of its own
            lines += [f"    return dispatch(({args}))"]
        else:
            lines += [
                "    try:",
                f"        run = plans[{', '.join(key)}]",
                f"    {failures}",
                "        try:",
                f"            run = plans[{', '.join(number_key)}]",
                f"        {failures}",
                f"            return dispatch(({args}))",
                "    try:",  # which costs nothing
                f"        return run({args})",
                "    except Exception:",
                f"        if not misread(({args})):",
                "            raise",
                f"    return look_again(({args}))",
            ]
        scope = {
            "chosen": backends.chosen.get,
            "plans": self.plans,
            "dispatch": self.dispatch,
            "misread": _misread,
            "look_again": self.look_again,
            "operand_key": _operand_key,
            "defaults": {p.name: p.default for p in parameters},
            **{f"index_key_{name}": index.key for name, index in self.indices.items()},
        }
        exec(compile("\n".join(lines), f"<op {self.name}>", "exec"), scope)  # as dataclasses do
        call: Any = scope[self.name]
        call.__doc__, call.__module__, call.__qualname__ = function.__doc__, function.__module__, self.name
        call.__annotations__ = function.__annotations__
        call.__signature__ = self.signature
        call.op = self
        call.autograph_info__ = None  # TensorFlow's autograph has nothing to rewrite here, and no source to do it from
        return call

    def dispatch(self, args: tuple) -> Any:
        """Runs the op where the generated function found no plan: numbers, lists, new shapes."""
        try:
            run = self.plans[self._key(args)]
        except (KeyError, AttributeError, TypeError, ValueError):  # no plan, no dtype, or not hashable
            return self.look_again(args)
        try:
            return run(*args)
        except Exception:
            if not _misread(args):
                raise
        return self.look_again(args)

    def look_again(self, args: tuple) -> Any:
        """Runs the op with the plan for these very arguments, made if there is none."""
        run, args = self._first(args)
        return args if run is None else run(*args)

    def _key(self, args: tuple) -> tuple:
        key: list[Any] = [backends.chosen.get()]
        for (name, role), a in zip(self.roles.items(), args, strict=True):
            if name in self.indices:
                key.append(self.indices[name].key(a))
            elif role == "plain":
                key += (a.__class__, _hashable(a))
            elif role == "tensor":
                key += _operand_key(a)
            else:
                key.append(tuple([k for x in a for k in _operand_key(x)]))
        return tuple(key)

    def _first(self, args: tuple) -> tuple[Callable | None, Any]:
        """(the function that runs these arguments, the arguments with lists made tensors).

        For symbolic arguments (None, the symbolic result).
        """
        if symbolic.any_symbolic(args):
            return None, self.trace(args)
        backend = backends.active()
        made = []
        for (name, role), a in zip(self.roles.items(), args, strict=True):
            if role == "tensor":
                made.append(_as_operand(backend, a))
            elif role == "tensors":
                made.append(tuple(_as_operand(backend, x) for x in self._sequence(name, a)))
            else:
                made.append(a)
        args = tuple(made)
        try:
            key = self._key(args)
            if _misread(args):
                key = (*key, *[is_sparse(a) for a in tree.flatten(args)])
            run = self.plans.get(key)
        except TypeError:  # a plain argument is not hashable, or holds a tensor
            return self._bind(backend, args, once=True), args
        if run is None:
            run = self._bind(backend, args)
            if len(self.plans) >= MOST_PLANS:
                self.plans.clear()
            self.plans[key] = run
        return run, args

    def _sequence(self, name: str, value: Any) -> Any:
        """The elements of a "tensors" argument; an array stands for its rows."""
        if isinstance(value, (list, tuple)):
            return value
        if hasattr(value, "__kcore_value__"):
            value = value.__kcore_value__()
        if getattr(value, "shape", ()):
            return [value[i] for i in range(value.shape[0])]
        raise TypeError(f"{self.name}: {name} should be a list or tuple of tensors, not {type(value).__name__}.")

    def plan(self, args: Sequence[Any]) -> Plan:
        """The rule's answer for these arguments; its errors come with the op's name in front."""
        given = []
        for role, a in zip(self.roles.values(), args, strict=True):
            if role == "tensor":
                given.append(spec_of(a))
            elif role == "tensors":
                given.append([spec_of(x) for x in a])
            else:
                given.append(a)
        try:
            plan = self.rule(*given)
            if self.sparse is not None or any(s.sparse for s in tree.flatten(given) if s.__class__ is Spec):
                sparsity.decide(self, plan, given, args)
        except (ValueError, TypeError, IndexError, NotImplementedError) as error:
            if str(error).startswith(f"{self.name}: "):
                raise
            raise type(error)(f"{self.name}: {error}") from None
        return plan

    def _bind(self, backend: Any, args: tuple, once: bool = False) -> Callable:
        plan = self.plan(args)
        if plan.unsized:
            return lambda *given: self.trace(given)
        sources = []
        for (name, role), a in zip(self.roles.items(), args, strict=True):
            cast = plan.cast_of(name)
            if role == "tensor":
                sources.append(_source(backend, a, cast))
            elif role == "tensors":
                source = Source("tensors")
                source.parts = [_source(backend, x, cast) for x in a]
                sources.append(source)
            elif name in self.indices and not once and (remade := self.indices[name].remade(plan.arguments[name])):
                sources.append(Source("index", value=remade))
            else:
                sources.append(Source("plain", value=plan.arguments.get(name, a), changed=name in plan.arguments))
        if plan.sparse is not None:
            return sparsity.bind(self, backend, plan, sources)
        return backend.bind(self, plan, sources, once)

    def trace(self, args: tuple, call: OpCall | None = None) -> Any:
        """The symbolic result: the rule's shapes and dtypes as KerasTensors that know this call."""
        args = tuple(
            tuple(self._sequence(name, a)) if role == "tensors" and not isinstance(a, KerasTensor) else a
            for (name, role), a in zip(self.roles.items(), args, strict=True)
        )
        outputs = tree.map_structure(lambda s: KerasTensor(s.shape, s.dtype, sparse=s.sparse), self.plan(args).outputs)
        return self.noted(args, outputs, call)

    def noted(self, args: tuple, outputs: Any, call: OpCall | None = None) -> Any:
        """`outputs`, which know this call of the op if any of its arguments records calls."""
        records = any(t.record_history for t in tree.flatten(args) if isinstance(t, KerasTensor))
        for t in tree.flatten(outputs):
            if isinstance(t, KerasTensor):
                t.record_history = records
        if records:
            symbolic.record(call or OpCall(self), args, {}, outputs)
        return outputs


class OpCall:
    """One use of an op in a symbolic model: what `Node.operation` is for an op.

    Args:
        op: The op.
        called: The public name that it was called by, where that is an alias.
        name: Unique by default.
    """

    def __init__(self, op: Op, called: str | None = None, name: str | None = None) -> None:
        self.op, self.called = op, called or op.name
        self.name = name or naming.auto_name(self.class_name)
        self._inbound_nodes: list[symbolic.Node] = []

    @property
    def class_name(self) -> str:
        """The name of Keras's class for it."""
        return class_name(self.called)

    def __call__(self, *args: Any) -> Any:
        bound = dict(zip(self.op.roles, args, strict=True))
        positional: list[Any] = []
        for name, value in bound.items():
            variadic = self.op.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            positional += value if variadic else [value]
        return self.op.call(*positional)

    def __repr__(self) -> str:
        return f"<{self.class_name} name={self.name}>"


def op(rule: Callable[..., Plan], **indices: Index) -> Callable[[Callable], Callable]:
    """Declares an op; the decorated function has its signature, docstring and portable body.

    Parameters annotated `Tensor` (or `Tensor | None`) are tensors, `Tensors` a sequence of
    them, anything else is plain. The rule takes the same parameters, a Spec for each tensor; those that it does not
    read it may take as `**rest`.
    `indices` are for plain ones that may hold arrays.
    """
    return lambda function: Op(function, rule, indices=indices).call


def documented(text: str, **fields: str) -> Callable[[Callable], Callable]:
    """Gives a function the docstring of its family: `text` with its {name} and these fields filled in."""

    def decorate(function: Callable) -> Callable:
        function.__doc__ = text.format(name=function.__name__, **fields)
        return function

    return decorate


def private_op(rule: Callable[..., Plan]) -> Callable[[Callable], Callable]:
    """Declares an op for the gradient rules of one backend; the decorated function is its definition there."""
    return lambda function: Op(function, rule, private=True).call


def alias(name: str, call: Callable) -> Callable:
    """Another public name of an op; symbolic calls by it are named after it, as in Keras."""
    found = call.op  # type: ignore[attr-defined]

    def other(*args: Any, **kwargs: Any) -> Any:
        if not symbolic.any_symbolic(args, kwargs):
            return call(*args, **kwargs)
        bound = found.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return found.trace(tuple(bound.arguments.values()), OpCall(found, name))

    other.__name__ = other.__qualname__ = name
    other.__doc__, other.__module__, other.__signature__ = call.__doc__, call.__module__, found.signature  # type: ignore[attr-defined]
    other.op = found  # type: ignore[attr-defined]
    return other


def require_callable(name: str, **functions: Any) -> None:
    """Raises TypeError for what is no function, by the name of its parameter."""
    for what, function in functions.items():
        if not callable(function):
            raise TypeError(f"{name}: {what} should be a function, not {type(function).__name__}.")


def control_op(trace: Callable) -> Callable[[Callable], Callable]:
    """Declares an op on functions (cond, scan, ...). It has no plan: the backend gets the call as it is.

    `trace` takes the same arguments and answers the symbolic result, when any of them is
    symbolic. The decorated function is the portable body, or empty for a primitive. Parameters annotated `Fn` are
    functions.
    """

    def decorate(function: Callable) -> Callable:
        name = function.__name__
        found = Op.__new__(Op)
        found.name, found.rule, found.plans, found.vjp, found.definition = name, trace, {}, None, None
        found.sparse = None
        found.body = None if _is_primitive(function) else function
        found.signature = inspect.signature(function)
        found.roles = dict.fromkeys(found.signature.parameters, "control")
        functions = [p.name for p in found.signature.parameters.values() if p.annotation == "Fn"]

        def call(*args: Any, **kwargs: Any) -> Any:
            bound = found.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = bound.args
            require_callable(name, **{f: bound.arguments[f] for f in functions})
            if symbolic.any_symbolic(given):
                return found.noted(tuple(bound.arguments.values()), trace(*given))
            return backends.active().implementation(found)(*given)

        call.__name__ = call.__qualname__ = name
        call.__doc__, call.__module__ = function.__doc__, function.__module__
        call.__signature__ = found.signature  # type: ignore[attr-defined]
        call.op = found  # type: ignore[attr-defined]
        found.call = call
        REGISTRY[name] = found
        return call

    return decorate


def _by_position(function: Callable, signature: inspect.Signature) -> Callable:
    """`function(*xs, flag)` as `call(xs, flag)`: every argument by position, as backends get them."""
    kinds = {name: p.kind for name, p in signature.parameters.items()}
    if not {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.KEYWORD_ONLY} & set(kinds.values()):
        return function

    def call(*args: Any) -> Any:
        positional: list[Any] = []
        named = {}
        for (name, kind), value in zip(kinds.items(), args, strict=True):
            if kind is inspect.Parameter.KEYWORD_ONLY:
                named[name] = value
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                positional += value
            else:
                positional.append(value)
        return function(*positional, **named)

    return call


def _by_name(rule: Callable[..., Plan], names: tuple[str, ...]) -> Callable[..., Plan]:
    """The rule as a function of the op's arguments by position, also where it names some and takes the `**rest`."""
    if not rule.__code__.co_flags & inspect.CO_VARKEYWORDS:
        return rule
    return lambda *given: rule(**dict(zip(names, given, strict=True)))


def role_of(parameter: inspect.Parameter) -> str:
    """What a parameter takes, by its annotation: "tensor", "tensors" or "plain"."""
    annotation = str(parameter.annotation)
    if annotation.startswith("Tensors") or (
        parameter.kind is parameter.VAR_POSITIONAL and annotation.startswith("Tensor")
    ):
        return "tensors"
    return "tensor" if annotation.startswith("Tensor") else "plain"


def _as_operand(backend: Any, a: Any) -> Any:
    """`a` if it has a dtype and a shape or is a number or None; else converted, as lists are."""
    if a is None or type(a) in SCALARS or (hasattr(a, "dtype") and hasattr(a, "shape")):
        return a
    return backend.convert(a)


def _hashable(a: Any) -> Any:
    """A plain argument as a part of a plan's key: lists and slices as tuples.

    Raises:
        TypeError: It holds a tensor. Some hash by identity, and a plan must not keep them alive.
    """
    if isinstance(a, (tuple, list)):
        return tuple([_hashable(e) for e in a])
    if isinstance(a, slice):
        return slice, _hashable(a.start), _hashable(a.stop), _hashable(a.step)
    if hasattr(a, "shape") and hasattr(a, "dtype"):  # NumPy's dtypes have shapes, too
        raise TypeError
    return a


def _operand_key(a: Any) -> tuple:
    kind = a.__class__
    return (kind,) if kind in _KEYED_BY_TYPE else (kind, a.dtype, a.shape)


def spec_of(a: Any) -> Any:
    """The Spec of an operand; None for None."""
    if a is None or isinstance(a, Spec):
        return a
    if type(a) in SCALARS:
        return Spec((), dtypes.WEAK[type(a)])
    if not hasattr(a, "shape"):  # nested lists, beside a symbolic operand
        a = to_array(a)
    sparse = a.sparse if a.__class__ is KerasTensor else is_sparse(a)
    return Spec(a.shape, dtypes.name_of(a.dtype), sparse)


def _source(backend: Any, a: Any, cast: str | None) -> Source:
    if a is None:
        return Source("plain", value=None)
    if type(a) in SCALARS:
        dtype = cast or dtypes.concrete(dtypes.WEAK[type(a)])
        return Source("number", dtype, dtype)
    own = dtypes.name_of(a.dtype)
    dtype = cast or own
    if cast == own:
        cast = None
    if hasattr(a, "__kcore_value__"):
        return Source("variable", cast, dtype)
    native = "traced" if hasattr(a, "__kcore_traced__") else "tensor"
    return Source(native if backend.is_tensor(a) else "convert", cast, dtype)


def _misread(args: tuple) -> bool:
    """Whether the plan for these arguments may be taken for another: some are sparse, and do not look it."""
    return backends.active().hides_sparse and any(is_sparse(a) for a in tree.flatten(args))


def forget_plans() -> None:
    """Drops what was remembered, after a change of something that plans depend on."""
    for found in (*REGISTRY.values(), *_PRIVATE):
        found.plans.clear()


backends.on_default_change(forget_plans)
on_meeting(forget_plans)
config.on_change(forget_plans)
