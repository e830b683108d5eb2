"""Layer: the lifecycle that every layer and model shares."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from kcore import backends, dtype_policies, dtypes, naming, ops, state, tree
from kcore.backends.coo import is_sparse
from kcore.layers import home, masks
from kcore.layers.input_spec import assert_input_compatibility
from kcore.layers.shapes import as_shapes, as_symbolic, shape_of, specs
from kcore.layers.signature import build_parameters, call_signature
from kcore.layers.tracking import Owner, searching_once
from kcore.operation import Operation, _fresh, _unrecorded
from kcore.ops import symbolic
from kcore.ops.symbolic import KerasTensor
from kcore.state import AutocastScope, StatelessScope, Variable

# The `training` argument of the layer call that is running; sublayers take it over.
_training: ContextVar[bool | None] = ContextVar("kcore_training", default=None)


# Layers that hold what a call has added to the losses: mostly none, so that calls need not look for them.
_with_losses: weakref.WeakSet[Any] = weakref.WeakSet()


class Layer(Owner, Operation):
    """A function of tensors with variables of its own.

    A subclass makes its variables in `build(input_shape)` or `__init__` with `add_weight`, and
    computes in `call`. Layers, variables, seed generators and metrics that it keeps as
    attributes, in lists and dicts too, are its own: their variables are its variables.

    Args:
        activity_regularizer: A function of the output whose value, divided by the batch size, is added to the losses.
        trainable: Whether training changes the weights.
        dtype: A dtype, or a policy, to compute and keep weights in; None is the global policy.
        autocast: Whether float inputs are cast to the compute dtype.
        name: Unique by default.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _wrapped_build(cls.__dict__["build"])  # type: ignore[method-assign]

    @classmethod
    def _new_instance(cls) -> Any:
        backend = backends.active()
        self = object.__new__(home.home_class(cls, backend))
        backend.init_module(self)
        self.__dict__["_backend"] = backend
        return self

    def __init__(
        self,
        *,
        activity_regularizer: Any = None,
        trainable: bool = True,
        dtype: Any = None,
        autocast: bool = True,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        Operation.__init__(self, name)
        shape = kwargs.pop("input_shape", None)
        if "input_dim" in kwargs:
            shape = (kwargs.pop("input_dim"),)
        batch_shape = kwargs.pop("batch_input_shape", kwargs.pop("batch_shape", None))
        if batch_shape is None and shape is not None:
            batch_shape = (kwargs.pop("batch_size", None), *shape)
        if kwargs:
            raise ValueError(f"{type(self).__name__}: there is no argument {', '.join(map(repr, kwargs))}.")
        self._given_batch_shape = batch_shape
        if activity_regularizer is not None:
            from kcore import regularizers

            activity_regularizer = regularizers.get(activity_regularizer)
        self.activity_regularizer = activity_regularizer
        self._trainable = bool(trainable)
        self._dtype_policy = dtype_policies.get(dtype)
        self.autocast = autocast
        self.built = False
        self.supports_masking = call_signature(type(self).call).has_mask
        self._path: str | None = None
        self._build_shapes: dict[str, Any] | None = None
        self._losses: list[Any] = []
        self._loss_ids: set[int] = set()

    # -- variables ----------------------------------------------------------------------

    def add_weight(
        self,
        *args: Any,
        shape: Any = None,
        initializer: Any = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        aggregation: str = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Makes a variable of this layer.

        Args:
            shape: () unless given.
            initializer: A function, a name, or a value; by default glorot_uniform for floats,
                zeros for others.
            dtype: The policy's variable dtype unless given.
            trainable: Whether training changes it while the layer is trainable.
            regularizer: A function of the variable whose value is added to the losses.
            constraint: A function that the variable is passed through after each update.
        """
        self._check_made()
        if args:  # older code gives the shape, and the initializer, by position
            shape, initializer = (*args, initializer)[:2]
        dtype = self.variable_dtype if dtype is None else dtypes.name_of(dtype)
        if initializer is None:
            initializer = "glorot_uniform" if dtypes.is_float(dtype) else "zeros"
        with backends.use(self._backend), self._scope():
            variable = Variable(
                initializer if not isinstance(initializer, str) else _named_initializer(initializer),
                shape=() if shape is None and (callable(initializer) or isinstance(initializer, str)) else shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        if regularizer is not None:
            from kcore import regularizers

            variable.regularizer = regularizers.get(regularizer)
        if constraint is not None:
            from kcore import constraints

            variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        self.__dict__.setdefault("_own_variables", []).append(variable)
        self._backend.track_variable(self, variable)
        return variable

    def add_variable(
        self,
        shape: Any,
        initializer: Any,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: Any = None,
        constraint: Any = None,
        name: str | None = None,
    ) -> Variable:
        """As `add_weight`, with the shape and initializer by position."""
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            dtype=dtype,
            trainable=trainable,
            autocast=autocast,
            regularizer=regularizer,
            constraint=constraint,
            name=name,
        )

    # -- dtypes -------------------------------------------------------------------------

    @property
    def dtype_policy(self) -> Any:
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value: Any) -> None:
        self._dtype_policy = dtype_policies.get(value)
        self.__dict__["_fitting"] = None

    @property
    def dtype(self) -> str:
        return self._dtype_policy.variable_dtype

    variable_dtype = dtype

    @property
    def compute_dtype(self) -> str:
        return self._dtype_policy.compute_dtype

    @property
    def input_dtype(self) -> str:
        """The dtype that float inputs are cast to."""
        return self._dtype_policy.compute_dtype

    @property
    def quantization_mode(self) -> Any:
        return self._dtype_policy.quantization_mode

    # -- building -----------------------------------------------------------------------

    @property
    def path(self) -> str | None:
        """Where the layer stands in its model, "model/block/dense"; None before it is built."""
        return self._path

    def _check_made(self) -> None:
        if "_dtype_policy" not in self.__dict__:
            raise RuntimeError(f"{type(self).__name__}: call super().__init__() before anything else in __init__.")

    def _scope(self) -> Any:
        """The name scope that this layer's variables are made in: within the caller's, once."""
        if self._path is None:
            path = naming.current_path()
            self._path = f"{path}/{self.name}" if path else self.name
        return naming.exact_scope(self._path)

    def build(self, input_shape: Any) -> None:
        """Makes the variables. Called once, before the first call, with the shapes of its arguments.

        A subclass overrides it with one parameter, for the shape of `call`'s first argument, or
        with parameters such as `query_shape`, one for each tensor argument. Without one, what the
        layer is made of is built by tracing the call.
        """
        self._check_made()
        self.built = True
        if home.own_class(self).build is Layer.build:
            self._build_sublayers((input_shape,), {})

    def get_build_config(self) -> dict | None:
        """The shapes that the layer was built with."""
        shapes = self._build_shapes
        if shapes is None:
            return None
        if len(shapes) == 1:
            return {"input_shape": next(iter(shapes.values()))}
        return {"shapes_dict": shapes}

    def build_from_config(self, config: dict) -> None:
        """Builds with the shapes of `get_build_config`."""
        if not config:
            return
        if "input_shape" in config:
            self.build(as_shapes(config["input_shape"]))
        elif "shapes_dict" in config:
            shapes = {k: as_shapes(v) for k, v in config["shapes_dict"].items()}
            if home.own_class(self).build is Layer.build:
                self._build_sublayers((), shapes)
            else:
                self.build(**shapes)

    def _build_sublayers(self, shapes: tuple, named: dict) -> None:
        """Traces the call on tensors of these shapes, if that makes a difference."""
        self.built = True
        if self._build_shapes is None:
            self._build_shapes = named or {"input_shape": shapes[0]}
        if all(layer.built for layer in self._flatten_layers(include_self=False)):
            return
        args = tuple(specs(shape, self.compute_dtype) for shape in shapes)
        kwargs = {name.removesuffix("_shape"): specs(shape, self.compute_dtype) for name, shape in named.items()}
        try:
            with backends.use(self._backend), self._scope():
                self._trace(args, kwargs)
        except Exception as error:
            self._not_traced(error)
        else:
            self._backend_adopts()

    def _not_traced(self, error: Exception) -> None:
        """`build` could not trace the call: then what the layer is made of is built when it is called."""

    def _maybe_build(self, args: tuple, kwargs: dict) -> None:
        if self.built:
            return
        own = home.own_class(self)
        signature = call_signature(own.call)
        named = signature.named(args, kwargs)
        shapes: dict[str, Any] = {}
        for name, value in named.items():
            if name not in ("training", "mask") and any(hasattr(t, "shape") for t in tree.flatten(value)):
                shapes[f"{name}_shape"] = tree.map_structure(shape_of, value)
        wanted = build_parameters(_unwrapped(own.build))
        if own.build is Layer.build:
            self._build_by_call(args, kwargs)
            self._build_shapes = shapes or None
        elif len(wanted) == 1:
            shape = shapes.get(wanted[0], next(iter(shapes.values()), None))
            self.build(shape)
        else:
            missing = [w for w in wanted if w not in shapes]
            given = {w: shapes[w] for w in wanted if w in shapes}
            if missing and not given:
                raise ValueError(
                    f"{self.name}: build takes {', '.join(wanted)}, but the call has tensors "
                    f"{', '.join(n.removesuffix('_shape') for n in shapes) or '(none)'}."
                )
            self.build(**given)
        self.built = True

    def _build_by_call(self, args: tuple, kwargs: dict) -> None:
        """Without a `build` of its own, the layer's sublayers are built by tracing the call."""
        self.built = True
        if self._sublayers() and not symbolic.any_symbolic(args, kwargs):
            symbols = tree.map_structure(as_symbolic, (args, kwargs))
            try:
                self._trace(*symbols)
            except Exception:  # what can't be traced is built when it is called, just now
                return

    # -- calling ------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        own = self.__dict__
        backend = own.get("_backend")
        if "_losses" not in own:
            self._check_made()
        if (backends.chosen.get() or backends.default()) is not backend:
            with backends.use(backend):
                return self._call_at_home(args, kwargs)
        if own.get("_is_simple") and not kwargs and len(args) == 1:
            x = self._simple_input(args[0])
            if x is not None:
                return self._simple_call(x)
        return self._call_at_home(args, kwargs)

    def _call_at_home(self, args: tuple, kwargs: dict) -> Any:
        signature = call_signature(home.own_class(self).call)
        compute = self._dtype_policy._compute_dtype
        args, kwargs, is_symbolic = self._converted(args, kwargs, compute)
        outermost = _training.get() is None and masks._beside.get() is None
        if outermost and _with_losses:
            self._clear_losses()
        with masks.mask_scope(), self._scope() if not self.built or self._path is None else _open(self._path):
            given = kwargs
            kwargs, token = self._with_training(signature, args, kwargs)
            try:
                self._assert_input_spec(args)
                if not self.built:
                    self._maybe_build(
                        args, {k: v for k, v in kwargs.items() if k != "training" or signature.has_training}
                    )
                    self._backend_adopts()
                masking = is_symbolic or (self.supports_masking and self._makes_mask()) or _any_mask(args, kwargs)
                masked = self._with_masks(signature, args, kwargs) if masking else None
                if masked is not None:
                    kwargs, previous = masked
                if is_symbolic:
                    outputs = self._symbolic(args, kwargs, self._recorded(signature, args, kwargs, given))
                else:
                    outputs = self._run(args, kwargs, compute)
                    if self.activity_regularizer is not None:
                        self._add_activity_losses(outputs)
                if masked is not None:
                    self._pass_masks(args, previous, outputs)
            finally:
                if token is not None:
                    _training.reset(token)
        if not is_symbolic and "_is_simple" not in self.__dict__:
            self.__dict__["_is_simple"] = self._can_be_simple()
        return outputs

    def _can_be_simple(self) -> bool:
        """Whether calls on one tensor can take the short way: no sublayers, no mask made, no loss added."""
        plain = self.autocast and self._convert_inputs and self.activity_regularizer is None
        return plain and not self._makes_mask() and all(h._kcore_state in ("variable", "seed") for h in self._held())

    def _simple_input(self, x: Any) -> Any:
        """`x` as `call` takes it, and checked; None where it is no tensor of floats, or has a mask."""
        kind = (x.__class__, getattr(x, "shape", None), getattr(x, "dtype", None))
        if kind == self.__dict__.get("_fitting"):  # as the last one was
            return x if masks.get_mask(x) is None else None
        fitted = self._as_simple_input(x)
        if fitted is not None:
            self._assert_input_spec((fitted,))
            self.__dict__["_fitting"] = kind if fitted is x else None
        return fitted

    def _as_simple_input(self, x: Any) -> Any:
        backend = self._backend
        if x.__class__ is np.ndarray and x.dtype.kind == "f":
            x = backend.convert(x)
        elif not backend.is_tensor(x) or masks.get_mask(x) is not None:
            return None
        own, compute = backend.dtype(x), self._dtype_policy._compute_dtype
        if own == compute:
            return x
        return backend.convert(x, compute) if dtypes.is_float(own) else None

    def _simple_call(self, x: Any) -> Any:
        signature = call_signature(home.own_class(self).call)
        if not signature.has_training:
            return self._run((x,), {}, self._dtype_policy._compute_dtype)
        training = _training.get()
        training = signature.training_default if training is None else training
        given = {} if training is None else {"training": training}
        return self._run((x,), given, self._dtype_policy._compute_dtype)

    def _run(self, args: tuple, kwargs: dict, compute: str) -> Any:
        """`call`, with weights read in the compute dtype."""
        wanted = compute if self.autocast and compute != self._dtype_policy._variable_dtype else None
        if wanted == state._autocast.get():
            return self.call(*args, **kwargs)
        with AutocastScope(wanted):
            return self.call(*args, **kwargs)

    def _converted(self, args: tuple, kwargs: dict, compute: str) -> tuple[tuple, dict, bool]:
        """The arguments with arrays made tensors and floats cast; and whether any is symbolic."""
        backend = backends.active()
        plain = self._convert_inputs and (not kwargs or (len(kwargs) == 1 and "training" in kwargs))
        if plain and len(args) == 1 and backend.is_tensor(args[0]) and type(args[0]) is not np.ndarray:
            x = args[0]  # the common case, first
            own = backend.dtype(x)
            if own == compute or not self.autocast or not dtypes.is_float(own):
                return args, kwargs, False
            return (self._cast_with_mask(x, compute),), kwargs, False
        found = False

        def one(x: Any) -> Any:
            nonlocal found
            if isinstance(x, KerasTensor):
                found = True
                if self.autocast and dtypes.is_float(x.dtype) and x.dtype != compute:
                    y = KerasTensor(x.shape, compute, record_history=x.record_history, sparse=x.sparse, name=x.name)
                    y._keras_history = x._keras_history
                    masks.set_mask(y, masks.get_mask(x))
                    return y
                return x
            if isinstance(x, Variable):
                x = x.value
            if not (backend.is_tensor(x) or isinstance(x, np.ndarray) or hasattr(x, "__dlpack__") or is_sparse(x)):
                return x
            if isinstance(x, np.ndarray) and x.dtype.kind in "OSUMm":
                return x  # strings and dates are for preprocessing layers to read
            if self.autocast and self._convert_inputs and dtypes.is_float(dtypes.name_of(x.dtype)):
                return self._cast_with_mask(x, compute)
            return backend.convert(x) if self._convert_inputs else x

        args, kwargs = tree.map_structure(one, (args, kwargs))
        return args, kwargs, found

    # Layers that read strings or lists themselves turn this off.
    _convert_inputs = True

    def _cast_with_mask(self, x: Any, dtype: str) -> Any:
        y = backends.active().convert(x, dtype)
        mask = masks.get_mask(x) if y is not x else None
        if mask is not None:
            masks.set_mask(y, mask)
        return y

    def _with_training(self, signature: Any, args: tuple, kwargs: dict) -> tuple[dict, Any]:
        """kwargs with the `training` that holds here: the call's, else the caller's, else the default."""
        given = kwargs.get("training")
        if given is None and signature.has_training and len(args) > (at := signature.names.index("training")):
            given = args[at]
            training = given
        else:
            training = given if given is not None else _training.get()
            if training is None:
                training = signature.training_default
            if signature.has_training:
                kwargs = {**kwargs, "training": training} if training is not None or given is not None else kwargs
            elif "training" in kwargs and not signature.takes_kwargs:
                kwargs = {k: v for k, v in kwargs.items() if k != "training"}
        token = _training.set(bool(training)) if training is not None else None
        return kwargs, token

    def _with_masks(self, signature: Any, args: tuple, kwargs: dict) -> tuple[dict, Any]:
        """(kwargs with the arguments' masks, the first argument's mask)."""
        named = signature.named(args, kwargs) if signature.mask_of or args else {}
        first = args[0] if args else next(iter(kwargs.values()), None)
        previous = tree.map_structure(masks.get_mask, first) if tree.is_nested(first) else masks.get_mask(first)
        for name, mask_name in signature.mask_of.items():
            if named.get(mask_name) is None and name in named:
                found = tree.map_structure(masks.get_mask, named[name])
                if any(m is not None for m in tree.flatten(found)):
                    kwargs = {**kwargs, mask_name: found}
        return kwargs, previous

    def _pass_masks(self, args: tuple, previous: Any, outputs: Any) -> None:
        if not self.supports_masking:
            return
        if not any(m is not None for m in tree.flatten(previous)) and not self._makes_mask():
            return
        made = self.compute_mask(args[0] if len(args) == 1 else list(args), previous)
        if made is None:
            return
        ys = tree.flatten(outputs)
        ms = tree.flatten(made) if tree.is_nested(made) else [made] * len(ys)
        for y, m in zip(ys, ms, strict=False):
            if m is not None and masks.get_mask(y) is None:
                masks.set_mask(y, m)

    def _makes_mask(self) -> bool:
        return home.own_class(self).compute_mask is not Layer.compute_mask

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of the output: the input's, unless a subclass says otherwise."""
        return previous_mask

    def _recorded(self, signature: Any, args: tuple, kwargs: dict, given: dict) -> dict:
        """The keyword arguments that a graph keeps of a call: what the caller gave.

        Of a call of one tensor alone, as Keras has it in files, the default of `training` and the mask too.
        """
        if given or len(args) != 1 or not isinstance(args[0], KerasTensor):
            return given
        kept = {} if signature.training_default is None else {"training": signature.training_default}
        return kept | {"mask": kwargs.get("mask")} if signature.has_mask else kept

    def _symbolic(self, args: tuple, kwargs: dict, given: dict | None = None) -> Any:
        """The symbolic result, recorded as a call with `given` as its keyword arguments."""
        outputs = self.compute_output_spec(*args, **kwargs)
        recorded = any(t.record_history for t in tree.flatten((args, kwargs)) if isinstance(t, KerasTensor))
        for t in tree.flatten(outputs):
            if isinstance(t, KerasTensor):
                t.record_history = recorded
        if recorded:
            symbolic.record(self, args, kwargs if given is None else given, outputs)
        return outputs

    def symbolic_call(self, *args: Any, **kwargs: Any) -> Any:
        """The symbolic result of a call on KerasTensors, recorded for models to be made from."""
        return self._symbolic(args, kwargs)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """KerasTensors of the result's shapes and dtypes: a user's `compute_output_shape` if there is one, else a trace of `call`."""
        own = home.own_class(self)
        if not _traceable(own):
            named = call_signature(own.call).named(args, kwargs)
            shapes = {
                f"{n}_shape": tree.map_structure(shape_of, v)
                for n, v in named.items()
                if any(isinstance(t, KerasTensor) for t in tree.flatten(v)) and not n.endswith("mask")
            }
            wanted = build_parameters(own.compute_output_shape)
            given = {w: shapes[w] for w in wanted if w in shapes}
            shape = (
                self.compute_output_shape(**given)
                if given and len(wanted) > 1
                else self.compute_output_shape(next(iter(shapes.values())))
            )
            return specs(shape, self.compute_dtype)
        return self._trace(*_unrecord(args, kwargs))

    def _trace(self, args: tuple, kwargs: dict) -> Any:
        """`call` on KerasTensors; what it assigns to variables, and adds to the losses, is dropped."""
        with StatelessScope(collect_losses=True):
            return _fresh(self._run(args, kwargs, self._dtype_policy._compute_dtype))

    def compute_output_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shape of the result for input shapes, found by tracing the call."""
        own = home.own_class(self)
        if args:
            symbols: tuple = tuple(specs(shape, self.compute_dtype) for shape in args)
            outputs = self._traced_from_shapes(symbols, {})
        else:
            named = {k.removesuffix("_shape"): specs(v, self.compute_dtype) for k, v in kwargs.items()}
            first = call_signature(own.call).first
            if list(named) == ["input"] and first is not None:
                named = {first: named["input"]}
            outputs = self._traced_from_shapes((), named)
        return tree.map_structure(lambda t: t.shape, outputs)

    def _traced_from_shapes(self, args: tuple, kwargs: dict) -> Any:
        with backends.use(self._backend), self._scope():
            if not self.built:
                self._maybe_build(args, kwargs)
            return self._trace(args, kwargs)

    # -- input specs --------------------------------------------------------------------

    @property
    def input_spec(self) -> Any:
        return self.__dict__.get("_input_spec")

    @input_spec.setter
    def input_spec(self, value: Any) -> None:
        self.__dict__.update(_input_spec=value, _fitting=None)

    def _assert_input_spec(self, args: tuple) -> None:
        spec = self.__dict__.get("_input_spec")
        if spec is not None and args:
            assert_input_compatibility(spec, args[0], self.name)

    # -- losses -------------------------------------------------------------------------

    def add_loss(self, loss: Any) -> None:
        """Adds a scalar tensor, or several, to what training minimizes. Called within `call`."""
        scope = state.get_stateless_scope()
        self.__dict__["_is_simple"] = False  # the short way of a call does not clear what calls have added
        for one in tree.flatten(loss):
            if scope is not None and scope.collect_losses:
                scope.add_loss(one)
            else:
                self._losses.append(one)
                _with_losses.add(self)

    def add_metric(self, *args: Any, **kwargs: Any) -> None:
        """Gone from Keras 3, and so not here: keep a metric as an attribute and update it in `call`."""
        raise NotImplementedError(
            f"{self.name}: add_metric is gone; keep a Metric as an attribute and update it in call."
        )

    def _add_activity_losses(self, outputs: Any) -> None:
        """The regularizer's value of each output, for one sample: batches of any size weigh the same."""
        for y in tree.flatten(outputs):
            loss = self.activity_regularizer(y)
            batch = ops.shape(y)[0] if len(y.shape) else 1
            self.add_loss(ops.divide(loss, ops.cast(batch, loss.dtype)))

    def _clear_losses(self) -> None:
        """Drops what calls have added, here and in all sublayers."""
        for layer in self._all_layers() if _with_losses else ():
            layer._losses.clear()
            _with_losses.discard(layer)

    def _own_losses(self) -> list[Any]:
        """What the calls added, without the regularizers'."""
        scope = state.get_stateless_scope()
        if scope is not None and scope.collect_losses:
            return list(scope.losses)
        return [loss for layer in self._all_layers() for loss in layer._losses]

    @property
    def losses(self) -> list[Any]:
        """The scalars that calls added, and those of the trainable weights' regularizers."""
        regular = [v.regularizer(v.value) for v in self.trainable_weights if v.regularizer is not None]
        return self._own_losses() + regular

    # -- stateless ----------------------------------------------------------------------

    def stateless_call(
        self,
        trainable_variables: Sequence[Any],
        non_trainable_variables: Sequence[Any],
        *args: Any,
        return_losses: bool = False,
        **kwargs: Any,
    ) -> tuple:
        """The call as a function of the variables' values; the variables keep theirs.

        Args:
            trainable_variables: Values, in the order of `self.trainable_variables`.
            non_trainable_variables: Values, in the order of `self.non_trainable_variables`.
            *args, **kwargs: The call's.
            return_losses: Whether to return the losses too.

        Returns:
            (outputs, new values of the non-trainable variables), and the losses if asked for.

        Raises:
            ValueError: The layer is not built, or the number of values differs.
        """
        self._check_made()
        if not self.built:
            raise ValueError(f"{self.name}: stateless_call needs a built layer; build it, or call it once.")
        with searching_once():
            trainable, rest = self.trainable_variables, self.non_trainable_variables
        for what, own, given in (
            ("trainable_variables", trainable, trainable_variables),
            ("non_trainable_variables", rest, non_trainable_variables),
        ):
            if len(own) != len(given):
                raise ValueError(f"{self.name}: {what} has {len(given)} values, the layer {len(own)} such variables.")
        pairs = [*zip(trainable, trainable_variables, strict=True), *zip(rest, non_trainable_variables, strict=True)]
        with backends.use(self._backend), StatelessScope(pairs, collect_losses=return_losses) as scope:
            outputs = self(*args, **kwargs)
            losses = self.losses if return_losses else None
            # Reading outside of autocasting: these are the values to keep.
            with AutocastScope(None):
                updated = [v.value for v in rest]
        del scope
        return (outputs, updated, losses) if return_losses else (outputs, updated)

    # -- the rest -----------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Variable):  # the framework's module has its storage already; see track_variable
            object.__setattr__(self, name, value)
            return
        if isinstance(value, Layer):
            self._check_made()
        state.revise_for(self, name, value)
        self.__dict__.pop("_is_simple", None)  # what the layer holds may have changed
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        state.revise()
        self.__dict__.pop("_is_simple", None)
        super().__delattr__(name)

    def _backend_adopts(self) -> None:
        """Tells the framework's module about layers kept in lists and dicts, which it does not look into."""
        self._backend.track_layers(self, self._sublayers())

    def get_config(self) -> dict:
        """What the layer can be made from again."""
        base = {
            "name": self.name,
            "trainable": self._trainable,
            "dtype": dtype_policies.serialize(self._dtype_policy),
        }
        if self.activity_regularizer is not None:
            from kcore import regularizers

            base["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        own = home.own_class(self)
        if own.__init__ is not Layer.__init__ and own.get_config is Layer.get_config:
            return base | {k: v for k, v in Operation.get_config(self).items() if k not in ("name", "dtype")}
        return base

    def __reduce_ex__(self, protocol: Any) -> Any:
        return home.reduced(self)

    def __setstate__(self, kept: dict) -> None:
        self.__dict__.update(kept)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    __str__ = __repr__


class _open:
    """The name scope of a layer that knows its path: cheaper than `exact_scope`."""

    __slots__ = ("path", "token")

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        self.token = naming._scopes.set((self.path,))

    def __exit__(self, *_: object) -> None:
        naming._scopes.reset(self.token)


def _wrapped_build(build: Any) -> Any:
    """`build`, run on the layer's backend in its name scope; it notes the shapes and sets `built`."""
    if hasattr(build, "_kcore_wrapped"):
        return build

    def wrapped(self: Layer, *args: Any, **kwargs: Any) -> None:
        self._check_made()
        with backends.use(self._backend), self._scope():
            named = dict(zip(build_parameters(build), args, strict=False)) | kwargs
            if self._build_shapes is None:
                self._build_shapes = {k: v for k, v in named.items() if v is not None} or None
            build(self, *args, **kwargs)
            self.built = True

    wrapped._kcore_wrapped = build  # type: ignore[attr-defined]
    wrapped.__name__, wrapped.__doc__ = "build", build.__doc__
    return wrapped


def _unwrapped(build: Any) -> Any:
    return getattr(build, "_kcore_wrapped", build)


def _named_initializer(name: str) -> Any:
    from kcore import initializers

    return initializers.get(name)


def _any_mask(args: tuple, kwargs: dict) -> bool:
    leaves = args if len(args) == 1 and not kwargs and not tree.is_nested(args[0]) else tree.flatten((args, kwargs))
    return any(masks.get_mask(x) is not None for x in leaves)


@functools.lru_cache(maxsize=4096)
def _traceable(cls: type) -> bool:
    """Whether symbolic results come from a trace of `call`: kcore's own calls can all be traced, and then
    symbolic results have the checks and dtypes of real ones."""
    infer = cls.compute_output_shape  # type: ignore[attr-defined]
    own = all(f.__module__.startswith("kcore.") for f in (infer, cls.call))  # type: ignore[attr-defined]
    return own or infer is Layer.compute_output_shape


def _unrecord(args: tuple, kwargs: dict) -> tuple[tuple, dict]:
    return tree.map_structure(_unrecorded, (args, kwargs))
