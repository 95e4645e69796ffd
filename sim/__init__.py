"""fotasim: simulate firmware-over-the-air rollouts to fleets of cellular modules.

The public names load on first use. One rollout: `Scenario.load(path)`, `scenario.with_(…)`, `run(scenario)`. Many:
`replicate`, `compare`, `sweep`, `tune`, `sensitivity`. Folders: `save(outcome, folder)`, `Run.load(folder)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Scenario": "sim.scenario", "Run": "sim.records", "simulate": "sim.engines.run", "save": "sim.engines.run",
    "run": "sim.study.rollout", "replicate": "sim.study.replicate", "compare": "sim.study.compare",
    "sweep": "sim.study.sweep", "tune": "sim.study.tune", "sensitivity": "sim.study.sensitivity",
}  # fmt: skip

__all__ = ["Run", "Scenario", "compare", "replicate", "run", "save", "sensitivity", "simulate", "sweep", "tune"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'sim' has no attribute {name!r}")
