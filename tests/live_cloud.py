"""A small cloud for tests and benchmarks: the pure Developer Center behind a real MQTT endpoint and real downloads."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import zlib
from contextlib import contextmanager
from dataclasses import replace
from math import inf

from aiohttp import web

from sim import messages as msg
from sim.cloud import execution as ex
from sim.engines.world.build import build
from sim.scenario import Scenario
from sim.service.endpoint import Endpoint
from sim.wire.quecthing import commands, frame, login, ota

PRODUCT_KEY, PRODUCT_SECRET = "p11TEST", "VGVzdFNlY3JldDEy"
PLAN = 7


def package_bytes(size: int) -> bytes:
    """Bytes of a package: anything that does not repeat."""
    return (hashlib.sha512(b"package").digest() * (size // 64 + 1))[:size]


class LiveCloud:
    """One product, one active plan; modules of the scenario by their names."""

    def __init__(self, scenario: Scenario, *, time_scale: float = 1.0, wrong_md5: int = 0) -> None:
        self.world = build(scenario)
        self.time_scale = time_scale
        self.center = self.world.center
        self.center.log = lambda index, now, text: self.log.append((index, now, text))
        self.log: list[tuple[int, float, str]] = []
        self.numbers = {login.client_id(PRODUCT_KEY, m.name): m.row.index for m in self.world.modules}
        self.names = [m.name for m in self.world.modules]
        self.reported = [commands.Reported() for _ in self.world.modules]
        self.secrets: dict[str, str] = {}
        self.statuses: list[list[int]] = [[] for _ in self.world.modules]
        self.ranges: list[str] = []
        self.logins: list[str] = []
        self.wrong_md5 = wrong_md5
        self.asks = False
        self.refuses: int | None = None
        self.answers: list[frame.Frame] = []
        self.endpoint = Endpoint(self.on_connect, self.on_message, self.on_disconnect, self.on_subscribe)
        self._packets = 0
        self._timer: asyncio.TimerHandle | None = None

    # --- life --------------------------------------------------------------------------------------------------------

    async def start(self, *, http_port: int = 0, mqtt_port: int = 0) -> None:
        """Listens on loopback and activates the plan."""
        self.loop = asyncio.get_running_loop()
        await self.endpoint.start(port=mqtt_port)
        app = web.Application()
        app.router.add_get("/f/{number}", self._package)
        app.router.add_get("/api/v1/live", self._live)
        app.router.add_get("/api/v1/plans/{plan}/counts", self._counts)
        app.router.add_get("/api/v1/plans/{plan}/devices", self._devices)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", http_port, backlog=4096)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.packages = [package_bytes(c.size_bytes) for c in self.center.plan.components]
        self.center.plan.components = tuple(
            replace(
                c, url=f"{self.url}/f/{i}", md5=hashlib.md5(self.packages[i]).hexdigest(),
                crc32=zlib.crc32(self.packages[i]),
            )
            for i, c in enumerate(self.center.plan.components)
        )  # fmt: skip
        self.zero = self.loop.time()
        self.send(self.center.activate(0.0))
        self._wake()

    async def stop(self) -> None:
        """Stops both servers."""
        if self._timer is not None:
            self._timer.cancel()
        await self.endpoint.stop()
        await self._runner.cleanup()

    @property
    def now(self) -> float:
        """Seconds of the plan."""
        return (self.loop.time() - self.zero) * self.time_scale

    def _wake(self) -> None:
        self.send(self.center.wake(self.now))

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self.center.deadline
        if at < inf:
            self._timer = self.loop.call_at(self.zero + at / self.time_scale + 0.001, self._wake)

    # --- modules -----------------------------------------------------------------------------------------------------

    def on_connect(self, client_id: str, username: str | None, password: bytes | None) -> bool:
        opened = login.open_password(password or b"", PRODUCT_KEY, PRODUCT_SECRET)
        if client_id not in self.numbers:
            return False
        self.logins.append(client_id)
        if isinstance(opened, login.Login):
            return login.verify_login(opened, PRODUCT_SECRET, self.secrets.get(client_id, ""))
        return True

    def on_subscribe(self, client_id: str, filters: object) -> None:
        if self.refuses is not None:
            notice = commands.ExceptionNotice(self.refuses)
            self.publish(client_id, commands.EXCEPTION, commands.encode_exception(notice))
            return
        if client_id not in self.secrets:
            self.secrets[client_id] = hashlib.sha256(client_id.encode()).hexdigest()[:32]
            self.publish(client_id, commands.CONFIG, commands.encode_config(commands.Config(self.secrets[client_id])))
        if self.asks:
            self.publish(client_id, commands.STATUS_GET, b"")
            self.publish(client_id, commands.INFO_GET, b"")

    def on_disconnect(self, client_id: str) -> None:
        self.center.offline(self.numbers[client_id])

    def on_message(self, client_id: str, topic: str, payload: bytes) -> None:
        index, received = self.numbers[client_id], frame.decode(payload)
        components = [c.component for c in self.center.plan.components]
        if received.command == commands.OTA_STATUS:
            report = ota.decode_status(received.payload).message(components)
            self.statuses[index].append(report.status)
            self.send(self.center.status(index, report, self.now))
            return
        if received.command in (commands.STATUS_REPLY, commands.INFO_REPLY):
            self.answers.append(received)
        hello = self.reported[index].take(received.command, received.payload)
        if hello is not None and hello.asks:
            self.send(self.center.hello(index, hello, self.now))

    def send(self, messages) -> None:
        for index, message in messages or ():
            client_id = login.client_id(PRODUCT_KEY, self.names[index])
            if isinstance(message, msg.Notice):
                kinds = [c.kind for c in self.center.plan.components]
                self.publish(client_id, commands.OTA_NOTICE, ota.encode_notice(message, kinds))
            elif isinstance(message, msg.FirmwareUrl):
                planned = self.center.plan.components[message.component]
                wrong = self.wrong_md5 > 0
                self.wrong_md5 -= wrong
                url = replace(message, md5="f" * 32) if wrong else message
                sent = ota.Firmware.of(url, planned.component, planned.target_version)
                self.publish(client_id, commands.OTA_URL, ota.encode_url(sent))
        self._rearm()

    def publish(self, client_id: str, command: int, payload: bytes) -> bool:
        self._packets = self._packets % frame.MAX_PACKET_ID + 1
        topic = login.downlink_topic(client_id, commands.topic_kind(command))
        return self.endpoint.publish(client_id, topic, frame.encode(self._packets, command, payload), 1)

    # --- HTTP --------------------------------------------------------------------------------------------------------

    async def _package(self, request: web.Request) -> web.Response:
        body = self.packages[int(request.match_info["number"])]
        self.ranges.append(request.headers["Range"])
        wanted = request.http_range
        return web.Response(status=206, body=body[wanted.start : wanted.stop])

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({
            "mqtt": f"mqtt://127.0.0.1:{self.endpoint.port}", "http": self.url, "product_key": PRODUCT_KEY,
            "product_secret": PRODUCT_SECRET, "plan": PLAN,
        })  # fmt: skip

    async def _counts(self, request: web.Request) -> web.Response:
        states: dict[str, int] = {}
        for e in self.center.executions:
            states[ex.STATE_NAMES[e.state]] = states.get(ex.STATE_NAMES[e.state], 0) + 1
        return web.json_response({"states": states})

    async def _devices(self, request: web.Request) -> web.Response:
        page, size = int(request.query["page"]), int(request.query["size"])
        listed = [
            {
                "device_key": self.names[e.index], "state": ex.STATE_NAMES[e.state], "attempts": e.attempts,
                "reason": ex.REASON_NAMES[e.reason], "reports": len(self.statuses[e.index]),
            }
            for e in self.center.executions if login.client_id(PRODUCT_KEY, self.names[e.index]) in self.secrets
        ]  # fmt: skip
        return web.json_response({"total": len(listed), "devices": listed[(page - 1) * size : page * size]})


class OpenCloud(LiveCloud):
    """Takes in any module, up to as many as the scenario has, and numbers them as they come."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.numbers = _AsTheyCome(self.names)


class _AsTheyCome(dict):
    def __init__(self, names):
        super().__init__()
        self.names = names

    def __missing__(self, client_id):
        self.names[len(self)] = client_id.removeprefix(login.client_id(PRODUCT_KEY, ""))
        self[client_id] = len(self)
        return self[client_id]

    def __contains__(self, client_id):
        return True


@contextmanager
def served(scenario: Scenario, *, within_s: float = 90.0):
    """An open cloud in a thread of its own, so that this one is free."""
    loop, cloud = asyncio.new_event_loop(), OpenCloud(scenario)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> None:
        await cloud.start()

    try:
        asyncio.run_coroutine_threadsafe(start(), loop).result(within_s)
        yield cloud
    finally:
        asyncio.run_coroutine_threadsafe(cloud.stop(), loop).result(within_s)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(within_s)
        loop.close()
