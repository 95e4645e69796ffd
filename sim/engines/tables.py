"""From rows to the tables of a run: outcomes and causes of all modules at once, the timeline, the peaks of the load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim import records
from sim.cloud import execution as ex
from sim.cloud.center import Decision
from sim.engines import decisions
from sim.engines.tally import Tally
from sim.engines.world import World
from sim.module.rows import C_BATTERY_DEAD, C_BRICKED, CAUSES, DARK, POWERS, TECHNOLOGIES
from sim.module.states import PROGRESS_INTERVAL_S

LIMITS = ("", "low_battery", "weak_signal", "no_space")
OUTCOMES = records.OUTCOMES
CAUSE_NAMES = ("", *records.CAUSES)
SUCCEEDED, FAILED, TIMED_OUT, REJECTED, CANCELED, NOT_NEEDED, PENDING, NEVER_ONLINE = range(len(OUTCOMES))


@dataclass(slots=True)
class Watched:
    """How far and how well a run was watched: whole or interrupted, its time of computing, its virtual end."""

    complete: bool
    wall_s: float
    end_s: float


@dataclass(slots=True)
class Ends:
    """How a run left its modules: records of ModuleRow and Execution, what lasts of them at least; the true charge at the
    end, per cent, of some of the modules.
    """

    rows: NDArray[Any]
    executions: NDArray[Any]
    charge: Callable[[slice], NDArray[np.float64]]


def modules_table(world: World, ends: Ends, chosen: slice = slice(None)) -> pd.DataFrame:
    """One row per module, columns and types of records.MODULE_COLUMNS."""
    m, e = ends.rows[chosen], ends.executions[chosen]
    groups, fleet = world.scenario.fleet.groups, world.fleet
    stored = _stored(world, e)
    outcome, cause = outcomes(m, e, stored)
    useful, received = _bytes(world, m, stored)
    columns: dict[str, Any] = {
        "replication": np.full(len(m), world.replication, dtype=np.int16),
        "module": fleet.names_of(chosen),
        "group": _named(m["group"], [g.name for g in groups]),
        "technology": _named(_of_group(world, m, "technology"), TECHNOLOGIES),
        "power": _named(_of_group(world, m, "power"), POWERS),
        "hardware": _named(m["hardware"], fleet.hardware),
        "cell": _named(m["cell"] + 1, ("", *fleet.cells)),
        "rsrp_dbm": m["rsrp_site_dbm"], "coverage_level": m["level"], "battery_percent": m["battery_percent"],
        "free_space_bytes": m["free_bytes"],
        "outcome": _named(outcome, OUTCOMES), "cause": _named(cause, CAUSE_NAMES),
        "cloud_state": _named(e["state"], ex.STATE_NAMES), "stage": _named(_stage(m, e), records.STAGES),
        "components_done": np.bitwise_count(m["at_target"]), "attempts": e["attempts"],
        "download_errors": m["total_errors"],
        **{name: m[name] for name in ("sessions", "preambles", "offers")}, "deferrals": e["deferrals"],
        **{name: m[name] for name in (
            "first_contact_s", "notified_s", "confirmed_s", "download_started_s", "downloaded_s", "updating_s",
            "upgraded_s",
        )},
        "reported_s": e["reported_s"],
        "ended_s": np.where(np.isnan(m["ended_s"]), e["ended_s"], m["ended_s"]),
        "bytes_useful": useful, "bytes_wasted": received - useful, "energy_j": m["energy_j"],
        "battery_end_percent": ends.charge(chosen),
    }  # fmt: skip
    typed = {name: _typed(columns[name], kind) for name, kind in records.MODULE_COLUMNS.items()}
    return pd.DataFrame(typed, copy=False)


def records_of(
    world: World, ends: Ends, load: Tally, cloud_peaks: dict[str, float], decided: Sequence[Decision],
    events: pd.DataFrame | None, watched: Watched,
) -> records.Records:  # fmt: skip
    """All tables of one run."""
    modules = modules_table(world, ends)
    return records.Records(
        modules, timeline(load, modules), events, cloud_peaks, watched.complete, watched.wall_s,
        watched.end_s, decisions=decisions.table(world.scenario, decided, world.replication),
    )  # fmt: skip


def events_table(
    time_s: Any, modules: Any, names: list[str], source: Any, status: Any, code: Any, text: Any
) -> pd.DataFrame:
    """Events in order of time, then of modules by number, a module's own before what the cloud notes of it.

    `modules` are numbers, `names` belong to them; `source` is 0 for the module and 1 for the cloud.
    """
    order = np.lexsort((source, modules, time_s))
    columns = (
        time_s, categories(modules, names), categories(source, ["module", "cloud"]),
        status, code, text,
    )  # fmt: skip
    return pd.DataFrame({name: column[order] for name, column in zip(records.EVENT_COLUMNS, columns, strict=True)})


def _typed(column: Any, kind: str) -> Any:
    return column if kind in ("category", "object") else np.ascontiguousarray(column).astype(kind, copy=False)


def categories(codes: NDArray[Any], names: Sequence[str]) -> Any:
    """A column of names from their numbers."""
    index: Any = pd.Index(np.array(names, dtype=object))
    return pd.Categorical.from_codes(codes, index)


def _named(codes: NDArray[Any], names: Any) -> Any:
    """A column of names from numbers; only names that occur are kept, in the order of the alphabet."""
    counted = np.bincount(codes, minlength=len(names))
    found = sorted((name, i) for i, name in enumerate(names) if counted[i])
    places = np.zeros(len(names), dtype=np.int32)
    places[[i for _, i in found]] = np.arange(len(found))
    return categories(places[codes], [name for name, _ in found])


def _of_group(world: World, m: NDArray[Any], name: str) -> NDArray[np.int64]:
    """A setting of each module's group."""
    return np.asarray(np.array([getattr(p, name) for p in world.fleet.profiles], dtype=np.int64)[m["group"]])


def _stored(world: World, e: NDArray[Any]) -> NDArray[np.bool_]:
    """Modules whose plan only downloads, and that have stored the package: that is its success."""
    return np.asarray((e["state"] == ex.SUCCEEDED) & bool(world.plan.settings.download_only))


def _bytes(world: World, m: NDArray[Any], stored: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bytes of components a module was upgraded with, and all it received."""
    received = np.rint(m["received_bytes"]).astype(np.int64)
    useful = np.zeros(len(m), dtype=np.int64)
    for i, component in enumerate(world.plan.components):
        useful += (stored | ((m["upgraded"] >> i) & 1).astype(np.bool_)) * component.size_bytes
    return np.minimum(useful, received), received


def _stage(m: NDArray[Any], e: NDArray[Any]) -> NDArray[np.int64]:
    """The furthest stage a module has reached."""
    reached = np.zeros(len(m), dtype=np.int64)
    times = (m["notified_s"], m["confirmed_s"], m["downloaded_s"], m["upgraded_s"], e["reported_s"])
    for stage, time_s in enumerate(times, 1):
        reached[~np.isnan(time_s)] = stage
    return reached


def outcomes(
    m: NDArray[Any], e: NDArray[Any], stored: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is true at the end, whatever the cloud believes: numbers of OUTCOMES and CAUSE_NAMES. First match wins."""
    state, reason = e["state"], e["reason"]
    cause = _codes(CAUSES)[m["cause"]]
    reasons = _codes(ex.REASON_NAMES)[reason]
    limits = _codes(LIMITS)[e["unmet"]]
    dark = (m["link"] == DARK) & np.isin(m["cause"], (C_BRICKED, C_BATTERY_DEAD))
    in_progress = (state >= ex.CONFIRMED) & (state <= ex.UPDATING)
    waiting = np.where(in_progress, _code("in_progress"), _first(limits, cause, _code("waiting")))
    rules = (
        (~np.isnan(m["upgraded_s"]) | stored, SUCCEEDED, 0),
        (dark, FAILED, cause),
        (state == ex.NOT_NEEDED, NOT_NEEDED, reasons),
        (state == ex.CANCELED, CANCELED, _first(reasons, _code("canceled"))),
        (np.isnan(m["first_contact_s"]), NEVER_ONLINE, _first(cause, _code("offline"))),
        (state == ex.REJECTED, REJECTED, _first(limits, cause)),
        (state == ex.FAILED, FAILED, _first(reasons, cause, _code("link_lost"))),
        (state == ex.TIMED_OUT, TIMED_OUT, _first(reasons, cause, _code("link_lost"))),
    )
    found = np.full(len(m), PENDING, dtype=np.int64)
    why = waiting.astype(np.int64)
    for applies, outcome, because in reversed(rules):
        found[applies] = outcome
        why[applies] = because[applies] if isinstance(because, np.ndarray) else because
    return found, why


def _codes(names: tuple[str, ...]) -> NDArray[np.int64]:
    """Numbers in CAUSE_NAMES of other names."""
    return np.array([_code(name) for name in names], dtype=np.int64)


def _code(name: str) -> int:
    return CAUSE_NAMES.index(name)


def _first(*candidates: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """The first candidate that names a cause."""
    found = np.asarray(candidates[-1])
    for candidate in reversed(candidates[:-1]):
        found = np.where(np.asarray(candidate) != 0, candidate, found)
    return found


# --- load ----------------------------------------------------------------------------------------------------------


def peaks(load: Tally, peak_bit_s: float) -> dict[str, float]:
    """The largest load the cloud saw, in one second for requests."""
    most = int(load.peak_downloads[0])
    return {
        "peak_connections": float(np.cumsum(load.online_change).max()),
        "peak_requests_per_s": float(load.requests.max()) + most / PROGRESS_INTERVAL_S,
        "peak_downloads": float(most),
        "peak_egress_bit_s": float(peak_bit_s),
    }


def timeline(load: Tally, modules: pd.DataFrame) -> pd.DataFrame:
    """Load per bin and the cumulative funnel at each bin's end."""
    bins = len(load.connects) - 1

    def by_bin(seconds: NDArray[Any]) -> NDArray[np.int64]:
        return np.asarray(seconds.reshape(bins + 1, -1).sum(axis=1, dtype=np.int64)[:bins])

    def until(times_s: NDArray[np.float64]) -> NDArray[np.int64]:
        ends = times_s[~np.isnan(times_s)] / load.width_s
        places = np.minimum(np.maximum(np.ceil(ends) - 1.0, 0.0), bins).astype(np.int64)
        return np.cumsum(np.bincount(places, minlength=bins + 1)[:bins])

    failed = modules["outcome"].isin(["failed", "timed_out"]).to_numpy()
    return pd.DataFrame({
        "time_s": np.arange(bins) * load.width_s,
        "width_s": np.full(bins, load.width_s),
        "online": np.cumsum(by_bin(load.online_change)),
        "connects": load.connects[:bins],
        "requests": by_bin(load.requests) + np.round(load.beats[:bins]).astype(np.int64),
        "downloads": load.download_s[:bins] / load.width_s,
        "egress_bit_s": load.egress_bits[:bins] / load.width_s,
        **{name: until(modules[f"{name}_s"].to_numpy()) for name in records.STAGES[1:]},
        "failed": until(np.where(failed, modules["ended_s"].to_numpy(), np.nan)),
    })  # fmt: skip
