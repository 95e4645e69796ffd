"""Compiled code on disk: found again under a key that covers everything it was made from."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba.core import caching

from sim.engines.compiled.code_folder import cache_folder


def source_key(files: list[Path]) -> str:
    """A hash over the compiled sources and the compiler's version."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {sys.version}".encode())
    for file in [*files, *sorted(Path(__file__).parents[1].rglob("*.py"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


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
    """A function of the core as one to call from Python, compiled on first use and kept on disk where possible."""
    dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
    folder = cache_folder()
    if folder is not None:
        _keep(dispatcher, folder, key)
    return dispatcher
