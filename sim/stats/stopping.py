"""What a stopped rollout cost: how late the strategy noticed, and how many took the image before and after.

A module has taken the image when it began to install it (`updating_s`). The detection delay runs from the first module
that took it to the decision that stopped the plan; the blast radius is the number of modules that took it at all, before
the decision or, being in flight, after it.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sim.records import STOPS
from sim.stats.verdict import Cut, SelfStop

_GROUNDS = ("criterion_fired", "group_failed", "group_passed")
_HALTS = (*STOPS, "rollout_stopped")
_CUTS = (*_HALTS, "terminated", "ended", "max_devices_reached")


def stopped(modules: pd.DataFrame, decisions: pd.DataFrame) -> dict[str, Any] | None:
    """The first stop of one campaign and what it meant, or None when the strategy never stopped the rollout."""
    stops = decisions[decisions["decision"].isin(STOPS)]
    if stops.empty:
        return None
    at = int(stops["time_s"].to_numpy().argmin())
    first, why = stops.iloc[at], _reason(decisions, float(stops["time_s"].iloc[at]))
    stop_s = float(first["time_s"])
    took = modules["updating_s"].dropna()
    bricked = modules[modules["cause"] == "bricked"]["updating_s"]
    return {
        "decision": str(first["decision"]), "time_s": stop_s, "why": why,
        "detection_delay_s": stop_s - float(took.min()) if len(took) and took.min() <= stop_s else None,
        "took_image_before": int((took <= stop_s).sum()), "took_image_after": int((took > stop_s).sum()),
        "bricked_before": int((bricked <= stop_s).sum()), "bricked_after": int((bricked > stop_s).sum()),
    }  # fmt: skip


def self_stop(modules: pd.DataFrame, decisions: pd.DataFrame) -> SelfStop | None:
    """The first stop that the plan made by itself in one campaign; what the operator or the calendar ended is none.

    A pause after a group that passed is one while nobody has resumed it: the rest of the fleet is still to come.
    """
    for _, row in decisions[decisions["decision"].isin(_HALTS)].sort_values("time_s", kind="stable").iterrows():
        at = decisions[decisions["time_s"] == row["time_s"]]
        grounds = at[at["decision"].isin(_GROUNDS)]
        bad = grounds[grounds["decision"] != "group_passed"]
        resumed = ((decisions["decision"] == "resumed") & (decisions["time_s"] >= row["time_s"])).any()
        if len(bad) or (len(grounds) and not resumed):
            ground = (bad if len(bad) else grounds).iloc[0]
            why = _ground(ground["group"], ground["detail"])
            took = int((modules["updating_s"] <= row["time_s"]).sum())
            return SelfStop(str(row["decision"]), why, float(row["time_s"]), took, planned=not len(bad))
    return None


def cut(decisions: pd.DataFrame) -> Cut | None:
    """What ended one campaign, or keeps it paused at the horizon: the operator, the calendar or a limit of devices."""
    resumed_s = decisions.loc[decisions["decision"] == "resumed", "time_s"].max()
    last = decisions[decisions["decision"].isin(_CUTS) & ~(decisions["time_s"] <= resumed_s)]
    if last.empty:
        return None
    first = last.sort_values("time_s", kind="stable").iloc[0]
    return Cut(str(first["decision"]), float(first["time_s"]))


def cuts(decisions: pd.DataFrame) -> list[Cut]:
    """The campaigns that were cut short, one entry each."""
    found = [cut(own) for _, own in decisions.groupby("replication", sort=True)] if len(decisions) else []
    return [one for one in found if one is not None]


def self_stops(modules: pd.DataFrame, decisions: pd.DataFrame) -> list[SelfStop]:
    """The campaigns whose plan stopped itself, one entry each."""
    if decisions.empty:
        return []
    found = [
        self_stop(part, decisions[decisions["replication"] == number])
        for number, part in modules.groupby("replication", sort=True)
    ]
    return [stop for stop in found if stop is not None]


def _reason(decisions: pd.DataFrame, stop_s: float) -> str:
    """What was decided at the same moment to bring the stop about; empty for an operator's doing."""
    causes = decisions[
        (decisions["time_s"] == stop_s) & decisions["decision"].isin(["criterion_fired", "group_failed"])
    ]
    return "" if causes.empty else _ground(causes["group"].iloc[0], causes["detail"].iloc[0])


def _ground(group: object, detail: object) -> str:
    """What brought a stop about: `canary: 6.25 % failed, limit 5 %: pause`, of a criterion without the group."""
    return ": ".join(filter(None, (str(group), str(detail))))
