"""The model against published figures: `python -m benchmarks.published` prints the table of docs/validation.md."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path

from sim.curves import interpolate
from sim.module import radio
from sim.module.profile import Profile
from sim.network.random_access import lte_access
from tests.network.closed_loop import Figures, closed_loop, traffic_2

DATA = Path(__file__).resolve().parents[1] / "docs" / "published.csv"
PROFILE = Profile()
NAMES = ("nb-iot", "lte-m", "cat1bis", "cat1", "cat4")
RELEASED = 0.1
"""`session_energy_factor` with release assistance, as its table of parameters says."""


@cache
def random_access(thousands: float) -> Figures:
    """One cell with so many thousand modules that begin as Beta(3, 4) over ten seconds."""
    return closed_loop(traffic_2(int(1000 * thousands), 0), lte_access(PROFILE), (0, 11))


FIGURES: dict[str, Callable[[int, float], float]] = {
    "rate": lambda technology, sinr: radio.radio_bit_s(technology, sinr, PROFILE.lte_share) / 1000,
    "sinr": radio.sinr_db,
    "lte_rate": lambda technology, rsrp: (
        radio.radio_bit_s(technology, radio.sinr_db(technology, rsrp), PROFILE.lte_share) / 1000
    ),
    "efficiency": lambda _, sinr: interpolate(radio._EFFICIENCY_SINR, radio._EFFICIENCY, sinr),
    "attach": lambda technology, _: radio._ATTACH_MEDIAN_S[technology],
    "blind_scan": lambda *_: radio.SCAN_LEAST_S + radio.SCAN_SPREAD_S / 2.0,
    "access_success": lambda _, thousands: random_access(thousands).success_pct,
    "access_preambles": lambda _, thousands: random_access(thousands).transmissions,
    "access_delay_ms": lambda _, thousands: random_access(thousands).delay_ms,
    "session_released": lambda technology, level: radio.session_energy_j(technology, int(level), RELEASED),
    "round_trip": lambda technology, level: radio._RTT_S[radio.LEVELS * technology + int(level)],
    "from_idle": lambda technology, level: radio._ACCESS_S[radio.LEVELS * technology + int(level)],
    "session": lambda technology, level: radio.session_energy_j(technology, int(level), 1.0),
    "current": lambda technology, level: radio._CURRENT_MA[radio.LEVELS * technology + int(level)],
    **{
        name: lambda *_, name=name: getattr(PROFILE, name)
        for name in ("idle_ma", "edrx_ma", "sleep_ua", "mcu_flash_s_per_mb", "mcu_boot_s", "boot_s")
    },
}
"""What the model gives for a technology at a SINR, an RSRP or a coverage level."""


def rows() -> list[dict[str, str]]:
    """Each published figure with `model`, `ratio` (a difference for dB) and `within` its spread, where the source has one."""
    lines = [line for line in DATA.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    found = []
    for row in csv.DictReader(lines):
        technology, at, published = int(row["technology"]), float(row["at"]), float(row["published"])
        model = FIGURES[row["figure"]](technology, at)
        ratio = f"{model - published:+.1f} dB" if row["unit"] == "dB" else f"{model / published:.2f}"
        within = (float(row["low"]) <= model <= float(row["high"])) if row["low"] else None
        found.append(
            {**row, "model": f"{model:.4g}", "ratio": ratio, "within": {None: "", True: "yes", False: "no"}[within]}
        )
    return found


def table() -> list[tuple[str, ...]]:
    """The rows as they are printed."""
    return [
        (
            r["area"], f"{r['figure']}, {NAMES[int(r['technology'])]}, at {r['at']}", r["model"], r["published"],
            r["ratio"], f"{r['low']} to {r['high']}" if r["low"] else "", r["within"], r["unit"], r["source"],
        )
        for r in rows()
    ]  # fmt: skip


if __name__ == "__main__":
    for line in table():
        print(" | ".join(line))
