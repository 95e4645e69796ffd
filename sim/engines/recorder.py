"""Recording a virtual run: counters while it goes, tables at its end."""

from __future__ import annotations

from collections import Counter
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from sim import records
from sim.cloud import execution as ex
from sim.engines.world import World
from sim.messages import UPDATE_SUCCESS
from sim.module import battery
from sim.module.machine import Module
from sim.module.rows import CAUSES, DARK
from sim.module.states import PROGRESS_INTERVAL_S

BINS = 2016
"""At most this many bins of the timeline: ten minutes each over a fortnight."""
_LIMITS = ("", "low_battery", "weak_signal", "no_space")


class Recorder:
    """Counts load while an engine runs and turns the world into tables when it is over."""

    def __init__(self, world: World, *, events: bool = False) -> None:
        self.world = world
        self.events: list[tuple[float, str, str, int, int, str]] | None = [] if events else None
        self.end_s = world.horizon_s
        self.width_s = max(1.0, float(np.ceil(world.horizon_s / BINS)))
        bins = int(np.ceil(world.horizon_s / self.width_s))
        self._online_change = np.zeros(bins + 1, dtype=np.int64)
        self._connects = np.zeros(bins + 1, dtype=np.int64)
        self._requests = np.zeros(bins + 1, dtype=np.float64)
        self._download_s = np.zeros(bins + 1, dtype=np.float64)
        self._egress_bits = np.zeros(bins + 1, dtype=np.float64)
        self._per_second: Counter[int] = Counter()
        self._online = self._peak_online = 0
        self._downloads = self._peak_downloads = 0
        self._downloads_since = self._bits_before = 0.0

    # --- while it runs -------------------------------------------------------------------------------------------

    def _bin(self, now: float) -> int:
        return min(int(now / self.width_s), len(self._connects) - 1)

    def online(self, now: float, change: int) -> None:
        """A module came online or left."""
        self._online += change
        self._peak_online = max(self._peak_online, self._online)
        self._online_change[self._bin(now)] += change

    def connects(self, now: float) -> None:
        """The cloud accepted a connection."""
        self._connects[self._bin(now)] += 1

    def requests(self, now: float, count: int) -> None:
        """Messages and requests of modules to the cloud."""
        self._requests[self._bin(now)] += count
        self._per_second[int(now)] += count

    def heartbeats(self, since: float, now: float) -> None:
        """Statuses a module published every five seconds of its transfer, booked when the transfer ends."""
        if isnan(since):
            return
        count = int((now - since) / PROGRESS_INTERVAL_S)
        if count > 0:
            self._spread(self._requests, since, now, float(count))

    def downloads(self, now: float, change: int) -> None:
        """A transfer began or ended; books the time and the bytes since the last change."""
        bits = self.world.capacity.egress.delivered_bits
        self._spread(self._download_s, self._downloads_since, now, self._downloads * (now - self._downloads_since))
        self._spread(self._egress_bits, self._downloads_since, now, bits - self._bits_before)
        self._downloads_since, self._bits_before = now, bits
        self._downloads += change
        self._peak_downloads = max(self._peak_downloads, self._downloads)

    def _spread(self, bins: np.ndarray[Any, Any], since: float, until: float, amount: float) -> None:
        """Adds `amount` to the bins between two times, in proportion to the time in each."""
        first, last = self._bin(since), self._bin(until)
        if amount == 0.0:
            return
        if first == last or until <= since:
            bins[first] += amount
            return
        edges = np.clip(np.arange(first, last + 2) * self.width_s, since, until)
        bins[first : last + 1] += amount * np.diff(edges) / (until - since)

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

    def close(self, now: float) -> None:
        """The run is over at `now`."""
        self.downloads(now, 0)
        self.end_s = now

    # --- afterwards ----------------------------------------------------------------------------------------------

    def records(self, *, complete: bool, wall_s: float) -> records.Records:
        """The tables of this run."""
        modules = self.modules()
        events = None if self.events is None else pd.DataFrame(self.events, columns=list(records.EVENT_COLUMNS))
        return records.Records(modules, self.timeline(modules), events, self.peaks(), complete, wall_s, self.end_s)

    def peaks(self) -> dict[str, float]:
        """The largest load the cloud saw, in one second for requests."""
        beats = self._peak_downloads / PROGRESS_INTERVAL_S
        return {
            "peak_connections": float(self._peak_online),
            "peak_requests_per_s": float(max(self._per_second.values(), default=0)) + beats,
            "peak_downloads": float(self._peak_downloads),
            "peak_egress_bit_s": float(self.world.capacity.egress.peak_bit_s),
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
        useful = sum(
            c.size_bytes for i, c in enumerate(self.world.center.plan.components) if row.upgraded & (1 << i)
        )  # fmt: skip
        received = round(row.received_bytes)
        useful = min(useful, received)
        return (
            self.world.replication, module.name, group.name, group.technology, group.power,
            self.world.hardware[row.index], row.rsrp_site_dbm, row.level, row.battery_percent, row.free_bytes,
            outcome, cause, ex.STATE_NAMES[e.state], self._stage(module, e), row.at_target.bit_count(), e.attempts,
            row.total_errors, row.sessions, row.offers, e.deferrals, row.first_contact_s, row.notified_s,
            row.confirmed_s, row.download_started_s, row.downloaded_s, row.updating_s, row.upgraded_s, e.reported_s,
            row.ended_s if not isnan(row.ended_s) else e.ended_s, useful, received - useful, row.energy_j,
            battery.true_percent(row, module.profile, self.end_s),
        )  # fmt: skip

    def _stage(self, module: Module, e: ex.Execution) -> str:
        row = module.row
        reached = (row.notified_s, row.confirmed_s, row.downloaded_s, row.upgraded_s, e.reported_s)
        return records.STAGES[max((i for i, t in enumerate(reached, 1) if not isnan(t)), default=0)]

    def _outcome(self, module: Module, e: ex.Execution) -> tuple[str, str]:
        """What is true at the horizon, whatever the cloud believes."""
        row = module.row
        if not isnan(row.upgraded_s):
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
        bins = len(self._connects) - 1
        ends = (np.arange(bins) + 1) * self.width_s

        def until(times: pd.Series[float]) -> np.ndarray[Any, Any]:
            return np.searchsorted(np.sort(times.dropna().to_numpy()), ends, side="right")

        failed = modules["ended_s"].where(modules["outcome"].isin(["failed", "timed_out"]))
        return pd.DataFrame({
            "time_s": np.arange(bins) * self.width_s,
            "width_s": np.full(bins, self.width_s),
            "online": np.cumsum(self._online_change[:bins]),
            "connects": self._connects[:bins],
            "requests": np.round(self._requests[:bins]).astype(np.int64),
            "downloads": self._download_s[:bins] / self.width_s,
            "egress_bit_s": self._egress_bits[:bins] / self.width_s,
            **{name: until(modules[f"{name}_s"]) for name in records.STAGES[1:]},
            "failed": until(failed),
        })  # fmt: skip
