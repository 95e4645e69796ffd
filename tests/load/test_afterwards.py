"""What comes beside a search: more than the capacity and an outage on a running cloud, calibration, the time left, earlier searches."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from sim.cli.common import app
from sim.engines.live.live_engine import Settings
from sim.engines.live.slo import parse
from sim.errors import InputError
from sim.load.capacity import calibration
from sim.load.capacity.beyond import Overload
from sim.load.capacity.calibration import calibrated
from sim.load.capacity.findings import ramp_before_outage
from sim.load.capacity.live_probe import LiveProbe
from sim.load.capacity.outage import Outage, predicted
from sim.load.capacity.previous import changes, read
from sim.load.capacity.search import Bounds, Measurement, Point
from sim.load.capacity.simulated_probe import SimulatedProbe
from sim.load.capacity.time_needed import needed_s
from sim.load.capacity.wake_ups import KINDS
from sim.scenario.load import dump
from sim.stats.evidence import Answer
from sim.stats.predicted_and_measured import rows
from tests.live_cloud import served
from tests.support import scenario

SLO = parse("p99(wake)<2s")


# --- on a running cloud ------------------------------------------------------------------------------------------------


def test_everybody_comes_back_after_an_outage_as_predicted():
    """60 modules, a 3 s outage, no jitter: all try 1 s and 3 s after they lost it, fail, and are back 3 s later, at 6 s: 3 s after its end."""
    given = scenario("fleet.size=80", "fleet.physics.back_off_jitter_s=0", "cloud.capacity.connections_per_s=10000/s")
    outage = Outage(60, 3.2, 0.5, 30.0)
    with served(given) as cloud:
        probe = LiveProbe(given, cloud.url, KINDS["wakeups"], SLO, Settings())
        try:
            found = probe.outage(outage)
        finally:
            probe.close()
    foreseen = predicted(given, outage)
    assert (found.peak_logins_per_s, foreseen.peak_logins_per_s) == (60.0, 60.0)
    assert foreseen.all_s == pytest.approx(6.0 - 3.2, abs=0.3)
    assert found.all_s == pytest.approx(foreseen.all_s, abs=1.0)
    assert found.modules == 60


def test_an_outage_before_everybody_was_online_is_void_and_says_how_many(monkeypatch):
    monkeypatch.setattr("sim.load.capacity.outage_share.ONLINE_S", -0.5)  # cut as the first one comes
    given = scenario("fleet.size=30")
    with served(given) as cloud:
        probe = LiveProbe(given, cloud.url, KINDS["wakeups"], SLO, Settings())
        try:
            found = probe.outage(Outage(20, 0.2, 0.5, 0.5))
        finally:
            probe.close()
    assert any(text.endswith("of 20 modules were not online before the outage") for text in found.void)


@pytest.mark.parametrize(
    ("kind", "capacity", "per_s"), [("releases", 870.0, 14.5), ("wakeups", 1e6, 100.0), ("modules", 500.0, 100.0), ("releases", None, 100.0)]
)  # fmt: skip
def test_modules_come_online_no_faster_than_the_cloud_was_found_to_sustain(kind, capacity, per_s):
    assert ramp_before_outage(KINDS[kind], capacity) == pytest.approx(per_s)


def test_beyond_the_capacity_a_running_cloud_is_watched():
    """An idle cloud serves a little more than a little load at once: nobody waits, and it has recovered when the load is gone."""
    given = scenario("fleet.size=300", "fleet.groups.0.check_in={every: 24h, awake: 1s}")
    with served(given) as cloud:
        probe = LiveProbe(given, cloud.url, KINDS["wakeups"], SLO, Settings())
        try:
            found = probe.beyond(Overload(6000.0, 1.5, 2.0), 2.0)
        finally:
            probe.close()
    assert found.recovered_s == 0.0
    assert found.over_limit == 0.0
    assert found.served == pytest.approx(1.5, rel=0.25)


def test_the_simulated_cloud_recovers_as_arithmetic_says():
    """One worker of 50 ms answers twenty a second, one answer for each wake-up; half of 20 s is left over, and works off in 12.5 s less."""
    given = scenario(
        "cloud.capacity={request_workers: 1, request_time: 50ms, connections_per_s: 1000/s}",
        "fleet.groups.0.rsrp_dbm=-80",
    )
    found = SimulatedProbe(given, KINDS["wakeups"], SLO).beyond(Overload(12_000.0, 1.5, 20.0), 2.0)
    assert found.recovered_s == pytest.approx((0.5 * 20.0 - 2.0) / 0.8, abs=2.0)
    assert found.served == pytest.approx(1.0, abs=0.05)
    assert not found.collapsed


# --- calibration -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("true_ms", [5.0, 40.0])
def test_a_known_request_time_is_found_again(true_ms, monkeypatch):
    """The "real" cloud is a simulated one whose request time is not told."""
    monkeypatch.setattr(calibration, "MODULES", 60)
    given = scenario("cloud.capacity={request_workers: 1, request_time: 1ms}")
    truth = SimulatedProbe(given.with_({"cloud.capacity.request_time": f"{true_ms}ms"}), KINDS["modules"], SLO)
    found = calibrated(given, truth, SLO, radio=False, time_scale=1.0)
    assert found.request_time_s == pytest.approx(true_ms / 1000.0, rel=0.05)
    assert found.fits
    assert f"instead of {1:g} ms" in found.line()


def test_what_another_part_limits_is_no_fit(monkeypatch):
    """Connections are let in one a second: no request time makes a wave wait less than that."""
    monkeypatch.setattr(calibration, "MODULES", 30)
    given = scenario("cloud.capacity={request_workers: 1, request_time: 1ms, connections_per_s: 1/s}")
    truth = SimulatedProbe(given.with_({"cloud.capacity.connections_per_s": "1000/s"}), KINDS["modules"], SLO)
    found = calibrated(given, truth, SLO, radio=False, time_scale=1.0)
    assert not found.fits
    assert "NOT A FIT" in found.line()


# --- time, earlier searches, the table ---------------------------------------------------------------------------------


def point(load, phase, *, kept=True, hold_s=20.0):
    measured = Measurement({}, {})
    broken = () if kept else ("p99(wake)<2s",)
    return Point(load, hold_s, phase, measured, {}, 0.95, Answer.KEPT if kept else Answer.BROKEN, broken)


def test_the_time_left_gets_less_with_every_probe():
    """Doubling from 100 to 800 are three more steps at most, five bisections to 2 %, ten minutes of confirmation at most."""
    bounds = Bounds(100.0, 1.0, 800.0, 0.02, 20.0, 60.0, 600.0)
    assert needed_s(bounds) == (24.0 + 64.0, (1 + 3 + 6) * 24.0 + 600.0)
    assert needed_s(bounds, [point(100.0, "step")]) == (24.0 + 64.0, (3 + 6) * 24.0 + 600.0)
    between = [point(100.0, "step"), point(200.0, "step", kept=False)]
    assert needed_s(bounds, between) == (6 * 24.0 + 64.0, 6 * 24.0 + 600.0)
    assert needed_s(bounds, [*between, point(100.0, "confirm", hold_s=60.0)]) == (0.0, 540.0)


def searched(capacity, **changed):
    return {
        "what": "releases", "unit": "releases per minute", "taking": 0.0, "time_scale": 60.0, "radio": False,
        "slo": [{"text": "p99(wake)<2s"}], "bounds": {"precision": 0.05}, "live": {"capacity": capacity}, **changed,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (840.0, 800.0, "no difference beyond the precision of both (10 %)"), (1000.0, 800.0, "25 % more"),
        (600.0, 800.0, "25 % LESS"), (None, 800.0, "none, earlier 800"),
    ],
)  # fmt: skip
def test_an_earlier_search_is_compared_within_the_precision_of_both(now, before, words):
    assert words in changes(searched(now), searched(before))[0]


def test_searches_for_something_else_are_not_compared(tmp_path):
    assert "the SLO was p99(wake)<9s" in changes(searched(1.0), searched(1.0, slo=[{"text": "p99(wake)<9s"}]))[0]
    assert "taking was 0.5, is 0.0" in changes(searched(1.0), searched(1.0, taking=0.5))[0]
    with pytest.raises(InputError, match="not the folder of a capacity search"):
        read(tmp_path)
    (tmp_path / "capacity.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(InputError, match="not a whole file"):
        read(tmp_path)


def test_the_table_has_a_ratio_where_both_sides_are():
    found = {
        "unit": "releases per minute", "simulated": {"capacity": 110.0}, "live": {"capacity": 100.0},
        "beyond": {"simulated": {"p99_s": 2.0, "over_limit": 0.0, "served": 1.0, "recovered_s": None},
                   "live": {"p99_s": 4.0, "over_limit": 0.0, "served": 0.8, "recovered_s": 9.0}},
    }  # fmt: skip
    assert [row.ratio for row in rows(found)] == [1.1, 0.5, 1.0, 1.25, None]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--beyond", "90%"), "more than 100%"), (("--beyond", "1.5"), "more than 100%"),
        (("--beyond", "150%", "--of", "modules"), "no rate to go beyond"), (("--calibrate",), "it needs --cloud"),
        (("--outage", "3min", "--set", "cloud.kind=ddi"), "modules that poll"),
    ],
)  # fmt: skip
def test_wrong_use_is_told(options, words):
    found = CliRunner().invoke(app, ["capacity", "scenarios/quickstart.yaml", "--dry-run", *options])
    assert found.exit_code == 2
    assert words in found.output


def test_a_dry_run_counts_an_outage_with_and_without_the_wait_for_all(tmp_path):
    """500 modules at 1 a second, 5 s, 15 min of outage; then at most as long again, 30 min of the longest back-off, 30 s."""
    (tmp_path / "s.yaml").write_text(dump(scenario("fleet.size=500")))
    command = ["capacity", str(tmp_path / "s.yaml"), "--cloud", "http://127.0.0.1:9", "--dry-run"]
    alone, outage = (
        CliRunner().invoke(app, [*command, *more]).stdout.splitlines()[-2] for more in ([], ["--outage", "15min"])
    )
    assert alone == "time: 1.47 min at least, 16 min at most"
    assert outage == "time: 24.9 min at least, 1.42 h at most"
