"""What devices really do wrong: they hang, give up on long downloads, come back in step. Closed forms and edges."""

from __future__ import annotations

import pytest

from sim.stats.intervals import wilson
from tests.support import HARMLESS, run

QUIET = (*HARMLESS, "fleet.groups.0.rsrp_dbm=-70", "fleet.groups.0.free_space=16 MB", "fleet.groups.0.power=mains",
         "fleet.groups.0.check_in=always", "fleet.physics.sinr_site_sd_db=0", "fleet.physics.rsrp_session_sd_db=0")  # fmt: skip


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize(("limit_s", "upgraded"), [(0, 200), (60, 0), (120, 200)])
def test_a_device_that_allows_a_download_a_minute(limit_s, upgraded, engine):
    """1.55 MB at 17.4 kB/s need 89 s: with 60 s nobody finishes, and the cause says so; with 120 s everybody does."""
    outcome = run(
        *QUIET, "fleet.size=200", "horizon=2d", "fleet.groups.0.technology=cat4", "fleet.physics.uart_bit_s=174000",
        f"fleet.physics.download_limit_s={limit_s}", "plan.components.0.size=1.55 MB", engine=engine,
    )  # fmt: skip
    assert outcome.summary["outcomes"]["succeeded"] == upgraded
    assert outcome.summary["causes"].get("download_too_long", 0) == 200 - upgraded


def test_downloads_that_resume_outlive_the_limit():
    """Three times thirty seconds are as good as ninety where what arrived is kept."""
    outcome = run(
        *QUIET, "fleet.size=50", "horizon=2d", "fleet.groups.0.technology=cat4", "fleet.physics.uart_bit_s=174000",
        "fleet.physics.download_limit_s=30", "plan.components.0.size=1.55 MB", "fleet.groups.0.resume_download=true",
    )  # fmt: skip
    assert outcome.summary["outcomes"]["succeeded"] == 50


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_share_hangs_until_the_power_is_cycled(engine):
    """30 % hang at each attempt: 0.3^6 of them six times in a row; whoever does is silent for the time it takes."""
    found = run(
        *QUIET, "fleet.size=2000", "horizon=120d", "fleet.failures.hang=0.3", "fleet.failures.hang_median_s=24h", engine=engine
    ).records.modules  # fmt: skip
    first_try = found["upgraded_s"] < 3600.0
    low, high = wilson(int(first_try.sum()), 2000, 0.9999)
    assert low <= 0.7 <= high
    failed = int((found["outcome"] == "failed").sum())
    low, high = wilson(failed, 2000, 0.9999)
    assert low <= 0.3**6 <= high
    assert set(found["cause"][found["outcome"] == "failed"]) <= {"hung"}


def test_hanging_modules_stay_where_the_cloud_saw_them():
    """Without a timeout the cloud sees a module that hangs as updating, for ever if nobody comes."""
    found = run(
        *QUIET, "fleet.size=200", "horizon=7d", "fleet.failures.hang=1", "fleet.failures.hang_median_s=365d"
    ).records.modules
    assert (found["cloud_state"] == "updating").mean() > 0.95
    assert found["upgraded_s"].isna().all()
