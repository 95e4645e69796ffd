"""Every setting of the strategy is carried by the mock cloud's own plans, refused there, or named."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from sim.cloud_kinds.ddi import HAWKBIT as DDI
from sim.engines.live.quecthing import _check_strategy
from sim.engines.run import simulate
from sim.errors import FotasimError
from sim.scenario import Scenario
from sim.scenario.beyond_the_cloud import LEFT_TO_THE_MODULE
from sim.scenario.load import check
from sim.scenario.strategy import StrategySection
from sim.service.activated_plan import build
from sim.service.errors import Refused
from sim.service.known_device import Device

FLEET = """\
name: small
horizon: 7d
fleet:
  size: 60
  groups:
    - {name: all, share: 0.5, technology: lte-m, power: mains, components: {fw: "1.0.0"}, labels: {site: lab},
       check_in: {always: {report_every: 10min}}}
    - {name: others, share: 0.5, technology: lte-m, power: mains, components: {fw: "1.0.0"}, labels: {site: plant},
       check_in: {always: {report_every: 10min}}}
plan:
  name: fw-1.1.0
  components:
    - {component: fw, type: firmware, package: full, target_version: "1.1.0", size: 200 kB}
"""

CRITERION = {"threshold_percentage": 20}
GROUPS = [{"percent": 30}, {"percent": 70}]
WINDOW = {"start": "22:00", "duration": "4h"}
RATE = {"base_rate_per_minute": 10, "increment_factor": 2.0, "number_of_notified": 5}
ROLLBACK = {"component": "fw", "version": "1.0.0", "size": "200 kB"}


def _in(section: str, plain: dict[str, Any], **changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A strategy as it is without the setting, and with it."""
    return {section: plain}, {section: {**plain, **changed}}


def _of_group(**changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"rollout": {"groups": GROUPS}}, {"rollout": {"groups": [{**GROUPS[0], **changed}, GROUPS[1]]}}


def _of_criterion(**changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"abort": {"criteria": [CRITERION]}}, {"abort": {"criteria": [{**CRITERION, **changed}]}}


def _of_window(plain: dict[str, Any] = WINDOW, **changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return (
        {"schedule": {"maintenance_windows": [plain]}},
        {"schedule": {"maintenance_windows": [{**plain, **changed}]}},
    )


def _retry(**changed: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    plain = {"failure_type": "all", "number_of_retries": 2, "retry_interval": "10min"}
    return {"retry": {"criteria": [plain]}}, {"retry": {"criteria": [{**plain, **changed}]}}


def _filter(**lists: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return _of_group(filter=lists)


CRON = {"cron": "0 22 * * mon-fri", "duration": "4h"}
SOFT = {"action_type": "timeforced", "force_time": "24h"}
OPERATOR = {"confirmation": "operator"}
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "preset": ({}, {"preset": "canary"}),
    "target_selection": ({}, {"target_selection": "continuous"}),
    "preconditions.min_battery_percent": _in("preconditions", {}, min_battery_percent=55),
    "preconditions.min_rsrp_dbm": _in("preconditions", {}, min_rsrp_dbm=-100),
    "preconditions.needed_space": _in("preconditions", {}, needed_space="2 MB"),
    "preconditions.checked_by": _in("preconditions", {"checked_by": "both"}, checked_by="cloud"),
    "preconditions.on_unmet": _in("preconditions", {}, on_unmet="reject"),
    "delivery.need_push": _in("delivery", {}, need_push=False),
    "delivery.push_interval": _in("delivery", {}, push_interval="7min"),
    "delivery.polling_time": _in("delivery", {}, polling_time="3min"),
    "delivery.action_type": _in("delivery", {}, action_type="soft"),
    "delivery.force_time": _in("delivery", SOFT, force_time="48h"),
    "delivery.confirmation": _in("delivery", {}, confirmation="operator"),
    "delivery.approval_delay": _in("delivery", OPERATOR, approval_delay="3h"),
    "retry.number_of_retries": _in("retry", {}, number_of_retries=7),
    "retry.retry_interval": _in("retry", {"number_of_retries": 2}, retry_interval="7min"),
    "retry.criteria.failure_type": _retry(failure_type="failed"),
    "retry.criteria.number_of_retries": _retry(number_of_retries=5),
    "retry.criteria.retry_interval": _retry(retry_interval="20min"),
    "retry.back_off": _in("retry", {"number_of_retries": 2}, back_off=2.0),
    "retry.max_interval": _in("retry", {"number_of_retries": 2}, max_interval="24h"),
    "retry.jitter": _in("retry", {"number_of_retries": 2}, jitter=0.5),
    "retry.resume_download": _in("retry", {}, resume_download=True),
    "rollout.order": _in("rollout", {}, order="listed"),
    "rollout.stagger.label": _in("rollout", {}, stagger={"label": "site"}),
    "rollout.stagger.how": _in("rollout", {"stagger": {"label": "site"}}, stagger={"label": "site", "how": "in-turn"}),
    "rollout.stagger.first": _in(
        "rollout", {"stagger": {"label": "site"}}, stagger={"label": "site", "first": ["plant"]}
    ),
    "rollout.repeat_last_group": (
        {"rollout": {"groups": [{"count": 7}]}}, {"rollout": {"groups": [{"count": 7}], "repeat_last_group": True}},
    ),
    "rollout.groups.name": _of_group(name="early"),
    "rollout.groups.percent": _of_group(percent=20),
    "rollout.groups.count": ({"rollout": {"groups": GROUPS}}, {"rollout": {"groups": [{"count": 7}, {}]}}),
    "rollout.groups.filter.fleet_groups": _filter(fleet_groups=["others"]),
    "rollout.groups.filter.hardware": _filter(hardware=["B2"]),
    "rollout.groups.filter.modules": _filter(modules=["*1"]),
    "rollout.groups.filter.labels": _filter(labels={"site": ["plant"]}),
    "rollout.groups.success_threshold_percent": _of_group(success_threshold_percent=70),
    "rollout.groups.success_action": _of_group(success_action="pause"),
    "rollout.groups.error_threshold_percent": _of_group(error_threshold_percent=9),
    "rollout.groups.error_action": (
        {"rollout": {"groups": [{"percent": 30, "error_threshold_percent": 9}, {}]}},
        {"rollout": {"groups": [{"percent": 30, "error_threshold_percent": 9, "error_action": "cancel"}, {}]}},
    ),
    "rollout.groups.soak": _of_group(soak="24h"),
    "rollout.groups.start_time": _of_group(start_time="2d"),
    "rollout.groups.start_at": _of_group(start_at="2026-01-07T08:00"),
    "rollout.percent_of": _in("rollout", {"groups": [{"percent": 30}, {"percent": 60}, {}]}, percent_of="remaining"),
    "rollout.rounding": _in("rollout", {"groups": [{"percent": 46}, {}]}, rounding="down"),
    "rollout.maximum_per_minute": _in("rollout", {}, maximum_per_minute=3),
    "rollout.exponential_rate.base_rate_per_minute": _in("rollout", {}, exponential_rate=RATE),
    "rollout.exponential_rate.increment_factor": _in(
        "rollout", {"exponential_rate": RATE}, exponential_rate={**RATE, "increment_factor": 3.0}
    ),
    "rollout.exponential_rate.number_of_notified": _in(
        "rollout", {"exponential_rate": RATE}, exponential_rate={**RATE, "number_of_notified": 9}
    ),
    "rollout.exponential_rate.number_of_succeeded": _in(
        "rollout", {"exponential_rate": RATE}, exponential_rate={**RATE, "number_of_succeeded": 9}
    ),
    "rollout.rate_applies_to": _in("rollout", {}, rate_applies_to="all"),
    "rollout.notified_counts": _in("rollout", {}, notified_counts="released"),
    "rollout.max_in_progress": _in("rollout", {}, max_in_progress=6),
    "rollout.in_progress_counts": _in("rollout", {"max_in_progress": 6}, in_progress_counts="offered"),
    "rollout.max_in_progress_per_cell": _in("rollout", {}, max_in_progress_per_cell=2),
    "rollout.max_in_progress_per_label": _in("rollout", {}, max_in_progress_per_label={"site": 2}),
    "rollout.max_devices": _in("rollout", {}, max_devices=30),
    "abort.criteria.failure_type": _of_criterion(failure_type="rejected"),
    "abort.criteria.threshold_percentage": _of_criterion(threshold_percentage=30),
    "abort.criteria.min_number_of_failed": _of_criterion(min_number_of_failed=3),
    "abort.criteria.min_number_of_executed": _of_criterion(min_number_of_executed=9),
    "abort.criteria.denominator": _of_criterion(denominator="targets"),
    "abort.criteria.action": _of_criterion(action="pause"),
    "abort.evaluation_interval": _in("abort", {"criteria": [CRITERION]}, evaluation_interval="60s"),
    "abort.withdraw_success": _in("abort", {}, withdraw_success=True),
    "schedule.start_time": _in(
        "schedule", {"maintenance_windows": [WINDOW]}, start_time="2026-01-05T11:00"
    ),
    "schedule.end_time": _in("schedule", {}, end_time="3d"),
    "schedule.end_behavior": _in("schedule", {"end_time": "3d"}, end_behavior="cancel"),
    "schedule.time_zone": _in("schedule", {"maintenance_windows": [WINDOW]}, time_zone="Europe/Berlin"),
    "schedule.maintenance_windows.start": _of_window(start="20:00"),
    "schedule.maintenance_windows.cron": _of_window(CRON, cron="0 21 * * mon-fri"),
    "schedule.maintenance_windows.years": _of_window(CRON, years=[2027]),
    "schedule.maintenance_windows.duration": _of_window(duration="2h"),
    "schedule.maintenance_windows.days": _of_window(days=["mon"]),
    "schedule.window_gates": _in("schedule", {"maintenance_windows": [WINDOW]}, window_gates="download"),
    "timeouts.in_progress": _in("timeouts", {}, in_progress="5h"),
    "timeouts.timer_starts": _in("timeouts", {"in_progress": "5h"}, timer_starts="download_start"),
    "timeouts.step.confirm": _in("timeouts", {}, step={"confirm": "5h"}),
    "timeouts.step.download": _in("timeouts", {}, step={"download": "5h"}),
    "timeouts.step.update": _in("timeouts", {}, step={"update": "5h"}),
    "timeouts.offer": _in("timeouts", {}, offer="5h"),
    "timeouts.accept_late": _in("timeouts", {}, accept_late=True),
    "in_flight.on_pause": _in("in_flight", {}, on_pause="stop"),
    "in_flight.on_cancel": _in("in_flight", {}, on_cancel="revoke"),
    "in_flight.on_force_cancel": _in("in_flight", {}, on_force_cancel="stop"),
    "in_flight.on_revoked": _in("in_flight", {}, on_revoked="rollback"),
    "in_flight.waiting_become": _in("in_flight", {}, waiting_become="failed"),
    "overwrite_mode": ({}, {"overwrite_mode": "fail"}),
    "rollback.component": ({}, {"rollback": [ROLLBACK]}),
    "rollback.version": ({}, {"rollback": [ROLLBACK]}),
    "rollback.size": ({}, {"rollback": [ROLLBACK]}),
}  # fmt: skip
"""Each setting with a strategy in which it counts: without it, and with it."""

PROVENANCE = {"losses.key", "losses.value", "losses.why", "losses.cure"}
"""What an import did not carry over: text of the manifest and the report, which no cloud follows."""


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every setting of a section and of the sections in it."""
    for name, field in model.model_fields.items():
        parts = _models(field.annotation)
        for part in parts:
            yield from settings_of(part, f"{prefix}{name}.")
        if not parts:
            yield prefix + name


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def test_every_setting_of_the_schema_is_walked():
    """A new setting has a row here before it can be dropped in silence by any kind of cloud."""
    assert set(settings_of(StrategySection)) == set(SETTINGS) | PROVENANCE


def made(strategy: dict[str, Any], cloud: dict[str, Any]) -> Scenario:
    """The scenario with a strategy and a cloud; the preset is none unless the strategy says another."""
    document = yaml.safe_load(FLEET)
    document["plan"]["strategy"] = {"preset": "none", **deepcopy(strategy)}
    document["cloud"] = cloud
    return check(yaml.safe_dump(document), "small.yaml", ())


def planned(strategy: dict[str, Any]) -> str:
    """All that the mock cloud takes from a plan of its own, or why it is refused."""
    plan = {
        "id": 1, "name": "fw-1.1.0", "product_id": 1, "zero_at": 0.0,
        "components": [{"identifier": "fw", "kind": "firmware", "target_version": "1.1.0"}],
        "definition": {
            "strategy": {"preset": "none", **deepcopy(strategy)}, "mode": "silent", "whitelist": [], "blacklist": [],
        },
    }  # fmt: skip
    versions = [{"files": [{"id": 1, "size_bytes": 200_000, "source_version": ""}]}]
    devices = [Device(i, 1, f"8661{i:06d}", "", 0.0) for i in range(60)]
    try:
        rollout = build(plan, versions, devices, lambda *_: None, 1.0)
    except Refused as error:
        return f"refused: {error}"
    center = rollout.center
    return repr((center.plan, [e.group for e in center.executions], list(center.rollout.order)))


def dropped(read: Any) -> set[str]:
    """Settings that leave what is read as it was, and are not refused."""
    return {
        setting
        for setting, (plain, changed) in SETTINGS.items()
        if (after := read(changed)) == read(plain) and not after.startswith("refused")
    }


def recorded(strategy: dict[str, Any], cloud: dict[str, Any]) -> str:
    """Every module's record in a cloud in virtual time, where installations fail and space is scarce."""
    return _records(made(strategy, cloud), {})


def _records(given: Scenario, changed: dict[str, Any]) -> str:
    busy = {
        "fleet.failures.boot_failure": 0.3, "fleet.groups.0.free_space": "100 kB", "plan.strategy.rollout.maximum_per_minute": 3,
        "fleet.groups.0.technology": "nb-iot",
    }  # fmt: skip
    return str(simulate(given.with_({**busy, **changed}), engine="simpy").records.modules.to_csv())


PARAMETERS = {
    "message_loss_nb_iot": ("failures", 0.3), "message_loss_nb_iot_bad": ("failures", 0.3), "message_loss_lte": ("failures", 0.3),
    "duplicate_identity": ("failures", 0.5), "duplicate_takeover_s": ("failures", "90s"), "nat_timeout_s": ("physics", "60s"),
}  # fmt: skip


def test_parameters_that_are_told_to_have_no_effect_have_none():
    """Polled, a loss of messages, a forgotten connection or a cloned identity changes nothing that is recorded."""
    assert set(PARAMETERS) == DDI.parameters_without_effect
    polled = made({}, {"kind": "ddi", "server": "hawkbit"})
    changed = {f"fleet.{section}.{name}": value for name, (section, value) in PARAMETERS.items()}
    assert _records(polled, changed) == _records(polled, {})
    for name in set(PARAMETERS) - {"message_loss_nb_iot_bad", "duplicate_takeover_s"}:
        key = f"fleet.{PARAMETERS[name][0]}.{name}"
        assert _records(made({}, {}), {key: PARAMETERS[name][1]}) != _records(made({}, {}), {}), name


@pytest.mark.parametrize(
    "setting", [key for key in DDI.without_effect if key not in ("retry.criteria", "preconditions.checked_by")]
)
def test_what_is_told_to_have_no_effect_has_none(setting):
    """Polled, the records are the same with and without it; pushed, they are not."""
    plain, changed = SETTINGS[setting]
    polled = {"kind": "ddi", "server": "hawkbit"}
    assert recorded(changed, polled) == recorded(plain, polled)
    assert recorded(changed, {}) != recorded(plain, {})


def test_the_mock_cloud_carries_or_refuses_every_setting():
    """Only what a module sees to by itself, and the name of a group, leave its plans as they were."""
    assert dropped(planned) <= set(LEFT_TO_THE_MODULE)


@pytest.mark.parametrize(
    "setting",
    [
        "rollout.stagger.label",
        "rollout.max_in_progress_per_label",
        "rollout.repeat_last_group",
        "delivery.confirmation",
    ],
)
def test_live_runs_refuse_what_the_cloud_cannot_follow(setting):
    """With the key as the file has it, and the cure."""
    with pytest.raises(FotasimError, match=r"plan\.strategy\..*fotasim run"):
        _check_strategy(made(SETTINGS[setting][1], {}))
    _check_strategy(made({}, {}))
