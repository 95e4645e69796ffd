"""Scenario files: ready ones, round trip, overrides, schema, fleet files."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from sim.engines.run import simulate
from sim.errors import FotasimError, ScenarioError
from sim.scenario import Scenario, json_schema
from tests.support import BASE, scenario

READY = sorted(Path("scenarios").glob("*.yaml"))


@pytest.mark.parametrize("path", READY, ids=lambda p: p.stem)
def test_ready_scenario_round_trip(path):
    """Every ready scenario states its purpose, loads, and loads back equal with its defaults written out."""
    assert "# Purpose:" in path.read_text()
    loaded = Scenario.load(path)
    assert Scenario.from_text(loaded.to_yaml()) == loaded


def test_six_ready_scenarios():
    """At least six are there."""
    assert len(READY) >= 6


def test_schema_is_up_to_date():
    """scenarios/schema.json is what `fotasim schema` prints."""
    assert json.loads(Path("scenarios/schema.json").read_text()) == json_schema()


def test_every_key_has_a_text():
    """Every property of the schema says what it means, except in the forms that stand within a key."""
    schema = json_schema()
    sections = {"": schema, **schema["$defs"]}
    keys = {f"{name}.{key}": e for name, s in sections.items() for key, e in s.get("properties", {}).items()}
    assert len(keys) > 150
    assert [key for key, entry in keys.items() if not entry.get("description", "").strip()] == []


@pytest.mark.parametrize("path", READY, ids=lambda p: p.stem)
def test_editors_accept_ready_scenarios(path):
    """The schema that editors check by takes units, short forms and distributions as the checker does."""
    tree = json.loads(json.dumps(YAML(typ="safe").load(path), default=str))
    errors = Draft202012Validator(json_schema()).iter_errors(tree)
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize(
    ("check_in", "right"),
    [
        ("always", True),
        ({"always": {"report_every": "6h"}}, True),
        ({"poisson": "6h", "awake": "30s"}, True),
        ({"sleepy": {"tau": "24h", "active": "6s", "edrx": "20s"}}, True),
        ({"diurnal": {"peaks": ["08:00"], "online": "40min"}}, True),
        ("sometimes", False),
        ({"sleepy": {"tau": "24h", "peeks": []}}, False),
        ({"every": -1}, False),
    ],
)
def test_editors_and_checker_agree_on_check_ins(check_in, right):
    """What the schema takes as a check-in, the checker takes, and the other way round."""
    tree = YAML(typ="safe").load(BASE)
    tree["fleet"]["groups"][0]["check_in"] = check_in
    assert Draft202012Validator(json_schema()).is_valid(tree) is right
    text = io.StringIO()
    YAML(typ="safe").dump(tree, text)
    with contextlib.nullcontext() if right else pytest.raises(ScenarioError, match="check_in"):
        Scenario.from_text(text.getvalue())


def test_overrides_go_through_the_same_checker():
    """A good override counts; a wrong one is refused with its key."""
    assert (
        scenario("plan.strategy.preconditions.min_battery_percent=40").plan.strategy.preconditions.min_battery_percent
        == 40
    )
    with pytest.raises(ScenarioError, match="min_battery_percent"):
        scenario("plan.strategy.preconditions.min_battery_percent=400")
    with pytest.raises(ScenarioError, match=r"fleet\.siez"):
        scenario("fleet.siez=3")


def fleet_file(folder: Path, **columns) -> str:
    """A scenario whose modules come from a CSV of these columns."""
    pd.DataFrame(columns).to_csv(folder / "fleet.csv", index=False)
    (folder / "s.yaml").write_text(
        BASE.replace(
            "      share: 1.0",
            "      file: fleet.csv\n      columns: {module: imei, rsrp_dbm: rsrp, battery_percent: soc}",
        )
    )
    return str(folder / "s.yaml")


GOOD = {"imei": ["a", "b", "c"], "rsrp": [-90, -100, -131.5], "soc": [50, 60, 10]}


def test_fleet_from_a_file(tmp_path):
    """Each row is a module with its own values."""
    modules = simulate(Scenario.load(fleet_file(tmp_path, **GOOD))).records.modules
    assert modules["module"].tolist() == ["a", "b", "c"]
    assert modules["rsrp_dbm"].tolist() == GOOD["rsrp"]


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [("soc", None, "fleet.csv: soc: found nothing; there is no such column; the file has 'imei', 'rsrp'"),
     ("rsrp", [-90, float("nan"), -80], "fleet.csv:3: rsrp: found nothing; fill it in"),
     ("imei", ["a", "b", "a"], "fleet.csv:4: imei: found 'a'; this module occurs twice"),
     ("soc", [50, "full", 3], "fleet.csv:3: soc: found 'full'; no number"),
     ("rsrp", [-90, 20, -80], "fleet.csv:3: rsrp: found '20'; a positive signal")],
)  # fmt: skip
def test_bad_fleet_file(tmp_path, column, values, words):
    """Missing column, NaN, duplicate, text, out of range: file, row, value and cure."""
    columns = {**GOOD, column: values}
    path = fleet_file(tmp_path, **{k: v for k, v in columns.items() if v is not None})
    with pytest.raises(FotasimError, match=words):
        simulate(Scenario.load(path))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("fleet.size=-3", "--set fleet.size=-3: fleet.size: found -3;"),
        ("fleet.groups.all.battery_percent=hello", "--set fleet.groups.all.battery_percent=hello: fleet.groups.0."),
        ("plan.strategy.nonsense=1", "--set plan.strategy.nonsense=1: plan.strategy.nonsense: found an unknown key"),
        ("fleet.groups.all.share=0.2", "small.yaml with --set fleet.groups.all.share=0.2: fleet.groups: found"),
    ],
)
def test_a_mistake_in_an_option_names_the_option(given, words):
    """Not the file, which is right; a section that no longer fits together names both."""
    with pytest.raises(ScenarioError) as raised:
        scenario(given)
    assert words in str(raised.value)


def test_a_mistake_in_the_file_still_names_the_file():
    """With its line, though an option is given too."""
    with pytest.raises(ScenarioError) as raised:
        scenario("fleet.size=3", text=BASE.replace("horizon: 7d", "horizon: never"))
    assert str(raised.value).startswith("small.yaml:2: horizon: ")
