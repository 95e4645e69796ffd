"""A cloud that answers wrongly, late or never costs a run nothing that it has measured, and none of it stays untold."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import signal
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sim.engines.live import slo
from sim.engines.live.api import CloudApi
from sim.engines.live.fetch import Broken, check_url
from sim.engines.live.host_limits import sources_for
from sim.engines.live.json_documents import as_documented, parsed
from sim.engines.live.live_engine import LiveEngine, Settings
from sim.engines.live.live_run import live
from sim.engines.live.live_target import Limits, target_of, trusting
from sim.engines.live.reconciliation import Reconciliation
from sim.errors import FotasimError, InputError, LocalProtocolError, RemoteProtocolError
from sim.records import Run
from sim.wire import http
from sim.wire.ddi import documents
from tests.engines.test_live import HARMLESS, SCALE, SOON
from tests.hostile_proxy import hostile
from tests.live_cloud import PRODUCT_KEY, PRODUCT_SECRET, LiveCloud
from tests.support import scenario

FLEET = (*HARMLESS, *SOON, "fleet.size=4")


# --- answers of the cloud's API --------------------------------------------------------------------------------------


class Odd(LiveCloud):
    """Answers of its API are another's from the `after`-th on; an answer of None never comes."""

    def __init__(self, given, answer, after=1):
        super().__init__(given, time_scale=SCALE)
        self.answer, self.left = answer, after

    async def _odd(self, request, usual):
        self.left -= 1
        if self.left >= 0:
            return await usual(request)
        if self.answer is None:
            await asyncio.sleep(3600)
        return web.Response(text=self.answer, content_type="application/json")

    async def _counts(self, request):
        return await self._odd(request, super()._counts)

    async def _devices(self, request):
        return await self._odd(request, super()._devices)


@asynccontextmanager
async def odd(answer, after=0, overrides=FLEET):
    cloud = Odd(scenario(*overrides), answer, after)
    await cloud.start()
    try:
        yield cloud
    finally:
        await cloud.stop()


WRONG = {
    "[1]": "an object is needed", "null": "an object is needed", "5": "an object is needed", '"x"': "an object is needed",
    "<html>": "not JSON", "": "not JSON", "[" * 100_000: "not JSON", '{"states": {"queued": NaN}, "devices": NaN}': "not JSON",
    '{"states": {"queued": 1e999}, "devices": 1e999}': "not JSON", '{"states": [1], "devices": [1]}': "an object is needed",
    '{"states": {"queued": "1"}, "devices": [{"state": "queued"}]}': "needed",
    '{"states": {"queued": true}, "devices": [{"device_key": "a", "reports": -1}]}': "a whole number is needed",
    '{"states": null, "devices": null}': "is needed", '{"states": {"queued": {}}, "devices": {"a": 1}}': "is needed",
}  # fmt: skip


@pytest.mark.parametrize("answer", WRONG)
def test_an_answer_of_the_wrong_form_is_an_error_that_says_where(answer):
    async def run():
        async with odd(answer) as cloud:
            api = CloudApi(cloud.url)
            try:
                for asked in (api.states, api.devices):
                    with pytest.raises(FotasimError, match=WRONG[answer]) as told:
                        await asked(7)
                    assert "/api/v1/plans/7/" in str(told.value)
            finally:
                await api.close()

    asyncio.run(run())


@pytest.mark.parametrize("answer", ["[1]", '{"states": [1], "devices": [1]}', "<html>", None])
def test_a_cloud_whose_api_goes_wrong_in_mid_run_costs_the_run_nothing(answer, monkeypatch):
    """One that never answers holds up neither the end nor a signal; what was measured is there."""
    monkeypatch.setattr("sim.engines.live.api.TIMEOUT_S", 2.0)

    async def run():
        async with odd(answer, after=1) as cloud:
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=20.0)
            return await live(scenario(*FLEET), cloud.url, settings)

    found = asyncio.run(asyncio.wait_for(run(), 60))
    assert found.outcome.summary["outcomes"]["succeeded"] == 4
    assert found.reconciliation.note.startswith("not possible: ")
    assert found.surprises == ()


def test_a_management_api_of_another_form_is_told_in_words():
    for raised in (
        KeyError("id"),
        TypeError("int"),
        AttributeError("items"),
        ValueError("x"),
        IndexError(),
        RecursionError(),
    ):
        with (
            pytest.raises(RemoteProtocolError, match="the API: the answer has not the documented form"),
            as_documented("the API"),
        ):
            raise raised
    with pytest.raises(InputError, match="mine"), as_documented("the API"):
        raise InputError("mine")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-1e400", "[" * 50_000, "{]"])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(RemoteProtocolError, match="not JSON"):
        parsed(text.encode())


def test_a_mistake_of_the_clouds_is_no_wrong_use():
    with pytest.raises(InputError, match="cloud URL: mqtt"):
        target_of("ftp://x", api=None, found={}, limits=Limits())
    with pytest.raises(FotasimError, match="in its answer: mqtt") as told:
        target_of("", api="http://127.0.0.1:1", found={}, limits=Limits(), what="in its answer")
    assert not isinstance(told.value, InputError)


# --- the wait for the cloud's word -----------------------------------------------------------------------------------


def test_a_signal_ends_the_wait_for_the_clouds_word_and_a_fault_of_ours_is_told():
    async def never(_engine):
        await asyncio.sleep(3600)

    async def broken(_engine):
        raise KeyError("injected")

    async def run():
        told = []
        loop = asyncio.get_running_loop()
        engine = SimpleNamespace(
            loop=loop, cloud=SimpleNamespace(reconcile=never), _comparing=None, ended_by="SIGTERM",
            surprised=told.append, stop=lambda _why: None,
        )  # fmt: skip
        loop.call_later(0.05, LiveEngine._signalled, engine, "SIGTERM")
        cut = await LiveEngine.compared(engine)
        engine.cloud.reconcile = broken
        return cut, await LiveEngine.compared(engine), told

    cut, failed, told = asyncio.run(asyncio.wait_for(run(), 30))
    assert cut == Reconciliation(note="not possible: SIGTERM came before the cloud had answered")
    assert failed.note == "not possible: error inside fotasim (KeyError)"
    assert [type(error) for error in told] == [KeyError]


# --- MQTT and downloads that hang ------------------------------------------------------------------------------------


async def raw(serve):
    """A server on loopback; the port and what ends it."""

    async def on(reader, writer):
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(on, "127.0.0.1", 0)
    return server.sockets[0].getsockname()[1], server


async def logs_in_and_says_no_more(reader, writer):
    await reader.read(4096)
    writer.write(b"\x20\x02\x00\x00\x90\x03\x00\x01\x01")
    while await reader.read(4096):
        pass


@pytest.mark.parametrize("scale", [1.0, SCALE])
def test_a_broker_that_acknowledges_nothing_is_told_however_soon_modules_sleep(scale, monkeypatch):
    """At a time scale of an hour a second they are gone, and back, before two seconds without an answer are over."""
    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", PRODUCT_KEY)
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", PRODUCT_SECRET)
    monkeypatch.setattr("sim.engines.live.bootstrap.CONFIG_TIMEOUT_S", 0.2)
    always = "fleet.groups.0.check_in=always" if scale == 1.0 else SOON[0]

    async def run():
        port, server = await raw(logs_in_and_says_no_more)
        async with server:
            settings = Settings(ramp_per_s=1000.0, time_scale=scale, duration_s=9.0)
            return await live(
                scenario(*FLEET, always, "fleet.groups.0.power=mains"), f"mqtt://127.0.0.1:{port}", settings
            )

    failures = asyncio.run(asyncio.wait_for(run(), 90)).outcome.manifest["live"]["failures"]
    assert failures["session"]
    assert all(reason.startswith("no answer (acknowledgement") for reason in failures["session"])


async def takes_a_request_and_says_nothing(reader, _writer):
    while await reader.read(4096):
        pass


def test_a_download_whose_answer_never_begins_is_a_failure_of_the_step():
    async def run():
        given = scenario(*FLEET)
        cloud = LiveCloud(given, time_scale=SCALE)
        port, server = await raw(takes_a_request_and_says_nothing)
        await cloud.start()
        plan = cloud.center.plan
        plan.components = tuple(replace(c, url=f"http://127.0.0.1:{port}/f") for c in plan.components)
        try:
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=9.0)
            return await live(given, cloud.url, settings)
        finally:
            server.close()
            await cloud.stop()

    told = asyncio.run(asyncio.wait_for(run(), 90)).outcome.manifest["live"]
    assert set(told["failures"]["header"]) == {"no answer"}
    assert told["waiting_at_end"].get("download", 0) <= 4


def fed(*pieces):
    """What an answer makes of the pieces of a stream."""
    taken = []
    answer = http.Answer(lambda _head: None, lambda part: taken.append(len(part)))
    for piece in pieces:
        answer.feed(memoryview(piece))
    return sum(taken), answer.done


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_chunks_of_a_byte_and_endless_trailers():
    """Small chunks are not copied over and over; what follows the last one is bounded."""
    assert fed(CHUNKED, b"1\r\nx\r\n" * 30_000 + b"0\r\n\r\n") == (30_000, True)
    assert fed(CHUNKED, b"1\r\nx\r\n0\r\nTrailer: a\r\n\r\n") == (1, True)
    with pytest.raises(RemoteProtocolError, match="trailers of more than 16 KiB"):
        fed(CHUNKED, b"1\r\nx\r\n0\r\n" + b"X-A: b\r\n" * 3000)
    with pytest.raises(RemoteProtocolError, match="line of more than 1 KiB"):
        fed(CHUNKED, b"1;" + b"e" * 2000)


def test_a_host_that_is_not_allowed_is_named_whole():
    with pytest.raises(Broken, match=r"^host not allowed: 192\.0\.2\.1$"):
        check_url("http://192.0.2.1/firmware", Limits())
    check_url("http://127.0.0.1/firmware", Limits())
    with pytest.raises(RemoteProtocolError, match="http or https"):
        check_url("file:///etc/passwd", Limits())


def signed(folder, address, days):
    """A self-signed certificate for an address, valid for so many days from a day and a half ago; and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name, began = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")]), now - datetime.timedelta(days=1.5)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(began).not_valid_after(began + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), False).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize(
    ("address", "days", "trusted", "words"),
    [
        ("127.0.0.1", 1, True, "expired"), ("127.0.0.9", 9, True, "IP address mismatch"),
        ("127.0.0.1", 9, False, "self-signed certificate"),
    ],
)  # fmt: skip
def test_a_certificate_that_is_not_trusted_says_why_over_mqtt_and_http(
    address, days, trusted, words, tmp_path, monkeypatch
):
    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", PRODUCT_KEY)
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", PRODUCT_SECRET)
    context = signed(tmp_path, address, days)
    ca = str(tmp_path / "cert.pem") if trusted else None

    async def run():
        server = await asyncio.start_server(takes_a_request_and_says_nothing, "127.0.0.1", 0, ssl=context)
        async with server:
            port = server.sockets[0].getsockname()[1]
            settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=1.5, ca_file=ca)
            found = await live(scenario(*FLEET), f"mqtts://127.0.0.1:{port}", settings)
            api = CloudApi(f"https://127.0.0.1:{port}", ca_file=ca)
            with pytest.raises(FotasimError, match=r"TLS: certificate not trusted .*--ca") as told:
                await api.states(7)
            await api.close()
            return found, str(told.value)

    found, told = asyncio.run(asyncio.wait_for(run(), 60))
    failures = found.outcome.manifest["live"]["failures"]
    assert set(failures) == {"connect"}
    assert all(why.startswith("TLS: certificate not trusted (") and words in why for why in failures["connect"])
    assert words in told
    assert found.outcome.summary["verdict"] == "no-go"


@pytest.mark.parametrize(("nth", "verdicts"), [(2, {"no-go"}), (10, {"no-go", "marginal"})])
def test_a_share_of_connections_reset_is_never_a_go(nth, verdicts, monkeypatch):
    """Half of them, and a tenth; every module is upgraded all the same."""
    monkeypatch.setenv("FOTASIM_PRODUCT_KEY", PRODUCT_KEY)
    monkeypatch.setenv("FOTASIM_PRODUCT_SECRET", PRODUCT_SECRET)
    given = scenario(*FLEET, "fleet.size=20", "gates={success_rate: '>= 0.5'}")

    async def run():
        cloud = LiveCloud(given, time_scale=SCALE)
        await cloud.start()
        try:
            async with hostile(cloud.endpoint.port, "reset", nth) as proxy:
                settings = Settings(ramp_per_s=1000.0, time_scale=SCALE, duration_s=9.0)
                return await live(given, f"mqtt://127.0.0.1:{proxy.port}", settings), proxy
        finally:
            await cloud.stop()

    found, proxy = asyncio.run(asyncio.wait_for(run(), 60))
    assert found.outcome.summary["verdict"] in verdicts
    told = found.outcome.manifest["live"]["failures"]
    steps = [
        told.get(step, {}) for step in ("connect", "login")
    ]  # a reset at once may be heard before the login is sent
    assert {reason for failures in steps for reason in failures} == {"connection reset"}
    assert proxy.hit - 2 <= sum(failures.get("connection reset", 0) for failures in steps) <= proxy.hit


# --- what a device may not send --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [{"a" * 129: "x"}, {"a": "x" * 129}, {"": "x"}, {f"a{i}": "x" for i in range(101)}], ids=range(4)
)
def test_attributes_beyond_the_quotas_are_not_sent(data):
    with pytest.raises(LocalProtocolError, match="at most 1"):
        documents.attributes(data)


def test_attributes_within_the_quotas_are():
    assert documents.attributes({"a" * 128: "x" * 128}).startswith(b'{"mode":"merge"')


def test_a_version_that_no_server_takes_is_refused_before_the_run():
    from tests.ddi_server import DocumentedServer
    from tests.engines.test_live_ddi import PACKAGE, READY

    async def run():
        server = DocumentedServer(PACKAGE)
        await server.start()
        try:
            await live(
                scenario(*READY, "fleet.size=2", f'fleet.groups.0.components={{fw: "{"1" * 129}"}}'),
                server.url,
                Settings(duration_s=2.0),
            )
        finally:
            await server.stop()

    with pytest.raises(InputError, match="at most 128 characters"):
        asyncio.run(asyncio.wait_for(run(), 60))


# --- wrong use -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("term", "words"), [
    ("p0(wake)<1s", "every run keeps a p0"), ("error_rate<1", "below 100 %"), ("error_rate<100%", "below 100 %"),
    ("error_rate(connect)<=1.0", "below 100 %"), ("error_rate<nan", "below 100 %"), ("p99(wake)<1e999s", "finite"),
    ("p99(wake)<0s", "greater than zero"),
])  # fmt: skip
def test_objectives_that_everything_keeps_or_nothing_can_are_refused(term, words):
    with pytest.raises(FotasimError, match=words):
        slo.parse(term)


@pytest.mark.parametrize(
    ("address", "words"),
    [("999.1.1.1", "an IP address"), ("localhost", "an IP address"), ("192.0.2.1", "not usable on this machine")],
)
def test_a_source_that_no_connection_can_come_from_is_refused(address, words):
    with pytest.raises(InputError, match=words):
        sources_for(1, "127.0.0.1", (address,))
    assert sources_for(1, "127.0.0.1", ("127.0.0.1",)) == ("127.0.0.1",)


def test_a_file_without_certificates_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(InputError, match=r"--ca .*ca\.pem: holds no certificate"):
        trusting(str(tmp_path / "ca.pem"))


# --- the command -----------------------------------------------------------------------------------------------------


PATCHED = """\
import sys
from sim.engines.live import live_module
from sim.cli.entry import main

def broken(self):
    raise ZeroDivisionError("injected")

live_module.LiveModule._wake = broken
main()
"""


def test_an_error_inside_fotasim_ends_with_70_and_the_run_is_kept(tmp_path):
    given = scenario(*FLEET, "fleet.groups.0.check_in={every: 1h, jitter: 0s, awake: 50min}")
    (tmp_path / "s.yaml").write_text(given.to_yaml(), encoding="utf-8")

    async def run():
        async with odd("", after=10_000) as cloud:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", PATCHED, "live", str(tmp_path / "s.yaml"), "--cloud", cloud.url, "--time-scale",
                str(SCALE), "--duration", "30s", "--out", str(tmp_path / "run"),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await asyncio.wait_for(process.communicate(), 90)
            return process.returncode, out.decode(), err.decode()

    code, out, err = asyncio.run(run())
    assert code == 70, err
    assert "an error inside fotasim (ZeroDivisionError at " in err
    assert f"kept: {tmp_path / 'run'}" in err
    assert "Traceback" not in err
    assert "ERROR INSIDE FOTASIM: this run is partial" in out
    assert Run.load(tmp_path / "run").manifest["live"]["faults"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_before_the_first_connection_ends_at_once_and_says_so(number, status, tmp_path):
    """The endpoint takes connections and never answers: the run is still finding out whether it hands out secrets."""
    (tmp_path / "s.yaml").write_text(scenario(*FLEET).to_yaml(), encoding="utf-8")

    async def run():
        came = asyncio.Event()

        async def serve(reader, _writer):
            came.set()
            await takes_a_request_and_says_nothing(reader, _writer)

        port, server = await raw(serve)
        async with server:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sim.cli", "live", str(tmp_path / "s.yaml"), "--cloud", f"mqtt://127.0.0.1:{port}",
                "--out", str(tmp_path / "run"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "FOTASIM_PRODUCT_KEY": PRODUCT_KEY, "FOTASIM_PRODUCT_SECRET": PRODUCT_SECRET},
            )  # fmt: skip
            await asyncio.wait_for(came.wait(), 60)
            process.send_signal(number)
            _, err = await asyncio.wait_for(process.communicate(), 60)
            return process.returncode, err.decode()

    code, err = asyncio.run(run())
    assert code == status, err
    assert "interrupted; nothing was written" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


HELD = """\
import os, signal, sys
from sim.cli.signals import held
from sim.cli.common import app
from sim.cli.entry import main

@app.command("write")
def write():
    with held("FOLDER"):
        os.kill(os.getpid(), signal.Signals[sys.argv[2]])
        print("whole", flush=True)
    print("never")

@app.callback()
def none(): ...

main()
"""


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_signal_waits_until_what_was_measured_is_written(name, status):
    code = HELD.replace("def write():", "def write(name: str):")
    done = subprocess.run(
        [sys.executable, "-c", code, "write", name], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (status, "whole\n"), done.stderr
    assert "FOLDER is being written first" in done.stderr


@pytest.mark.parametrize("kind", ["deploymentBase", "configData"])
def test_a_link_to_another_server_is_a_failure_and_nothing_is_sent_there(kind):
    from tests.ddi_server import DocumentedServer
    from tests.engines.test_live_ddi import PACKAGE, READY

    class Elsewhere(DocumentedServer):
        async def _base(self, request):
            link = f'{{"{kind}": {{"href": "http://127.0.0.1:1/elsewhere"}}}}'
            return web.Response(text=f'{{"config": {{"polling": {{"sleep": "00:00:01"}}}}, "_links": {link}}}')

    async def run():
        server = Elsewhere(PACKAGE)
        await server.start()
        try:
            settings = Settings(ramp_per_s=100.0, time_scale=600.0, duration_s=3.0)
            return await live(scenario(*READY, "fleet.size=3"), server.url, settings)
        finally:
            await server.stop()

    found = asyncio.run(asyncio.wait_for(run(), 60))
    failures = found.outcome.manifest["live"]["failures"]
    assert set(failures) == {kind}
    assert set(failures[kind]) == {"protocol error, the server's: a link to another server"}
    assert found.outcome.summary["verdict"] == "no-go"
