"""The model against published figures, and within the limits of 3GPP."""

import pytest

from benchmarks import published
from sim.module import radio

PEAK_KBIT_S = {0: 25.2, 1: 300.0, 2: 10_300.0, 3: 10_300.0, 4: 150_000.0}
"""Peak downlink: Cat NB1 as on a BC95-G, half-duplex Cat M1, Cat 1, Cat 4."""
OUTSIDE = {
    ("rate", "0", "18"), ("round_trip", "0", "1"), ("current", "0", "0"), ("current", "1", "2"), ("boot_s", "1", "0"),
}  # fmt: skip
"""Rows outside the spread of their source, each explained on docs/validation.md."""


def test_what_is_outside_a_published_spread_is_what_the_page_explains():
    """No more, and no fewer; so a change of the model shows here."""
    found = {(r["figure"], r["technology"], r["at"]) for r in published.rows() if r["within"] == "no"}
    assert found == OUTSIDE


@pytest.mark.parametrize("technology", PEAK_KBIT_S)
def test_no_rate_is_above_the_peak_of_its_category(technology):
    """At any SINR and any share of the carrier."""
    fastest = max(
        radio.radio_bit_s(technology, sinr / 2, share) for sinr in range(-40, 100) for share in (0.25, 0.6, 1.0)
    )
    assert fastest / 1000 <= PEAK_KBIT_S[technology] + 1e-6


def test_no_service_beyond_the_coupling_loss_of_the_technology():
    """NRSRP -140 dBm is 164 dB of coupling loss in band (35 dBm a carrier, 24.2 dBm a subcarrier): beyond it there is nothing."""
    for technology in range(5):
        assert radio.radio_bit_s(technology, radio.sinr_db(technology, -140.1), 0.25) == 0
