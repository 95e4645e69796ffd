"""Connections of the live engine: against Debian's mosquitto, over TLS, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sim.engines.live.link import NETWORK_FAILED, Links
from sim.service.endpoint import Endpoint
from sim.wire import mqtt
from tests.support import require


class Owner:
    """A link's owner that remembers."""

    def __init__(self):
        self.events, self.news = [], asyncio.Event()

    def _note(self, *event):
        self.events.append(event)
        self.news.set()

    def on_up(self, link):
        self._note("up")

    def on_down(self, link, code):
        self._note("down", code)

    def on_message(self, link, topic, payload):
        self._note("message", topic, payload)

    def on_acknowledged(self, link, packet_id):
        self._note("acknowledged", packet_id)

    async def until(self, count):
        async with asyncio.timeout(20):
            while len(self.events) < count:
                self.news.clear()
                await self.news.wait()
        return self.events


def mosquitto():
    """The broker's path; without it the test is skipped, and fails where it must be there."""
    return require("mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto")


async def free_port():
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def listening(port):
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            await writer.wait_closed()
            return


def test_many_links_to_mosquitto_at_every_qos_and_none_without_a_user_name(tmp_path):
    broker = mosquitto()

    async def run():
        port = await free_port()
        config = tmp_path / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n", encoding="ascii")
        process = subprocess.Popen([broker, "-c", str(config)])
        try:
            await listening(port)
            links = Links("127.0.0.1", port, username="u", sources=("127.0.0.1", "127.0.0.2"))
            owners = [Owner() for _ in range(50)]
            made = [links.dial(o, f"qdk{i}", "0;0000;k;x", f"q/1/d/qdk{i}/+") for i, o in enumerate(owners)]
            for i, owner in enumerate(owners):
                await owner.until(1)
                for qos in (0, 1, 2):
                    made[i].publish(b"q/1/d/qdk%d/ota" % i, b"to myself %d" % qos, qos)
            for owner in owners:
                await owner.until(6)
            strict = Owner()
            bare = Links("127.0.0.1", port)
            bare.dial(strict, "qdk", "0;0000;k;x", "q/1/d/qdk/+")
            await strict.until(1)
            await bare.close()
            await links.close()
            return owners, strict, links
        finally:
            process.terminate()
            process.wait()

    owners, strict, links = asyncio.run(run())
    for i, owner in enumerate(owners):
        assert owner.events[0] == ("up",)
        messages = sorted(e for e in owner.events if e[0] == "message")
        assert messages == [("message", f"q/1/d/qdk{i}/ota", b"to myself %d" % qos) for qos in (0, 1, 2)]
        assert sum(e[0] == "acknowledged" for e in owner.events) == 2
    assert strict.events == [("down", NETWORK_FAILED)]  # the standard forbids what the SDK sends
    assert links.open == set()


@pytest.fixture
def certificate(tmp_path):
    """A certificate for 127.0.0.1 that nobody but its holder trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test cloud")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "cert.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(made.public_bytes(pem) + private)
    return path


def test_tls_is_verified(certificate):
    async def run():
        seen = []
        endpoint = Endpoint(lambda *_: True, lambda *m: seen.append(m))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate)
        await endpoint.start(ssl=server)
        trusting, wary = Owner(), Owner()
        known = Links("127.0.0.1", endpoint.port, ssl=ssl.create_default_context(cafile=certificate))
        unknown = Links("127.0.0.1", endpoint.port, ssl=ssl.create_default_context())
        known.dial(trusting, "qdx", "p", "q/1/d/qdx/+")
        unknown.dial(wary, "qdy", "p", "q/1/d/qdy/+")
        await trusting.until(1)
        await wary.until(1)
        await known.close()
        await unknown.close()
        await endpoint.stop()
        return trusting.events, wary.events

    assert asyncio.run(run()) == ([("up",)], [("down", NETWORK_FAILED)])


@pytest.mark.parametrize(
    ("answer", "code"),
    [(mqtt.connack(mqtt.BAD_LOGIN), mqtt.BAD_LOGIN), (b"HTTP/1.1 400 Bad Request\r\n\r\n", NETWORK_FAILED),
     (mqtt.connack(0) + mqtt.suback(1, b"\x80"), NETWORK_FAILED), (b"", NETWORK_FAILED)],
)  # fmt: skip
def test_a_server_that_is_no_cloud_is_left_with_the_reason(answer, code):
    async def run():
        async def serve(reader, writer):
            await reader.read(10)
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        owner = Owner()
        links = Links("127.0.0.1", server.sockets[0].getsockname()[1])
        links.dial(owner, "qdx", "p", "q/1/d/qdx/+")
        await owner.until(1)
        await links.close()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0.05)
        return owner.events

    assert asyncio.run(run()) == [("down", code)]


def test_nobody_listening_is_told():
    async def run():
        owner, links = Owner(), Links("127.0.0.1", await free_port())
        links.dial(owner, "qdx", "p", "q/1/d/qdx/+")
        await owner.until(1)
        await links.close()
        return owner.events

    assert asyncio.run(run()) == [("down", NETWORK_FAILED)]
