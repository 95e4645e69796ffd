"""Broken scenario files, one mistake each: rejected with the right line and the cure."""

from __future__ import annotations

import pytest

from sim.errors import ScenarioError
from sim.scenario import Scenario

TEXT = """\
name: base
seed: 1
horizon: 14d
fleet:
  size: 100
  groups:
    - name: a
      share: 0.7
      technology: lte-m
      power: battery
      components: {fw: "1.0.0"}
      rsrp_dbm: {distribution: normal, mean: -100, sd: 11}
      battery_percent: {distribution: uniform, low: 5, high: 100}
      free_space: 4 MB
      check_in: {every: 24h, jitter: 10min}
    - name: b
      share: 0.3
      technology: cat1
      power: vehicle
      components: {fw: "1.0.0"}
  failures:
    brick: 0.001
plan:
  name: p
  mode: silent
  components:
    - component: fw
      type: firmware
      package: full
      target_version: "1.1.0"
      size: 1 MB
  strategy:
    preconditions: {min_battery_percent: 30}
    retry: {number_of_retries: 5}
    schedule: {time_zone: Europe/Berlin}
cloud:
  kind: simulated
  capacity: {egress: 1 Gbit/s}
gates:
  bricked: "<= 1e-3"
"""

BROKEN = [
    ("seed: 1", "sed: 1", 2, "seed"),
    ("seed: 1", "seed: -1", 2, "greater than or equal to 0"),
    ("seed: 1", "seed: one", 2, "integer"),
    ("horizon: 14d", "horizon: 14 days", 3, "write a duration like 24h"),
    ("horizon: 14d", "horizon: 0", 3, "greater than 0"),
    ("horizon: 14d", "horizon: 5000d", 3, "less than or equal"),
    ("  size: 100", "  size: 0", 5, "1"),
    ("  size: 100", "  size: 1e12", 5, "50000000"),
    ("    - name: a", "    - name: b", 6, "each group needs its own"),
    ("      share: 0.7", "      share: 0.6", 6, "add up to 1"),
    ("      share: 0.7", "      share: -0.7", 8, "0"),
    ("      share: 0.7\n", "", 7, "share"),
    ("lte-m", "lte_m", 9, "lte-m"),
    ("power: battery", "power: solar", 10, "battery"),
    ('      components: {fw: "1.0.0"}\n      rsrp', '      components: {mcu: "1.0.0"}\n      rsrp', 11, "fw"),
    (
        'components: {fw: "1.0.0"}\n      rsrp',
        'components: {fw: {"1.0.0": 0.5}}\n      rsrp',
        11,
        "add up to 1",
    ),
    ("distribution: normal", "distribution: gaussian", 12, "normal"),
    ("mean: -100, sd: 11", "mean: -100", 12, "sd"),
    ("sd: 11", "sd: -1", 12, "sd"),
    ("mean: -100", "mean: .nan", 12, "finite"),
    ("low: 5, high: 100", "low: 100, high: 5", 13, "low"),
    ("free_space: 4 MB", "free_space: 4 megabytes", 14, "write a size like 1.2 MB"),
    ("every: 24h", "evry: 24h", 15, "every"),
    ("check_in: {every: 24h, jitter: 10min}", "check_in: sometimes", 15, "always"),
    ("    brick: 0.001", "    brik: 0.001", 22, "brick"),
    ("    brick: 0.001", "    brick: 1.5", 22, "1"),
    ("  size: 100", "  size: 100\n  cells: {}", 6, "modules_per_cell"),
    ("  size: 100", "  size: 100\n  cells: {modules_per_cell: 0}", 6, "at least 1"),
    ("  size: 100", "  size: 100\n  cells: {modules_per_cell: 5 per cell}", 6, "number"),
    ("  size: 100", "  size: 100\n  cells: {modules_per_cell: 5, airtime_limit: 1}", 6, "cell_airtime_limit"),
    ("  size: 100", "  size: 100\n  cells: {modules_per_cell: 5, rach_preambles: 0}", 6, "greater than or equal to 1"),
    ("  failures:\n", "  physics: {rach_preambles: 9}\n  failures:\n", 21, "known keys"),
    ("mode: silent", "mode: loud", 25, "silent"),
    ("component: fw", "component: " + "f" * 33, 27, "32"),
    ("type: firmware", "type: fota", 28, "firmware"),
    ("package: full", "package: delta", 27, "source_version"),
    ("package: full", "package: full\n      source_version: x", 27, "source_version"),
    ('target_version: "1.1.0"', "target_version: 1.1", 30, "in quotes"),
    ("      size: 1 MB\n", "", 27, "size"),
    ("size: 1 MB", "size: 200 MB", 31, "100 MB"),
    ("min_battery_percent: 30", "min_battery_percent: 130", 33, "100"),
    ("min_battery_percent: 30", "min_batery_percent: 30", 33, "min_battery_percent"),
    ("number_of_retries: 5", "number_of_retries: 1001", 34, "1000"),
    ("Europe/Berlin", "Europe/Bärlin", 35, "write it like Europe/Berlin"),
    ("kind: simulated", "kind: aws", 37, "simulated"),
    ("egress: 1 Gbit/s", "egress: 1 GB/s", 38, "write a bit rate like"),
    ('bricked: "<= 1e-3"', 'brocken: "<= 1e-3"', 40, "bricked"),
    ('bricked: "<= 1e-3"', 'bricked: "1e-3"', 40, ">= 0.95"),
    ("seed: 1", "seed: 1\nseed: 2", 3, "write each key once"),
    ("fleet:\n", "fleet: [\n", 6, "fix the YAML"),
]


def problems(old: str, new: str) -> list:
    """The problems found after replacing `old`, which occurs exactly where the mistake belongs."""
    assert TEXT.count(old) >= 1
    with pytest.raises(ScenarioError) as caught:
        Scenario.from_text(TEXT.replace(old, new, 1), "broken.yaml")
    return caught.value.problems


@pytest.mark.parametrize(("old", "new", "line", "cure"), BROKEN, ids=[f"{i:02}" for i in range(len(BROKEN))])
def test_one_mistake(old, new, line, cure):
    """File, line and a cure in words; no traceback, no second-hand complaint first."""
    found = problems(old, new)
    assert found[0].file == "broken.yaml"
    assert (found[0].line, cure in str(found[0])) == (line, True), "\n".join(map(str, found))


def test_the_unbroken_file_is_valid():
    """So every rejection above is due to its one mistake."""
    assert Scenario.from_text(TEXT).fleet.size == 100
