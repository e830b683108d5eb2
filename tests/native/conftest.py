import numpy as np
import pytest

from kcore import _native

LEVELS = _native.kernels.simd_levels() if _native.available else ()


@pytest.fixture(params=LEVELS or [pytest.param("", marks=pytest.mark.skip(str(_native.reason)))])
def kernels(request):
    """The extension module, at each SIMD level this CPU has."""
    before = _native.kernels.get_simd()
    _native.kernels.set_simd(request.param)
    yield _native.kernels
    _native.kernels.set_simd(before)


@pytest.fixture
def rng():
    return np.random.default_rng(20240607)
