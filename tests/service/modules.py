"""A module as small as a test needs it: real sockets, QuecThing's messages, everything acknowledged written down.

Independent of the product's own module and live engine, so that the server is tested against the protocol alone.
"""

from __future__ import annotations

import asyncio
import hashlib
from urllib.parse import urlsplit

from sim import messages as msg
from sim.errors import ProtocolError
from sim.wire.quecthing import commands, frame, login, ota
from sim.wire.session import ClientSession

RANDOM = "0123456789abcdef"


class Lost(Exception):
    """The connection is gone."""


class Link(asyncio.Protocol):
    """One MQTT connection: publish and wait for the acknowledgement, messages in a queue."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[frame.Frame | None] = asyncio.Queue()
        self.code: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._acks: dict[int, asyncio.Future[None]] = {}
        self._packet = 0

    def connection_made(self, transport):
        self.transport = transport
        self.session = ClientSession(self, transport.write)

    def data_received(self, data):
        try:
            self.session.receive(data, 0.0)
        except ProtocolError:
            self.transport.abort()

    def connection_lost(self, exc):
        for waiting in (self.code, self.ready, *self._acks.values()):
            if not waiting.done():
                waiting.set_exception(Lost())
                waiting.exception()  # looked at, so that nobody warns
        self.inbox.put_nowait(None)

    def on_connack(self, code):
        self.code.done() or self.code.set_result(code)

    def on_suback(self, codes):
        self.ready.done() or self.ready.set_result(None)

    def on_message(self, topic, payload, qos, packet_id):
        self.inbox.put_nowait(frame.decode(payload))
        return True

    def on_acknowledged(self, packet_id):
        waiting = self._acks.pop(packet_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    def on_unacknowledged(self, packet_id):
        raise AssertionError("tests do not wake sessions")

    def on_silence(self, what):
        raise AssertionError("tests do not wake sessions")

    async def publish(self, client_id, command, payload, qos):
        """Publishes one command; returns once it is acknowledged. Raises Lost."""
        if self.transport.is_closing():
            raise Lost
        self._packet += 1
        topic = login.uplink_topic(client_id, commands.topic_kind(command)).encode()
        packet_id = self.session.publish(topic, frame.encode(self._packet, command, payload), qos, 0.0)
        waiting = self._acks[packet_id] = asyncio.get_running_loop().create_future()
        await waiting

    async def receive(self):
        """The next frame; raises Lost."""
        got = await self.inbox.get()
        if got is None:
            raise Lost
        return got


class FakeModule:
    """One module. `hold` is the last status it sends by itself; then it waits. `live` is what /api/v1/live tells."""

    def __init__(self, live, key, *, version="1.0.0", hold=None, battery=80.0):
        self.live, self.key, self.version, self.hold, self.battery = live, key, version, hold, battery
        self.client_id = login.client_id(live["product_key"], key)
        self.secret = None
        self.phase = "idle"
        self.unsent = None
        self.acked: list[int] = []
        self.refusals: list[int] = []
        self.md5_errors = 0
        self.connects = 0
        self.held = asyncio.Event()
        self.done = asyncio.Event()
        self.link: Link | None = None

    async def run(self):
        """Lives until it has upgraded; reconnects whenever it is cut off. Cancel it to stop it."""
        while not self.done.is_set():
            try:
                await self._connected()
            except (Lost, OSError):
                await asyncio.sleep(0.05)
            finally:
                if self.link is not None:
                    self.link.transport.abort()

    async def connect(self):
        """Connects and logs in; returns the link, None when refused."""
        where = urlsplit(self.live["mqtt"])
        loop = asyncio.get_running_loop()
        _, link = await loop.create_connection(Link, where.hostname, where.port)
        key, product_secret = self.live["product_key"], self.live["product_secret"]
        if self.live.get("broker"):  # it lets everybody in; the secret was put into the device
            self.secret, password = "0" * 32, ""
        elif self.secret is None:
            password = login.bootstrap_password(key, product_secret, self.key, RANDOM)
        else:
            password = login.login_password(product_secret, self.secret, RANDOM)
        link.session.connect(
            self.client_id, (login.subscription(self.client_id), 1), 0.0, password=password.encode() or None
        )
        self.link = link
        if await link.code != 0:
            self.refusals.append(link.code.result())
            return None
        await link.ready
        while self.secret is None:
            got = await link.receive()
            if got.command == commands.EXCEPTION:
                self.refusals.append(commands.decode_exception(got.payload).code)
                return None
            assert got.command == commands.CONFIG
            self.secret = commands.decode_config(got.payload).device_secret
        self.connects += 1
        return link

    async def _connected(self):
        link = await self.connect()
        if link is None:
            raise Lost
        await self.introduce()
        await self._catch_up()
        while not self.done.is_set():
            got = await link.receive()
            if got.command == commands.OTA_NOTICE:
                await self._noticed()
            elif got.command == commands.OTA_URL:
                await self._upgrade(ota.decode_url(got.payload))

    async def introduce(self):
        """What the SDK publishes on connecting, and the request for a plan."""
        hello = msg.Hello(self.battery, -90.0, 50_000_000, {"fw": self.version})
        send = self.link.publish
        await send(self.client_id, commands.STATUS_REPORT, commands.encode_status_report(hello), 1)
        await send(self.client_id, commands.INFO_REPORT, commands.encode_info_report(hello.versions, "fw"), 1)
        await send(self.client_id, commands.OTA_REQUEST, ota.encode_request(hello.versions, "fw"), 2)

    async def _catch_up(self):
        """After a reconnect: the status that was never acknowledged, or how what was cut off ended."""
        if self.unsent is not None and self.phase not in ("downloading", "submitted"):
            await self.status(self.unsent)
        if self.phase == "downloading":
            self.phase = "idle"
            await self.status(msg.DOWNLOAD_ERROR)
        elif self.phase == "submitted":
            self.phase = "idle"
            await self.status(msg.UPDATE_ERROR)
        elif self.phase == "updating":
            self.version = self.target
            self.phase = "upgraded"
            await self.status(msg.UPDATE_SUCCESS)
        if self.phase == "upgraded" and self.acked and self.acked[-1] == msg.UPDATE_SUCCESS:
            self.done.set()

    async def _noticed(self):
        if self.phase == "idle":
            await self.status(msg.PLAN_RECEIVED)
            self.phase = "submitted"
            await self.status(msg.SUBMITTED)

    async def _upgrade(self, firmware):
        if self.phase not in ("idle", "submitted"):
            return
        self.phase = "downloading"
        file = firmware.files[0]
        self.target = firmware.target_version
        await self.status(msg.DOWNLOAD_START)
        await self.status(msg.DOWNLOADING)
        try:
            body = await fetch(file.url, file.size_bytes)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            body = b""
        if hashlib.md5(body).hexdigest() != file.md5:
            self.md5_errors += 1
            self.phase = "idle"
            await self.status(msg.DOWNLOAD_ERROR)
            return
        await self.status(msg.DOWNLOADED)
        self.phase = "updating"
        await self.status(msg.UPDATING)
        raise Lost  # it flashes and reboots

    async def status(self, status):
        """Sends a status at QoS 2 and waits for its acknowledgement; kept for later when the link is lost first."""
        version = self.version if status in (msg.UPDATE_SUCCESS, msg.UPDATE_ERROR) else ""
        self.unsent = status
        payload = ota.encode_status(ota.Status(status, "fw", msg.FIRMWARE, version))
        await self.link.publish(self.client_id, commands.OTA_STATUS, payload, 2)
        self.unsent = None
        self.acked.append(status)
        if status == self.hold:
            self.held.set()
            await asyncio.Event().wait()


async def fetch(url, size):
    """GET in one range, as QuecThing's client asks; the body. Raises OSError, ValueError, IncompleteReadError."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        path = f"{where.path}?{where.query}"
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost:{where.netloc}\r\nAccept-Ranges: bytes\r\n"
            f"Range: bytes=0-{size - 1}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        if head.split()[1] not in ("200", "206"):
            raise ValueError(head.split()[1])
        length = int(head.partition("Content-Length: ")[2].partition("\r")[0])
        return await reader.readexactly(length)
    finally:
        writer.close()
