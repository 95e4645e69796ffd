"""A DDI server in virtual time, against what follows from polling alone; and predicted against run, for the same file."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from scipy import stats

from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import live
from sim.engines.live.self_check import SelfCheck
from sim.errors import ScenarioError
from tests.ddi_server import DocumentedServer
from tests.live_cloud import package_bytes
from tests.support import HARMLESS, run, scenario

SLEEP_S, LEAST_SLEEP_S = 300.0, 30.0
ALWAYS = (
    *HARMLESS, "cloud.kind=ddi", "plan.strategy.preset=hawkbit", "plan.strategy.rollout.groups=[]",
    "fleet.groups.0.check_in=always", "fleet.groups.0.battery_percent=90", "fleet.groups.0.rsrp_dbm=-90",
    "fleet.groups.0.free_space=4 MB", "fleet.groups.0.power=mains",
)  # fmt: skip
TWO = (
    "fleet.groups.0.components={fw: '1.0.0', mcu: '7'}", "fleet.groups.0.mcu_buffer=100 kB",
    "plan.components=[{component: fw, target_version: '1.1.0', size: 200 kB},"
    "{component: mcu, type: mcu, target_version: '8', size: 250 kB}]",
)  # fmt: skip
"""Firmware of the module, then an MCU that fetches its package in three pieces."""


def asked_s(outcome, module="m0000000"):
    """When a module polled."""
    events = outcome.records.events
    own = events[(events["module"] == module) & (events["text"] == "device requests its plan")]
    return own["time_s"].to_numpy()


def told(outcome, module="m0000000"):
    """Statuses the server heard of a module, in order."""
    events = outcome.records.events
    own = events[(events["module"] == module) & (events["source"] == "cloud")]["text"].astype(str)
    return [int(text.split()[1]) for text in own if text.startswith("status ")]


def test_polls_come_at_the_servers_sleep_within_its_jitter():
    """A module that may not yet be upgraded polls on: N gaps of 300 s within ± 10 %, uniformly, beside a round trip."""
    outcome = run(*ALWAYS, "fleet.size=1", "fleet.groups.0.free_space=100 kB", "horizon=5d", events=True)
    gaps = np.diff(asked_s(outcome))
    assert len(gaps) == pytest.approx(5 * 86400 / SLEEP_S, rel=0.02)
    share = (gaps - SLEEP_S) / (0.1 * SLEEP_S)
    assert stats.kstest(share, "uniform", args=(-1.0, 2.0)).pvalue > 0.01
    assert share.min() > -1.01
    assert share.max() < 1.05


def test_a_polling_time_with_a_jitter_of_its_own_is_kept():
    outcome = run(
        *ALWAYS, "fleet.size=1", "fleet.groups.0.free_space=100 kB", "plan.strategy.delivery.polling_time='00:10:00~50%'",
        "horizon=5d", events=True,
    )  # fmt: skip
    gaps = np.diff(asked_s(outcome))
    assert 300.0 <= gaps.min() < 330.0
    assert 870.0 < gaps.max() < 910.0


def test_a_rollout_is_noticed_at_the_next_poll_and_never_before():
    """Modules poll at phases of their own: the notice comes uniformly within one sleep, four requests later at most."""
    notified = run(*ALWAYS, "fleet.size=800", "horizon=20min").records.modules["notified_s"]
    assert notified.max() < SLEEP_S + 5.0
    assert stats.kstest(notified / SLEEP_S, "uniform").pvalue > 0.01


def test_goosebit_lets_a_device_register_before_it_offers_anything():
    """An unknown device gives its attributes and polls again after ten seconds; hawkBit offers at the first poll."""
    one = (*ALWAYS, "fleet.size=200", "horizon=1h")
    hawkbit, goosebit = (
        run(*one, f"cloud.server={name}").records.modules["notified_s"] for name in ("hawkbit", "goosebit")
    )
    later = goosebit - hawkbit
    assert later.min() > 8.5
    assert later.max() < 11.5


def test_an_upgrade_costs_the_requests_the_protocol_asks_for():
    """Polls, attributes when it came and when its version changed, the deployment once, a GET, and six stages."""
    outcome = run(*ALWAYS, "fleet.size=1", "horizon=20min", events=True)
    timeline = outcome.records.timeline
    requests = float((timeline["requests"] * timeline["width_s"]).sum())
    assert told(outcome) == [1, 2, 4, 8, 9, 11]
    assert requests == len(asked_s(outcome)) + 2 + 1 + 1 + 6


def test_a_broken_download_goes_on_at_a_later_poll_and_is_no_failure():
    outcome = run(*ALWAYS, "fleet.size=60", "fleet.groups.0.resume_download=true", "fleet.failures.link_drop_factor=500", events=True)  # fmt: skip
    modules = outcome.records.modules
    assert outcome.summary["outcomes"]["succeeded"] == 60
    assert modules["download_errors"].sum() > 10
    broken = modules[modules["download_errors"] > 0].iloc[0]
    assert 6 in told(outcome, broken["module"])


def test_a_failure_is_closed_and_not_tried_again():
    outcome = run(*ALWAYS, "fleet.size=20", "fleet.failures.boot_failure=1", events=True)
    assert outcome.summary["outcomes"]["failed"] == 20
    assert told(outcome)[-1] == 12
    assert told(outcome).count(4) == 1


def test_groups_open_as_the_preset_says():
    """hawkBit's halves: nobody of the second is told before half of the first has succeeded."""
    outcome = run(
        *ALWAYS, "plan.strategy.rollout.groups=[{percent: 50, success_threshold_percent: 50}, {}]", "fleet.size=200"
    )
    modules = outcome.records.modules
    first, second = modules["notified_s"][:100], modules["notified_s"][100:]
    halfway = np.sort(modules["reported_s"][:100])[49]
    assert first.max() < SLEEP_S + 5.0
    assert second.min() > halfway
    assert second.max() < halfway + 2.0 + SLEEP_S * 1.1 + 5.0


def test_a_pause_leaves_what_is_released_on_offer():
    """hawkBit leaves running groups untouched; goosebit's pause takes the deployment away."""
    paused = "plan.operator=[{at: 100s, do: suspend}]"
    untouched = run(*ALWAYS, "fleet.size=100", "horizon=3h", paused).summary["outcomes"]
    starved = run(*ALWAYS, "fleet.size=100", "horizon=3h", paused, "plan.strategy.in_flight.on_pause=starve").summary[
        "outcomes"
    ]
    assert untouched["succeeded"] == 100
    assert starved["succeeded"] < 50


def test_a_window_holds_the_installation_until_the_first_poll_inside_it():
    outcome = run(
        *ALWAYS, "fleet.size=100", "horizon=1d",
        "plan.strategy.schedule={window_gates: install, maintenance_windows: [{start: '06:00', duration: 4h}]}",
    )  # fmt: skip
    modules = outcome.records.modules
    assert modules["downloaded_s"].max() < 3600.0
    late = modules["updating_s"] - 6 * 3600.0
    assert late.min() >= 0.0
    assert late.max() < 1.1 * LEAST_SLEEP_S + 5.0


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
@pytest.mark.parametrize(("sleep", "sleep_s"), [("00:05:00", 300.0), ("04:00:00", 14400.0)])
def test_hawkbit_asks_for_more_polls_towards_a_window(engine, sleep, sleep_s):
    """A device with an action sleeps a third of what is left to the window, 30 s at least, and never longer than always."""
    outcome = run(
        *ALWAYS, "fleet.size=1", "horizon=12h", f"plan.strategy.delivery.polling_time='{sleep}'",
        "plan.strategy.schedule={window_gates: install, maintenance_windows: [{start: '06:00', duration: 4h}]}",
        "fleet.groups.0.check_in=always", events=True, engine=engine,
    )  # fmt: skip
    opens_s = 6 * 3600.0
    at = asked_s(outcome)
    at = at[at <= outcome.records.modules["updating_s"].iloc[0]]
    assert len(at) >= 5
    for asked, gap in zip(at, np.diff(at), strict=False):
        wanted_s = min(sleep_s, max(LEAST_SLEEP_S, (opens_s - asked) / 3.0)) if asked < opens_s else sleep_s
        assert 0.9 * wanted_s - 1.0 <= gap <= 1.1 * wanted_s + 2.0
    assert 0.0 <= at[-1] - opens_s < 1.1 * LEAST_SLEEP_S + 5.0


@pytest.mark.parametrize(
    "other",
    [
        "cloud.server=goosebit",  # knows no windows
        "plan.strategy.schedule={window_gates: release, maintenance_windows: [{start: '06:00', duration: 4h}]}",  # no action yet
    ],
)
def test_sleeps_stay_as_they_are_where_no_action_waits_for_a_window(other):
    outcome = run(
        *ALWAYS, "fleet.size=1", "horizon=8h",
        "plan.strategy.schedule={window_gates: install, maintenance_windows: [{start: '06:00', duration: 4h}]}",
        other, events=True,
    )  # fmt: skip
    at = asked_s(outcome)
    before = np.diff(at[(at > 1000.0) & (at < 6 * 3600.0)])
    assert before.min() > 0.9 * SLEEP_S - 1.0


def test_a_server_that_asks_first_hands_out_the_deployment_after_the_confirmation():
    """confirmed, its answer, a poll and the deployment: three requests of two round trips before the download."""
    asks = (*ALWAYS, "fleet.size=50", "plan.user_delay=1min")
    first = run(*asks, "plan.strategy.delivery.confirmation=user", events=True)
    plain = run(*asks, "plan.mode=confirm", events=True)
    assert first.summary["outcomes"] == plain.summary["outcomes"]
    assert told(first) == [2, 4, 8, 9, 11]
    waits = [o.records.modules["download_started_s"] - o.records.modules["confirmed_s"] for o in (first, plain)]
    assert waits[0].min() > 0.0
    assert waits[1].max() == 0.0


def test_a_canceled_plan_is_seen_at_the_next_poll_until_the_image_is_written():
    """A window keeps packages waiting; the plan is cancelled meanwhile, and each module learns of it when it polls."""
    outcome = run(
        *ALWAYS, "fleet.size=50", "horizon=6h",
        "plan.strategy.schedule={window_gates: install, maintenance_windows: [{start: '12:00', duration: 1h}], end_time: 2h,"
        "end_behavior: cancel}",
    )  # fmt: skip
    modules = outcome.records.modules
    assert outcome.summary["outcomes"]["canceled"] == 50
    late = modules["ended_s"] - 7200.0
    assert late.min() > 0.0
    assert late.max() < 1.1 * SLEEP_S + 5.0


def test_a_server_with_one_slow_worker_answers_as_fast_as_it_can():
    """100 modules at a sleep of 10 s want 10 polls a second; one worker of 200 ms answers five, whatever they want."""
    outcome = run(
        *ALWAYS, "fleet.size=100", "plan.strategy.delivery.polling_time=10s", "fleet.groups.0.free_space=100 kB", "horizon=10min",
        "cloud.capacity={request_workers: 1, request_time: 200ms, connections_per_s: 1000}", events=True,
    )  # fmt: skip
    events = outcome.records.events
    polls = events[events["text"] == "device requests its plan"]["time_s"]
    steady = polls[(polls > 300.0) & (polls < 600.0)]
    assert len(steady) / 300.0 == pytest.approx(5.0, rel=0.05)


def test_what_no_ddi_server_can_do_is_refused():
    with pytest.raises(ScenarioError, match="cannot roll back"):
        scenario("cloud.kind=ddi", "plan.strategy.in_flight.on_revoked=rollback")


# --- predicted, then run ---------------------------------------------------------------------------------------------

SCALE = 60.0
PREDICTED = (
    *HARMLESS, "cloud.kind=ddi", "plan.strategy.preset=goosebit", f"plan.strategy.delivery.polling_time={SCALE:g}s",
    "fleet.groups.0.check_in={every: 4min, jitter: 1min, awake: 20s}", "fleet.groups.0.free_space=4 MB",
    "horizon=10min", "fleet.failures.boot_failure=0.15", "fleet.failures.user_refusal=0.1", "fleet.failures.checksum_error=0.2",
)  # fmt: skip
STAGES = (
    ("notified_s", None), ("confirmed_s", "notified_s"), ("downloaded_s", "download_started_s"), ("updating_s", "downloaded_s"),
    ("upgraded_s", "updating_s"), ("reported_s", "upgraded_s"),
)  # fmt: skip


def lived(given, server, **options):
    """The live run of a scenario against a documented server, and whether this host was fit to measure."""

    async def both():
        await server.start()
        check = SelfCheck()
        check.start()
        try:
            found = await live(given, server.url, Settings(**options))
            return found, check.look()
        finally:
            await check.stop()
            await server.stop()

    return asyncio.run(asyncio.wait_for(both(), 90.0))


def test_a_rollout_ends_live_as_it_was_predicted():
    """The same scenario simulated and run with the modelled radio: each module's outcome, each stage's duration."""
    predicted = run(*PREDICTED, "fleet.size=60").records.modules.set_index("module")
    found, health = lived(
        scenario(*PREDICTED, "fleet.size=60"), DocumentedServer(package_bytes(200_000)), ramp_per_s=1e6,
        time_scale=SCALE, radio=True,
    )  # fmt: skip
    seen = found.outcome.records.modules.set_index("module").loc[predicted.index]
    assert (predicted["outcome"].astype(str) == seen["outcome"].astype(str)).all()
    assert (predicted["cause"].astype(str) == seen["cause"].astype(str)).all()
    assert predicted["outcome"].nunique() >= 3
    for end, begin in () if health.faults else STAGES:  # durations are evidence only from a host that keeps time
        a, b = (t[end] if begin is None else t[end] - t[begin] for t in (predicted, seen))
        off_s = (b - a).dropna()
        assert len(off_s) > 20
        assert abs(off_s.median()) < 0.1 * SCALE, end  # a tenth of a real second, made longer by the scale


def test_two_components_are_carried_out_live_as_they_are_simulated():
    """Firmware, then an MCU in three pieces: the same statuses in the same order, the same bytes, the same versions."""
    steady = (
        *ALWAYS,
        *TWO,
        "fleet.size=4",
        "plan.strategy.delivery.polling_time=600s",
        "plan.strategy.preset=goosebit",
    )
    predicted = run(*steady, events=True)
    server = DocumentedServer(package_bytes(200_000), more=(("mcu", "mcu", "8", package_bytes(250_000)),))
    found, _ = lived(scenario(*steady), server, ramp_per_s=100.0, time_scale=600.0, duration_s=30.0)
    a, b = (o.records.modules.set_index("module") for o in (predicted, found.outcome))
    for column in (
        "outcome",
        "components_done",
        "bytes_useful",
        "bytes_wasted",
        "download_errors",
        "stage",
        "cloud_state",
    ):
        assert a[column].astype(str).tolist() == b[column].astype(str).tolist(), column
    assert a["components_done"].tolist() == [2] * 4
    for name in a.index:
        own = [
            e[(e["module"] == name) & (e["source"] == "module")]
            for e in (predicted.records.events, found.outcome.records.events)
        ]
        assert own[0]["status"].tolist() == own[1]["status"].tolist()
        assert own[0]["code"].tolist() == own[1]["code"].tolist()
        codes = [f["status"]["code"] for f in server.feedback[name]]
        assert codes == told(predicted, name)
        assert codes == [1, 2, 4, 8, 9, 11, 4, 8, 4, 8, 4, 8, 9, 11]
        assert (
            server.attributes[name]["sw_version_mcu"] == "7"
        )  # the new one with the next poll, for which nobody waits
    assert sorted(set(server.ranges)) == [
        "bytes=0-199999",
        "bytes=0-99999",
        "bytes=100000-199999",
        "bytes=200000-249999",
    ]
