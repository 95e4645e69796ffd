"""One live module: the behaviour's inputs from sockets and timers, its effects onto them. Decides nothing itself."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from math import inf, isnan
from typing import TYPE_CHECKING

from sim import messages as msg
from sim.draws import Purpose, uniform
from sim.engines.live.fetch import Broken, Package, ServerRefused, WrongChecksum
from sim.engines.live.link import Link
from sim.engines.virtual import FETCH_ROUND_TRIPS, LOGIN_ROUND_TRIPS
from sim.errors import ProtocolError
from sim.module import behaviour as b
from sim.module import radio, states
from sim.module.machine import Module
from sim.module.rows import (
    ALWAYS,
    C_BATTERY_DEAD,
    C_CHECKSUM,
    C_LINK_LOST,
    C_SERVER_BUSY,
    C_SERVER_ERROR,
    CONNECTING,
    DARK,
    NAN,
    OFFLINE,
    ONLINE,
)
from sim.wire import mqtt
from sim.wire.quecthing import commands, frame, login, ota

if TYPE_CHECKING:
    from sim.engines.live.engine import LiveEngine

CONFIG_TIMEOUT_S = 5.0
"""A bootstrapped device works without its secret when none has come by then."""
_GUARDED = (msg.SUBMITTED, msg.DOWNLOAD_START)
"""In these states the module waits for the network: their timers keep real seconds under a time scale."""
_CODES = {
    mqtt.BAD_VERSION: login.VERSION_UNSUPPORTED, mqtt.BAD_CLIENT_ID: login.DEVICE_SECRET_WRONG,
    mqtt.UNAVAILABLE: login.DEVICE_SECRET_WRONG, mqtt.BAD_LOGIN: login.DEVICE_SECRET_WRONG,
    mqtt.NOT_AUTHORIZED: login.DEVICE_SECRET_WRONG,
}  # fmt: skip
"""The SDK's error for each return code of CONNACK."""


class LiveModule:
    """A module with its connection, its download and its one timer."""

    __slots__ = (
        "_asked_at", "_bootstrapping", "_confirmed_at", "_dialled_at", "_due", "_engine", "_fetch", "_fetched_bytes",
        "_firmware", "_guard", "_header_at", "_heard_at", "_kinds", "_last_frame", "_leaving", "_name", "_package", "_timer", "_timer_at",
        "_transfer_at", "_unacked", "acked", "acknowledged_statuses", "link", "module", "secret", "sent_statuses",
    )  # fmt: skip

    def __init__(self, engine: LiveEngine, module: Module) -> None:
        self._engine = engine
        self.module = module
        self._name = login.client_id(engine.target.product_key, module.name)
        self.link: Link | None = None
        self.secret = ""  # the device's, once the cloud gave it
        self._bootstrapping = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._guard = inf
        self._due = self._dialled_at = self._asked_at = self._confirmed_at = 0.0
        self._heard_at = self._header_at = 0.0
        self._last_frame = 0
        self._unacked: dict[int, tuple[int, float]] = {}
        self._leaving: Link | None = None  # offline already, while the last acknowledgements come in
        self._kinds: tuple[int, ...] = ()
        self._firmware: ota.Firmware | None = None
        self._package: Package | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._fetched_bytes = 0
        self._transfer_at = NAN
        self.sent_statuses = self.acknowledged_statuses = 0
        self.acked: dict[int, float] = {}
        """When the cloud last acknowledged each status, seconds of the run."""

    # --- life ----------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """Its first connection: at once for modules that are always online, else at its own check-in."""
        row, profile = self.module.row, self.module.profile
        if row.link != OFFLINE:
            return  # never online
        self._due = self._engine.clock()
        if profile.check_in == ALWAYS and row.away_until_s <= now:
            self.deliver(b.CHECK_IN, now)
        else:
            b.start(row, profile, now)
            self._rearm(now)

    @property
    def done(self) -> bool:
        """Nothing more is to be expected of it: it runs the new version and the cloud knows, or it is dark."""
        row = self.module.row
        if row.link == DARK:
            return True
        return not isnan(row.upgraded_s) and row.cached == 0 and not self._unacked

    def deliver(self, given: int | msg.ToModule, now: float) -> None:
        """Every input of the module goes through here: receive, perform the effects, arm the timer."""
        effects = self.module.receive(given, now)
        if effects:
            self._perform(effects, now)
        self._rearm(now)

    def end(self) -> None:
        """The run is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_fetch()
        for link in (self.link, self._leaving):
            if link is not None:
                link.close()
        self.link = self._leaving = None

    def _rearm(self, now: float) -> None:
        """One timer, at the deadline; guards of the network are stretched to real seconds first."""
        row = self.module.row
        scale = self._engine.settings.time_scale
        if scale != 1.0 and row.ota_then == states.TIMEOUT and row.status in _GUARDED and row.ota_at != self._guard:
            row.ota_at = self._guard = now + (row.ota_at - now) * scale
        at = self.module.deadline
        if row.link == OFFLINE and self.done:
            at = inf
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = at
        if at < inf:
            self._timer = self._engine.at(at, self._wake)

    def _wake(self) -> None:
        at, self._timer, self._timer_at = self._timer_at, None, inf
        self._due = self._engine.real(at)
        self.deliver(b.WAKE, max(at, self._engine.now()))

    def _perform(self, effects: int, now: float) -> None:
        if effects & b.ENTERED:
            self._engine.recorder.entered(self.module, now)
        if effects & b.STOP_FETCH:
            self._stop_fetch()
        if effects & b.ACCESS:  # the network under test has a random access of its own
            self.deliver(b.ACCESSED, now)
        if effects & b.CONNECT:
            self._connect()
        if effects & b.HELLO:
            self._hello(now)
        if effects & b.PUBLISH:
            self._publish_status(now)
        if effects & b.FETCH:
            self._begin_fetch(now)
        if effects & b.DISCONNECT:
            self._disconnect(now)

    # --- link ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        engine = self._engine
        if self._leaving is not None:
            self._leaving.abort()
            self._left()
        self._dialled_at = self._due
        random = secrets.token_hex(8)
        target = engine.target
        self._bootstrapping = not self.secret
        if self._bootstrapping:
            password = login.bootstrap_password(target.product_key, target.product_secret, self.module.name, random)
        else:
            password = login.login_password(target.product_secret, self.secret, random)
        modelled_s = (
            LOGIN_ROUND_TRIPS * self.module.row.rtt_s / engine.settings.time_scale if engine.settings.radio else 0.0
        )
        self._dialled_at += modelled_s
        at = engine.connects.slot(engine.clock() + modelled_s)
        engine.when(at, lambda: self._dial(password))

    def _dial(self, password: str) -> None:
        if self.module.row.link == CONNECTING and self.link is None:
            self._engine.recorder.dialled()
            self.link = self._engine.links.dial(self, self._name, password, login.subscription(self._name))

    def on_up(self, link: Link) -> None:
        """See LinkOwner."""
        self._engine.latencies.add("connect", max(0.0, link.made_at - self._dialled_at))
        if not self._bootstrapping:
            self._logged_in(link)
        else:
            self._engine.loop.call_later(CONFIG_TIMEOUT_S, self._no_config, link)

    def _no_config(self, link: Link) -> None:
        if self.link is link and self._bootstrapping:
            self._logged_in(link)

    def _logged_in(self, link: Link) -> None:
        self._bootstrapping = False
        engine = self._engine
        engine.latencies.add("login", engine.clock() - link.made_at)
        now = engine.now()
        engine.recorder.online(now, 1)
        self._heard_at = now
        self._due = engine.clock()
        self.deliver(b.CONNECTED, now)

    def on_down(self, link: Link, code: int) -> None:
        """See LinkOwner."""
        if self._leaving is link:
            self._left()
        if self.link is not link:
            return
        self.link = None
        if self.module.row.link == ONLINE:
            self._session_lost()
        else:
            self._refused(_CODES.get(code, login.NETWORK))

    def _session_lost(self) -> None:
        """The session broke: what was not acknowledged is kept like a status published offline, the latest only."""
        row, engine = self.module.row, self._engine
        now = engine.now()
        engine.recorder.online(now, -1)
        self._keep_unacknowledged()
        if row.status in (msg.DOWNLOAD_START, msg.DOWNLOADING):
            row.cause = C_LINK_LOST
        self.deliver(b.LINK_LOST, now)
        self._back_off(login.NETWORK, now)

    def _refused(self, code: int) -> None:
        """No session came about."""
        engine = self._engine
        engine.recorder.refused(code)
        self._bootstrapping = False
        if code == login.DEVICE_SECRET_WRONG:
            self.secret = ""
        now = engine.now()
        self.deliver(b.CONNECT_FAILED, now)
        self._back_off(code, now)

    def _back_off(self, code: int, now: float) -> None:
        """The wait before the next attempt, by class of error and in real seconds whatever the time scale."""
        row, scale = self.module.row, self._engine.settings.time_scale
        if row.link != OFFLINE or row.link_at == inf:
            return
        if code == login.NETWORK:
            row.link_at = now + (row.link_at - now) * scale
        else:
            row.link_at = now + login.back_off_s(code, row.link_failures) * scale
        self._rearm(now)

    def _disconnect(self, now: float) -> None:
        link, self.link = self.link, None
        if link is None:
            return
        if link.up and not self._bootstrapping:
            self._engine.recorder.online(now, -1)
        row = self.module.row
        if row.link == DARK or row.cause == C_BATTERY_DEAD:
            link.abort()  # no supply, no farewell
            self._keep_unacknowledged()
        elif not link.finish() and self._unacked:
            self._leaving = link

    def _left(self) -> None:
        """The connection it was leaving is gone before everything was acknowledged."""
        self._leaving = None
        self._keep_unacknowledged()
        self._rearm(self._engine.now())

    def _keep_unacknowledged(self) -> None:
        row = self.module.row
        if self._unacked and not row.cached:
            row.cached = next(reversed(self._unacked.values()))[0]
        self._unacked.clear()

    # --- uplink --------------------------------------------------------------------------------------------------

    def _hello(self, now: float) -> None:
        """0x0034, 0x0044 and, with the request, 0x0115."""
        hello = self.module.hello(now)
        firmware = self._engine.firmware
        self._asked_at = self._due
        packets = (
            (commands.STATUS_REPORT, commands.encode_status_report(hello), 1),
            (commands.INFO_REPORT, commands.encode_info_report(hello.versions, firmware), 1),
            (commands.OTA_REQUEST, ota.encode_request(hello.versions, firmware), 2),
        )
        self._uplink(now, lambda: [self._send(*packet) for packet in packets], len(packets))

    def _publish_status(self, now: float) -> None:
        report = self.module.report()
        self._uplink(now, lambda: self._send_status(report), 1)

    def _send_status(self, report: msg.StatusReport) -> None:
        component, kind = self._engine.component(self.module, report.component, self._kinds)
        payload = ota.encode_status(ota.Status.of(report, component, kind))
        packet_id = self._send(commands.OTA_STATUS, payload, 2)
        self.sent_statuses += 1
        self._unacked[packet_id] = (report.status, self._engine.clock())
        if report.status == msg.SUBMITTED:
            self._confirmed_at = self._due
        elif report.status == msg.DOWNLOADING:
            self._engine.loop.call_later(states.PROGRESS_INTERVAL_S, self._beat, self._fetch)

    def _beat(self, fetch: asyncio.Task[None] | None) -> None:
        """A module that downloads says so every five seconds."""
        if fetch is not None and self._fetch is fetch and self.module.row.status == msg.DOWNLOADING and self.link:
            self._engine.recorder.beat()
            self._send_status(msg.StatusReport(msg.DOWNLOADING, self.module.row.component))

    def _uplink(self, now: float, send: Callable[[], object], packets: int) -> None:
        """Through the modelled radio when asked for, within the cap on the rate, in order."""
        engine, link = self._engine, self.link
        engine.recorder.requests(now, packets)
        at = now
        if engine.settings.radio:
            delay = radio.uplink_s(self.module.row, self.module.profile)
            if delay < 0.0:
                engine.recorder.lost += 1
                return
            at = self._heard_at = max(now + delay, self._heard_at)
        start = engine.messages.slot(engine.real(at))

        def later() -> None:
            if self.link is link and link is not None:
                send()

        engine.when(start, later)

    def _send(self, command: int, payload: bytes, qos: int, packet_id: int = 0) -> int:
        """One DP frame on its topic; answers repeat the request's id. Gives the MQTT packet id."""
        assert self.link is not None
        if packet_id == 0:
            packet_id = self._last_frame = self._last_frame % frame.MAX_PACKET_ID + 1
        topic = login.uplink_topic(self._name, commands.topic_kind(command)).encode()
        return self.link.publish(topic, frame.encode(packet_id, command, payload), qos)

    def on_acknowledged(self, link: Link, packet_id: int) -> None:
        """See LinkOwner."""
        status, sent_at = self._unacked.pop(packet_id, (0, 0.0))
        if link is self._leaving and not self._unacked:
            self._leaving = None
        if status:
            engine = self._engine
            engine.latencies.add("report", engine.clock() - sent_at)
            self.acknowledged_statuses += 1
            self.acked[status] = engine.now()

    # --- downlink ------------------------------------------------------------------------------------------------

    def on_message(self, link: Link, topic: str, payload: bytes) -> None:  # noqa: ARG002 - the command says it all
        """See LinkOwner."""
        if link is not self.link:
            return  # it sleeps already
        try:
            received = frame.decode(payload)
            self._command(received)
        except ProtocolError:
            self._engine.recorder.damaged += 1

    def _command(self, received: frame.Frame) -> None:
        command, payload = received.command, received.payload
        if command == commands.OTA_NOTICE:
            notice, kinds = ota.decode_notice(payload)
            self._downlink(lambda: self._on_notice(notice, kinds))
        elif command == commands.OTA_URL:
            firmware = ota.decode_url(payload)
            url = firmware.message(self.module.components)
            self._downlink(lambda: self._on_url(firmware, url))
        elif command == commands.CONFIG:
            self.secret = commands.decode_config(payload).device_secret
            if self._bootstrapping and self.link is not None and self.link.up:
                self._logged_in(self.link)
        elif command == commands.EXCEPTION:
            self._on_exception(commands.decode_exception(payload).code)
        elif command == commands.STATUS_GET:
            hello = self.module.hello(self._engine.now())
            self._send(commands.STATUS_REPLY, commands.encode_status_report(hello), 1, received.packet_id)
        elif command == commands.INFO_GET:
            info = commands.encode_info_report(self.module.versions, self._engine.firmware)
            self._send(commands.INFO_REPLY, info, 1, received.packet_id)

    def _on_exception(self, code: int) -> None:
        """The platform refuses: a bootstrap ends with it, a limit on messages is only counted."""
        if not self._bootstrapping or self.link is None:
            self._engine.recorder.refused(code)
            return
        link, self.link = self.link, None
        link.abort()
        self._refused(code)

    def _downlink(self, deliver: Callable[[], None]) -> None:
        """Through the modelled radio when asked for."""
        engine, link = self._engine, self.link
        if not engine.settings.radio:
            deliver()
            return
        delay = radio.downlink_s(self.module.row, self.module.profile)
        if delay < 0.0:
            engine.recorder.lost += 1
            return

        def later() -> None:
            if self.link is link and link is not None:
                deliver()

        engine.at(engine.now() + delay, later)

    def _on_notice(self, notice: msg.Notice, kinds: tuple[int, ...]) -> None:
        engine = self._engine
        if self.module.row.link != ONLINE:
            return
        self._kinds = kinds
        self._due = engine.clock()
        if self._asked_at:
            engine.latencies.add("notice", self._due - self._asked_at)
            self._asked_at = 0.0
        self.deliver(notice, engine.now())

    def _on_url(self, firmware: ota.Firmware, url: msg.FirmwareUrl) -> None:
        engine = self._engine
        if self.module.row.link != ONLINE:
            return
        self._due = engine.clock()
        if self._confirmed_at:
            engine.latencies.add("url", self._due - self._confirmed_at)
            self._confirmed_at = 0.0
        if self._firmware != firmware:
            self._firmware, self._package = firmware, Package(firmware.files)
        self.deliver(url, engine.now())

    # --- download ------------------------------------------------------------------------------------------------

    def _begin_fetch(self, now: float) -> None:
        row = self.module.row
        self._fetched_bytes = 0
        self._engine.recorder.requests(now, 1)
        start = row.offset_bytes + int(row.kept_bytes)
        end = row.offset_bytes + row.piece_bytes
        if self._package is None or not self._package.begin(start):
            start, row.kept_bytes = row.offset_bytes, 0.0
        self._fetch = self._engine.loop.create_task(self._download(start, end))

    async def _download(self, start: int, end: int) -> None:
        """Fetches the piece and tells the module how it went; cancelled when it stops."""
        engine, row = self._engine, self.module.row
        fetch = asyncio.current_task()
        if engine.settings.radio:
            await asyncio.sleep(FETCH_ROUND_TRIPS * row.rtt_s / engine.settings.time_scale)
        asked_at = engine.clock()
        try:
            if self._package is None or not self._package.begin(start):
                raise Broken("the bytes before this piece are gone")
            for url, first, last in self._package.requests(start, end):
                engine.check_url(url)
                await engine.downloader.get(url, first, last, row.index, lambda: self._header(asked_at), self._take)
        except Broken as error:
            if self._fetch is fetch:
                self._fetch_broken(error)
            return
        if self._fetch is fetch:
            engine.latencies.add("download", engine.clock() - asked_at)
            self._fetch_done()

    def _header(self, asked_at: float) -> None:
        """The answer begins: the module is told once, and the hazard of losing the session begins to run."""
        engine, row = self._engine, self.module.row
        if row.status != msg.DOWNLOAD_START:
            return
        self._header_at = engine.clock()
        engine.latencies.add("header", self._header_at - asked_at)
        now = self._transfer_at = engine.now()
        engine.recorder.transfer_began()
        drop_s = radio.drop_after_s(row, self.module.profile)
        if drop_s < inf:
            engine.at(now + drop_s, lambda fetch=self._fetch: self._drop(fetch))  # type: ignore[misc]
        self.deliver(states.HEADER, now)

    def _drop(self, fetch: asyncio.Task[None] | None) -> None:
        """The radio loses the session under the transfer: both sockets die."""
        link = self.link
        if fetch is not None and self._fetch is fetch and link is not None:
            self.link = None
            link.abort()
            self._session_lost()

    def _take(self, chunk: memoryview) -> float:
        """Takes a chunk; with the modelled radio the next one waits until its goodput allows it."""
        engine, row = self._engine, self.module.row
        if self._fetch is None:
            return 0.0  # given up as the answer began
        self._fetched_bytes += len(chunk)
        engine.recorder.bytes_arrived(len(chunk))
        if self._package is not None and not self._package.feed(chunk):
            raise WrongChecksum("the MD5 is wrong")
        if not engine.settings.radio:
            return 0.0
        bit_s = row.goodput_bit_s * engine.settings.time_scale
        return self._header_at + 8.0 * self._fetched_bytes / bit_s - engine.clock()

    def _fetch_done(self) -> None:
        engine, row, profile = self._engine, self.module.row, self.module.profile
        self._close_fetch()
        row.received_bytes += self._fetched_bytes
        dice = uniform(profile.key_0, profile.key_1, row.index, Purpose.CHECKSUM, row.transfers)
        if dice < profile.checksum_error:  # written wrongly on the module's side
            row.cause, row.kept_bytes = C_CHECKSUM, 0.0
            self.deliver(states.BROKEN, engine.now())
        else:
            self.deliver(states.DONE, engine.now())

    def _fetch_broken(self, error: Broken) -> None:
        row = self.module.row
        self._engine.recorder.broken(error)
        self._stop_fetch()
        wrong = isinstance(error, WrongChecksum)
        row.cause = C_CHECKSUM if wrong else C_SERVER_ERROR if isinstance(error, ServerRefused) else C_SERVER_BUSY
        if wrong:
            row.kept_bytes = 0.0
        self.deliver(states.BROKEN, self._engine.now())

    def _stop_fetch(self) -> None:
        """The transfer under way, if any, ends here; what arrived is kept only by modules that can resume."""
        fetch = self._fetch
        if fetch is None:
            return
        row = self.module.row
        self._close_fetch()
        if fetch is not asyncio.current_task():
            fetch.cancel()
        row.received_bytes += self._fetched_bytes
        row.kept_bytes = row.kept_bytes + self._fetched_bytes if self.module.profile.resume_download else 0.0

    def _close_fetch(self) -> None:
        self._fetch = None
        if not isnan(self._transfer_at):
            since, self._transfer_at = self._transfer_at, NAN
            self._engine.recorder.transfer_ended(since, self._engine.now(), self._fetched_bytes)
