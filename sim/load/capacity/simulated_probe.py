"""A capacity probe in virtual time: the simulated cloud of the scenario under the same waves as the real one."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.engines.live.latency import LEGS, Latencies
from sim.engines.run import driver_for
from sim.errors import FotasimError
from sim.load.capacity.search import Measurement, legs_of
from sim.load.capacity.slo import Slo
from sim.load.capacity.wake_ups import Kind, probe_world, wake_times
from sim.scenario import Scenario

MIN_TAIL_S = 60.0
WOKEN = "woken"
Spans = tuple[tuple[tuple[str, ...], str, str], ...]
SPANS: Spans = (
    (("connect", "login"), WOKEN, "first_contact_s"), (("notice", "request"), "first_contact_s", "notified_s"),
    (("url",), "confirmed_s", "download_started_s"), (("download",), "download_started_s", "downloaded_s"),
)  # fmt: skip
"""Legs the simulated cloud can be judged by. It accepts a connection and lets the module log in in one step, and takes
in a request as it answers it: what is an interval of two legs counts for both."""
SPANS_OF_DDI: Spans = (
    (("connect", "poll"), WOKEN, "first_contact_s"), (("notice",), "first_contact_s", "notified_s"),
    (("download",), "download_started_s", "downloaded_s"),
)  # fmt: skip
"""A polled server's: the first poll is the connection; from it to the notice lie attributes and deployment."""


class SimulatedProbe:
    """Measures a load on the cloud that the scenario's `cloud.capacity` describes."""

    def __init__(
        self, scenario: Scenario, kind: Kind, slo: Slo, *, radio: bool = False, taking: float = 0.0, engine: str = "auto"
    ) -> None:  # fmt: skip
        spans = SPANS_OF_DDI if scenario.cloud.kind == "ddi" else SPANS
        timed = [leg for leg in LEGS if any(leg in legs for legs, _, _ in spans)]
        for objective in slo.objectives:
            if objective.leg is not None and objective.leg not in timed:
                raise FotasimError(
                    f"SLO: {objective.text}: the simulated cloud does not time {objective.leg}; it times "
                    f"{', '.join(timed)}. Leave the prediction out with --no-predict"
                )
        self._scenario, self._kind, self._slo, self._radio, self._taking = scenario, kind, slo, radio, taking
        self._engine, self._spans = engine, spans

    def __call__(self, load: float, hold_s: float) -> Measurement:
        """See Probe."""
        woken_s = wake_times(self._kind, load, hold_s, self._scenario.seed)
        tail_s = max(MIN_TAIL_S, 2.0 * self._slo.patience_s)
        world = probe_world(
            self._scenario, self._kind, woken_s, taking=self._taking, radio=self._radio,
            horizon_s=float(woken_s[-1]) + tail_s,
        )  # fmt: skip
        _, driver = driver_for(self._engine)
        engine = driver(world)
        if not engine.run():
            raise KeyboardInterrupt
        records = engine.records(complete=True, wall_s=0.0)
        found = latencies(records.modules, woken_s, world.horizon_s, self._slo.patience_s, self._spans)
        figures = {
            **records.cloud_peaks, "modules": float(len(woken_s)),
            "done": float(np.isfinite(records.modules["upgraded_s"]).sum()),
        }  # fmt: skip
        return Measurement(self._slo.values(found), figures, legs_of(found))


def latencies(
    table: pd.DataFrame, woken_s: NDArray[np.float64], horizon_s: float, patience_s: float, spans: Spans | None = None
) -> Latencies:
    """The legs of every module of a simulated run; what waited longer than `patience_s` at its end counts as that."""
    found = Latencies()
    for legs, since, until in spans or SPANS:
        begun = woken_s if since == WOKEN else table[since].to_numpy(float)
        ended = table[until].to_numpy(float)
        waited = np.where(np.isnan(ended), horizon_s, ended) - begun
        counted = ~np.isnan(begun) & (~np.isnan(ended) | (waited > patience_s))
        for seconds in waited[counted]:
            for leg in legs:
                found.add(leg, float(seconds))
    for _ in range(int(table["download_errors"].sum())):
        found.fail("download", "broken")
    return found


__all__ = ["SPANS", "SPANS_OF_DDI", "SimulatedProbe", "latencies"]
