"""The radio against the published link table, and its metamorphic rules."""

import csv
from pathlib import Path

import pytest

from sim.module import radio

TECHNOLOGY = {"nb1": 0, "ltem": 1, "cat1bis": 2, "cat1": 3, "cat4": 4}
ROWS = [
    row
    for row in csv.DictReader(
        line for line in Path("tests/module/data/link_model_table.csv").read_text().splitlines() if line[0] != "#"
    )
    if row["tech"] in TECHNOLOGY
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['tech']}{r['rsrp_dbm']}")
def test_link_table(row):
    """Level, SINR, radio rate and TCP goodput of the table, within its rounding to three digits."""
    technology, rsrp = TECHNOLOGY[row["tech"]], float(row["rsrp_dbm"])
    level = radio.coverage_level(rsrp, -105.0, -115.0)
    sinr = radio.sinr_db(technology, rsrp)
    rate = radio.radio_bit_s(technology, sinr, 0.25)
    goodput = radio.goodput_bit_s(rate, radio._RTT_S[radio.LEVELS * technology + level], 1400, 32, 0)
    assert level == int(row["ecl"])
    assert sinr == pytest.approx(float(row["sinr_db"]), abs=0.06)
    assert rate / 1000 == pytest.approx(float(row["phy_kbps"]), rel=0.01)
    assert goodput / 1000 == pytest.approx(float(row["tcp_kbps"]), rel=0.01)


@pytest.mark.parametrize("technology", range(5))
def test_a_stronger_signal_is_never_slower(technology):
    """Monotone in RSRP."""
    rates = [radio.radio_bit_s(technology, radio.sinr_db(technology, r), 0.25) for r in range(-140, -50)]
    assert rates == sorted(rates)
