"""Compiled loops for the CPU: arrays, sizes and threads in, arrays out.

`kernels` is the extension module, or None where it is missing or switched off; `reason` then says
why, and callers use their NumPy definitions. KCORE_NATIVE=0 switches it off; KCORE_SIMD names the
instruction set to use instead of the widest one that the CPU has.
"""

import importlib
import os
from typing import Any

kernels: Any = None
reason: str | None = None

if os.environ.get("KCORE_NATIVE") == "0":
    reason = "switched off by KCORE_NATIVE=0"
else:
    # OpenMP reads this when it is loaded, which is now. Threads that wait should sleep: spinning, they
    # take the processors from BLAS and from other programs, and gain nothing on a busy machine.
    _policy = os.environ.get("OMP_WAIT_POLICY")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        kernels = importlib.import_module("kcore._native._kernels")
    except ImportError as error:
        reason = f"the compiled extension could not be imported: {error}"
    if _policy is None:
        del os.environ["OMP_WAIT_POLICY"]

available: bool = kernels is not None

if kernels is not None and os.environ.get("KCORE_SIMD"):
    try:
        kernels.set_simd(os.environ["KCORE_SIMD"])
    except ValueError as error:
        raise ValueError(f"KCORE_SIMD: {error}") from None

simd: str | None = kernels.get_simd() if kernels is not None else None
