"""From rows to the tables of a run: outcomes and causes of all modules at once, the timeline, the peaks of the load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim import records
from sim.causes import Cause
from sim.cloud import execution as ex
from sim.cloud.center import Decision
from sim.cloud.execution import EndReason
from sim.cloud.execution_states import ExecutionState
from sim.engines.recording import decision_table
from sim.engines.recording.tally import Tally
from sim.engines.world import shared_fate
from sim.engines.world.build import World
from sim.module.battery import new_image_w
from sim.module.link_states import LinkState
from sim.module.rows import FAULT_FELL_BACK, FAULT_INSTALLATION, TECHNOLOGIES, Power
from sim.module.states import PROGRESS_INTERVAL_S

OUTCOMES = records.OUTCOMES
CAUSE_OF_REASON = np.array([Cause[reason.name] for reason in EndReason], dtype=np.int64)
"""What an execution that ended without the module's doing has for a cause."""
SUCCEEDED, FAILED, TIMED_OUT, REJECTED, CANCELED, NOT_NEEDED, INCOMPATIBLE, PENDING, NEVER_ONLINE = range(len(OUTCOMES))


@dataclass(slots=True)
class Watched:
    """How far and how well a run was watched: whole or interrupted, its time of computing, its virtual end."""

    complete: bool
    wall_s: float
    end_s: float


@dataclass(slots=True)
class Ends:
    """How a run left its modules: records of ModuleRow and Execution, what lasts of them at least; what is rare of
    ModuleRow, for each module or one for all; the true charge at the end, per cent, of some of the modules.
    """

    rows: NDArray[Any]
    rare: NDArray[Any]
    executions: NDArray[Any]
    charge: Callable[[slice], NDArray[np.float64]]


class RowTable:
    """The table of modules of a run, made from its rows block by block: a records.Table.

    Outcome and cause are worked out once; names that nobody has are not among the categories of a column.
    """

    def __init__(self, world: World, ends: Ends, end_s: float) -> None:
        self._world, self._ends, self._end_s = world, ends, end_s
        self._labels = {
            records.LABEL + name: world.fleet.label(name) for name in world.scenario.fleet.label_names
        }  # fmt: skip
        lots = world.scenario.fleet.lots
        self._lot = None if lots is None else (shared_fate.lot_numbers(lots, world.fleet), lots.correlation)
        self._outcome, self._cause = (np.empty(len(ends.rows), dtype=np.int8) for _ in range(2))
        counts = {name: np.zeros(len(names), dtype=np.int64) for name, names in self._choices().items()}
        for part in self._parts():
            m, e = ends.rows[part], ends.executions[part]
            self._outcome[part], self._cause[part] = outcomes(
                m, e, _stored(world, e), (1 << len(world.scenario.plan.components)) - 1
            )
            for name, count in counts.items():
                np.add(count, np.bincount(self._numbers(name, part), minlength=len(count)), out=count)
        self._names = {name: Names(self._choices()[name], count) for name, count in counts.items()}

    def __len__(self) -> int:
        return len(self._ends.rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """What is sent to another process is the table itself, not the world behind it."""
        return records.WholeTable, (self.frame(),)

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Some or all columns of records.MODULE_COLUMNS, and of labels, some modules at a time."""
        wanted = self._wanted(columns)
        for part in self._parts():
            yield self._block(wanted, part)

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Some or all columns, of all modules."""
        return self._block(self._wanted(columns), slice(0, len(self)))

    def _wanted(self, columns: Sequence[str] | None) -> list[str]:
        further = (*self._labels, *(records.LOT_COLUMNS if self._lot is not None else ()))
        return [name for name in (*records.MODULE_COLUMNS, *further) if columns is None or name in columns]

    def _parts(self) -> Iterator[slice]:
        for start in range(0, len(self), records.ROWS_AT_ONCE):
            yield slice(start, min(len(self), start + records.ROWS_AT_ONCE))

    def _block(self, wanted: Sequence[str], part: slice) -> pd.DataFrame:
        made = self._makers(part)
        found = {}
        for name in wanted:
            if name in self._names:
                found[name] = self._names[name].column(self._numbers(name, part))
            elif self._lot is not None and name in records.LOT_COLUMNS:
                lot: Any = dict(zip(records.LOT_COLUMNS, self._lot, strict=True))[name]
                found[name] = np.broadcast_to(lot, len(self))[part]
            else:
                found[name] = _typed(made[name](), records.MODULE_COLUMNS[name])
        return pd.DataFrame(found, copy=False)

    def _choices(self) -> dict[str, Sequence[str]]:
        """The columns of names, and the names their numbers stand for."""
        fleet = self._world.fleet
        return {
            "group": [g.name for g in self._world.scenario.fleet.groups], "technology": TECHNOLOGIES, "power": Power.words(),
            "hardware": fleet.hardware, "cell": ("", *fleet.cells), "outcome": OUTCOMES, "cause": Cause.words(),
            "cloud_state": ex.STATE_NAMES, "stage": records.STAGES, "first_fault": Cause.words(),
            **{name: ("", *coded.names) for name, coded in self._labels.items()},
        }  # fmt: skip

    def _numbers(self, name: str, part: slice) -> NDArray[Any]:
        """A column of names as numbers."""
        m, e = self._ends.rows[part], self._ends.executions[part]
        if name in ("technology", "power"):
            return _of_group(self._world, m, name)
        if name in self._labels:
            return self._labels[name].codes[part] + 1
        if name in ("group", "hardware"):
            return np.asarray(m[name])
        numbers: dict[str, Callable[[], NDArray[Any]]] = {
            "cell": lambda: self._rare("cell", part) + 1, "outcome": lambda: self._outcome[part], "cause": lambda: self._cause[part],
            "cloud_state": lambda: e["state"], "stage": lambda: _stage(m, e), "first_fault": lambda: m["first_fault"],
        }  # fmt: skip
        return numbers[name]()

    def _fails_s(self, part: slice) -> NDArray[np.float64]:
        """When the image of a success will fail, NaN where it does not, or leaves the fleet before that."""
        late_s = self._rare("late_at", part)
        seen = (self._outcome[part] == SUCCEEDED) & (late_s < self._rare("leaves_s", part))
        return np.where(seen, late_s, np.nan)

    def _rare(self, name: str, part: slice) -> NDArray[Any]:
        """A field that is kept for each module, or once for all."""
        return np.broadcast_to(self._ends.rare[name], len(self))[part]

    def _makers(self, part: slice) -> dict[str, Callable[[], Any]]:
        """How the other columns are made."""
        world, m, e = self._world, self._ends.rows[part], self._ends.executions[part]
        renamed = {"rsrp_dbm": "rsrp_site_dbm", "coverage_level": "level", "free_space_bytes": "free_bytes",
                   "download_errors": "total_errors", "installations": "flashes"}  # fmt: skip
        makers: dict[str, Callable[[], Any]] = {
            name: partial(m.__getitem__, renamed.get(name, name)) for name in records.MODULE_COLUMNS
        }
        makers |= {name: partial(e.__getitem__, name) for name in ("attempts", "deferrals", "reported_s")}
        return makers | {
            "preambles": lambda: self._rare("preambles", part),
            "installation_failed": lambda: m["image_faults"] & FAULT_INSTALLATION != 0,
            "fell_back": lambda: m["image_faults"] & FAULT_FELL_BACK != 0,
            "replication": lambda: np.full(len(m), world.replication, dtype=np.int16),
            "module": lambda: world.fleet.names_of(part),
            "components_done": lambda: np.bitwise_count(m["at_target"]),
            "fails_s": lambda: self._fails_s(part),
            "ended_s": lambda: np.where(np.isnan(m["ended_s"]), e["ended_s"], m["ended_s"]),
            "bytes_useful": lambda: _bytes(world, m, _stored(world, e))[0],
            "bytes_wasted": lambda: np.negative(np.subtract(*_bytes(world, m, _stored(world, e)))),
            "energy_j": lambda: m["energy_j"] + _new_image_j(world, m, self._end_s),
            "energy_period_j": lambda: (
                m["energy_j"] + _new_image_j(world, m, self._end_s) + _ordinary_j(world, m, self._end_s)
            ),
            "battery_end_percent": lambda: self._ends.charge(part),
        }


class Names:
    """Columns of names from numbers; only names that occur in the table are kept, in the order of the alphabet."""

    def __init__(self, names: Sequence[str], counts: NDArray[np.int64]) -> None:
        found = sorted((name, i) for i, name in enumerate(names) if counts[i])
        kind = np.min_scalar_type(-len(found) - 1)
        self._places = np.zeros(len(names), dtype=kind)
        self._places[[i for _, i in found]] = np.arange(len(found))
        self._names: Any = pd.CategoricalDtype(pd.Index(np.array([name for name, _ in found], dtype=object)))

    def column(self, numbers: NDArray[Any]) -> Any:
        """The column of these numbers."""
        return pd.Categorical.from_codes(self._places[numbers], dtype=self._names)


def records_of(
    world: World, ends: Ends, load: Tally, cloud_peaks: dict[str, float], decided: Sequence[Decision],
    events: records.Table | None, watched: Watched,
) -> records.Records:  # fmt: skip
    """All tables of one run."""
    modules = RowTable(world, ends, watched.end_s)
    return records.Records(
        modules, timeline(load, modules), events, cloud_peaks, watched.complete, watched.wall_s,
        watched.end_s, decisions=decision_table.table(world.scenario, decided, world.replication),
    )  # fmt: skip


def events_table(
    time_s: Any,
    modules: Any,
    names: Callable[[NDArray[np.int64]], list[str]],
    source: Any,
    status: Any,
    code: Any,
    text: Any,
) -> pd.DataFrame:
    """Events in order of time, then of modules by number, a module's own before what the cloud notes of it.

    `modules` are numbers, `names` gives theirs; `source` is 0 for the module and 1 for the cloud.
    """
    order = np.lexsort((source, modules, time_s))
    found, places = np.unique(modules, return_inverse=True)
    columns = (
        time_s, categories(places, names(found)), categories(source, ["module", "cloud"]),
        status, code, text,
    )  # fmt: skip
    return pd.DataFrame({name: column[order] for name, column in zip(records.EVENT_COLUMNS, columns, strict=True)})


def _typed(column: Any, kind: str) -> Any:
    return column if kind in ("category", "object") else np.ascontiguousarray(column).astype(kind, copy=False)


def categories(codes: NDArray[Any], names: Sequence[str]) -> Any:
    """A column of names from their numbers."""
    index: Any = pd.Index(np.array(names, dtype=object))
    return pd.Categorical.from_codes(codes, index)


def _of_group(world: World, m: NDArray[Any], name: str) -> NDArray[np.int64]:
    """A setting of each module's group."""
    return np.asarray(np.array([getattr(p, name) for p in world.fleet.profiles], dtype=np.int64)[m["group"]])


def _new_image_j(world: World, m: NDArray[Any], end_s: float) -> NDArray[np.float64]:
    """Energy the new image has drawn beyond the old one's, of modules that still run it; 0 on other supplies."""
    watts = np.array([new_image_w(p) if p.power == Power.BATTERY else 0.0 for p in world.fleet.profiles])
    if not watts.any():
        return np.zeros(len(m))
    return np.where(np.isnan(m["upgraded_s"]), 0.0, watts[m["group"]] * (end_s - m["upgraded_s"]))


def _ordinary_j(world: World, m: NDArray[Any], end_s: float) -> NDArray[np.float64]:
    """Energy of each module's life without the rollout, until the run's end or its own; 0 on other supplies."""
    used = np.zeros(len(m))
    lived_s = np.where((m["link"] == LinkState.DARK) & ~np.isnan(m["ended_s"]), m["ended_s"], end_s)
    for number, profile in enumerate(world.fleet.profiles):
        if profile.power == Power.BATTERY:
            levels = np.select(
                [m["rsrp_site_dbm"] > profile.level_1_below_dbm, m["rsrp_site_dbm"] > profile.level_2_below_dbm],
                [0, 1],
                2,
            )
            mine = m["group"] == number
            used[mine] = (np.array(profile.ordinary_w)[levels] * lived_s)[mine]
    return used


def _stored(world: World, e: NDArray[Any]) -> NDArray[np.bool_]:
    """Modules whose plan only downloads, and that have stored the package: that is its success."""
    return np.asarray((e["state"] == ExecutionState.SUCCEEDED) & bool(world.plan.settings.download_only))


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
    m: NDArray[Any], e: NDArray[Any], stored: NDArray[np.bool_], all_components: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is true at the end, whatever the cloud believes: numbers of OUTCOMES and causes. First match wins.

    `all_components` has a bit for each component of the plan. Who runs all targets and was never touched needed nothing,
    whether the cloud has seen it or not.
    """
    state, reason = e["state"], e["reason"]
    cause = m["cause"].astype(np.int64)
    reasons = CAUSE_OF_REASON[reason]
    limits = e["unmet"].astype(np.int64)
    over = np.isin(state, (ExecutionState.NOT_NEEDED, ExecutionState.CANCELED, ExecutionState.REJECTED))
    died_later = over & (cause == Cause.BATTERY_DEAD) & (e["ended_s"] <= m["ended_s"])  # of its ordinary life
    dark = (m["link"] == LinkState.DARK) & np.isin(m["cause"], (Cause.BRICKED, Cause.BATTERY_DEAD)) & ~died_later
    refusal, fault = m["refused_for"].astype(np.int64), m["fault"].astype(np.int64)
    in_progress = (state >= ExecutionState.CONFIRMED) & (state <= ExecutionState.UPDATING)
    waiting = np.where(in_progress, Cause.IN_PROGRESS, _first(limits, cause, Cause.WAITING))
    waiting = np.where(cause == Cause.LEFT_FLEET, cause, waiting)
    had_it = (m["at_target"] & ~m["upgraded"] == all_components) & np.isnan(m["confirmed_s"])
    rules = (
        (~np.isnan(m["upgraded_s"]) | stored, SUCCEEDED, 0),
        (dark, FAILED, cause),
        (state == ExecutionState.SUCCEEDED, FAILED, _first(cause, Cause.LATE_FAILURE)),
        ((state == ExecutionState.NOT_NEEDED) & (reason == EndReason.SOURCE_MISMATCH), INCOMPATIBLE, reasons),
        (state == ExecutionState.NOT_NEEDED, NOT_NEEDED, reasons),
        (had_it, NOT_NEEDED, int(Cause.NONE)),
        (state == ExecutionState.CANCELED, CANCELED, _first(reasons, Cause.CANCELED)),
        (np.isnan(m["first_contact_s"]), NEVER_ONLINE, _first(cause, Cause.OFFLINE)),
        (state == ExecutionState.REJECTED, REJECTED, _first(limits, refusal, Cause.USER_REFUSED)),
        (state == ExecutionState.FAILED, FAILED, _first(reasons, fault, cause, Cause.LINK_LOST)),
        (state == ExecutionState.TIMED_OUT, TIMED_OUT, _first(reasons, fault, cause, Cause.LINK_LOST)),
    )
    found = np.full(len(m), PENDING, dtype=np.int64)
    why = waiting.astype(np.int64)
    for applies, outcome, because in reversed(rules):
        found[applies] = outcome
        why[applies] = because[applies] if isinstance(because, np.ndarray) else because
    return found, why


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


def timeline(load: Tally, modules: records.Table) -> pd.DataFrame:
    """Load per bin and the cumulative funnel at each bin's end."""
    bins = len(load.connects) - 1

    def by_bin(seconds: NDArray[Any]) -> NDArray[np.int64]:
        return np.asarray(seconds.reshape(bins + 1, -1).sum(axis=1, dtype=np.int64)[:bins])

    reached = _reached(load, modules, bins)
    return pd.DataFrame({
        "time_s": np.arange(bins) * load.width_s,
        "width_s": np.full(bins, load.width_s),
        "online": np.cumsum(by_bin(load.online_change)),
        "connects": load.connects[:bins],
        "requests": by_bin(load.requests) + np.round(load.beats[:bins]).astype(np.int64),
        "downloads": load.download_s[:bins] / load.width_s,
        "egress_bit_s": load.egress_bits[:bins] / load.width_s,
        **{name: np.cumsum(counts) for name, counts in reached.items()},
    })  # fmt: skip


def _reached(load: Tally, modules: records.Table, bins: int) -> dict[str, NDArray[np.int64]]:
    """Modules that reach each stage, or fail, by bin."""
    counts = {name: np.zeros(bins, dtype=np.int64) for name in (*records.STAGES[1:], "failed")}
    times = [f"{name}_s" for name in records.STAGES[1:]]
    for block in modules.blocks([*times, "ended_s", "outcome"]):
        failed = block["outcome"].isin(["failed", "timed_out"]).to_numpy()
        columns = [*(block[name].to_numpy() for name in times), block["ended_s"].to_numpy()[failed]]
        for name, times_s in zip(counts, columns, strict=True):
            ends = times_s[~np.isnan(times_s)] / load.width_s
            places = np.minimum(np.maximum(np.ceil(ends) - 1.0, 0.0), bins).astype(np.int64)
            counts[name] += np.bincount(places, minlength=bins + 1)[:bins]
    return counts
