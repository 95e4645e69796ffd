"""Order and caps by label: what sites and customers are promised."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sim.engines.world.plan_settings import staggered
from sim.errors import ScenarioError
from sim.module.sampling import Coded
from tests.support import HARMLESS, run, scenario

ENGINES = pytest.mark.parametrize("engine", ["simpy", "compiled"])
SITES = """\
name: sites
horizon: 5d
fleet:
  size: 60
  groups:
    - {name: north, share: 0.5, technology: lte-m, power: mains, check_in: always, labels: {site: north}}
    - {name: south, share: 0.25, technology: lte-m, power: mains, check_in: always, labels: {site: south}}
    - {name: none, share: 0.25, technology: lte-m, power: mains, check_in: always}
plan:
  name: fw-1.1.0
  components:
    - {component: fw, type: firmware, package: full, target_version: "1.1.0", size: 200 kB}
  strategy: {preset: none}
"""

QUIET = (
    *HARMLESS,
    *(f"fleet.groups.{number}.{key}" for number in range(3) for key in ("rsrp_dbm=-80", "free_space=16 MB")),
)


def most_at_once(modules: pd.DataFrame) -> int:
    """The most modules between their confirmation and their report at any time."""
    times = np.concatenate([modules["confirmed_s"], modules["reported_s"]])
    steps = np.repeat([1, -1], len(modules))
    return int(np.cumsum(steps[np.lexsort((steps, times))]).max())


@ENGINES
def test_a_budget_for_each_site(engine):
    """Two of a site at once, both sites in parallel; modules without a site are not held. Without the key all go at once."""
    held = run(
        *QUIET, "plan.strategy.rollout.max_in_progress_per_label={site: 2}", text=SITES, engine=engine
    ).records.modules
    free = run(*QUIET, text=SITES, engine=engine).records.modules
    assert (held["outcome"] == "succeeded").all() and (free["outcome"] == "succeeded").all()
    by_site = {site: most_at_once(part) for site, part in held.groupby("group", observed=True)}
    assert by_site == {"north": 2, "south": 2, "none": 15}
    assert most_at_once(held[held["group"] != "none"]) == 4
    assert most_at_once(free) == 60


@ENGINES
def test_site_after_site(engine):
    """One release a minute, the south first: its fifteen are offered before anybody of the north, modules of no site last."""
    found = run(
        *QUIET, "plan.strategy.rollout={maximum_per_minute: 1, stagger: {label: site, first: [south]}}", text=SITES, engine=engine
    ).records.modules  # fmt: skip
    order = found.sort_values("notified_s")["group"].astype(str).tolist()
    assert order == ["south"] * 15 + ["north"] * 30 + ["none"] * 15


def test_in_turn():
    """One of each value, then the second of each, until the values run out; within a value the order that was."""
    label = Coded(np.array([0, 0, 0, 1, 1, -1]), ("b", "a"))
    ranks = staggered(np.array([0.3, 0.1, 0.2, 0.9, 0.8, 0.5]), label, [], in_turn=True)
    assert np.argsort(ranks).tolist() == [4, 1, 5, 3, 2, 0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("plan.strategy.rollout.max_in_progress_per_label={customer: 2}", "no group of the fleet has it"),
        ("plan.strategy.rollout.stagger={label: customer}", "no group of the fleet has it"),
        ("plan.strategy.rollout={max_in_progress_per_label: {site: 2}, max_in_progress_per_cell: 3}", "not beside"),
    ],
)
def test_what_cannot_be_meant_is_refused(given, words):
    """A label that nobody has, and two caps of which only one could hold."""
    with pytest.raises(ScenarioError, match=words):
        scenario(given, text=SITES)
