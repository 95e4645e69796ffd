"""Machine code for one function with all it calls inside, instead of one for each function."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import numba
from llvmlite.binding import Linkage
from numba.core import codegen, errors, registry

_LOCK = Lock()
"""Numba's own classes are changed for as long as a compilation lasts: one at a time."""


def compile_entry(entry: Any, *arguments: Any) -> None:
    """Loads or makes the machine code of an entry for arguments of these types."""
    with machine_code_of(entry.py_func.__qualname__):
        entry.compile(tuple(numba.typeof(argument) for argument in arguments))


@contextmanager
def machine_code_of(name: str) -> Iterator[None]:
    """While this lasts, only the function of that name becomes machine code, with all it calls inside it.

    Numba would optimise and assemble every callee by itself as well, which takes longer than all the rest. Callees are
    linked as they are and optimised within the function; nobody can call them from Python afterwards. So they are known
    to nobody else, which lets the optimiser drop checks of errors that cannot be and dissolve whatever is called once.
    """
    registry.cpu_target.target_context  # noqa: B018  # the runtime is assembled the usual way, before
    library: Any = codegen.JITCodeLibrary
    maker: Any = codegen.JITCPUCodegen
    messages: Any = errors

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

    with _LOCK:
        colours = messages._termcolor_inst
        finalize, optimize, set_env = library.finalize, library._optimize_final_module, maker.set_env
        messages._termcolor_inst = _Plain()
        library.finalize, library._optimize_final_module, maker.set_env = link_only, optimize_alone, set_known_env
        try:
            yield
        finally:
            messages._termcolor_inst = colours
            library.finalize, library._optimize_final_module, maker.set_env = finalize, optimize, set_env


class _Plain:
    """Messages without colours: of the thousands that are made on the way nobody sees one, and colouring them takes time."""

    def __getattr__(self, _style: str) -> Any:
        return str
