"""Plans of the other products: OTA updates, Greengrass, CloudFormation, Mender, Azure, NervesHub, ThingsBoard, Memfault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sim.errors import PlanFileWarning, Problem, ScenarioError
from sim.scenario import Scenario, imports
from sim.scenario.strategy import StrategySection
from tests.support import BASE

LOSSY = imports.How(accept_losses=True)
RATE = {"maximumPerMinute": 7}
RATE_OF_A_JOB = {"jobExecutionsRolloutConfig": RATE}
GROWTH = {"baseRatePerMinute": 20, "incrementFactor": 1.5, "rateIncreaseCriteria": {"numberOfSucceededThings": 300}}
CRITERION = {
    "failureType": "TIMED_OUT",
    "action": "CANCEL",
    "thresholdPercentage": 12.5,
    "minNumberOfExecutedThings": 40,
}
OURS = {
    "failure_type": "timed_out", "threshold_percentage": 12.5, "min_number_of_executed": 40, "action": "cancel",
    "denominator": "completed",
}  # fmt: skip


def convert(document: object, how: imports.How | None = None, name: str = "plan.json") -> imports.Imported:
    """A document as the command reads it; the strategy is one that a scenario takes."""
    read = imports.from_text(document if isinstance(document, str) else json.dumps(document), name, how)
    StrategySection.model_validate(read.strategy)
    return read


def refused(document: object, how: imports.How | None = None, name: str = "plan.json") -> list[Problem]:
    """What stops the import of a document."""
    with pytest.raises(ScenarioError) as caught:
        convert(document, how, name)
    return caught.value.problems


# --- AWS -------------------------------------------------------------------------------------------------------------


def test_an_ota_update_keeps_its_limits():
    """Input of create-ota-update, and what get-ota-update prints: the same limits as a job, by names of their own."""
    given = {
        "otaUpdateId": "sensor-2", "targets": ["arn:x"], "targetSelection": "CONTINUOUS", "files": [{"fileName": "a"}],
        "awsJobExecutionsRolloutConfig": {**RATE, "exponentialRate": GROWTH},
        "awsJobAbortConfig": {"abortCriteriaList": [CRITERION]},
        "awsJobTimeoutConfig": {"inProgressTimeoutInMinutes": 45},
    }  # fmt: skip
    for document in (given, {"otaUpdateInfo": {**given, "otaUpdateStatus": "CREATE_COMPLETE"}}):
        read = convert(document)
        assert (read.dialect, read.title, read.losses) == ("aws-ota-update", "sensor-2", [])
        assert read.strategy == {
            "preset": "aws-iot-jobs", "target_selection": "continuous",
            "rollout": {"maximum_per_minute": 7, "exponential_rate": {
                "base_rate_per_minute": 20, "increment_factor": 1.5, "number_of_succeeded": 300}},
            "abort": {"criteria": [OURS]}, "timeouts": {"in_progress": "45min"},
        }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        (
            {"awsJobExecutionsRolloutConfig": {"maximumPerMinute": 1001}},
            "awsJobExecutionsRolloutConfig.maximumPerMinute",
        ),
        ({"awsJobAbortConfig": {"abortCriteriaList": []}}, "awsJobAbortConfig.abortCriteriaList"),
        (
            {"awsJobAbortConfig": {"criteriaList": [CRITERION]}},
            "awsJobAbortConfig.abortCriteriaList",
        ),  # a job's name of it
        ({"jobExecutionsRolloutConfig": RATE}, "jobExecutionsRolloutConfig"),
    ],
)
def test_an_ota_update_with_what_it_does_not_have(fields, key):
    """Bounds of AWS, and a job's field in an OTA update: named with the name in the file."""
    assert [p.key for p in refused({"otaUpdateId": "u", **fields})] == [key]


def test_a_greengrass_deployment():
    """To a thing group it is continuous; a growth of 1 is a constant rate; the device's own policies are notes."""
    read = convert({
        "targetArn": "arn:aws:iot:eu-central-1:111122223333:thinggroup/gateways", "deploymentName": "d",
        "components": {"a": {"componentVersion": "2.0.0"}}, "deploymentPolicies": {"failureHandlingPolicy": "ROLLBACK"},
        "iotJobConfiguration": {
            "jobExecutionsRolloutConfig": {"exponentialRate": {**GROWTH, "incrementFactor": 1}, "maximumPerMinute": 500},
            "abortConfig": {"criteriaList": [CRITERION]}, "timeoutConfig": {"inProgressTimeoutInMinutes": 60}},
    })  # fmt: skip
    assert read.strategy == {
        "preset": "aws-iot-jobs", "target_selection": "continuous", "rollout": {"maximum_per_minute": 20},
        "abort": {"criteria": [OURS]}, "timeouts": {"in_progress": "1h"},
    }  # fmt: skip
    assert any("failureHandlingPolicy" in note for note in read.notes)


TEMPLATE = """\
AWSTemplateFormatVersion: 2010-09-09
Resources:
  Bucket: {Type: AWS::S3::Bucket}
  Slow:
    Type: AWS::IoT::JobTemplate
    Properties:
      JobTemplateId: !Sub "${AWS::StackName}-slow"
      Description: slow
      JobExecutionsRolloutConfig:
        MaximumPerMinute: "30"
        ExponentialRolloutRate: {BaseRatePerMinute: 5, IncrementFactor: 2, RateIncreaseCriteria: {NumberOfNotifiedThings: 10}}
      AbortConfig:
        CriteriaList: [{Action: CANCEL, FailureType: ALL, MinNumberOfExecutedThings: 10, ThresholdPercentage: 2.5}]
      TimeoutConfig: {InProgressTimeoutInMinutes: 90}
      JobExecutionsRetryConfig: {RetryCriteriaList: [{FailureType: FAILED, NumberOfRetries: 2}]}
      MaintenanceWindows: [{StartTime: "cron(0 3 ? * 2 *)", DurationInMinutes: 120}]
"""


def test_a_template_of_cloudformation():
    """YAML with capitals, tags and numbers as text: every limit; the name, which the stack makes, is not known."""
    problems = refused(TEMPLATE, name="stack.yaml")
    assert [(p.key, p.found) for p in problems] == [
        ("Resources.Slow.Properties.JobTemplateId", "!Sub ${AWS::StackName}-slow")
    ]
    read = convert(TEMPLATE.replace('!Sub "${AWS::StackName}-slow"', "slow"), name="stack.yaml")
    assert read.strategy == {
        "preset": "aws-iot-jobs",
        "rollout": {"maximum_per_minute": 30, "exponential_rate": {
            "base_rate_per_minute": 5, "increment_factor": 2.0, "number_of_notified": 10}},
        "abort": {"criteria": [{"failure_type": "all", "threshold_percentage": 2.5, "min_number_of_executed": 10,
                                "action": "cancel", "denominator": "completed"}]},
        "timeouts": {"in_progress": "90min"},
        "retry": {"criteria": [{"failure_type": "failed", "number_of_retries": 2}]},
        "schedule": {"time_zone": "UTC", "window_gates": "release",
                     "maintenance_windows": [{"cron": "0 3 * * 1", "duration": "2h"}]},
    }  # fmt: skip


@pytest.mark.parametrize("rate", ["!Ref Rate", "{Ref: Rate}", "{'Fn::Sub': '${Rate}'}"])
def test_a_limit_that_a_stack_works_out(rate):
    """A limit by a parameter is not in the file: refused, never left out."""
    problems = refused(TEMPLATE.replace('"30"', rate).replace("!Sub", ""), name="stack.yaml")
    assert [p.key for p in problems] == ["Resources.Slow.Properties.JobExecutionsRolloutConfig.MaximumPerMinute"]
    assert problems[0].line == 10


@pytest.mark.parametrize("bare", ["010", "0x10", "0o10", "0b10", "1_000", "-010", "00.5"])
def test_numbers_that_yaml_reads_in_two_ways(bare):
    """A bare 010 is 8 to YAML 1.1 and 10 to 1.2; in quotes it is a text, which templates may write for a number."""
    text = "Type: AWS::IoT::Job\nProperties:\n  JobId: j\n  TimeoutConfig:\n    InProgressTimeoutInMinutes: "
    found = refused(f"{text}{bare}\n", name="t.yaml")
    assert [(p.line, p.found) for p in found] == [(5, bare)] and "plain decimal number" in found[0].cure
    for plain in ('"010"', "10", "10.0"):
        read = imports.from_text(f"{text}{plain}\n", "t.yaml")
        assert read.strategy["timeouts"] == {"in_progress": "10min"}


def test_a_resource_under_a_condition():
    """Whether the stack makes it is not in the file; it is read as if, and said."""
    resource = {"Type": "AWS::IoT::Job", "Condition": "InProduction", "Properties": {"JobId": "j"}}
    notes = convert({"Resources": {"A": resource}}).notes
    assert "Resources.A.Condition: InProduction: the plan is read as if it holds" in notes


def test_one_plan_of_a_stack():
    """None, or two: it is said what is there."""
    two = {"Resources": {name: {"Type": "AWS::IoT::JobTemplate", "Properties": {}} for name in ("A", "B")}}
    assert "A, B" in refused(two)[0].found
    assert refused({"Resources": {"X": {"Type": "AWS::S3::Bucket"}}})[0].found == "no plan of a rollout"
    assert refused({"Type": "AWS::IoT::JobTemplate"})[0].key == "Properties"


def test_a_plan_in_yaml_in_a_scenario(tmp_path):
    """`from` tells a template from a strategy file by its keys."""
    (tmp_path / "stack.yaml").write_text(TEMPLATE.replace("!Sub", ""), encoding="utf-8")
    (tmp_path / "s.yaml").write_text(BASE + "  strategy: {from: stack.yaml}\n", encoding="utf-8")
    with pytest.warns(PlanFileWarning):
        loaded = Scenario.load(tmp_path / "s.yaml")
    assert loaded.plan.strategy.rollout.maximum_per_minute == 30


# --- Mender ----------------------------------------------------------------------------------------------------------

PHASES = [
    {"batch_size": 10},
    {"batch_size": 30, "start_ts": "2026-02-01T06:00:00+01:00"},
    {"start_ts": "2026-02-03T00:00:00Z"},
]


def test_phases_of_mender():
    """By the clock alone, rounded down; retries, an end after so many devices, dynamic."""
    read = convert({
        "name": "gw", "artifact_name": "gw-5", "phases": PHASES, "retries": 1, "max_devices": 500, "dynamic": True,
        "created": "2026-01-31T12:00:00Z", "force_installation": False, "filter": {"id": "f"},
    })  # fmt: skip
    assert read.strategy == {
        "preset": "mender", "target_selection": "continuous", "retry": {"number_of_retries": 1},
        "rollout": {
            "rounding": "down", "max_devices": 500,
            "groups": [
                {"name": "phase-1", "percent": 10.0, "success_threshold_percent": 0},
                {"name": "phase-2", "percent": 30.0, "success_threshold_percent": 0, "start_at": "2026-02-01T05:00:00"},
                {"name": "phase-3", "success_threshold_percent": 0, "start_at": "2026-02-03T00:00:00"},
            ],
        },
        "schedule": {"start_time": "2026-01-31T12:00:00", "time_zone": "UTC"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"phases": [{"batch_size": 0}, {"start_ts": "2026-02-01T00:00:00Z"}]}, "phases[0].batch_size"),
        ({"phases": [{}, {"start_ts": "2026-02-01T00:00:00Z"}]}, "phases[0].batch_size"),
        ({"phases": [{"batch_size": 2.5}, {"start_ts": "2026-02-01T00:00:00Z"}]}, "phases[0].batch_size"),
        ({"phases": [{"batch_size": 50}, {"batch_size": 50}]}, "phases[1].start_ts"),
        ({"phases": [{"batch_size": 50}, {"start_ts": "2026-02-01T00:00:00"}]}, "phases[1].start_ts"),
        ({"phases": [{"batch_size": 60}, {"batch_size": 60, "start_ts": "2026-02-01T00:00:00Z"}]}, "phases"),
        ({"phases": [{"batch_size": 10, "start_ts": "2026-02-02T00:00:00Z"}, {"start_ts": "2026-02-01T00:00:00Z"}]},
         "phases[1].start_ts"),
        ({"retries": -1}, "retries"),
        ({"force_installation": True}, "force_installation"),
        ({"update_control_map": {"states": {"ArtifactInstall_Enter": {"action": "pause"}}}}, "update_control_map"),
        ({"retries": 101}, "retries"),
        ({"phases": [{"batch_size": 10}, {"start_ts": "2027-02-01T00:00:00Z"}]}, "phases"),
    ],
)  # fmt: skip
def test_mender_stops(fields, key):
    """What Mender refuses, and what a strategy cannot hold."""
    assert [p.key for p in refused({"name": "gw", "artifact_name": "a", **fields})] == [key]


# --- Azure Device Update ---------------------------------------------------------------------------------------------

POLICY = {
    "failure": {"devicesFailedPercentage": 4, "devicesFailedCount": 10},
    "update": {"updateId": {"provider": "p", "name": "n", "version": "3.9"}},
}  # fmt: skip
AZURE = {"deploymentId": "d", "groupId": "g", "startDateTime": "2026-01-05T08:00:00Z", "rollbackPolicy": POLICY}


def test_a_rollback_policy_of_azure(tmp_path):
    """With the package it is a rollback at both limits; without, the import stops, or the plan does without a rollback."""
    assert [p.key for p in refused(AZURE)] == ["rollbackPolicy.update.updateId.version"]
    how = imports.How(options=imports.Options(rollback=({"component": "fw", "size": "1 MB"},)))
    read = convert(AZURE, how)
    assert read.strategy["rollback"] == [{"component": "fw", "size": "1 MB", "version": "3.9"}]
    criterion = {
        "failure_type": "all",
        "threshold_percentage": 4.0,
        "min_number_of_failed": 10,
        "denominator": "targets",
    }
    assert read.strategy["abort"] == {"criteria": [{**criterion, "action": "rollback"}]}
    assert convert(AZURE, LOSSY).strategy["abort"] == {"criteria": [{**criterion, "action": "cancel"}]}
    (tmp_path / "d.json").write_text(json.dumps(AZURE), encoding="utf-8")
    package = "rollback: [{component: fw, version: '3.9', size: 1 MB}]"
    (tmp_path / "s.yaml").write_text(BASE + f"  strategy: {{from: d.json, {package}}}\n", encoding="utf-8")
    with pytest.warns(UserWarning):
        assert Scenario.load(tmp_path / "s.yaml").plan.strategy.abort.criteria[0].action == "rollback"


@pytest.mark.parametrize(
    ("policy", "key"),
    [
        ({"update": POLICY["update"]}, "failure"),
        ({**POLICY, "failure": {"devicesFailedPercentage": 101, "devicesFailedCount": 1}}, "devicesFailedPercentage"),
        ({**POLICY, "failure": {"devicesFailedPercentage": 0, "devicesFailedCount": 0}}, "devicesFailedCount"),
        ({**POLICY, "failure": {"devicesFailedPercentage": 5}}, "devicesFailedCount"),
    ],
)
def test_azure_refuses(policy, key):
    """A policy without both limits, or that holds at once."""
    assert refused({**AZURE, "rollbackPolicy": policy}, LOSSY)[0].key.split(".")[-1] == key


@pytest.mark.parametrize(
    ("document", "place", "state"),
    [
        ({"jobId": "j", **RATE_OF_A_JOB, "status": "CANCELLED"}, "status", "CANCELLED"),
        ({"otaUpdateId": "u", "otaUpdateStatus": "STOPPED"}, "otaUpdateStatus", "STOPPED"),
        ({"targetArn": "arn:x", "deploymentStatus": "CANCELLED"}, "deploymentStatus", "CANCELLED"),
        ({"amountGroups": 2, "status": "cancelled"}, "status", "cancelled"),
        ({"name": "m", "artifact_name": "a", "retries": 1, "status": "canceled"}, "status", "canceled"),
        ({"type": "normal", "release": "1.10", "cohort": "c", "status": "cancelled"}, "status", "cancelled"),
        ({"jobId": "j", **RATE_OF_A_JOB, "status": 7}, "status", "7"),
    ],
)  # fmt: skip
def test_a_state_that_the_product_does_not_have_stops(document, place, state):
    """It may mean that the plan is over: it is not told as progress."""
    assert [(p.key, p.found) for p in refused(document)] == [(place, state)]
    assert [loss.key for loss in convert(document, LOSSY).losses] == [place]


def test_states_of_plans_that_run_are_progress():
    """A plan that waits, runs or has run as written is taken."""
    for state in ("SCHEDULED", "IN_PROGRESS", "COMPLETED"):
        assert convert({"jobId": "j", **RATE_OF_A_JOB, "status": state}).losses == []
    for state in ("creating", "ready", "waiting_for_approval", "starting", "running", "finished"):
        assert convert({"amountGroups": 2, "status": state}).losses == []
    for state in ("scheduled", "pending", "inprogress", "finished"):
        assert convert({"name": "m", "artifact_name": "a", "retries": 1, "status": state}).losses == []


def test_an_empty_configuration_of_criteria_is_refused():
    """AWS wants the list in each: an empty object would be a stop that vanished."""
    job = {"jobId": "j", **RATE_OF_A_JOB, "abortConfig": {}, "jobExecutionsRetryConfig": {}}
    assert [p.key for p in refused(job)] == ["abortConfig.criteriaList", "jobExecutionsRetryConfig.criteriaList"]
    assert [p.key for p in refused({"otaUpdateId": "u", "awsJobAbortConfig": {}})] == [
        "awsJobAbortConfig.abortCriteriaList"
    ]
    greengrass = {"targetArn": "arn:x", "iotJobConfiguration": {"abortConfig": {}}}
    assert [p.key for p in refused(greengrass)] == ["iotJobConfiguration.abortConfig.criteriaList"]
    assert convert({"jobId": "j", **RATE_OF_A_JOB, "abortConfig": None}).strategy["rollout"] == {
        "maximum_per_minute": 7
    }


def test_a_fraction_is_no_percentage_of_azure():
    """0.1 meant as a tenth would stop at a thousandth; the API takes whole numbers."""
    document = {**POLICY, "failure": {"devicesFailedPercentage": 0.1, "devicesFailedCount": 5}}
    problems = refused({"startDateTime": "2027-04-22T20:21:00Z", "rollbackPolicy": document})
    assert [(p.key, p.found) for p in problems] == [("rollbackPolicy.failure.devicesFailedPercentage", "0.1")]


# --- NervesHub, ThingsBoard, Memfault --------------------------------------------------------------------------------


PRINTED = {
    "name": "prod", "is_active": True, "state": "on", "firmware_uuid": "f", "current_release": {"number": 3},
    "archive_uuid": None, "conditions": {"version": "< 1.10.0", "tags": []}, "delta_updatable": True, "device_count": 9,
    "releases_count": 3,
}  # fmt: skip


def test_what_the_api_of_nerveshub_prints_says_which_limits_are_defaults():
    """The API prints no limit: those of a new group are taken and named; a group that is off offers nothing."""
    read = convert({"data": PRINTED})
    assert (read.dialect, read.losses) == ("nerveshub", [])
    assert read.strategy["rollout"] == {"max_in_progress": 10, "in_progress_counts": "offered"}
    for name, default in (
        ("concurrent_updates", 10),
        ("inflight_update_expiration_minutes", 60),
        ("penalty_timeout_minutes", 1440),
    ):
        assert any(note.startswith(f"data.{name}: absent: {default} is taken") for note in read.notes)
    assert not any("absent" in note for note in convert({"name": "p", "concurrent_updates": 5, "penalty_timeout_minutes": 1,
                                                         "inflight_update_expiration_minutes": 2}).notes)  # fmt: skip
    off = {key: value for key, value in PRINTED.items() if key != "is_active"} | {
        "concurrent_updates": 5,
        "state": "off",
    }
    assert [(p.key, p.found) for p in refused({"data": off})] == [("data.state", "off")]
    assert [p.key for p in refused({"data": {**PRINTED, "is_active": False, "state": "off"}})] == ["data.is_active"]


def test_a_deployment_group_of_nerveshub():
    """So many at once from the offer on, expiry as timeout, the penalty as interval of retries."""
    read = convert({"deployment": {
        "name": "prod", "is_active": True, "concurrent_updates": 25, "inflight_update_expiration_minutes": 30,
        "penalty_timeout_minutes": 90, "device_failure_threshold": 3, "conditions": {"version": "< 2.0.0", "tags": ["prod"]},
    }})  # fmt: skip
    assert read.strategy == {
        "preset": "none", "rollout": {"max_in_progress": 25, "in_progress_counts": "offered"},
        "timeouts": {"in_progress": "30min"}, "retry": {"number_of_retries": 1000, "retry_interval": "90min"},
    }  # fmt: skip
    assert [p.key for p in refused({"name": "x", "concurrent_updates": 5, "is_active": False, "queue_management": "LIFO"})] == [
        "is_active", "queue_management",
    ]  # fmt: skip


def test_the_pace_of_thingsboard():
    """Packs per interval as a rate; a default of the environment is read and said; other settings are not read."""
    text = 'server: {port: 1}\nqueue:\n  core:\n    ota:\n      topic: t\n      pack-interval-ms: "${TB_X:30000}"\n      pack-size: 40\n'
    read = convert(text, name="thingsboard.yml")
    assert read.strategy == {"preset": "thingsboard", "rollout": {"maximum_per_minute": 80}}
    assert any("the default of TB_X is read" in note for note in read.notes)
    by_variable = {"TB_QUEUE_CORE_OTA_PACK_SIZE": "10", "TB_QUEUE_CORE_OTA_PACK_INTERVAL_MS": "60000"}
    assert convert(by_variable).strategy["rollout"] == {"maximum_per_minute": 10}
    assert [p.key for p in refused({"queue": {"core": {"ota": {"pack-size": 0}}}})] == ["queue.core.ota.pack-size"]


def test_the_names_of_thingsboards_manual():
    """The manual says FW where the server's file says OTA; two values of one setting are refused, equal ones are one."""
    manual = {"TB_QUEUE_CORE_FW_PACK_SIZE": 5, "TB_QUEUE_CORE_FW_PACK_INTERVAL_MS": 30_000}
    assert convert(manual).strategy["rollout"] == {"maximum_per_minute": 10}
    assert convert({**manual, "TB_QUEUE_CORE_OTA_PACK_SIZE": 5}).strategy["rollout"] == {"maximum_per_minute": 10}
    assert [p.key for p in refused({**manual, "TB_QUEUE_CORE_OTA_PACK_SIZE": 100})] == ["TB_QUEUE_CORE_FW_PACK_SIZE"]


def test_a_staged_rollout_of_memfault():
    """A share at random that waits for the operator; a whole cohort has no groups."""
    staged = {
        "data": {
            "type": "staged_rollout",
            "release": {"version": "1.2.3"},
            "cohort": {"slug": "beta"},
            "rollout_percent": 15,
        }
    }
    read = convert(staged)
    assert (read.title, read.strategy["rollout"]["groups"]) == (
        "1.2.3", [{"name": "staged", "percent": 15.0, "success_action": "pause"}, {"name": "rest"}]
    )  # fmt: skip
    assert "rollout" not in convert({"type": "normal", "release": "1.2.3", "cohort": "beta"}).strategy
    assert refused({"type": "normal", "release": "1", "cohort": "b", "rollout_percent": 15})[0].key == "rollout_percent"


# --- which dialect ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({"targets": ["arn:x"], "targetSelection": "SNAPSHOT"}, ("aws-ota-update", "aws-iot-jobs")),
        ({"amountGroups": 2, "artifact_name": "x"}, ("hawkbit", "mender")),
        ({"jobId": "j", "rollbackPolicy": {}}, ("aws-iot-jobs", "azure-device-update")),
        ({"type": "soft", "cohort": "x"}, ("hawkbit", "memfault")),
    ],
)
def test_two_dialects_fit(document, names):
    """It is asked, with their names; `--dialect` answers."""
    problem = refused(document)[0]
    assert all(name in problem.found for name in names) and "--dialect" in problem.cure
    assert imports.from_text(json.dumps({"targets": ["arn:x"], "targetSelection": "SNAPSHOT"}), "x.json",
                             imports.How("aws-iot-jobs")).strategy["target_selection"] == "snapshot"  # fmt: skip


def test_lists_and_pages():
    """A list or a page of one plan is that plan; of several one has to be chosen."""
    assert convert({"content": [{"amountGroups": 1}], "total": 1, "size": 1}).dialect == "hawkbit"
    assert "a list of 2" in refused([{"amountGroups": 1}, {"amountGroups": 2}])[0].found


# --- hostile files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("", "x.json", "an empty file"),
        ("\ufeff  \n", "x.json", "an empty file"),
        ("null", "x.json", "no object"),
        ('"text"', "x.json", "a bare text"),
        ('{"jobId": 1e400}', "x.json", "the number inf"),
        ('{"jobId": -Infinity}', "x.json", "numbers must be finite"),
        ('{"createdAt": ' + "9" * 5000 + "}", "x.json", "a number of thousands of digits"),
        ('{"createdAt": 123456789012345678901234567890}', "x.json", "at most 2^53"),
        ('{"jobId": "a", "abortConfig": {"criteriaList": [], "criteriaList": []}}', "x.json", "twice in one object"),
        ('{"a":' * 60 + "1" + "}" * 60, "x.json", "nested too deeply"),
        ("[" * 5000 + "]" * 5000, "x.yaml", "nested too deeply"),
        ("a: &x [1]\nb: *x\n", "x.yaml", "a YAML alias"),
        ("jobId: !!python/object/apply:os.system ['true']\n", "x.yaml", "file: found"),
        ("jobId: a\njobId: b\n", "x.yaml", "write each key once"),
        ("jobId: [a\n", "x.yaml", "fix the YAML"),
        ("timeoutConfig: {inProgressTimeoutInMinutes: .nan}\n", "x.yaml", "the number nan"),
        ("- - - a\n", "x.yaml", "a list of 1"),
        ("jobId: a\n" + "# " + "x" * (1 << 20), "x.yaml", "of YAML"),
    ],
)  # fmt: skip
def test_hostile_files(text, name, says):
    """Whatever is in the file: one clear refusal, never an error of ours."""
    assert says in str(refused(text, LOSSY, name)[0])


def test_a_file_of_ten_megabytes(tmp_path: Path):
    """Ten megabytes of an unknown field are read and named; seventeen are refused before they are read."""
    path = tmp_path / "big.json"
    path.write_text(json.dumps({"jobId": "j", "padding": "x" * 10_000_000}), encoding="utf-8")
    with pytest.raises(ScenarioError) as caught:
        imports.read_plan(path)
    assert [(p.key, len(p.found)) for p in caught.value.problems] == [("padding", 60)]
    path.write_text(" " * (17 << 20), encoding="utf-8")
    with pytest.raises(ScenarioError, match="at most 16 MiB"):
        imports.read_plan(path)
    path.write_bytes("\ufeff{}".encode("utf-16"))
    with pytest.raises(ScenarioError, match="not UTF-8"):
        imports.read_plan(path)


def test_a_mark_of_byte_order_is_no_fault(tmp_path: Path):
    """A file saved with a byte order mark is read."""
    path = tmp_path / "bom.json"
    path.write_text(json.dumps({"jobId": "j"}), encoding="utf-8-sig")
    assert imports.read_plan(path).title == "j"


def test_many_groups_are_read_in_time():
    """500 groups are hawkBit's most; 501 are refused, and a long list of them is not walked."""
    groups = [{"targetPercentage": 1}] * 20_000
    assert any("allowed are 500" in p.cure for p in refused({"distributionSetId": 1, "groups": groups}, LOSSY))


def test_many_faults_are_listed_once():
    """Five thousand unknown fields: the first hundred with their lines, and how many more; the file is read once for it."""
    text = json.dumps({"jobId": "j", **{f"x{i}": 1 for i in range(5000)}}, indent=0)
    assert len(text) < 65_536
    problems = refused(text)
    assert (len(problems), problems[0].line, problems[99].line) == (101, 3, 102)
    assert problems[100].found == "4900 more of these"


def test_a_page_that_holds_only_part_of_the_list_is_not_the_plan():
    """total says how many there are; which of them is meant, and what the others are, is not in the file."""
    one = {"name": "a", "amountGroups": 2}
    assert convert({"content": [one], "total": 1, "size": 1}).title == "a"
    assert refused({"content": [one], "total": 3, "size": 1})[0].found == "1 of 3 plans"
    assert refused({"content": [one], "total": "many"})[0].found == "1 of many plans"
    page = {"content": [{"name": "g", "targetPercentage": 100}], "total": 3, "size": 1}
    assert [(p.key, p.found) for p in refused({"name": "a", "id": 1, "groups": page})] == [
        ("groups.total", "1 of 3 groups")
    ]


def test_a_canceled_deployment_of_azure_updates_nobody():
    """Carried over it would run; without the field, or with false, it does."""
    document = {"deploymentId": "d", "groupId": "g", "startDateTime": "2026-01-05T00:00:00Z"}
    assert [p.key for p in refused({**document, "isCanceled": True})] == ["isCanceled"]
    assert convert({**document, "isCanceled": False}).strategy == convert(document).strategy


@pytest.mark.parametrize(
    ("document", "key", "over", "not_over"),
    [
        ({"jobId": "j", "status": ""}, "status", ["CANCELED", "DELETION_IN_PROGRESS"], ["IN_PROGRESS", "SCHEDULED", "COMPLETED"]),
        ({"otaUpdateId": "u", "otaUpdateStatus": ""}, "otaUpdateStatus", ["CREATE_FAILED", "DELETE_IN_PROGRESS"], ["CREATE_COMPLETE"]),
        ({"targetArn": "arn:aws:iot:x:1:thing/a", "deploymentStatus": ""}, "deploymentStatus", ["CANCELED", "FAILED", "INACTIVE"], ["ACTIVE"]),
        ({"name": "r", "amountGroups": 2, "status": ""}, "status", ["deleted", "stopped", "paused", "approval_denied"], ["running", "ready", "finished"]),
        ({"name": "r", "amountGroups": 2, "deleted": ""}, "deleted", [True], [False]),
        ({"name": "m", "artifact_name": "a", "status": ""}, "status", ["paused"], ["inprogress", "pending"]),
        ({"release": "1", "cohort": "c", "status": ""}, "status", ["pulled"], ["done"]),
    ],
)  # fmt: skip
def test_a_plan_that_offers_nothing_any_more(document, key, over, not_over):
    """Cancelled, deleted or paused there, it would run here: lost by name; accepted, the loss stands in the strategy."""
    for state in over:
        assert [(p.key, p.found) for p in refused({**document, key: state})] == [
            (key, str(state).replace("True", "true"))
        ]
    assert [loss["key"] for loss in convert({**document, key: over[0]}, LOSSY).strategy["losses"]] == [key]
    for state in not_over:
        assert convert({**document, key: state}).losses == []


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({"deploymentId": "d", "startDateTime": "2026-01-05T09:30:00"}, "startDateTime"),
        ({"jobId": "j", "schedulingConfig": {"startTime": "2026-01-05T09:30"}}, "schedulingConfig.startTime"),
    ],
)
def test_a_time_without_an_offset_is_said(document, key):
    """It is read as UTC, and that is told; with an offset there is nothing to tell."""
    read = convert(document)
    assert read.strategy["schedule"]["start_time"] == "2026-01-05T09:30:00"
    assert any(n.startswith(f"{key}: ") and n.endswith("no offset from UTC: read as UTC") for n in read.notes)
    with_offset = json.loads(json.dumps(document).replace('9:30:00"', '9:30:00+02:00"').replace('9:30"', '9:30+02:00"'))
    assert convert(with_offset).strategy["schedule"]["start_time"] == "2026-01-05T07:30:00"
    assert not any("no offset" in note for note in convert(with_offset).notes)
