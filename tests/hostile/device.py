"""A device that keeps to the grammar and not to the rules: raw connections, frames with any value, many at once."""

from __future__ import annotations

import asyncio
import secrets
from urllib.parse import urlsplit

from sim.wire import mqtt
from sim.wire.quecthing import commands, frame, login, ttlv
from tests.service.modules import FakeModule

RANDOM = "0123456789abcdef"


class Raw:
    """One TCP connection that says what it is told to."""

    def __init__(self, live):
        where = urlsplit(live["mqtt"])
        self.address = where.hostname, where.port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(*self.address)
        return self

    async def __aexit__(self, *_):
        self.writer.transport.abort()

    async def packet(self):
        """The next packet, as kind and body; None when the connection has ended."""
        try:
            async with asyncio.timeout(20):
                first = (await self.reader.readexactly(1))[0]
                length = shift = 0
                while True:
                    byte = (await self.reader.readexactly(1))[0]
                    length |= (byte & 127) << shift
                    shift += 7
                    if byte < 128:
                        break
                return first >> 4, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def ended(self):
        """Whether the other side closes the connection."""
        while (got := await self.packet()) is not None:
            assert got
        return True

    def send(self, *packets):
        """Writes packets."""
        self.writer.write(b"".join(packets))


def hello(client_id, password, keepalive_s=120):
    """CONNECT and SUBSCRIBE as the SDK sends them."""
    opening = mqtt.connect(client_id, keepalive_s, password=password)
    return opening + mqtt.subscribe(1, [(login.subscription(client_id), 1)])


async def known_device(live, key):
    """A device that has its secret and is gone again: its module, with the secret."""
    module = FakeModule(live, key)
    await module.connect()
    module.link.transport.abort()
    await module.connect()  # the second login proves that it has it
    module.link.transport.abort()
    return module


def uplink(client_id, command, payload, packet_id=None, kind=None):
    """A PUBLISH of QoS 0 with one frame."""
    topic = login.uplink_topic(client_id, kind or commands.topic_kind(command)).encode()
    return mqtt.publish(topic, frame.encode(packet_id or 1 + secrets.randbelow(60000), command, payload))


def hostile_payloads():
    """Command and payload of what once ended the cloud, with siblings: one value at its worst, the others honest."""
    status, info, report = commands.STATUS_REPORT, commands.INFO_REPORT, commands.OTA_STATUS
    long, mcu = "9" * 60_000, "a:1;" * 7_500

    def changed(nodes, id_, value):
        return ttlv.encode([(i, value if i == id_ else v) for i, v in nodes])

    condition = [(1, 50), (2, 3.6), (3, -90), (4, 1000), (5, -90)]
    for id_ in (1, 3, 4, 5):
        for value in (2**63, 2**64 - 1, -(2**63), 1e17, b"text", [(0, 1)]):
            yield status, changed(condition, id_, value)
    versions = [(1, "fw"), (2, "1.0.0"), (3, "a:1;")]
    for id_, value in [
        (2, long), (2, "1\0"), (2, "1;2"), (2, b"\xed\xa0\x80"), (1, long), (1, "f\0w"), (3, mcu), (3, "a"), (3, "a:\0;"),
        (1, 7), (2, True), (3, [(0, [(0, 1)])]), (2, "\u202e1"),
    ]:  # fmt: skip
        yield info, changed(versions, id_, value)
        yield commands.OTA_REQUEST, changed([(25, "1.0.0"), (26, "a:1;")], {1: 25, 2: 25, 3: 26}[id_], value)
    upgrade = [(13, 11), (14, "OK"), (7, 0), (4, "fw"), (25, "1.1.0")]
    for id_, value in [(13, 2**63), (13, -1), (13, 0), (13, 7), (7, 2**40), (4, long), (4, ""), (25, long), (25, "\0")]:
        yield report, changed(upgrade, id_, value)
    yield info, changed(versions, 1, "x" * 33)
    yield status, b"\x0a\xff"
    yield status, ttlv.encode([(1, 50)])[:-1]
    yield info, bytes([0, 12]) * 500  # structs in structs
