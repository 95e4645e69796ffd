"""What a study varies, and which points it visits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from sim.errors import ScenarioError, StudyError
from sim.report.pages.study_parts import at_borders
from sim.scenario import Scenario
from sim.study.axes import Axis, parse_axis
from sim.study.designs import points
from tests.support import scenario

BATTERY = "plan.strategy.preconditions.min_battery_percent"


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("a.b=10:60:6", (10, 20, 30, 40, 50, 60)),
        ("a.b=0.1:0.3:3", (0.1, 0.2, 0.3)),
        ("a.b=10min:2h:3", (600, 3900, 7200)),
        ("a.b=1e-4:1e-2:3:log", (1e-4, 1e-3, 1e-2)),
        ("a.b=-120:-100:3", (-120, -110, -100)),
        ("a.b=defer,reject", ("defer", "reject")),
        ("a.b=true,false", (True, False)),
        ("a.b=10min,1h", (600, 3600)),
        ("a.b=1 MB,64 KiB", (1_000_000, 65_536)),
        ("plan.strategy.retry.number_of_retries=0:5:4", (0, 2, 3, 5)),
        ("plan.strategy.preconditions.on_unmet", ("defer", "reject")),
        ("plan.strategy.delivery.need_push", (True, False)),
        ('a.b="08:00","12:00"', ("08:00", "12:00")),
        ("a.b=[1, 2],[3]", ([1, 2], [3])),
    ],
)
def test_levels(text, levels):
    """Every way to write levels."""
    found = parse_axis(text)
    assert found.levels == pytest.approx(levels) if found.numeric else found.levels == levels


def test_range_and_what_it_shows():
    """Two numbers are a range; whole numbers stay whole; values read as people write them."""
    found = parse_axis("plan.strategy.delivery.push_interval=1min:2h")
    assert (found.low, found.high, found.unit) == (60.0, 7200.0, "duration")
    assert found.show(found.at(1.0)) == "2 h"
    retries = parse_axis("plan.strategy.retry.number_of_retries=0:5")
    assert {retries.at(u) for u in np.linspace(0, 1, 100)} == {0, 1, 2, 3, 4, 5}
    assert parse_axis(f"{BATTERY}=10:60").show(30.0) == "30 %"
    assert parse_axis("a=1:100:log").at(0.5) == pytest.approx(10.0)


@pytest.mark.parametrize(
    "text",
    ["a.b", "a.b=", "a.b=5:5:3", "a.b=60:10:6", "a.b=1:2:1", "a.b=1:2:2.5", "a.b=0:1:3:log", "a.b=1,1", "a.b=[1"],
)
def test_what_cannot_be_varied(text):
    """An error that names the text and says what would be right."""
    with pytest.raises(StudyError, match="--vary"):
        parse_axis(text)


def test_grid_crosses_all_levels():
    """In the order written, the last key fastest."""
    found = points([parse_axis("a=1,2"), parse_axis("b=x,y,z")])
    assert [(p["a"], p["b"]) for p in found] == [(a, b) for a in (1, 2) for b in "xyz"]


@pytest.mark.parametrize("design", ["lhs", "sobol"])
def test_spread_designs_fill_every_slice(design):
    """One point in each of n slices of every key (what makes a Latin hypercube, and any Sobol net), repeatable."""
    axes = [parse_axis("a=0:1"), parse_axis("b=10:20")]
    found = points(axes, design, 16, seed=3)
    assert found == points(axes, design, 16, seed=3)
    assert found != points(axes, design, 16, seed=4)
    for key, low, width in (("a", 0.0, 1.0), ("b", 10.0, 10.0)):
        assert sorted(int(16 * (p[key] - low) / width) for p in found) == list(range(16))
    unit = np.array([[p["a"], (p["b"] - 10) / 10] for p in found])
    assert qmc.discrepancy(unit) < qmc.discrepancy(np.random.default_rng(0).random((16, 2)))


@pytest.mark.parametrize(
    ("texts", "design", "count", "match"),
    [
        ([], "grid", None, "nothing to vary"),
        (["a=1:2"], "grid", None, "a grid needs levels"),
        (["a=1,2"], "grid", 8, "--points belongs to"),
        (["a=1,2", "a=3,4"], "grid", None, "stands twice"),
        (["a=1:2"], "sobol", 10, "power of two"),
        (["a=1:2"], "random", None, "choose from"),
        ([f"{k}=1:9:1000" for k in "abc"], "grid", None, "at most"),
    ],
)
def test_designs_that_cannot_be(texts, design, count, match):
    """Each says why."""
    with pytest.raises(StudyError, match=match):
        points([parse_axis(t) for t in texts], design, count)


def test_variations_are_checked_and_equal_overrides(tmp_path):
    """`with_` means the same as --set, keeps the original, and refuses what a file could not say."""
    base = scenario()
    varied = base.with_({BATTERY: 45, "fleet.groups.all.power": "mains"}, seed=7)
    assert varied == scenario(f"{BATTERY}=45", "fleet.groups.all.power=mains", "seed=7")
    assert base == scenario()
    assert base.with_(plan__strategy__delivery__push_interval="20min").plan.strategy.delivery.push_interval == 1200.0
    with pytest.raises(ScenarioError, match="less than or equal to 100"):
        base.with_({BATTERY: 400})
    with pytest.raises(ScenarioError, match="did you mean"):
        base.with_(fleet__sise=3)


def test_a_variation_of_the_preset_brings_its_defaults():
    """What the file leaves to the preset follows the new one, as with --set; what it sets itself stays."""
    path = "scenarios/quickstart.yaml"
    override = "plan.strategy.preset=aws-iot-jobs"
    assert Scenario.load(path).with_({"plan.strategy.preset": "aws-iot-jobs"}) == Scenario.load(path, [override])


RSRP = "plan.strategy.preconditions.min_rsrp_dbm"
BORDERS = [
    ("plan.strategy.preconditions.min_battery_percent=10:60", 10.4, "lower"),
    ("plan.strategy.preconditions.min_battery_percent=10:60", 12.0, ""),
    ("plan.strategy.preconditions.min_battery_percent=10:60:6", 60.0, "upper"),
    ("plan.strategy.preconditions.min_battery_percent=10:60:6", 50.0, ""),
    ("plan.strategy.preconditions.min_battery_percent=0:100", 0.0, ""),  # natural limits
    ("plan.strategy.preconditions.min_battery_percent=0:100", 100.0, ""),
    (f"{RSRP}=-125:-100", -100.1, "upper"),
    (f"{RSRP}=-125:-100", -112.0, ""),
    ("plan.strategy.rate.push_interval=1s:1h:log", 1.05, "lower"),
    ("plan.strategy.rate.push_interval=1s:1h:log", 60.0, ""),  # within 2 % of the range, not of its ratios
    ("plan.strategy.retry.number_of_retries=1:3", 3, "upper"),
    ("plan.strategy.preconditions.on_unmet=defer,reject", "defer", ""),
]


@pytest.mark.parametrize(("text", "value", "end"), BORDERS)
def test_values_at_the_border_of_what_is_tried(text, value, end):
    """The end a value lies at; the sentence names the key and the direction."""
    axis = parse_axis(text)
    assert axis.border(value) == end
    (told,) = [*at_borders([axis], {axis.key: value})] or [""]
    assert (f"extend {axis.key} {'downwards' if end == 'lower' else 'upwards'}." in told) == bool(end)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (RSRP, "min_rsrp_dbm"), ("plan.strategy.rollout.groups.0.percent", "groups 0 percent"),
        ("plan.strategy.rollout.groups.1.error_threshold_percent", "groups 1 error_threshold_percent"),
        ("fleet.groups.indoor.check_in.every", "check_in every"), ("horizon", "horizon"),
    ],
)  # fmt: skip
def test_a_name_says_what_it_is_of(key, name):
    """A bare percent says nothing, and two groups have the same keys."""
    assert Axis(key).name == name
