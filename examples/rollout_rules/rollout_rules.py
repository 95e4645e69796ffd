"""Rules of a fleet owner as plug-ins for fotasim: one of each kind. A function of one argument, and its options by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from fotasim.plugins import ModuleNow, PlanNow, RunTables

DAY_S = 86400.0


def stop_on_region(plan: PlanNow, region: str, share: float, at_least: int = 20) -> str | None:
    """Abort criterion: pauses the whole plan once so large a share of one region has failed."""
    counts = plan.by("region").get(region)
    if counts is None or counts.completed < at_least:
        return None
    failed = counts.failed + counts.timed_out + counts.rejected
    return "pause" if failed >= share * counts.completed else None


def office_hours(plan: PlanNow, most: int, opens_h: float = 8.0, closes_h: float = 16.0) -> int | None:
    """Release rule: so many modules under way while somebody is in the office, none else. Counted from activation."""
    hour = plan.now_s % DAY_S / 3600.0
    return most if opens_h <= hour < closes_h else 0


def once_a_day(module: ModuleNow, group: str, from_h: float, hours: float = 4.0) -> float | None:
    """Check-in pattern: modules of one group are online once a day, at a random time; others as their group says."""
    if module.group != group:
        return None
    day = int(module.after_s // DAY_S)
    at_s = day * DAY_S + (from_h + hours * module.uniform) * 3600.0
    return at_s if at_s > module.after_s else at_s + DAY_S


def weak_signal_lost(modules: pd.DataFrame, below_dbm: float) -> tuple[int, int]:
    """Metric or gate: of the modules with a weak signal that needed the upgrade, those that did not get it."""
    weak = modules[(modules["rsrp_dbm"] < below_dbm) & (modules["outcome"] != "not_needed")]
    return int((weak["outcome"] != "succeeded").sum()), len(weak)


def ticket(modules: pd.DataFrame) -> list[str]:
    """Outcome class: what the help desk has to do about each module."""
    return [
        "send a technician" if cause == "bricked" else "none" if outcome in ("succeeded", "not_needed") else "wait"
        for cause, outcome in zip(modules["cause"], modules["outcome"], strict=True)
    ]


def by_region(run: RunTables) -> list[Any]:
    """Report section: upgraded modules of each region."""
    table = run.modules.groupby("label_region", observed=True)["outcome"].agg(
        [lambda o: int((o == "succeeded").sum()), "size"]
    )
    rows = [[str(region), int(done), int(size)] for region, done, size in table.itertuples()]
    return [
        "Modules that run the new version, by region.",
        {"columns": ["region", "upgraded", "modules"], "rows": rows},
    ]
