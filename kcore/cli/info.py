"""`kcore info`: what is installed here and what kcore would use. Imports no framework."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kcore import backends, config
from kcore.version import __version__

# Distributions that may bring a framework's module, the usual one first.
DISTRIBUTIONS = {
    "jax": ("jax",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tf-nightly"),
    "torch": ("torch",),
}
LIBRARIES = ("numpy", "scipy", "ml-dtypes", "h5py", "rich")
# The CPU features that a numerical library asks about, as Linux names them.
FEATURES = (
    *("sse4_2", "avx", "f16c", "fma", "avx2"),
    *("avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16"),
    *("asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    found = collect()
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        _show(found)
    return 0


def collect() -> dict[str, Any]:
    """All that `kcore info` reports, as JSON types."""
    problems: list[str] = []

    def tried(answer: Callable[[], Any]) -> Any:
        """What `answer` gives; None where a setting is wrong, which goes on the list."""
        try:
            return answer()
        except ValueError as error:
            if str(error) not in problems:
                problems.append(str(error))
            return None

    return {
        "kcore": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "libraries": {name: _version((name,)) for name in LIBRARIES},
        "backends": {name: _backend(name) for name in backends.names()},
        "config_file": {"path": str(config.path()), "settings": tried(_settings)},
        "default_backend": tried(backends.default_name),
        "cpu": _cpu(),
        "threads": tried(_threads),
        "extension": tried(_extension),
        "problems": problems,
    }


def _settings() -> dict[str, Any] | None:
    """What the config file sets; None where there is no such file."""
    return config.from_file() if config.path().is_file() else None


# The kernels are imported here, not above: a wrong KCORE_SIMD is an error on import.
def _threads() -> int:
    from kcore._native import threads

    return threads.get_threads()


def _extension() -> dict[str, Any]:
    from kcore import _native

    pool = _native.kernels.pool_state() if _native.available else None
    return {"available": _native.available, "simd": _native.simd, "reason": _native.reason, "pool": pool}


def _backend(name: str) -> dict[str, Any]:
    if name not in backends.KNOWN:
        return {"installed": True, "version": None, "needs": None}  # a plugin; it knows its own
    _, module, _ = backends.KNOWN[name]
    if module is None:
        return {"installed": True, "version": __version__, "needs": None}
    there = importlib.util.find_spec(module) is not None
    version = _version(DISTRIBUTIONS.get(name, (module,))) if there else None
    return {"installed": there, "version": version, "needs": module}


def _version(distributions: Iterable[str]) -> str | None:
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _cpu() -> dict[str, Any]:
    fields = _cpuinfo()
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return {
        "model": fields.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "count": os.cpu_count(),
        "usable": _usable(),
        "features": [flag for flag in FEATURES if flag in flags],
    }


def _cpuinfo() -> dict[str, str]:
    """The first processor's fields in /proc/cpuinfo; empty where there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return {}
    first = text.split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _usable() -> int | None:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _show(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for key, value in _lines(found):
        table.add_row(Text(key, style="bold"), Text(value))  # Text: a path may hold brackets
    Console(highlight=False).print(table)


def _lines(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "kcore", found["kcore"]
    yield "Python", f"{found['python']} on {found['platform']}"
    yield "libraries", _versions(found["libraries"])
    for name, backend in found["backends"].items():
        yield f"backend {name}", _backend_line(name, backend)
    yield "default backend", found["default_backend"] or "unknown"
    yield "config file", _file_line(found["config_file"])
    cpu = found["cpu"]
    yield "CPU", f"{cpu['model']}, {cpu['usable']} of {cpu['count']} processors usable"
    yield "CPU features", " ".join(cpu["features"]) or "unknown"
    yield "threads", str(found["threads"] or "unknown")
    yield "native kernels", _extension_line(found["extension"])
    for problem in found["problems"]:
        yield "problem", problem


def _versions(libraries: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'missing'}" for name, version in libraries.items())


def _file_line(file: dict[str, Any]) -> str:
    if file["settings"] is None:
        return f"{file['path']} (not there, or not readable; defaults hold)"
    return f"{file['path']} {json.dumps(file['settings'])}"


def _backend_line(name: str, backend: dict[str, Any]) -> str:
    if backend["installed"]:
        return f"{backend['needs'] or 'built in'} {backend['version'] or ''}".strip()
    return f"not installed; {backends.KNOWN[name][2]}"


def _extension_line(extension: dict[str, Any] | None) -> str:
    if extension is None:
        return "unknown"
    if extension["available"]:
        pool = extension["pool"]
        kept, limit, in_use = (f"{pool[name] / 2**20:.0f}" for name in ("kept", "limit", "in_use"))
        return f"built, {extension['simd']}; memory pool: {in_use} MiB in use, {kept} of at most {limit} MiB kept"
    return f"not built, so NumPy definitions run instead: {extension['reason']}"
