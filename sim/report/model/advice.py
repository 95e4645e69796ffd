"""What to change: plain statements derived from where modules are lost, the costliest first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from sim.metrics import METRICS
from sim.records import LABEL, label_columns
from sim.report.show import plural, share, words
from sim.stats.slices import HotSpot, hot_spot
from sim.units import show_duration, show_size

PLACES = ("hardware", "group", "cell", "technology", "coverage_level")
MOST = 4
_PRE = "plan.strategy.preconditions."


@dataclass(frozen=True, slots=True)
class Advice:
    """A statement about one cause: how many modules it holds back, what to do, which key of the scenario to try.

    `urgent` is set when an unmet gate is about it. `key` and `current` are empty where no single key would help.
    """

    cause: str
    modules: int
    share: float
    finding: str
    action: str
    key: str
    current: str
    urgent: bool


_ACTIONS: dict[str, tuple[str, str, str]] = {
    "low_battery": (
        "never had the charge the plan asks for",
        "Try a lower battery limit and check the added bricks, or a longer plan where batteries are charged", _PRE + "min_battery_percent",
    ),
    "weak_signal": (
        "never had the signal the plan asks for",
        "Try a lower signal limit and check the added broken downloads and energy", _PRE + "min_rsrp_dbm",
    ),
    "no_space": (
        "have no room for the package",
        "Free space first, or ship a smaller (delta) package", "plan.components.0.size",
    ),
    "user_refused": ("had a user or application that refused", "Ask again later instead of rejecting them", _PRE + "on_unmet"),
    "waiting": ("were released too late or not at all", "Release faster, relax what holds back the next group, or evaluate later", "plan.strategy.rollout.max_in_progress"),
    "in_progress": ("were still in progress at the horizon", "Give the plan longer", "horizon"),
    "offline": ("were away and had not returned", "Keep the plan open for them", "horizon"),
    "never_online": ("were never online", "No strategy reaches them: find them in the field, or exclude them from the plan", ""),
    "no_service": ("found no network", "Look at the cells they are in", ""),
    "link_lost": ("lost the link too often while downloading", "Let downloads resume, or ship a smaller (delta) package", "fleet.groups.0.resume_download"),
    "server_busy": ("were turned away by a busy cloud", "Release more slowly, or add download slots", "cloud.capacity.downloads"),
    "server_error": ("got errors from the cloud", "Look at the cloud before the rollout", ""),
    "checksum": ("got a damaged package", "Check where packages are stored and how they are sent", ""),
    "image_mismatch": ("refused the image (hash or signature)", "Check how the package was built and signed", ""),
    "source_mismatch": ("have another base than the delta package needs", "Ship the full package to them", "plan.components.0.package"),
    "url_timeout": ("did not get a download address in time", "Release more slowly, or add request workers", "cloud.capacity.request_workers"),
    "flash_error": ("failed while flashing", "Check the image on this hardware before it goes out", ""),
    "power_loss": ("lost power while flashing", "Ask for more charge or external power", _PRE + "min_battery_percent"),
    "battery_dead": ("ran empty", "Ask for more charge before the update", _PRE + "min_battery_percent"),
    "boot_failure": ("did not boot the new image and rolled back", "Find out why before the image goes out", ""),
    "hung": ("hung when they were to install, until their power was cycled", "Give them a watchdog, and try again once their power was cycled", "plan.strategy.retry.number_of_retries"),
    "download_too_long": ("broke off downloads that took longer than they allow themselves", "Ship a smaller (delta) package, let downloads resume, or raise the limit in the device", "fleet.groups.0.resume_download"),
    "other_version": ("got an image that names another version than the plan's", "Compare the version in the image with the plan before it goes out", ""),
    "downgrade_refused": ("refuse a version older than their own", "Give the release a higher version, or leave these modules out", ""),
    "late_failure": ("ran the new image, and fell back when it failed later", "Let the first group soak longer than such a failure takes to show, and take such successes back", "plan.strategy.abort.withdraw_success"),
    "duplicate_identity": ("lost their session to another device of the same identity", "Give each device credentials of its own", ""),
    "outage": ("were cut off by an outage of the cloud, their network or their power", "Leave time after it; retries that differ (plan.strategy.retry.jitter) spread the return", "horizon"),
    "data_plan_empty": ("had no data left on their SIM", "Ship a smaller (delta) package, or enlarge the data plan first", "plan.components.0.size"),
    "left_fleet": ("left the fleet before they were upgraded", "Release faster: each day takes some out of service", ""),
    "bricked": ("never came back from flashing", "Find out why before the image goes out: each of these is a visit in the field", ""),
    "mcu_timeout": ("had an MCU that did not report in time", "Check the MCU's update on the bench", ""),
    "plan_expired": ("were cut off by the end of the plan", "End the plan later", "plan.strategy.schedule.end_time"),
    "plan_terminated": ("were cut off by the operator", "", ""),
    "plan_aborted": ("were spared or cut off by the abort", "Fix what made the rollout stop, then continue", ""),
    "canceled": ("were canceled", "", ""),
    "revoked": ("had their report refused after the stop", "Fix what made the rollout stop, then continue", ""),
    "stopped": ("were stopped on the way", "Fix what made the rollout stop, then continue", ""),
    "rolled_back": ("were rolled back to the old image", "Fix what made the rollout stop, then continue", ""),
    "cell_congested": ("could not connect in their crowded cell", "Spread the wake-ups of the modules of a cell", "fleet.groups.0.check_in.jitter"),
    "busy_with_earlier_plan": ("were busy with an earlier plan", "Wait for it, or take over with overwrite_mode", "plan.strategy.overwrite_mode"),
    "url_gone": ("had a download address that was withdrawn", "", ""),
}  # fmt: skip
"""Cause: what it says of the modules, what to do, the key to try."""
_ALREADY_RESUMING = (
    "Ship a smaller (delta) package, or let fewer modules of a cell download at once",
    "plan.strategy.rollout.max_in_progress_per_cell",
)
"""What remains against lost links where downloads resume as it is."""

_ALREADY_ASKED_AGAIN = ("Offer it at a quieter hour, or keep asking for longer", "horizon")
"""What remains against refusals where a refusal is asked again as it is."""

_WINDOWS = "plan.strategy.schedule.maintenance_windows"
_RETRIES = "plan.strategy.retry.number_of_retries"
_SLOTS = "plan.strategy.timeouts.in_progress"
_DOWNLOAD_LIMIT = "plan.strategy.timeouts.step.download"
_HIDDEN = 0.01
"""From this share on, first attempts that failed by the image are worth a statement though further ones succeeded."""

_OF_COVERAGE = ("weak_signal", "never_online", "offline", "no_service")
"""Causes for which a bad coverage class says the same thing twice."""
_SINGULAR = {"were": "was", "have": "has", "are": "is"}
_DURATIONS = ("horizon", "retry_interval", "jitter", "end_time", "timeouts.in_progress", "step.download")
_HARM = ("bricked", "boot_failure", "image_mismatch", "flash_error", "power_loss", "mcu_timeout", "battery_dead")
_HARM_WEIGHT = 20
"""A module harmed weighs as much as so many that merely wait."""
CONSEQUENCES = ("plan_aborted", "plan_terminated", "plan_expired", "canceled", "revoked", "stopped")
"""Causes that follow from a decision: what led to it comes first."""
_BEHIND_A_STOP = ("waiting",)
"""Causes that follow from a plan that stopped itself, where it did."""
_OF_GATE = {
    "bricked": ("bricked",), "failed": _HARM, "first_attempt_success": (*_HARM, "first_attempts"),
    "first_installation_failed": (*_HARM, "first_attempts"), "rolled_back": ("boot_failure", "first_attempts"), "rolled_back_by_plan": ("rolled_back",),
    "success_of_finished": ("late_success",), "cloud_success_rate": ("late_success",), "rejected": ("low_battery", "weak_signal", "no_space", "user_refused"),
}  # fmt: skip


def advise(modules: pd.DataFrame, scenario: dict[str, Any], unmet: list[str], *, stopped: bool = False) -> list[Advice]:
    """At most MOST statements: causes of unmet gates first, then harm, then the largest losses.

    What further attempts and late reports cover up comes before all that. Of a plan that `stopped` itself the modules that
    wait come last: nothing may be released faster before it is known what stopped it.
    """
    cause = modules["cause"].astype(str)
    held = ~modules["outcome"].isin(["succeeded", "not_needed"]) & (cause != "")
    counts = cause[held].value_counts()
    urgent = {name for metric in unmet for name in _OF_GATE.get(_plain(metric), ())}
    follow = (*CONSEQUENCES, *_BEHIND_A_STOP) if stopped else CONSEQUENCES
    ordered = sorted(
        counts.index,
        key=lambda c: (c not in urgent, c in follow, -int(counts[c]) * (_HARM_WEIGHT if c in _HARM else 1), c),
    )
    listed = [a for a in (_first_attempts(modules, urgent), _late(modules, scenario, urgent)) if a is not None]
    for name in ordered[: MOST - len(listed)]:
        places = tuple(
            p for p in (*PLACES, *label_columns(modules.columns)) if p != "coverage_level" or name not in _OF_COVERAGE
        )
        spot = hot_spot(modules, held & (cause == name), places)
        told = _advice(str(name), int(counts[name]), len(modules), spot, scenario, urgent=name in urgent)
        if stopped and name in _BEHIND_A_STOP:
            listed.append(_behind_the_stop(told))
        else:
            listed.append(_where_it_waits(told, modules, scenario) if name in ("waiting", "in_progress") else told)
    return listed


def _plain(metric: str) -> str:
    """The name that the table of gates has a metric under."""
    return next((name for name, known in METRICS.items() if known.clear == metric), metric)


def _first_attempts(modules: pd.DataFrame, urgent: set[str]) -> Advice | None:
    """A bad image that further attempts cover up."""
    if "first_fault" not in modules or not len(modules):
        return None
    hidden = modules["first_fault"].isin(_HARM) & (modules["outcome"] == "succeeded")
    count, took = int(hidden.sum()), int(modules["updating_s"].notna().sum())
    if count < max(1, _HIDDEN * took):
        return None
    worst = str(modules.loc[hidden, "first_fault"].astype(str).value_counts().index[0])
    return Advice(
        "first_attempts", count, count / len(modules),
        f"{plural(count, 'module')} of {took:,} that took the image needed a further attempt, mostly because of {words(worst)}.",
        "Find out why the first installation fails before the image goes out: retries only hide it.", "", "",
        "first_attempts" in urgent,
    )  # fmt: skip


def _late(modules: pd.DataFrame, scenario: dict[str, Any], urgent: set[str]) -> Advice | None:
    """Modules that were upgraded after the cloud had given them up: its limit is shorter than the upgrade."""
    given_up = modules["cloud_state"].isin(["timed_out", "failed"]) & (modules["outcome"] == "succeeded")
    count = int(given_up.sum())
    key = next((k for k in (_DOWNLOAD_LIMIT, _SLOTS) if _current(scenario, k)), "")
    if not count or not key:
        return None
    spans = modules.loc[given_up, "upgraded_s"] - modules.loc[given_up, "confirmed_s"]
    return Advice(
        "late_success", count, count / len(modules),
        f"{plural(count, 'module')} finished after the cloud had given up; half of these took {show_duration(float(spans.median()))} or longer.",
        "Set the limit longer than the upgrade takes.", key, _current(scenario, key), "late_success" in urgent,
    )  # fmt: skip


def _behind_the_stop(told: Advice) -> Advice:
    """Modules that wait because the plan stopped itself."""
    wait = "waits" if told.modules == 1 else "wait"
    return replace(
        told, finding=f"{plural(told.modules, 'module')} ({share(told.share)}) {wait} behind the stop.",
        action="Find out why the plan stopped before you resume it.", key="", current="",
    )  # fmt: skip


def _where_it_waits(told: Advice, modules: pd.DataFrame, scenario: dict[str, Any]) -> Advice:
    """What modules that wait, or are not through, wait for: a window, a slot that a dead module holds, or the release."""
    if _node(scenario, _WINDOWS) and not modules["downloaded_s"].notna().any():
        return replace(
            told, action="No window lets anybody through before the end: open one earlier or longer, or judge later.",
            key=_WINDOWS, current="",
        )  # fmt: skip
    dead = modules["cause"].isin(["bricked", "battery_dead"]) & modules["cloud_state"].isin(_HOLDS_A_SLOT)
    slots, held = _node(scenario, "plan.strategy.rollout.max_in_progress"), int(dead.sum())
    if told.cause != "waiting" or not slots or held < slots:
        return told
    who = f"{plural(held, 'module')} that went dark {'holds' if held == 1 else 'hold'} a place of max_in_progress"
    if not _current(scenario, _SLOTS):
        action = f"{who} for ever: bound an attempt, and do not retry one that timed out."
        return replace(told, action=action, key=_SLOTS, current="none")
    action = f"{who} while a retry waits for them to come back: retry what failed, not what timed out."
    return replace(told, action=action, key=_RETRIES, current=_current(scenario, _RETRIES))


_HOLDS_A_SLOT = ("notified", "wait_for_confirmation", "confirmed", "downloading", "downloaded", "updating")


def _advice(
    cause: str, count: int, total: int, spot: HotSpot | None, scenario: dict[str, Any], *, urgent: bool
) -> Advice:
    what, action, key = _ACTIONS.get(cause, (f"ended with {words(cause)}", "", ""))
    finding = f"{plural(count, 'module')} ({share(count / total)}) {_agreeing(what, count)}"
    if spot is not None:
        finding += (
            f"; {share(spot.share_of_cases)} of them in {_place(spot)}, "
            f"which is {share(spot.share_of_fleet)} of the fleet"
        )
        if cause in _HARM:
            action = f"Hold {_place(spot)} back and find out why; the others are far less affected"
    if cause == "link_lost" and _current(scenario, key) == "true":
        action, key = _ALREADY_RESUMING
    if cause == "user_refused" and _current(scenario, key) == "defer":
        action, key = _ALREADY_ASKED_AGAIN
    current = _current(scenario, key)
    return Advice(
        cause, count, count / total, f"{finding}.", f"{action}." if action else "", key, current, urgent
    )  # fmt: skip


def _place(spot: HotSpot) -> str:
    """Where cases pile up: `hardware C`, or `site Berlin` by a label."""
    return f"{words(spot.column.removeprefix(LABEL))} {spot.value or '(none)'}"


def _agreeing(what: str, count: int) -> str:
    """The verb of a finding in the number of its modules."""
    verb, rest = what.split(" ", 1)
    return f"{_SINGULAR.get(verb, verb)} {rest}" if count == 1 else what


def _node(scenario: dict[str, Any], key: str) -> Any:
    """The scenario's value at a dotted path; None where there is none."""
    node: Any = scenario
    for part in key.split(".") if key else []:
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict) and part in node:
            node = node[part]
        else:
            return None
    return node


def _current(scenario: dict[str, Any], key: str) -> str:
    """The scenario's value at a dotted path, as text; empty where there is none."""
    node = _node(scenario, key)
    if node is None or not key or isinstance(node, dict | list):
        return ""
    if isinstance(node, bool):
        return str(node).lower()
    if isinstance(node, int | float):
        if key.endswith("size"):
            return show_size(node)
        return show_duration(node) if key.endswith(_DURATIONS) else f"{node:,.6g}"
    return str(node)
