"""The strategy of a plan as the cloud asks it: may this module be offered, released, tried again?

Defaults are the Developer Center's: 10-minute push grid, 30 %, -113 dBm, package size, five retries, 10,000 at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from sim.messages import MET, unmet
from sim.strategy.windows import is_open


@dataclass(frozen=True, slots=True)
class Strategy:
    """Settings of a plan's strategy. Durations in seconds; None stands for no bound."""

    min_battery_percent: float = 30.0
    min_rsrp_dbm: float = -113.0
    needed_bytes: int = 0
    checked_by_cloud: bool = True
    checked_by_device: bool = True
    reject_unmet: bool = False
    need_push: bool = True
    push_interval_s: float = 600.0
    number_of_retries: int = 5
    retry_interval_s: float = 0.0
    max_in_progress: int | None = 10_000
    in_progress_timeout_s: float = inf
    offer_timeout_s: float = inf
    end_s: float = inf
    windows: tuple[tuple[float, float], ...] = ()

    def may_push(self, now: float) -> bool:
        """Whether the plan may offer anything now: inside a window and before its end."""
        return now < self.end_s and is_open(self.windows, now)

    def may_release(self, in_progress: int) -> bool:
        """Whether one more module may be under way (definition 4: released minus terminal < max_in_progress)."""
        return self.max_in_progress is None or in_progress < self.max_in_progress

    def unmet(self, battery_percent: float, rsrp_dbm: float, free_bytes: float) -> int:
        """The precondition the cloud finds unmet on the last reported values, or MET."""
        if not self.checked_by_cloud:
            return MET
        return unmet(
            battery_percent,
            rsrp_dbm,
            free_bytes,
            self.min_battery_percent,
            self.min_rsrp_dbm,
            self.needed_bytes,
        )

    def may_retry(self, failures: int) -> bool:
        """Whether another attempt follows the given number of failed ones."""
        return failures <= self.number_of_retries
