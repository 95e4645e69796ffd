"""The model against published figures: `python -m benchmarks.published` prints the table of docs/validation.md."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from sim.module import radio
from sim.module.profile import Profile

DATA = Path(__file__).resolve().parents[1] / "docs" / "published.csv"
PROFILE = Profile()
NAMES = ("nb-iot", "lte-m", "cat1bis", "cat1", "cat4")
FIGURES: dict[str, Callable[[int, float], float]] = {
    "rate": lambda technology, sinr: radio.radio_bit_s(technology, sinr, PROFILE.lte_share) / 1000,
    "sinr": radio.sinr_db,
    "lte_rate": lambda technology, rsrp: (
        radio.radio_bit_s(technology, radio.sinr_db(technology, rsrp), PROFILE.lte_share) / 1000
    ),
    "round_trip": lambda technology, level: radio._RTT_S[radio.LEVELS * technology + int(level)],
    "from_idle": lambda technology, level: radio._ACCESS_S[radio.LEVELS * technology + int(level)],
    "session": lambda technology, level: radio.session_energy_j(technology, int(level), 1.0),
    "current": lambda technology, level: radio._CURRENT_MA[radio.LEVELS * technology + int(level)],
    **{
        name: lambda *_, name=name: getattr(PROFILE, name)
        for name in ("idle_ma", "sleep_ua", "mcu_flash_s_per_mb", "mcu_boot_s", "boot_s")
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
