"""Fuzz target of the wire formats: `python -m tests.fuzz.wire [SECONDS] [SEED]` runs until time is up or something breaks.

The invariant: any bytes give messages or a ProtocolError, nothing else, and no reader keeps more than its limit.
Inputs are good streams, stirred: bytes flipped, cut out, doubled, inserted, joined with others.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from functools import cache

from sim import messages as msg
from sim.errors import ProtocolError
from sim.wire import http, mqtt
from sim.wire.ddi import documents as ddi
from sim.wire.ddi.client import Client
from sim.wire.quecthing import commands, frame, login, ota, ttlv
from sim.wire.quecthing.client import Product, QuecThingClient
from sim.wire.session import ClientSession, ServerSession

LIMIT = 4096
_SECRET = "VGVzdFNlY3JldDEy"


class Owner:
    """Owner of a session under fire: agrees to everything, keeps nothing."""

    def on_message(self, topic: str, payload: bytes, qos: int, packet_id: int) -> bool:
        return True

    def on_connect(self, request: mqtt.Connect) -> int:
        return mqtt.ACCEPTED

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def _pieces(data: bytes) -> list[bytes]:
    """The data in pieces whose sizes follow from the data."""
    pieces, position = [], 0
    while position < len(data):
        size = 1 + data[position] % 61
        pieces.append(data[position : position + size])
        position += size
    return pieces


def _refused(action: Callable[[], object]) -> bool:
    try:
        action()
    except ProtocolError:
        return True
    return False


def frames(data: bytes) -> None:
    """The frame decoder, and every command inside what it finds."""
    decoder = frame.Decoder()
    for piece in _pieces(data):
        decoder.feed(piece)
        for _ in range(len(data) + 1):
            try:
                got = decoder.next_frame()
            except ProtocolError:
                continue
            if got is None:
                break
            payload(got.payload)
        else:
            raise AssertionError("the decoder makes no progress")
        assert decoder.unread <= 2 * (frame.MAX_PAYLOAD_BYTES + 9)


def payload(data: bytes) -> None:
    """Every reader of a payload."""
    for read in (
        ttlv.decode, ota.decode_notice, ota.decode_url, ota.decode_status, commands.decode_exception,
        commands.decode_config,
        lambda data: commands.Reported().take(commands.STATUS_REPORT, data),
        lambda data: commands.Reported().take(commands.INFO_REPORT, data),
        lambda data: commands.Reported().take(commands.OTA_REQUEST, data),
    ):  # fmt: skip
        _refused(lambda read=read: read(data))


def module(data: bytes) -> None:
    """A module's session: every message is told, and answered without an error of ours."""
    session = QuecThingClient(Product("p1", "s" * 16, "fw"), "device01", Told())
    session.password("0123456789abcdef")
    for piece in (data, data[: len(data) // 2]):
        session.received(piece, lambda _topic, _payload, _qos: 1)


class Told:
    """Events of a session under fire: hears everything, keeps nothing."""

    def hello(self) -> msg.Hello:
        return msg.Hello(80.0, -90.0, 1000, {"fw": "1"})

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def packets(data: bytes) -> None:
    """The MQTT parser alone: what it keeps stays below its limit."""
    parser = mqtt.Parser(LIMIT)

    def seen(kind: int, packet_id: int, topic: str, body: bytes, flags: int) -> None:
        assert len(body) <= LIMIT
        readers = {mqtt.CONNECT: mqtt.parse_connect, mqtt.SUBSCRIBE: mqtt.parse_subscribe}
        if kind in readers:
            _refused(lambda: readers[kind](body))

    for piece in _pieces(data):
        if _refused(lambda piece=piece: parser.feed(piece, seen)):
            return
        assert len(parser._rest or b"") <= LIMIT + 5 + len(piece)


def server(data: bytes) -> None:
    """A server's session that a client talks nonsense to."""
    _session(ServerSession(Owner(), lambda _: None, 0.0, LIMIT), data)


def client(data: bytes) -> None:
    """A client's session that a server talks nonsense to."""
    session = ClientSession(Owner(), lambda _: None, max_packet_bytes=LIMIT)
    session.connect("x", ("q/1/d/x/+", 1), 0.0)
    for qos in (1, 2):
        session.publish(b"t", b"p", qos, 0.0)
    _session(session, data)


def _session(session: ClientSession | ServerSession, data: bytes) -> None:
    for now, piece in enumerate(_pieces(data)):
        if _refused(lambda piece=piece, now=now: session.receive(piece, float(now))):
            return
        session.wake(float(now))


def password(data: bytes) -> None:
    """The password a module sends, and an encrypted payload."""
    _refused(lambda: login.open_password(data, "p11TEST", _SECRET))
    _refused(lambda: login.decrypt_payload(bytes(16), data))


def answer(data: bytes) -> None:
    """An HTTP answer that is none; its bytes go on, a head is kept up to its limit."""
    taken = []
    reader = http.Answer(lambda head: None, lambda body: taken.append(len(body)))
    for piece in _pieces(data):
        if _refused(lambda piece=piece: reader.feed(memoryview(piece))):
            return
    assert sum(taken) <= len(data)
    _refused(lambda: http.place(data.decode("latin-1")))


def documents(data: bytes) -> None:
    """Every document of a DDI server, and a device whose server answers nonsense: it goes on polling all the same."""
    url = "http://127.0.0.1/DEFAULT/controller/v1/m"
    for read in (
        lambda: ddi.read_base(data, url),
        lambda: ddi.read_deployment(data, url),
        lambda: ddi.read_cancel(data),
    ):
        _refused(read)
    device = Client("http://127.0.0.1", "DEFAULT", "m", "", {}, lambda n: 0.5)
    device.poll(0.0)
    for _ in range(6):
        now = device.deadline
        assert device.request(now) is not None
        _refused(lambda now=now: device.receive(200, {}, data, now))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "frames": frames, "payload": payload, "packets": packets, "server": server, "client": client, "password": password,
    "answer": answer, "documents": documents, "module": module,
}  # fmt: skip


@cache
def seeds(target: str) -> list[bytes]:
    """Good streams of a target."""
    hello = msg.Hello(55.5, -101.25, 4_000_000, {"fw": "1.0", "mcu": "2"})
    notice = msg.Notice((msg.ComponentNotice("fw", "1.0", "1.1", 30, -113, 200_000),))
    file = ota.UrlFile("http://127.0.0.1/f", 200_000, "0" * 32)
    payloads = [
        commands.encode_status_report(hello), commands.encode_info_report(hello.versions, "fw"),
        ota.encode_request(hello.versions, "fw"), ota.encode_notice(notice, [0]),
        ota.encode_notice(msg.Notice(notice.components * 2), [0, 1]), ota.encode_url(ota.Firmware("fw", "1.1", (file,))),
        ota.encode_url(ota.Firmware("fw", "1.1", (file, file))), ota.encode_status(ota.Status(11, "fw", 0, "1.1")),
        commands.encode_config(commands.Config("ds", bytes(16))),
    ]  # fmt: skip
    if target == "payload":
        return payloads
    framed = [frame.encode(i + 1, 0x0111 + i, data) for i, data in enumerate(payloads)]
    if target in ("frames", "module"):
        return [*framed, b"".join(framed), frame.encode(1, 0xAAAA, b"\xaa\x55" * 40)]
    if target == "documents":
        href = "http://127.0.0.1/DEFAULT/controller/v1/m"
        links = {kind: {"href": f"{href}/{kind}/8?c=1"} for kind in ("deploymentBase", "configData", "cancelAction")}
        file = {"filename": "f", "size": 9, "hashes": {"sha1": "a" * 40}, "_links": {"download": {"href": f"{href}/f"}}}
        chunk = {
            "part": "os",
            "name": "fw",
            "version": "1",
            "artifacts": [file],
            "metadata": [{"key": "k", "value": "v"}],
        }
        trees = (
            {"config": {"polling": {"sleep": "00:00:30"}}, "_links": links},
            {"id": "8", "deployment": {"download": "forced", "update": "skip", "chunks": [chunk]}},
            {"id": "11", "cancelAction": {"stopId": "8"}},
        )  # fmt: skip
        return [json.dumps(tree).encode() for tree in trees]
    if target == "answer":
        head = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nhello"
        chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        return [head, chunks, b"http://127.0.0.1:8080/f?x=1"]
    if target == "password":
        sent = login.bootstrap_password("p11TEST", _SECRET, "866123456789015", "0" * 16)
        return [
            sent.encode(),
            login.login_password(_SECRET, "ds", "0" * 16).encode(),
            login.encrypt_payload(bytes(16), b"x"),
        ]
    connect = mqtt.connect("qdx", 120, password=b"p") + mqtt.subscribe(1, [("q/1/d/qdx/+", 1)])
    published = b"".join(mqtt.publish(b"q/2/d/qdx/ota", data, i % 3, i + 1) for i, data in enumerate(framed))
    acks = b"".join(mqtt.ack(kind, i) for kind in (mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP) for i in (2, 3))
    answers = mqtt.connack(0) + mqtt.suback(1, b"\x01") + mqtt.PINGRESP_PACKET
    ask = mqtt.PINGREQ_PACKET + mqtt.unsubscribe(5, ["a"]) + mqtt.DISCONNECT_PACKET
    return [connect + published + acks + ask, answers + published + acks, connect, published]


def stir(data: bytes, chance: random.Random) -> bytes:
    """The data with a few accidents."""
    stirred = bytearray(data)
    for _ in range(chance.randint(0, 6)):
        where = chance.randrange(len(stirred) + 1)
        span = chance.randint(0, 12)
        accident = chance.randrange(4)
        if accident == 0 and where < len(stirred):
            stirred[where] ^= 1 << chance.randrange(8)
        elif accident == 1:
            del stirred[where : where + span]
        elif accident == 2:
            stirred[where:where] = stirred[where : where + span]
        else:
            stirred[where:where] = bytes(chance.choice((0, 0x55, 0x7F, 0x80, 0xAA, 0xFF)) for _ in range(span))
    return bytes(stirred)


def main(seconds: float, seed: int) -> None:
    """Fires at every target in turn; on a break says with which bytes."""
    chance = random.Random(seed)
    until = time.monotonic() + seconds
    shots = 0
    while time.monotonic() < until:
        for name, target in TARGETS.items():
            data = stir(chance.choice(seeds(name)), chance)
            shots += 1
            try:
                target(data)
            except Exception:
                print(f"target {name}, seed {seed}, shot {shots}: {data.hex()}")
                raise
    print(f"{shots:,} inputs, nothing but messages and protocol errors")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30.0, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
