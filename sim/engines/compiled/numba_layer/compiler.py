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
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numba
import numpy as np
from llvmlite.binding import Linkage
from numba.core import caching, codegen, errors, registry
from numba.np import arrayobj

from sim.engines.compiled.numba_layer import cache_hints

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


def source_key(files: list[Path]) -> str:
    """A hash over the compiled sources and the compiler's version."""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {sys.version}".encode())
    for file in [*files, *sorted(Path(__file__).parents[1].rglob("*.py"))]:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:20]


def cache_folder() -> Path | None:
    """Where compiled code is kept, or None when no place can be written. FOTASIM_CACHE names another place.

    The user's cache folder; where that cannot be written, as in many containers, one of this user's own among the
    temporary files.
    """
    given = os.environ.get("FOTASIM_CACHE")
    if given:
        return _writable(Path(given))
    return _writable(_users_cache() / "fotasim") or _private_temporary()


def _users_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _writable(folder: Path) -> Path | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _private_temporary() -> Path | None:
    """Compiled code is run as it is found: nobody else may have put it there."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir()) / f"fotasim-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    owned = found.st_uid == os.getuid() and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    return folder if owned else None


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


@contextmanager
def machine_code_of(name: str) -> Iterator[None]:
    """While this lasts, only the function of that name becomes machine code, with all it calls inside it.

    Numba would optimise and assemble every callee by itself as well, which takes longer than all the rest. Callees are
    linked as they are and optimised within the function; nobody can call them from Python afterwards. So they are known
    to nobody else, which lets the optimiser drop checks of errors that cannot be and dissolve whatever is called once.
    Places in arrays are taken as they are: the core never counts from the end, which would cost at every access.
    """
    registry.cpu_target.target_context  # noqa: B018  # the runtime is assembled the usual way, before
    library: Any = codegen.JITCodeLibrary
    maker: Any = codegen.JITCPUCodegen
    finalize, optimize, set_env = library.finalize, library._optimize_final_module, maker.set_env
    index: Any = arrayobj.fix_integer_index
    messages: Any = errors
    colours = messages._termcolor_inst

    def link_only(self: Any) -> None:
        if self.name == name:
            finalize(self)
            return
        for other in dict.fromkeys(self._linking_libraries):
            self._reload_init.update(other._reload_init)
            self._final_module.link_in(other._get_module_for_linking(), preserve=True)
        self._finalized = True

    def optimize_alone(self: Any) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                function.linkage = Linkage.internal
        optimize(self)

    def set_known_env(self: Any, env_name: str, env: Any) -> None:
        if self._engine.is_symbol_defined(env_name):
            set_env(self, env_name, env)

    def index_from_zero(context: Any, builder: Any, kind: Any, value: Any, _size: Any) -> Any:
        return context.cast(builder, value, kind, numba.types.intp)

    messages._termcolor_inst = _Plain()
    library.finalize, library._optimize_final_module, maker.set_env = link_only, optimize_alone, set_known_env
    arrayobj.fix_integer_index = index_from_zero
    try:
        yield
    finally:
        messages._termcolor_inst = colours
        arrayobj.fix_integer_index = index
        library.finalize, library._optimize_final_module, maker.set_env = finalize, optimize, set_env


class _Plain:
    """Messages without colours: of the thousands that are made on the way nobody sees one, and colouring them takes time."""

    def __getattr__(self, _style: str) -> Any:
        return str
