"""Sampling a fleet: from distributions and shares, or from a file of real devices, to columns of modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from sim import draws
from sim.causes import Cause
from sim.draws import Purpose
from sim.errors import FotasimError
from sim.module.link_states import LinkState
from sim.module.profile import Profile
from sim.module.rows import TECHNOLOGIES

Array = NDArray[np.float64]


class Distribution(Protocol):
    """Whatever has an inverse distribution function."""

    def quantile(self, u: Array) -> Array:
        """Values at the probabilities `u`, same shape."""
        ...


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
    file: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)


class Coded(NamedTuple):
    """A column of names as numbers: codes of shape (n,), and the names they stand for; -1 stands for none."""

    codes: NDArray[np.int16]
    names: tuple[str, ...]


@dataclass(slots=True)
class Members:
    """The modules of one group, column by column, shape (n,) each; names and cells are empty when no file gives them.

    `columns` go by the names of ModuleRow; `numbers` are the modules' numbers in the fleet, which key their draws.
    """

    numbers: NDArray[np.int32]
    columns: dict[str, NDArray[Any]]
    names: list[str]
    cells: list[str]
    versions: dict[str, Coded]


def sample(population: Population, profile: Profile, first: int, count: int, hardware: tuple[str, ...]) -> Members:
    """Draws `count` modules numbered from `first`; every value is keyed by the module's number."""
    table = read_file(population.file, population.columns) if population.file else pd.DataFrame()
    if population.file:
        count = len(table)
    numbers = np.arange(first, first + count, dtype=np.int32)

    def unit(purpose: Purpose) -> Array:
        return draws.uniforms(profile.key_0, profile.key_1, numbers, purpose)

    def column(name: str, distribution: Distribution, purpose: Purpose) -> Array:
        if name in table:
            return table[name].to_numpy(dtype=np.float64)
        return distribution.quantile(unit(purpose))

    revisions = _choices(table, "hardware", population.hardware, lambda: unit(Purpose.HARDWARE))
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
    versions = {
        name: _choices(pd.DataFrame(), "", shares, lambda: unit(Purpose.VERSION))
        for name, shares in population.versions.items()
    }
    if "version" in table:  # of the first component
        versions[next(iter(versions))] = _choices(table, "version", (), lambda: numbers)
    names = table["module"].astype(str).tolist() if "module" in table else []
    return Members(numbers, columns, names, _cells(table), versions)


def _frailty(unit: Array, variance: float) -> Array:
    """Gamma with mean 1: some modules fail again and again."""
    if variance <= 0.0:
        return np.ones_like(unit)
    shape = 1.0 / variance
    return np.asarray(special.gammaincinv(shape, unit) / shape, dtype=np.float64)


def _away_until(unit: Array, back: Array, profile: Profile) -> Array:
    away = unit < profile.long_offline
    return np.where(away, -profile.long_offline_return_s * np.log(back), 0.0)


def _choices(
    table: pd.DataFrame, name: str, shares: tuple[tuple[str, float], ...], unit: Callable[[], NDArray[Any]]
) -> Coded:
    """A column of names: from the file where it gives one, else drawn by their shares."""
    if name in table:
        codes, found = pd.factorize(table[name].astype(str))
        return Coded(np.asarray(codes, dtype=np.int16), tuple(str(value) for value in found))
    names = tuple(choice for choice, _ in shares)
    drawn = unit()
    if len(names) == 1:
        return Coded(np.zeros(len(drawn), dtype=np.int16), names)
    bounds = np.cumsum([weight for _, weight in shares])
    places = np.minimum(np.searchsorted(bounds, drawn, side="right"), len(names) - 1)
    return Coded(places.astype(np.int16), names)


def _cells(table: pd.DataFrame) -> list[str]:
    """Names of the cells as the file writes them; an empty field is no cell."""
    return ["" if pd.isna(value) else str(value) for value in table["cell"]] if "cell" in table else []


def read_file(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Real devices from CSV or Parquet, columns renamed to ours and checked: present, finite, unique."""
    try:
        table = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise FotasimError(f"{path}: cannot be read as a fleet file: {error}") from None
    missing = [name for name in columns.values() if name not in table.columns]
    if missing:
        have = ", ".join(map(str, table.columns))
        raise FotasimError(f"{path}: column {missing[0]!r} is missing; the file has: {have}")
    table = table.rename(columns={theirs: ours for ours, theirs in columns.items()})
    for name, low, high in (
        ("rsrp_dbm", -160.0, 0.0),
        ("battery_percent", 0.0, 100.0),
        ("free_space", 0.0, inf),
    ):
        if name in table:
            _check_numbers(path, table, name, low, high)
    if "module" in table and table["module"].duplicated().any():
        row = int(np.flatnonzero(table["module"].duplicated())[0])
        raise FotasimError(f"{path}: row {row + 2}: module {table['module'].iloc[row]!r} occurs twice")
    if "technology" in table and not set(table["technology"]) <= set(TECHNOLOGIES):
        raise FotasimError(f"{path}: technology must be one of {', '.join(TECHNOLOGIES)}")
    if table.empty:
        raise FotasimError(f"{path}: holds no modules")
    return table


def _check_numbers(path: Path, table: pd.DataFrame, name: str, low: float, high: float) -> None:
    values = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(values) | (values < low) | (values > high)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise FotasimError(
            f"{path}: row {row + 2}: {name} is {str(table[name].iloc[row])!r}; a number from {low:g} to {high:g} is needed"
        )
