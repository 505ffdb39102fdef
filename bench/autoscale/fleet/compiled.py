"""The two functions of the fleet that are called often, as machine code.

Every function of the scheduler's model and of the fleet is registered with numba, which compiles those that are
reached. The machine code is kept between runs under a name made of the sources: numba alone would look at one file's
age.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import numba
import numba.extending
import numpy as np
from numpy.typing import NDArray

from slmfleet.simulator import prefix, scheduler

from . import drive, observe, pods, router, state
from .state import Arrays

_MODULES: Final = (prefix, scheduler, pods, router, drive, observe)
_CACHE: Final = Path(__file__).parent / "__pycache__" / "compiled"
_drive, _observe = drive.drive, observe.observe


def _register() -> None:
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                # Called from compiled code alone, they need no entry for others; records cannot be returned, only
                # inlined.
                inline = "always" if value is pods.engine_of else "never"
                numba.extending.register_jitable(
                    inline=inline, no_cfunc_wrapper=True, no_cpython_wrapper=True, _nrt=False
                )(value)


def _cache_folder() -> Path:
    files = [*(Path(str(module.__file__)) for module in (*_MODULES, state)), Path(__file__)]
    folder = _CACHE / hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    if not folder.is_dir():
        shutil.rmtree(_CACHE, ignore_errors=True)  # what was compiled from other sources
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _compile(function: Callable[..., None]) -> Callable[..., None]:
    numba.config.CACHE_DIR = str(_cache_folder())  # read when a function is decorated
    compiled: Callable[..., None] = numba.njit(cache=True, error_model="numpy", _nrt=False)(function)
    return compiled


_register()


# The arrays come one by one: numba takes a named tuple of records apart much more slowly.
@_compile
def compiled_drive(to: float, *arrays: Any) -> None:  # noqa: ANN401 - each field of Arrays has a type of its own
    """drive.drive() on the fields of Arrays, the state in an array of one."""
    _drive(Arrays(arrays[0][0], *arrays[1:]), to)


@_compile
def compiled_observe(
    now: float,
    before: NDArray[np.int64],
    read: NDArray[np.int64],
    shown: NDArray[np.int64],
    look: NDArray[np.float64],
    rows: NDArray[np.float64],
    *arrays: Any,  # noqa: ANN401 - as above
) -> None:
    """observe.observe(), likewise."""
    _observe(Arrays(arrays[0][0], *arrays[1:]), now, before, read, shown, look, rows)
