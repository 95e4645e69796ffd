"""The battery of a module: what it holds, what its gauge says, when it dies.

A module has an ordinary life: it sleeps, checks in, stays awake for a while. That drains a primary cell evenly with
`ordinary_w`; a rechargeable battery follows a saw-tooth from `recharge_to_percent` down to `recharge_from_percent` over
`recharge_every_s`, whose phase is fixed by the charge at activation. What the rollout causes comes on top, and is
forgotten at each recharge. Supplies other than a battery always read 100 %.
"""

from __future__ import annotations

import math

from sim.module import radio, rows
from sim.module.profile import Profile
from sim.module.rows import ModuleRow
from sim.named_enum import numbers

CheckIn = numbers(rows.CheckIn)
Power = numbers(rows.Power)

TRIP_SIGMA = 0.3
"""Log-spread of the time a vehicle stays online."""


def baseline_percent(row: ModuleRow, profile: Profile, now: float) -> float:
    """Charge without the energy of the rollout; also starts a new charging cycle when one is due."""
    if profile.recharge_every_s <= 0.0:
        level = radio.coverage_level(row.rsrp_site_dbm, profile.level_1_below_dbm, profile.level_2_below_dbm)
        return row.battery_percent - 100.0 * profile.ordinary_w[level] * now / profile.capacity_j
    span = profile.recharge_to_percent - profile.recharge_from_percent
    position = _position(row, profile, now)
    cycle = int(position)
    if cycle > row.charge_cycle:
        row.charge_cycle = cycle
        row.spent_cycle_j = 0.0
    return profile.recharge_to_percent - span * (position - cycle)


def true_percent(row: ModuleRow, profile: Profile, now: float) -> float:
    """Charge the battery really holds, 0-100."""
    if profile.power != Power.BATTERY:
        return 100.0
    percent = baseline_percent(row, profile, now) - 100.0 * row.spent_cycle_j / profile.capacity_j
    if profile.new_image_ma > 0.0:
        percent -= 100.0 * new_image_w(profile) * _on_new_image_s(row, profile, now) / profile.capacity_j
    return max(0.0, percent)


def gauge_percent(row: ModuleRow, profile: Profile, now: float) -> float:
    """Charge the module reports and compares: the true one with the gauge's error, to the gauge's resolution."""
    if profile.power != Power.BATTERY:
        return 100.0
    shown = true_percent(row, profile, now) + row.gauge_offset_percent
    if profile.gauge_resolution_percent > 0.0:
        shown = math.floor(shown / profile.gauge_resolution_percent + 0.5) * profile.gauge_resolution_percent
    return min(100.0, max(0.0, shown))


def awake_w(profile: Profile) -> float:
    """Power while awake without a transfer, watt; with eDRX the receiver is off most of the time."""
    return (profile.edrx_ma if profile.edrx_s > 0.0 else profile.idle_ma) / 1000.0 * profile.supply_v


def ordinary_w(profile: Profile, level: int) -> float:
    """Mean power (watt) of a module's life without the rollout, at a coverage level: asleep, check-ins, awake times."""
    sleep_w = profile.sleep_ua * 1e-6 * profile.supply_v
    session_j = radio.session_energy_j(profile.technology, level, profile.session_energy_factor)
    if profile.check_in == CheckIn.ALWAYS:
        return awake_w(profile) + session_j / profile.check_in_every_s
    if profile.check_in == CheckIn.DIURNAL:
        sessions_per_s = profile.peaks * profile.trip_probability / 86400.0
        awake = sessions_per_s * profile.online_s * math.exp(0.5 * TRIP_SIGMA * TRIP_SIGMA)
    else:
        sessions_per_s = 1.0 / profile.check_in_every_s
        awake = sessions_per_s * profile.awake_s
    awake = min(1.0, awake)
    return sessions_per_s * session_j + awake * awake_w(profile) + (1.0 - awake) * sleep_w


def new_image_w(profile: Profile) -> float:
    """Mean power of the new image beyond the old one's, watt."""
    return profile.new_image_ma / 1000.0 * profile.supply_v


def _on_new_image_s(row: ModuleRow, profile: Profile, now: float) -> float:
    """How long the module has run the new image since it was last charged."""
    if row.upgraded_s != row.upgraded_s:
        return 0.0
    since_s = row.upgraded_s
    if profile.recharge_every_s > 0.0:
        position = _position(row, profile, now)
        since_s = max(since_s, now - (position - int(position)) * profile.recharge_every_s)
    return max(0.0, now - since_s)


def book_new_image(row: ModuleRow, profile: Profile, now: float) -> None:
    """Books what the new image has drawn beyond the old one, at the moment it is left."""
    if profile.power == Power.BATTERY and profile.new_image_ma > 0.0 and row.upgraded_s == row.upgraded_s:
        row.energy_j += new_image_w(profile) * (now - row.upgraded_s)
        row.spent_cycle_j += new_image_w(profile) * _on_new_image_s(row, profile, now)


def drained_after_s(row: ModuleRow, profile: Profile, now: float) -> float:
    """Time until the new image has emptied a primary cell; inf on other supplies."""
    if profile.power != Power.BATTERY or profile.recharge_every_s > 0.0 or profile.new_image_ma <= 0.0:
        return math.inf
    level = radio.coverage_level(row.rsrp_site_dbm, profile.level_1_below_dbm, profile.level_2_below_dbm)
    return left_j(row, profile, now) / (profile.ordinary_w[level] + new_image_w(profile))


def spend(row: ModuleRow, joule: float) -> None:
    """Books energy that the rollout causes."""
    row.energy_j += joule
    row.spent_cycle_j += joule


def empty_after_s(row: ModuleRow, profile: Profile, now: float, watt: float) -> float:
    """Time until the battery is empty at this load; inf on other supplies."""
    if profile.power != Power.BATTERY or watt <= 0.0:
        return math.inf
    return left_j(row, profile, now) / watt


def left_j(row: ModuleRow, profile: Profile, now: float) -> float:
    """Energy the battery still holds, joule; inf on other supplies."""
    if profile.power != Power.BATTERY:
        return math.inf
    return true_percent(row, profile, now) / 100.0 * profile.capacity_j


def recharged_at_s(row: ModuleRow, profile: Profile, now: float) -> float:
    """When an empty battery comes back; inf when nobody charges it."""
    if profile.recharge_every_s <= 0.0:
        return math.inf
    position = _position(row, profile, now)
    return now + (1.0 - (position - int(position))) * profile.recharge_every_s


def _position(row: ModuleRow, profile: Profile, now: float) -> float:
    """Where a rechargeable battery stands in its charging cycles: 0 just charged, 0.5 half-way to the next charge."""
    span = profile.recharge_to_percent - profile.recharge_from_percent
    return (profile.recharge_to_percent - row.battery_percent) / span + now / profile.recharge_every_s
