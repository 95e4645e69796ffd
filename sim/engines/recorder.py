"""Recording a virtual run: events while it goes, tables at its end."""

from __future__ import annotations

from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from sim import records
from sim.cloud import execution as ex
from sim.engines import decisions
from sim.engines.tally import Tally
from sim.engines.world import World
from sim.messages import UPDATE_SUCCESS
from sim.module import battery
from sim.module.machine import Module
from sim.module.rows import CAUSES, DARK
from sim.module.states import PROGRESS_INTERVAL_S

_LIMITS = ("", "low_battery", "weak_signal", "no_space")


class Recorder:
    """Takes events while an engine runs and turns the world into tables when it is over."""

    def __init__(self, world: World, load: Tally, *, events: bool = False) -> None:
        self.world = world
        self.load = load
        self.events: list[tuple[float, str, str, int, int, str]] | None = [] if events else None
        self.end_s = world.horizon_s

    # --- while it runs -------------------------------------------------------------------------------------------

    def entered(self, module: Module, now: float) -> None:
        """A module entered a status."""
        row = module.row
        if self.events is not None:
            for text in module.callbacks() or ("",):
                self.events.append((now, module.name, "module", row.published, row.event, text))
        if row.published == UPDATE_SUCCESS:
            row.kept_bytes = 0.0

    def cloud_event(self, index: int, now: float, text: str) -> None:
        """A line of the upgrade log."""
        if self.events is not None:
            self.events.append((now, self.world.modules[index].name, "cloud", -1, 0, text))

    # --- afterwards ----------------------------------------------------------------------------------------------

    def records(self, *, complete: bool, wall_s: float) -> records.Records:
        """The tables of this run."""
        modules = self.modules()
        events = None if self.events is None else pd.DataFrame(self.events, columns=list(records.EVENT_COLUMNS))
        decided = decisions.table(self.world.scenario, self.world.center.decisions, self.world.replication)
        return records.Records(
            modules, self.timeline(modules), events, self.peaks(), complete, wall_s, self.end_s, decisions=decided
        )  # fmt: skip

    def peaks(self) -> dict[str, float]:
        """The largest load the cloud saw, in one second for requests."""
        most = int(self.load.peak_downloads[0])
        return {
            "peak_connections": float(np.cumsum(self.load.online_change).max()),
            "peak_requests_per_s": float(self.load.requests.max()) + most / PROGRESS_INTERVAL_S,
            "peak_downloads": float(most),
            "peak_egress_bit_s": float(self.world.capacity.egress.line.peak_bit_s),
        }

    def modules(self) -> pd.DataFrame:
        """One row per module, columns and types of records.MODULE_COLUMNS."""
        rows = [self._module(m, self.world.center.executions[m.row.index]) for m in self.world.modules]
        table = pd.DataFrame(rows, columns=list(records.MODULE_COLUMNS))
        return table.astype(records.MODULE_COLUMNS)

    def _module(self, module: Module, e: ex.Execution) -> tuple[Any, ...]:
        row, scenario = module.row, self.world.scenario
        group = scenario.fleet.groups[row.group]
        outcome, cause = self._outcome(module, e)
        stored = outcome == "succeeded" and self.world.settings.download_only
        useful = sum(
            c.size_bytes for i, c in enumerate(self.world.center.plan.components) if stored or row.upgraded & (1 << i)
        )  # fmt: skip
        received = round(row.received_bytes)
        useful = min(useful, received)
        return (
            self.world.replication, module.name, group.name, group.technology, group.power,
            self.world.hardware[row.index], self._cell(row.cell), row.rsrp_site_dbm, row.level, row.battery_percent, row.free_bytes,
            outcome, cause, ex.STATE_NAMES[e.state], self._stage(module, e), row.at_target.bit_count(), e.attempts,
            row.total_errors, row.sessions, row.preambles, row.offers, e.deferrals, row.first_contact_s, row.notified_s,
            row.confirmed_s, row.download_started_s, row.downloaded_s, row.updating_s, row.upgraded_s, e.reported_s,
            row.ended_s if not isnan(row.ended_s) else e.ended_s, useful, received - useful, row.energy_j,
            battery.true_percent(row, module.profile, self.end_s),
        )  # fmt: skip

    def _cell(self, cell: int) -> str:
        return self.world.cells[cell] if cell >= 0 else ""

    def _stage(self, module: Module, e: ex.Execution) -> str:
        row = module.row
        reached = (row.notified_s, row.confirmed_s, row.downloaded_s, row.upgraded_s, e.reported_s)
        return records.STAGES[max((i for i, t in enumerate(reached, 1) if not isnan(t)), default=0)]

    def _outcome(self, module: Module, e: ex.Execution) -> tuple[str, str]:
        """What is true at the horizon, whatever the cloud believes."""
        row = module.row
        if not isnan(row.upgraded_s) or (e.state == ex.SUCCEEDED and self.world.settings.download_only):
            return "succeeded", ""
        if row.link == DARK and CAUSES[row.cause] in ("bricked", "battery_dead"):
            return "failed", CAUSES[row.cause]
        if e.state == ex.NOT_NEEDED:
            return "not_needed", ex.REASON_NAMES[e.reason]
        if e.state == ex.CANCELED:
            return "canceled", ex.REASON_NAMES[e.reason] or "canceled"
        if isnan(row.first_contact_s):
            return "never_online", CAUSES[row.cause] or "offline"
        if e.state == ex.REJECTED:
            return "rejected", _LIMITS[e.unmet] or CAUSES[row.cause]
        if e.state in (ex.FAILED, ex.TIMED_OUT):
            cause = ex.REASON_NAMES[e.reason] or CAUSES[row.cause] or "link_lost"
            return ("failed" if e.state == ex.FAILED else "timed_out"), cause
        return "pending", self._pending_cause(module, e)

    def _pending_cause(self, module: Module, e: ex.Execution) -> str:
        if ex.is_in_progress(e.state):
            return "in_progress"
        return _LIMITS[e.unmet] or CAUSES[module.row.cause] or "waiting"

    def timeline(self, modules: pd.DataFrame) -> pd.DataFrame:
        """Load per bin and the cumulative funnel at each bin's end."""
        load, bins = self.load, len(self.load.connects) - 1
        ends = (np.arange(bins) + 1) * load.width_s

        def by_bin(seconds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return np.asarray(seconds.reshape(bins + 1, -1).sum(axis=1, dtype=np.int64)[:bins])

        def until(times: pd.Series[float]) -> np.ndarray[Any, Any]:
            return np.searchsorted(np.sort(times.dropna().to_numpy()), ends, side="right")

        failed = modules["ended_s"].where(modules["outcome"].isin(["failed", "timed_out"]))
        return pd.DataFrame({
            "time_s": np.arange(bins) * load.width_s,
            "width_s": np.full(bins, load.width_s),
            "online": np.cumsum(by_bin(load.online_change)),
            "connects": load.connects[:bins],
            "requests": by_bin(load.requests) + np.round(load.beats[:bins]).astype(np.int64),
            "downloads": load.download_s[:bins] / load.width_s,
            "egress_bit_s": load.egress_bits[:bins] / load.width_s,
            **{name: until(modules[f"{name}_s"]) for name in records.STAGES[1:]},
            "failed": until(failed),
        })  # fmt: skip
