"""Delivery in whole runs: download-only plans, users who decide, plans that are forced after a time."""

from __future__ import annotations

import pytest

from tests.support import HARMLESS, run

ONLINE = (
    *HARMLESS, "fleet.groups.0.check_in={always: {report_every: 30d}}", "fleet.groups.0.power=mains", "fleet.size=30",
    "fleet.groups.0.rsrp_dbm=-85", "fleet.groups.0.free_space=10 MB", "plan.strategy.preset=none", "horizon=3d",
)  # fmt: skip


def test_download_only():
    """DOWNLOADED is success, nothing is installed, and no byte of it is wasted."""
    outcome = run(*ONLINE, "plan.strategy.delivery.action_type=download-only")
    modules = outcome.records.modules
    assert (modules["outcome"] == "succeeded").all() and (modules["cloud_state"] == "succeeded").all()
    assert modules["updating_s"].isna().all() and modules["upgraded_s"].isna().all()
    assert (modules["bytes_useful"] == 200_000).all() and (modules["bytes_wasted"] == 0).all()
    assert outcome.summary["success_rate"] == 1.0


@pytest.mark.parametrize(
    ("settings", "delay_s"),
    [
        ("{action_type: forced}", 0.0), ("{action_type: soft}", 7200.0), ("{confirmation: user}", 7200.0),
        ("{action_type: timeforced, force_time: 1h}", 3600.0), ("{action_type: timeforced, force_time: 5h}", 7200.0),
    ],
)  # fmt: skip
def test_who_decides(settings, delay_s):
    """forced: nobody; soft and confirmation user: the user, after a delay; timeforced: the user until force_time."""
    modules = run(*ONLINE, "plan.user_delay=2h", f"plan.strategy.delivery={settings}").records.modules
    waited = modules["confirmed_s"] - modules["notified_s"]
    assert (waited - delay_s).abs().max() < 60.0


def test_polling_with_jitter():
    """`00:05:00~10%`: an always-online module asks every five minutes, give or take 30 s, and is offered then."""
    modules = run(
        *ONLINE, "plan.strategy.delivery={need_push: false, polling_time: '00:05:00~10%'}",
        "plan.strategy.schedule={maintenance_windows: [{start: '06:00', duration: 1h}], window_gates: push}",
    ).records.modules  # fmt: skip
    opened = modules["notified_s"] - 6 * 3600.0
    assert opened.between(0.0, 332.0).all() and opened.max() > 150.0
    assert (modules["sessions"] >= 6 * 3600 / 330).all()
