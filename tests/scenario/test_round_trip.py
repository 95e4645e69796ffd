"""Import, export, import again: the same strategy, or a loss by name; over generated documents of every dialect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sim.cli.common import app
from sim.errors import ScenarioError
from sim.scenario import imports
from sim.scenario.exports import WRITERS, export
from sim.scenario.exports.times import aws_cron
from sim.scenario.strategy import StrategySection, Window
from tests.strategies import STRATEGY
from tests.support import BASE

DATA = Path("tests/scenario/data")


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


COUNTS = st.integers(1, 10_000)
RATE = st.fixed_dictionaries({
    "baseRatePerMinute": st.integers(1, 1000), "incrementFactor": st.integers(11, 50).map(lambda tenth: tenth / 10),
    "rateIncreaseCriteria": st.one_of(
        st.fixed_dictionaries({"numberOfNotifiedThings": COUNTS}), st.fixed_dictionaries({"numberOfSucceededThings": COUNTS}),
        st.fixed_dictionaries({"numberOfNotifiedThings": COUNTS, "numberOfSucceededThings": COUNTS}),
    ),
})  # fmt: skip
RELEASE = optional(maximumPerMinute=st.integers(1, 1000), exponentialRate=RATE)
CRITERIA = st.lists(
    st.fixed_dictionaries({
        "failureType": st.sampled_from(["FAILED", "REJECTED", "TIMED_OUT", "ALL"]), "action": st.just("CANCEL"),
        "thresholdPercentage": st.integers(1, 10_000).map(lambda share: share / 100), "minNumberOfExecutedThings": COUNTS,
    }),
    min_size=1, max_size=4,
)  # fmt: skip
BOUND = optional(inProgressTimeoutInMinutes=st.integers(1, 10080))
RETRIES = st.integers(0, 10)
RETRY = st.one_of(
    st.tuples(RETRIES).map(lambda n: [{"failureType": "ALL", "numberOfRetries": n[0]}]),
    st.tuples(RETRIES, RETRIES).map(lambda n: [
        {"failureType": "FAILED", "numberOfRetries": n[0]}, {"failureType": "TIMED_OUT", "numberOfRetries": n[1]},
    ]),
)  # fmt: skip
AWS_WINDOW = st.fixed_dictionaries({
    "startTime": st.sampled_from([
        "cron(30 22 ? * MON-FRI *)", "cron(0 2 ? * 7 *)", "cron(15 3 1 * ? 2027)", "cron(0/30 1 ? * 3#2 2027-2029)", "cron(0 5 L * ? *)",
        "cron(0 2 ? * 2/2 *)", "cron(0 2 ? * */3 2027)", "cron(0 2 ? * 1-7 *)",
    ]),
    "durationInMinutes": st.integers(1, 1430),
})  # fmt: skip
WINDOWS = st.lists(AWS_WINDOW, max_size=3)
SELECTION = st.sampled_from(["SNAPSHOT", "CONTINUOUS"])
SCHEDULE = st.one_of(
    optional(maintenanceWindows=WINDOWS),
    st.fixed_dictionaries(
        {"startTime": st.sampled_from(["2026-03-02T22:00", "2027-01-01T00:30:00+05:30"])},
        optional={"endTime": st.sampled_from(["2027-06-01T00:00:00Z", "2027-03-01T07:15"]),
                  "endBehavior": st.sampled_from(["STOP_ROLLOUT", "CANCEL", "FORCE_CANCEL"]), "maintenanceWindows": WINDOWS},
    ),
)  # fmt: skip
JOB = optional(
    jobExecutionsRolloutConfig=RELEASE, abortConfig=st.fixed_dictionaries({"criteriaList": CRITERIA}), timeoutConfig=BOUND,
    targetSelection=SELECTION, jobExecutionsRetryConfig=st.fixed_dictionaries({"criteriaList": RETRY}), schedulingConfig=SCHEDULE,
).map(lambda fields: {"jobId": "j", **fields})  # fmt: skip
OTA = optional(
    awsJobExecutionsRolloutConfig=RELEASE, awsJobAbortConfig=st.fixed_dictionaries({"abortCriteriaList": CRITERIA}),
    awsJobTimeoutConfig=BOUND, targetSelection=SELECTION,
).map(lambda fields: {"otaUpdateId": "u", **fields})  # fmt: skip
GREENGRASS = st.fixed_dictionaries({
    "targetArn": st.sampled_from(["arn:aws:iot:x:1:thing/a", "arn:aws:iot:x:1:thinggroup/a"]), "deploymentName": st.just("d"),
    "iotJobConfiguration": optional(
        jobExecutionsRolloutConfig=RELEASE, abortConfig=st.fixed_dictionaries({"criteriaList": CRITERIA}), timeoutConfig=BOUND
    ),
})  # fmt: skip


def capital(tree: Any) -> Any:
    """The names of a job as a template writes them."""
    own = {"exponentialRate": "ExponentialRolloutRate"}
    if isinstance(tree, dict):
        return {own.get(name, name[0].upper() + name[1:]): capital(value) for name, value in tree.items()}
    return [capital(value) for value in tree] if isinstance(tree, list) else tree


TEMPLATE = optional(
    jobExecutionsRolloutConfig=RELEASE, abortConfig=st.fixed_dictionaries({"criteriaList": CRITERIA}), timeoutConfig=BOUND,
    jobExecutionsRetryConfig=st.fixed_dictionaries({"retryCriteriaList": RETRY}),
    maintenanceWindows=st.lists(AWS_WINDOW, min_size=1, max_size=3),
).map(lambda fields: {"Type": "AWS::IoT::JobTemplate", "Properties": capital(fields)})  # fmt: skip

CONDITION = st.fixed_dictionaries(
    {"condition": st.just("THRESHOLD")}, optional={"expression": st.integers(0, 100).map(str)}
)
CONDITIONS: dict[str, Any] = {
    "successCondition": CONDITION, "errorCondition": CONDITION,
    "successAction": st.sampled_from([{"action": "NEXTGROUP"}, {"action": "PAUSE"}]), "errorAction": st.just({"action": "PAUSE"}),
}  # fmt: skip
GROUP = st.fixed_dictionaries(
    {"targetPercentage": st.integers(1, 40)},
    optional={"name": st.sampled_from(["a", "canary", "x.1"]), **CONDITIONS,
              "targetFilterQuery": st.sampled_from(["tag==internal", "attribute.site=in=(lab,'plant 2')", "controllerId==pump-*"])},
)  # fmt: skip


def named_apart(groups: list[dict[str, Any]]) -> bool:
    """Whether no two groups have the same name, which the server refuses."""
    names = [group["name"] for group in groups if "name" in group]
    return len(set(names)) == len(names)


HAWKBIT_FIELDS: dict[str, Any] = {
    **CONDITIONS, "type": st.sampled_from(["forced", "soft", "downloadonly"]), "confirmationRequired": st.booleans(),
    "startAt": st.integers(1_770_000_000, 1_800_000_000).map(lambda s: s * 1000), "dynamic": st.booleans(),
    "pollingTime": st.sampled_from(["00:01:00~10%", "01:00:00"]),
    "maintenanceWindow": st.fixed_dictionaries({
        "schedule": st.sampled_from(["0 0 1 ? * SUN", "30 15 2 1 * ?", "0 0 4 ? * 2-6 2027-2032"]),
        "duration": st.sampled_from(["02:00:00", "23:59:59", "00:30:00"]), "timezone": st.sampled_from(["+00:00", "+05:30", "-03:00"]),
    }),
}  # fmt: skip
HAWKBIT = st.one_of(
    st.fixed_dictionaries({"distributionSetId": st.just(1), "amountGroups": st.integers(1, 20)}, optional=HAWKBIT_FIELDS),
    st.fixed_dictionaries(
        {"distributionSetId": st.just(1),
         "groups": st.lists(GROUP, max_size=4).filter(named_apart).map(lambda groups: [*groups, {}])},
        optional=HAWKBIT_FIELDS,
    ),
    st.fixed_dictionaries(
        {"distributionSetId": st.just(1), "amountGroups": st.just(2), "type": st.just("timeforced"),
         "startAt": st.just(1_770_000_000_000), "forcetime": st.integers(1, 90).map(lambda day: 1_770_000_000_000 + day * 86_400_000)}
    ),
)  # fmt: skip
PHASES = st.lists(st.integers(1, 25), max_size=4).map(lambda sizes: [
    {**({"batch_size": size} if size else {}), **({"start_ts": f"2026-02-{number + 1:02d}T00:00:00Z"} if number else {})}
    for number, size in enumerate([*sizes, None])
])  # fmt: skip
MENDER = optional(
    phases=PHASES, retries=st.integers(0, 10), max_devices=COUNTS, dynamic=st.booleans(),
).map(lambda fields: {"name": "m", "artifact_name": "a", "created": "2026-01-20T10:00:00Z", **fields})  # fmt: skip
AZURE = st.fixed_dictionaries({
    "deploymentId": st.just("d"), "startDateTime": st.sampled_from(["2026-01-05T00:00:00Z", "2026-07-01T12:00:00+02:00"]),
    "rollbackPolicy": st.fixed_dictionaries({
        "failure": st.fixed_dictionaries({"devicesFailedPercentage": st.integers(1, 100), "devicesFailedCount": COUNTS}),
        "update": st.just({"updateId": {"provider": "p", "name": "fw", "version": "3.9"}}),
    }),
})  # fmt: skip
NERVESHUB = st.fixed_dictionaries(
    {"name": st.just("n"), "concurrent_updates": COUNTS},
    optional={"inflight_update_expiration_minutes": COUNTS, "penalty_timeout_minutes": st.integers(0, 5000)},
)
THINGSBOARD = st.tuples(st.integers(1, 5000), st.sampled_from([1000, 30_000, 60_000])).map(
    lambda pace: {"queue": {"core": {"ota": {"pack-size": pace[0], "pack-interval-ms": pace[1]}}}}
)
MEMFAULT = st.one_of(
    st.just({"type": "normal", "release": "1.2", "cohort": "c"}),
    st.integers(1, 99).map(lambda p: {"type": "staged_rollout", "release": "1.2", "cohort": "c", "rollout_percent": p}),
)
DOCUMENTS = {
    "aws-iot-jobs": JOB, "aws-ota-update": OTA, "aws-greengrass": GREENGRASS, "aws-cloudformation": TEMPLATE, "hawkbit": HAWKBIT,
    "mender": MENDER, "azure-device-update": AZURE, "nerveshub": NERVESHUB, "thingsboard": THINGSBOARD, "memfault": MEMFAULT,
}  # fmt: skip
PACKAGE = imports.Options(rollback=({"component": "fw", "size": 1000},))


def read(document: object, dialect: str = "", *, lossy: bool = False) -> StrategySection:
    """The strategy of a document; nothing is lost on the way unless told so."""
    imported = imports.from_text(json.dumps(document), "x.json", imports.How(dialect, lossy, PACKAGE))
    return StrategySection.model_validate(imported.strategy)


def test_every_dialect_is_written_too():
    """What is read can be written."""
    assert set(WRITERS) == set(DOCUMENTS) == set(imports.DIALECTS)


@pytest.mark.parametrize("dialect", DOCUMENTS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_document_of_a_dialect_comes_back(dialect, data):
    """A document within a dialect becomes a strategy, and that the same strategy again; only a hawkBit rollout's window,
    which the server ignores, is lost by name.
    """
    document = data.draw(DOCUMENTS[dialect])
    comes_back(read(document), dialect, window=dialect == "hawkbit" and "maintenanceWindow" in document)


def comes_back(strategy: StrategySection, dialect: str, *, window: bool) -> None:
    """Written and read again it is the same, but for a window that is named as lost."""
    written, losses = export(strategy, dialect, "title")
    assert [loss.key for loss in losses] == ["schedule.maintenance_windows"] * window
    again, given = read(written, dialect).model_dump(exclude={"losses"}), strategy.model_dump(exclude={"losses"})
    if window:
        del again["schedule"], given["schedule"]
    assert again == given


@pytest.mark.parametrize("path", sorted(DATA.glob("*.json")), ids=lambda path: path.stem)
def test_the_samples_come_back(path):
    """The same for the samples, whose own losses stay theirs."""
    document = json.loads(path.read_text(encoding="utf-8"))
    dialect = "hawkbit" if path.stem.startswith("hawkbit") else "aws-iot-jobs"
    comes_back(read(document, lossy=True), dialect, window=dialect == "hawkbit" and "maintenanceWindow" in document)


@pytest.mark.parametrize("dialect", DOCUMENTS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_strategy_is_written_or_its_losses_are_named(dialect, data):
    """Any strategy at all: what comes back is the same, or something was named as lost."""
    sections = data.draw(STRATEGY)
    try:
        strategy = StrategySection.model_validate(sections)
    except ValueError:
        return
    document, losses = export(strategy, dialect, "title")
    assert all(loss.key and loss.why and loss.cure for loss in losses)
    if losses:
        return
    assert read(document, dialect).model_dump(exclude={"preset"}) == strategy.model_dump(exclude={"preset"})


LOSSES = [
    ("aws-iot-jobs", {"rollout": {"maximum_per_minute": 1001}}, ["rollout.maximum_per_minute"]),
    ("aws-iot-jobs", {"abort": {"criteria": [{"threshold_percentage": 5, "action": "pause"}]}}, ["abort.criteria.0"]),
    ("aws-iot-jobs", {"rollout": {"max_in_progress": 5}}, ["rollout.max_in_progress"]),
    ("aws-iot-jobs", {"timeouts": {"in_progress": "90s"}}, ["timeouts.in_progress"]),
    ("aws-ota-update", {"schedule": {"end_time": "2d"}}, ["schedule.end_time"]),
    ("aws-iot-jobs", {"schedule": {"maintenance_windows": [{"start": "22:00", "duration": "24h"}]}},
     ["schedule.maintenance_windows.0"]),
    ("hawkbit", {"rollout": {"groups": [{"count": 5}, {}]}}, ["rollout.groups.0.count"]),
    ("hawkbit", {"rollout": {"groups": [{"percent": 0.5}, {}]}}, ["rollout.groups.0.percent"]),
    ("hawkbit", {"rollout": {"groups": [{"percent": 5, "error_threshold_percent": 2.5}, {}]}},
     ["rollout.groups.0.error_threshold_percent"]),
    ("hawkbit", {"rollout": {"groups": [{"percent": 5, "error_action": "cancel", "soak": "1h"}, {}]}},
     ["rollout.groups.0.error_action", "rollout.groups.0"]),
    ("hawkbit", {"rollout": {"percent_of": "total", "groups": [{"percent": 5}, {}]}}, ["rollout.percent_of"]),
    ("hawkbit", {"rollout": {"maximum_per_minute": 5}}, ["rollout.maximum_per_minute"]),
    ("hawkbit", {"abort": {"criteria": [{"threshold_percentage": 5}]}}, ["abort.criteria"]),
    ("hawkbit", {"schedule": {"time_zone": "Europe/Berlin", "maintenance_windows": [{"start": "22:00", "duration": "2h"}]}},
     ["schedule.maintenance_windows"]),
    ("mender", {"rollout": {"groups": [{"percent": 5}, {}], "rounding": "down"}}, ["rollout.groups.0"]),
    ("mender", {"rollout": {"groups": [{"percent": 5, "success_threshold_percent": 0}, {}]}}, ["rollout.rounding"]),
    ("azure-device-update", {"abort": {"criteria": [{"threshold_percentage": 5}]}}, ["abort.criteria"]),
    ("nerveshub", {"preset": "none"}, ["rollout.max_in_progress", "timeouts.in_progress", "retry.number_of_retries"]),
    ("thingsboard", {"retry": {"number_of_retries": 2}}, ["retry.number_of_retries"]),
    ("memfault", {"preset": "none"}, ["target_selection"]),
]  # fmt: skip
PRESETS = {"aws-iot-jobs": "aws-iot-jobs", "aws-ota-update": "aws-iot-jobs", "azure-device-update": "azure-du"}


@pytest.mark.parametrize(("dialect", "sections", "keys"), LOSSES)
def test_what_a_product_has_no_place_for(dialect, sections, keys):
    """Each is named with its key."""
    strategy = StrategySection.model_validate({"preset": PRESETS.get(dialect, dialect), **sections} if "preset" not in sections
                                              else sections)  # fmt: skip
    _, losses = export(strategy, dialect, "t")
    assert [loss.key for loss in losses] == keys


def test_the_command(tmp_path):
    """JSON on stdout; a loss stops it with all that is lost, or is named on stderr; an unknown dialect is wrong use."""
    path = tmp_path / "s.yaml"
    path.write_text(BASE + "  strategy: {preset: hawkbit, rollout: {maximum_per_minute: 5}}\n", encoding="utf-8")
    stopped = CliRunner().invoke(app, ["export", str(path), "--dialect", "hawkbit"])
    assert isinstance(stopped.exception, ScenarioError) and stopped.stdout == ""
    assert [p.key for p in stopped.exception.problems] == ["plan.strategy.rollout.maximum_per_minute"]
    shown = CliRunner().invoke(app, ["export", str(path), "--dialect", "hawkbit", "--accept-losses"])
    assert [g["targetPercentage"] for g in json.loads(shown.stdout)["groups"]] == [50.0, 100.0]
    assert "LOST plan.strategy.rollout.maximum_per_minute: 5" in shown.stderr
    assert CliRunner().invoke(app, ["export", str(path), "--dialect", "hawk"]).exit_code == 2


@pytest.mark.parametrize(
    ("weekday", "written"),
    [
        ("1/2", "1,2,4,6"),  # Monday, Wednesday, Friday, and the Sunday that is 7
        ("5-7", "1,6,7"),
        ("*/3", "1,4,7"),
        ("0-6/2", "1,3,5,7"),
        ("7", "1"),
        ("1-5", "2-6"),
        ("MON-FRI", "MON-FRI"),
        ("2#3", "3#3"),
        ("5L", "6L"),
    ],
)
def test_weekdays_for_aws(weekday, written):
    """A cron counts Sunday as 0 and as 7; AWS as 1 alone."""
    assert aws_cron(Window(cron=f"0 2 * * {weekday}", duration="1h")) == f"cron(0 2 ? * {written} *)"
