"""The battery of a module: what it holds, what its gauge says, when it dies.

A module has an ordinary life: it sleeps, checks in, stays awake for a while. That drains a primary cell evenly with
`ordinary_w`; a rechargeable battery follows a saw-tooth from `recharge_to_percent` down to `recharge_from_percent` over
`recharge_every_s`, whose phase is fixed by the charge at activation. What the rollout causes comes on top, and is
forgotten at each recharge. Supplies other than a battery always read 100 %.
"""

from __future__ import annotations

import math

from sim.module import radio
from sim.module.profile import Profile
from sim.module.rows import CheckIn, ModuleRow, Power

TRIP_SIGMA = 0.3
"""Log-spread of the time a vehicle stays online."""


def baseline_percent(m: ModuleRow, p: Profile, now: float) -> float:
    """Charge without the energy of the rollout; also starts a new charging cycle when one is due."""
    if p.recharge_every_s <= 0.0:
        level = radio.coverage_level(m.rsrp_site_dbm, p.level_1_below_dbm, p.level_2_below_dbm)
        return m.battery_percent - 100.0 * p.ordinary_w[level] * now / p.capacity_j
    span = p.recharge_to_percent - p.recharge_from_percent
    position = _position(m, p, now)
    cycle = int(position)
    if cycle > m.charge_cycle:
        m.charge_cycle = cycle
        m.spent_cycle_j = 0.0
    return p.recharge_to_percent - span * (position - cycle)


def true_percent(m: ModuleRow, p: Profile, now: float) -> float:
    """Charge the battery really holds, 0-100."""
    if p.power != Power.BATTERY:
        return 100.0
    percent = baseline_percent(m, p, now) - 100.0 * m.spent_cycle_j / p.capacity_j
    if p.new_image_ma > 0.0:
        percent -= 100.0 * new_image_w(p) * _on_new_image_s(m, p, now) / p.capacity_j
    return max(0.0, percent)


def gauge_percent(m: ModuleRow, p: Profile, now: float) -> float:
    """Charge the module reports and compares: the true one with the gauge's error, to the gauge's resolution."""
    if p.power != Power.BATTERY:
        return 100.0
    shown = true_percent(m, p, now) + m.gauge_offset_percent
    if p.gauge_resolution_percent > 0.0:
        shown = math.floor(shown / p.gauge_resolution_percent + 0.5) * p.gauge_resolution_percent
    return min(100.0, max(0.0, shown))


def awake_w(p: Profile) -> float:
    """Power while awake without a transfer, watt; with eDRX the receiver is off most of the time."""
    return (p.edrx_ma if p.edrx_s > 0.0 else p.idle_ma) / 1000.0 * p.supply_v


def ordinary_w(p: Profile, level: int) -> float:
    """Mean power (watt) of a module's life without the rollout, at a coverage level: asleep, check-ins, awake times."""
    sleep_w = p.sleep_ua * 1e-6 * p.supply_v
    session_j = radio.session_energy_j(p.technology, level, p.session_energy_factor)
    if p.check_in == CheckIn.ALWAYS:
        return awake_w(p) + session_j / p.check_in_every_s
    if p.check_in == CheckIn.DIURNAL:
        sessions_per_s = p.peaks * p.trip_probability / 86400.0
        awake = sessions_per_s * p.online_s * math.exp(0.5 * TRIP_SIGMA * TRIP_SIGMA)
    else:
        sessions_per_s = 1.0 / p.check_in_every_s
        awake = sessions_per_s * p.awake_s
    awake = min(1.0, awake)
    return sessions_per_s * session_j + awake * awake_w(p) + (1.0 - awake) * sleep_w


def new_image_w(p: Profile) -> float:
    """Mean power of the new image beyond the old one's, watt."""
    return p.new_image_ma / 1000.0 * p.supply_v


def _on_new_image_s(m: ModuleRow, p: Profile, now: float) -> float:
    """How long the module has run the new image since it was last charged."""
    if m.upgraded_s != m.upgraded_s:
        return 0.0
    since_s = m.upgraded_s
    if p.recharge_every_s > 0.0:
        position = _position(m, p, now)
        since_s = max(since_s, now - (position - int(position)) * p.recharge_every_s)
    return max(0.0, now - since_s)


def book_new_image(m: ModuleRow, p: Profile, now: float) -> None:
    """Books what the new image has drawn beyond the old one, at the moment it is left."""
    if p.power == Power.BATTERY and p.new_image_ma > 0.0 and m.upgraded_s == m.upgraded_s:
        m.energy_j += new_image_w(p) * (now - m.upgraded_s)
        m.spent_cycle_j += new_image_w(p) * _on_new_image_s(m, p, now)


def drained_after_s(m: ModuleRow, p: Profile, now: float) -> float:
    """Time until the new image has emptied a primary cell; inf on other supplies."""
    if p.power != Power.BATTERY or p.recharge_every_s > 0.0 or p.new_image_ma <= 0.0:
        return math.inf
    level = radio.coverage_level(m.rsrp_site_dbm, p.level_1_below_dbm, p.level_2_below_dbm)
    return left_j(m, p, now) / (p.ordinary_w[level] + new_image_w(p))


def spend(m: ModuleRow, joule: float) -> None:
    """Books energy that the rollout causes."""
    m.energy_j += joule
    m.spent_cycle_j += joule


def empty_after_s(m: ModuleRow, p: Profile, now: float, watt: float) -> float:
    """Time until the battery is empty at this load; inf on other supplies."""
    if p.power != Power.BATTERY or watt <= 0.0:
        return math.inf
    return left_j(m, p, now) / watt


def left_j(m: ModuleRow, p: Profile, now: float) -> float:
    """Energy the battery still holds, joule; inf on other supplies."""
    if p.power != Power.BATTERY:
        return math.inf
    return true_percent(m, p, now) / 100.0 * p.capacity_j


def recharged_at_s(m: ModuleRow, p: Profile, now: float) -> float:
    """When an empty battery comes back; inf when nobody charges it."""
    if p.recharge_every_s <= 0.0:
        return math.inf
    position = _position(m, p, now)
    return now + (1.0 - (position - int(position))) * p.recharge_every_s


def _position(m: ModuleRow, p: Profile, now: float) -> float:
    """Where a rechargeable battery stands in its charging cycles: 0 just charged, 0.5 half-way to the next charge."""
    span = p.recharge_to_percent - p.recharge_from_percent
    return (p.recharge_to_percent - m.battery_percent) / span + now / p.recharge_every_s
