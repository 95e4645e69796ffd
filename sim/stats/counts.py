"""Counts and metrics of a table of modules: everything `sim.metrics` names, from records alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.gates import Figure
from sim.metrics import METRICS, QUANTILES_PERCENT, REACH_PERCENT, SHARES
from sim.records import LOT_COLUMNS
from sim.stats.intervals import design_effect, mean_interval, share_interval
from sim.stats.replicated import finite, quantile_interval
from sim.stats.survival import reach_interval, reached_at

COLUMNS = (
    "group", "technology", "power", "hardware", "coverage_level", "outcome", "cause", "cloud_state", "component",
    "components_done", "attempts", "first_fault", "installations", "installation_failed", "fell_back", "deferrals",
    "confirmed_s", "updating_s", "upgraded_s", "fails_s", "bytes_useful", "bytes_wasted", "energy_j", "energy_period_j",
    "expected_bricks", *LOT_COLUMNS,
)  # fmt: skip
"""Columns of modules.parquet that counts and metrics come from."""

FAILED = ("failed", "timed_out")
NOT_REACHED = ("pending", "never_online")
ENDED_FOR_THE_CLOUD = ("succeeded", "failed", "timed_out", "rejected", "canceled", "not_needed")
_GIVEN_UP = ("failed", "timed_out", "rejected", "canceled")

LATER_S = 365 * 86400.0
"""An image that fails more than a year after its success is not a release that was bad: batteries run empty some day."""
_FELL_BACK_FIRST = ("boot_failure", "late_failure", "other_version")

_MAY_BE_UNDER_WAY = (*NOT_REACHED, "timed_out", "canceled")

Mask = NDArray[np.bool_]


def counts(modules: pd.DataFrame) -> dict[str, int]:
    """All of `sim.metrics.COUNTS` that the table has columns for: tables of older versions lack some."""
    sums = {"attempts": _sum(modules, "attempts"), "installations": _sum(modules, "installations")}
    return {
        **{name: int(mask.sum()) for name, mask in _counted(modules).items()},
        **{name: n for name, n in sums.items() if n is not None},
    }


def _counted(modules: pd.DataFrame) -> dict[str, Mask]:
    """The modules behind each count of modules."""
    outcome, cloud = _is(modules["outcome"]), _is(modules["cloud_state"])
    succeeded, touched = outcome("succeeded"), _there(modules, "confirmed_s")
    up_to_date, installed = outcome("not_needed"), _there(modules, "updating_s")
    found: dict[str, Mask] = {
        "modules": np.ones(len(modules), bool), "targets": ~up_to_date, "up_to_date": up_to_date,
        "on_target": succeeded | up_to_date, "succeeded": succeeded, "failed": outcome("failed"),
        "timed_out": outcome("timed_out"), "rejected": outcome("rejected"), "canceled": outcome("canceled"),
        "incompatible": outcome("incompatible"), "not_reached": outcome(*NOT_REACHED), "touched": touched,
        "touched_succeeded": touched & succeeded, "touched_failed": touched & outcome(*FAILED),
        "touched_ended": touched & ~outcome(*NOT_REACHED), "installed": installed,
        "installed_ended": installed & _shown(modules, outcome), "bricked": _is(modules["cause"])("bricked"),
        "late": touched & succeeded & cloud(*_GIVEN_UP),
        "cloud_succeeded": cloud("succeeded"), "cloud_failed": cloud(*FAILED),
        "cloud_touched_failed": touched & cloud(*FAILED),
        "cloud_touched_finished": touched & cloud("succeeded", *_GIVEN_UP), "cloud_finished": cloud("succeeded", *_GIVEN_UP), "cloud_mistaken": _mistaken(outcome, cloud),
    }  # fmt: skip
    if "first_fault" in modules:
        faultless = _is(modules["first_fault"])("")
        taken_back = installed & _is(modules["cause"])("rolled_back")
        first_fell_back = _is(modules["first_fault"])(*_FELL_BACK_FIRST)
        found["first_attempts"] = touched & (succeeded | taken_back | ~faultless)
        found["first_attempts_succeeded"] = touched & (succeeded | taken_back) & faultless
        found["first_installations_failed"] = installed & modules["installation_failed"].to_numpy(dtype=bool)
        found["rolled_back"] = installed & modules["fell_back"].to_numpy(dtype=bool) & (~taken_back | first_fell_back)
        found["rolled_back_by_plan"] = taken_back
    if "fails_s" in modules:
        later_s = (modules["fails_s"] - modules["upgraded_s"]).to_numpy(dtype=float)
        found["fail_later"] = succeeded & (later_s <= LATER_S)
    return found


def lot_effect(modules: pd.DataFrame, of: str = "targets") -> float:
    """How many times the variance of a share of these modules is what it is where modules fail independently."""
    if "lot" not in modules:
        return 1.0
    counted = modules.loc[_counted(modules)[of if of != "attempts" else "touched"], ["replication", *LOT_COLUMNS]]
    return design_effect(
        counted.groupby(["replication", "lot"], observed=True)["lot_correlation"].agg(["size", "first"])
    )


def expected_bricks(modules: pd.DataFrame) -> tuple[float | None, float | None, float | None]:
    """Chances of a brick summed over the installations of a module: the mean of those whose installation has ended,
    with its 95 % interval over modules, None where there is none."""
    if "expected_bricks" not in modules:
        return None, None, None
    counted = modules[_counted(modules)["installed_ended"]]
    lots = None
    if "lot" in modules:  # a module in no lot is one of its own
        alone = -2 - np.arange(len(counted))
        lot = counted["lot"].to_numpy() * (int(modules["replication"].max()) + 1) + counted["replication"].to_numpy()
        lots = np.where(counted["lot"] < 0, alone, lot)
    return mean_interval(counted["expected_bricks"].to_numpy(dtype=np.float64), lots)


def _shown(modules: pd.DataFrame, outcome: Any) -> Mask:
    """Whether an installation has shown what it does: not of a module that is in the midst of its first one at the
    horizon, also one the cloud has given up meanwhile. Fewer days watched must not look like less harm.
    """
    open_ = outcome(*_MAY_BE_UNDER_WAY) & ~_there(modules, "upgraded_s") & (modules["components_done"] == 0)
    if "installation_failed" in modules:
        open_ &= ~(modules["installation_failed"] | modules["fell_back"])
    return np.asarray(~open_, dtype=bool)


def _mistaken(outcome: Any, cloud: Any) -> Mask:
    """Ends the cloud does not know (a brick is silence), or has the other way round."""
    known: Mask = cloud(*ENDED_FOR_THE_CLOUD)
    unknown = outcome("succeeded", "failed") & ~known
    wrong = (outcome("succeeded") & cloud(*_GIVEN_UP)) | (~outcome("succeeded") & cloud("succeeded"))
    return np.asarray(unknown | wrong)


def silent(modules: pd.DataFrame) -> int:
    """Modules whose end is true and the cloud does not know it: bricks are silence, lost reports are unknown."""
    ended, known = _is(modules["outcome"])("succeeded", "failed"), _is(modules["cloud_state"])(*ENDED_FOR_THE_CLOUD)
    return int((ended & ~known).sum())


def energy(modules: pd.DataFrame) -> dict[str, float | None]:
    """Energy that the rollout causes on battery modules; what is spent on modules that did not succeed is lost.

    `period` is all the energy they use in the time watched, their life without the rollout included.
    """
    battery = modules[modules["power"] == "battery"]
    done = battery[battery["outcome"] == "succeeded"]["energy_j"]
    return {
        "per_success_p50": float(done.median()) if len(done) else None,
        "total": float(battery["energy_j"].sum()),
        "lost": float(battery["energy_j"].sum() - done.sum()),
        "period": float(battery["energy_period_j"].sum()),
    }


def metrics(
    modules: pd.DataFrame, counted: Mapping[str, int], peaks: Mapping[str, float], *, stopped: bool = False
) -> dict[str, float | None]:
    """Every metric of one campaign (or of pooled ones), None where there is nothing to tell."""
    useful, wasted = int(modules["bytes_useful"].sum()), int(modules["bytes_wasted"].sum())
    spent, times = energy(modules), target_times(modules)
    done = finite(times)
    found: dict[str, float | None] = {
        **{name: ratio(counted, m.numerator, m.denominator) for name, m in METRICS.items() if m.numerator},
        **{f"duration_p{q}": float(np.percentile(done, q)) if len(done) else None for q in QUANTILES_PERCENT},
        **{f"time_to_{q}": reached_at(times, q / 100.0) for q in REACH_PERCENT},
        "wasted_share": wasted / (useful + wasted) if useful + wasted else 0.0, "wasted_bytes": wasted,
        "deferrals": int(modules["deferrals"].sum()), "silent_losses": silent(modules),
        "expected_bricked": expected_bricks(modules)[0], "energy_lost_j": spent["lost"], "energy_per_success_j": spent["per_success_p50"], "stopped": float(stopped),
        **peaks,
    }  # fmt: skip
    return {name: found.get(name) for name in METRICS}


def ratio(counted: Mapping[str, int], numerator: str, denominator: str) -> float | None:
    """One count over another; None where the denominator is zero or one of them was not recorded."""
    over, under = counted.get(numerator), counted.get(denominator)
    return over / under if under and over is not None else None


def cases(metric: str, counted: Mapping[str, int]) -> int | None:
    """How many cases a figure of one run is over; None where it is no share and no time."""
    return counted.get(METRICS[metric].denominator) if metric in METRICS else None


def figures(
    modules: pd.DataFrame, counted: Mapping[str, int], found: Mapping[str, float | None], watched_s: float | None
) -> dict[str, Figure]:
    """Metrics with descriptive 95 % intervals over the modules of one run, and what gates need to know beside them.

    Shares: exact or Wilson's bounds, of as many independent modules as say the same where lots share a fate; times:
    order statistics. Loads and costs have none in a single campaign.
    """
    needed = counted["targets"] > 0
    listed = {name: Figure(value, needed=needed) for name, value in found.items()}
    for name, metric in SHARES.items():
        hits, total = counted.get(metric.numerator), counted.get(metric.denominator)
        if hits is not None and total is not None and hits <= total:
            effect = lot_effect(modules, metric.denominator) if metric.by_image else 1.0
            low, high = share_interval(hits / effect, total / effect)
            listed[name] = (
                Figure(found[name], low, high, total, needed) if total else Figure(None, total=0, needed=needed)
            )
    chance, least, most = expected_bricks(modules)
    listed["expected_bricked"] = Figure(chance, least, most, needed=needed)
    times = target_times(modules)
    done = finite(times)
    for q in QUANTILES_PERCENT:
        bounds = quantile_interval(done, q / 100.0).plain()
        listed[f"duration_p{q}"] = Figure(
            found[f"duration_p{q}"], bounds["low"], bounds["high"], cases(f"duration_p{q}", counted), needed
        )
    for q in REACH_PERCENT:
        low_s, high_s = reach_interval(times, q / 100.0)
        listed[f"time_to_{q}"] = Figure(found[f"time_to_{q}"], low_s, high_s, counted["targets"], needed, watched_s)
    return listed


def target_times(modules: pd.DataFrame) -> NDArray[np.float64]:
    """When each module that needed the upgrade ran the target version, seconds; inf where it did not while watched."""
    times = modules["upgraded_s"].to_numpy(dtype=np.float64)[~_is(modules["outcome"])("not_needed")]
    return np.where(np.isnan(times), np.inf, times)


def part_of_component(modules: pd.DataFrame, component: int) -> pd.DataFrame:
    """The modules of the plan, as they ended for one of its components alone.

    A module that went on to the next one, or has this many done, succeeded with it; one that ended before it came to the
    component did not reach it, and is no harm of it; the others ended as they did.
    """
    outcome, cause = modules["outcome"].astype(str), modules["cause"].astype(str)
    whole = modules["outcome"].isin(["not_needed", "succeeded"])
    past = ~whole & ((modules["component"] > component) | (modules["components_done"] > component))
    came = (modules["component"] >= component) | (modules["components_done"] >= component)
    before = ~whole & ~past & ~came & ~modules["outcome"].isin(NOT_REACHED)
    return modules.assign(
        outcome=outcome.mask(past, "succeeded").mask(before, "pending"), cause=cause.mask(past | before, "")
    )


def _is(column: pd.Series[Any]) -> Any:
    """Tests of a column of names: a mask of the rows with one of the names."""

    def one_of(*names: str) -> Mask:
        return np.asarray(column.isin(names).to_numpy(dtype=bool))

    return one_of


def _there(modules: pd.DataFrame, column: str) -> Mask:
    return np.asarray(modules[column].notna().to_numpy(dtype=bool))


def _sum(modules: pd.DataFrame, column: str) -> int | None:
    return int(modules[column].sum()) if column in modules else None
