"""Scenarios whose answer is known without simulation."""

from __future__ import annotations

from sim.scenario import Scenario
from tests.support import HARMLESS, scenario

BATTERY = "plan.strategy.preconditions.min_battery_percent"

_HARMLESS_BUT_SAG = tuple(h for h in HARMLESS if "power_loss_low_battery" not in h)


def battery_limit(*overrides: str) -> Scenario:
    """Modules with a battery uniform from 0 to 100 % that brick when flashed below 20 %, and only then.

    Below the limit L they are rejected. So rejected = L / 100, bricked = max(0, 20 - L) / 100, and
    rejected + 3 bricked is smallest at L = 20, where it is 0.2.
    """
    return scenario(
        *_HARMLESS_BUT_SAG, "fleet.size=200", "horizon=1d", "fleet.groups.all.partition=in-place",
        "fleet.groups.all.battery.capacity=100000 Wh", "fleet.groups.all.rsrp_dbm=-90",
        "fleet.groups.all.battery_percent={distribution: uniform, low: 0, high: 100}",
        "fleet.groups.all.free_space=100 MB", "fleet.failures.brick_in_place=0", "fleet.failures.frailty_variance=0",
        "fleet.failures.power_loss_low_battery=1", "fleet.failures.brick_on_power_loss=1",
        "fleet.physics.gauge_sd_percent=0", "plan.strategy.preconditions.on_unmet=reject", *overrides,
    )  # fmt: skip


def dark_share(share: float, *overrides: str) -> Scenario:
    """Every module succeeds but those that stay dark, each with chance `share`: success_rate has the mean 1 - share."""
    return scenario(
        *(h for h in HARMLESS if "never_online" not in h), f"fleet.failures.never_online={share}", "fleet.size=100",
        "horizon=2d", "fleet.groups.all.power=mains", "fleet.groups.all.check_in={every: 12h}",
        "fleet.groups.all.rsrp_dbm=-90", "fleet.groups.all.free_space=100 MB",
        "plan.strategy.preconditions.min_battery_percent=0", *overrides,
    )  # fmt: skip
