"""Runs made by hand, so that what a report must say is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sim.records import DECISION_COLUMNS, MODULE_COLUMNS, TIMELINE_COLUMNS, Run
from sim.stats.summary import summarise

_EMPTY: dict[str, Any] = {"category": "", "object": "", "float64": np.nan, "bool": False}
PEAKS = {"peak_connections": 5.0, "peak_requests_per_s": 4.0, "peak_downloads": 2.0, "peak_egress_bit_s": 1e6}
HORIZON_S = 700_000.0


def module(**given: Any) -> dict[str, Any]:
    """A module that was upgraded a thousand seconds after activation, unless told otherwise."""
    row = {name: _EMPTY.get(kind, 0) for name, kind in MODULE_COLUMNS.items()}
    row |= {
        "module": "m", "group": "g", "technology": "lte-m", "power": "battery", "hardware": "A", "outcome": "succeeded",
        "cloud_state": "succeeded", "stage": "reported", "confirmed_s": 500.0, "attempts": 1, "installations": 1, "updating_s": 900.0, "upgraded_s": 1000.0, "ended_s": 1100.0,
        "bytes_useful": 1000, "energy_j": 10.0,
    }  # fmt: skip
    return row | given


def lost(cause: str, stage: str = "none", outcome: str = "pending", **given: Any) -> dict[str, Any]:
    """A module that did not get there."""
    at = {
        "confirmed_s": np.nan,
        "attempts": 0,
        "installations": 0,
        "updating_s": np.nan,
        "upgraded_s": np.nan,
        "ended_s": np.nan,
        "bytes_useful": 0,
        "cloud_state": "queued",
    }
    if "updating_s" in given:
        at |= {"confirmed_s": 0.0, "attempts": 1, "installations": 1, "first_fault": cause, "installation_failed": True}
    return module(cause=cause, stage=stage, outcome=outcome, **(at | given))


def made_run(
    folder: Path, rows: Sequence[Mapping[str, Any]], *, gates: Mapping[str, str] | None = None,
    decisions: Sequence[tuple[float, str, str, str]] = (), **scenario: Any,
) -> Run:  # fmt: skip
    """A run of these modules; `scenario` adds keys to the scenario in its manifest.

    `decisions` are (time, decision, group, detail).
    """
    modules = pd.DataFrame(list(rows))
    timeline = pd.DataFrame({name: np.array([0.0, 0.0]) for name in TIMELINE_COLUMNS})
    timeline["time_s"], timeline["width_s"], timeline["connects"] = [0.0, 100.0], 100.0, [50.0, 10.0]
    decided = pd.DataFrame({name: [0] * len(decisions) for name in DECISION_COLUMNS})
    for i, name in enumerate(("time_s", "decision", "group", "detail")):
        decided[name] = [row[i] for row in decisions]
    whole = {
        "name": "made", "description": "", "horizon": HORIZON_S, "gates": dict(gates or {}),
        "cloud": {"capacity": {"connections_per_s": 1.0, "request_workers": 2, "request_time": 0.1, "downloads": 4, "egress": 1e7}},
        **scenario,
    }  # fmt: skip
    replications = modules["replication"].nunique()
    summary = summarise(
        modules, scenario="made", engine="simpy", seed=7, replications=replications, complete=True,
        gates=dict(gates or {}), cloud_peaks=dict(PEAKS), wall_s=1.0, decisions=decided,
    )  # fmt: skip
    manifest = {
        "fotasim": "0.0", "commit": "abc", "engine": "simpy", "seed": 7, "replications": replications,
        "watched_s": HORIZON_S, "host": {"python": "3", "system": "x"}, "wall_s": 1.0, "scenario_sha256": "00",
        "modules_left_out": 0, "parameters": [], "scenario": whole,
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    return Run(folder, manifest, summary, whole, modules, timeline, None, decided)
