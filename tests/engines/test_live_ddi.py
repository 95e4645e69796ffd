"""Live modules against hawkBit's documented answers: confirmation, cancel, soft, window, 410, 429 and the rest."""

from __future__ import annotations

import asyncio
import time

import pytest

from sim.engines.live.fetch import Broken, ThinDownloader
from sim.engines.live.live_engine import Settings
from sim.engines.live.live_run import LiveOutcome, live
from sim.errors import FotasimError
from sim.messages import REFUSED
from tests.ddi_server import DocumentedServer
from tests.live_cloud import package_bytes
from tests.support import HARMLESS, scenario

SCALE = 600.0
READY = (
    *HARMLESS, "fleet.groups.0.check_in=always", "fleet.groups.0.battery_percent=90", "fleet.groups.0.rsrp_dbm=-90",
    "fleet.groups.0.free_space=4 MB", "cloud.kind=ddi",
)  # fmt: skip
PACKAGE = package_bytes(200_000)


def run_ddi(*overrides, during=None, seconds=20.0, scale=SCALE, setup=None, radio=False, **options) -> tuple[LiveOutcome, DocumentedServer]:  # fmt: skip
    """A live run against a documented server of its own; `during` runs beside it."""
    server = DocumentedServer(PACKAGE, **options)
    if setup is not None:
        setup(server)
    given = scenario(*READY, *overrides)

    async def both():
        await server.start()
        try:
            beside = asyncio.create_task(during(server)) if during else None
            found = await live(
                given, server.url, Settings(ramp_per_s=100.0, time_scale=scale, duration_s=seconds, radio=radio)
            )
            if beside is not None:
                await beside
            return found
        finally:
            await server.stop()

    return asyncio.run(both()), server


async def until(holds, seconds=15.0):
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


def outcomes(found):
    return {name: count for name, count in found.outcome.summary["outcomes"].items() if count}


def test_every_stage_is_reported_with_its_code():
    found, server = run_ddi("fleet.size=4")
    assert outcomes(found) == {"succeeded": 4}
    assert set(server.status.values()) == {"FINISHED"}
    for name in server.status:
        assert server.executions(name) == ["proceeding", "proceeding", "download", "downloaded", "proceeding", "closed"]
        assert [f["status"]["code"] for f in server.feedback[name]] == [1, 2, 4, 8, 9, 11]
        assert server.attributes[name]["hw_revision"] == "A"
        assert all(abs(f["timestamp"] / 1000.0 - time.time()) < 3600.0 for f in server.feedback[name])
    assert set(server.ranges) == {"bytes=0-199999"}
    assert found.outcome.records.modules["bytes_useful"].tolist() == [200_000] * 4
    figures = found.outcome.manifest["live"]
    assert figures["requests"]["feedback"] == 4 * 6
    assert (
        sum(figures["requests_over_time"]["poll"].values())
        == figures["requests"]["poll"]
        == sum(map(len, server.polls.values()))
    )


def test_modules_that_sleep_poll_at_their_check_in():
    found, server = run_ddi(
        "fleet.size=6", "fleet.groups.0.check_in={every: 10min, awake: 30s}", "fleet.groups.0.failures.no_reattach=1"
    )
    assert outcomes(found) == {"succeeded": 6}
    assert set(server.status.values()) == {"FINISHED"}


def test_a_soft_action_waits_for_the_user_and_a_forced_one_does_not():
    confirmed = ("fleet.size=2", "plan.mode=confirm", "plan.user_delay=30min")
    soft, asked = run_ddi(*confirmed, setup=lambda s: setattr(s, "handling", "attempt"))
    forced, _ = run_ddi(*confirmed)
    assert outcomes(soft) == outcomes(forced) == {"succeeded": 2}
    waits = [
        run.outcome.records.modules["confirmed_s"] - run.outcome.records.modules["notified_s"] for run in (soft, forced)
    ]
    assert waits[0].min() >= 1800.0
    assert waits[1].max() < 60.0
    assert set(asked.status.values()) == {"FINISHED"}


def test_an_unanswered_soft_action_that_turns_forced_goes_on_at_once():
    async def force(server):
        await until(lambda: len(server.feedback) == 2)
        server.handling = "forced"

    found, server = run_ddi(
        "fleet.size=2", "plan.mode=confirm", "plan.user_delay=48h", during=force,
        setup=lambda s: setattr(s, "handling", "attempt"),
    )  # fmt: skip
    assert outcomes(found) == {"succeeded": 2}
    assert set(server.status.values()) == {"FINISHED"}


def test_a_closed_window_lets_download_and_holds_the_installation():
    async def open_window(server):
        await until(
            lambda: all("scheduled" in server.executions(n) for n in server.status) and len(server.feedback) == 3
        )
        assert not any("closed" in server.executions(name) for name in server.status)
        server.window = "available"

    found, server = run_ddi("fleet.size=3", during=open_window, setup=lambda s: setattr(s, "window", "unavailable"))
    assert outcomes(found) == {"succeeded": 3}
    assert all(server.executions(name)[-3:] == ["scheduled", "proceeding", "closed"] for name in server.status)
    assert len(server.ranges) == 3


def test_download_only_downloads_and_installs_nothing():
    found, server = run_ddi("fleet.size=2", setup=lambda s: setattr(s, "download_only", True))
    assert set(server.status.values()) == {"FINISHED"}
    assert all(server.executions(name)[-1] == "downloaded" for name in server.status)
    assert found.outcome.records.modules["upgraded_s"].isna().all()


def test_a_confirmation_is_given_before_the_action_runs():
    found, server = run_ddi("fleet.size=3", setup=lambda s: setattr(s, "confirmation", True))
    assert outcomes(found) == {"succeeded": 3}
    assert [[c["confirmation"] for c in server.confirmed[name]] for name in server.status] == [["confirmed"]] * 3
    assert all(server.executions(name)[0] == "download" for name in server.status)


def test_a_module_on_low_battery_denies_once_and_stays_pending():
    found, server = run_ddi(
        "fleet.size=2", "fleet.groups.0.battery_percent=8", seconds=5.0,
        setup=lambda s: setattr(s, "confirmation", True),
    )  # fmt: skip
    assert found.outcome.summary["causes"] == {"low_battery": 2}
    for name, status in server.status.items():
        assert status == "WAIT_FOR_CONFIRMATION"
        assert [c["confirmation"] for c in server.confirmed[name]] == ["denied"]
        assert server.confirmed[name][0]["details"] == ["not now: low_battery"]


def test_a_module_on_low_battery_rejects_once_and_is_asked_again():
    found, server = run_ddi("fleet.size=2", "fleet.groups.0.battery_percent=8", seconds=5.0)
    assert outcomes(found) == {"pending": 2}
    assert found.outcome.summary["causes"] == {"low_battery": 2}
    for name, status in server.status.items():
        assert status == "WARNING"  # not terminal
        assert server.executions(name) == ["proceeding", "rejected"]
        assert len(server.polls[name]) >= 3
    events = found.outcome.records.events
    assert events[events["status"] == REFUSED].groupby("module", observed=True).size().min() >= 3


def test_what_a_user_refuses_is_closed():
    found, server = run_ddi("fleet.size=2", "fleet.failures.user_refusal=1")
    assert outcomes(found) == {"rejected": 2}
    assert set(server.status.values()) == {"ERROR"}
    assert {f[-1]["status"]["details"][0] for f in server.feedback.values()} == {"refused: user_refused"}


def test_what_a_user_denies_is_not_asked_again():
    found, server = run_ddi(
        "fleet.size=2", "fleet.failures.user_refusal=1", setup=lambda s: setattr(s, "confirmation", True)
    )
    assert outcomes(found) == {"rejected": 2}
    assert set(server.status.values()) == {"WAIT_FOR_CONFIRMATION"}  # denied: it stays pending
    assert [[c["confirmation"] for c in server.confirmed[name]] for name in server.status] == [["denied"]] * 2


def test_the_command_runs_against_the_scenarios_own_server(tmp_path):
    from typer.testing import CliRunner

    from sim.cli.common import app

    server = DocumentedServer(PACKAGE)
    path, out = tmp_path / "s.yaml", tmp_path / "run"

    async def both():
        await server.start()
        try:
            path.write_text(scenario(*READY, "fleet.size=2", f"cloud.url={server.url}").to_yaml(), encoding="utf-8")
            words = ["live", str(path), "--time-scale", str(SCALE), "--duration", "30s", "--out", str(out)]
            return await asyncio.to_thread(CliRunner().invoke, app, words)
        finally:
            await server.stop()

    done = asyncio.run(both())
    assert done.exit_code == 0, done.output
    assert "succeeded            2" in done.output
    assert "set cloud.server and FOTASIM_DDI_USER" in done.output
    assert (out / "report.html").exists()


def test_a_failure_tells_its_cause_and_what_runs():
    found, server = run_ddi("fleet.size=2", "fleet.failures.boot_failure=1")
    assert found.outcome.summary["causes"] == {"boot_failure": 2}
    last = [f[-1]["status"] for f in server.feedback.values()]
    assert [(s["result"]["finished"], s["details"]) for s in last] == [
        ("failure", ["boot_failure", "version 1.0.0 runs"])
    ] * 2


def test_a_cancel_is_honoured_until_the_image_is_written():
    async def cancel(server):
        await until(lambda: len(server.feedback) == 3)
        server.canceling = set(server.status)

    found, server = run_ddi(
        "fleet.size=3", during=cancel, setup=lambda s: setattr(s, "window", "unavailable")
    )  # fmt: skip
    assert outcomes(found) == {"canceled": 3}
    assert set(server.status.values()) == {"CANCELED"}
    assert all(f[-1]["status"]["execution"] == "closed" for f in server.cancel_feedback.values())


def test_a_cancel_that_comes_too_late_is_refused_and_the_action_goes_on():
    slow_flash = (
        "fleet.physics.mcu_flash_s_per_mb=6000",
        "plan.components.0.type=mcu",
        "fleet.groups.0.mcu_buffer=1 MB",
    )

    async def cancel(server):
        await until(lambda: any(f and f[-1]["status"]["code"] == 9 for f in server.feedback.values()))
        server.canceling = set(server.status)

    found, server = run_ddi("fleet.size=1", *slow_flash, during=cancel)
    assert outcomes(found) == {"succeeded": 1}
    assert set(server.status.values()) == {"FINISHED"}
    assert [f["status"]["execution"] for fs in server.cancel_feedback.values() for f in fs] == ["rejected"]


def test_a_force_quit_action_is_left_alone():
    async def quit_all(server):
        await until(
            lambda: len(server.feedback) == 2 and all("scheduled" in server.executions(n) for n in server.status)
        )
        server.force_quit = set(server.status)
        server.window = "available"

    found, server = run_ddi(
        "fleet.size=2", during=quit_all, seconds=8.0, setup=lambda s: setattr(s, "window", "unavailable")
    )
    assert not any("closed" in server.executions(name) for name in server.status)
    refused = found.outcome.manifest["live"]["refused_requests"]
    assert refused == {"feedback: HTTP 410": 2}  # each told once, and no more asked of it


def test_what_is_under_way_is_reported_though_the_server_offers_it_no_more():
    async def pause(server):
        await until(
            lambda: len(server.feedback) == 2 and all("downloaded" in server.executions(n) for n in server.status)
        )
        server.paused = True

    found, server = run_ddi("fleet.size=2", during=pause, scale=20.0)
    assert outcomes(found) == {"succeeded": 2}
    assert set(server.status.values()) == {"FINISHED"}


def test_a_failed_action_that_is_offered_anew_is_tried_anew():
    async def retry(server):
        await until(lambda: server.status.get("m0000000") == "ERROR" and server.polls["m0000000"])
        seen = len(server.polls["m0000000"])
        await until(lambda: len(server.polls["m0000000"]) > seen + 1)  # it saw that nothing is offered
        server.status["m0000000"] = "RUNNING"
        await until(lambda: server.executions("m0000000").count("closed") == 2)

    def one_stays_away(server):
        server.busy["m0000001"] = 1_000_000  # so that the run goes on

    found, server = run_ddi(
        "fleet.size=2", "fleet.failures.boot_failure=1", during=retry, seconds=15.0, setup=one_stays_away
    )
    assert server.status["m0000000"] == "ERROR"
    assert server.executions("m0000000").count("download") == 2
    assert outcomes(found) == {"failed": 1, "never_online": 1}


def test_too_many_requests_are_answered_with_patience():
    def busy(server):
        for i in range(3):
            server.busy[f"m000000{i}"] = 2

    found, server = run_ddi("fleet.size=3", setup=busy, seconds=60.0)
    assert outcomes(found) == {"succeeded": 3}
    assert all(polls[:3] == [429, 429, 200] for polls in server.polls.values())
    assert found.outcome.manifest["live"]["refused_requests"] == {"poll: HTTP 429": 6}


def test_unchanged_polls_are_answered_with_304():
    _, server = run_ddi("fleet.size=1", "fleet.groups.0.battery_percent=8", seconds=6.0)
    assert all(polls[-1] == 304 for polls in server.polls.values())


@pytest.mark.parametrize(
    ("variable", "value", "header"),
    [("FOTASIM_DDI_TARGET_TOKEN", "s3cret-{id}", "TargetToken s3cret-m0000000"), ("FOTASIM_DDI_GATEWAY_TOKEN", "s3cret", "GatewayToken s3cret")],
)  # fmt: skip
def test_tokens_go_with_every_request_and_into_no_record(monkeypatch, tmp_path, variable, value, header):
    from sim.engines.live.live_run import save_live

    monkeypatch.setenv(variable, value)
    found, server = run_ddi("fleet.size=1", setup=lambda s: setattr(s, "token", header))
    assert outcomes(found) == {"succeeded": 1}
    assert server.authorized == [header]
    save_live(found, tmp_path / "run")
    assert not any(b"s3cret" in path.read_bytes() for path in (tmp_path / "run").iterdir())


def test_a_wrong_token_keeps_modules_out(monkeypatch):
    monkeypatch.setenv("FOTASIM_DDI_TARGET_TOKEN", "wrong")
    found, _ = run_ddi("fleet.size=2", seconds=2.0, setup=lambda s: setattr(s, "token", "TargetToken right"))
    assert outcomes(found) == {"never_online": 2}
    assert found.outcome.manifest["live"]["refused_requests"]["poll: HTTP 401"] == 2


def test_wrong_bytes_are_reported_and_fetched_again():
    async def mend(server):
        await until(
            lambda: any(
                "download broken: checksum" in d
                for f in server.feedback.values()
                for x in f
                for d in x["status"]["details"]
            )
        )
        server.wrong_digest = False
        server.window = "available"  # c changes: the deployment is read again

    found, _ = run_ddi("fleet.size=1", during=mend, setup=lambda s: setattr(s, "wrong_digest", True))
    assert outcomes(found) == {"succeeded": 1}
    assert set(found.outcome.manifest["live"]["broken_downloads"]) == {"the SHA1 is wrong"}


def test_a_download_that_breaks_is_resumed_where_it_stopped():
    found, server = run_ddi(
        "fleet.size=20", "fleet.groups.0.resume_download=true", "fleet.failures.link_drop_factor=400", radio=True,
        scale=60.0, seconds=60.0,
    )  # fmt: skip
    assert outcomes(found) == {"succeeded": 20}
    resumed = [r for r in server.ranges if not r.startswith("bytes=0-")]
    assert resumed
    assert any("resumed" in server.executions(name) for name in server.status)
    assert found.outcome.summary["bytes"]["useful"] == 20 * 200_000


def test_a_transfer_cut_behind_its_last_byte_needs_no_other_request(monkeypatch):
    get = ThinDownloader.get

    async def cut(self, ask, header, body):
        await get(self, ask, header, body)
        raise Broken("cut behind the last byte")

    monkeypatch.setattr(ThinDownloader, "get", cut)
    found, server = run_ddi("fleet.size=2", "fleet.groups.0.resume_download=true")
    assert outcomes(found) == {"succeeded": 2}
    assert server.ranges == ["bytes=0-199999"] * 2
    assert found.outcome.records.modules["bytes_useful"].tolist() == [200_000] * 2


def test_a_server_that_was_away_gets_its_modules_back():
    async def away(server):
        await until(lambda: len(server.status) == 10)
        server.down = True
        await asyncio.sleep(1.5)
        server.down = False

    found, server = run_ddi("fleet.size=10", during=away, seconds=60.0)
    assert outcomes(found) == {"succeeded": 10}
    assert set(server.status.values()) == {"FINISHED"}


@pytest.mark.parametrize(
    ("url", "environment", "rule"),
    [
        ("http://192.0.2.1", {}, "--allow 192.0.2.1"), ("mqtt://127.0.0.1", {}, "cloud URL"),
        ("http://127.0.0.1:1", {"FOTASIM_DDI_TARGET_TOKEN": "a", "FOTASIM_DDI_GATEWAY_TOKEN": "b"}, "not both"),
        ("http://127.0.0.1:1", {"FOTASIM_DDI_TARGET_TOKEN": "a b"}, "printable ASCII"),
        ("https://127.0.0.1:1", {"FOTASIM_DDI_CERT": "/does/not/exist"}, "certificate cannot be used"),
    ],
)  # fmt: skip
def test_targets_and_credentials_are_checked_before_anything_is_sent(monkeypatch, url, environment, rule):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FotasimError, match=rule):
        asyncio.run(live(scenario(*READY, "fleet.size=1"), url, Settings()))


def test_refused_credentials_are_said_first():
    from sim.cli.live import failure_lines

    rows = {
        "poll": {"tries": 100, "failures": {"login refused (HTTP 401)": 10}},
        "download": {"tries": 41, "failures": {"connection reset": 40}}, "report": {"tries": 5, "failures": {}},
    }  # fmt: skip
    assert list(failure_lines(rows)) == [
        "  poll failed: login refused (HTTP 401): 10 of 100", "  download failed: connection reset: 40 of 41",
    ]  # fmt: skip
