"""Sampling a fleet: from distributions and shares, or from a file of real devices, to rows of modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from sim import draws
from sim.draws import Purpose
from sim.errors import FotasimError
from sim.module.profile import Profile
from sim.module.rows import ALWAYS, C_NEVER_ONLINE, DARK, NONE, OFFLINE, TECHNOLOGIES, ModuleRow

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
    user_delay_s: Distribution
    versions: dict[str, tuple[tuple[str, float], ...]]
    hardware: tuple[tuple[str, float], ...]
    joins_s: Distribution | None = None
    file: Path | None = None
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Members:
    """The modules of a group, column by column; names and cells are empty when the file (if any) does not give them."""

    rows: list[ModuleRow]
    names: list[str]
    cells: list[str]
    versions: list[dict[str, str]]
    hardware: list[str]


def sample(
    population: Population, profile: Profile, group: int, first: int, count: int, hardware: tuple[str, ...]
) -> Members:
    """Draws `count` modules numbered from `first`; every value is keyed by the module's number."""
    table = read_file(population.file, population.columns) if population.file else pd.DataFrame()
    if population.file:
        count = len(table)
    numbers = np.arange(first, first + count, dtype=np.int64)

    def unit(purpose: Purpose) -> Array:
        return draws.uniforms(profile.key_0, profile.key_1, numbers, purpose)

    def column(name: str, distribution: Distribution, purpose: Purpose) -> Array:
        if name in table:
            return table[name].to_numpy(dtype=np.float64)
        return distribution.quantile(unit(purpose))

    revisions = _choices(table, "hardware", population.hardware, unit(Purpose.HARDWARE))
    versions = _versions(table, population.versions, unit(Purpose.VERSION))
    values = {
        "rsrp_site_dbm": column("rsrp_dbm", population.rsrp_dbm, Purpose.RSRP_SITE),
        "battery_percent": np.clip(column("battery_percent", population.battery_percent, Purpose.BATTERY), 0, 100),
        "free_bytes": column("free_space", population.free_bytes, Purpose.FREE_SPACE).astype(np.int64),
        "user_delay_s": np.maximum(0.0, population.user_delay_s.quantile(unit(Purpose.USER_DELAY))),
        "sinr_site_db": profile.sinr_site_sd_db * special.ndtri(unit(Purpose.SINR_SITE)),
        "gauge_offset_percent": profile.gauge_sd_percent * special.ndtri(unit(Purpose.GAUGE)),
        "frailty": _frailty(unit(Purpose.FRAILTY), profile.frailty_variance),
        "source_mismatch": (unit(Purpose.SOURCE_MISMATCH) < profile.source_mismatch).astype(np.int64),
        "phase": unit(Purpose.CHECK_IN_PHASE),
        "away_until_s": _away_until(unit(Purpose.LONG_OFFLINE), unit(Purpose.LONG_OFFLINE_RETURN), profile),
        "hardware": np.array([hardware.index(name) for name in revisions], dtype=np.int64),
    }
    if population.joins_s is not None:
        values["joins_s"] = np.maximum(0.0, population.joins_s.quantile(unit(Purpose.LATE_JOIN)))
        values["away_until_s"] = np.maximum(values["away_until_s"], values["joins_s"])
    dark = unit(Purpose.NEVER_ONLINE) < profile.never_online
    columns = {name: array.tolist() for name, array in values.items()}
    rows = [
        ModuleRow(index=first + i, group=group, **{name: column[i] for name, column in columns.items()})
        for i in range(count)
    ]
    for row in (rows[i] for i in np.flatnonzero(dark)):
        row.link, row.cause = DARK, C_NEVER_ONLINE
    names = table["module"].astype(str).tolist() if "module" in table else []
    return Members(rows, names, _cells(table), versions, revisions)


def _frailty(unit: Array, variance: float) -> Array:
    """Gamma with mean 1: some modules fail again and again."""
    if variance <= 0.0:
        return np.ones_like(unit)
    shape = 1.0 / variance
    return np.asarray(special.gammaincinv(shape, unit) / shape, dtype=np.float64)


def _away_until(unit: Array, back: Array, profile: Profile) -> Array:
    away = unit < profile.long_offline
    return np.where(away, -profile.long_offline_return_s * np.log(back), 0.0)


def _choices(table: pd.DataFrame, name: str, shares: tuple[tuple[str, float], ...], unit: Array) -> list[str]:
    if name in table:
        return [str(value) for value in table[name]]
    names = [choice for choice, _ in shares]
    bounds = np.cumsum([weight for _, weight in shares])
    picked = np.minimum(np.searchsorted(bounds, unit, side="right"), len(names) - 1)
    return [names[i] for i in picked]


def _cells(table: pd.DataFrame) -> list[str]:
    """Names of the cells as the file writes them; an empty field is no cell."""
    return ["" if pd.isna(value) else str(value) for value in table["cell"]] if "cell" in table else []


def _versions(
    table: pd.DataFrame, versions: dict[str, tuple[tuple[str, float], ...]], unit: Array
) -> list[dict[str, str]]:
    """One dict per module; a `version` column of a fleet file is the version of the first component."""
    picked = {component: _choices(pd.DataFrame(), "", shares, unit) for component, shares in versions.items()}
    if "version" in table:
        picked[next(iter(versions))] = [str(value) for value in table["version"]]
    return [{component: column[i] for component, column in picked.items()} for i in range(len(unit))]


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
