"""Which modules end differently, and why: from (outcome, cause) under one setting to (outcome, cause) under another."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from sim.study.campaign import Campaign

KEYS = ["outcome_a", "cause_a", "outcome_b", "cause_b"]


def changed(pairs: Sequence[tuple[Campaign, Campaign]]) -> pd.DataFrame:
    """The modules whose outcome or cause differs between two campaigns on the same random numbers.

    Columns: replication, module, group, rsrp_dbm, battery_percent (at the end, under a), outcome_a, cause_a,
    outcome_b, cause_b. Pairs whose fates were not kept are left out.
    """
    found = []
    for a, b in pairs:
        if a.fates is None or b.fates is None:
            continue
        both = _plain(a.fates).merge(
            _plain(b.fates)[["module", "outcome", "cause"]], on="module", suffixes=("_a", "_b"), validate="1:1"
        )
        differs = (both["outcome_a"] != both["outcome_b"]) | (both["cause_a"] != both["cause_b"])
        found.append(both[differs].assign(replication=a.replication))
    columns = ["replication", "module", "group", "rsrp_dbm", "battery_percent", *KEYS]
    whole = [part for part in found if len(part)]
    return (pd.concat(whole, ignore_index=True) if whole else pd.DataFrame(columns=columns))[columns]


def flow(changes: pd.DataFrame, campaigns: int) -> pd.DataFrame:
    """How many modules per campaign went from one fate to another, most first, with their typical signal and battery."""
    if not len(changes):
        return pd.DataFrame(columns=[*KEYS, "modules_per_campaign", "rsrp_dbm_median", "battery_percent_median"])
    grouped = changes.groupby(KEYS, sort=True)
    table = grouped.agg(
        modules_per_campaign=("module", "size"), rsrp_dbm_median=("rsrp_dbm", "median"),
        battery_percent_median=("battery_percent", "median"),
    ).reset_index()  # fmt: skip
    table["modules_per_campaign"] /= max(campaigns, 1)
    return table.sort_values(
        ["modules_per_campaign", *KEYS], ascending=[False, True, True, True, True], ignore_index=True
    )


def _plain(fates: pd.DataFrame) -> pd.DataFrame:
    """Outcome and cause as texts: categories of two tables need not be the same."""
    return fates.assign(
        outcome=fates["outcome"].astype(str), cause=fates["cause"].astype(str), group=fates["group"].astype(str)
    )
