"""How long a load takes and what it asks of a cloud, before anything is sent: by a simulation of its scenario."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.engines.run import simulate
from sim.scenario import Scenario

MOST = 0.95
"""Of the modules that upgrade, how many have done so by the estimated end."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Real seconds from the start of a load to its end, and what all its modules together do until then."""

    total_s: float
    connects: int
    requests: int


def estimate(scenario: Scenario, users: int, last_begins_s: float, time_scale: float) -> Estimate:
    """For so many modules, the last of which begins after so many real seconds.

    From the notice to the success a module takes what the simulated one takes, shortened by the time scale; counts are those of
    the simulated run per module. What the network takes beyond the model is not in it. KeyboardInterrupt when interrupted.
    """
    found = simulate(scenario)
    if not found.records.complete:
        raise KeyboardInterrupt
    modules, timeline = found.records.modules, found.records.timeline
    took_s = (modules["upgraded_s"] - modules["notified_s"]).dropna().to_numpy(np.float64)
    longest_s = float(np.quantile(took_s, MOST)) if len(took_s) else 0.0
    share = users / max(len(modules), 1)
    connects, requests = (float(timeline[name].sum()) for name in ("connects", "requests"))
    return Estimate(last_begins_s + longest_s / time_scale, round(connects * share), round(requests * share))


__all__ = ["Estimate", "estimate"]
