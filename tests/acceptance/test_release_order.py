"""Who is released when: groups that repeat, and an order by when modules were last seen."""

from __future__ import annotations

import pytest

from sim.engines.world.build import build
from sim.errors import ScenarioError
from sim.scenario import Scenario
from tests.support import HARMLESS, run, scenario

QUIET = (*HARMLESS, "fleet.groups.0.rsrp_dbm=-70", "fleet.groups.0.free_space=16 MB", "fleet.groups.0.power=mains",
         "fleet.groups.0.check_in=always", "fleet.size=95", "horizon=9d")  # fmt: skip
BATCHES = "plan.strategy.rollout={repeat_last_group: true, groups: [{count: 5, soak: 24h}, {name: batch, count: 20, soak: 1h}]}"


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_groups_of_twenty_until_all(engine):
    """95 modules: 5, then 20, 20, 20, 20 and 10, each an hour after the one before has passed."""
    outcome = run(*QUIET, BATCHES, engine=engine)
    opened = outcome.records.decisions.query("decision == 'group_opened'")
    assert opened["group"].tolist() == ["group 1", "batch", "batch 2", "batch 3", "batch 4", "batch 5"]
    passed = outcome.records.decisions.query("decision == 'group_passed'")
    assert passed["succeeded"].tolist() == [5, 25, 45, 65, 85, 95]
    assert (opened["time_s"].to_numpy()[2:] - passed["time_s"].to_numpy()[1:-1]).tolist() == pytest.approx([3600.0] * 4)
    assert outcome.summary["outcomes"]["succeeded"] == 95


def test_too_many_groups_are_refused():
    """501 groups of one, with the cure."""
    with pytest.raises(ScenarioError, match="larger count: at most 500"):
        build(
            scenario(*QUIET, "fleet.size=501", "plan.strategy.rollout={repeat_last_group: true, groups: [{count: 1}]}")
        )


@pytest.mark.parametrize(
    "groups", ["[]", "[{percent: 5}]", "[{}]", "[{count: 0}]", "[{count: 5, filter: {hardware: [A]}}]"]
)
def test_what_cannot_be_repeated(groups):
    with pytest.raises(ScenarioError, match=r"repeat_last_group.*the last group needs a count"):
        scenario(f"plan.strategy.rollout={{repeat_last_group: true, groups: {groups}}}")


FILE = """\
name: seen
fleet:
  groups:
    - {name: all, file: fleet.csv, columns: {module: id, last_seen: seen}, technology: lte-m, power: mains, check_in: always}
plan:
  name: fw
  components: [{component: fw, target_version: "1.1.0", size: 1 kB}]
  strategy: {preset: none, rollout: {order: recently-active, groups: [{count: 3}, {count: 2}, {}]}}
"""


def test_recently_active_modules_come_first(tmp_path):
    """By the day they were last seen, whatever their place in the list; those never seen come last."""
    days = ["2026-01-01", "2026-01-04", "", "2026-01-03", "2026-01-04", "2025-12-31"]
    rows = "".join(f"dev-{number},{day}\n" for number, day in enumerate(days))
    (tmp_path / "fleet.csv").write_text(f"id,seen\n{rows}")
    (tmp_path / "seen.yaml").write_text(FILE)
    world = build(Scenario.load(tmp_path / "seen.yaml"))
    assert world.executions["group"].tolist() == [1, 0, 2, 0, 0, 1]


def test_recently_active_needs_the_days():
    with pytest.raises(ScenarioError, match="recently-active needs the day each module was last seen"):
        scenario("plan.strategy.rollout.order=recently-active")
