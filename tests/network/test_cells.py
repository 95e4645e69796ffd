"""The downlink of a cell: the published curve, and closed forms of equal downloads."""

from __future__ import annotations

import pytest

from sim.cloud import egress
from sim.module import radio
from sim.module.profile import Profile
from sim.module.rows import TECHNOLOGIES, ModuleRow
from sim.network import cells

NB_IOT, LTE_M = TECHNOLOGIES.index("nb-iot"), TECHNOLOGIES.index("lte-m")


def session(rsrp_dbm: float, technology: int = NB_IOT, **settings: float) -> tuple[ModuleRow, Profile]:
    """A module in a session at exactly this RSRP, on the median curve."""
    profile = Profile(technology=technology, rsrp_session_sd_db=0.0, **settings)
    row = ModuleRow(rsrp_site_dbm=rsrp_dbm)
    radio.begin_session(row, profile)
    return row, profile


@pytest.mark.parametrize(
    ("sinr_db", "share", "cell_kbit_s"), [(18.0, 0.30, 62.0), (6.0, 0.54, 21.0), (0.0, 0.80, 5.2), (-6.0, 0.91, 1.3)]
)
def test_share_and_capacity_of_an_nb_iot_carrier(sinr_db, share, cell_kbit_s):
    """Share of one download, and the carrier's total when every module has this SINR."""
    assert cells.airtime_share(NB_IOT, sinr_db, 0.07, 0.25) == pytest.approx(share)
    rate = radio.radio_bit_s(NB_IOT, sinr_db, 0.25)
    assert rate / share / 1000 == pytest.approx(cell_kbit_s, rel=0.05)


def test_a_better_signal_never_holds_the_carrier_longer():
    """The share falls with the SINR and stays constant beyond the ends of the curve."""
    shares = [cells.airtime_share(NB_IOT, s, 0.07, 0.25) for s in range(-20, 30)]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[-1]) == (0.92, 0.30)


def test_other_technologies_take_their_parameter():
    """LTE-M and LTE occupy what the parameters say, whatever the SINR."""
    assert cells.airtime_share(LTE_M, 20.0, 0.05, 0.25) == cells.airtime_share(LTE_M, -5.0, 0.05, 0.25) == 0.05
    for technology in range(LTE_M + 1, len(TECHNOLOGIES)):
        assert cells.airtime_share(technology, 10.0, 0.05, 0.4) == 0.4


@pytest.mark.parametrize("n", [1, 2, 5, 100])
def test_equal_downloads_take_n_times_share_over_limit(n):
    """n equal downloads of one cell finish n x share / limit times as late as one alone, once that exceeds 1."""
    row, profile = session(-100.0)
    share = cells.download_share(row, profile)
    shared = egress.egress(1e12, n, 2, profile.cell_airtime_limit)
    for i in range(n):
        egress.start(shared, i, cells.carrier(0, NB_IOT), share, 256 * 1024, row.goodput_bit_s, 0.0)
    alone_s = 256 * 1024 * 8 / row.goodput_bit_s
    assert egress.next_at(shared) == pytest.approx(alone_s * max(1.0, n * share / profile.cell_airtime_limit))


def test_carriers_do_not_share():
    """NB-IoT and LTE of one cell, and other cells, have air of their own; LTE-M and LTE have one carrier."""
    assert cells.carrier(-1, NB_IOT) == -1
    assert len({cells.carrier(c, t) for c in range(3) for t in (NB_IOT, LTE_M)}) == 6
    assert {cells.carrier(2, t) for t in range(LTE_M, len(TECHNOLOGIES))} == {5}


def test_air_time_of_a_metering_cell():
    """500 packages of 256 KiB at -100 dBm hold an NB-IoT carrier for about 14 hours."""
    row, profile = session(-100.0)
    seconds = 256 * 1024 * 8 / row.goodput_bit_s
    assert 500 * seconds * cells.download_share(row, profile) / 3600 == pytest.approx(14.0, abs=0.5)


def test_a_download_held_back_occupies_less():
    """Air time per byte is the same whether round trips or a serial line hold the download back."""
    free, profile = session(-100.0)
    slow, behind_uart = session(-100.0, uart_bit_s=5000.0)
    for row, settings in ((slow, behind_uart), session(-100.0, window_blocks=1.0)):
        assert row.goodput_bit_s < free.goodput_bit_s
        ratio = cells.download_share(row, settings) / cells.download_share(free, profile)
        assert ratio == pytest.approx(row.goodput_bit_s / free.goodput_bit_s)
