"""What may not be meant: refused where it could mean two things, told where it is allowed."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import units
from sim.engines.world.build import build
from sim.errors import InputError, ScenarioError, StudyError
from sim.metrics import METRICS
from sim.scenario.doubts import doubts
from sim.scenario.load import check
from sim.study.axes import parse_axis
from tests.support import BASE, scenario

MAINS = "fleet.groups.0.power=mains"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("horizon=14", "14s, 14min, 14h or 14d"), ("horizon=14.0", "write the unit: 14s"), ("horizon='14'", "write the unit"),
        ("horizon=86400", "could be seconds, minutes, hours or days"), ("horizon=1e6", "write the unit"),
        ("plan.components.0.size=1.2", "or 1.2 MB"), ("plan.components.0.size='1.2'", "or 1.2 MB"),
        ("plan.components.0.size=2.0", "2 B, 2 kB or 2 MB"), ("plan.components.0.size=14", "or 14 MB"),
        ("plan.components.0.size=1200.5", "1200.5 bytes cannot be"),
        ("plan.strategy.retry.retry_interval=5", "5s, 5min, 5h or 5d"), ("plan.strategy.timeouts.in_progress=60.0", "60min"),
        ("plan.strategy.preconditions.needed_space=2", "'package' or 'none'"), ("plan.user_delay=4", "4h"),
        ("plan.user_delay={distribution: uniform, low: 0, high: 4}", "4h"),
        ("fleet.groups.0.free_space={distribution: lognormal, median: 4, sigma: 0.6}", "or 4 MB"),
        ("fleet.groups.0.check_in={poisson: 6}", "6h"), ("fleet.groups.0.check_in={every: 24}", "24h"),
        ("fleet.groups.0.battery.capacity=9.36", "9.36 Wh"), ("cloud.capacity.egress=100", "100 Mbit/s"),
        ("cloud.capacity.request_time=0.04", "could be seconds"), ("cloud.keepalive=2", "2min"),
        ("plan.strategy.preconditions.min_battery_percent=0.3", "write 30 for 30 %"),
        ("gates={success_rate: '>= 85'}", 'write ">= 0.85"'), ("gates={bricked: '<= 1'}", "every result meets"),
        ("gates={bricked: {limit: '<= 1e-3', by: colour}}", "hardware"), ("gates={duration_p95: '<= 7'}", "needs a unit"),
    ],
)  # fmt: skip
def test_what_could_mean_two_things_is_refused(override, says):
    """With what would be right."""
    with pytest.raises(ScenarioError) as error:
        scenario(override)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "override",
    ["plan.strategy.rollout.groups=[{percent: 10}, {start_at: 2026-01-06T00:00}]", "horizon=14d", "horizon=600s", "cloud.capacity.connections_per_s=400", "fleet.physics.install_median_s=20", "plan.strategy.retry.retry_interval=0", "plan.components.0.size=1.2 MB", "plan.components.0.size=120000",
     "plan.strategy.preconditions.min_battery_percent=0", "plan.strategy.preconditions.min_battery_percent=1",
     "gates={success_rate: '>= 85 %'}", "gates={bricked: {limit: '<= 1e-3', by: hardware}}"],
)  # fmt: skip
def test_what_is_clear_is_taken(override):
    """And gives no warning, and comes back from its own YAML."""
    from sim.scenario import Scenario

    taken = scenario(override)
    assert [line for line in doubts(taken) if not line.startswith("gates.")] == []
    assert Scenario.from_text(taken.to_yaml()) == taken


SERIAL = ("fleet.physics.uart_bit_s=100000", "plan.components.0.size=1 MB")
"""80 kbit/s of payload: 100 s for the package."""


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["plan.components.0.target_version='1.0.0'"], "runs 1.0.0 already"),
        (["plan.components.0.target_version='0.9.10'"], "0.9.10 is older than 1.0.0"),
        (["fleet.groups.0.components={fw: {'1.0.0': 0.5, '1.10': 0.5}}", "plan.components.0.target_version='1.9'"], "older than 1.10"),
        ([MAINS, "fleet.groups.0.battery_percent=50"], "mains power, so its battery does not count"),
        (["plan.strategy.rollout.groups=[{percent: 10, success_threshold_percent: 0}, {start_at: 2026-01-04T23:00}]"],
         "groups.1.start_at: it is before the activation, 2026-01-05 00:00"),
        (["horizon=7d", "plan.strategy.rollout.groups=[{percent: 10}, {name: rest, start_at: 2026-01-12T00:00}]"],
         "group rest opens 7 d after the activation"),
        (["horizon=7d", "plan.strategy.rollout.groups=[{percent: 10}, {start_time: 8d}]"], "groups.1.start_time: group 2 opens 8 d"),
        (["fleet.ordinary_day=true", "plan.blacklist=[m0000003]"], "leave out are not in the run and add no load"),
        (["cloud.kind=ddi"], "plan.strategy: delivery.need_push, delivery.push_interval, preconditions.checked_by, retry.number_of_retries have no"),
        (["cloud.kind=ddi", "plan.strategy.preset=hawkbit", "plan.strategy.preconditions.on_unmet=reject"], "preconditions.on_unmet has no effect"),
        (["cloud.kind=ddi", "fleet.groups.0.failures.message_loss_lte=0.02", "fleet.physics.nat_timeout_s=60"],
         "fleet: message_loss_lte, nat_timeout_s: without effect"),
        ([*SERIAL, "plan.strategy.timeouts.step.download=60s"], "timeouts.step.download: the cloud gives up after 60 s"),
        ([*SERIAL, "plan.strategy.timeouts.in_progress=80s"], "download takes 100 s at least"),
        (["gates={pending: '<= 0.1'}"], "use not_reached"), (["gates={bricked: '<= 1e-3'}"], "of all modules in the plan"),
    ],
)  # fmt: skip
def test_what_is_allowed_is_told(overrides, says):
    """In one line with the key and the cure."""
    (line, *_) = [text for text in doubts(scenario(*overrides)) if says in text]
    assert line.split(":")[0].split(".")[0] in ("plan", "fleet", "gates")


def test_lists_that_leave_nobody_are_wrong_input():
    """Not a failed run."""
    with pytest.raises(InputError, match="nobody to upgrade"):
        build(scenario("plan.whitelist=['nobody-*']"))


@pytest.mark.parametrize("name", sorted(p.name for p in Path("scenarios").glob("*.yaml")))
def test_ready_scenarios_give_no_warning(name):
    """What we ship uses names that never meant anything else."""
    from sim.scenario import Scenario

    assert doubts(Scenario.load(f"scenarios/{name}")) == []


@pytest.mark.parametrize(("old", "clear"), [(m.name, m.clear) for m in METRICS.values() if m.clear])
def test_a_clear_name_is_the_same_figure(old, clear):
    """Of the same counts, without a word about the past; the old name tells of it."""
    assert METRICS[clear] == replace(METRICS[old], name=clear, before="", clear="")
    assert f"write {clear}" in doubts(scenario(f"gates={{{old}: '>= 0.1'}}"))[0] and not doubts(
        scenario(f"gates={{{clear}: '>= 0.1'}}")
    )


@pytest.mark.parametrize("kind", ["duration", "size", "bit rate", "rate", "energy"])
@given(st.floats(0.0, 1e15, allow_subnormal=True))
def test_a_quantity_written_with_its_unit_reads_back_exactly(kind, value):
    """Whatever the number, and it passes for a person's writing."""
    value = round(value) if kind == "size" else value
    text = units.exact(kind, value)
    units.check_unit(kind, text)
    assert units.READ[kind](text) == value


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("duration", 14 * 86400.0, "14d"), ("duration", 5400.0, "1.5h"), ("duration", 0.04, "40ms"), ("duration", 0.0, "0s"),
        ("size", 1_200_000, "1.2 MB"), ("size", 1_234_567, "1234567 B"), ("bit rate", 1e9, "1 Gbit/s"),
        ("energy", 9.36 * 3600, "9.36 Wh"), ("rate", 500.0, "500/s"), ("duration", 1 / 3, "0.3333333333333333s"),
    ],
)  # fmt: skip
def test_quantities_as_they_are_written(kind, value, text):
    """In the largest unit that says them shortly and exactly."""
    assert units.exact(kind, value) == text


def test_a_study_computes_in_base_units_and_remembers_units():
    """A computed variation means seconds; variations of it by a person read its file again, which has units."""
    computed = scenario().computed({"horizon": 86400.0, "plan.strategy.retry.retry_interval": 90.0})
    assert computed.horizon == 86400.0 and computed.written["horizon"] == "1d"
    assert computed.with_(seed=9).plan.strategy.retry.retry_interval == 90.0
    with pytest.raises(ScenarioError, match="write the unit"):
        computed.with_(horizon=14.0)


@pytest.mark.parametrize("text", ["horizon=14,21", "horizon=7:21", "plan.components.0.size=1:4", "horizon=14.0"])
def test_varied_keys_need_units_too(text):
    """As in the file; one unit speaks for both ends."""
    with pytest.raises(StudyError, match="write the unit"):
        parse_axis(text)


def test_one_unit_speaks_for_both_ends():
    """And zero needs none."""
    assert (parse_axis("horizon=7d:21d").low, parse_axis("horizon=7d:21d").high) == (7 * 86400.0, 21 * 86400.0)
    assert parse_axis("plan.strategy.retry.retry_interval=0,10min").levels == (0, "10min")


@pytest.mark.parametrize(
    ("window", "opened"),
    [
        ('{cron: "0 2 * * 1", years: [2020], duration: 1h}', False),  # a window of an old export
        ('{cron: "0 2 * * 1", years: [2026], duration: 1h}', True),  # the activation, 2026-03-02, is a Monday
        ('{cron: "0 2 9 3 *", duration: 1h}', False),  # a day after the end
        ('{cron: "0 2 8 3 *", duration: 1h}', True),
        ('{cron: "0 23 1 3 *", duration: 1h}', False),  # closes with the activation
        ('{cron: "0 23 1 3 *", duration: 61min}', True),  # open still
        ('{start: "22:00", duration: 1h}', True),
    ],
)
def test_a_window_that_never_opens(window, opened):
    """Nobody is upgraded then, and the run alone does not say why."""
    given = scenario(
        MAINS, "horizon=7d", 'plan.strategy.schedule.start_time="2026-03-02T00:00:00"',
        "plan.strategy.schedule.time_zone=UTC", f"plan.strategy.schedule.maintenance_windows=[{window}]",
    )  # fmt: skip
    found = [line for line in doubts(given) if "maintenance_windows.0" in line]
    assert len(found) == (0 if opened else 1)
    assert opened or "does not open between the activation, 2026-03-02 00:00" in found[0]


@pytest.mark.parametrize(
    ("key", "entries", "told"),
    [
        ("blacklist", ["m0000007", "m00000O8"], "plan.blacklist: 1 of 2 entries match no module of the fleet, so whoever was meant is not left out: m00000O8"),
        ("blacklist", ["M0000007"], "plan.blacklist: 1 of 1 entries match no module of the fleet, so whoever was meant is not left out: M0000007"),
        ("whitelist", ["m000000*", "x*", "m0000200", "m0000199"], "plan.whitelist: 2 of 4 entries match no module of the fleet, so whoever was meant is not in the plan: x*, m0000200"),
        ("blacklist", ["m0000000", "m0000199", "m000001[0-9]"], None),
        ("whitelist", [], None),
    ],
)  # fmt: skip
def test_entries_of_the_lists_that_match_nobody_are_named(key: str, entries: list[str], told: str | None) -> None:
    found = [line for line in doubts(scenario(f"plan.{key}={entries}")) if line.startswith(f"plan.{key}")]
    assert (found == []) if told is None else (len(found) == 1 and found[0].startswith(told + "; "))


def test_entries_are_looked_up_among_the_ids_of_a_fleet_file(tmp_path: Path) -> None:
    (tmp_path / "fleet.csv").write_text("module,rsrp_dbm\nIMEI-01,-90\nIMEI-02,-95\n")
    text = BASE.replace("  size: 200\n", "").replace(
        "      share: 1.0\n", "      file: fleet.csv\n      columns: {module: module, rsrp_dbm: rsrp_dbm}\n"
    )
    made = check(text + "  blacklist: [IMEI-02, m0000001, 'IMEI-0?']\n", "s.yaml", (), tmp_path)
    (line,) = [line for line in doubts(made) if line.startswith("plan.blacklist")]
    assert "1 of 3 entries" in line and "m0000001" in line


@pytest.mark.parametrize("groups", ["[{name: a, percent: 5}, {name: a}]", "[{percent: 5}, {name: group-1}]"])
def test_two_rollout_groups_of_one_name(groups):
    """Results name groups; a group without a name has its number."""
    with pytest.raises(ScenarioError, match=r"rollout.groups: .*two are called (a|group-1)"):
        scenario(f"plan.strategy.rollout.groups={groups}")


@pytest.mark.parametrize(
    "overrides",
    [
        ["cloud.kind=ddi", "plan.strategy.preset=hawkbit"], ["cloud.kind=ddi", "plan.strategy.preset=goosebit"],
        [*SERIAL, "plan.strategy.timeouts.step.download=101s"], ["plan.strategy.timeouts.step.download=1s"],
    ],
)  # fmt: skip
def test_settings_that_can_be_kept_are_no_doubt(overrides):
    """A preset of a polled cloud says nothing that it ignores; a bound that a serial line can meet is one."""
    assert not any("no effect" in line or "timeouts" in line for line in doubts(scenario(*overrides)))
