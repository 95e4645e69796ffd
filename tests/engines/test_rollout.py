"""Whole rollouts through the engine: conservation, determinism, metamorphic rules, operator actions, records."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from sim import records
from sim.engines.run import save, simulate
from sim.errors import FotasimError, RecordsError
from sim.scenario import Scenario
from tests.strategies import ANY, overrides
from tests.support import HARMLESS, run, scenario

READY = sorted(p for p in Path("scenarios").glob("*.yaml"))


def check_books(outcome) -> None:
    """Modules in = outcomes out; bytes and energy add up; times are in order."""
    modules, summary = outcome.records.modules, outcome.summary
    assert sum(summary["outcomes"].values()) == len(modules)
    blameless = modules["cause"] == ""
    assert set(modules["outcome"][blameless].astype(str)) <= {"succeeded", "not_needed"}
    assert sum(summary["causes"].values()) == len(modules) - int(blameless.sum())
    assert set(modules["cause"].astype(str)) <= {"", *records.CAUSES}
    assert (modules["bytes_useful"] >= 0).all() and (modules["bytes_wasted"] >= 0).all()
    assert (modules["energy_j"] >= 0).all()
    assert (modules["energy_j"][modules["power"] != "battery"] == 0).all()
    assert modules["battery_end_percent"].between(0, 100).all()
    received = int((modules["bytes_useful"] + modules["bytes_wasted"]).sum())
    egress_bits = float((outcome.records.timeline["egress_bit_s"] * outcome.records.timeline["width_s"]).sum())
    assert egress_bits / 8 == pytest.approx(received, rel=1e-6, abs=len(modules) + 1)
    order = modules[["first_contact_s", "notified_s", "confirmed_s", "download_started_s"]].to_numpy()
    with np.errstate(invalid="ignore"):
        assert not (np.diff(order, axis=1) < 0).any()
    stages = list(summary["stages"].values())
    assert stages[0] >= stages[1] >= stages[2]
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize("path", READY, ids=lambda p: p.stem)
def test_ready_scenario_keeps_its_books(path):
    """Every ready scenario, at a tenth of its size."""
    size = Scenario.load(path).fleet.size // 10
    check_books(simulate(Scenario.load(path, [f"fleet.size={size}"])))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(ANY)
def test_any_scenario_keeps_its_books(keys):
    """150 random valid scenarios: outcomes add up to the modules in the plan, bytes and energy balance."""
    check_books(run(*overrides(keys)))


def test_same_records_in_another_process_and_directory(tmp_path):
    """Same scenario and seed: the same tables and summary, wherever and however often."""
    source = Path("scenarios/quickstart.yaml").resolve()
    code = (
        "import sys, json, hashlib; from sim.engines.run import simulate; from sim.scenario import Scenario\n"
        "o = simulate(Scenario.load(sys.argv[1], ['fleet.size=400'])); s = dict(o.summary); s.pop('wall_s')\n"
        "t = o.records.modules.to_csv(float_format='%r').encode()\n"
        "print(hashlib.sha256(t + json.dumps(s).encode()).hexdigest())"
    )
    seen = set()
    for hash_seed, folder in (("1", tmp_path), ("2", Path.cwd())):
        env = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path.cwd()), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, "-c", code, str(source)], cwd=folder, env=env, capture_output=True, text=True, check=True
        )  # fmt: skip
        seen.add(done.stdout)
    assert len(seen) == 1


def test_another_seed_is_another_fleet():
    """Seeds matter."""
    a, b = (run(f"seed={s}").records.modules for s in (1, 2))
    assert not a["rsrp_dbm"].equals(b["rsrp_dbm"])


def test_a_module_does_not_depend_on_the_others():
    """Draws by key: the first modules of a larger fleet are the same, as long as the cloud is not the bottleneck."""
    small, large = (run(f"fleet.size={n}").records.modules for n in (50, 100))
    columns = ["rsrp_dbm", "battery_percent", "outcome", "upgraded_s"]
    pd.testing.assert_frame_equal(
        small[columns], large[columns].head(50), check_categorical=False, check_exact=False, atol=2.0
    )


def test_everything_harmless_upgrades_everybody():
    """No failures, good radio, full batteries: 100 % and nothing wasted."""
    outcome = run(*HARMLESS, "fleet.groups.0.rsrp_dbm=-80", "fleet.groups.0.free_space=10 MB",
                  "fleet.groups.0.battery_percent=100", "fleet.physics.gauge_sd_percent=0")  # fmt: skip
    assert outcome.summary["success_rate"] == 1.0
    assert outcome.summary["bytes"] == {"useful": 200 * 200_000, "wasted": 0}


@pytest.mark.parametrize(
    ("worse", "better", "metric"),
    [
        ("cloud.capacity.egress=200 kbit/s", "cloud.capacity.egress=1 Gbit/s", "duration_p50"),
        ("plan.components.0.size=3 MB", "plan.components.0.size=100 kB", "duration_p50"),
        ("fleet.groups.0.check_in={every: 2d}", "fleet.groups.0.check_in={every: 1h}", "duration_p50"),
        ("fleet.failures.brick=0.2", "fleet.failures.brick=0", "bricked"),
        ("fleet.failures.never_online=0.3", "fleet.failures.never_online=0", "pending"),
    ],
)
def test_more_of_a_good_thing_never_hurts(worse, better, metric):
    """Metamorphic rules on common random numbers."""
    slow, fast = (run(override).summary["metrics"][metric] for override in (worse, better))
    assert fast < slow


def test_lists_leave_modules_out():
    """Whitelist and blacklist with globs; the blacklist wins."""
    outcome = run("plan.whitelist=['m00000*']", "plan.blacklist=['m0000007', 'm000001?']")
    assert len(outcome.records.modules) == 100 - 11
    assert outcome.manifest["modules_left_out"] == 111
    with pytest.raises(FotasimError, match="leave no module"):
        run("plan.blacklist=['*']")


def test_termination_and_expiry_fail_those_who_wait():
    """A terminated or expired plan: waiting modules become failed with the reason, upgraded ones stay."""
    ended = run("plan.operator=[{at: 2h, do: terminate}]").summary
    assert ended["causes"]["plan_terminated"] > 0 and ended["outcomes"]["succeeded"] > 0
    expired = run("plan.strategy.schedule.end_time=2h").summary
    assert expired["causes"]["plan_expired"] == ended["causes"]["plan_terminated"]


def test_suspension_stops_offers_and_resume_goes_on():
    """Nobody is newly notified between suspend and resume."""
    modules = run("plan.operator=[{at: 1h, do: suspend}, {at: 30h, do: resume}]").records.modules
    notified = modules["notified_s"].dropna()
    assert not notified.between(3700, 30 * 3600 - 1).any()
    assert (notified > 30 * 3600).any()


def test_cancel_by_device():
    """A cancelled module is cancelled, unless it has confirmed already."""
    modules = run("plan.operator=[{at: 0, do: cancel, modules: [m0000003]}]").records.modules
    assert modules.set_index("module")["outcome"]["m0000003"] == "canceled"


def test_confirmed_plans_wait_for_their_users():
    """The user's delay lies between notice and confirmation."""
    always = ("fleet.groups.0.check_in=always", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-85")
    modules = run(*always, "plan.mode=confirm", "plan.user_delay=2h").records.modules
    waited = (modules["confirmed_s"] - modules["notified_s"]).dropna()
    assert len(waited) > 100
    assert waited.median() == pytest.approx(7200, abs=10)


def test_brick_is_silence():
    """The cloud never learns of a brick: it sees `updating` or earlier, and the summary counts the silent losses."""
    outcome = run("fleet.failures.brick=1.0", "fleet.failures.frailty_variance=0")
    bricked = outcome.records.modules[outcome.records.modules["cause"] == "bricked"]
    assert len(bricked) > 100
    assert not set(bricked["cloud_state"]) & {"succeeded", "failed"}
    assert (bricked["cloud_state"] == "updating").mean() > 0.95  # status 9 came after 8, unless it was lost
    assert outcome.summary["silent_losses"] >= len(bricked)


def test_replications_are_independent_campaigns():
    """Each replication has its own rows; the totals add up."""
    outcome = run(replications=3)
    assert sorted(outcome.records.modules["replication"].unique()) == [0, 1, 2]
    assert sum(outcome.summary["outcomes"].values()) == 600


def test_interrupted_run_is_partial(tmp_path):
    """Ctrl-C keeps what is there, marks it, and the page says so."""
    from sim.report.formats.html_page import render
    from sim.report.from_runs import single

    def interrupt(share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    outcome = simulate(scenario(), progress=interrupt)
    assert outcome.summary["complete"] is False
    saved = save(outcome, tmp_path / "run")
    assert saved.manifest["complete"] is False
    page = render(single(saved.path)[0])
    assert "The run was interrupted: its figures end where it stopped and decide nothing." in page
    assert "Ship it" not in page
    assert (outcome.records.timeline["upgraded"].iloc[-1]) == outcome.summary["stages"]["upgraded"]


def test_run_folder_round_trip(tmp_path):
    """What is written is read back, and the scenario in it runs again to the same summary."""
    outcome = run(events=True)
    saved = save(outcome, tmp_path / "run")
    assert list(saved.modules.columns) == list(records.MODULE_COLUMNS)
    again = simulate(Scenario.load(saved.path / "scenario.yaml"), engine="simpy").summary
    assert {**again, "wall_s": 0} == {**saved.summary, "wall_s": 0}
    assert saved.events is not None and len(saved.events) > 1000


def test_nothing_half_written(tmp_path, monkeypatch):
    """A full disk, a foreign folder or a file in the way: an error, and nothing is left or lost."""
    outcome = run()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    with pytest.raises(RecordsError, match="not a run folder"):
        save(outcome, tmp_path / "mine")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RecordsError, match="cannot be written"):
        save(outcome, tmp_path / "file" / "run")

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(RecordsError, match="No space left"):
        save(outcome, tmp_path / "run")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "mine"]
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "keep"


def test_damaged_folder_is_not_taken_for_whole(tmp_path):
    """A folder without its tables is refused with its name."""
    saved = save(run(), tmp_path / "run")
    (saved.path / "modules.parquet").unlink()
    with pytest.raises(RecordsError, match="not a whole run folder"):
        records.Run.load(saved.path)


ALWAYS_ON = (
    "fleet.groups.0.check_in={always: {report_every: 1h}}",
    "fleet.groups.0.power=mains",
    "fleet.groups.0.rsrp_dbm=-85",
    "fleet.groups.0.free_space=10 MB",
)


def test_cap_on_modules_under_way():
    """Never more than max_in_progress between confirmation and report."""
    modules = run(*HARMLESS, *ALWAYS_ON, "plan.strategy.rollout.max_in_progress=7").records.modules
    assert (modules["outcome"] == "succeeded").all()
    starts, ends = np.sort(modules["confirmed_s"]), np.sort(modules["reported_s"])
    under_way = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="right")
    assert under_way.max() == 7


def test_offers_come_on_the_push_grid():
    """Modules that are online and do not ask are offered on the ten-minute grid."""
    quiet = "fleet.groups.0.check_in={always: {report_every: 30d}}"
    modules = run(*HARMLESS, *ALWAYS_ON, quiet, "plan.strategy.rollout.max_in_progress=7").records.modules
    on_grid = (modules["notified_s"] % 600) < 5
    assert on_grid.mean() > 0.95
    assert modules["notified_s"].nunique() > 20


def test_operator_retry_gives_failed_modules_another_chance():
    """retry-failed on a silent plan: fewer failed at the end than without, never more."""
    bad = (*ALWAYS_ON, "fleet.failures.boot_failure=0.7", "plan.strategy.retry.number_of_retries=0")
    without, with_retry = run(*bad), run(*bad, "plan.operator=[{at: 1d, do: retry-failed}, {at: 2d, do: retry-failed}]")
    assert with_retry.summary["outcomes"]["failed"] < 0.7 * without.summary["outcomes"]["failed"]
    assert without.summary["outcomes"]["failed"] > 80


def test_maintenance_windows_gate_the_offers():
    """Nobody is notified outside the window; modules may finish what they have begun."""
    modules = run(
        *HARMLESS, *ALWAYS_ON, "plan.strategy.schedule.maintenance_windows=[{start: '02:00', duration: 2h}]"
    ).records.modules  # fmt: skip
    of_day = modules["notified_s"].dropna() % 86400
    assert len(of_day) == 200
    assert of_day.between(7200, 4 * 3600 + 10).all()


def test_in_progress_timeout_ends_what_hangs():
    """An MCU that hangs for twenty minutes is timed out by the cloud after ten."""
    outcome = run(
        *HARMLESS, *ALWAYS_ON, "plan.components.0.type=mcu", "fleet.physics.mcu_flash_s_per_mb=9000",
        "plan.strategy.timeouts.in_progress=10min", "plan.strategy.retry.number_of_retries=0",
    )  # fmt: skip
    assert set(outcome.records.modules["cloud_state"]) <= {"timed_out", "succeeded"}
    assert (outcome.records.modules["cloud_state"] == "timed_out").sum() > 150
