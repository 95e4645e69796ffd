"""Sampling a fleet: from distributions and shares, and from what is known of real devices, to columns of modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sim import draws
from sim.causes import Cause
from sim.draws import Purpose
from sim.errors import InputError
from sim.module.identity import identities
from sim.module.link_states import LinkState
from sim.module.profile import Profile
from sim.module.rows import Power

Array = NDArray[np.float64]


class Distribution(Protocol):
    """Whatever has an inverse distribution function."""

    def quantile(self, u: Array) -> Array:
        """Values at the probabilities `u`, same shape."""
        ...


class Coded(NamedTuple):
    """A column of names as numbers: codes of shape (n,), and the names they stand for; -1 stands for none."""

    codes: NDArray[np.signedinteger[Any]]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownModules:
    """What is known of real modules, column by column; what is missing here is drawn.

    `numbers` go by `rsrp_dbm`, `battery_percent` and `free_space`, NaN where unknown; of `hardware` and `versions` -1 is
    unknown, of `cells` and `labels` it means none. Unknown values are drawn from the known ones of the columns in `sampled`
    (a key of `numbers`, `hardware`, or `version COMPONENT`), else from the group's own distribution.
    """

    count: int
    names: list[str] | None = None
    numbers: Mapping[str, Array] = field(default_factory=dict)
    hardware: Coded | None = None
    cells: Coded | None = None
    versions: Mapping[str, Coded] = field(default_factory=dict)
    labels: Mapping[str, Coded] = field(default_factory=dict)
    sampled: frozenset[str] = frozenset()

    def take(self, rows: NDArray[np.intp]) -> KnownModules:
        """Only these rows."""

        def part(coded: Coded) -> Coded:
            return Coded(coded.codes[rows], coded.names)

        return KnownModules(
            len(rows),
            None if self.names is None else [self.names[row] for row in rows.tolist()],
            {key: values[rows] for key, values in self.numbers.items()},
            None if self.hardware is None else part(self.hardware),
            None if self.cells is None else part(self.cells),
            {name: part(coded) for name, coded in self.versions.items()},
            {name: part(coded) for name, coded in self.labels.items()},
            self.sampled,
        )


@dataclass(frozen=True, slots=True)
class Population:
    """What one group of modules is drawn from. Shares are (name, weight) pairs that add to 1."""

    rsrp_dbm: Distribution
    battery_percent: Distribution
    free_bytes: Distribution
    versions: dict[str, tuple[tuple[str, float], ...]]
    hardware: tuple[tuple[str, float], ...]
    user_delay_s: Distribution | None = None
    """How long the user thinks, where a user decides."""
    joins_s: Distribution | None = None
    leaves_s: Distribution | None = None
    known: KnownModules | None = None
    """What a fleet file says of its modules."""


@dataclass(slots=True)
class Members:
    """The modules of one group, column by column, shape (n,) each; names and cells are empty when no file gives them.

    `columns` go by the names of ModuleRow; `identities` key the modules' draws.
    """

    identities: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]
    names: list[str]
    cells: list[str]
    versions: dict[str, Coded]
    labels: dict[str, Coded] = field(default_factory=dict)


def sample(population: Population, profile: Profile, first: int, count: int, hardware: tuple[str, ...]) -> Members:
    """Draws `count` modules, numbered from `first` where they have no names, or those that are known.

    Draws are keyed by the modules' identities.
    """
    from scipy import special

    known = population.known or KnownModules(count)
    count = known.count
    numbers = identities(known.names) if known.names else np.arange(first, first + count, dtype=np.int64)
    _check_charge(known, profile)

    def unit(purpose: Purpose) -> Array:
        return draws.uniforms(profile.key_0, profile.key_1, numbers, purpose)

    def column(name: str, distribution: Distribution, purpose: Purpose) -> Array:
        numbers_given = known.numbers.get(name)
        return (
            distribution.quantile(unit(purpose))
            if numbers_given is None
            else _filled(numbers_given, name in known.sampled, distribution, lambda: unit(purpose))
        )

    revisions = _choices(
        known.hardware, "hardware" in known.sampled, population.hardware, lambda: unit(Purpose.HARDWARE)
    )
    places = np.array([hardware.index(name) for name in revisions.names], dtype=np.int64)
    dark = unit(Purpose.NEVER_ONLINE) < profile.never_online
    columns: dict[str, NDArray[Any]] = {
        "rsrp_site_dbm": column("rsrp_dbm", population.rsrp_dbm, Purpose.RSRP_SITE),
        "battery_percent": np.clip(column("battery_percent", population.battery_percent, Purpose.BATTERY), 0, 100),
        "free_bytes": column("free_space", population.free_bytes, Purpose.FREE_SPACE).astype(np.int64),
        "sinr_site_db": profile.sinr_site_sd_db * special.ndtri(unit(Purpose.SINR_SITE)),
        "gauge_offset_percent": profile.gauge_sd_percent * special.ndtri(unit(Purpose.GAUGE)),
        "frailty": _frailty(unit(Purpose.FRAILTY), profile.frailty_variance),
        "source_mismatch": (unit(Purpose.SOURCE_MISMATCH) < profile.source_mismatch).astype(np.int64),
        "phase": unit(Purpose.CHECK_IN_PHASE),
        "away_until_s": _away_until(unit(Purpose.LONG_OFFLINE), unit(Purpose.LONG_OFFLINE_RETURN), profile),
        "hardware": places[revisions.codes],
        "link": np.where(dark, LinkState.DARK, LinkState.OFFLINE),
        "cause": np.where(dark, Cause.NEVER_ONLINE, Cause.NONE),
    }
    if population.user_delay_s is not None:
        columns["user_delay_s"] = np.maximum(0.0, population.user_delay_s.quantile(unit(Purpose.USER_DELAY)))
    if population.joins_s is not None:
        columns["joins_s"] = np.maximum(0.0, population.joins_s.quantile(unit(Purpose.LATE_JOIN)))
        columns["away_until_s"] = np.maximum(columns["away_until_s"], columns["joins_s"])
    if population.leaves_s is not None:
        columns["leaves_s"] = columns["late_at"] = np.maximum(0.0, population.leaves_s.quantile(unit(Purpose.LEAVE)))
    versions = {
        name: _choices(
            known.versions.get(name), f"version {name}" in known.sampled, shares, lambda: unit(Purpose.VERSION)
        )
        for name, shares in population.versions.items()
    }
    return Members(numbers, columns, known.names or [], _cells(known), versions, dict(known.labels))


def _check_charge(known: KnownModules, profile: Profile) -> None:
    """The saw-tooth of a rechargeable battery must pass through the charge that is listed."""
    charge = known.numbers.get("battery_percent")
    if charge is None or profile.power != Power.BATTERY or profile.recharge_every_s <= 0.0:
        return
    low, high = profile.recharge_from_percent, profile.recharge_to_percent
    bad = np.flatnonzero((charge <= low) | (charge > high))
    if len(bad):
        name = known.names[bad[0]] if known.names else f"row {bad[0] + 1} of those taken"
        raise InputError(
            f"fleet file, {name}: battery_percent is {charge[bad[0]]:g}, but battery.recharge keeps the charge above down_to "
            f"({low:g}) and at most at to ({high:g}); {len(bad)} of {len(charge)} modules lie outside: widen recharge"
        )


def _filled(numbers_given: Array, from_known: bool, distribution: Distribution, unit: Callable[[], Array]) -> Array:
    """Known values; unknown ones drawn from the known, or from the group's distribution."""
    unknown = np.isnan(numbers_given)
    if not unknown.any():
        return numbers_given
    drawn = unit()
    if not from_known:
        return np.where(unknown, distribution.quantile(drawn), numbers_given)
    pool = np.sort(numbers_given[~unknown])
    return np.where(unknown, pool[np.minimum((drawn * len(pool)).astype(np.int64), len(pool) - 1)], numbers_given)


def _frailty(unit: Array, variance: float) -> Array:
    """Gamma with mean 1: some modules fail again and again."""
    if variance <= 0.0:
        return np.ones_like(unit)
    shape = 1.0 / variance
    from scipy import special

    return np.asarray(special.gammaincinv(shape, unit) / shape, dtype=np.float64)


def _away_until(unit: Array, back: Array, profile: Profile) -> Array:
    away = unit < profile.long_offline
    return np.where(away, -profile.long_offline_return_s * np.log(back), 0.0)


def _choices(
    known: Coded | None, from_known: bool, shares: tuple[tuple[str, float], ...], unit: Callable[[], Array]
) -> Coded:
    """A column of names: the known ones; unknown ones drawn from the known, or by the group's shares."""
    if known is None:
        return _drawn(shares, unit())
    unknown = known.codes < 0
    if not unknown.any():
        return Coded(known.codes.astype(np.int16), known.names)
    if from_known:
        counts = np.bincount(known.codes[~unknown], minlength=len(known.names))
        shares = tuple(zip(known.names, (counts / counts.sum()).tolist(), strict=True))
    other = _drawn(shares, unit())
    names = tuple(dict.fromkeys((*known.names, *other.names)))
    places = np.array([names.index(name) for name in other.names], dtype=np.int16)
    return Coded(np.where(unknown, places[other.codes], known.codes).astype(np.int16), names)


def _drawn(shares: tuple[tuple[str, float], ...], unit: Array) -> Coded:
    """Names drawn by their shares."""
    names = tuple(choice for choice, _ in shares)
    if len(names) == 1:
        return Coded(np.zeros(len(unit), dtype=np.int16), names)
    bounds = np.cumsum([weight for _, weight in shares])
    places = np.minimum(np.searchsorted(bounds, unit, side="right"), len(names) - 1)
    return Coded(places.astype(np.int16), names)


def _cells(known: KnownModules) -> list[str]:
    """Names of the cells, empty where there is none."""
    if known.cells is None:
        return []
    names = ("", *known.cells.names)
    return [names[code + 1] for code in known.cells.codes.tolist()]
