"""The torch backend. Importing it imports torch; it changes none of torch's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from kcore import dtypes, tree
from kcore.backends.contract import WIDER, Backend, collect, families
from kcore.backends.coo import Coo, is_sparse, met_by_layout
from kcore.backends.host import to_array

DTYPES = {name: getattr(torch, name) for name in dtypes.ALL}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_NUMBERS = (bool, int, float)
_depth = 0  # how many gradients are being taken: above 0, backward passes are differentiable


class TorchBackend(Backend):
    """Tensors are torch.Tensor, new ones on torch's default device.

    torch has few kernels for uint16, uint32 and uint64: such ops run in a wider dtype.
    """

    name = "torch"
    hides_sparse = True
    _lacking = set()
    tensor_types = (torch.Tensor,)
    module_base = torch.nn.Module
    fused_steps = frozenset({"adam", "sgd"})
    wider = WIDER

    def convert(self, x: Any, dtype: str | None = None) -> Any:
        if isinstance(x, torch.Tensor):
            if dtype is None or x.dtype is DTYPES[dtype]:
                return x
            if x.is_complex() and not dtypes.is_complex(dtype):
                x = x.real
            return x.to(DTYPES[dtype])
        if dtype is not None and type(x) in _NUMBERS:
            try:
                return torch.tensor(x, dtype=DTYPES[dtype])
            except (RuntimeError, TypeError, OverflowError):  # out of range: it wraps around, as in NumPy
                return from_numpy(to_array(x, dtype), dtype)
        if is_sparse(x):
            return self.convert_sparse(x, dtype)
        stacked = self.from_sequence(x, dtype)
        if stacked is not None:
            return stacked
        return from_numpy(to_array(x, dtype), dtype)

    def coo(self, x: Any) -> Coo:
        known = getattr(x, "_kcore_coo", None)
        if known is not None:  # gradients have flowed through dense tensors only, and can be differentiated again
            return known
        if x.layout is not torch.sparse_coo:
            x = x.to_sparse_coo()
        if x.dense_dim():
            x = x.to_dense().to_sparse()
        x = x.coalesce()
        return Coo(x.indices().T, x.values(), tuple(x.shape))

    def from_coo(self, x: Coo) -> torch.Tensor:
        x = stored.canonical(x)
        indices = x.indices.to(torch.int64)
        y = torch.sparse_coo_tensor(indices.T, x.values, x.sizes, is_coalesced=True, check_invariants=False)
        y._kcore_coo = Coo(indices, x.values, x.shape)
        is_sparse(y)  # from the first one on, plans look at what they are given
        return y

    def bind(self, op: Any, plan: Any, sources: Any, once: bool = False) -> Callable:
        run = super().bind(op, plan, sources, once)
        if not met_by_layout():  # dense tensors alone, as in most processes: nothing is asked of them
            return run

        def guarded(*args: Any) -> Any:
            # torch has one class for dense and sparse tensors, so the plan for dense ones is looked up for both.
            for a in args:
                if a.__class__ is torch.Tensor:
                    if a.layout is not torch.strided:
                        return op.look_again(args)
                elif a.__class__ is list or a.__class__ is tuple:
                    for e in a:
                        if e.__class__ is torch.Tensor and e.layout is not torch.strided:
                            return op.look_again(args)
            return run(*args)

        return guarded

    def dtype(self, x: Any) -> str:
        return _NAMES[x.dtype]

    def lacks_kernel(self, error: Exception) -> bool:
        text = str(error)
        return isinstance(error, (NotImplementedError, RuntimeError)) and (
            "not implemented for" in text
            or "Promotion for uint16, uint32, uint64" in text
            or "not supported" in text
            or "not currently supported" in text
            or "unsupported" in text.lower()
        )

    def vjp(self, fn: Callable, leaves: list[Any], once: bool = False) -> tuple[list[Any], Any, Callable]:
        global _depth
        outer = _depth > 0 or any(x.requires_grad for x in leaves)
        with torch.enable_grad():
            # An alias that an outer gradient sees through, or a fresh leaf where there is none.
            traced = [x.view_as(x) if x.requires_grad else x.detach().requires_grad_() for x in leaves]
            _depth += 1
            try:
                outputs, aux = fn(*traced)
            finally:
                _depth -= 1

        def pullback(gs: list[Any]) -> list[Any]:
            graph = outer or _depth > 0 or any(g.requires_grad for g in gs)
            pairs = [(y, g) for y, g in zip(outputs, gs, strict=True) if y.requires_grad]
            if not pairs:
                return [torch.zeros_like(x) for x in traced]
            ys, vs = zip(*pairs, strict=True)
            found = torch.autograd.grad(
                ys, traced, vs, allow_unused=True, create_graph=graph, retain_graph=graph or not once
            )
            return [torch.zeros_like(x) if g is None else g for x, g in zip(traced, found, strict=True)]

        if outer:
            return outputs, aux, pullback
        return [y.detach() for y in outputs], tree.map_structure(_detached, aux), pullback

    def new_storage(self, value: Any, dtype: str, trainable: bool, name: str) -> Any:
        value = self.convert(value, dtype).detach().clone(memory_format=torch.contiguous_format)
        inexact = value.is_floating_point() or value.is_complex()
        return torch.nn.Parameter(value, requires_grad=trainable and inexact)

    def write(self, storage: Any, value: Any) -> Any:
        with torch.no_grad():
            storage.copy_(value)
        return storage

    def init_module(self, layer: Any) -> None:
        torch.nn.Module.__init__(layer)

    def track_variable(self, layer: Any, variable: Any) -> None:
        name = variable.name
        while name in layer._parameters:
            name += "_"
        layer._parameters[name] = variable._storage

    def track_layers(self, layer: Any, sublayers: list[Any]) -> None:
        known = {id(m) for m in layer._modules.values()}
        for child in sublayers:
            if id(child) not in known:
                layer._modules[child.name] = child

    def compile(self, step: Callable, assigned: list[Any], read: list[Any], *, jit: bool | str) -> Callable:
        if jit is not True:
            return step
        from kcore.backends.torch.compile import CompiledStep

        return CompiledStep(step, assigned, read)

    def optimizer_step(
        self, kind: str, variables: list[Any], gradients: list[Any], slots: list[list[Any]], numbers: Callable, at: Any
    ) -> bool:
        from kcore.backends.torch import optimize

        return optimize.step(kind, variables, gradients, slots, numbers, at)

    def synchronize(self, x: Any) -> None:
        if isinstance(x, torch.Tensor) and x.is_cuda:
            torch.cuda.synchronize(x.device)

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def devices(self) -> list[str]:
        found = ["cpu", *(f"{_cuda()}:{i}" for i in range(torch.cuda.device_count()))]
        if torch.backends.mps.is_available():
            found.append("mps:0")
        if torch.xpu.is_available():
            found += [f"xpu:{i}" for i in range(torch.xpu.device_count())]
        return found

    def device(self) -> str:
        found = torch.get_default_device()
        if found.type == "cpu":
            return "cpu"
        return f"{_cuda() if found.type == 'cuda' else found.type}:{found.index or 0}"

    def on_device(self, name: str) -> Any:
        return torch.device(name.replace("rocm", "cuda"))  # ROCm's devices are called cuda in torch

    def precision(self) -> dict[str, str]:
        kinds = {
            "torch.backends.fp32_precision": torch.backends.fp32_precision,
            "torch.backends.cuda.matmul.fp32_precision": torch.backends.cuda.matmul.fp32_precision,
            "torch.backends.cudnn.conv.fp32_precision": torch.backends.cudnn.conv.fp32_precision,
            "torch.backends.mkldnn.matmul.fp32_precision": torch.backends.mkldnn.matmul.fp32_precision,
        }
        cuda = torch.backends.cuda.matmul
        reduced = ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
        return kinds | {f"torch.backends.cuda.matmul.{name}": str(getattr(cuda, name)) for name in reduced}


def _cuda() -> str:
    return "rocm" if torch.version.hip else "cuda"


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, torch.Tensor) else x


def from_numpy(x: np.ndarray, dtype: str | None = None) -> torch.Tensor:
    """A tensor from an array; its own memory, so that the array may be changed afterwards."""
    name = dtypes.name_of(x.dtype)
    if any(stride < 0 for stride in x.strides):  # torch refuses them, and NumPy calls such an axis of 1 contiguous
        x = x.copy()
    if name == "bfloat16" or name in dtypes.FLOAT8:  # torch reads no ml_dtypes array; its bytes it does
        bits = np.ascontiguousarray(x).reshape(x.shape).view({1: "uint8", 2: "int16"}[x.dtype.itemsize])
        y = torch.tensor(bits).view(DTYPES[name])
    else:
        y = torch.tensor(np.ascontiguousarray(x).reshape(x.shape))
    return y if dtype is None else y.to(DTYPES[dtype])


backend = TorchBackend()

TorchBackend.ops = collect(*families(__name__))  # only now: the op modules may use the backend

from kcore.backends.torch import sparse  # noqa: E402 - as above
from kcore.ops import stored  # noqa: E402

TorchBackend.sparse_ops = collect(sparse)
