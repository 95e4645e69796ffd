"""What modules share: the factor of their lot, and the outages of their place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.draws import Purpose
from sim.engines.world.fleet_records import Fleet
from sim.errors import InputError
from sim.module.identity import identities
from sim.module.rows import OutageKind, Power
from sim.module.sampling import Coded
from sim.scenario import Scenario
from sim.scenario.shared_fate import Lots, Outage

Floats = NDArray[np.float64]


def fill(scenario: Scenario, key: tuple[int, int], fleet: Fleet) -> None:
    """The factor of each module's lot, the outages of each module as bits, and when they are."""
    if scenario.fleet.lots is not None:
        fleet.rare["lot_factor"] = _lot_factors(scenario.fleet.lots, key, fleet)
    listed = [*scenario.cloud.outages, *scenario.fleet.outages]
    if not listed:
        return
    for number, outage in enumerate(listed):
        taken = _taken(outage, number, key, fleet) if isinstance(outage, Outage) else True
        fleet.rare["outages"] |= np.where(taken, 1 << number, 0).astype(np.int32)
    kinds = tuple(float(OutageKind.of(o.of) if isinstance(o, Outage) else OutageKind.CLOUD) for o in listed)
    for profile in fleet.profiles:
        profile.outage_count = len(listed)
        profile.outage_kind = kinds
        profile.outage_start_s = tuple(o.at for o in listed)
        profile.outage_lasts_s = tuple(o.lasts for o in listed)
        profile.outage_every_s = tuple(o.every or 0.0 for o in listed)


def _lot_factors(lots: Lots, key: tuple[int, int], fleet: Fleet) -> Floats:
    """Beta-distributed chance of each module's lot, over that of the release.

    With mean p and correlation r the parameters are p (1 - r) / r and (1 - p) (1 - r) / r. Where a release has several
    chances of failure (components, kinds), the factor is that of the largest.
    """
    from scipy import special

    unit = _lot_units(lots, key, fleet)
    chance = np.zeros(len(fleet.rows))
    for number, profile in enumerate(fleet.profiles):
        tables = np.array([profile.boot_failures, profile.bricks, profile.late_failures]).max(axis=(0, 1))
        classes = fleet.rows["hardware"] + profile.hardware_count * fleet.rare["base"]
        chance = np.where(fleet.rows["group"] == number, tables[classes], chance)
    known = (chance > 0.0) & (chance < 1.0) & ~np.isnan(unit)
    weight = (1.0 - lots.correlation) / lots.correlation
    factors = np.ones(len(chance))
    p = chance[known]
    factors[known] = special.betaincinv(p * weight, (1.0 - p) * weight, unit[known]) / p
    return factors


def lot_numbers(lots: Lots, fleet: Fleet) -> NDArray[np.int64]:
    """The number of each module's lot, -1 where it is in none."""
    if lots.label is not None:
        return fleet.label(lots.label).codes.astype(np.int64)
    return np.asarray(fleet.rows["identity"] // int(lots.size or 1), dtype=np.int64)


def _lot_units(lots: Lots, key: tuple[int, int], fleet: Fleet) -> Floats:
    """The draw of each module's lot in (0, 1), NaN where it is in none."""
    if lots.label is not None:
        return _units_of(fleet.label(lots.label), "lot", key, Purpose.LOT)
    if fleet.given_names is not None:
        raise InputError(
            "fleet.lots: modules of a file have no numbers that lots go by; give label, the column of their lot"
        )
    return draws.uniforms(key[0], key[1], lot_numbers(lots, fleet), Purpose.LOT)


def _units_of(places: Coded, what: str, key: tuple[int, int], purpose: Purpose) -> Floats:
    """A draw for each value of a label or each cell, as a column of the modules; NaN where there is none."""
    numbers = identities(f"{what} {name}" for name in places.names)
    return np.asarray(np.append(draws.uniforms(key[0], key[1], numbers, purpose), np.nan)[places.codes])


def _taken(outage: Outage, number: int, key: tuple[int, int], fleet: Fleet) -> NDArray[np.bool_]:
    """Whom an outage concerns."""
    taken = np.ones(len(fleet.rows), dtype=np.bool_) if outage.where is None else fleet.inside(outage.where)
    if outage.of == "power":
        taken &= np.array([p.power == Power.MAINS for p in fleet.profiles])[fleet.rows["group"]]
    if outage.share >= 1.0 and outage.together is None:
        return taken
    if outage.together is None:
        unit = draws.uniforms(key[0], key[1], fleet.rows["identity"], Purpose.REGION, number)
    else:
        cells = Coded(fleet.rare["cell"], tuple(fleet.cells))
        places = cells if outage.together == "cell" else fleet.label(outage.together)
        unit = _units_of(places, f"outage {number}", key, Purpose.REGION)
    return np.asarray(taken & (unit < outage.share))
