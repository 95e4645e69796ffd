"""Compiles the pure core as it stands: every function of a core module, rebuilt over compiled siblings.

The core knows no compiler. A mirror of each core module is built here: its functions get a globals dict in which the
functions they call are the compiled ones, enumerations are plain numbers and long tuples are arrays; otherwise they
are the very same code objects. The results of the entry points are kept on disk under a key that covers the source of
everything involved, so that a changed callee is noticed.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from enum import IntEnum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from numba.core import caching

CORE = (
    "sim.messages",
    "sim.draws",
    "sim.curves",
    "sim.module.rows",
    "sim.module.states",
    "sim.module.battery",
    "sim.module.radio",
    "sim.module.check_in",
    "sim.module.flash",
    "sim.module.behaviour",
    "sim.network.cells",
    "sim.network.random_access",
)
"""Modules to mirror, each after those it imports."""
LONG_TUPLE = 6
"""Tuples of numbers longer than this become arrays: a compiler keeps short ones in registers."""


class Mirror:
    """Compiled counterparts of the core modules: `mirror["sim.module.behaviour"].receive`."""

    def __init__(self, names: tuple[str, ...] = CORE) -> None:
        self._modules: dict[str, ModuleType] = {}
        self._functions: dict[FunctionType, Any] = {}
        for name in names:
            self._add(importlib.import_module(name))

    def __getitem__(self, name: str) -> ModuleType:
        return self._modules[name]

    def _add(self, module: ModuleType) -> None:
        mirror = ModuleType(module.__name__)
        space = mirror.__dict__
        self._modules[module.__name__] = mirror
        own = []
        for name, value in vars(module).items():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                own.append((name, value))
            elif not name.startswith("__"):
                space[name] = self._counterpart(value)
        for name, function in own:
            rebuilt = FunctionType(function.__code__, space, name, function.__defaults__)
            rebuilt.__module__ = module.__name__
            space[name] = self._functions[function] = numba.njit(nogil=True, error_model="numpy")(rebuilt)

    def _counterpart(self, value: Any) -> Any:
        if isinstance(value, ModuleType):
            return self._modules.get(value.__name__, value)
        if isinstance(value, FunctionType):
            return self._functions.get(value, value)
        if isinstance(value, type) and issubclass(value, IntEnum):
            return _numbers(value)
        if isinstance(value, tuple) and len(value) > LONG_TUPLE and all(isinstance(x, int | float) for x in value):
            return np.array(value)
        return value


def _numbers(enumeration: type[IntEnum]) -> ModuleType:
    """The members of an enumeration as plain ints, under the same names."""
    plain = ModuleType(enumeration.__name__)
    plain.__dict__.update({member.name: int(member) for member in enumeration})
    return plain


# --- cache --------------------------------------------------------------------------------------------------------


def source_key(*folders: Path) -> str:
    """A hash over the compiled sources and the compiler's version."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {sys.version}".encode())
    files = [Path(importlib.import_module(name).__file__ or "") for name in CORE]
    for folder in folders:
        files += sorted(folder.glob("*.py"))
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


def cache_folder() -> Path | None:
    """Where compiled code is kept, or None when no place can be written. FOTASIM_CACHE names another place."""
    given = os.environ.get("FOTASIM_CACHE")
    if given:
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "fotasim"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches" / "fotasim"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fotasim"
    try:
        base.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return base if os.access(base, os.W_OK) else None


def _keep(dispatcher: Any, folder: Path, key: str) -> None:
    """Lets a dispatcher load its compiled code from `folder` and save it there."""

    class Locator(caching._CacheLocator):
        """One folder for everything, fresh as long as the sources are."""

        def get_cache_path(self) -> str:
            return str(folder / key)

        def get_source_stamp(self) -> str:
            return key

        def get_disambiguator(self) -> str:
            return ""

        @classmethod
        def from_function(cls, _function: Any, _file: str) -> Locator:
            return cls()

    class Implementation(caching.CompileResultCacheImpl):
        _locator_classes: Any = (Locator,)

    class Cache(caching.FunctionCache):
        _impl_class: Any = Implementation

    cache: Any = Cache
    dispatcher._cache = cache(dispatcher.py_func)


def entry(function: FunctionType, key: str) -> Any:
    """Compiles an entry point, kept on disk where possible."""
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    folder = cache_folder()
    if folder is not None:
        _keep(dispatcher, folder, key)
    return dispatcher
