"""Check-ins, trips and windows keep their local clock times when the clocks change, in the zone of the plan, group or module."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest
import yaml

from sim.scenario import Scenario
from sim.scenario.clocks import local_clock
from sim.scenario.windows import windows
from sim.scenario.zones import zone_of
from tests.support import HARMLESS, run, scenario

QUIET = (
    *HARMLESS,
    "fleet.groups.0.rsrp_dbm=-85",
    "fleet.groups.0.free_space=10 MB",
    "fleet.groups.0.battery_percent=90",
)
SPRING, AUTUMN = "2026-03-28T12:00", "2026-10-24T12:00"
DAILY = "fleet.groups.0.check_in={every: 24h, at: '03:30'}"
HOUR = 3600.0


def contacts(*overrides: str, engine: str = "simpy") -> pd.Series:
    """When modules that are offered nothing before the clocks change are first notified, seconds after activation."""
    found = run(
        *QUIET, "fleet.size=20", "horizon=4d", "plan.strategy.schedule.time_zone=Europe/Berlin", *overrides, engine=engine
    )  # fmt: skip
    return found.records.modules["notified_s"]


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize(
    ("start", "first_h", "second_h"), [(SPRING, 14.5, 38.5), (AUTUMN, 16.5, 40.5), ("2026-06-01T12:00", 15.5, 39.5)]
)
def test_check_ins_at_a_time_of_day_follow_the_clocks(start, first_h, second_h, engine):
    """03:30 in Berlin comes an hour earlier after the night of spring, an hour later after that of autumn."""
    schedule = f"plan.strategy.schedule.start_time={start}"
    assert contacts(DAILY, schedule, engine=engine).to_numpy() == pytest.approx(first_h * HOUR, abs=30)
    waits = "plan.strategy.rollout.groups=[{start_time: 18h}]"
    assert contacts(DAILY, schedule, waits, engine=engine).to_numpy() == pytest.approx(second_h * HOUR, abs=30)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_trips_follow_the_clocks(engine):
    """A trip at 08:00 begins at eight on the morning after the change too."""
    trip = "fleet.groups.0.check_in={diurnal: {peaks: ['08:00'], spread: 0s, online: 1h, probability: 1}}"
    found = contacts(trip, f"plan.strategy.schedule.start_time={AUTUMN}", "fleet.groups.0.power=vehicle", engine=engine)
    assert found.to_numpy() == pytest.approx(21 * HOUR, abs=30)


@pytest.mark.parametrize(
    ("zone", "first_h"), [("Europe/Berlin", 15.5), ("Asia/Kolkata", 12.0), ("+00:00", 17.5), ("America/New_York", 21.5)]
)
def test_a_group_has_a_zone_of_its_own(zone, first_h):
    """03:30 in the group's zone, counted from noon in Berlin in June."""
    found = contacts(DAILY, "plan.strategy.schedule.start_time=2026-06-01T12:00", f"fleet.groups.0.time_zone={zone}")
    assert found.to_numpy() == pytest.approx(first_h * HOUR, abs=30)


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_module_has_a_zone_of_its_own(tmp_path, engine):
    """Each device of a fleet file checks in at 03:30 by its own clock."""
    zones = ["Europe/Berlin", "Asia/Tokyo", "America/New_York", "Europe/London", "Australia/Sydney", "UTC"]
    file = tmp_path / "fleet.csv"
    pd.DataFrame({"imei": [f"d{i}" for i in range(6)], "tz": zones}).to_csv(file, index=False)
    found = run(
        *QUIET, "fleet.size=0", "horizon=2d", "plan.strategy.schedule.time_zone=Europe/Berlin", DAILY,
        "plan.strategy.schedule.start_time=2026-06-01T12:00", "fleet.groups.0.share=null", f"fleet.groups.0.file={file}",
        "fleet.groups.0.columns={module: imei, time_zone: tz}", engine=engine,
    ).records.modules  # fmt: skip
    assert found["notified_s"].to_numpy() / HOUR == pytest.approx([15.5, 8.5, 21.5, 16.5, 7.5, 17.5], abs=0.01)


def test_a_zone_shifted_with_its_start_is_the_same_run():
    """The same local times twelve zones on: the same run, to the last number."""
    one, other = (
        run(*QUIET, "fleet.size=100", f"plan.strategy.schedule.time_zone={zone}", "fleet.groups.0.check_in={every: 1d, at: '03:00', spread: 1h}",
            "plan.strategy.schedule.maintenance_windows=[{start: '02:00', duration: 3h}]").records.modules
        for zone in ("+01:00", "-11:00")
    )  # fmt: skip
    pd.testing.assert_frame_equal(one, other)


def openings(cron: str, start: str) -> list[float]:
    """Hours after the start at which windows open."""
    asked = scenario(
        f"plan.strategy.schedule={{start_time: {start}, time_zone: Europe/Berlin, maintenance_windows: [{{cron: '{cron}', duration: 10min}}]}}"
    )  # fmt: skip
    return [round(opens / HOUR, 2) for opens, _ in windows(asked.plan.strategy.schedule, 8 * HOUR)]


def test_cron_in_the_nights_the_clocks_change():
    """Every hour means each real hour; a fixed time comes once, and at the end of the gap where it is skipped."""
    assert openings("0 * * * *", "2026-10-25T00:30") == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    assert openings("0 * * * *", "2026-03-29T00:30") == [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    assert openings("30 2 * * *", "2026-10-25T00:30") == [2.0]
    assert openings("30 2 * * *", "2026-03-29T00:30") == [1.5]


def test_changes_of_a_zone():
    """Two years of Berlin: four changes to the second; a fixed offset has none."""
    start = datetime(2026, 1, 1, tzinfo=zone_of("Europe/Berlin"))
    found = local_clock(zone_of("Europe/Berlin"), start, 2 * 365 * 86400.0)
    assert [shift for _, shift in found.changes] == [3600.0, 0.0, 3600.0, 0.0]
    assert found.changes[0][0] == (datetime(2026, 3, 29, 1, tzinfo=zone_of("UTC")) - start).total_seconds()
    assert local_clock(zone_of("+05:30"), start, 1e7) == (4.5 * HOUR, ())


@pytest.mark.parametrize(
    "text", ["17:30", "1:00:00", "no", "on", "0123", "1_000", "1e+3", "2026-01-05", "~", ".5", "0x1F"]
)
def test_texts_are_written_so_that_every_reader_reads_them(text):
    """Clock times and other texts that YAML 1.1 takes for numbers stand in quotes; PyYAML is such a reader."""
    asked = scenario("fleet.groups.0.check_in={diurnal: {peaks: ['08:00', '17:30']}}", f"description='{text}'")
    written = asked.to_yaml()
    read = yaml.safe_load(written)
    assert read["description"] == text
    assert read["fleet"]["groups"][0]["check_in"]["peaks"] == ["08:00", "17:30"]
    assert Scenario.from_text(written) == asked
