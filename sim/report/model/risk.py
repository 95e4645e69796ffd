"""What a bad image would do: harm done, what the cloud notices of it, how many take the image before a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sim.records import Run
from sim.stats.slices import pairs

HARM = ("bricked", "boot_failure", "flash_error", "power_loss", "mcu_timeout", "image_mismatch")
"""Causes that mean the package or the flashing of it did harm or did not work."""
_STANDARD = ("time_s", "decision", "group", "detail", "replication")


@dataclass(frozen=True, slots=True)
class Decision:
    """Something the strategy decided while the plan ran."""

    time_s: float
    decision: str
    group: str
    detail: str
    counts: dict[str, float]


@dataclass(frozen=True, slots=True)
class Stop:
    """How the strategy stopped the rollout in one campaign; see `sim.stats.stopping` for what the figures mean."""

    replication: int
    decision: str
    time_s: float
    why: str
    detection_delay_s: float | None
    took_image_before: int
    took_image_after: int
    bricked_before: int
    bricked_after: int


@dataclass(frozen=True, slots=True)
class Risk:
    """Harm and its visibility.

    `took_image` modules began to flash, `first_failed` of them saw their first installation fail; `first_harm_s` is when the first of those later counted as harmed did.
    `seen_by_cloud` of the `harmed` ended in a state of the cloud that says failed or
    timed out; bricks are silence and mostly are not among them. `guarded`: the strategy sets criteria that could stop it.
    """

    took_image: int
    first_failed: int
    harmed: int
    bricked: int
    seen_by_cloud: int
    silent_losses: int
    guarded: bool
    first_harm_s: float | None
    first_harm_seen_s: float | None
    decisions: list[Decision]
    stops: list[Stop]
    cloud_view: list[tuple[str, str, int]]


def risk_of(run: Run) -> Risk:
    """Reads the modules and, when the run has one, the table of decisions."""
    modules = run.modules
    cause, state = modules["cause"].astype(str), modules["cloud_state"].astype(str)
    harmed = cause.isin(HARM)
    seen = harmed & state.isin(["failed", "timed_out"])
    took = modules["updating_s"].to_numpy(dtype=float)
    return Risk(
        took_image=int(np.isfinite(took).sum()), first_failed=int(modules["installation_failed"].sum()) if "installation_failed" in modules else 0, harmed=int(harmed.sum()), bricked=int((cause == "bricked").sum()),
        seen_by_cloud=int(seen.sum()), silent_losses=int(run.summary["silent_losses"]),
        guarded=_guarded(run.scenario),
        first_harm_s=_first(took[harmed.to_numpy()]), first_harm_seen_s=_first(modules.loc[seen, "ended_s"]),
        decisions=_decisions(run.decisions),
        stops=[Stop(number, **found) for number, found in enumerate(run.summary.get("stopped", ())) if found],
        cloud_view=pairs(state, modules["outcome"].astype(str)),
    )  # fmt: skip


def _guarded(scenario: dict[str, Any]) -> bool:
    """Whether the strategy sets criteria, of its own or of a group, that could stop a rollout."""
    strategy = scenario.get("plan", {}).get("strategy", {})
    groups = strategy.get("rollout", {}).get("groups", [])
    criteria = strategy.get("abort", {}).get("criteria", [])
    return bool(criteria) or any(group.get("error_threshold_percent") is not None for group in groups)


def _decisions(table: pd.DataFrame) -> list[Decision]:
    """The decisions of the first campaign, in order of time."""
    if "replication" in table.columns and len(table):
        table = table[table["replication"] == table["replication"].min()]
    counts = [c for c in table.columns if c not in _STANDARD and pd.api.types.is_numeric_dtype(table[c])]
    return [
        Decision(
            float(row["time_s"]), str(row["decision"]), _text(row.get("group")), _text(row.get("detail")),
            {name: float(row[name]) for name in counts if pd.notna(row[name])},
        )
        for row in table.sort_values("time_s", kind="stable").to_dict("records")
    ]  # fmt: skip


def _first(times: Any) -> float | None:
    finite = np.asarray(times, dtype=float)
    finite = finite[np.isfinite(finite)]
    return float(finite.min()) if len(finite) else None


def _text(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and np.isnan(value)) else str(value)
