"""fotasim: simulate firmware-over-the-air rollouts to fleets of cellular modules.

The public names of the package `sim`: `from fotasim import Scenario, run, compare`. They load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sim

if TYPE_CHECKING:
    from sim import Run, Scenario, compare, replicate, run, save, sensitivity, simulate, sweep, tune

__all__ = ["Run", "Scenario", "compare", "replicate", "run", "save", "sensitivity", "simulate", "sweep", "tune"]

if not TYPE_CHECKING:  # a type checker must not take unknown names for known

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return getattr(sim, name)
        raise AttributeError(f"module 'fotasim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
