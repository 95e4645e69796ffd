"""Plan files of AWS IoT Jobs and hawkBit as strategies: what each field becomes, and that nothing goes silently."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from typer.testing import CliRunner

from sim.cli.common import app
from sim.engines.world.build import build
from sim.engines.world.plan_settings import build_executions, build_settings
from sim.errors import PlanFileWarning, Problem, ScenarioError
from sim.scenario import Scenario, imports
from sim.scenario.imports import cron
from sim.scenario.strategy import StrategySection
from sim.scenario.windows import windows
from sim.strategy.groups import HAWKBIT, REMAINING, sizes
from tests.support import BASE

DATA = Path("tests/scenario/data")
DOCUMENTS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(DATA.glob("*.json"))}
HALVES = {
    "success_threshold_percent": 50.0, "success_action": "next-group", "error_threshold_percent": 50.0,
    "error_action": "pause",
}  # fmt: skip


LOSSY = imports.How(accept_losses=True)
OLD = imports.How(options=imports.Options(server_version=(0, 4)), accept_losses=True)


def convert(document: object, how: imports.How | None = None) -> imports.Imported:
    """A document as the command reads it."""
    return imports.from_text(json.dumps(document), "plan.json", how)


def refused(document: object, how: imports.How | None = None) -> list[Problem]:
    """What stops the import of a document."""
    with pytest.raises(ScenarioError) as caught:
        convert(document, how)
    return caught.value.problems


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
    assert read.losses == []
    named = [note.split(":")[0] for note in read.notes]
    assert named == [
        "document", "targets", "presignedUrlConfig", "tags", "schedulingConfig.startTime", "schedulingConfig.endTime",
        "schedulingConfig.maintenanceWindows",
    ]  # fmt: skip


def test_hawkbit_groups():
    """Listed groups: shares of all, own conditions over the rollout's, a filter as labels, forced after a day, late joiners."""
    read = convert(DOCUMENTS["hawkbit_rollout_groups"], LOSSY)
    assert [loss.key for loss in read.losses] == ["dynamicGroupTemplate.targetCount", "groups"]
    assert [loss["key"] for loss in read.strategy.pop("losses")] == ["dynamicGroupTemplate.targetCount", "groups"]
    common = {"success_threshold_percent": 95.0, "error_action": "pause"}
    assert read.strategy == {
        "preset": "hawkbit",
        "target_selection": "continuous",
        "rollout": {
            "percent_of": "hawkbit",
            "groups": [
                {"name": "lab-friends", "percent": 5.0, "filter": {"labels": {"owner": ["us"]}}, "success_action": "pause", "error_threshold_percent": 3.0, **common},
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
    assert [g.get("percent") for g in groups] == [25.0, 25.0, 25.0, None]
    old = convert(DOCUMENTS["hawkbit_rollout_post"], OLD).strategy["rollout"]
    assert [g.get("percent") for g in old["groups"]] == [25.0, pytest.approx(100 / 3), 50.0, None]
    assert (read.strategy["rollout"]["percent_of"], old["percent_of"]) == ("hawkbit", "remaining")
    assert {g["error_threshold_percent"] for g in groups} == {20.0}
    assert read.strategy["schedule"] == {
        "start_time": "2026-03-02T22:00:00", "time_zone": "+01:00", "window_gates": "install",
        "maintenance_windows": [{"cron": "0 1 * * 1-5", "duration": "210min"}],
    }  # fmt: skip
    assert read.strategy["delivery"] == {"action_type": "forced", "confirmation": "none"}


def test_hawkbit_answer_of_get():
    """What GET prints has no groups: the sizes are lost. Conditions that are absent are the server's defaults, and said."""
    assert [p.key for p in refused(DOCUMENTS["hawkbit_rollout_get"])] == ["totalGroups"]
    read = convert(DOCUMENTS["hawkbit_rollout_get"], LOSSY)
    assert [
        {k: v for k, v in g.items() if k not in ("name", "percent")} for g in read.strategy["rollout"]["groups"]
    ] == [HALVES] * 5
    text = "\n".join(read.notes)
    assert read.losses[0].value == "5"
    assert "successCondition: absent: the server's default of 50 % stands" in text


def test_hawkbit_page_of_groups():
    """The answer of GET …/deploygroups beside the rollout."""
    document = DOCUMENTS["hawkbit_rollout_get"] | {
        "groups": {"content": DOCUMENTS["hawkbit_rollout_groups"]["groups"], "total": 3, "size": 3}
    }
    assert [g["name"] for g in convert(document, LOSSY).strategy["rollout"]["groups"]] == [
        "lab-friends",
        "early",
        "rest",
    ]


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
    read = convert(DOCUMENTS[name], LOSSY)
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
    """A field nobody documents stops the import and is named with its place, wherever it stands among the settings."""
    settings_of_the_plan = [path for path in objects(DOCUMENTS[name]) if not AS_A_WHOLE & set(path)]
    assert settings_of_the_plan
    for path in settings_of_the_plan:
        document = copy.deepcopy(DOCUMENTS[name])
        at(document, path)["surprise"] = {"x": 1}
        lost = [loss for loss in convert(document, LOSSY).losses if loss.key.endswith("surprise")]
        assert len(lost) == 1 and "an unknown field" in lost[0].why, path
        assert any(problem.key == lost[0].key for problem in refused(document)), path


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_counts(name):
    """Take any one field away, and the strategy, the title or what is said changes, or it is refused for the want of it."""
    before = convert(DOCUMENTS[name], LOSSY)
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
        try:
            assert convert(document, LOSSY) != before, (*path, key)
        except ScenarioError as error:
            assert key in str(error)


CRITERION = {"failureType": "FAILED", "action": "CANCEL", "thresholdPercentage": 20, "minNumberOfExecutedThings": 1}
RATE = {"baseRatePerMinute": 50, "incrementFactor": 1.5, "rateIncreaseCriteria": {"numberOfNotifiedThings": 10}}


@pytest.mark.parametrize(
    ("sections", "key", "says"),
    [
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": 1001}}, "maximumPerMinute", "allowed is 1 to 1000"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": 0}}, "maximumPerMinute", "allowed is 1 to 1000"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": 2.5}}, "maximumPerMinute", "a whole number is expected"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": "fast"}}, "maximumPerMinute", "a number is expected"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": "5"}}, "maximumPerMinute", "a number is expected"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": True}}, "maximumPerMinute", "a number is expected"),
        ({"jobExecutionsRolloutConfig": []}, "jobExecutionsRolloutConfig", "an object is expected"),
        ({"jobExecutionsRolloutConfig": {"exponentialRate": {**RATE, "incrementFactor": 5.5}}}, "incrementFactor", "1.1 to 5"),
        ({"jobExecutionsRolloutConfig": {"exponentialRate": {**RATE, "incrementFactor": 1.55}}}, "incrementFactor", "1 decimals"),
        ({"jobExecutionsRolloutConfig": {"exponentialRate": {**RATE, "baseRatePerMinute": None}}}, "baseRatePerMinute", "needed"),
        ({"jobExecutionsRolloutConfig": {"exponentialRate": {**RATE, "rateIncreaseCriteria": {"x": 0}}}},
         "numberOfNotifiedThings", "this or numberOfSucceededThings is needed"),
        ({"targetSelection": "EVERYBODY"}, "targetSelection", "allowed are SNAPSHOT, CONTINUOUS"),
        ({"timeoutConfig": {"inProgressTimeoutInMinutes": 10081}}, "inProgressTimeoutInMinutes", "allowed is 1 to 10080"),
        ({"timeoutConfig": {"inProgressTimeoutInMinutes": -1}}, "inProgressTimeoutInMinutes", "allowed is 1 to 10080"),
        ({"abortConfig": {"criteriaList": [{**CRITERION, "thresholdPercentage": 120}]}}, "thresholdPercentage", "above 0 to 100"),
        ({"abortConfig": {"criteriaList": [{**CRITERION, "thresholdPercentage": 0}]}}, "thresholdPercentage", "above 0 to 100"),
        ({"abortConfig": {"criteriaList": [{**CRITERION, "action": "PAUSE"}]}}, "action", "allowed are CANCEL"),
        ({"abortConfig": {"criteriaList": [{**CRITERION, "failureType": None}]}}, "failureType", "needed"),
        ({"abortConfig": {"criteriaList": []}}, "criteriaList", "one or more are needed"),
        ({"abortConfig": {"criteriaList": []}}, "criteriaList", "one or more are needed"),
        ({"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 11}]}},
         "numberOfRetries", "0 to 10"),
        ({"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "REJECTED", "numberOfRetries": 1}]}},
         "failureType", "allowed are FAILED"),
        ({"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "ALL", "numberOfRetries": 1},
                                                        {"failureType": "FAILED", "numberOfRetries": 1}]}},
         "criteriaList", "one criterion for ALL"),
        ({"schedulingConfig": {"startTime": "soon"}}, "startTime", "a time is expected"),
        ({"schedulingConfig": {"startTime": "2026-03-02T22:00", "endTime": "2026-03-02T22:10"}}, "endTime", "30 minutes to 2 years"),
        ({"schedulingConfig": {"maintenanceWindows": [{"startTime": "cron(0 2 * * ? *)", "durationInMinutes": 1431}]}},
         "durationInMinutes", "1 to 1430"),
        ({"schedulingConfig": {"maintenanceWindows": [{"startTime": "cron(0 2 * * ? *)"}]}}, "durationInMinutes", "needed"),
    ],
)  # fmt: skip
def test_aws_refuses(sections, key, says):
    """What AWS would refuse is refused as a whole, also where losses are accepted, with the field, the value and AWS's bounds."""
    problems = refused({"jobId": "j", **sections}, LOSSY)
    assert [p.key.split(".")[-1] for p in problems if "x" not in p.key.split(".")] == [key]
    assert says in problems[0].cure and problems[0].cure.startswith("AWS IoT Jobs refuses it")


def test_all_that_aws_refuses_is_said_at_once():
    """Every mistake of a document in one list, with lines."""
    text = json.dumps({
        "jobId": "odd", "abortConfig": {"criteriaList": [CRITERION, {**CRITERION, "thresholdPercentage": 101, "action": "PAUSE"}]},
        "timeoutConfig": {"inProgressTimeoutInMinutes": 0},
    }, indent=1)  # fmt: skip
    with pytest.raises(ScenarioError) as caught:
        imports.from_text(text, "odd.json")
    found = [(p.line, p.key, p.found) for p in caught.value.problems]
    lines = text.splitlines()
    assert found == [
        (next(i for i, line in enumerate(lines, 1) if "101" in line), "abortConfig.criteriaList[1].thresholdPercentage", "101"),
        (next(i for i, line in enumerate(lines, 1) if "PAUSE" in line), "abortConfig.criteriaList[1].action", "PAUSE"),
        (next(i for i, line in enumerate(lines, 1) if "inProgress" in line), "timeoutConfig.inProgressTimeoutInMinutes", "0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sections", "key", "value"),
    [
        ({"schedulingConfig": {"endTime": "2026-03-02T22:00"}}, "schedulingConfig.endTime", "2026-03-02T22:00:00+00:00"),
        ({"schedulingConfig": {"maintenanceWindows": [{"startTime": "cron(0 2 15W * ? *)", "durationInMinutes": 60}]}},
         "schedulingConfig.maintenanceWindows[0].startTime", "cron(0 2 15W * ? *)"),
        ({"jobTemplateArn": "arn:aws:iot:eu-central-1:111122223333:jobtemplate/slow"}, "jobTemplateArn",
         "arn:aws:iot:eu-central-1:111122223333:jobtemplate/slow"),
    ],
)  # fmt: skip
def test_aws_losses(sections, key, value):
    """What AWS takes and a strategy cannot hold stops the import, and stands in the strategy where losses are accepted."""
    assert [(p.key, p.found) for p in refused({"jobId": "j", **sections})] == [(key, value)]
    read = convert({"jobId": "j", **sections}, LOSSY)
    assert [(loss["key"], loss["value"]) for loss in read.strategy["losses"]] == [(key, value)]
    assert f"# - {read.losses[0]}" in imports.to_yaml(read, "j.json")


def test_a_template_of_a_job():
    """What a template limits is not in the input of create-job, whatever that sets itself; a printed job has it all."""
    made = {"jobId": "j", "jobTemplateArn": "arn:t", "timeoutConfig": {"inProgressTimeoutInMinutes": 60}}
    assert [(p.key, p.found) for p in refused(made)] == [("jobTemplateArn", "arn:t")]
    for printed in ({"createdAt": 1772571600}, {"jobArn": "arn:j"}, {"status": "SCHEDULED"}):
        read = convert({**made, **printed})
        assert read.strategy["timeouts"] == {"in_progress": "1h"} and not read.losses
        assert "jobTemplateArn: not carried over: the job has taken what it needs of it" in read.notes


@pytest.mark.parametrize(
    ("sections", "key", "shown"),
    [
        ({"timeoutConfig": {"inProgressTimeoutInMinutes": "60"}}, "timeoutConfig.inProgressTimeoutInMinutes", '"60"'),
        ({"timeoutConfig": {"inProgressTimeoutInMinutes": True}}, "timeoutConfig.inProgressTimeoutInMinutes", "true"),
        ({"timeoutConfig": {"inProgressTimeoutInMinutes": {"Ref": "P"}}}, "timeoutConfig.inProgressTimeoutInMinutes", '{"Ref": "P"}'),
        ({"timeoutConfig": "60 min"}, "timeoutConfig", '"60 min"'),
        ({"targetSelection": 7}, "targetSelection", "7"),
    ],
)  # fmt: skip
def test_values_of_a_wrong_type_are_shown_as_the_file_has_them(sections, key, shown):
    """A text that reads like the number it should be is in quotes; Python's spelling is nowhere."""
    assert [(p.key, p.found) for p in refused({"jobId": "j", **sections})] == [(key, shown)]


def test_a_window_of_one_year():
    """A cron with a year is a window of that year alone."""
    window = {"startTime": "cron(0 2 * * ? 2027,2029-2030)", "durationInMinutes": 60}
    assert job(schedulingConfig={"maintenanceWindows": [window]}).strategy["schedule"]["maintenance_windows"] == [
        {"cron": "0 2 * * *", "years": [2027, 2029, 2030], "duration": "1h"}
    ]


# --- hawkBit: what it refuses, what it ignores -----------------------------------------------------------------------


def rollout(how: imports.How | None = None, **fields: object) -> imports.Imported:
    """A rollout with these fields."""
    return convert({"name": "r", "distributionSetId": 1, **ONE_SIZE, **fields}, how)


ONE_SIZE = {"amountGroups": 1}
NIGHT = {"schedule": "0 0 3 ? * *", "duration": "03:00:00", "timezone": "+00:00"}


def test_a_rollout_as_an_older_server_prints_it():
    """Without the number of groups, which only the body of a new rollout must have."""
    printed = convert({"id": 3, "status": "ready", "name": "r", "distributionSetId": 1, "deleted": False})
    assert [g["name"] for g in printed.strategy["rollout"]["groups"]] == ["group-1"]


@pytest.mark.parametrize(
    ("fields", "key", "says"),
    [
        ({"amountGroups": 501}, "amountGroups", "allowed is 1 to 500"),
        ({"type": "urgent"}, "type", "allowed are forced, soft"),
        ({"successCondition": {"condition": "COUNT", "expression": "5"}}, "condition", "allowed are THRESHOLD"),
        ({"errorCondition": {"condition": "THRESHOLD", "expression": "-1"}}, "expression", "holds at once"),
        ({"errorAction": {"action": "NEXTGROUP"}}, "action", "allowed are PAUSE"),
        ({"groups": [{"targetPercentage": 0.5}, {}]}, "targetPercentage", "allowed is 1 to 100"),
        ({"groups": [{"targetPercentage": 101}, {}]}, "targetPercentage", "allowed is 1 to 100"),
        ({"groups": [{"targetPercentage": 20}, {"targetPercentage": 50}]}, "targetPercentage", "all targets to be in a group"),
        ({"maintenanceWindow": {**NIGHT, "duration": "48:00:00"}}, "duration", "below 24 hours"),
        ({"maintenanceWindow": {**NIGHT, "duration": "3 hours"}}, "duration", "such as 02:00:00"),
        ({"maintenanceWindow": {**NIGHT, "duration": "00:00:00"}}, "duration", "such as 02:00:00"),
        ({"maintenanceWindow": {**NIGHT, "timezone": "Asia/Kolkata"}}, "timezone", "such as +05:30"),
        ({"maintenanceWindow": {**NIGHT, "timezone": "+18:30"}}, "timezone", "at most 18 hours"),
        ({"maintenanceWindow": {"schedule": "0 0 3 ? * *", "duration": "03:00:00"}}, "timezone", "needed"),
        ({"maintenanceWindow": {**NIGHT, "schedule": "0 0 3 1 1 ? 2024"}}, "schedule", "past"),
        ({"pollingTime": "often"}, "pollingTime", "such as 00:05:00~10%"),
        ({"amountGroups": None}, "amountGroups", "the server wants amountGroups or groups"),
        ({"amountGroups": None, "groups": []}, "groups", "1 to 500 groups"),
        ({"groups": {"content": [], "total": 0}}, "groups", "1 to 500 groups"),
        ({"startAt": 1800000000}, "startAt", "seconds? Milliseconds since 1970 are expected: 1800000000000"),
        ({"type": "timeforced", "forcetime": 1800000000}, "forcetime", "1800000000000"),
    ],
)  # fmt: skip
def test_hawkbit_refuses(fields, key, says):
    """What the server refuses is refused, also where losses are accepted."""
    problems = refused({"name": "r", "distributionSetId": 1, **ONE_SIZE, **fields}, LOSSY)
    assert [(p.key.split(".")[-1], says in p.cure) for p in problems] == [(key, True)], problems


def test_a_window_is_past_as_seen_from_the_start():
    """A window once in 2024: refused today, taken by a rollout that was created before it."""
    once = {**NIGHT, "schedule": "0 50 18 13 11 ? 2024"}
    before = datetime(2024, 11, 1, tzinfo=UTC).timestamp() * 1000
    read = rollout(createdAt=before, maintenanceWindow=once)
    assert read.strategy["schedule"]["maintenance_windows"] == [
        {"cron": "50 18 13 11 *", "years": [2024], "duration": "3h"}
    ]
    assert "past" in str(refused({"distributionSetId": 1, **ONE_SIZE, "maintenanceWindow": once}))


@pytest.mark.parametrize(
    ("expression", "success", "error"),
    [
        ("20", 20.0, 20.0), ("0", 0.0, 0.0), ("+7", 7.0, 7.0), (30, 30.0, 30.0), (None, 100.0, 100.0), ("", 100.0, 100.0),
        ("2.5", 100.0, None), ("5%", 100.0, None), (" 5", 100.0, None), ("many", 100.0, None), (2.5, 100.0, None),
        ("130", 100.0, None), ("99999999999999999999", 100.0, None),
    ],
)  # fmt: skip
def test_thresholds_as_the_server_reads_them(expression, success, error):
    """Whole numbers; without an expression 100 %; whatever Java cannot parse never holds, and that is said."""
    condition = {"condition": "THRESHOLD", **({} if expression is None else {"expression": expression})}
    read = rollout(amountGroups=2, successCondition=condition, errorCondition=condition)
    first = read.strategy["rollout"]["groups"][0]
    assert (first["success_threshold_percent"], first["error_threshold_percent"]) == (success, error)
    never = [note for note in read.notes if "never pauses for errors; modelled so" in note]
    assert len(never) == (error is None)
    StrategySection.model_validate(read.strategy)


def test_percentages_of_all_targets():
    """5/15/30/50 of 1,000 are 50, 150, 300, 500 on a current server; before 0.5 they were of the rest."""
    fields = {"groups": [{"targetPercentage": p} for p in (5, 15, 30, 50)]}
    listed = rollout(**fields).strategy["rollout"]
    assert listed["percent_of"] == "hawkbit"
    assert sizes(1000, [g.get("percent") for g in listed["groups"]], [None] * 4, HAWKBIT) == [50, 150, 300, 500]
    rest = {"groups": [{"targetPercentage": p} for p in (5, 15.5, 30, 100)]}
    old = rollout(OLD, **rest).strategy["rollout"]
    assert sizes(1000, [g.get("percent") for g in old["groups"]], [None] * 4, REMAINING) == [50, 147, 241, 562]


@pytest.mark.parametrize(
    ("query", "members"),
    [
        ("tag==internal", {"labels": {"tag": ["internal"]}}),
        ("attribute.site=='Plant 2'", {"labels": {"site": ["Plant 2"]}}),
        ("tag=in=(lab,own) and attribute.hw==B", {"labels": {"tag": ["lab", "own"], "hw": ["B"]}}),
        ("controllerId==pump-*", {"modules": ["pump-*"]}),
        ("id==a[1]?;tag==x", {"modules": ["a[[]1][?]"], "labels": {"tag": ["x"]}}),
        ("name==*", None),
    ],
)  # fmt: skip
def test_filters_of_groups(query, members):
    """A filter by whole values is one by labels or modules; one that takes everybody is none."""
    read = rollout(groups=[{"targetFilterQuery": query, "targetPercentage": 100}, {"targetPercentage": 100}])
    assert read.strategy["rollout"]["groups"][0].get("filter") == members
    StrategySection.model_validate(read.strategy)


@pytest.mark.parametrize(
    "query",
    ["tag!=internal", "tag==a,tag==b", "lastcontrollerrequestat=lt=5", "tag==in*", "tag==a;tag==b", "(tag==a)", ";"],
)
def test_filters_that_have_no_equal(query):
    """They select, so the import stops."""
    fields = {"distributionSetId": 1, "groups": [{"targetFilterQuery": query, "targetPercentage": 100}, {}]}
    assert [(p.key, p.found) for p in refused(fields)] == [("groups[0].targetFilterQuery", query)]


def test_a_filter_group_holds_its_targets_alone(tmp_path):
    """Two groups of the fleet, one labelled: the first rollout group is that one; a fleet without the label is refused."""
    document = {"distributionSetId": 1, "groups": [
        {"name": "internal", "targetFilterQuery": "tag==internal", "targetPercentage": 100}, {"name": "customers"},
    ]}  # fmt: skip
    (tmp_path / "r.json").write_text(json.dumps(document), encoding="utf-8")
    fleet = "fleet.groups=[{name: lab, share: 0.1, technology: lte-m, labels: {tag: internal}}, {name: field, share: 0.9, technology: lte-m}]"
    path = tmp_path / "s.yaml"
    path.write_text(BASE + "  strategy: {from: r.json}\n", encoding="utf-8")
    with pytest.warns(PlanFileWarning):
        loaded = Scenario.load(path, [fleet, "fleet.size=50"])
    world = build(loaded)
    executions, _, _ = build_executions(loaded, (0, 0), world.fleet)
    lab = world.fleet.rows["group"] == 0
    assert lab.sum() == 5 and np.array_equal(executions["group"], np.where(lab, 0, 1))
    with (
        pytest.warns(PlanFileWarning),
        pytest.raises(ScenarioError, match=r"no group of the fleet has them; write labels: \{tag: internal\}"),
    ):
        Scenario.load(path)


@pytest.mark.parametrize(
    ("body", "confirmation"),
    [
        ([{"id": "m1", "type": "soft", "confirmationRequired": True, "maintenanceWindow": NIGHT}], "user"),
        ({"id": "m1", "type": "soft", "confirmationRequired": False, "maintenanceWindow": NIGHT}, "none"),
    ],
)
def test_assignments(body, confirmation):
    """The body of an assignment, as the list it is or alone: everybody at once, no groups."""
    read = convert(body)
    assert read.strategy["rollout"] == {"groups": []}
    assert read.strategy["delivery"] == {"action_type": "soft", "confirmation": confirmation}
    assert read.strategy["schedule"]["window_gates"] == "install"


def test_windows_at_an_offset():
    """Sunday 01:00 at +05:30 is Saturday 19:30 in UTC, in the strategy file as well."""
    window = {"schedule": "0 0 1 ? * SUN", "duration": "02:00:00", "timezone": "+05:30"}
    read = rollout(maintenanceWindow=window)
    assert 'time_zone: "+05:30"' in imports.to_yaml(read, "r.json")
    schedule = StrategySection.model_validate(read.strategy).schedule  # from Monday, 5 January 2026, 00:00 at +05:30
    assert windows(schedule, 7 * 86400.0) == [((6 * 24 + 1) * 3600.0, (6 * 24 + 3) * 3600.0)]


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"dynamic": True, "dynamicGroupTemplate": {"nameSuffix": "-x", "targetCount": 5}}, "dynamicGroupTemplate.targetCount"),
        ({"type": "timeforced", "forcetime": 1772571600000}, "forcetime"),
        ({"groups": [{"targetPercentage": 50, "confirmationRequired": True}, {"targetPercentage": 50, "confirmationRequired": False}]},
         "groups"),
        ({"pollingTime": "00:05:00~10%, group == 'eu' -> 00:30:00"}, "pollingTime"),
        ({"maintenanceWindow": {**NIGHT, "schedule": "0 3 * *"}}, "maintenanceWindow.schedule"),
        ({"visibility": "hidden"}, "visibility"),
    ],
)  # fmt: skip
def test_hawkbit_losses(fields, key):
    """What the server does and a strategy cannot stops the import."""
    assert [p.key for p in refused({"name": "r", "distributionSetId": 1, **ONE_SIZE, **fields})] == [key]
    StrategySection.model_validate(rollout(LOSSY, **fields).strategy)


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (["グループ一", "グループ二", "group"], ["group", "group-2", "group-3"]),
        (["Gruppe 1", "Gruppe-1"], ["Gruppe-1", "Gruppe-1-2"]),
        (["a", "b", "A"], ["a", "b", "A"]),
    ],
)
def test_hawkbit_names_stay_apart(given, written):
    """Names that differ in the file differ in the scenario, too."""
    share = 100 // len(given)
    found = rollout(groups=[
        *({"name": name, "targetPercentage": share} for name in given[:-1]), {"name": given[-1], "targetPercentage": 100},
    ], amountGroups=None)  # fmt: skip
    assert [group["name"] for group in found.strategy["rollout"]["groups"]] == written


def test_hawkbit_refuses_equal_names():
    """The server wants the groups of a rollout to have different names."""
    groups = [{"name": "a", "targetPercentage": 50}, {"name": "a", "targetPercentage": 50}]
    assert [p.key for p in refused({"name": "r", "distributionSetId": 1, "groups": groups})] == ["groups[1].name"]


@pytest.mark.parametrize("start_ms", [0, -5])
def test_hawkbit_start_at_nought(start_ms):
    """A start of 0 is none: a forced time is not counted from 1970."""
    created, forced = 1772496000000, 1772582400000
    found = rollout(startAt=start_ms, createdAt=created, type="timeforced", forcetime=forced)
    assert found.strategy["delivery"]["force_time"] == "1d"
    assert "schedule" not in found.strategy
    assert any(note.startswith("startAt: no time after 1970") for note in found.notes)


def test_notes_of_hawkbit():
    """What changes nothing is a note."""
    read = rollout(type="timeforced", weight=0, amountGroups=1, pollingTime="00:01:00~10%")
    assert read.strategy["delivery"] == {"action_type": "forced", "polling_time": "00:01:00~10%"}
    assert any(note.startswith("weight: not carried over") for note in read.notes)
    assert any("read as forced from the start" in note for note in read.notes)


# --- files that are no plan ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("{", 1, "a plan file is JSON"),
        ("{\n\"a\": 1\n\"b\": 2}", 3, "a plan file is JSON"),
        ("[]", None, "a list of 0; give one plan"),
        ("7", None, "one JSON object"),
        ("{}", None, "give a plan of"),
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
        read = convert(document, LOSSY)
    except ScenarioError as error:
        assert all(problem.key and problem.cure for problem in error.problems)
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
        (cron.from_aws, "0 3 ? * 2 *", "2026-03-02 03:00"),
        (cron.from_quartz, "0 15 10 ? * 6L", "2026-03-27 10:15"),  # the last Friday
        (cron.from_quartz, "0 0 12 1 * ? *", "2026-03-01 12:00"),
        (cron.from_quartz, "0 0/30 8 ? * MON,WED", "2026-03-02 08:00"),
        (cron.from_quartz, "0 0 4 ? * L", "2026-03-07 04:00"),
        (cron.from_quartz, "30 0 4 ? * L", "2026-03-07 04:00:30"),
        (cron.from_quartz, "0 0 4 1 3 ? 2027-2031/2", "2027-03-01 04:00"),
        (cron.from_aws, "cron(0 5 1 * ? 2028)", "2028-01-01 05:00"),
    ],
)  # fmt: skip
def test_cron(reader, text, opens):
    """The first opening after the last moment of February 2026, by the calendar."""
    assert reader(text).next_after(datetime(2026, 2, 28, 23, 59)) == datetime.fromisoformat(opens)


@pytest.mark.parametrize(
    ("weekday", "days"),
    [
        ("2/2", {"Mon", "Wed", "Fri"}),  # a cron's 1/2 would come to Sunday again
        ("6/1", {"Fri", "Sat"}),
        ("FRI/1", {"Fri", "Sat"}),
        ("*/3", {"Sun", "Wed", "Sat"}),
        ("2-6/2", {"Mon", "Wed", "Fri"}),
        ("mon-thu/3", {"Mon", "Thu"}),
        ("1-7", {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}),
        ("MON,4", {"Mon", "Wed"}),
        ("MON-6", {"Mon", "Tue", "Wed", "Thu", "Fri"}),
        ("1", {"Sun"}),
    ],
)
@pytest.mark.parametrize(
    ("reader", "form"), [(cron.from_aws, "cron(0 2 ? * {} *)"), (cron.from_quartz, "0 0 2 ? * {}")]
)
def test_weekdays(weekday, days, reader, form):
    """Weekdays count from 1 for Sunday and end with 7 for Saturday: which days of three weeks a window opens on."""
    opens, at = set(), datetime(2026, 2, 28, 23, 59)
    while (at := reader(form.format(weekday)).next_after(at)) < datetime(2026, 3, 21):
        opens.add(f"{at:%a}")
    assert opens == days


@pytest.mark.parametrize(
    ("reader", "text"),
    [
        (cron.from_aws, "cron(0 2 1 * 2 *)"),  # a cron would open on either, and the products take neither
        (cron.from_aws, "cron(0 2 * * * *)"),
        (cron.from_aws, "cron(0 2 ? * ? *)"),
        (cron.from_aws, "cron(0 2 ? * 0 *)"),
        (cron.from_aws, "cron(0 2 ? * 8 *)"),
        (cron.from_aws, "cron(0 2 ? * 2/0 *)"),
        (cron.from_aws, "cron(0 2 ? * MONDAY *)"),
        (cron.from_quartz, "0 0 2 1 * MON"),
        (cron.from_quartz, "0 0 2 * * *"),
        (cron.from_quartz, "0 0 2 ? * 2-8"),
    ],
)
def test_cron_that_the_products_refuse(reader, text):
    """Both days given, none of them, or a weekday beyond 7."""
    with pytest.raises(cron.NotAllowed):
        reader(text)


@pytest.mark.parametrize("text", ["0 3 * * 1", "cron(0 3 * * 1)", "rate(5 minutes)", "cron(0 2 ? * 6-2/2 *)"])
def test_cron_that_is_not_carried(text):
    """Five fields do not say whether 1 is a Monday."""
    with pytest.raises(ValueError, match=r"six fields|not supported"):
        cron.from_aws(text)


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
        ("{from: job.txt}", "", "job.txt", None, "from: takes a plan file"),
        ("{from: 5}", "", "5", None, "from: takes a plan file"),
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
    """Losses stop it with 2 and nothing on stdout; accepted, they are on stderr and in the YAML; `--json` for programs."""
    path = str(DATA / "hawkbit_rollout_groups.json")
    stopped = CliRunner().invoke(app, ["import", path])
    assert isinstance(stopped.exception, ScenarioError) and stopped.stdout == ""
    shown = CliRunner().invoke(app, ["import", path, "--accept-losses"])
    assert shown.exit_code == 0
    strategy = YAML(typ="safe").load(shown.stdout)
    assert (strategy["preset"], strategy["losses"][0]["value"]) == ("hawkbit", "200")
    assert "fotasim: groups[0].name: written as lab-friends" in shown.stderr
    assert "fotasim: LOST dynamicGroupTemplate.targetCount: 200 is not carried over" in shown.stderr
    machine = json.loads(CliRunner().invoke(app, ["import", path, "--accept-losses", "--json"]).stdout)
    assert (machine["title"], machine["dialect"]) == ("gateways-3.2", "hawkbit")
    assert len(machine["notes"]) + len(machine["losses"]) == len(shown.stderr.splitlines())


def test_options_of_the_command():
    """The version of the server, a dialect, a package to roll back to; what cannot be meant is wrong use."""
    path = str(DATA / "hawkbit_rollout_post.json")
    old = json.loads(CliRunner().invoke(app, ["import", path, "--server-version", "0.4.1", "--json"]).stdout)
    assert old["strategy"]["rollout"]["percent_of"] == "remaining"
    wrong = CliRunner().invoke(app, ["import", path, "--dialect", "mendr"])
    assert "choose from aws-cloudformation" in str(wrong.exception)
    assert CliRunner().invoke(app, ["import", path, "--rollback", "fw"]).exit_code == 2


def test_a_scenario_takes_losses_only_by_its_word(tmp_path):
    """`{from: …}` stops at a loss; `accept_losses: true` beside it goes on, and the scenario keeps the list."""
    with pytest.raises(ScenarioError, match="totalGroups"):
        Scenario.load(write(tmp_path, "{from: hawkbit_rollout_get.json}"))
    with pytest.warns(PlanFileWarning) as notes:
        taken = Scenario.load(write(tmp_path, "{from: hawkbit_rollout_get.json, accept_losses: true}"))
    assert any("LOST totalGroups: 5 is not carried over" in str(note.message) for note in notes)
    assert [(loss.key, loss.value) for loss in taken.plan.strategy.losses] == [("totalGroups", "5")]
    assert Scenario.from_text(taken.to_yaml()) == taken
    with pytest.raises(ScenarioError, match="write true or false"):
        Scenario.load(write(tmp_path, "{from: hawkbit_rollout_get.json, accept_losses: perhaps}"))


def test_command_of_a_scenario_from_a_plan(tmp_path):
    """Commands on a scenario list what its plan file holds beyond the strategy."""
    shown = CliRunner().invoke(app, ["validate", str(write(tmp_path, "{from: hawkbit_rollout_post.json}"))])
    assert shown.exit_code == 0
    assert "fotasim: hawkbit_rollout_post.json: targetFilterQuery: id==tracker-* is not carried over" in shown.stderr


def test_times_are_utc():
    """Offsets and epoch seconds end up as UTC wall clock."""
    for given_time in (
        "2026-03-02T23:00:00+01:00",
        "2026-03-02T22:00",
        datetime(2026, 3, 2, 22, tzinfo=UTC).timestamp(),
    ):
        read = job(schedulingConfig={"startTime": given_time})
        assert read.strategy["schedule"]["start_time"] == "2026-03-02T22:00:00"
