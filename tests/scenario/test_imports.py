"""Plan files of AWS IoT Jobs and hawkBit as strategies: what each field becomes, and that nothing goes silently."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

from sim.cli.common import app
from sim.engines.world.plan_settings import build_settings
from sim.errors import PlanFileWarning, ScenarioError
from sim.scenario import Scenario, imports
from sim.scenario.imports import cron
from sim.scenario.strategy import StrategySection
from tests.support import BASE

DATA = Path("tests/scenario/data")
DOCUMENTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("*.json"))}
HALVES = {
    "success_threshold_percent": 50.0, "success_action": "next-group", "error_threshold_percent": 50.0,
    "error_action": "pause",
}  # fmt: skip


def convert(document: object) -> imports.Imported:
    """A document as the command reads it."""
    return imports.from_text(json.dumps(document), "plan.json")


def job(**sections: object) -> imports.Imported:
    """A job with these sections."""
    return convert({"job": {"jobId": "j", **sections}})


# --- what becomes of each field --------------------------------------------------------------------------------------


def test_describe_job():
    """Rate, criteria, timeout, retries and selection of what `aws iot describe-job` prints."""
    read = convert(DOCUMENTS["aws_describe_job"])
    assert (read.product, read.title) == ("AWS IoT Jobs", "modem-1-1-0")
    assert read.strategy == {
        "preset": "aws-iot-jobs",
        "target_selection": "continuous",
        "rollout": {
            "exponential_rate": {
                "base_rate_per_minute": 50, "increment_factor": 2.0, "number_of_notified": 1000,
                "number_of_succeeded": 1000,
            },
        },
        "abort": {
            "criteria": [
                {"failure_type": "failed", "threshold_percentage": 20.0, "min_number_of_executed": 100,
                 "action": "cancel", "denominator": "completed"},
                {"failure_type": "timed_out", "threshold_percentage": 12.5, "min_number_of_executed": 200,
                 "action": "cancel", "denominator": "completed"},
            ],
        },
        "timeouts": {"in_progress": "2h"},
        "retry": {
            "criteria": [
                {"failure_type": "failed", "number_of_retries": 3},
                {"failure_type": "timed_out", "number_of_retries": 2},
            ],
        },
    }  # fmt: skip


def test_create_job():
    """The input of create-job: constant rate, schedule with end and windows; what it sends and to whom is listed."""
    read = convert(DOCUMENTS["aws_create_job"])
    assert read.strategy["target_selection"] == "snapshot"
    assert read.strategy["rollout"] == {"maximum_per_minute": 400}
    assert read.strategy["timeouts"] == {"in_progress": "7d"}
    assert read.strategy["retry"] == {"criteria": [{"failure_type": "all", "number_of_retries": 0}]}
    assert read.strategy["schedule"] == {
        "start_time": "2026-03-02T22:00:00", "end_time": "14d", "end_behavior": "force-cancel", "time_zone": "UTC",
        "maintenance_windows": [
            {"cron": "30 22 * * MON-FRI", "duration": "4h"}, {"cron": "0 2 * * 6", "duration": "10h"},
        ],
        "window_gates": "release",
    }  # fmt: skip
    named = [note.split(":")[0] for note in read.notes]
    assert named == ["document", "targets", "presignedUrlConfig", "tags", "schedulingConfig.maintenanceWindows"]


def test_hawkbit_groups():
    """Listed groups: shares of what remains, own conditions over the rollout's, forced after a day, late joiners."""
    read = convert(DOCUMENTS["hawkbit_rollout_groups"])
    common = {"success_threshold_percent": 95.0, "error_action": "pause"}
    assert read.strategy == {
        "preset": "hawkbit",
        "target_selection": "continuous",
        "rollout": {
            "percent_of": "remaining",
            "groups": [
                {"name": "lab-friends", "percent": 5.0, "success_action": "pause", "error_threshold_percent": 3.0, **common},
                {"name": "early", "percent": 25.0, "success_action": "next-group", "error_threshold_percent": 5.0, **common},
                {"name": "rest", "success_action": "next-group", "error_threshold_percent": 3.0, **common},
            ],
        },
        "delivery": {"action_type": "timeforced", "force_time": "1d", "confirmation": "user"},
        "schedule": {"start_time": "2026-03-02T21:00:00"},
    }  # fmt: skip


def test_hawkbit_amount_of_groups():
    """An even split, and a window of an assignment in its own zone, gating the installation."""
    read = convert(DOCUMENTS["hawkbit_rollout_post"])
    groups = read.strategy["rollout"]["groups"]
    assert [g.get("percent") for g in groups] == [25.0, pytest.approx(100 / 3), 50.0, None]
    assert {g["error_threshold_percent"] for g in groups} == {20.0}
    assert read.strategy["schedule"] == {
        "start_time": "2026-03-02T22:00:00", "time_zone": "Etc/GMT-1", "window_gates": "install",
        "maintenance_windows": [{"cron": "0 1 * * 1-5", "duration": "210min"}],
    }  # fmt: skip
    assert read.strategy["delivery"] == {"action_type": "forced", "confirmation": "none"}


def test_hawkbit_answer_of_get():
    """What GET prints has no groups and no conditions: an even split under the product's defaults, and both said."""
    read = convert(DOCUMENTS["hawkbit_rollout_get"])
    assert [
        {k: v for k, v in g.items() if k not in ("name", "percent")} for g in read.strategy["rollout"]["groups"]
    ] == [HALVES] * 5
    text = "\n".join(read.notes)
    assert "totalGroups: the groups are split evenly" in text
    assert "successCondition: absent: the default of 50 % stands" in text


def test_hawkbit_page_of_groups():
    """The answer of GET …/deploygroups beside the rollout."""
    document = DOCUMENTS["hawkbit_rollout_get"] | {
        "groups": {"content": DOCUMENTS["hawkbit_rollout_groups"]["groups"], "total": 3, "size": 3}
    }
    assert [g["name"] for g in convert(document).strategy["rollout"]["groups"]] == ["lab-friends", "early", "rest"]


# --- nothing is dropped silently -------------------------------------------------------------------------------------


def objects(node: object, path: tuple = ()) -> list[tuple]:
    """Paths of all objects of a document."""
    found = [path] if isinstance(node, dict) else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return found + [inner for key, value in items for inner in objects(value, (*path, key))]


def at(document: object, path: tuple) -> object:
    """The value at a path."""
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_sample_is_valid_in_a_scenario(name):
    """Each document becomes a strategy the scenario takes, and its YAML reads back as the same strategy."""
    read = convert(DOCUMENTS[name])
    StrategySection.model_validate(copy.deepcopy(read.strategy))
    text = imports.to_yaml(read, f"{name}.json")
    assert YAML(typ="safe").load(text) == read.strategy
    for note in read.notes:
        assert f"# - {note}\n" in text


AS_A_WHOLE = {
    "jobProcessDetails", "totalTargetsPerStatus", "presignedUrlConfig", "tags", "documentParameters", "_links",
    "dynamicGroupTemplate",
}  # fmt: skip
"""Objects that are left out, and named, with all that is in them."""
STANDS_ANYWAY = ("NEXTGROUP", "PAUSE", "CANCEL", "THRESHOLD")
"""The only value, or the one that stands where none is given."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_unknown_fields_are_reported(name):
    """A field nobody documents is named with its place, wherever it stands among the settings."""
    settings_of_the_plan = [path for path in objects(DOCUMENTS[name]) if not AS_A_WHOLE & set(path)]
    assert settings_of_the_plan
    for path in settings_of_the_plan:
        document = copy.deepcopy(DOCUMENTS[name])
        at(document, path)["surprise"] = {"x": 1}
        fresh = [n for n in convert(document).notes if "surprise: unknown field, not carried over" in n]
        assert len(fresh) == 1, path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_counts(name):
    """Take any one field away, and the strategy, the title or the list of what is left out changes."""
    before = convert(DOCUMENTS[name])
    fields = [
        (*path, key)
        for path in objects(DOCUMENTS[name])
        if not AS_A_WHOLE & set(path)
        for key, value in at(DOCUMENTS[name], path).items()
        if value not in ("", {}, []) and value is not False and key != "job"
        and not any(f'"{word}"' in json.dumps(value) and len(json.dumps(value)) < 50 for word in STANDS_ANYWAY)
    ]  # fmt: skip
    assert len(fields) >= 10
    for *path, key in fields:
        document = copy.deepcopy(DOCUMENTS[name])
        del at(document, path)[key]
        assert convert(document) != before, (*path, key)


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": 1500}}, "maximumPerMinute: out of range: 1500; documented are 1 to 1000"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": 0}}, "taken out: input should be greater than or equal to 1"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": 2.5}}, "a whole number is expected"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": "fast"}}, "left out: a number is expected, found 'fast'"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": True}}, "left out: a number is expected, found True"),
        ({"jobExecutionsRolloutConfig": []}, "left out: an object is expected"),
        ({"targetSelection": "EVERYBODY"}, "'EVERYBODY' is not one of SNAPSHOT, CONTINUOUS"),
        ({"timeoutConfig": {"inProgressTimeoutInMinutes": 10081}}, "documented are 1 to 10080"),
        ({"abortConfig": {"criteriaList": [{"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 120,
                                            "minNumberOfExecutedThings": 1}]}}, "documented are 0 to 100"),
        ({"abortConfig": {"criteriaList": [7]}}, "abortConfig.criteriaList[0]: left out: an object is expected"),
        ({"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 11}]}}, "0 to 10"),
        ({"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "REJECTED", "numberOfRetries": 1}]}}, "not one of FAILED"),
        ({"schedulingConfig": {"startTime": "soon"}}, "a time is expected, found 'soon'"),
        ({"schedulingConfig": {"endTime": "2026-03-02T22:00"}}, "endTime: not carried over"),
        ({"schedulingConfig": {"endBehavior": "CANCEL"}}, "endBehavior: not carried over: without an end"),
        ({"schedulingConfig": {"startTime": "2026-03-02T22:00", "endTime": "2026-03-02T22:10"}}, "30 min to 2 years"),
        ({"schedulingConfig": {"maintenanceWindows": [{"startTime": "cron(0 2 15W * ? *)", "durationInMinutes": 60}]}},
         "not carried over: 'cron(0 2 15W * ? *)'"),
        ({"schedulingConfig": {"maintenanceWindows": [{"startTime": "cron(0 2 * * ? 2026)", "durationInMinutes": 60}]}},
         "the year 2026 is left out"),
        ({"schedulingConfig": {"maintenanceWindows": [{"startTime": "cron(0 2 * * ? *)", "durationInMinutes": 1431}]}},
         "documented are 1 to 1430"),
    ],
)  # fmt: skip
def test_aws_ranges_and_kinds(sections, says):
    """What lies outside the documented ranges, or is of the wrong kind, is said; what is kept is valid."""
    read = job(**sections)
    assert any(says in note for note in read.notes), read.notes
    StrategySection.model_validate(read.strategy)


def test_out_of_range_values_are_kept_where_they_can_be():
    """A raised quota of the account is a real setting: 1,500 a minute stays."""
    assert job(jobExecutionsRolloutConfig={"maximumPerMinute": 1500}).strategy["rollout"] == {
        "maximum_per_minute": 1500
    }


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"amountGroups": 501}, "documented are 1 to 500"),
        ({"type": "urgent"}, "not one of forced, soft"),
        ({"successCondition": {"condition": "COUNT", "expression": "5"}}, "not one of THRESHOLD"),
        ({"errorCondition": {"condition": "THRESHOLD", "expression": "many"}}, "a percentage is expected"),
        ({"errorCondition": {"condition": "THRESHOLD", "expression": "130"}}, "documented are 0 to 100"),
        ({"errorAction": {"action": "NEXTGROUP"}}, "not one of PAUSE"),
        ({"type": "timeforced"}, "read as forced from the start"),
        ({"maintenanceWindow": {"schedule": "0 0 3 ? * *", "duration": "3 hours"}}, "a duration like 02:00:00"),
        ({"maintenanceWindow": {"schedule": "30 0 3 ? * *", "duration": "03:00:00"}}, "the second 30 is left out"),
        ({"maintenanceWindow": {"schedule": "0 3 * *", "duration": "03:00:00"}}, "six or seven fields are expected"),
        ({"maintenanceWindow": {"schedule": "0 0 3 ? * *", "duration": "03:00:00", "timezone": "+05:30"}}, "whole hours"),
        ({"groups": [{"name": "a", "targetPercentage": 20}, {"name": "b", "targetPercentage": 50}]}, "takes the rest"),
        ({"weight": 0}, "weight: not carried over"),
    ],
)  # fmt: skip
def test_hawkbit_ranges_and_kinds(fields, says):
    """The same for rollouts."""
    read = convert({"name": "r", "distributionSetId": 1, **fields})
    assert any(says in note for note in read.notes), read.notes
    StrategySection.model_validate(read.strategy)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("{", 1, "a plan file is JSON"),
        ("{\n\"a\": 1,\n}", 3, "a plan file is JSON"),
        ("[]", None, "one JSON object"),
        ("{}", None, "aws iot describe-job"),
        ('{"foo": 1, "bar": 2}', None, "keys foo, bar"),
        ('{"jobId": "a", "jobId": "b"}', None, "write each key once"),
        ('{"jobId": "a", "createdAt": NaN}', None, "finite"),
        ("[" * 100_000, None, "nested too deeply"),
    ],
)  # fmt: skip
def test_files_that_are_no_plan(text, line, says):
    """Where, what, and what would be right."""
    with pytest.raises(ScenarioError) as caught:
        imports.from_text(text, "x.json")
    assert caught.value.problems[0].line == line
    assert says in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10**7) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["FAILED", "CANCEL", "2026-03-01T00:00:00Z", "cron(0 1 ? * 2 *)", "0 0 1 ? * 2", "50", "01:00:00", ""])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "jobId", "maximumPerMinute", "exponentialRate", "criteriaList", "failureType", "thresholdPercentage", "startTime",
        "endTime", "maintenanceWindows", "durationInMinutes", "numberOfRetries", "baseRatePerMinute", "groups",
        "targetPercentage", "name", "condition", "expression", "schedule", "duration", "timezone", "incrementFactor",
        "rateIncreaseCriteria", "numberOfNotifiedThings", "minNumberOfExecutedThings", "action", "endBehavior", "content",
    ]), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip
TOP = st.sampled_from([
    "job", "jobExecutionsRolloutConfig", "abortConfig", "timeoutConfig", "jobExecutionsRetryConfig", "schedulingConfig",
    "createdAt", "groups", "amountGroups", "successCondition", "errorCondition", "maintenanceWindow", "startAt", "type",
    "forcetime", "dynamic", "confirmationRequired", "totalGroups", "name",
])  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(TOP, JSON, max_size=8))
def test_any_json_gives_a_valid_strategy_or_a_clear_refusal(document):
    """Whatever is in the file: a strategy the scenario takes, or a ScenarioError."""
    try:
        read = convert(document)
    except ScenarioError:
        return
    StrategySection.model_validate(copy.deepcopy(read.strategy))
    assert YAML(typ="safe").load(imports.to_yaml(read, "x.json")) == read.strategy


def test_foreign_text_stays_in_its_comment():
    """A name with line breaks cannot write keys of its own."""
    read = job(jobArn="a", description="x")
    read = imports.Imported(read.product, "evil\nrollout: {}\x85foo: 1\u2028bar: 2", read.strategy, ["a\nb: 1"])
    assert YAML(typ="safe").load(imports.to_yaml(read, "x\ny: 2")) == read.strategy


# --- cron ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reader", "text", "opens"),
    [
        (cron.from_aws, "cron(30 22 ? * 2-6 *)", "2026-03-02 22:30"),  # Monday to Friday; the 1st is a Sunday
        (cron.from_aws, "cron(0 5 ? * SUN *)", "2026-03-01 05:00"),
        (cron.from_aws, "cron(0 5 ? * 1 *)", "2026-03-01 05:00"),
        (cron.from_aws, "cron(0 5 ? * 7 *)", "2026-03-07 05:00"),
        (cron.from_aws, "cron(0 5 ? * 3#2 *)", "2026-03-10 05:00"),  # the second Tuesday
        (cron.from_aws, "cron(15 10 L * ? *)", "2026-03-31 10:15"),
        (cron.from_aws, "0 3 * * 1", "2026-03-02 03:00"),  # five fields: Monday is 1
        (cron.from_quartz, "0 15 10 ? * 6L", "2026-03-27 10:15"),  # the last Friday
        (cron.from_quartz, "0 0 12 1 * ? *", "2026-03-01 12:00"),
        (cron.from_quartz, "0 0/30 8 ? * MON,WED", "2026-03-02 08:00"),
        (cron.from_quartz, "0 0 4 ? * L", "2026-03-07 04:00"),
    ],
)  # fmt: skip
def test_cron(reader, text, opens):
    """The first opening after the last moment of February 2026, by the calendar."""
    expression, notes = reader(text)
    assert notes == []
    first = next(CronSim(expression, datetime(2026, 2, 28, 23, 59)))
    assert first == datetime.fromisoformat(opens)


# --- in a scenario, and on the command line --------------------------------------------------------------------------


def write(folder: Path, strategy: str) -> Path:
    """A scenario with this strategy line beside the sample documents."""
    for name, document in DOCUMENTS.items():
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    path = folder / "scenario.yaml"
    path.write_text(BASE + f"  strategy: {strategy}\n", encoding="utf-8")
    return path


def test_strategy_from_a_plan_file(tmp_path):
    """`from` takes the file's settings; keys beside it win; notes say where they come from."""
    with pytest.warns(PlanFileWarning) as notes:
        scenario = Scenario.load(write(tmp_path, "{from: aws_describe_job.json, timeouts: {in_progress: 90min}}"))
    rules = build_settings(scenario)
    assert (rules.base_rate_per_minute, rules.increment_factor, rules.number_of_notified) == (50.0, 2.0, 1000)
    assert (rules.retries_failed, rules.retries_timed_out, rules.in_progress_timeout_s) == (3, 2, 5400.0)
    assert scenario.plan.strategy.preset == "aws-iot-jobs"
    assert any(str(note.message).startswith("aws_describe_job.json: job.targets") for note in notes)
    assert Scenario.from_text(scenario.to_yaml()) == scenario


def test_strategy_from_a_strategy_file(tmp_path):
    """What `fotasim import` writes is a file `from` takes: the same plan as from the JSON itself."""
    path = write(tmp_path, "{from: strategy.yaml}")
    shown = CliRunner().invoke(app, ["import", str(tmp_path / "aws_create_job.json")])
    (tmp_path / "strategy.yaml").write_text(shown.stdout, encoding="utf-8")
    through_yaml = Scenario.load(path)
    with pytest.warns(PlanFileWarning):
        assert through_yaml == Scenario.load(write(tmp_path, "{from: aws_create_job.json}"))
    assert through_yaml.plan.strategy.schedule.start_time == datetime(2026, 3, 2, 22, 0)


def test_overrides_of_an_imported_strategy(tmp_path):
    """`--set` reaches into what the file says, lists included, and may name the file itself."""
    path = write(tmp_path, "{from: aws_describe_job.json}")
    with pytest.warns(PlanFileWarning):
        changed = Scenario.load(path, ["plan.strategy.abort.criteria.1.threshold_percentage=30"])
    assert [c.threshold_percentage for c in changed.plan.strategy.abort.criteria] == [20.0, 30.0]
    with pytest.warns(PlanFileWarning):
        other = Scenario.load(
            path, ["plan.strategy.rollout.groups.0.soak=2h", "plan.strategy.from=hawkbit_rollout_post.json"]
        )
    assert other.plan.strategy.rollout.groups[0].soak == 7200.0


@pytest.mark.parametrize(
    ("strategy", "content", "file", "line", "says"),
    [
        ("{from: missing.json}", "", "missing.json", None, "No such file"),
        ("{from: job.txt}", "", "job.txt", None, "from: takes a .json plan"),
        ("{from: 5}", "", "5", None, "from: takes a .json plan"),
        ("{from: s.yaml}", "preset: quectel\nrollot: {}\n", "s.yaml", 2, "did you mean 'rollout'?"),
        ("{from: s.yaml}", "rollout:\n  maximum_per_minute: 0\n", "s.yaml", 2, "greater than or equal to 1"),
        ("{from: s.yaml}", "from: t.yaml\n", "s.yaml", 1, "stands for itself"),
    ],
)  # fmt: skip
def test_broken_from(tmp_path, strategy, content, file, line, says):
    """Errors name the file they are in."""
    path = write(tmp_path, strategy)
    if content:
        (tmp_path / "s.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        Scenario.load(path)
    problem = caught.value.problems[0]
    assert problem.file.endswith(file)
    assert (problem.line, says in str(problem)) == (line, True), str(problem)


def test_command():
    """YAML on stdout, what is left out on stderr too; `--json` for programs."""
    path = str(DATA / "hawkbit_rollout_groups.json")
    shown = CliRunner().invoke(app, ["import", path])
    assert shown.exit_code == 0
    assert YAML(typ="safe").load(shown.stdout)["preset"] == "hawkbit"
    assert "fotasim: groups[0].name: written as lab-friends" in shown.stderr
    machine = json.loads(CliRunner().invoke(app, ["import", path, "--json"]).stdout)
    assert machine["title"] == "gateways-3.2"
    assert len(machine["notes"]) == len(shown.stderr.splitlines())


def test_command_of_a_scenario_from_a_plan(tmp_path):
    """Commands on a scenario list what its plan file holds beyond the strategy."""
    shown = CliRunner().invoke(app, ["validate", str(write(tmp_path, "{from: hawkbit_rollout_post.json}"))])
    assert shown.exit_code == 0
    assert "fotasim: hawkbit_rollout_post.json: targetFilterQuery: not carried over" in shown.stderr


def test_times_are_utc():
    """Offsets and epoch seconds end up as UTC wall clock."""
    for given_time in (
        "2026-03-02T23:00:00+01:00",
        "2026-03-02T22:00",
        datetime(2026, 3, 2, 22, tzinfo=UTC).timestamp(),
    ):
        read = job(schedulingConfig={"startTime": given_time})
        assert read.strategy["schedule"]["start_time"] == "2026-03-02T22:00:00"
