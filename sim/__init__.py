"""fotasim: simulate firmware-over-the-air rollouts to fleets of cellular modules.

The public names load on first use. One rollout: `Scenario.load(path)`, `scenario.with_(…)`, `run(scenario)`. Many:
`replicate`, `compare`, `sweep`, `tune`, `sensitivity`. Folders: `save(outcome, folder)`, `Run.load(folder)`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.engines.run import save, simulate
    from sim.records import Run
    from sim.scenario import Scenario
    from sim.study.compare import compare
    from sim.study.replicate import replicate
    from sim.study.run_result import run
    from sim.study.sensitivity import sensitivity
    from sim.study.sweep import sweep
    from sim.study.tune import tune

_HOME = {
    "Scenario": "sim.scenario", "Run": "sim.records", "simulate": "sim.engines.run", "save": "sim.engines.run",
    "run": "sim.study.run_result", "replicate": "sim.study.replicate", "compare": "sim.study.compare",
    "sweep": "sim.study.sweep", "tune": "sim.study.tune", "sensitivity": "sim.study.sensitivity",
}  # fmt: skip

__all__ = ["Run", "Scenario", "compare", "replicate", "run", "save", "sensitivity", "simulate", "sweep", "tune"]

if not TYPE_CHECKING:  # a type checker must not take unknown names for known

    def __getattr__(name: str) -> Any:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module 'sim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
