"""Between the wire and the rollouts: logins, frames in, frames out. Knows QuecThing's commands; decides nothing.

A transport (the MQTT endpoint, or a broker's client) hands over what modules publish and sends what the cloud answers.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from sim import messages as msg
from sim.errors import ProtocolError, RemoteProtocolError
from sim.service.activated_plan import Rollout
from sim.service.cloud import Cloud
from sim.service.endpoint import Stranger
from sim.service.known_device import DELIVERED, Device
from sim.wire import mqtt
from sim.wire.quecthing import commands, frame, login, ota

DOWNLINK_QOS = 1
KINDS = ("sys", "bus", "ota")
MAX_ENDPOINT_CHARS = 64
MAX_STRIKES = 32
"""Messages in a row that are no QuecThing before a module's connection is cut."""
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Abusive(RemoteProtocolError):
    """A module that sends nothing but what is no command: its connection ends."""


class Transport(Protocol):
    """What carries messages to modules."""

    def publish(self, client_id: str, topic: str, payload: bytes, qos: int = 1) -> bool: ...  # noqa: D102
    def drop(self, client_id: str) -> None: ...  # noqa: D102


@dataclass(slots=True)
class Session:
    """One connection of a module: what it is, how it logged in, what it reported since."""

    device: Device
    bootstrap: bool = False
    adopted: bool = False
    """Behind a broker, where connections are not seen."""
    repeated: bool = False
    """The message being taken was marked by the broker as sent before."""
    delivery: int = 0
    """The broker's packet id of the message being taken; a repetition keeps it."""
    session_key: bytes = b""
    reported: commands.Reported = field(default_factory=commands.Reported)
    packet_id: int = 0
    strikes: int = 0


class Gateway:
    """Callbacks of the transport, and the rollouts' way to modules. Used from the event loop only."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.transport: Transport | None = None
        self.refused = 0
        self.garbage = 0
        self.repeated = 0
        self._sessions: dict[str, Session] = {}
        self._clients: dict[int, str] = {}

    # --- connections ---------------------------------------------------------------------------------------------

    def on_connect(self, client_id: str, _username: str | None, password: bytes | None) -> bool | int | Stranger:
        """A module wants to connect; True once it has proved who it is, else what it is told.

        A refused bootstrap is let in under no name and told why by command 0x00A3, as the platform does; a wrong device
        secret is refused at once. Nothing is known under the device's id before its password is right.
        """
        if not _CLIENT_ID.fullmatch(client_id):
            self.refused += 1
            return mqtt.BAD_CLIENT_ID
        given = password or b""
        named = login.named_product(given)
        try:
            session = self._log_in(client_id, given) if named is None else self._bootstrap(client_id, given, named)
        except login.Refused as error:
            self.refused += 1
            if error.code == login.DEVICE_SECRET_WRONG:
                return mqtt.BAD_LOGIN
            notice = commands.encode_exception(commands.ExceptionNotice(error.code))
            return Stranger(login.downlink_topic(client_id, "sys"), frame.encode(1, commands.EXCEPTION, notice))
        self._admit(client_id, session)
        return True

    def _bootstrap(self, client_id: str, password: bytes, product_key: str) -> Session:
        """A device that asks for its secret, signed with its product's. Raises login.Refused."""
        product = self.cloud.products.named(product_key)
        if product is None:
            raise login.Refused(login.PRODUCT_UNKNOWN, "the product is unknown")
        opened = login.open_password(password, product_key, product["product_secret"])
        assert isinstance(opened, login.Bootstrap)
        if client_id != login.client_id(product_key, opened.device_key):
            raise login.Refused(login.CLIENT_ID_DIFFERS, "the client id names another device")
        rollouts = self.cloud.rollouts
        device = rollouts.device(product["id"], opened.device_key)
        if device is None:
            device = rollouts.create(product["id"], opened.device_key, secrets.token_hex(16))
        elif device.authenticated:
            raise login.Refused(login.ALREADY_AUTHENTICATED, "the device has its secret already")
        return Session(device, bootstrap=True, session_key=_session_key(device.secret, opened.flag))

    def _log_in(self, client_id: str, password: bytes) -> Session:
        """A device that signs with its secret: of the products its id may belong to, that whose device it proves to be."""
        for product, key in self.cloud.products.fitting(client_id):
            opened = login.open_password(password, product["product_key"], product["product_secret"])
            device = self.cloud.rollouts.device(product["id"], key)
            if device is None or not isinstance(opened, login.Login):
                continue
            if login.verify_login(opened, product["product_secret"], device.secret):
                device.authenticated = True
                return Session(device, session_key=_session_key(device.secret, opened.flag))
        login.open_password(password, "", "")  # what breaks the format has a code of its own
        raise login.Refused(login.DEVICE_SECRET_WRONG, "the device secret is wrong")

    def _admit(self, client_id: str, session: Session) -> None:
        """The device is here; an older connection of it is gone, and what it was told there is told again."""
        device, rollouts = session.device, self.cloud.rollouts
        before = self._sessions.get(client_id)
        if (
            before is not None and before.device is not device
        ):  # of another product, whose key and device key add up alike
            self._clients.pop(before.device.id, None)
            rollouts.offline(before.device)
        if self._clients.get(device.id) is not None:
            rollouts.offline(device)
            device.reoffer = True
        self._sessions[client_id] = session
        self._clients[device.id] = client_id
        rollouts.connected(device)

    def may_subscribe(self, client_id: str, topic_filter: str) -> bool:
        """A module's own downlink: all kinds at once, as the SDK has it, or one."""
        own = (login.subscription(client_id), *(login.downlink_topic(client_id, kind) for kind in KINDS))
        return topic_filter in own

    def on_subscribe(self, client_id: str, filters: Sequence[str]) -> None:
        """The module can be reached: after a bootstrap it is told its secret."""
        session = self._sessions.get(client_id)
        if session is not None and session.bootstrap and filters:
            config = commands.encode_config(commands.Config(session.device.secret, session.session_key))
            self.cloud.journal.then(partial(self._publish, client_id, session, commands.CONFIG, config))

    def on_disconnect(self, client_id: str) -> None:
        """The connection is gone."""
        session = self._sessions.pop(client_id, None)
        if session is not None:
            self._clients.pop(session.device.id, None)
            self.cloud.rollouts.offline(session.device)

    # --- up ------------------------------------------------------------------------------------------------------

    def on_message(self, client_id: str, topic: str, payload: bytes) -> asyncio.Future[None] | None:
        """What a module published; a future that is done once it is on disk, None when nothing is to be stored.

        Raises Abusive when the transport has to end the connection.
        """
        session = self._sessions.get(client_id)
        injector, loop = self.cloud.injector, asyncio.get_running_loop()
        if session is None:
            return None
        if self.cloud.journal.failing or injector.hits(injector.faults.drop_connection):
            loop.call_soon(self._drop, client_id)
            return loop.create_future()  # never done: not stored, so not acknowledged
        kind = uplink_kind(client_id, topic)
        if kind is None:
            self._strike(session)
            return None
        delay = injector.delay_s(loop.time())
        if delay <= 0.0:
            return self._take(client_id, session, kind, payload)
        stored: asyncio.Future[None] = loop.create_future()
        delivery = session.repeated, session.delivery
        loop.call_later(delay, self._take_late, client_id, session, delivery, kind, payload, stored)
        return stored

    def _take_late(
        self, client_id: str, session: Session, delivery: tuple[bool, int], kind: str, payload: bytes,
        stored: asyncio.Future[None],
    ) -> None:  # fmt: skip
        """Takes a message whose turn came later, unless its connection has gone meanwhile.

        Behind a broker there is none to go: a message that were never acknowledged would hold one of the broker's places.
        """
        if session.adopted and self.adopt(client_id, *delivery):
            session = self._sessions[client_id]
        if self._sessions.get(client_id) is not session:
            return
        try:
            done = self._take(client_id, session, kind, payload)
        except Abusive:
            self._drop(client_id)
            done = None
        except Exception as error:
            self.cloud.trouble.report("a module's message", error)
            self._drop(client_id)
            if not session.adopted:
                return
            done = None
        if done is None:
            stored.set_result(None)
        else:
            done.add_done_callback(partial(_pass_on, stored))

    def _take(self, client_id: str, session: Session, kind: str, payload: bytes) -> asyncio.Future[None] | None:
        """Opens the frame and does what it says."""
        try:
            if session.session_key:
                payload = login.decrypt_payload(session.session_key, payload)
            opened = frame.decode(payload)
            known = opened.command in commands.UPLINK
            wrong = 0 if known else commands.BAD_COMMAND
            if known and commands.topic_kind(opened.command) != kind:
                wrong = commands.BAD_PROTOCOL
            if not wrong:
                self._command(session, opened)
        except ProtocolError:
            wrong = commands.BAD_FORMAT
        if wrong:
            self._refuse(client_id, session, wrong)
            return None
        session.strikes = 0
        return self.cloud.journal.committed()

    def _refuse(self, client_id: str, session: Session, code: int) -> None:
        """Tells the module that it sent no command; one that goes on so is cut off."""
        self._publish(client_id, session, commands.EXCEPTION, commands.encode_exception(commands.ExceptionNotice(code)))
        self._strike(session)

    def _strike(self, session: Session) -> None:
        """Counts a message that is no command. Raises Abusive: what else the module has sent is not looked at."""
        self.garbage += 1
        session.strikes += 1
        if session.strikes > MAX_STRIKES:
            raise Abusive(f"{session.strikes} messages in a row that are no command")

    def _command(self, session: Session, opened: frame.Frame) -> None:
        rollouts, device, reported = self.cloud.rollouts, session.device, session.reported
        if session.adopted and self._seen(session, opened):
            return
        if opened.command == commands.OTA_STATUS:
            status = ota.decode_status(opened.payload)
            rollouts.status(device, status.status, status.component, status.version)
            return
        hello = reported.take(opened.command, opened.payload)
        if session.adopted and opened.command == commands.INFO_REPORT:
            # Modules send it when they have connected: what they were told before, they may never have got.
            rollouts.offline(device)
            rollouts.connected(device)
        if hello is not None:
            own = hello.versions.pop(reported.firmware, "")
            rollouts.announced(device, own, hello.versions, asks=hello.asks)
        elif opened.command in (commands.STATUS_REPORT, commands.STATUS_REPLY):
            rollouts.condition(device, reported.battery_percent, reported.rsrp_dbm, reported.free_bytes)

    def _seen(self, session: Session, opened: frame.Frame) -> bool:
        """Whether a message came before.

        A broker that delivers at least once repeats it, marked, under the packet id it gave it first. A module repeats a
        report under the identity it has in its session, which 0x0044 opens: there packet ids start over.
        """
        known = session.device.identities
        identity = f"{opened.packet_id:x}.{opened.command:x}.{zlib.crc32(opened.payload):x}"
        delivered = f"{DELIVERED}{session.delivery:x}.{identity}"
        again = session.repeated and delivered in known
        if opened.command == commands.INFO_REPORT and not again:
            earlier = [delivery for delivery in known if delivery.startswith(DELIVERED)]
            known.clear()
            known.extend(earlier)
        seen = again or (opened.command == commands.OTA_STATUS and identity in known)
        if seen:
            self.repeated += 1
        else:
            known.append(identity)
        if not again:
            known.append(delivered)
        return seen

    # --- down ----------------------------------------------------------------------------------------------------

    def send(self, device: Device, rollout: Rollout, message: msg.ToModule) -> None:
        """The center's message for a module, if it is connected; faults may lose or double it."""
        client_id = self._clients.get(device.id)
        session = self._sessions.get(client_id) if client_id else None
        injector = self.cloud.injector
        if client_id is None or session is None or injector.hits(injector.faults.lose_message):
            return
        try:
            encoded = self._encode(device, rollout, message)
        except ProtocolError as error:
            self._not_sent(device, rollout, f"{type(message).__name__} cannot be sent: {error}")
            return
        if encoded is None:
            self._not_sent(device, rollout, f"{type(message).__name__}: QuecThing has no such command")
            return
        times = 2 if injector.hits(injector.faults.double_message) else 1
        for _ in range(times):
            self._publish(client_id, session, *encoded)

    def _not_sent(self, device: Device, rollout: Rollout, text: str) -> None:
        self.cloud.journal.line(rollout.plan_id, device.id, self.cloud.rollouts.clock(), text)

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
        now = self.cloud.rollouts.clock() - (links.lifetime_s + 1.0 if injector.hits(faults.expired_url) else 0.0)
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

    def adopt(self, client_id: str, repeated: bool = False, delivery: int = 0) -> bool:
        """A module behind a broker spoke: the broker has let it in, its device is created when it is unknown.

        False when its id fits no product, or several and none of them knows the device. `repeated`: the broker marks
        the message as sent before; `delivery` is its packet id of it.
        """
        if (session := self._sessions.get(client_id)) is not None:
            session.repeated, session.delivery = repeated, delivery
            return True
        fitting = self.cloud.products.fitting(client_id) if _CLIENT_ID.fullmatch(client_id) else []
        rollouts = self.cloud.rollouts
        known = [device for row, key in fitting if (device := rollouts.device(row["id"], key)) is not None]
        if len(known) == 1:
            device = known[0]
        elif len(fitting) == 1:
            device = rollouts.create(fitting[0][0]["id"], fitting[0][1], secrets.token_hex(16))
        else:
            self.refused += 1
            return False
        self._admit(client_id, Session(device, adopted=True, repeated=repeated, delivery=delivery))
        return True

    def resume(self) -> list[str]:
        """Behind a broker, after a restart: who was there has its connection still, and is told again what it was told last.

        Gives their client ids. A module that waits for its URL says nothing until it has it.
        """
        resumed, rollouts = [], self.cloud.rollouts
        for device in rollouts.were_online:
            client_id = self.cloud.products.client_id(device.product_id, device.key)
            try:
                self._admit(client_id, Session(device, adopted=True))
                rollouts.announced(device, "", {}, asks=True)
            except Exception as error:  # one device must not keep the cloud from its broker
                self.cloud.trouble.report("a module that was there before", error)
            resumed.append(client_id)
        return resumed

    def drop_device(self, device_id: int) -> None:
        """The store refused what this device said: its connection ends before anything is acknowledged."""
        client_id = self._clients.get(device_id)
        if client_id is not None:
            self._drop(client_id)

    def _drop(self, client_id: str) -> None:
        if self.transport is not None:
            self.transport.drop(client_id)


def uplink_kind(client_id: str, topic: str) -> str | None:
    """The kind of a topic on which this client may publish, `q/2/d/<client id>/<kind>[/<endpoint>]`; else None."""
    levels = topic.split("/")
    if levels[:4] != ["q", "2", "d", client_id] or len(levels) not in (5, 6) or levels[4] not in KINDS:
        return None
    return levels[4] if len(levels) == 5 or 0 < len(levels[5]) <= MAX_ENDPOINT_CHARS else None


def _pass_on(stored: asyncio.Future[None], _done: object) -> None:
    if not stored.done():
        stored.set_result(None)


def _session_key(secret: str, flag: str) -> bytes:
    """Sixteen bytes that device and cloud share for encrypted payloads: half of the device's secret; none without."""
    return bytes.fromhex(secret)[:16] if flag == login.ENCRYPTED else b""
