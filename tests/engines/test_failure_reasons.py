"""No failure of a session is hidden: each is counted by step and reason, and a run with too many is never a Go."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import signal
import socket
import ssl
import sys

import aiohttp
import pytest

from sim.cloud.execution_states import ExecutionState
from sim.engines.live import failure_reasons as why
from sim.engines.live import live_module, slo
from sim.engines.live.client_reasons import reason_of
from sim.engines.live.latency import Latencies
from sim.engines.live.live_engine import CRASHED, Settings
from sim.engines.live.live_run import live, save_live
from sim.engines.live.slo_judging import EVERYBODY, judged
from sim.errors import FotasimError, InputError, LocalProtocolError, RemoteProtocolError
from sim.records import Run
from sim.report.from_runs import single
from sim.report.model.run_report import build
from sim.wire.quecthing import login
from tests.ddi_server import DocumentedServer
from tests.engines.test_live import HARMLESS, SCALE, SOON, cloud_of
from tests.engines.test_live_ddi import PACKAGE, READY
from tests.hostile_proxy import hostile
from tests.live_cloud import PRODUCT_KEY, PRODUCT_SECRET
from tests.support import scenario

GATES = "gates={success_rate: '>= 0.5'}"
FLEET = (*HARMLESS, *SOON, "fleet.size=40", GATES)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionResetError(errno.ECONNRESET, "x"), "connection reset"), (BrokenPipeError(), "connection reset"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), "connection refused"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect"), "connection refused"),
        (TimeoutError(), "timed out"), (OSError(errno.EHOSTUNREACH, "x"), "host unreachable"),
        (socket.gaierror(-2, "Name or service not known"), "DNS: name not found"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS: handshake failed"),
        (OSError(errno.EMFILE, "x"), "this host: too many open files"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "this host: no local port or address left"),
        (RemoteProtocolError("a packet"), "protocol error, the server's: a packet"),
        (LocalProtocolError("a packet"), "protocol error, ours: a packet"),
        (KeyError("x"), "error inside fotasim (KeyError)"), (OSError(), "network: OSError"),
    ],
)  # fmt: skip
def test_each_error_has_its_reason(error, reason):
    assert why.of_error(error) == reason


def test_refused_logins_name_their_code():
    assert why.of_connack(5) == "login refused (CONNACK 5: not authorized)"
    assert why.of_connack(3) == "server unavailable (CONNACK 3)"
    assert why.of_platform(login.BAD_SIGNATURE) == "login refused (code 10425: signature wrong, so the product secret)"
    assert why.of_status(401) == "login refused (HTTP 401)"
    assert why.of_status(503) == "HTTP 503"


# --- QuecThing -------------------------------------------------------------------------------------------------------


def through(monkeypatch, does, nth=2, seconds=6.0, overrides=FLEET, **settings):
    """A live run whose connections go through a hostile proxy; what it left, and the proxy."""
    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", PRODUCT_KEY)
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", settings.pop("secret", PRODUCT_SECRET))
    given = scenario(*overrides)

    async def both():
        async with cloud_of(given) as made, hostile(made.endpoint.port, does, nth) as proxy:
            found = await live(
                given, f"mqtt://127.0.0.1:{proxy.port}",
                Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=seconds, **settings),
            )  # fmt: skip
            return found, proxy

    return asyncio.run(both())


def told(found, folder):
    """The run's report and page, from its folder alone."""
    saved = save_live(found, folder)
    return build(saved), single(saved.path)[0]


@pytest.mark.parametrize(
    ("does", "step", "reason"),
    [
        ("reset-login", "login", "connection reset"), ("close", "login", "closed by peer"),
        ("garbage", "login", "protocol error, the server's: packet type 15 with flags 15"),
        ("reset-later", "session", "connection reset"),
    ],
)  # fmt: skip
def test_a_proxy_that_breaks_every_second_connection_is_never_a_go(does, step, reason, monkeypatch, tmp_path):
    found, proxy = through(monkeypatch, does)
    failures = found.outcome.manifest["live"]["failures"]
    counted = failures[step]
    cut_off = "no answer (acknowledgement, until its next connection)"  # on a busy host, with or without a reset
    assert {reason for name, row in failures.items() if name != step for reason in row} <= {cut_off}
    assert {reason} <= set(counted) <= {reason, cut_off}
    assert step == "session" or set(counted) == {reason}
    assert 0 < counted[reason] <= proxy.hit
    if step == "login":  # a module may be gone in order before its session is reset
        assert proxy.hit - counted[reason] <= 2  # those under way as the run ended
    report, page = told(found, tmp_path / "run")
    assert found.outcome.summary["outcomes"]["succeeded"] >= 20  # the gate is met: the devices tried again
    assert report.gates[0].met
    assert (found.outcome.summary["verdict"], report.verdict, page.verdict.word) == ("no-go", "no-go", "No go")
    assert report.exit_statuses == {"as it is": 1, "go": 1, "no-go": 1}
    assert re.fullmatch(rf"Do not ship: .*{step}.* failed more often than tolerated\.", report.told.headline)
    (row,) = (r for r in next(t for t in page.tables() if t.name == "slo").raw() if r[0] == f"error_rate({step})<1%")
    assert row[3] == sum(counted.values())
    assert f"{reason} ({counted[reason]:,})" in row[5]
    assert {c.status for c in page.checks if not c.passed} == {1}


def test_a_proxy_that_stalls_is_no_answer(monkeypatch, tmp_path):
    found, _ = through(monkeypatch, "stall", nth=1, seconds=13.0, overrides=(*HARMLESS, *SOON, "fleet.size=4"))
    ((reason, count),) = found.outcome.manifest["live"]["failures"]["login"].items()
    assert reason == "no answer (CONNACK or SUBACK)"
    assert count >= 4
    report, _ = told(found, tmp_path / "run")
    assert report.verdict == "no-go"


def test_nobody_there_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", PRODUCT_KEY)
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", PRODUCT_SECRET)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{taken.getsockname()[1]}"
        settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=2.0)
        found = asyncio.run(live(scenario(*HARMLESS, *SOON, "fleet.size=5"), url, settings))
    failures = found.outcome.manifest["live"]["failures"]
    assert set(failures) == {"connect"} and set(failures["connect"]) == {"connection refused"}
    report, page = told(found, tmp_path / "run")
    assert report.verdict == "no-go"
    assert [t.name for t in page.tables() if t.name == "failures"]


def test_a_server_without_tls_is_told_from_a_dead_one(monkeypatch):
    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", PRODUCT_KEY)
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", PRODUCT_SECRET)
    given = scenario(*HARMLESS, *SOON, "fleet.size=3")

    async def both():
        async with cloud_of(given) as made:
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=3.0)
            return await live(given, f"mqtts://127.0.0.1:{made.endpoint.port}", settings)

    (reasons,) = asyncio.run(both()).outcome.manifest["live"]["failures"].values()
    assert all(reason.startswith(("TLS: ", "connection reset", "closed by peer")) for reason in reasons)


REFUSED = "login refused (code 10424: password cannot be decoded, so the product secret)"


def test_a_wrong_secret_is_a_refused_login_and_no_module_is_merely_offline(monkeypatch, tmp_path):
    from tests.service.cloud import TOKEN, prepare, served

    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", "another secret of 16 or more")
    monkeypatch.setenv("FOTASIM_TOKEN", TOKEN)
    given, seen = scenario(*HARMLESS, *SOON, "fleet.size=5"), []

    async def both():
        async with served(tmp_path / "cloud") as (server, client):
            await prepare(client)
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=3.0)
            return await live(given, server.cloud.http_url, settings, watch=seen.append)

    found = asyncio.run(both())
    assert found.outcome.manifest["live"]["failures"] == {"login": {REFUSED: 5}}
    assert seen[-1].states == {"refused": 5}
    assert seen[-1].reasons == {REFUSED: 5}
    report, _ = told(found, tmp_path / "run")
    assert report.verdict == "no-go"
    assert f"Reasons: {REFUSED} (5)." in report.told.reasons[0]


def test_a_long_back_off_is_shown_as_one():
    given, seen = scenario(*HARMLESS, *SOON, "fleet.size=3"), []

    async def both():
        async with cloud_of(given) as made:
            made.refuses = login.BAD_FLAG  # 1 s times failures
            made.center.back_off = 0
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=3.0)
            return await live(given, made.url, settings, watch=seen.append)

    found = asyncio.run(both())
    assert seen[-1].states.get("refused", 0) >= 1
    assert set(found.outcome.manifest["live"]["failures"]["login"]) == {
        f"login refused (code {login.BAD_FLAG}: encryption flag)"
    }


# --- the modelled radio is not the cloud's failure -------------------------------------------------------------------


def test_sessions_that_the_modelled_radio_drops_are_no_failures():
    given = scenario(*HARMLESS, *SOON, "fleet.size=20", "fleet.failures.link_drop_factor=3000")

    async def both():
        async with cloud_of(given) as made:
            return await live(given, made.url, Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=8.0))

    told_by_live = asyncio.run(both()).outcome.manifest["live"]
    assert told_by_live["sessions_dropped_by_modelled_radio"] >= 1
    assert "session" not in told_by_live["failures"]


# --- DDI -------------------------------------------------------------------------------------------------------------


def ddi(setup, *overrides, seconds=4.0, **options):
    server = DocumentedServer(PACKAGE)

    async def both():
        await server.start()
        setup(server)
        try:
            given = scenario(*READY, "fleet.size=10", GATES, *overrides)
            settings = Settings(ramp_per_s=100.0, time_scale=600.0, duration_s=seconds, **options)
            return await live(given, server.url, settings)
        finally:
            await server.stop()

    return asyncio.run(both())


def test_a_ddi_server_that_answers_503_is_no_go_with_the_code(tmp_path):
    found = ddi(lambda server: setattr(server, "down", True), seconds=2.0)
    assert found.outcome.manifest["live"]["failures"] == {"poll": {"HTTP 503": 10}}
    report, _ = told(found, tmp_path / "run")
    assert (report.verdict, report.exit_statuses["as it is"]) == ("no-go", 1)
    assert any("poll: 10 of 10 failed" in text and "HTTP 503 (10)" in text for text in report.told.reasons)


def test_a_wrong_token_is_a_refused_login(monkeypatch, tmp_path):
    monkeypatch.setenv("FOTASIM_DDI_TARGET_TOKEN", "wrong")
    found = ddi(lambda server: setattr(server, "token", "TargetToken right"))
    assert found.outcome.manifest["live"]["failures"] == {"poll": {"login refused (HTTP 401)": 10}}


@pytest.mark.parametrize(
    ("does", "reason"),
    [("reset", "connection reset"), ("close", "closed by peer"), ("garbage", "protocol error, the server's")],
)
def test_what_a_ddi_server_does_instead_of_answering_is_told_apart(does, reason, tmp_path):
    server = DocumentedServer(PACKAGE)

    async def both():
        await server.start()
        try:
            port = int(server.url.rsplit(":", 1)[1])
            async with hostile(port, does, nth=1) as proxy:
                settings = Settings(ramp_per_s=100.0, time_scale=600.0, duration_s=2.0)
                return await live(scenario(*READY, "fleet.size=10"), f"http://127.0.0.1:{proxy.port}", settings)
        finally:
            await server.stop()

    failures = asyncio.run(both()).outcome.manifest["live"]["failures"]
    assert set(failures) == {"poll"}
    assert all(found.startswith(reason) for found in failures["poll"])
    assert sum(failures["poll"].values()) == 10


def test_reasons_of_aiohttp_are_those_of_every_client():
    assert reason_of(aiohttp.ServerDisconnectedError()) == "closed by peer"
    assert reason_of(aiohttp.ConnectionTimeoutError()) == "timed out"
    assert reason_of(aiohttp.SocketTimeoutError()) == "no answer"
    assert reason_of(TimeoutError()) == "no answer"
    assert reason_of(aiohttp.ClientPayloadError()) == "closed by peer in mid-answer"
    assert reason_of(aiohttp.InvalidURL("x")).startswith("protocol error, ours")


# --- judging ---------------------------------------------------------------------------------------------------------


def measured(connects=0, failed=0, **legs):
    found = Latencies()
    for _ in range(connects):
        found.add("connect", 0.01)
    for _ in range(failed):
        found.fail("connect", "connection reset")
    for leg, seconds in legs.items():
        for value in seconds:
            found.add(leg, value)
    return {EVERYBODY: found}


def state(results, text):
    return next(r.state for r in results if r.text == text)


@pytest.mark.parametrize(
    ("connects", "failed", "expected"),
    [
        (100, 0, "kept"),
        (99, 1, "kept"),
        (9, 1, "undecided"),
        (8, 2, "broken"),
        (194, 194, "broken"),
        (980, 20, "broken"),
    ],
)
def test_the_tolerance_asks_no_proof_and_lets_no_failures_through(connects, failed, expected):
    assert state(judged(None, measured(connects, failed)), "error_rate(connect)<1%") == expected


def test_what_was_asked_for_takes_proof():
    wanted = slo.parse("error_rate(connect)<1%, p99(wake)<1s")
    few = judged(wanted, measured(100, wake=[0.1] * 100))
    assert (state(few, "error_rate(connect)<1%"), state(few, "p99(wake)<1s")) == ("undecided", "undecided")
    assert [r.needed for r in few if r.asked] == [299, 299]
    enough = judged(wanted, measured(299, wake=[0.1] * 299))
    assert (state(enough, "error_rate(connect)<1%"), state(enough, "p99(wake)<1s")) == ("kept", "kept")
    slow = judged(wanted, measured(299, wake=[0.1] * 280 + [2.0] * 19))
    assert state(slow, "p99(wake)<1s") == "broken"


def test_sessions_are_tried_by_connecting():
    found = measured(50)
    found[EVERYBODY].fail("session", "connection reset")
    (row,) = [r for r in judged(None, found) if r.step == "session"]
    assert (row.tried, row.over, row.state) == (50, 1, "undecided")


def test_an_objective_may_be_about_a_group():
    parsed = slo.parse("p95(download, group=in door)<120s, error_rate(group=out)<5%, p99(wake)<5s")
    assert [(o.leg, o.group, o.limit) for o in parsed.objectives] == [
        ("download", "in door", 120.0), (None, "out", 0.05), ("wake", "", 5.0),
    ]  # fmt: skip
    assert parsed.groups == ("in door", "out")
    with pytest.raises(FotasimError, match="not understood"):
        slo.parse("p99(wake, group=)<5s")
    with pytest.raises(FotasimError, match="no leg 'session'"):
        slo.parse("p99(session)<5s")


TWO_GROUPS = (
    *HARMLESS, "fleet.size=20",
    'fleet.groups=[{name: in, share: 0.5, technology: lte-m, power: mains, rsrp_dbm: -90, check_in: {every: 1h, awake: 50min}, components: {fw: "1.0.0"}}, '
    '{name: out, share: 0.5, technology: lte-m, power: mains, rsrp_dbm: -90, check_in: {every: 1h, awake: 50min}, components: {fw: "1.0.0"}}]',
)  # fmt: skip


def test_groups_are_measured_apart(tmp_path):
    given = scenario(*TWO_GROUPS)

    async def run(text):
        async with cloud_of(given) as made:
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=20.0, slo=slo.parse(text))
            return await live(given, made.url, settings)

    found = asyncio.run(run("p50(login, group=in)<30s, max(connect)<30s"))
    rows = {row["text"]: row for row in found.outcome.manifest["live"]["slo"] if row["asked"]}
    whole = found.latencies["login"]["count"]
    assert 0 < rows["p50(login, group=in)<30s"]["tried"] < whole
    assert rows["max(connect)<30s"]["tried"] == found.latencies["connect"]["count"]
    with pytest.raises(InputError, match="no group 'inn'; the fleet has in, out"):
        asyncio.run(run("p99(login, group=inn)<5s"))


def test_a_run_that_is_to_end_on_failure_ends_early_and_is_no_go(monkeypatch, tmp_path):
    found, _ = through(monkeypatch, "reset-login", nth=1, seconds=60.0, abort_on_failure=True)
    assert found.ended_by == "broken: error_rate(login)<1%"
    assert found.outcome.summary["wall_s"] < 60.0
    report, page = told(found, tmp_path / "run")
    assert (report.verdict, report.exit_statuses["as it is"], page.verdict.word) == ("no-go", 1, "No go")
    assert not Run.load(tmp_path / "run").summary["complete"]


def test_a_starved_generator_voids_a_live_run(monkeypatch, tmp_path):
    import time as clock

    given = scenario(*FLEET)

    async def both():
        async with cloud_of(given) as made:

            async def block():
                for _ in range(6):
                    await asyncio.sleep(0.1)
                    clock.sleep(0.6)

            beside = asyncio.create_task(block())
            found = await live(given, made.url, Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=20.0))
            await beside
            return found

    found = asyncio.run(both())
    report, page = told(found, tmp_path / "run")
    assert "its timers were late" in found.outcome.manifest["live"]["faults"][0]
    assert (report.verdict, report.exit_statuses["as it is"]) == ("invalid", 3)
    assert page.verdict.word == "Invalid"
    assert report.told.headline == "Void: the generator, not the cloud, made these figures."


# --- what an earlier run left ----------------------------------------------------------------------------------------


def test_devices_that_an_earlier_run_left_in_mid_upgrade_are_told_and_taken_over():
    given, seen = scenario(*HARMLESS, *SOON, "fleet.size=4"), []

    async def both():
        async with cloud_of(given) as made:
            for name in made.names[:3]:
                made.secrets[login.client_id(PRODUCT_KEY, name)] = "an earlier run's"
            for execution, status in zip(
                made.center.executions, ("DOWNLOADING", "DOWNLOADING", "CONFIRMED"), strict=False
            ):
                execution.state = ExecutionState[status]
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=15.0)
            return await live(given, made.url, settings, watch=seen.append)

    found = asyncio.run(both())
    (note,) = seen[0].notes
    assert note.startswith("3 of these devices are still under way from an earlier run (confirmed 1, downloading 2)")
    assert note in found.reconciliation.findings


# --- errors of ours --------------------------------------------------------------------------------------------------


def test_a_callback_that_raises_ends_its_connection_and_is_counted(monkeypatch):
    from sim.wire.quecthing.client import QuecThingClient

    given, hits = scenario(*HARMLESS, *SOON, "fleet.size=10"), []
    received = QuecThingClient.received

    def breaks_once(self, payload, publish):
        if not hits:
            hits.append(self.name)
            raise KeyError("injected")
        received(self, payload, publish)

    monkeypatch.setattr(QuecThingClient, "received", breaks_once)

    async def both():
        async with cloud_of(given) as made:
            return await live(given, made.url, Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=30.0))

    found = asyncio.run(both())
    assert found.outcome.summary["outcomes"]["succeeded"] == 10
    assert sum(n for row in found.outcome.manifest["live"]["failures"].values() for reason, n in row.items()
               if reason == "error inside fotasim (KeyError)") == 1  # fmt: skip
    assert [type(error) for error in found.surprises] == [KeyError]
    assert found.outcome.summary["verdict"] == "invalid"


def test_an_error_in_a_timer_ends_the_run_and_keeps_it(monkeypatch):
    def broken(self):
        raise ZeroDivisionError("injected")

    monkeypatch.setattr(live_module.LiveModule, "_wake", broken)
    given = scenario(*HARMLESS, *SOON, "fleet.size=3", "fleet.groups.0.check_in={every: 1h, jitter: 0s, awake: 50min}")

    async def both():
        async with cloud_of(given) as made:
            return await live(given, made.url, Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=30.0))

    found = asyncio.run(both())
    assert found.ended_by == CRASHED
    assert isinstance(found.surprises[0], ZeroDivisionError)
    assert found.outcome.summary["complete"] is False


# --- the command -----------------------------------------------------------------------------------------------------


async def command(url, folder, *more, during=None, seconds="8s"):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sim.cli", "live", str(folder / "s.yaml"), "--cloud", url, "--time-scale", str(SCALE),
        "--ramp", "100/s", "--duration", seconds, "--out", str(folder / "run"), *more,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "FOTASIM_PRODUCT_KEY": PRODUCT_KEY, "FOTASIM_PRODUCT_SECRET": PRODUCT_SECRET},
    )  # fmt: skip
    if during is not None:
        assert b"done" in await asyncio.wait_for(process.stderr.readline(), 60)
        during(process)
    out, err = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, out.decode(), err.decode()


def test_the_command_says_no_go_with_reasons_where_half_of_the_connections_are_reset(tmp_path):
    given = scenario(*FLEET)
    (tmp_path / "s.yaml").write_text(given.to_yaml(), encoding="utf-8")

    async def both():
        async with cloud_of(given) as made, hostile(made.endpoint.port, "reset-login") as proxy:
            return await command(f"mqtt://127.0.0.1:{proxy.port}", tmp_path)

    code, out, err = asyncio.run(both())
    assert code == 1, err
    assert "login failed: connection reset:" in out
    assert re.search(r"No go: Do not ship: login (and session )?failed more often than tolerated\.", out)
    assert "tolerated 1" in out


def test_the_command_prints_reasons_and_objectives_as_json(tmp_path):
    given = scenario(*FLEET)
    (tmp_path / "s.yaml").write_text(given.to_yaml(), encoding="utf-8")

    async def both():
        async with cloud_of(given) as made:
            return await command(
                f"mqtt://127.0.0.1:{made.endpoint.port}", tmp_path, "--json", "--slo", "p50(login)<30s"
            )

    code, out, err = asyncio.run(both())
    printed = json.loads(out)
    assert (code, printed["failures"], printed["verdict"]) == (0, {}, "go"), err
    assert [(row["text"], row["state"]) for row in printed["slo"] if row["asked"]] == [("p50(login)<30s", "kept")]


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT")]
)
def test_a_signal_is_an_orderly_end(number, status, word, tmp_path):
    given = scenario(*HARMLESS, *SOON, "fleet.size=5", "fleet.groups.0.battery_percent=12")
    (tmp_path / "s.yaml").write_text(given.to_yaml(), encoding="utf-8")

    async def both():
        async with cloud_of(given) as made:
            url = f"mqtt://127.0.0.1:{made.endpoint.port}"
            return await command(url, tmp_path, during=lambda p: p.send_signal(number), seconds="60s")

    code, out, err = asyncio.run(both())
    assert code == status, err
    assert f"INTERRUPTED by {word}: this run is partial" in out
    assert Run.load(tmp_path / "run").manifest["complete"] is False
    assert "interrupted" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_wrong_slo_is_wrong_use(tmp_path):
    given = scenario(*FLEET)
    (tmp_path / "s.yaml").write_text(given.to_yaml(), encoding="utf-8")
    code, _, err = asyncio.run(command("mqtt://127.0.0.1:1", tmp_path, "--slo", "p99(foo)<1s"))
    assert code == 2
    assert "no leg 'foo'" in err
