"""Presets: the defaults of real products, by name. What a scenario sets itself wins over its preset.

Sources: AWS IoT Jobs (service model and developer guide), Eclipse hawkBit (source), Mender (deployments API), Azure
Device Update, Quectel Developer Center (documentation), Alibaba Cloud IoT (CreateOTAStaticUpgradeJob), ThingsBoard
(queue settings), Huawei IoTDA (NB-IoT upgrades), goosebit (source), Google Play staged rollouts, Argo and Flagger
canaries. docs/strategy.md lists each preset with what is documented and what is assumed.
"""

from __future__ import annotations

from typing import Any

_NO_PRECONDITIONS = {
    "min_battery_percent": 0, "min_rsrp_dbm": -140, "needed_space": "none", "checked_by": "device", "on_unmet": "defer",
}  # fmt: skip
"""Clouds that know nothing of battery and signal leave the decision to the device."""
_DEVICE_CHECKS = {"checked_by": "device", "on_unmet": "defer"}
_HALVES = [
    {"percent": 50, "success_threshold_percent": 50, "error_threshold_percent": 50, "error_action": "pause"},
    {"success_threshold_percent": 50, "error_threshold_percent": 50, "error_action": "pause"},
]

PRESETS: dict[str, dict[str, Any]] = {
    "none": {"preconditions": _NO_PRECONDITIONS},
    "quectel": {
        "preconditions": {"min_battery_percent": 30, "min_rsrp_dbm": -113, "needed_space": "package", "checked_by": "both"},
        "delivery": {"push_interval": "10min"},
        "retry": {"number_of_retries": 5},
        "rollout": {"max_in_progress": 10_000, "in_progress_counts": "offered"},
        "schedule": {"end_behavior": "cancel", "window_gates": "push"},
        "in_flight": {"on_cancel": "continue", "waiting_become": "failed"},
    },
    "aws-iot-jobs": {
        "preconditions": _DEVICE_CHECKS,
        "rollout": {"maximum_per_minute": 1000, "notified_counts": "released"},
        "timeouts": {"timer_starts": "in_progress"},
        "in_flight": {"on_cancel": "continue", "on_force_cancel": "revoke"},
    },
    "hawkbit": {
        "preconditions": _DEVICE_CHECKS,
        "delivery": {"need_push": False, "polling_time": "00:05:00"},
        "rollout": {"groups": _HALVES, "order": "listed", "percent_of": "hawkbit"},
        "abort": {"evaluation_interval": "2s"},
        "schedule": {"window_gates": "install"},
        "in_flight": {"on_cancel": "ask", "on_force_cancel": "revoke"},
    },
    "mender": {
        "preconditions": _DEVICE_CHECKS,
        "delivery": {"need_push": False, "polling_time": "30min"},
        "in_flight": {"on_cancel": "revoke", "on_force_cancel": "revoke", "on_revoked": "rollback"},
    },
    "azure-du": {
        "target_selection": "continuous",
        "preconditions": _DEVICE_CHECKS,
        "in_flight": {"on_cancel": "stop", "on_force_cancel": "stop"},
        "overwrite_mode": "replace",
    },
    "alibaba": {
        "preconditions": _DEVICE_CHECKS,
        "rollout": {"maximum_per_minute": 10_000},
        "timeouts": {"timer_starts": "download_start"},
        "retry": {"criteria": [{"failure_type": "failed", "number_of_retries": 1, "retry_interval": "10min"}]},
        "overwrite_mode": "fail",
    },
    "thingsboard": {"preconditions": _DEVICE_CHECKS, "rollout": {"maximum_per_minute": 100}},
    "huawei-nbiot": {
        "preconditions": _DEVICE_CHECKS,
        "rollout": {"max_in_progress_per_cell": {0: 50, 1: 10, 2: 1}},
        "timeouts": {"offer": "24h", "step": {"download": "60min"}},
    },
    "goosebit": {
        "preconditions": _DEVICE_CHECKS,
        "delivery": {"need_push": False, "polling_time": "1min"},
        "rollout": {"max_in_progress": 1000, "in_progress_counts": "offered"},
        "in_flight": {"on_pause": "starve"},
    },
    "play-staged": {
        "preconditions": _NO_PRECONDITIONS,
        "delivery": {"need_push": False},
        "rollout": {
            "groups": [
                {"name": f"to-{upto}", **size, "success_threshold_percent": 100, "success_action": "pause"}
                for upto, size in ((1, {"percent": 1}), (5, {"percent": 4}), (20, {"percent": 15}), (50, {"percent": 30}),
                                   (100, {}))
            ],
        },
        "in_flight": {"on_pause": "continue", "on_cancel": "continue"},
    },
    "canary": {
        "preconditions": _DEVICE_CHECKS,
        "rollout": {
            "groups": [
                {"name": f"to-{upto}", **size, "success_threshold_percent": 95, "error_threshold_percent": 2,
                 "error_action": "pause", "soak": "60min"}
                for upto, size in ((1, {"percent": 1}), (10, {"percent": 9}), (50, {"percent": 40}), (100, {}))
            ],
        },
        "abort": {"evaluation_interval": "60s"},
    },
}  # fmt: skip
PRESET_NAMES = tuple(PRESETS)
DEFAULT_PRESET = "quectel"


def with_preset(given: dict[str, Any]) -> dict[str, Any]:
    """The strategy as given, its preset's values filled in where it says nothing; lists are taken whole."""
    name = given.get("preset", DEFAULT_PRESET)
    base = PRESETS.get(name) if isinstance(name, str) else None
    return given if base is None else _over(base, given)


def _over(base: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    merged = {**base, **given}
    for key, value in base.items():
        if isinstance(value, dict) and isinstance(given.get(key), dict) and not _is_whole(key):
            merged[key] = _over(value, given[key])
    return merged


def _is_whole(key: str) -> bool:
    return key == "max_in_progress_per_cell"
