"""What a load run is judged by: failures by step and reason, objectives, the generator; its status and its page."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from math import inf

import pytest

from sim.engines.live.latency import Latencies
from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.engines.live.slo import parse
from sim.engines.live.slo_judging import EVERYBODY, judged
from sim.errors import FotasimError
from sim.exit_status import ExitStatus
from sim.load.load_fleet import LoadFleet
from sim.load.locust_workers import launch
from sim.load.locust_workers.worker_protocol import Statistics
from sim.load.locust_workers.worker_reports import Gathered, encoded_legs
from sim.report.formats.html_page import render
from sim.report.model.load_verdict import decision_of
from sim.report.pages.load_page import LoadRun, load_page
from sim.scenario.load import dump, vary
from sim.wire.quecthing import commands
from tests.hostile_proxy import hostile
from tests.live_cloud import PRODUCT_KEY, PRODUCT_SECRET, LiveCloud
from tests.load.master import free_port
from tests.load.test_run import FLEET


def report(slo=None, *, connects=400, failed=0, final=True, faults=(), **more):
    """The merged report of one worker, as load.json holds it."""
    found = Latencies()
    for _ in range(connects):
        found.add("connect", 0.01)
        found.of_group("all").add("connect", 0.01)
    for _ in range(failed):
        found.fail("login", "connection reset")
    gathered = Gathered(lambda: 0.0)
    gathered.options = {"fotasim_slo": slo}
    gathered.expect("w1")
    ours = {
        "legs": encoded_legs(found), "groups": {"all": encoded_legs(found.groups["all"])} if connects else {}, "time": 0.0,
        "final": final, "health": {"faults": list(faults)},
    }  # fmt: skip
    gathered.take("w1", {"fotasim": ours, "user_count": 10})
    return {**json.loads(gathered.to_json()), "interrupted": False, "aborted": [], **more}


@pytest.mark.parametrize(
    ("found", "verdict", "status", "headline"),
    [
        (report(), "none", 0, "Done, and nothing was judged: the scenario sets no gates."),
        (report(failed=1, connects=9), "no-go", 1, "Not sustained: login failed more often than tolerated."),
        (report("p99(connect)<1s"), "go", 0, "Sustained: every objective is kept beyond doubt."),
        (report("p99(connect, group=all)<1s"), "go", 0, "Sustained: every objective is kept beyond doubt."),
        (report("p99(connect)<5ms"), "no-go", 1, "Not sustained: 1 of 1 objective is broken."),
        (report("p99(connect)<1s", connects=50), "marginal", 4, "Not decided: too few samples to tell whether an objective is kept."),
        (report("p99(connect)<1s", final=False), "invalid", 3, "Void: the generator, not the cloud, made these figures."),
        (report(faults=["it used 99 % of its core"]), "invalid", 3, "Void: the generator, not the cloud, made these figures."),
        (report(interrupted=True), "invalid", 130, "The run was interrupted: its figures end where it stopped and decide nothing."),
        (report("p99(connect)<5ms", aborted=["p99(connect)<5ms"]), "no-go", 1, "Not sustained: 1 of 1 objective is broken."),
    ],
)  # fmt: skip
def test_each_report_has_its_verdict_status_and_page(found, verdict, status, headline):
    from sim.report.model.verdict_words import tell

    decision = decision_of(found)
    assert (str(decision.verdict), decision.exit_status(), tell(decision).headline) == (verdict, status, headline)
    page = load_page(LoadRun({"name": "n"}, found))
    assert page.verdict.key == {130: "partial"}.get(status, "no-go" if status == 3 else verdict)
    failed = {check.status for check in page.checks if not check.passed}
    assert bool(failed) == (status != 0)
    render(page)


def test_a_doubt_may_be_decided():
    doubt = decision_of(report("p99(connect)<1s", connects=50))
    assert (doubt.exit_status("go"), doubt.exit_status("no-go")) == (ExitStatus.GO, ExitStatus.NO_GO)


def test_failures_stand_on_the_page_with_step_reason_and_tries():
    page = load_page(LoadRun({"name": "n"}, report(failed=40)))
    (row,) = next(t for t in page.tables() if t.name == "failures").raw()
    assert row == ["login", "connection reset", 40, 40]
    assert (
        "login: 40 of 40 failed (100.00 %); tolerated 1.00 %. Reasons: connection reset (40)."
        in page.verdict.blocks[0].text
    )


def test_groups_go_to_the_master_once():
    statistics = Statistics(lambda: 0.0)
    group = statistics.of_group("in")
    group.add("connect", 0.01)
    first, second = statistics.report()["fotasim"]["groups"], statistics.report()["fotasim"]["groups"]
    assert list(first["in"]) == ["connect"]
    assert second == {"in": {}}


def test_a_silent_worker_is_told_while_the_run_goes():
    gathered = Gathered(lambda: 0.0)
    gathered.expect("w1")
    assert gathered.silent("w1") and not gathered.silent("w1")
    assert gathered.snapshot().faults == ("worker w1 is silent: 0 modules are missing",)
    gathered.take("w1", {"fotasim": {"time": 0.0}, "user_count": 1})
    assert gathered.snapshot().faults == ()


async def command(folder, url, *more, number=None):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sim.cli", "load", str(folder / "s.yaml"), "--cloud", url, "--headless", "--ramp", "30/s",
        "--time-scale", "20", "--port", str(free_port()), "--out", str(folder / "out"), *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "FOTASIM_PRODUCT_KEY": PRODUCT_KEY, "FOTASIM_PRODUCT_SECRET": PRODUCT_SECRET},
    )  # fmt: skip
    if number is not None:
        while b"done" not in await asyncio.wait_for(process.stderr.readline(), 300):
            pass
        process.send_signal(number)
    out, err = await asyncio.wait_for(process.communicate(), 400)
    return process.returncode, out.decode(), err.decode()


def run(folder, does, *more, **options):
    """The command against a cloud behind a proxy that misbehaves on every second connection."""
    (folder / "s.yaml").write_text(dump(FLEET))

    async def both():
        cloud = LiveCloud(FLEET)
        await cloud.start()
        try:
            async with hostile(cloud.endpoint.port, does) as proxy:
                return await command(folder, f"mqtt://127.0.0.1:{proxy.port}", *more, **options)
        finally:
            await cloud.stop()

    return asyncio.run(both())


def test_half_of_the_connections_reset_ends_a_load_that_is_to_end_on_failure(tmp_path):
    """Without an objective by the tolerance, through master and worker, with reason, verdict, status and page."""
    code, out, err = run(tmp_path, "reset-login", "--duration", "100s", "--abort-on-failure")
    assert code == 1, err
    assert "ENDED EARLY, broken: error_rate(login)<1%" in out
    assert "failed: connection reset" in out
    assert "No go: Not sustained: login failed more often than tolerated." in out
    report = json.loads((tmp_path / "out" / "load.json").read_text())
    assert report["legs"]["login"]["failures"].keys() == {"connection reset"}
    assert "No go" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


@pytest.mark.timeout(900)
def test_sigterm_is_an_orderly_end(tmp_path):
    code, out, err = run(
        tmp_path, "reset-login", "--duration", "100s", "--slo", "error_rate(login, group=all)<5%", number=signal.SIGTERM
    )
    assert code == 143, err
    assert "INTERRUPTED: this run is partial" in out
    report = json.loads((tmp_path / "out" / "load.json").read_text())
    assert report["interrupted"] is True
    (asked,) = [row for row in report["slo"] if row["asked"]]
    assert (asked["text"], asked["group"]) == ("error_rate(login, group=all)<5%", "all")


def test_a_signal_ends_a_load_whose_master_is_too_slow_to_report(tmp_path, monkeypatch):
    """With the signal's own end, to which the command gives its status; without a signal a missing report is a failure."""
    said = iter([KeyboardInterrupt()])

    def look(_):
        for signalled in said:
            raise signalled

    start = launch.Start(users=1, ramp_per_s=1.0, workers=0)
    monkeypatch.setattr(launch, "_master", lambda *_: [sys.executable, "-c", ""])
    with pytest.raises(FotasimError, match="ended without a report"):
        launch.launch(start, [], tmp_path)
    monkeypatch.setattr(launch, "END_S", 0.01)
    monkeypatch.setattr(launch, "_master", lambda *_: [sys.executable, "-c", "import time; time.sleep(600)"])
    monkeypatch.setattr(launch._Processes, "_look", look)
    with pytest.raises(KeyboardInterrupt):
        launch.launch(start, [], tmp_path)


def test_an_error_in_a_timer_of_a_worker_voids_the_load():
    """Through a fleet as a worker drives it, its report, and what the master makes of that."""

    async def fault():
        cloud = LiveCloud(FLEET)
        await cloud.start()
        fleet = LoadFleet(FLEET, await find_target(cloud.url, Settings()), Settings(), Latencies())
        await fleet.open()
        asyncio.get_running_loop().call_soon(lambda: {}["injected"])
        await asyncio.sleep(0.05)
        found = fleet.snapshot().faults
        await fleet.close()
        await cloud.stop()
        return found

    faults = asyncio.run(asyncio.wait_for(fault(), 60))
    assert faults == ("error inside fotasim (KeyError): a connection ended with it",)
    gathered = Gathered(lambda: 0.0)
    gathered.take("w1", {"fotasim": {"time": 0.0, "final": True, "faults": list(faults)}, "user_count": 1})
    found = {**json.loads(gathered.to_json()), "interrupted": False, "aborted": []}
    assert decision_of(found).exit_status() == ExitStatus.RUN_FAILED
    assert found["faults"][0] == f"worker w1: this run is void: {faults[0]}"


class Silent(LiveCloud):
    """Keeps one command from every third module."""

    kept_back = commands.OTA_NOTICE

    def publish(self, client_id, command, payload):
        if command == self.kept_back and self.numbers[client_id] % 3 == 0:
            return True
        return super().publish(client_id, command, payload)


class NoUrl(Silent):
    """Every third module gets no URL: its upgrade never ends."""

    kept_back = commands.OTA_URL


@pytest.mark.parametrize(
    ("kind", "slo", "name", "done"),
    [
        (Silent, "p99(wake)<50ms", "wake", 20), (Silent, "max(notice)<10ms", "notice", 20),
        (Silent, "error_rate(wake)<1%", "wake", 20), (NoUrl, "error_rate(upgrade)<1%", "upgrade", 20),
        (Silent, "error_rate<1%", "wake", None), (Silent, "p99(connect)<1s", "notice", None), (Silent, None, "notice", None),
    ],
)  # fmt: skip
def test_who_is_never_answered_counts_against_what_is_asked_for(kind, slo, name, done):
    """20 of 30 modules are answered, 10 never: a judgement of the 20 alone would be kept."""
    given = vary(FLEET, {"fleet.size": 30})

    async def run():
        cloud, found = kind(given, time_scale=1000.0), Latencies()
        await cloud.start()
        settings = Settings(time_scale=1000.0, slo=None if slo is None else parse(slo))
        fleet = LoadFleet(given, await find_target(cloud.url, settings), settings, found)
        await fleet.open()
        fleet.resize(30)
        while found.count("upgrade") < 20:
            await asyncio.sleep(0.02)
        longest_s = max(found.quantile_s(span, 100.0) for span in ("wake", "upgrade"))
        await asyncio.sleep(2.0 * longest_s + 0.2)  # the others have waited longer than any that were answered
        fleet.halt()
        waiting = dict(fleet.waiting_at_end)
        await fleet.close()
        assert dict(fleet.waiting_at_end) == waiting  # once, however often it ends
        await cloud.stop()
        return found, waiting

    found, waiting = asyncio.run(asyncio.wait_for(run(), 90))
    if kind is Silent:
        assert waiting["notice"] == 10
    if done is not None:
        assert found.tries(name) == (30, 10)
        result = judged(parse(slo), {EVERYBODY: found})[0]
        assert (result.over >= 10, result.state) == (True, "broken")
    else:
        assert found.failed(name) == {}


def test_from_how_long_on_a_wait_is_overdue():
    found = Latencies()
    for milliseconds in range(1, 101):
        found.add("wake", milliseconds / 1000.0)
    slo = parse("p99(wake)<2s, p50(wake)<1s, error_rate(upgrade)<1%, p95(url)<3s, error_rate(notice)<1%")
    assert (slo.overdue_s("wake", found), slo.overdue_s("url", found)) == (2.0, 3.0)
    assert slo.overdue_s("login", found) == inf  # nothing is asked for
    assert slo.overdue_s("upgrade", found) == inf  # nothing has ended to tell by
    found.add("upgrade", 5.0)
    assert slo.overdue_s("upgrade", found) == pytest.approx(5.0, rel=1e-3)
    assert parse("error_rate(wake)<1%").overdue_s("wake", found) == pytest.approx(0.099, rel=1e-3)
    assert (slo.by_chance("upgrade", 595), slo.by_chance("upgrade", 99), slo.by_chance("wake", 595)) == (5, 0, 0)
