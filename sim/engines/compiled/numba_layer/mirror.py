"""Compiled counterparts of plain functions: every function of a module, rebuilt over compiled siblings.

The core knows no compiler. A mirror of each core module is built here: its functions get a globals dict in which the
functions they call are the compiled ones, enumerations are plain numbers and long tuples are arrays; otherwise they
are the very same code objects.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np

from sim.engines.compiled.numba_layer import cache_hints
from sim.named_enum import numbers

PACKAGE = "sim."
LONG_TUPLE = 6
"""Tuples of numbers longer than this become arrays: a compiler keeps short ones in registers."""


INNER = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Options of functions that only compiled ones call. Never fastmath: results are to be identical."""


class Mirror:
    """Compiled counterparts of a module and of all it calls: `mirror["sim.module.behaviour"].receive`.

    `substitutes` names functions that others take the place of, which are mirrored in turn: what a driver does in its own
    way, and functions that the compiler has words of its own for.
    """

    def __init__(self, root: str, substitutes: Mapping[Any, Any] | None = None) -> None:
        self._substitutes = {**cache_hints.COMPILED, **(substitutes or {})}
        self._modules: dict[str, ModuleType] = {}
        self._functions: dict[FunctionType, Any] = {}
        self._add(importlib.import_module(root))

    def __getitem__(self, name: str) -> ModuleType:
        return self._modules[name]

    @property
    def files(self) -> list[Path]:
        """The sources of everything mirrored."""
        return sorted(Path(str(sys.modules[name].__file__)) for name in self._modules)

    def _add(self, module: ModuleType) -> ModuleType:
        """The mirror of a module: first its functions, so that modules may refer to each other, then what they refer to."""
        if module.__name__ in self._modules:
            return self._modules[module.__name__]
        mirror = self._modules[module.__name__] = ModuleType(module.__name__)
        space = mirror.__dict__
        others = []
        for name, value in vars(module).items():
            if (
                isinstance(value, FunctionType)
                and value.__module__ == module.__name__
                and value not in self._substitutes
            ):
                rebuilt = FunctionType(value.__code__, space, name, value.__defaults__)
                rebuilt.__module__ = module.__name__
                space[name] = self._functions[value] = numba.njit(**INNER)(rebuilt)
            elif not name.startswith("__"):
                others.append((name, value))
        for name, value in others:
            space[name] = self._counterpart(value)
        return mirror

    def _counterpart(self, value: Any) -> Any:
        if isinstance(value, ModuleType):
            return self._add(value) if value.__name__.startswith(PACKAGE) else value
        if isinstance(value, FunctionType) and value in self._substitutes:
            return self._counterpart(self._substitutes[value])
        if isinstance(value, FunctionType) and value.__module__.startswith(PACKAGE):
            self._add(sys.modules[value.__module__])
            return self._functions.get(value, value)
        if isinstance(value, type) and issubclass(value, IntEnum):
            return numbers(value)
        if isinstance(value, tuple) and len(value) > LONG_TUPLE and all(isinstance(x, int | float) for x in value):
            return np.array(value)
        return value
