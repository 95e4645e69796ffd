"""What may not be meant: refused where it could mean two things, told where it is allowed."""

import pytest

from sim.engines.world.build import build
from sim.errors import InputError, ScenarioError
from sim.scenario.doubts import doubts
from tests.support import scenario

MAINS = "fleet.groups.0.power=mains"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("horizon=14", "write the unit: 14d for days"), ("horizon=600", "600s for seconds"),
        ("plan.components.0.size=1.2", "such as 1.2 MB"), ("plan.components.0.size='1.2'", "such as 1.2 MB"),
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
    ["plan.strategy.rollout.groups=[{percent: 10}, {start_at: 2026-01-06T00:00}]", "horizon=14d", "horizon=600s", "horizon=86400", "plan.components.0.size=1.2 MB", "plan.components.0.size=120000",
     "plan.strategy.preconditions.min_battery_percent=0", "plan.strategy.preconditions.min_battery_percent=1",
     "gates={success_rate: '>= 85 %'}", "gates={bricked: {limit: '<= 1e-3', by: hardware}}"],
)  # fmt: skip
def test_what_is_clear_is_taken(override):
    """And gives no warning, and comes back from its own YAML."""
    from sim.scenario import Scenario

    given = scenario(override)
    assert [line for line in doubts(given) if not line.startswith("gates.")] == []
    assert Scenario.from_text(given.to_yaml()) == given


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
