"""The one thread setting: how many threads kernels and BLAS may use.

Idle OpenMP threads spin for a while by default, which slows other libraries' threads down; set
OMP_WAIT_POLICY=passive before Python starts to have them sleep.
"""

import os
import sys

# Below this many multiply-adds (or elements, for kernels that only pass over memory), starting
# threads costs more than they save.
_WORK_PER_THREAD = 1 << 16

_threads: int | None = None


def _usable_cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not every system has affinity masks
        return os.cpu_count() or 1


def _initial() -> int:
    text = os.environ.get("KCORE_NUM_THREADS")
    if not text:
        return _usable_cpus()
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"KCORE_NUM_THREADS={text!r} is not a number of threads; expected an integer >= 1.")
    return int(text)


def get_threads() -> int:
    """The number of threads kernels use: set_threads, else KCORE_NUM_THREADS, else the usable CPUs."""
    global _threads
    if _threads is None:
        _threads = _initial()
    return _threads


def set_threads(n: int) -> None:
    """Use at most `n` threads from now on; where threadpoolctl is installed, in BLAS too.

    Raises:
        ValueError: `n` is below 1.
    """
    global _threads
    if n < 1:
        raise ValueError(f"set_threads: n={n} is not a number of threads; expected an integer >= 1.")
    _threads = int(n)
    try:
        import threadpoolctl
    except ImportError:
        return
    threadpoolctl.threadpool_limits(limits=_threads, user_api="blas")


def threads_for(work: int) -> int:
    """How many threads `work` multiply-adds or elements deserve: 1 where more would not pay."""
    if work < 2 * _WORK_PER_THREAD:
        return 1
    return max(1, min(get_threads(), int(work) // _WORK_PER_THREAD))


def _after_fork() -> None:
    # GNU OpenMP's thread pool does not survive a fork: a child that used it would hang.
    global _threads
    _threads = 1


if hasattr(os, "register_at_fork") and sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)
