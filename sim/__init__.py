"""fotasim: simulate firmware-over-the-air rollouts to fleets of cellular modules.

The public names load on first use: `Scenario.load(path)`, `simulate(scenario)`, `save(outcome, folder)`, `Run.load(folder)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {"Scenario": "sim.scenario", "simulate": "sim.engines.run", "save": "sim.engines.run", "Run": "sim.records"}

__all__ = ["Run", "Scenario", "save", "simulate"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sim' has no attribute {name!r}")
