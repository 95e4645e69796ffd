"""The battery of a module: what it holds, what its gauge says, when it dies.

A rechargeable battery follows a saw-tooth from `recharge_to_percent` down to `recharge_from_percent` over
`recharge_every_s`; the charge at activation fixes the phase. The energy of the rollout comes on top and is forgotten
at each recharge. Supplies other than a battery always read 100 %.
"""

from __future__ import annotations

import math

from sim.module.profile import Profile
from sim.module.rows import ModuleRow, Power


def baseline_percent(m: ModuleRow, p: Profile, now: float) -> float:
    """Charge without the energy of the rollout; also starts a new charging cycle when one is due."""
    if p.recharge_every_s <= 0.0:
        return m.battery_percent - 100.0 * p.sleep_ua * 1e-6 * p.supply_v * now / p.capacity_j
    span = p.recharge_to_percent - p.recharge_from_percent
    used = (p.recharge_to_percent - m.battery_percent) / span
    position = max(used, 0.0) + now / p.recharge_every_s
    cycle = int(position)
    if cycle > m.charge_cycle:
        m.charge_cycle = cycle
        m.spent_cycle_j = 0.0
    return p.recharge_to_percent - span * (position - cycle)


def true_percent(m: ModuleRow, p: Profile, now: float) -> float:
    """Charge the battery really holds, 0-100."""
    if p.power != Power.BATTERY:
        return 100.0
    return max(0.0, baseline_percent(m, p, now) - 100.0 * m.spent_cycle_j / p.capacity_j)


def gauge_percent(m: ModuleRow, p: Profile, now: float) -> float:
    """Charge the module reports and compares: the true one with the gauge's error."""
    if p.power != Power.BATTERY:
        return 100.0
    return min(100.0, max(0.0, true_percent(m, p, now) + m.gauge_offset_percent))


def spend(m: ModuleRow, joule: float) -> None:
    """Books energy of the rollout."""
    m.energy_j += joule
    m.spent_cycle_j += joule


def empty_after_s(m: ModuleRow, p: Profile, now: float, watt: float) -> float:
    """Time until the battery is empty at this load; inf on other supplies."""
    if p.power != Power.BATTERY:
        return math.inf
    return true_percent(m, p, now) / 100.0 * p.capacity_j / watt


def recharged_at_s(m: ModuleRow, p: Profile, now: float) -> float:
    """When an empty battery comes back; inf when nobody charges it."""
    if p.recharge_every_s <= 0.0:
        return math.inf
    span = p.recharge_to_percent - p.recharge_from_percent
    position = max((p.recharge_to_percent - m.battery_percent) / span, 0.0) + now / p.recharge_every_s
    return now + (1.0 - (position - int(position))) * p.recharge_every_s
