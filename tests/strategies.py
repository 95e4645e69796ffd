"""Random valid scenarios over the whole vocabulary of a strategy, for every engine's property-based tests.

`ANY` gives overrides of `tests.support.BASE` as {key: value as YAML}; `overrides(keys)` writes them as `key=value`.
Every scenario it gives loads, and is small enough to run in well under a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from sim.module.parameters import PARAMETERS, Parameter
from sim.scenario.presets import PRESET_NAMES, PRESETS


def overrides(keys: Mapping[str, str]) -> list[str]:
    """The keys as overrides of a scenario."""
    return [f"{key}={value}" for key, value in keys.items()]


def pick(*choices: Any) -> st.SearchStrategy[Any]:
    """One of the choices; the first is the simplest."""
    return st.sampled_from(choices)


MISSING = st.just(None)


def section(**choices: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A section of which any keys may be missing, one in three on average."""
    keys = {key: st.one_of(MISSING, choice, choice) for key, choice in choices.items()}
    return st.fixed_dictionaries(keys).map(lambda given: {k: v for k, v in given.items() if v is not None})


def parameters(section: str, *known: str) -> st.SearchStrategy[str]:
    """Settings of a section of the model's parameters as YAML: ones known to matter, or any, within their ranges."""
    rows = [row for row in PARAMETERS.values() if row.section == section]

    def written(drawn: dict[int, int]) -> str:
        return (
            "{"
            + ", ".join(f"{rows[i].name}: {_within(rows[i], quarter)}" for i, quarter in sorted(drawn.items()))
            + "}"
        )

    some = st.dictionaries(st.integers(0, len(rows) - 1), st.integers(0, 4), min_size=1, max_size=6).map(written)
    return st.one_of(pick(*known), some) if known else some


def _within(row: Parameter, quarter: int) -> str:
    """A value so many quarters up the range of a parameter, with its unit."""
    value = row.low + (row.high - row.low) * quarter / 4
    if row.low >= 1.0 and row.unit == "1":
        value = round(value)  # a count
    return f"{value:g}s" if row.unit == "s" else f"{value:g}"


FLEET = st.fixed_dictionaries({
    "seed": st.integers(0, 2**64 - 1),
    "horizon": pick("2d", "9d", "6h"),
    "fleet.size": pick(40, 20, 7, 1),
    "fleet.groups.0.technology": pick("nb-iot", "lte-m", "cat1bis", "cat1", "cat4"),
    "fleet.groups.0.power": pick("battery", "mains", "vehicle"),
    "fleet.groups.0.check_in": pick(
        "always", "{every: 6h, jitter: 1h}", "{poisson: 8h, awake: 90s}", "{every: 1d, at: '03:00', spread: 20min}",
        "{diurnal: {peaks: ['08:00', '17:30'], spread: 45min, online: 40min, probability: 0.6}}",
        "{sleepy: {tau: 12h, active: 6s}}", "{always: {report_every: 3h}}",
        "{kind: diurnal, peaks: ['07:00', '07:30', '09:00'], spread: 90min, online: 2h, probability: 0.9}",
        "{kind: sleepy, every: 5h, awake: 3min, edrx: 10s, jitter: 1h}",
    ),
    "fleet.groups.0.battery_percent": pick("90", "90", "3", "{distribution: uniform, low: 0, high: 100}"),
    "fleet.groups.0.battery": pick("{capacity: 9.36 Wh}", "{capacity: 0.3 Wh}", "{capacity: 1 Wh, recharge: {every: 30h, down_to: 0}}",
        "{capacity: 1 Wh, recharge: {every: 20h, down_to: 0, to: 100}}"),
    "fleet.groups.0.time_zone": pick("null", "null", "America/New_York", "+05:30"),
    "fleet.groups.0.rsrp_dbm": pick("-85", "-85", "-118", "{distribution: normal, mean: -105, sd: 14, low: -140, high: -50}"),
    "fleet.groups.0.free_space": pick("10 MB", "10 MB", "100 kB"),
    "fleet.groups.0.labels": pick("{site: lab}"),
    "fleet.groups.0.resume_download": pick("true", "false"),
    "fleet.groups.0.partition": pick("resumable", "in-place"),
    "fleet.groups.0.hardware": pick("A", "{A: 0.5, B: 0.5}"),
    "fleet.groups.0.anti_rollback": pick("false", "false", "true"),
    "fleet.groups.0.joins": pick("null", "null", "{distribution: uniform, low: 0h, high: 30h}",
        "{distribution: mixture, parts: [{weight: 3, distribution: constant, value: 0h}, {weight: 1, distribution: uniform, low: 1h, high: 40h}]}"),
    "fleet.groups.0.leaves": pick("null", "null", "null", "{distribution: uniform, low: 0h, high: 60h}", "3h"),
    "fleet.groups.0.mobile": pick("null", "null", "true", "false"),
    "fleet.groups.0.mcu_buffer": pick("null", "64 KiB"),
    "fleet.groups.0.failures": st.one_of(pick("{}", "{}"), parameters("failures")),
    "fleet.groups.0.physics": st.one_of(pick("{}", "{}"), parameters("physics")),
    "fleet.cells": st.one_of(
        pick("null", "null", "null", "{modules_per_cell: 3}", "{modules_per_cell: 20, random_access: false}"),
        parameters("cells").map(lambda given: "{modules_per_cell: 5, " + given[1:]),
    ),
    "fleet.lots": pick("null", "null", "{size: 4, correlation: 0.3}", "{label: site, correlation: 0.5}"),
    "fleet.outages": pick("[]", "[]", "[{at: 1h, lasts: 3h}]", "[{at: 30min, lasts: 5h, every: 9h, share: 0.5}]",
        "[{at: 0s, lasts: 2h, of: power}, {at: 10h, lasts: 10h, where: {hardware: [A]}}]",
        "[{at: 2h, lasts: 1h, share: 0.5, together: site}, {at: 4h, lasts: 1h, where: {labels: {site: [lab]}, modules: ['m000000*']}}]",
        "[{at: 1h, lasts: 1h, where: {fleet_groups: [all]}}]"),
    "fleet.callbacks": pick("document", "sdk-2.9"),
    "fleet.ordinary_day": pick("false", "false", "true"),
    "cloud.outages": pick("[]", "[]", "[]", "[{at: 0s, lasts: 90min}]", "[{at: 5min, lasts: 20min, every: 6h}]"),
    "fleet.failures": parameters("failures", "{}", "{boot_failure: 0.4, brick: 0.05, brick_in_place: 0.05}", "{boot_failure: 0.2}", "{hang: 0.4, hang_median_s: 2h}", "{link_drop_factor: 60, server_error: 0.3, checksum_error: 0.2}",
        "{boot_failure: 0.6, brick: 0.1, brick_in_place: 0.2, flash_error: 0.3}",
        "{early_success: 0.5, boot_failure: 0.4, brick: 0.1, other_version: 0.2}",
        "{late_failure: 0.6, late_failure_median_s: 2h, late_brick: 0.3, early_success: 0.3, boot_failure: 0.2}",
        "{acknowledgement_lost: 0.4, duplicate_identity: 0.5, duplicate_takeover_s: 5min}",
        "{power_loss_mains_per_h: 5, power_loss_vehicle_per_h: 5, message_loss_lte: 0.4, user_refusal: 0.5}"),
    "fleet.physics": parameters("physics", "{}", "{}", "{download_limit_s: 20, back_off_jitter_s: 0, back_off_s: 7}", "{long_back_off_s: 60}",
        "{nat_timeout_s: 40s, acknowledgement_timeout_s: 5s}", "{device_min_battery_percent: 50, device_min_rsrp_dbm: -110}",
        "{new_image_ma: 15}", "{data_plan_bytes: 100000}"),
    "cloud.keepalive": pick("120s", "20s"),
    "cloud.capacity": pick("{}", "{downloads_take_requests: true, request_time: 1s, request_workers: 3}", "{request_time: 2s, request_workers: 2, request_time_law: exponential}",
        "{request_time: 1s, request_workers: 1, request_time_law: lognormal, request_time_cv: 2}",
        "{downloads: 1, egress: 100 kbit/s, request_workers: 1, connections_per_s: 1}"),
})  # fmt: skip
"""The fleet, its failures and what the cloud can bear."""

COMPONENTS = pick(
    ({"fw": "1.0.0"}, [{"component": "fw", "type": "firmware", "package": "full", "target_version": "1.1.0", "size": "300 kB"}]),
    ({"fw": {"1.0.0": 0.6, "0.9": 0.2, "1.1.0": 0.2}},
     [{"component": "fw", "type": "firmware", "package": "delta", "source_version": "1.0.0", "target_version": "1.1.0", "size": "60 kB"}]),
    ({"fw": {"1.0.0": 0.5, "1.2.0": 0.3, "0.9.0": 0.2}},
     [{"component": "fw", "type": "firmware", "package": "full", "target_version": "1.1.0", "size": "200 kB",
       "files": 2, "defects": [{"from_version": "0.9.0", "boot_failure": 1.0}, {"hardware": "A", "brick": 0.1, "other_version": 0.2}, {"hardware": "A", "from_version": "1.0.0", "late_failure": 0.7}]}]),
    ({"fw": "1.0.0"}, [{"component": "fw", "type": "mcu", "package": "full", "target_version": "1.1.0", "size": "300 kB"}]),
    ({"fw": "1.0.0", "app": {"2.0": 0.8, "2.1": 0.2}},
     [{"component": "app", "type": "mcu", "package": "full", "target_version": "2.1", "size": "80 kB"},
      {"component": "fw", "type": "firmware", "package": "full", "target_version": "1.1.0", "size": "200 kB"}]),
)  # fmt: skip
"""Components of the modules and of the plan."""

ACTION = pick("rollback", "pause", "cancel", "force-cancel")
THRESHOLDS = section(
    success_threshold_percent=pick(100, 95, 50, 0), success_action=pick("next-group", "next-group", "pause"),
    error_threshold_percent=pick(50, 10, 0, 100), error_action=ACTION, soak=pick("0s", "1h", "5h"),
    start_time=pick("0s", "2h", "1d"), name=pick("pilot"),
)  # fmt: skip
SIZES = pick(
    [{"percent": 10}, {"percent": 40}, {}], [{"percent": 0}, {"percent": 33.3}, {}], [{"count": 1}, {"count": 5}, {}],
    [{"count": 3}, {"count": 4}], [{"count": 100}, {}], [{"percent": 50}, {"percent": 50}], [{}],
    [{"percent": 30, "filter": {"hardware": ["A"]}}, {"count": 3}, {"percent": 50, "filter": {"hardware": ["A"]}}, {}],
    [{"filter": {"hardware": ["A"]}}, {}], [{"filter": {"labels": {"site": ["lab"]}}, "percent": 30}, {}],
    [{"count": 5}, {"start_at": "2026-01-06T08:00"}], [{"filter": {"modules": ["*[02468]"]}}, {"filter": {"fleet_groups": ["all"]}}],
)  # fmt: skip


def _consistent(groups: tuple[dict[str, object], ...]) -> list[dict[str, object]]:
    """Groups that a scenario may have: names differ, and a date of its own leaves no start time beside it."""
    named = [{**g, "name": f"{g['name']}-{at}"} if "name" in g else g for at, g in enumerate(groups)]
    return [{k: v for k, v in g.items() if k != "start_time" or "start_at" not in g} for g in named]


GROUPS = SIZES.flatmap(
    lambda sizes: st.tuples(*(THRESHOLDS.map(lambda more, size=size: {**size, **more}) for size in sizes)).map(
        _consistent
    )
)
"""Rollout groups by percentage, count or filter, with thresholds, actions, soak and start times."""

EXPONENTIAL = pick(
    {"base_rate_per_minute": 1, "increment_factor": 2, "number_of_notified": 4},
    {"base_rate_per_minute": 2, "increment_factor": 1.5, "number_of_succeeded": 3},
    {"base_rate_per_minute": 1, "increment_factor": 1.1, "number_of_notified": 2, "number_of_succeeded": 2},
)
ROLLOUT = section(
    order=pick("shuffled", "listed"), groups=GROUPS, repeat_last_group=pick(True), percent_of=pick("total", "remaining", "hawkbit", "cumulative"),
    # "down" refuses a group of nobody, which a small fleet may have; groups are cut before either engine begins.
    rounding=pick("half-up"), stagger=section(how=pick("one-by-one", "in-turn"), first=pick(["lab"])).map(lambda given: {"label": "site", **given}),
    max_in_progress_per_label=pick({"site": 1}, {"site": 2}),
    maximum_per_minute=pick(1, 3, 7, 100), exponential_rate=EXPONENTIAL, rate_applies_to=pick("snapshot", "all"),
    notified_counts=pick("delivered", "released"), max_in_progress=pick(1, 2, 10),
    in_progress_counts=pick("released", "offered"),
    max_in_progress_per_cell=pick(1, 2, {"0": 3, "1": 2, "2": 1}), max_devices=pick(1, 5, 30),
)  # fmt: skip
CRITERION = section(
    failure_type=pick("all", "failed", "timed_out", "rejected"), min_number_of_executed=pick(1, 5, 20),
    denominator=pick("completed", "notified", "targets"), action=ACTION, min_number_of_failed=pick(0, 0, 3),
).flatmap(lambda given: pick(20, 5, 1, 100).map(lambda percent: {"threshold_percentage": percent, **given}))  # fmt: skip
RETRY = section(
    number_of_retries=pick(0, 1, 5), retry_interval=pick("0s", "20min", "6h"),
    criteria=pick(
        [], [{"failure_type": "failed", "number_of_retries": 1}],
        [{"failure_type": "failed", "number_of_retries": 2, "retry_interval": "20min"},
         {"failure_type": "timed_out", "number_of_retries": 1}],
        [{"failure_type": "all", "number_of_retries": 3, "retry_interval": "5min"}],
    ),
    jitter=pick(0, 0.5, 1), back_off=pick(1, 2, 10), max_interval=pick("1h", "10min"), resume_download=st.booleans(),
)  # fmt: skip
DELIVERY = section(
    need_push=st.booleans(), push_interval=pick("0s", "10min", "1h"),
    action_type=pick("forced", "forced", "soft", "timeforced", "download-only"), confirmation=pick("none", "none", "user", "operator"),
    approval_delay=pick("0s", "2h", "{distribution: uniform, low: 0h, high: 10h}"),
)  # fmt: skip
SCHEDULE = section(
    start_time=pick("2026-01-05T00:00", "2026-03-28T20:00", "2026-10-24T20:00"), time_zone=pick("UTC", "Europe/Berlin"),
    end_time=pick(None, None, "30h", "3h"), end_behavior=pick("stop-rollout", "cancel", "force-cancel"),
    maintenance_windows=pick(
        [], [{"start": "02:00", "duration": "2h"}], [{"cron": "30 */6 * * *", "duration": "1h", "years": [2026]}],
        [{"start": "23:00", "duration": "5h", "days": ["sat", "sun", "mon"]}, {"cron": "0 12 * * *", "duration": "24h"}],
    ),
    window_gates=pick("release", "push", "download", "install"),
)  # fmt: skip
STRATEGY = st.tuples(
    st.one_of(pick("none", "quectel"), st.sampled_from(PRESET_NAMES)),
    DELIVERY,
    section(
        target_selection=pick("snapshot", "continuous"),
        preconditions=pick(
            {}, {"on_unmet": "reject"}, {"checked_by": "device", "on_unmet": "reject"}, {"checked_by": "cloud"},
            {"min_battery_percent": 0, "min_rsrp_dbm": -140, "needed_space": "none"},
        ),
        retry=RETRY, rollout=ROLLOUT, schedule=SCHEDULE,
        abort=section(criteria=st.lists(CRITERION, min_size=1, max_size=3), evaluation_interval=pick("0s", "2s", "10min"),
            withdraw_success=st.booleans()),
        timeouts=section(
            in_progress=pick("1h", "5min"), timer_starts=pick("confirmed", "in_progress", "download_start"),
            step=section(confirm=pick("30min", "3h"), download=pick("10min", "1min"), update=pick("10min", "3min")),
            offer=pick(None, "5h", "1d"), accept_late=st.booleans(),
        ),
        in_flight=section(
            on_pause=pick("continue", "stop", "starve"), on_cancel=pick("continue", "ask", "revoke", "stop", "starve"),
            on_force_cancel=pick("revoke", "continue", "ask", "stop", "starve"), on_revoked=pick("keep", "rollback"),
            waiting_become=pick("canceled", "failed"),
        ),
        overwrite_mode=pick("keep", "fail", "replace"),
    ),
).map(lambda parts: {"preset": parts[0], "delivery": parts[1], **parts[2]})  # fmt: skip
OPERATOR = pick(
    [], [], [{"at": "1h", "do": "suspend"}, {"at": "4h", "do": "resume"}], [{"at": "3h", "do": "terminate"}],
    [{"at": "5h", "do": "retry-failed"}], [{"at": "2h", "do": "cancel", "modules": ["m000000*"]}],
    [{"at": "20min", "do": "suspend"}, {"at": "5h", "do": "terminate"}],
    [{"at": "90min", "do": "resume"}, {"at": "26h", "do": "resume"}],
)  # fmt: skip
LISTS = st.tuples(
    pick("[]", "[]", "['m0000003', 'm0000011']"), pick("[]", "[]", "['m*[02468]', 'm*1']"), pick("4h", "20min"),
)  # fmt: skip
"""Blacklist, whitelist and how long a user takes."""
EARLIER = pick(None, None, {"share": 0.5}, {"share": 1.0, "ends": "3h"})


def _together(
    fleet: dict[str, str], components: tuple[Any, Any], strategy: dict[str, Any], polling: str, mode: str, operator: Any,
    earlier: Any, lists: tuple[str, str, str],
) -> dict[str, str]:  # fmt: skip
    """Keys that fit each other: what contradicts itself in the vocabulary is set right, not thrown away."""
    strategy = json.loads(json.dumps(strategy))
    continuous = strategy.get("target_selection", PRESETS[strategy["preset"]].get("target_selection")) == "continuous"
    if not continuous and (int(fleet["fleet.size"]) < 20 or "mixture" not in fleet["fleet.groups.0.joins"]):
        fleet = {**fleet, "fleet.groups.0.joins": "null"}  # a snapshot needs somebody who is there
    if (
        "repeat_last_group" in (rollout := strategy.get("rollout", {}))
        and "count" not in rollout.get("groups", [{}])[-1]
    ):
        del rollout["repeat_last_group"]
    if "max_in_progress_per_label" in strategy.get("rollout", {}):
        strategy["rollout"]["max_in_progress_per_cell"] = None  # of the preset, too
    delivery = strategy["delivery"]
    delivery["polling_time"] = polling  # of a preset it may be a minute: too many events for a small test
    if delivery.get("action_type") == "timeforced":
        delivery["force_time"] = "3h"
    if delivery.get("action_type") == "download-only" and [c["type"] for c in components[1]] != ["firmware"]:
        delivery["action_type"] = "forced"
    if isinstance(delivery.get("approval_delay"), str) and delivery["approval_delay"].startswith("{"):
        delivery["approval_delay"] = {"distribution": "uniform", "low": "0h", "high": "10h"}
    strategy["rollback"] = [{"component": c["component"], "version": "0.0.9", "size": "50 kB"} for c in components[1]]
    return {
        **fleet, "fleet.groups.0.components": json.dumps(components[0]), "plan.components": json.dumps(components[1]),
        "plan.strategy": json.dumps(strategy), "plan.operator": json.dumps(operator),
        "plan.earlier_plan": json.dumps(earlier),
        "plan.blacklist": lists[0], "plan.whitelist": lists[1], "plan.user_delay": lists[2],
        "plan.mode": "silent" if delivery.get("confirmation") in ("none", "operator") else mode,
    }  # fmt: skip


ANY = st.builds(
    _together,
    FLEET,
    COMPONENTS,
    STRATEGY,
    pick("30min", "03:00:00~10%"),
    pick("silent", "confirm"),
    OPERATOR,
    EARLIER,
    LISTS,
)
"""Any scenario of a small fleet under any strategy."""


def _polled(keys: dict[str, str], server: str) -> dict[str, str]:
    """The same against a DDI server, which cannot roll back."""
    strategy = json.loads(keys["plan.strategy"].replace('"rollback"', '"pause"')) | {"rollback": []}
    strategy.pop("pause", None)
    strategy.setdefault("in_flight", {})["on_revoked"] = "keep"
    return {**keys, "cloud.kind": "ddi", "cloud.server": server, "plan.strategy": json.dumps(strategy)}


ANY_POLLED = st.builds(_polled, ANY, pick("hawkbit", "goosebit"))
"""Any of them that a DDI server can carry out."""
