"""Recording a run of the SimPy engine: events while it goes, rows as records at its end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sim import records
from sim.cloud.execution import Execution
from sim.engines.recording.event_sample import watched
from sim.engines.recording.run_tables import Ends, Watched, events_table, peaks, records_of
from sim.engines.recording.tally import Tally
from sim.engines.world import record_layout
from sim.engines.world.build import World
from sim.messages import UPDATE_SUCCESS
from sim.module import battery
from sim.module.machine import Module
from sim.module.rows import ModuleRow
from sim.records import WholeTable

FROM_MODULE, FROM_CLOUD = range(2)


class Recorder:
    """Takes events while an engine runs and turns the world into tables when it is over."""

    def __init__(self, world: World, load: Tally, *, events: bool | str = False) -> None:
        self.world = world
        self.load = load
        self.events: list[tuple[float, int, int, int, int, str]] | None = [] if events else None
        self._watched: list[bool] = watched(world, events).astype(bool).tolist()
        self.end_s = world.horizon_s

    def entered(self, module: Module, now: float) -> None:
        """A module entered a status."""
        row = module.row
        if self.events is not None and self._watches(row.index):
            for text in module.callbacks() or ("",):
                self.events.append((now, row.index, FROM_MODULE, row.published, row.event, text))
        if row.published == UPDATE_SUCCESS:
            row.kept_bytes = 0.0

    def _watches(self, index: int) -> bool:
        return self._watched[index if len(self._watched) > 1 else 0]

    def cloud_event(self, index: int, now: float, text: str) -> None:
        """A line of the upgrade log."""
        if self.events is not None and self._watches(index):
            self.events.append((now, index, FROM_CLOUD, -1, 0, text))

    def records(self, *, complete: bool, wall_s: float) -> records.Records:
        """The tables of this run."""
        return records_of(
            self.world, self._ends(), self.load, self.peaks(), self.world.center.decisions, self._events(),
            Watched(complete, wall_s, self.end_s),
        )  # fmt: skip

    def peaks(self) -> dict[str, float]:
        """The largest load the cloud saw."""
        return peaks(self.load, self.world.capacity.egress.line.peak_bit_s)

    def _ends(self) -> Ends:
        modules = self.world.modules
        charge = np.array([battery.true_percent(m.row, m.profile, self.end_s) for m in modules])
        rows = record_layout.records(ModuleRow, record_layout.MODULE, [m.row for m in modules])
        executions = record_layout.records(Execution, record_layout.EXECUTION, self.world.center.executions)
        return Ends(rows, rows, executions, charge.__getitem__)

    def _events(self) -> WholeTable | None:
        if self.events is None:
            return None
        columns = list(zip(*self.events, strict=True)) or [()] * 6
        numbers = (np.array(columns[0]), *(np.array(column, dtype=np.int64) for column in columns[1:5]))
        time_s, modules, source, status, code = numbers
        table = events_table(
            time_s, modules, self.world.fleet.names_of, source, status, code, pd.Categorical(list(columns[5]))
        )  # fmt: skip
        return WholeTable(table)
