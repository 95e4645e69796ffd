"""One module over blocking sockets: behaviour and codecs of the other engines, driven from one greenlet.

Nothing here imports gevent: its patched sockets make the blocking calls cooperative, and plain threads would do too.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
import time
from collections.abc import Callable
from math import inf, isnan

from sim import messages as msg
from sim.causes import Cause
from sim.engines.live import failure_reasons
from sim.engines.live.fetch import MOST_REDIRECTS, Broken
from sim.engines.live.live_target import Target, trusting
from sim.errors import ProtocolError, RemoteProtocolError
from sim.module.inputs import Effect, Input
from sim.module.link_states import LinkState
from sim.module.machine import Module
from sim.wire import http, mqtt
from sim.wire.quecthing import ota
from sim.wire.quecthing.client import CONFIG_TIMEOUT_S, Product, QuecThingClient, kind_of
from sim.wire.session import ClientSession

CONNECT_TIMEOUT_S = 10.0
TICK_S = 0.25
READ_BYTES = 65536
NO_MD5 = "0" * 32
Measure = Callable[[str, float | None, str], None]
"""Leg, seconds (None when it failed), reason of the failure."""


class BlockingModule:
    """A module with its connection. `run` carries it until it is upgraded and the cloud knows, or told to stop.

    Times are seconds of the monotonic clock, `time_scale` shortens the module's own waits.
    """

    def __init__(
        self, module: Module, target: Target, firmware: str, measure: Measure, *, time_scale: float = 1.0
    ) -> None:
        self.module, self.target = module, target
        self.stopped = False
        self._measure, self._scale = measure, time_scale
        product = Product(target.product_key, target.product_secret, firmware)
        self._client = QuecThingClient(product, module.name, self, target.hand_out)
        self._zero = time.monotonic()
        self._socket: socket.socket | None = None
        self._session: ClientSession | None = None
        self._write_failed = ""
        """Why the socket took no more bytes, until the connection is over."""
        self._secret_until = inf  # how long a secret is awaited
        self._due = self._made_at = self._asked_at = self._confirmed_at = 0.0
        self._unacked: dict[int, float] = {}
        self._kinds: tuple[int, ...] = ()
        self._url: ota.Firmware | None = None
        self._check_url: Callable[[str], None] = lambda _url: None
        self._ca_file: str | None = None

    def allow(self, check_url: Callable[[str], None], ca_file: str | None = None) -> None:
        """How URLs are checked before they are fetched, and which certificates are trusted."""
        self._check_url, self._ca_file = check_url, ca_file

    # --- life ----------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Seconds of the module's run."""
        return (time.monotonic() - self._zero) * self._scale

    @property
    def done(self) -> bool:
        """Nothing more is to be expected of it."""
        row = self.module.row
        return row.link == LinkState.DARK or (not isnan(row.upgraded_s) and row.cached == 0 and not self._unacked)

    def run(self, *, stay: bool = True) -> None:
        """Lives: with `stay` until it is stopped, else until it is done."""
        if self.module.row.link == LinkState.OFFLINE:
            self._due = time.monotonic()
            self._deliver(Input.CHECK_IN)
        while not self.stopped and (stay or not self.done):
            self._step()
        self._hang_up()

    def _step(self) -> None:
        """Waits for bytes or for the next timer, whichever comes first."""
        now = time.monotonic()
        at = min(self._zero + self.module.deadline / self._scale, self._secret_until)
        session = self._session
        if session is not None:
            at = min(at, session.deadline)
        wait_s = min(max(at - now, 0.001), TICK_S)
        if self._socket is None:
            time.sleep(wait_s)
        else:
            self._read(wait_s)
        now = time.monotonic()
        if self._session is not None and self._session.deadline <= now:
            self._session.wake(now)
        if self._secret_until <= now:
            self._secret_until = inf
            self._client.no_secret_came()
        deadline = self.module.deadline
        if self._zero + deadline / self._scale <= now:
            self._due = self._zero + deadline / self._scale
            self._deliver(Input.WAKE)

    def _read(self, wait_s: float) -> None:
        connection, session = self._socket, self._session
        assert connection is not None and session is not None
        if self._write_failed:  # the socket is closed
            self._lost(self._write_failed)
            return
        connection.settimeout(wait_s)
        why = failure_reasons.CLOSED
        try:
            data = connection.recv(READ_BYTES)
        except TimeoutError:
            return
        except OSError as error:
            data, why = b"", failure_reasons.of_error(error)
        if not data:
            self._lost(why)
            return
        try:
            session.receive(data, time.monotonic())
        except ProtocolError as error:
            self._lost(failure_reasons.of_protocol(error))

    def _deliver(self, given: int | msg.ToModule) -> None:
        """Input, effects, in their order; a download blocks until it is over."""
        now = self.now
        effects = self.module.receive(given, now)
        if effects & Effect.ACCESS:
            self._deliver(Input.ACCESSED)
        if effects & Effect.CONNECT:
            self._connect()
        if effects & Effect.HELLO:
            self._hello()
        if effects & Effect.PUBLISH:
            self._publish_status()
        if effects & Effect.FETCH:
            self._fetch()
        if effects & Effect.DISCONNECT:
            self._hang_up()

    # --- link ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        target, due = self.target, self._due
        password = self._client.password(secrets.token_hex(8))
        try:
            connection = socket.create_connection((target.host, target.port), CONNECT_TIMEOUT_S)
            context = target.ssl_context(self._ca_file)
            if context is not None:
                connection = context.wrap_socket(connection, server_hostname=target.host)
        except OSError as error:
            self._client.failed(None)
            self._measure("connect", None, failure_reasons.of_error(error))
            self._deliver(Input.CONNECT_FAILED)
            return
        self._socket, self._made_at, self._write_failed = connection, time.monotonic(), ""
        self._measure("connect", self._made_at - due, "")
        self._session = ClientSession(self, self._write)
        self._session.connect(
            self._client.name, (self._client.subscription, 1), self._made_at, password=password.encode()
        )

    def _write(self, data: bytes) -> None:
        if self._socket is not None and not self._write_failed:
            try:
                self._socket.settimeout(CONNECT_TIMEOUT_S)
                self._socket.sendall(data)
            except OSError as error:
                self._write_failed = failure_reasons.of_error(error)
                self._socket.close()  # the next look finds out

    def on_ready(self) -> None:
        """See Events."""
        self._secret_until = inf
        self._due = time.monotonic()
        self._measure("login", self._due - self._made_at, "")
        self._deliver(Input.CONNECTED)

    def _lost(self, reason: str, connack: int | None = None) -> None:
        """The connection is gone, or never came about: refused with a return code of CONNACK, or for want of an answer."""
        row = self.module.row
        self._close()
        if row.link == LinkState.ONLINE:
            self._measure("session", None, reason)
            self._deliver(Input.LINK_LOST)
        elif row.link == LinkState.CONNECTING:
            self._measure("login", None, reason)
            self._client.failed(connack)
            self._deliver(Input.CONNECT_FAILED)

    def _hang_up(self) -> None:
        """Waits a little for what is unacknowledged, says DISCONNECT and goes."""
        until = time.monotonic() + 2.0
        while self._unacked and self._socket is not None and time.monotonic() < until:
            self._read(0.1)
        if self._session is not None:
            self._session.close()
        self._close()

    def _close(self) -> None:
        connection, self._socket, self._session, self._secret_until = self._socket, None, None, inf
        if connection is not None:
            connection.close()
        row = self.module.row
        if self._unacked and not row.cached:
            row.cached = row.published
        self._unacked.clear()

    # --- up ------------------------------------------------------------------------------------------------------

    def _hello(self) -> None:
        self._asked_at = self._due
        for packet in self._client.hello_packets(self.hello()):
            self._client.send(self._publish, *packet)

    def _publish_status(self) -> None:
        report = self.module.report()
        component, kind = self.module.components[report.component], kind_of(self._kinds, report.component)
        packet_id = self._client.send_status(self._publish, report, component, kind)
        self._unacked[packet_id] = time.monotonic()
        if report.status == msg.SUBMITTED:
            self._confirmed_at = time.monotonic()

    def _publish(self, topic: bytes, payload: bytes, qos: int) -> int:
        """Sends over the session that stands; the MQTT packet id, 0 when there is none."""
        return 0 if self._session is None else self._session.publish(topic, payload, qos, time.monotonic())

    # --- session, see ClientOwner ----------------------------------------------------------------------------------

    def on_connack(self, code: int) -> None:
        """See ClientOwner."""
        if code != mqtt.ACCEPTED:
            self._lost(failure_reasons.of_connack(code), code)

    def on_suback(self, codes: bytes) -> None:
        """See ClientOwner."""
        if codes[:1] == b"\x80":
            self._lost(failure_reasons.SUBSCRIPTION_REFUSED)
        elif not self._client.subscribed():
            self._secret_until = time.monotonic() + CONFIG_TIMEOUT_S

    def on_silence(self, what: str) -> None:
        """See ClientOwner."""
        self._lost(f"{failure_reasons.NO_ANSWER} ({what})")

    def on_acknowledged(self, packet_id: int) -> None:
        """See ClientOwner."""
        sent_at = self._unacked.pop(packet_id, None)
        if sent_at is not None:
            self._measure("report", time.monotonic() - sent_at, "")

    def on_unacknowledged(self, packet_id: int) -> None:  # noqa: ARG002 - it is lost, whichever it was
        """See ClientOwner."""
        self._lost(f"{failure_reasons.NO_ANSWER} (acknowledgement)")

    def on_message(self, topic: str, payload: bytes, qos: int, packet_id: int) -> bool:  # noqa: ARG002
        """See ClientOwner."""
        self._client.received(payload, self._publish)
        return True

    # --- commands, see Events ------------------------------------------------------------------------------------

    def hello(self) -> msg.Hello:
        """See Events."""
        return self.module.hello(self.now)

    def on_damaged(self, error: RemoteProtocolError) -> None:
        """See Events."""
        self._measure("session", None, failure_reasons.of_protocol(error))

    def on_notice(self, notice: msg.Notice, kinds: tuple[int, ...]) -> None:
        """See Events."""
        self._kinds = kinds
        if self._asked_at:
            self._measure("notice", time.monotonic() - self._asked_at, "")
            self._asked_at = 0.0
        self._deliver(notice)

    def on_url(self, firmware: ota.Firmware) -> None:
        """See Events."""
        try:
            url = firmware.message(self.module.components)
        except RemoteProtocolError as error:
            self.on_damaged(error)
            return
        self._url = firmware
        if self._confirmed_at:
            self._measure("url", time.monotonic() - self._confirmed_at, "")
            self._confirmed_at = 0.0
        self._deliver(url)

    def on_refused(self, code: int) -> None:
        """See Events."""
        self._lost(failure_reasons.of_platform(code))

    def on_exception(self, code: int) -> None:
        """See Events."""
        self._measure("session", None, failure_reasons.of_exception(code))

    # --- download ------------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        """The piece asked for, over a connection of its own; its MD5 is compared when it is the whole file."""
        row, began = self.module.row, time.monotonic()
        cause = self._transfer(row.offset_bytes, row.offset_bytes + row.piece_bytes)
        if cause is None:
            self._measure("download", time.monotonic() - began, "")
            row.received_bytes += row.piece_bytes
            self._deliver(Input.DONE)
            return
        row.cause, row.kept_bytes = cause[0], 0.0
        self._measure("download", None, cause[1])
        self._deliver(Input.BROKEN)

    def _transfer(self, start: int, end: int) -> tuple[int, str] | None:
        """Fetches bytes [start, end); None when they came whole, else cause and reason."""
        assert self._url is not None
        offset = 0
        for file in self._url.files:
            first, last = max(start - offset, 0), min(end - offset, file.size_bytes) - 1
            offset += file.size_bytes
            if first > last:
                continue
            try:
                digest, status = self._get(file.url, first, last)
            except Broken as error:
                return Cause.SERVER_BUSY, str(error)
            except (OSError, ProtocolError) as error:
                return Cause.SERVER_BUSY, failure_reasons.of_error(error)
            if status not in (http.OK, http.PARTIAL_CONTENT):
                return Cause.SERVER_ERROR, failure_reasons.of_status(status)
            whole = first == 0 and last == file.size_bytes - 1
            if whole and file.md5 not in (NO_MD5, digest):
                return Cause.CHECKSUM, "the MD5 is wrong"
        return None

    def _get(self, url: str, first: int, last: int) -> tuple[str, int]:
        """MD5 and status of the wanted bytes; redirects are followed to where the run may go."""
        for _ in range(MOST_REDIRECTS + 1):
            self._check_url(url)
            digest, head = self._get_once(http.place(url), first, last)
            if head.status not in http.REDIRECTS:
                return digest, head.status
            url = head.location(url)
        raise Broken(f"more than {MOST_REDIRECTS} redirects")

    def _get_once(self, where: http.Place, first: int, last: int) -> tuple[str, http.Head]:
        """MD5 and head of one request; the module is told when the answer begins."""
        digest, began = hashlib.md5(usedforsecurity=False), time.monotonic()
        heads: list[http.Head] = []
        wanted: list[http.Wanted] = []

        def begin(head: http.Head) -> None:
            heads.append(head)
            if head.status not in (http.OK, http.PARTIAL_CONTENT):
                return
            wanted.append(http.Wanted(head, first, last))
            if self.module.row.status == msg.DOWNLOAD_START:
                self._measure("header", time.monotonic() - began, "")
                self._deliver(Input.HEADER)

        def body(data: memoryview) -> None:
            for part in wanted[0].pick(data) if wanted else ():
                digest.update(part)

        answer = http.Answer(begin, body)
        with socket.create_connection((where.host, where.port), CONNECT_TIMEOUT_S) as plain:
            connection = _secured(plain, where, self._ca_file)
            connection.sendall(http.get(where, first, last))
            while not heads or (wanted and wanted[0].missing):
                try:
                    data = connection.recv(READ_BYTES)
                except TimeoutError:
                    raise Broken(failure_reasons.NO_ANSWER) from None
                if not data or answer.done:
                    raise Broken(f"{failure_reasons.CLOSED} before the last byte")
                answer.feed(memoryview(data))
        return digest.hexdigest(), heads[0]


def _secured(plain: socket.socket, where: http.Place, ca_file: str | None) -> socket.socket:
    if not where.secure:
        return plain
    return trusting(ca_file).wrap_socket(plain, server_hostname=where.host)


__all__ = ["BlockingModule"]
