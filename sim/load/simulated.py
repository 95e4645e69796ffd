"""A capacity probe in virtual time: the simulated cloud of the scenario under the same waves as the real one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sim.engines.live.latency import LEGS, Latencies
from sim.engines.virtual import VirtualEngine
from sim.engines.world import World, build
from sim.load.search import Measurement
from sim.load.slo import Slo
from sim.load.wave import Kind, probe_scenario, wake_times
from sim.scenario import Scenario
from sim.scenario.load import vary

MIN_TAIL_S = 60.0


class SimulatedProbe:
    """Measures a load on the cloud that the scenario's `cloud.capacity` describes."""

    def __init__(self, scenario: Scenario, kind: Kind, slo: Slo, *, radio: bool = False) -> None:
        self._scenario, self._kind, self._slo, self._radio = scenario, kind, slo, radio

    def __call__(self, load: float, hold_s: float) -> Measurement:
        """See Probe."""
        woken_s = np.array(wake_times(self._kind, load, hold_s))
        tail_s = max(MIN_TAIL_S, 2.0 * self._slo.patience_s)
        given = probe_scenario(self._scenario, len(woken_s), radio=self._radio)
        world = build(vary(given, {"horizon": float(woken_s[-1]) + tail_s}))
        world.fleet.rows["away_until_s"] = woken_s + 1e-3  # at 0 they would be online already
        engine = VirtualEngine(world)
        if not engine.run():
            raise KeyboardInterrupt
        records = engine.recorder.records(complete=True, wall_s=0.0)
        found = latencies(records.modules, woken_s, world, self._slo.patience_s)
        figures = {**records.cloud_peaks, "wake_ups_per_s": len(woken_s) / max(hold_s, 1e-9)}
        figures |= {f"{leg}_failures": float(sum(found.failed(leg).values())) for leg in LEGS if found.failed(leg)}
        figures |= {f"{leg}_p99_s": p99 for leg in LEGS if (p99 := found.quantile_s(leg, 99.0)) is not None}
        return Measurement(self._slo.values(found), figures)


def latencies(table: pd.DataFrame, woken_s: np.ndarray, world: World, patience_s: float) -> Latencies:
    """The legs of every module of a simulated run; what waited longer than `patience_s` at its end counts as that."""
    found = Latencies()
    spans = (
        ("connect", woken_s, "first_contact_s"), ("notice", "first_contact_s", "notified_s"),
        ("url", "confirmed_s", "download_started_s"), ("download", "download_started_s", "downloaded_s"),
    )  # fmt: skip
    for leg, since, until in spans:
        begun = since if isinstance(since, np.ndarray) else table[since].to_numpy(float)
        ended = table[until].to_numpy(float)
        waited = np.where(np.isnan(ended), world.horizon_s, ended) - begun
        counted = ~np.isnan(begun) & (~np.isnan(ended) | (waited > patience_s))
        for seconds in waited[counted]:
            found.add(leg, float(seconds))
    for _ in range(int(table["download_errors"].sum())):
        found.fail("download", "broken")
    return found


__all__ = ["SimulatedProbe", "latencies"]
