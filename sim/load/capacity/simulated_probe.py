"""A capacity probe in virtual time: the simulated cloud of the scenario under the same waves as the real one."""

from __future__ import annotations

from collections import Counter
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim.cloud_kinds.adapter import Steps
from sim.engines.live.latency import LEGS, Latencies
from sim.engines.live.slo import Slo
from sim.engines.run import driver_of
from sim.errors import FotasimError
from sim.load.capacity.beyond import Beyond, Overload, judged
from sim.load.capacity.search import Measurement, legs_of
from sim.load.capacity.wake_ups import Kind, phase_times, probe_world, wake_times
from sim.module.states import FLASH_DELAY_S
from sim.records import SPANS, Records
from sim.scenario import Scenario
from sim.scenario.load import vary
from sim.stats.evidence import falls_behind

MIN_TAIL_S = 60.0
LIGHT_MODULES, LIGHT_EVERY_S = 12, 2.0
"""Upgrades that do not wait for each other, to see how long one takes."""
WOKEN = "woken"


class SimulatedProbe:
    """Measures a load on the cloud that the scenario's `cloud.capacity` describes.

    What the modules themselves take of an upgrade (flash, reboot) is divided by `time_scale`, as it passes in a measurement
    with that scale: what they ask after their reboot then meets those that wake up, in the prediction as in the measurement.
    """

    def __init__(
        self, scenario: Scenario, kind: Kind, slo: Slo, *, radio: bool = False, taking: float = 0.0, engine: str = "auto",
        time_scale: float = 1.0,
    ) -> None:  # fmt: skip
        steps = scenario.cloud.behaviour.steps
        timed = [leg for leg in (*SPANS, *LEGS) if leg == "upgrade" or any(leg in legs for legs, _, _ in steps)]
        for objective in slo.objectives:
            if objective.leg is not None and objective.leg not in timed:
                raise FotasimError(
                    f"SLO: {objective.text}: the simulated cloud does not time {objective.leg}; it times "
                    f"{', '.join(timed)}. Leave the prediction out with --no-predict"
                )
        self._scenario, self._kind, self._slo, self._radio, self._taking = scenario, kind, slo, radio, taking
        self._engine, self._steps, self._time_scale = engine, steps, time_scale
        self._times_held: Counter[tuple[float, float]] = Counter()

    def __call__(self, load: float, hold_s: float) -> Measurement:
        """See Probe. A load that is held again meets other chance: the same run twice would prove nothing more."""
        seed = self._scenario.seed + self._times_held[load, hold_s]
        self._times_held[load, hold_s] += 1
        warm_s = self._warm_up_s
        woken_s = wake_times(self._kind, load, warm_s + hold_s, seed)
        records, horizon_s = self.run(woken_s, seed)
        held = woken_s >= warm_s
        table, woken_s, patience_s = records.modules[held], woken_s[held], self._slo.patience_s
        found = latencies(table, woken_s, horizon_s, patience_s, self._steps)
        spans = {"wake": span_s(table, woken_s, "notified_s", horizon_s)}
        if self._kind.decided:
            spans["upgrade"] = self._upgrade_s(table, woken_s, horizon_s, found)
        faults = [
            text for span, waited_s in spans.items() for text in falls_behind(span, woken_s, waited_s)
        ] if self._kind.per_s is not None else []  # fmt: skip
        figures = {
            **records.cloud_peaks, "modules": float(len(woken_s)), "done": float(np.isfinite(table["upgraded_s"]).sum()),
        }  # fmt: skip
        slo = self._slo
        return Measurement(slo.values(found), slo.evidence(found), figures, legs_of(found), tuple(faults))

    def beyond(self, overload: Overload, limit_s: float) -> Beyond:
        """Offers more than the capacity for a while and watches the simulated cloud recover."""
        woken_s = phase_times(self._kind, overload.phases, self._scenario.seed)
        records, horizon_s = self.run(woken_s, self._scenario.seed)
        return judged(overload, woken_s, span_s(records.modules, woken_s, "notified_s", horizon_s), limit_s)

    def run(self, woken_s: NDArray[np.float64], seed: int) -> tuple[Records, float]:
        """The records of modules that wake up at these moments, and the horizon they were watched to, seconds."""
        scenario = vary(self._scenario, {"seed": seed})
        tail_s = max(MIN_TAIL_S, 2.0 * self._slo.patience_s)
        _, engine = driver_of(
            lambda: probe_world(
                scenario, self._kind, woken_s, taking=self._taking, radio=self._radio,
                horizon_s=float(woken_s[-1]) + tail_s, shortened=self._time_scale,
            ),
            self._engine,
        )  # fmt: skip
        if not engine.run():
            raise KeyboardInterrupt
        return engine.records(complete=True, wall_s=0.0), engine.world.horizon_s

    @cached_property
    def _warm_up_s(self) -> float:
        """How long upgrades have to begin before the load is what it stays: as long as the longest of a few unloaded ones.

        What modules ask after their reboot, and the polls of those that are through, come that much later than they wake up.
        """
        if not self._kind.decided or self._kind.per_s is None:
            return 0.0
        woken_s = LIGHT_EVERY_S * np.arange(LIGHT_MODULES, dtype=np.float64)
        records, _ = self.run(woken_s, self._scenario.seed)
        taken_s = records.modules["reported_s"].to_numpy(float) - woken_s
        return float(np.nanmax(taken_s, initial=0.0))

    def _upgrade_s(
        self, table: pd.DataFrame, woken_s: NDArray[np.float64], horizon_s: float, found: Latencies
    ) -> NDArray[np.float64]:
        """The span `upgrade` of each module, into `found` as well; what did not come to its end has failed."""
        whole_s = span_s(table, woken_s, "reported_s", horizon_s)
        flashed = np.isfinite(table["upgraded_s"].to_numpy(float))
        taken_s: NDArray[np.float64] = whole_s - flashed * FLASH_DELAY_S * (1.0 - 1.0 / self._time_scale)
        for seconds, done in zip(
            taken_s.tolist(), np.isfinite(table["reported_s"].to_numpy(float)).tolist(), strict=True
        ):
            if done:
                found.add("upgrade", seconds)
            else:
                found.fail("upgrade", "not upgraded")
        return taken_s


def span_s(table: pd.DataFrame, since_s: NDArray[np.float64], until: str, horizon_s: float) -> NDArray[np.float64]:
    """Seconds from each module's wake-up to a moment of the table, or to the horizon where it never came; shape (n,)."""
    ended_s = table[until].to_numpy(float)
    waited_s: NDArray[np.float64] = np.where(np.isnan(ended_s), horizon_s, ended_s) - since_s
    return waited_s


def latencies(
    table: pd.DataFrame, woken_s: NDArray[np.float64], horizon_s: float, patience_s: float, steps: Steps
) -> Latencies:
    """The legs of every module of a simulated run; what waited longer than `patience_s` at its end counts as that."""
    found = Latencies()
    for legs, since, until in steps:
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


__all__ = ["SimulatedProbe", "latencies", "span_s"]
