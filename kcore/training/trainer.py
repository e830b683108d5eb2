"""The one training loop: compile, fit, evaluate, predict, and the steps that they run.

A step (`train_step`, `test_step`, `predict_step`) is written statefully: it reads and assigns
variables. The backend compiles it (`Backend.compile`): as it is on reference and torch,
through tf.function on TensorFlow, and on JAX as a pure function of the variables' values. So a
step that a user overrides is written once, too.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from kcore import backends, gradients, ops, tree
from kcore.layers.tracking import Found, remembered, remembering
from kcore.state import StatelessScope, Variable
from kcore.training.tracebacks import filtered


class Trainer:
    """The part of a model that trains, evaluates and predicts."""

    # Filled by Layer and Model.
    name: str
    built: bool
    _backend: Any
    trainable_variables: list[Variable]
    non_trainable_variables: list[Variable]
    losses: list[Any]

    def __init__(self) -> None:
        self.__dict__.update(
            optimizer=None,
            loss=None,
            compiled=False,
            stop_training=False,
            _compiled_loss=None,
            _compiled_metrics=None,
            _loss_tracker=None,
            _compile_config=None,
            _steps_compiled={},
            _run_eagerly=False,
            _jit_compile="auto",
            steps_per_execution=1,
            history=None,
        )

    # -- compile ------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Says how to train and what to report.

        Args:
            optimizer: An Optimizer, its name, or a config.
            loss: A Loss, a function (y_true, y_pred), a name; or one for each output, in a list or by name.
            loss_weights: What the outputs' losses are multiplied by before they are added.
            metrics: Metrics, functions or names; for several outputs a list each, or by name.
            weighted_metrics: The same, given the sample weights.
            run_eagerly: Whether steps run op by op, uncompiled.
            steps_per_execution: How many batches a compiled call takes where the backend gains by it.
            jit_compile: Whether the framework's compiler is used; "auto" leaves it to the backend.
            auto_scale_loss: Whether a float16 policy's optimizer is wrapped in a LossScaleOptimizer.

        Raises:
            ValueError: An argument stands for nothing known, or steps_per_execution is below 1.
        """
        from kcore import optimizers
        from kcore.metrics import Mean
        from kcore.training.compiled import CompiledLoss, CompiledMetrics

        if not isinstance(steps_per_execution, int) or steps_per_execution < 1:
            raise ValueError(
                f"compile: steps_per_execution={steps_per_execution!r} should be an integer of at least 1."
            )
        with backends.use(self._backend):
            optimizer = optimizers.get(optimizer)
            half = self.dtype_policy.name == "mixed_float16"  # type: ignore[attr-defined]
            scaled = optimizer is None or isinstance(optimizer, optimizers.LossScaleOptimizer)
            if auto_scale_loss and half and not scaled:
                optimizer = optimizers.LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
            names = self._compile_output_names()
            compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights, names)
            has_metrics = metrics is not None or weighted_metrics is not None
            compiled_metrics = CompiledMetrics(metrics, weighted_metrics, names) if has_metrics else None
            tracker = Mean(name="loss")
        self.__dict__.update(
            optimizer=optimizer,
            loss=loss,
            _compiled_loss=compiled_loss,
            _compiled_metrics=compiled_metrics,
            _loss_tracker=tracker,
            _run_eagerly=run_eagerly,
            _jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            compiled=True,
            stop_training=False,
            _steps_compiled={},
            _compile_config={
                "optimizer": optimizer,
                "loss": loss,
                "loss_weights": loss_weights,
                "metrics": metrics,
                "weighted_metrics": weighted_metrics,
                "run_eagerly": run_eagerly,
                "steps_per_execution": steps_per_execution,
                "jit_compile": jit_compile,
            },
        )

    def _compile_output_names(self) -> list[str] | None:
        try:
            return list(self.output_names)  # type: ignore[attr-defined]
        except AttributeError:
            return None

    @property
    def jit_compile(self) -> bool | str:
        return self._jit_compile  # type: ignore[attr-defined]

    @jit_compile.setter
    def jit_compile(self, value: bool | str) -> None:
        self.__dict__.update(_jit_compile=value, _steps_compiled={})

    @property
    def run_eagerly(self) -> bool:
        return self._run_eagerly  # type: ignore[attr-defined]

    @run_eagerly.setter
    def run_eagerly(self, value: bool) -> None:
        self.__dict__.update(_run_eagerly=bool(value), _steps_compiled={})

    def _require_compiled(self, method: str) -> None:
        if not self.compiled:  # type: ignore[attr-defined]
            raise ValueError(f"{self.name}: call compile() before {method}().")

    def get_compile_config(self) -> dict:
        """The arguments of `compile`, serialized; empty before it."""
        from kcore import saving

        config = self.__dict__["_compile_config"] or {}
        return {k: saving.serialize_keras_object(v) for k, v in config.items()}

    def compile_from_config(self, config: dict) -> None:
        """Compiles with the arguments of `get_compile_config`.

        A model with a `compile` of its own is left uncompiled, with a warning, unless it has this method of its own too.
        """
        from kcore import saving

        if type(self).compile is not Trainer.compile:
            warnings.warn(
                f"{self.name} has a compile method of its own, so it is not compiled as it was when it was saved; "
                "give it get_compile_config and compile_from_config, or compile it again.",
                stacklevel=2,
            )
            return
        config = saving.deserialize_keras_object(config)
        if config.get("jit_compile") is True:  # Keras writes what "auto" meant for its backend
            config["jit_compile"] = "auto"
        self.compile(**config)
        if self.optimizer is not None and self.built:  # type: ignore[attr-defined]
            with backends.use(self._backend):
                self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    # -- metrics ------------------------------------------------------------------------

    @property
    @remembered
    def metrics(self) -> list[Any]:
        """The loss tracker, the metrics of `compile`, and those that layers keep."""
        found = []
        if (self._loss_tracker is not None and self._compiled_loss is not None) or (
            self._loss_tracker is not None and self.compiled
        ):  # type: ignore[attr-defined]
            found.append(self._loss_tracker)  # type: ignore[attr-defined]
        own = [m for layer in self._flatten_layers() for m in layer._own("metric")]  # type: ignore[attr-defined]
        found += own
        if self._compiled_loss is not None:  # type: ignore[attr-defined]
            found += self._compiled_loss.metrics  # type: ignore[attr-defined]
        if self._compiled_metrics is not None:  # type: ignore[attr-defined]
            found += self._compiled_metrics.metrics  # type: ignore[attr-defined]
        unique: dict[int, Any] = {id(m): m for m in found}
        return list(unique.values())

    @property
    def metrics_names(self) -> list[str]:
        return [m.name for m in self.metrics]

    @property
    @remembered
    def metrics_variables(self) -> list[Variable]:
        return [v for m in self.metrics for v in m.variables]

    def reset_metrics(self) -> None:
        """Starts every metric again."""
        for metric in self.metrics:
            metric.reset_state()

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The scalar to minimize: the compiled loss plus what layers and regularizers added.

        Raises:
            ValueError: There is neither.
        """
        found = []
        if self._compiled_loss is not None:  # type: ignore[attr-defined]
            loss = self._compiled_loss(y, y_pred, sample_weight)  # type: ignore[attr-defined]
            if loss is not None:
                found.append(loss)
        found += [ops.sum(ops.cast(loss, "float32")) for loss in self.losses]
        if not found:
            raise ValueError(
                f"{self.name}: there is nothing to minimize: compile was given no loss, and no layer added one."
            )
        total = found[0]
        for loss in found[1:]:
            total = ops.add(total, loss)
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        """Feeds a batch to the compiled metrics; returns all results by name."""
        if self._compiled_metrics is not None:  # type: ignore[attr-defined]
            self._compiled_metrics.update_state(y, y_pred, sample_weight)  # type: ignore[attr-defined]
        return self.get_metrics_result()

    def get_metrics_result(self) -> dict[str, Any]:
        """The metrics' results by name."""
        compiled = self._compiled_metrics  # type: ignore[attr-defined]
        inside = {id(m) for m in compiled.metrics} if compiled is not None else set()
        found: dict[str, Any] = {}
        for metric in self.metrics:
            if id(metric) not in inside:
                value = metric.result()
                found.update(value if isinstance(value, dict) else {metric.name: value})
        if compiled is not None:
            found.update(compiled.result())
        return found

    def stateless_compute_loss(
        self,
        trainable_variables: Any,
        non_trainable_variables: Any,
        metrics_variables: Any,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tuple:
        """`compute_loss` as a function of the variables' values.

        Returns:
            (loss, (trainable, non-trainable, metrics) values afterwards).
        """
        groups = (self.trainable_variables, self.non_trainable_variables, self.metrics_variables)
        given = (trainable_variables, non_trainable_variables, metrics_variables)
        pairs = [p for own, values in zip(groups, given, strict=True) for p in zip(own, values, strict=True)]
        with backends.use(self._backend), StatelessScope(pairs):
            loss = self.compute_loss(x, y, y_pred, sample_weight=sample_weight, training=training)
            after = tuple([v.value for v in own] for own in groups)
        return loss, after

    # -- steps --------------------------------------------------------------------------

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update from one batch. Override it for another kind of training.

        Args:
            data: (x,), (x, y) or (x, y, sample_weight); see `unpack_x_y_sample_weight`.

        Returns:
            What to report, by name.
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        (loss, y_pred), grads = self.loss_and_gradients(x, y, sample_weight)
        self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))  # type: ignore[attr-defined]
        self.optimizer.apply(grads, self.trainable_variables)  # type: ignore[attr-defined]
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def loss_and_gradients(self, x: Any, y: Any = None, sample_weight: Any = None) -> tuple[tuple[Any, Any], list[Any]]:
        """((loss, outputs), gradients of the loss by the trainable variables) for one batch, on any backend.

        What the forward pass assigns (moving averages, seeds) is assigned.
        """
        trainable = self.trainable_variables
        assigned: list[Variable] = []

        def forward(*values: Any) -> tuple[Any, tuple]:
            with StatelessScope(zip(trainable, values, strict=True), collect_losses=True) as scope:
                y_pred = self(x, training=True)  # type: ignore[operator]
                loss = self.compute_loss(x, y, y_pred, sample_weight, training=True)
                scaled = loss if self.optimizer is None else self.optimizer.scale_loss(loss)  # type: ignore[attr-defined]
            assigned[:] = [v for v, _ in scope.updates.values()]
            return scaled, (loss, y_pred, [value for _, value in scope.updates.values()])

        if trainable:
            _, (loss, y_pred, updates), grads = gradients.scalar_and_gradients(
                forward, [v.value for v in trainable], self.name
            )
        else:
            (_, (loss, y_pred, updates)), grads = forward(), []
        for variable, value in zip(assigned, updates, strict=True):
            variable.assign(value)
        return (loss, y_pred), grads

    def test_step(self, data: Any) -> dict[str, Any]:
        """The report on one batch, without an update."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        own = type(self).compute_loss is not Trainer.compute_loss
        if own or self._compiled_loss is not None or self.losses:  # type: ignore[attr-defined]
            loss = self.compute_loss(x, y, y_pred, sample_weight, training=False)
            self._loss_tracker.update_state(loss, sample_weight=_batch_size(x))  # type: ignore[attr-defined]
        self._clear_losses()  # type: ignore[attr-defined] # they may belong to a trace
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: Any) -> Any:
        """The outputs for one batch."""
        x, _, _ = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        self._clear_losses()  # type: ignore[attr-defined]
        return y_pred

    def _state_variables(self, kind: str) -> tuple[list[Variable], list[Variable]]:
        """(what the step may assign, what it only reads)."""
        if kind == "train":
            optimizer = self.optimizer.variables if self.optimizer is not None else []  # type: ignore[attr-defined]
            return [*self.variables, *optimizer, *self.metrics_variables], []  # type: ignore[attr-defined]
        metrics = self.metrics_variables if kind == "test" else []
        return [*self.non_trainable_variables, *metrics], self.trainable_variables

    def make_train_function(self, force: bool = False) -> Callable:
        """The compiled `train_step`: a function of a batch that updates the model."""
        return self._step("train", self.train_step, force)

    def make_test_function(self, force: bool = False) -> Callable:
        """The compiled `test_step`."""
        return self._step("test", self.test_step, force)

    def make_predict_function(self, force: bool = False) -> Callable:
        """The compiled `predict_step`."""
        return self._step("predict", self.predict_step, force)

    def _step(self, kind: str, step: Callable, force: bool) -> Callable:
        if self._is_ready(kind) and not force:
            return self._steps_compiled[kind][1]  # type: ignore[attr-defined]
        with remembering(Found()) as found:  # layers may come and go between two epochs
            assigned, read = _unique(*self._state_variables(kind))
            # A step belongs to the variables that it was compiled for; freezing a layer makes another.
            key = (tuple(map(id, assigned)), tuple(map(id, read)), tuple(map(id, self.trainable_variables)))
        known = self._steps_compiled.get(kind)  # type: ignore[attr-defined]
        if known is not None and known[0] == key and not force:
            self._steps_compiled[kind] = (*known[:2], found)  # type: ignore[attr-defined]
            return known[1]
        memory = Found()

        def run(data: Any) -> Any:
            with remembering(memory):
                return step(data)

        function: Callable = run
        if not self._run_eagerly:  # type: ignore[attr-defined]
            function = self._backend.compile(run, assigned, read, jit=self._jit_compile)  # type: ignore[attr-defined]
        self._steps_compiled[kind] = (key, function, found)  # type: ignore[attr-defined]
        return function

    def _is_ready(self, kind: str) -> bool:
        """Whether nothing that matters has changed since the step was compiled, as is soon seen of what predicts.

        A deep model may take longer to search than to run.
        """
        known = self._steps_compiled.get(kind)  # type: ignore[attr-defined]
        return kind == "predict" and known is not None and known[2].holds()

    def _prepare(self, data: Any, kind: str) -> None:
        """Builds whatever the first batch shows to be unbuilt: the model, the loss, the metrics, the optimizer."""
        if self._is_ready(kind):
            return
        x, y, _ = unpack_x_y_sample_weight(data)
        compiled_loss, compiled_metrics = self._compiled_loss, self._compiled_metrics  # type: ignore[attr-defined]
        needs_metrics = kind != "predict" and compiled_metrics is not None and not compiled_metrics.built
        needs_loss = kind != "predict" and compiled_loss is not None and compiled_loss._parts is None
        unbuilt = not all(layer.built for layer in self._flatten_layers())  # type: ignore[attr-defined]
        if unbuilt or needs_metrics or needs_loss:
            y_pred = self._symbolic_outputs(x, unbuilt)
            y = tree.map_structure(_symbolic_like, y)
            if needs_loss:
                compiled_loss.build(y, y_pred)
            if needs_metrics:
                compiled_metrics.build(y, y_pred)
        if kind == "train" and self.optimizer is not None and not self.optimizer.built:  # type: ignore[attr-defined]
            self.optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]

    def _symbolic_outputs(self, x: Any, unbuilt: bool) -> Any:
        specs = tree.map_structure(_symbolic_like, x)
        try:
            return self(specs)  # type: ignore[operator]
        except Exception as symbolic_error:
            # A call that can't be traced (it uses a framework's own functions) is run once instead.
            head = tree.map_structure(lambda t: ops.get_item(t, slice(1)) if len(getattr(t, "shape", ())) else t, x)
            try:
                with StatelessScope():
                    return self(head, training=False)  # type: ignore[operator]
            except Exception:
                raise symbolic_error from None

    # -- fit, evaluate, predict ---------------------------------------------------------

    @filtered
    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
    ) -> Any:
        """Trains the model. Data can be arrays, tensors, pandas, a PyDataset, a generator, a tf.data.Dataset or a DataLoader.

        Args:
            x, y: The data; y is left out where x brings the targets.
            batch_size: 32 by default; not for data that comes in batches.
            epochs: Where to stop counting; `initial_epoch` is where to start.
            verbose: 0 silent, 1 a progress bar, 2 a line an epoch.
            callbacks: Callbacks to call.
            validation_split: The share at the end of the arrays that is kept for validation.
            validation_data: (x, y), (x, y, sample_weight), or a data set.
            shuffle: Whether arrays are shuffled anew each epoch.
            class_weight: Class index -> weight of its samples.
            sample_weight: A weight for each sample.
            steps_per_epoch: Batches in an epoch; needed for endless data.
            validation_steps, validation_batch_size: The same for validation.
            validation_freq: Validate every so many epochs.

        Returns:
            The History: `history.history` has a list for each thing reported.

        Raises:
            ValueError: compile was not called, or the data don't fit together.
        """
        from kcore.training.loop import fit

        self._require_compiled("fit")
        with backends.use(self._backend):
            return fit(
                self,
                x,
                y,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                class_weight=class_weight,
                sample_weight=sample_weight,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )

    @filtered
    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and metrics on data, without training.

        Returns:
            The loss, or a list of it and the metrics, or with `return_dict` all by name.
        """
        from kcore.training.loop import evaluate

        self._require_compiled("evaluate")
        with backends.use(self._backend):
            logs = evaluate(
                self,
                x,
                y,
                batch_size=batch_size,
                verbose=verbose,
                sample_weight=sample_weight,
                steps=steps,
                callbacks=callbacks,
                **kwargs,
            )
        return logs if return_dict else _as_list(logs)

    @filtered
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The outputs for data, as NumPy arrays, computed in batches."""
        from kcore.training.loop import predict

        with backends.use(self._backend):
            return predict(self, x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks)

    @filtered
    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update from this batch; returns its loss and metrics."""
        from kcore.training.loop import class_weights_as_sample_weights

        self._require_compiled("train_on_batch")
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("train_on_batch: give sample_weight or class_weight, not both.")
            sample_weight = class_weights_as_sample_weights(y, class_weight)
        return self._on_batch("train", (x, y, sample_weight), return_dict)

    @filtered
    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and metrics on this batch, without an update."""
        self._require_compiled("test_on_batch")
        return self._on_batch("test", (x, y, sample_weight), return_dict)

    @filtered
    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for this batch, as NumPy arrays."""
        with backends.use(self._backend):
            data = self._as_tensors((x,))
            self._prepare(data, "predict")
            outputs = self.make_predict_function()(data)
            return tree.map_structure(ops.convert_to_numpy, outputs)

    def _on_batch(self, kind: str, data: tuple, return_dict: bool) -> Any:
        with backends.use(self._backend):
            data = self._as_tensors(data)
            self._prepare(data, kind)
            self.reset_metrics()
            function = self.make_train_function() if kind == "train" else self.make_test_function()
            logs = {k: float(np.asarray(ops.convert_to_numpy(v))) for k, v in function(data).items()}
        return logs if return_dict else _as_list(logs)

    def _as_tensors(self, data: Any) -> Any:
        convert = self._backend.convert
        return tree.map_structure(lambda a: None if a is None else convert(a), data)

    # -- state --------------------------------------------------------------------------

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict:
        """The values of all variables, nested by their paths, in four groups.

        Args:
            value_format: "backend_tensor" or "numpy_array".
        """
        if value_format not in ("backend_tensor", "numpy_array"):
            raise ValueError(
                f"get_state_tree: value_format={value_format!r} should be 'backend_tensor' or 'numpy_array'."
            )
        found: dict[str, Any] = {}
        for group, variables in self._state_groups().items():
            found[group] = {}
            for variable in variables:
                at = found[group]
                *parents, last = variable.path.split("/")
                for parent in parents:
                    at = at.setdefault(parent, {})
                at[last] = variable.numpy() if value_format == "numpy_array" else variable.value
        return found

    def set_state_tree(self, state_tree: dict) -> None:
        """Assigns the values of a tree as `get_state_tree` makes it; groups that it lacks stay.

        Raises:
            ValueError: It has a group or a variable that the model lacks; then nothing is assigned.
        """
        groups = self._state_groups()
        pairs = []
        for group, values in state_tree.items():
            if group not in groups:
                raise ValueError(f"set_state_tree: there is no group {group!r}; there are {', '.join(groups)}.")
            by_path = {v.path: v for v in groups[group]}
            for path, value in tree.flatten_with_path(values):
                name = "/".join(map(str, path))
                if name not in by_path:
                    raise ValueError(f"set_state_tree: {group} has no variable {name!r}.")
                pairs.append((by_path[name], value))
        for variable, value in pairs:
            variable.assign(value)

    def _state_groups(self) -> dict[str, list[Variable]]:
        return {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": [] if self.optimizer is None else self.optimizer.variables,  # type: ignore[attr-defined]
            "metrics_variables": self.metrics_variables,
        }


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of a batch; None for what it lacks.

    Raises:
        ValueError: A tuple of more than three.
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if 1 <= len(data) <= 3:
        return (*data, None, None)[:3]  # type: ignore[return-value]
    raise ValueError(f"A batch is (x,), (x, y) or (x, y, sample_weight), not a tuple of {len(data)}.")


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """A batch as a tuple, without what is None at the end."""
    if y is None:
        return (x,) if not tree.is_nested(x) or isinstance(x, tuple) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def _batch_size(x: Any) -> Any:
    if x.__class__ is np.ndarray or hasattr(x, "shape"):
        size = x.shape[0]
        return size if size.__class__ is int else ops.shape(x)[0]
    first = next(t for t in tree.flatten(x) if t is not None)
    return ops.shape(first)[0]


def _symbolic_like(x: Any) -> Any:
    """A KerasTensor of the same shape, the batch size open."""
    from kcore import dtypes
    from kcore.backends.coo import is_sparse
    from kcore.ops.symbolic import KerasTensor

    if x is None or not hasattr(x, "shape"):
        return x
    shape, dtype = tuple(x.shape), dtypes.name_of(x.dtype)
    return KerasTensor((None, *shape[1:]) if shape else (), dtype, is_sparse(x), record_history=False)


def _unique(*groups: list[Variable]) -> list[list[Variable]]:
    """The groups without repetitions, a variable staying where it comes first."""
    seen: set[int] = set()

    def new(variable: Variable) -> bool:
        known = id(variable) in seen
        seen.add(id(variable))
        return not known

    return [[v for v in group if new(v)] for group in groups]


def _as_list(logs: dict[str, Any]) -> Any:
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
