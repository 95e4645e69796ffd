"""`--calibrate`: the request time that makes the simulated cloud answer a small wave as the real one did.

A wave is more than a server answers at once, so how long its modules wait says how much work each of them makes, all of it: messages,
polls, ranges. The request time is bisected until the simulated wave waits as long on the mean as the measured one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from sim.engines.live.slo import Slo
from sim.errors import FotasimError
from sim.load.capacity.search import Measurement, Probe
from sim.load.capacity.simulated_probe import SimulatedProbe
from sim.load.capacity.wake_ups import KINDS, seconds_text
from sim.scenario import Scenario
from sim.scenario.load import vary

MODULES = 200
"""In the wave, all within two seconds."""
LEAST_S, MOST_S = 1e-5, 10.0
"""Request times that are tried."""
ROUNDS = 14
FINE = 0.01
KEY = "cloud.capacity.request_time"


@dataclass(frozen=True, slots=True)
class Calibration:
    """The request time that fits, seconds, and the mean waits until the notice it rests on."""

    modules: int
    given_s: float
    request_time_s: float
    measured_wake_s: float
    simulated_wake_s: float

    @property
    def fits(self) -> bool:
        """Whether the simulated wave waits as long as the measured one, within 10 %."""
        return abs(self.simulated_wake_s / self.measured_wake_s - 1.0) <= 0.1

    def as_dict(self) -> dict[str, Any]:
        """For files."""
        return {**asdict(self), "fits": self.fits}

    def line(self) -> str:
        """As printed."""
        text = (
            f"calibrated: request_time {1000 * self.request_time_s:.3g} ms instead of {1000 * self.given_s:.3g} ms; a wave of "
            f"{self.modules:,} waits {self.measured_wake_s:.3g} s on the mean, simulated {self.simulated_wake_s:.3g} s"
        )
        return text if self.fits else f"{text}: NOT A FIT, another part of cloud.capacity is the limit"


def calibrated(scenario: Scenario, live: Probe, slo: Slo, *, radio: bool, time_scale: float) -> Calibration:
    """Measures a wave with `live`, a probe of the kind `modules`, and fits the scenario's request time to it.

    FotasimError when the wave was void, or nobody had a notice.
    """
    measured = live(float(MODULES), 1.0)
    if measured.void:
        raise FotasimError(f"--calibrate: the load generator was the bottleneck: {'; '.join(measured.void)}")
    wanted_s = _wake_s(measured)
    if wanted_s <= 0.0:
        raise FotasimError("--calibrate: no module of the wave had its notice")

    def simulated(request_time_s: float) -> float:
        given = vary(scenario, {KEY: seconds_text(request_time_s)})
        return _wake_s(
            SimulatedProbe(given, KINDS["modules"], slo, radio=radio, time_scale=time_scale)(float(MODULES), 1.0)
        )

    low, high = LEAST_S, MOST_S
    for _ in range(ROUNDS):
        middle = sqrt(low * high)
        found_s = simulated(middle)
        if abs(found_s / wanted_s - 1.0) < FINE:
            break
        low, high = (middle, high) if found_s < wanted_s else (low, middle)
    return Calibration(MODULES, float(scenario.cloud.capacity.request_time), middle, wanted_s, found_s)


def _wake_s(measured: Measurement) -> float:
    """Mean time until the notice; 0 without any."""
    return measured.legs.get("wake", {}).get("mean_s", 0.0)


__all__ = ["Calibration", "calibrated"]
