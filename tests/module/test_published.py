"""The model against published figures, and within the limits of 3GPP."""

import pytest

from benchmarks import published
from sim.module import radio
from sim.module.profile import Profile
from sim.module.rows import ModuleRow

PEAK_KBIT_S = {0: 25.2, 1: 300.0, 2: 10_300.0, 3: 10_300.0, 4: 150_000.0}
"""Peak downlink: Cat NB1 as on a BC95-G, half-duplex Cat M1, Cat 1, Cat 4."""
OUTSIDE = {
    ("rate", "0", "18"), ("round_trip", "0", "1"), ("current", "0", "0"), ("current", "1", "2"), ("boot_s", "1", "0"),
    ("session", "0", "0"), ("session_released", "0", "0"),
}  # fmt: skip
"""Rows outside the spread of their source, each explained on docs/validation.md."""


def test_what_is_outside_a_published_spread_is_what_the_page_explains():
    """No more, and no fewer; so a change of the model shows here."""
    found = {(r["figure"], r["technology"], r["at"]) for r in published.rows() if r["within"] == "no"}
    assert found == OUTSIDE


@pytest.mark.parametrize("technology", PEAK_KBIT_S)
@pytest.mark.parametrize("factor", [1.0, 1.25, 100.0])
def test_no_download_passes_the_peak_of_its_category(technology, factor):
    """Whatever `goodput_factor` is; below the peak it multiplies."""
    profile = Profile(technology=technology, goodput_factor=factor, lte_share=1.0, window_blocks=1000.0)
    row = ModuleRow(rsrp_site_dbm=-60.0)
    radio.begin_session(row, profile)
    rate = radio.radio_bit_s(technology, row.sinr_db, 1.0)
    assert row.goodput_bit_s * 1460 / 1400 == pytest.approx(min(factor * rate, 1000 * PEAK_KBIT_S[technology]))


@pytest.mark.parametrize("technology", PEAK_KBIT_S)
def test_no_rate_is_above_the_peak_of_its_category(technology):
    """At any SINR and any share of the carrier."""
    fastest = max(
        radio.radio_bit_s(technology, sinr / 2, share) for sinr in range(-40, 100) for share in (0.25, 0.6, 1.0)
    )
    assert fastest / 1000 <= PEAK_KBIT_S[technology] + 1e-6


def test_nb_iot_reaches_eight_db_beyond_lte_m():
    """164 dB of coupling loss against 156 (CE mode A): served down to about -140 and -132 dBm."""
    weakest = {
        technology: min(
            rsrp / 10 for rsrp in range(-1450, -1000)
            if radio.radio_bit_s(technology, radio.sinr_db(technology, rsrp / 10), 0.25) > 0
        )
        for technology in (radio.NB_IOT, radio.LTE_M)
    }  # fmt: skip
    assert weakest[radio.NB_IOT] == pytest.approx(-139.5, abs=0.2)
    assert weakest[radio.LTE_M] - weakest[radio.NB_IOT] == pytest.approx(8.0, abs=0.2)


def test_no_service_beyond_the_coupling_loss_of_the_technology():
    """NRSRP -140 dBm is 164 dB of coupling loss in band (35 dBm a carrier, 24.2 dBm a subcarrier): beyond it there is nothing."""
    for technology in range(5):
        assert radio.radio_bit_s(technology, radio.sinr_db(technology, -140.1), 0.25) == 0
