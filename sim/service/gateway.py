"""Between the wire and the rollouts: logins, frames in, frames out. Knows QuecThing's commands; decides nothing.

A transport (the MQTT endpoint, or a broker's client) hands over what modules publish and sends what the cloud answers.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from sqlalchemy import select

from sim import messages as msg
from sim.errors import ProtocolError
from sim.service.cloud import Cloud
from sim.service.fleet import Device
from sim.service.rollout import Rollout
from sim.service.store.tables import products
from sim.wire import mqtt
from sim.wire.quecthing import commands, frame, login, ota

DOWNLINK_QOS = 1
UPLINK_LEVELS = 5
"""q/2/d/<client id>/<type>; an application's endpoint may follow."""


class Transport(Protocol):
    """What carries messages to modules."""

    def publish(self, client_id: str, topic: str, payload: bytes, qos: int = 1) -> bool: ...  # noqa: D102
    def drop(self, client_id: str) -> None: ...  # noqa: D102


@dataclass(slots=True)
class Session:
    """One connection of a module: what it is, how it logged in, what it reported since."""

    product_key: str
    device: Device | None
    bootstrap: bool = False
    adopted: bool = False
    """Behind a broker, where connections are not seen."""
    refused: int = 0
    session_key: bytes = b""
    reported: commands.Reported = field(default_factory=commands.Reported)
    packet_id: int = 0


class Gateway:
    """Callbacks of the transport, and the rollouts' way to modules. Used from the event loop only."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.transport: Transport | None = None
        self.refused = 0
        self.garbage = 0
        self._sessions: dict[str, Session] = {}
        self._clients: dict[int, str] = {}
        self._products: dict[str, dict[str, Any]] = {}

    # --- connections ---------------------------------------------------------------------------------------------

    def on_connect(self, client_id: str, _username: str | None, password: bytes | None) -> bool | int:
        """A module wants to connect; True, or the return code of CONNACK.

        A refused bootstrap is let in and told why by command 0x00A3, as the platform does; only a wrong device
        secret is refused at once.
        """
        product = self._product_of(client_id)
        session = Session(product["product_key"] if product else "", None)
        try:
            if product is None:
                raise login.Refused(login.PRODUCT_UNKNOWN, "the product is unknown")
            self._log_in(session, product, client_id, password or b"")
        except login.Refused as error:
            session.refused = error.code
            self.refused += 1
        except ProtocolError:
            self.refused += 1
            return mqtt.BAD_CLIENT_ID
        if session.refused == login.DEVICE_SECRET_WRONG:
            return mqtt.BAD_LOGIN
        self._admit(client_id, session)
        return True

    def _log_in(self, session: Session, product: dict[str, Any], client_id: str, password: bytes) -> None:
        """Checks a password; the device is the session's when it is right. Raises login.Refused."""
        key, secret = product["product_key"], product["product_secret"]
        named = login.device_key(client_id, key)
        opened = login.open_password(password, key, secret)
        device = self.cloud.rollouts.device(product["id"], named)
        if isinstance(opened, login.Bootstrap):
            if opened.device_key != named:
                raise login.Refused(login.CLIENT_ID_DIFFERS, "the client id names another device")
            session.device = device or self.cloud.rollouts.create(product["id"], named, secrets.token_hex(16))
            session.bootstrap = True
        elif device is None or not login.verify_login(opened, secret, device.secret):
            raise login.Refused(login.DEVICE_SECRET_WRONG, "the device secret is wrong")
        else:
            session.device = device
        if opened.flag == login.ENCRYPTED:
            session.session_key = _session_key(session.device.secret)

    def _admit(self, client_id: str, session: Session) -> None:
        self._sessions[client_id] = session
        if session.device is not None:
            self._clients[session.device.id] = client_id
            self.cloud.rollouts.connected(session.device)

    def on_subscribe(self, client_id: str, _filters: Sequence[str]) -> None:
        """The module can be reached: it is told its secret, or why it is refused."""
        session = self._sessions.get(client_id)
        if session is None:
            return
        if session.refused:
            notice = commands.ExceptionNotice(session.refused, 0, session.product_key)
            self._publish(client_id, session, commands.EXCEPTION, commands.encode_exception(notice))
        elif session.bootstrap and session.device is not None:
            config = commands.encode_config(commands.Config(session.device.secret, session.session_key))
            self.cloud.journal.then(partial(self._publish, client_id, session, commands.CONFIG, config))

    def on_disconnect(self, client_id: str) -> None:
        """The connection is gone."""
        session = self._sessions.pop(client_id, None)
        if session is not None and session.device is not None:
            self._clients.pop(session.device.id, None)
            self.cloud.rollouts.offline(session.device)

    # --- up ------------------------------------------------------------------------------------------------------

    def on_message(self, client_id: str, topic: str, payload: bytes) -> asyncio.Future[None] | None:
        """What a module published; a future that is done once it is on disk, None when nothing is to be stored."""
        session = self._sessions.get(client_id)
        injector, loop = self.cloud.injector, asyncio.get_running_loop()
        if self.cloud.journal.failing or injector.hits(injector.faults.drop_connection):
            loop.call_soon(self._drop, client_id)
            return loop.create_future()  # never done: not stored, so not acknowledged
        levels = topic.split("/")
        if session is None or session.device is None or len(levels) < UPLINK_LEVELS or levels[3] != client_id:
            return None
        delay = injector.delay_s(loop.time())
        if delay <= 0.0:
            return self._take(client_id, session, payload)
        stored: asyncio.Future[None] = loop.create_future()
        loop.call_later(delay, self._take_late, client_id, session, payload, stored)
        return stored

    def _take_late(self, client_id: str, session: Session, payload: bytes, stored: asyncio.Future[None]) -> None:
        done = self._take(client_id, session, payload)
        if done is None:
            stored.set_result(None)
        else:
            done.add_done_callback(partial(_pass_on, stored))

    def _take(self, client_id: str, session: Session, payload: bytes) -> asyncio.Future[None] | None:
        """Opens the frame and does what it says."""
        try:
            if session.session_key:
                payload = login.decrypt_payload(session.session_key, payload)
            opened = frame.decode(payload)
            self._command(session, opened)
        except ProtocolError:
            self.garbage += 1
            notice = commands.encode_exception(commands.ExceptionNotice(commands.BAD_FORMAT))
            self._publish(client_id, session, commands.EXCEPTION, notice)
            return None
        return self.cloud.journal.committed()

    def _command(self, session: Session, opened: frame.Frame) -> None:
        rollouts, device, reported = self.cloud.rollouts, session.device, session.reported
        assert device is not None
        if opened.command == commands.OTA_STATUS:
            status = ota.decode_status(opened.payload)
            rollouts.status(device, status.status, status.component, status.version)
            return
        if session.adopted and opened.command == commands.INFO_REPORT:
            # Modules send it when they have connected: what they were told before, they may never have got.
            rollouts.offline(device)
            rollouts.connected(device)
        hello = reported.take(opened.command, opened.payload)
        if hello is not None:
            own = hello.versions.pop(reported.firmware, "")
            rollouts.announced(device, own, hello.versions, asks=hello.asks)
        elif opened.command in (commands.STATUS_REPORT, commands.STATUS_REPLY):
            rollouts.condition(device, reported.battery_percent, reported.rsrp_dbm, reported.free_bytes)

    # --- down ----------------------------------------------------------------------------------------------------

    def send(self, device: Device, rollout: Rollout, message: msg.ToModule) -> None:
        """The center's message for a module, if it is connected; faults may lose or double it."""
        client_id = self._clients.get(device.id)
        session = self._sessions.get(client_id) if client_id else None
        injector = self.cloud.injector
        if client_id is None or session is None or injector.hits(injector.faults.lose_message):
            return
        encoded = self._encode(device, rollout, message)
        if encoded is None:
            text = f"{type(message).__name__}: QuecThing has no such command"
            self.cloud.journal.line(rollout.plan_id, device.id, time.time(), text)
            return
        times = 2 if injector.hits(injector.faults.double_message) else 1
        for _ in range(times):
            self._publish(client_id, session, *encoded)

    def _encode(self, device: Device, rollout: Rollout, message: msg.ToModule) -> tuple[int, bytes] | None:
        components = rollout.center.plan.components
        if isinstance(message, msg.Notice):
            return commands.OTA_NOTICE, ota.encode_notice(message, [c.kind for c in components])
        if isinstance(message, msg.FirmwareUrl):
            planned = components[message.component]
            firmware = ota.Firmware.of(
                self._linked(device, rollout, message), planned.component, planned.target_version
            )
            return commands.OTA_URL, ota.encode_url(firmware)
        return None

    def _linked(self, device: Device, rollout: Rollout, message: msg.FirmwareUrl) -> msg.FirmwareUrl:
        """The message with the link, size and checksums of the file that this device is to have."""
        faults, injector, links = self.cloud.injector.faults, self.cloud.injector, self.cloud.links
        file = rollout.file(device, message.component)
        now = time.time() - (links.lifetime_s + 1.0 if injector.hits(faults.expired_url) else 0.0)
        md5 = "f" * 32 if injector.hits(faults.wrong_md5) else file["md5"]
        return replace(
            message, url=links.make(file["id"], file["name"], now), size_bytes=file["size_bytes"], md5=md5,
            crc32=file["crc32"], sha256=file["sha256"],
        )  # fmt: skip

    def _publish(self, client_id: str, session: Session, command: int, payload: bytes) -> None:
        session.packet_id = session.packet_id % frame.MAX_PACKET_ID + 1
        data = frame.encode(session.packet_id, command, payload)
        if session.session_key and command != commands.CONFIG:
            data = login.encrypt_payload(session.session_key, data)
        topic = login.downlink_topic(client_id, commands.topic_kind(command))
        if self.transport is not None:
            self.transport.publish(client_id, topic, data, DOWNLINK_QOS)

    # --- shared --------------------------------------------------------------------------------------------------

    def adopt(self, client_id: str) -> None:
        """A module behind a broker spoke: the broker has let it in, its device is created when it is unknown."""
        product = None if client_id in self._sessions else self._product_of(client_id)
        if product is None:
            return
        try:
            key = login.device_key(client_id, product["product_key"])
        except ProtocolError:
            return
        found = self.cloud.rollouts.device(product["id"], key)
        device = found or self.cloud.rollouts.create(product["id"], key, secrets.token_hex(16))
        self._admit(client_id, Session(product["product_key"], device, adopted=True))

    def _drop(self, client_id: str) -> None:
        if self.transport is not None:
            self.transport.drop(client_id)

    def _product_of(self, client_id: str) -> dict[str, Any] | None:
        """The product whose key a client id begins with; new products are looked up in the store."""
        found = self._known_product(client_id)
        if found is None and client_id.startswith("qd"):
            with self.cloud.database.read() as connection:
                rows = connection.execute(select(products)).mappings().all()
            self._products = {row["product_key"]: dict(row) for row in rows}
            found = self._known_product(client_id)
        return found

    def _known_product(self, client_id: str) -> dict[str, Any] | None:
        fits = [key for key in self._products if client_id.startswith(f"qd{key}")]
        return self._products[max(fits, key=len)] if fits else None


def _pass_on(stored: asyncio.Future[None], _done: object) -> None:
    if not stored.done():
        stored.set_result(None)


def _session_key(secret: str) -> bytes:
    """Sixteen bytes that device and cloud share for encrypted payloads: half of the device's secret."""
    return bytes.fromhex(secret)[:16]
