"""Sampling a fleet against values worked out by hand: quantiles, shares, what a list says, and draws keyed by identity."""

from __future__ import annotations

from dataclasses import replace
from math import e, log, sqrt

import numpy as np
import pytest

from sim.causes import Cause
from sim.draws import Purpose
from sim.errors import InputError
from sim.module import sampling
from sim.module.distributions import Distribution
from sim.module.link_states import LinkState
from sim.module.profile import Profile
from sim.module.rows import Power
from sim.module.sampling import Coded, KnownModules, Population, sample

NAN = float("nan")
GROUP = Population(
    rsrp_dbm=Distribution("uniform", -120.0, -80.0), battery_percent=Distribution("uniform", 0.0, 100.0),
    free_bytes=Distribution("uniform", 0.0, 1001.0), versions={"fw": (("1.0", 1.0),)}, hardware=(("A", 1.0),),
)  # fmt: skip
PROFILE = Profile(
    key_0=11, key_1=12, never_online=0.0, long_offline=0.0, sinr_site_sd_db=3.0, gauge_sd_percent=2.0, frailty_variance=1.0,
    source_mismatch=0.0,
)  # fmt: skip


@pytest.fixture
def units(monkeypatch):
    """Draws set by hand, by purpose; 0.5 where a test says nothing."""
    by_purpose: dict[Purpose, list[float]] = {}
    monkeypatch.setattr(
        sampling.draws, "uniforms",
        lambda k0, k1, numbers, purpose: np.array(by_purpose.get(purpose, [0.5] * len(numbers)), dtype=np.float64),
    )  # fmt: skip
    return by_purpose


def one(population: Population = GROUP, profile: Profile = PROFILE) -> dict[str, float]:
    return {name: column[0] for name, column in sample(population, profile, 0, 1, ("A",)).columns.items()}


def test_everything_at_its_median(units):
    """Half-way between bounds; whole bytes; normal offsets of nothing; a frailty of ln 2, the median of an exponential."""
    row = one()
    assert (row["rsrp_site_dbm"], row["battery_percent"], row["free_bytes"], row["phase"]) == (-100.0, 50.0, 500, 0.5)
    assert (row["sinr_site_db"], row["gauge_offset_percent"]) == (0.0, 0.0)
    assert row["frailty"] == pytest.approx(log(2.0))
    assert (row["link"], row["cause"], row["away_until_s"], row["source_mismatch"]) == (
        LinkState.OFFLINE,
        Cause.NONE,
        0.0,
        0,
    )
    assert "user_delay_s" not in row and "joins_s" not in row


def test_one_standard_deviation_above(units):
    """Phi(1) = 0.841345: three decibels of the site, two per cent of the gauge."""
    units[Purpose.SINR_SITE] = units[Purpose.GAUGE] = [0.8413447460685429]
    row = one()
    assert row["sinr_site_db"] == pytest.approx(3.0)
    assert row["gauge_offset_percent"] == pytest.approx(2.0)


def test_without_variance_nobody_is_frail(units):
    units[Purpose.FRAILTY] = [0.999]
    assert one(profile=replace(PROFILE, frailty_variance=0.0))["frailty"] == 1.0


@pytest.mark.parametrize(("unit", "dark"), [(0.0999, True), (0.1, False)])
def test_a_module_is_never_online_when_its_draw_is_below_the_chance(units, unit, dark):
    units[Purpose.NEVER_ONLINE] = [unit]
    row = one(profile=replace(PROFILE, never_online=0.1))
    assert (row["link"] == LinkState.DARK, row["cause"] == Cause.NEVER_ONLINE) == (dark, dark)


@pytest.mark.parametrize(("unit", "away_s"), [(0.19, 1000.0), (0.2, 0.0)])
def test_who_is_long_away_comes_back_after_an_exponential_time(units, unit, away_s):
    """-1,000 s times ln(1/e) is 1,000 s."""
    units[Purpose.LONG_OFFLINE], units[Purpose.LONG_OFFLINE_RETURN] = [unit], [1.0 / e]
    row = one(profile=replace(PROFILE, long_offline=0.2, long_offline_return_s=1000.0))
    assert row["away_until_s"] == pytest.approx(away_s)


@pytest.mark.parametrize(("joins_s", "away_s"), [(400.0, 1000.0), (5000.0, 5000.0), (-7.0, 1000.0)])
def test_a_late_module_is_away_until_it_joins_and_never_joins_before_the_start(units, joins_s, away_s):
    units[Purpose.LONG_OFFLINE], units[Purpose.LONG_OFFLINE_RETURN] = [0.0], [1.0 / e]
    late = replace(GROUP, joins_s=Distribution("constant", joins_s))
    row = one(late, replace(PROFILE, long_offline=0.2, long_offline_return_s=1000.0))
    assert row["joins_s"] == max(0.0, joins_s) and row["away_until_s"] == pytest.approx(away_s)


@pytest.mark.parametrize(("drawn_s", "thinks_s"), [(90.0, 90.0), (-5.0, 0.0)])
def test_a_user_thinks_no_negative_time(units, drawn_s, thinks_s):
    assert one(replace(GROUP, user_delay_s=Distribution("constant", drawn_s)))["user_delay_s"] == thinks_s


@pytest.mark.parametrize(("drawn", "charge"), [(130.0, 100.0), (-4.0, 0.0), (62.5, 62.5)])
def test_a_charge_lies_between_empty_and_full(units, drawn, charge):
    assert one(replace(GROUP, battery_percent=Distribution("constant", drawn)))["battery_percent"] == charge


def test_shares_cut_the_unit_interval_in_their_order(units):
    """A quarter, a half, a quarter; each bound belongs to the one above it."""
    units[Purpose.VERSION] = [0.0, 0.2499, 0.25, 0.7499, 0.75, 0.9999]
    shares = {"fw": (("a", 0.25), ("b", 0.5), ("c", 0.25))}
    versions = sample(replace(GROUP, versions=shares), PROFILE, 0, 6, ("A",)).versions["fw"]
    assert [versions.names[code] for code in versions.codes] == ["a", "a", "b", "b", "c", "c"]


def test_shares_that_add_to_a_little_less_than_one_leave_nobody_out(units):
    units[Purpose.VERSION] = [0.99999999]
    versions = sample(replace(GROUP, versions={"fw": (("a", 0.5), ("b", 0.4999999))}), PROFILE, 0, 1, ("A",)).versions[
        "fw"
    ]
    assert versions.names[versions.codes[0]] == "b"


def test_hardware_counts_by_the_places_of_the_whole_fleet(units):
    """The group has B and A, the fleet lists A, C, B: B is number 2."""
    units[Purpose.HARDWARE] = [0.1, 0.9]
    columns = sample(replace(GROUP, hardware=(("B", 0.5), ("A", 0.5))), PROFILE, 0, 2, ("A", "C", "B")).columns
    assert columns["hardware"].tolist() == [2, 0]


def test_unknown_values_come_from_the_group_or_from_what_is_known(units):
    """Two of five known, -110 and -90: of a sampled column the unknown take one of these by halves."""
    units[Purpose.RSRP_SITE] = [0.25, 0.25, 0.49, 0.5, 0.999]
    rsrp = np.array([-90.0, -110.0, NAN, NAN, NAN])
    known = KnownModules(5, numbers={"rsrp_dbm": rsrp})
    by_group = sample(replace(GROUP, known=known), PROFILE, 0, 0, ("A",)).columns["rsrp_site_dbm"]
    assert by_group == pytest.approx([-90.0, -110.0, -100.4, -100.0, -80.04])
    sampled = replace(GROUP, known=replace(known, sampled=frozenset({"rsrp_dbm"})))
    assert sample(sampled, PROFILE, 0, 0, ("A",)).columns["rsrp_site_dbm"].tolist() == [
        -90.0,
        -110.0,
        -110.0,
        -90.0,
        -90.0,
    ]


def test_unknown_names_come_from_the_group_or_from_what_is_known(units):
    """x, x, y known: two thirds x. Of the group's shares the first is z, which the list does not have."""
    units[Purpose.VERSION] = [0.0, 0.0, 0.0, 0.66, 0.67]
    listed = KnownModules(5, versions={"fw": Coded(np.array([0, 0, 1, -1, -1]), ("x", "y"))})
    group = replace(GROUP, versions={"fw": (("z", 0.66), ("y", 0.34))}, known=listed)
    of_group = sample(group, PROFILE, 0, 0, ("A",)).versions["fw"]
    assert [of_group.names[code] for code in of_group.codes] == ["x", "x", "y", "y", "y"]
    sampled = replace(group, known=replace(listed, sampled=frozenset({"version fw"})))
    of_list = sample(sampled, PROFILE, 0, 0, ("A",)).versions["fw"]
    assert [of_list.names[code] for code in of_list.codes] == ["x", "x", "y", "x", "y"]


def test_cells_without_a_name_are_no_cell():
    known = KnownModules(3, cells=Coded(np.array([1, -1, 0]), ("north", "south")))
    assert sample(replace(GROUP, known=known), PROFILE, 0, 0, ("A",)).cells == ["south", "", "north"]


@pytest.mark.parametrize(("charge", "fits"), [(20.0, False), (20.1, True), (90.0, True), (90.1, False)])
def test_a_listed_charge_lies_on_the_saw_tooth_of_its_battery(charge, fits):
    profile = replace(
        PROFILE, power=Power.BATTERY, recharge_every_s=86400.0, recharge_from_percent=20.0, recharge_to_percent=90.0
    )
    known = KnownModules(2, names=["m1", "m2"], numbers={"battery_percent": np.array([50.0, charge])})
    if fits:
        assert sample(replace(GROUP, known=known), profile, 0, 0, ("A",)).columns["battery_percent"][1] == charge
        return
    with pytest.raises(InputError, match=rf"m2: battery_percent is {charge:g}.*1 of 2 modules lie outside"):
        sample(replace(GROUP, known=known), profile, 0, 0, ("A",))


MIXED = replace(
    GROUP, versions={"fw": (("a", 0.3), ("b", 0.7))}, hardware=(("A", 0.6), ("B", 0.4)),
    user_delay_s=Distribution("lognormal", 100.0, 1.0), joins_s=Distribution("uniform", 0.0, 9.0),
)  # fmt: skip
RICH = replace(PROFILE, never_online=0.2, long_offline=0.3, long_offline_return_s=500.0, source_mismatch=0.1)


def test_a_module_is_the_same_in_whatever_block_it_is_drawn():
    """Numbers 7 to 11, drawn by themselves or among twenty: every column is equal, so nothing depends on order or size."""
    alone, among = sample(MIXED, RICH, 7, 5, ("A", "B")), sample(MIXED, RICH, 0, 20, ("A", "B"))
    assert alone.identities.tolist() == [7, 8, 9, 10, 11]
    for name, column in alone.columns.items():
        assert column.tolist() == among.columns[name][7:12].tolist(), name
    assert alone.versions["fw"].codes.tolist() == among.versions["fw"].codes[7:12].tolist()


def test_a_named_module_is_the_same_wherever_its_list_has_it():
    names = [f"IMEI{number:04d}" for number in range(50)]
    there = sample(replace(MIXED, known=KnownModules(50, names=names)), RICH, 0, 0, ("A", "B"))
    back = sample(replace(MIXED, known=KnownModules(50, names=names[::-1])), RICH, 0, 0, ("A", "B"))
    for name, column in there.columns.items():
        assert column.tolist() == back.columns[name][::-1].tolist(), name


def test_other_keys_give_another_fleet():
    one_key, other = sample(MIXED, RICH, 0, 200, ("A", "B")), sample(MIXED, replace(RICH, key_1=13), 0, 200, ("A", "B"))
    assert not set(one_key.columns["phase"].tolist()) & set(other.columns["phase"].tolist())


def test_shares_and_moments_of_a_large_fleet():
    """Twenty thousand: each share and mean within four standard deviations of what was asked for; purposes are independent."""
    count = 20_000
    columns, versions = (found := sample(MIXED, RICH, 0, count, ("A", "B"))).columns, found.versions["fw"]
    for share, expected in (
        ((versions.codes == 0).mean(), 0.3), ((columns["hardware"] == 0).mean(), 0.6),
        ((columns["link"] == LinkState.DARK).mean(), 0.2), (columns["source_mismatch"].mean(), 0.1),
        (((versions.codes == 0) & (columns["hardware"] == 0)).mean(), 0.18),
    ):  # fmt: skip
        assert abs(share - expected) < 4 * sqrt(expected * (1 - expected) / count)
    assert abs(columns["frailty"].mean() - 1.0) < 4 / sqrt(count)
    assert abs(np.median(columns["user_delay_s"]) - 100.0) < 4 * 100.0 * sqrt(np.pi / 2) / sqrt(count)
