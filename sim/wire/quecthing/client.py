"""A module's QuecThing session without sockets or clocks: logins, frames, commands; used by every driver of modules.

It sits on an MQTT session that its driver keeps (asyncio, blocking sockets): the driver opens the connection with
`password`, says how it went, hands over what arrives and sends what `publish` is given. What comes is told to `events`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sim.errors import RemoteProtocolError
from sim.messages import FIRMWARE, Hello, Notice, StatusReport
from sim.wire import mqtt
from sim.wire.quecthing import commands, frame, login, ota

CONFIG_TIMEOUT_S = 5.0
"""The SDK's wait for an answer while connecting. A platform that answers bootstraps does so within it; where it did not
once, nobody hands out secrets (a broker without a platform), and no login waits for one again."""
OTA_QOS, REPORT_QOS = 2, 1

_CODES = {
    mqtt.BAD_VERSION: login.VERSION_UNSUPPORTED, mqtt.BAD_CLIENT_ID: login.DEVICE_SECRET_WRONG,
    mqtt.UNAVAILABLE: login.DEVICE_SECRET_WRONG, mqtt.BAD_LOGIN: login.DEVICE_SECRET_WRONG,
    mqtt.NOT_AUTHORIZED: login.DEVICE_SECRET_WRONG,
}  # fmt: skip
"""The SDK's error for each return code of CONNACK."""

Publish = Callable[[bytes, bytes, int], int]
"""Topic, payload, QoS; gives the MQTT packet id."""


@dataclass(frozen=True, slots=True)
class Product:
    """What all modules of a fleet share. `firmware` names the component that is the module's own firmware."""

    key: str
    secret: str = field(repr=False)
    firmware: str = ""


class SecretHandOut:
    """Whether an endpoint answers bootstraps with a secret, as its modules learn it together.

    One that ever answered is believed to, however late others are; one that did not answer is not waited for again.
    """

    __slots__ = ("known",)

    def __init__(self, known: bool | None = None) -> None:
        self.known = known
        """None as long as nobody has asked."""

    @property
    def expected(self) -> bool:
        """Whether a secret is worth waiting for."""
        return self.known is not False

    def answered(self) -> None:
        """A secret came."""
        self.known = True

    def unanswered(self) -> None:
        """A module waited in vain."""
        self.known = bool(self.known)


class Events(Protocol):
    """What a session tells the module that it belongs to."""

    def on_ready(self) -> None:
        """Logged in: the module may say hello."""

    def on_refused(self, code: int) -> None:
        """The platform refuses the login, with its code; the connection is to be cut."""

    def on_notice(self, notice: Notice, kinds: tuple[int, ...]) -> None:
        """A plan is offered; `kinds` says FIRMWARE or MCU for each of its components."""

    def on_url(self, firmware: ota.Firmware) -> None:
        """Where a component's files are."""

    def on_exception(self, code: int) -> None:
        """The platform complains of a message, or of too many."""

    def on_damaged(self, error: RemoteProtocolError) -> None:
        """The cloud sent what is no command; nothing of it was taken."""

    def hello(self) -> Hello:
        """The module's state, when the cloud asks for it."""


class QuecThingClient:
    """One module's session, over as many connections as it takes."""

    __slots__ = ("_device_key", "_events", "_last_frame", "_product", "bootstrapping", "hand_out", "name", "secret")

    def __init__(
        self, product: Product, device_key: str, events: Events, hand_out: SecretHandOut | None = None
    ) -> None:
        """`hand_out` is what all modules at the same endpoint learn of it."""
        self._product, self._device_key, self._events = product, device_key, events
        self.hand_out = SecretHandOut() if hand_out is None else hand_out
        self.name = login.client_id(product.key, device_key)
        self.secret = ""  # the device's, once the cloud gave it
        self.bootstrapping = False
        self._last_frame = 0

    # --- connections -------------------------------------------------------------------------------------------------

    @property
    def subscription(self) -> str:
        """The topic filter to subscribe to."""
        return login.subscription(self.name)

    def password(self, random: str) -> str:
        """The password of a new connection; `random` is 16 characters. Without a secret it asks for one."""
        product = self._product
        self.bootstrapping = not self.secret
        if self.bootstrapping:
            return login.bootstrap_password(product.key, product.secret, self._device_key, random)
        return login.login_password(product.secret, self.secret, random)

    def subscribed(self) -> bool:
        """The connection stands. True when that is all; False when the secret is awaited, for CONFIG_TIMEOUT_S at most.

        Awaited is what the protocol says comes: the answer to a bootstrap, where somebody hands out secrets.
        """
        if self.bootstrapping and not self.secret and self.hand_out.expected:
            return False
        self._ready()
        return True

    def no_secret_came(self) -> None:
        """The wait for the secret is over: the device works without, and nobody else waits either."""
        if self.bootstrapping:
            self.hand_out.unanswered()
            self._ready()

    def _ready(self) -> None:
        self.bootstrapping = False
        self._events.on_ready()

    def failed(self, connack: int | None) -> int:
        """No session came about: the platform's code for a return code of CONNACK, or for no answer at all (None).

        The secret is forgotten when it was refused, and never because a network failed.
        """
        code = login.NETWORK if connack is None else _CODES.get(connack, login.NETWORK)
        self._forget(code)
        return code

    def _forget(self, code: int) -> None:
        self.bootstrapping = False
        if code == login.DEVICE_SECRET_WRONG:
            self.secret = ""

    # --- up ----------------------------------------------------------------------------------------------------------

    def hello_packets(self, hello: Hello) -> tuple[tuple[int, bytes, int], ...]:
        """What a module says when it has connected, as command, payload and QoS: status, information, request."""
        firmware = self._product.firmware
        return (
            (commands.STATUS_REPORT, commands.encode_status_report(hello), REPORT_QOS),
            (commands.INFO_REPORT, commands.encode_info_report(hello.versions, firmware), REPORT_QOS),
            (commands.OTA_REQUEST, ota.encode_request(hello.versions, firmware), OTA_QOS),
        )

    def send_status(self, publish: Publish, report: StatusReport, component: str, kind: int) -> int:
        """Publishes a status (0x0114); its MQTT packet id."""
        return self.send(
            publish, commands.OTA_STATUS, ota.encode_status(ota.Status.of(report, component, kind)), OTA_QOS
        )

    def send(self, publish: Publish, command: int, payload: bytes, qos: int, answers: int = 0) -> int:
        """Publishes one command in a frame of its own; answers repeat the packet id of what they answer."""
        if answers == 0:
            self._last_frame = self._last_frame % frame.MAX_PACKET_ID + 1
        topic = login.uplink_topic(self.name, commands.topic_kind(command)).encode()
        return publish(topic, frame.encode(answers or self._last_frame, command, payload), qos)

    # --- down --------------------------------------------------------------------------------------------------------

    def received(self, payload: bytes, publish: Publish) -> None:
        """A message of the cloud: told to `events`, or answered by itself."""
        try:
            opened = frame.decode(payload)
            tell = self._opened(opened, publish)
        except RemoteProtocolError as error:
            self._events.on_damaged(error)
            return
        tell()

    def _opened(self, opened: frame.Frame, publish: Publish) -> Callable[[], None]:
        """What is to be done about a command, read to its end first."""
        command, payload, events = opened.command, opened.payload, self._events
        if command == commands.OTA_NOTICE:
            notice, kinds = ota.decode_notice(payload)
            return lambda: events.on_notice(notice, kinds)
        if command == commands.OTA_URL:
            firmware = ota.decode_url(payload)
            return lambda: events.on_url(firmware)
        if command == commands.CONFIG:
            secret = commands.decode_config(payload).device_secret
            return lambda: self._configured(secret)
        if command == commands.EXCEPTION:
            code = commands.decode_exception(payload).code
            return lambda: self._exception(code)
        if command in (commands.STATUS_GET, commands.INFO_GET):
            return lambda: self._asked(opened, publish)
        return lambda: None

    def _configured(self, secret: str) -> None:
        self.secret = secret
        self.hand_out.answered()
        if self.bootstrapping:
            self._ready()

    def _exception(self, code: int) -> None:
        if not self.bootstrapping:
            self._events.on_exception(code)
            return
        self._forget(code)
        self._events.on_refused(code)

    def _asked(self, opened: frame.Frame, publish: Publish) -> None:
        hello = self._events.hello()
        if opened.command == commands.STATUS_GET:
            command, payload = commands.STATUS_REPLY, commands.encode_status_report(hello)
        else:
            command, payload = commands.INFO_REPLY, commands.encode_info_report(hello.versions, self._product.firmware)
        self.send(publish, command, payload, REPORT_QOS, opened.packet_id)


def kind_of(kinds: Sequence[int], component: int) -> int:
    """FIRMWARE or MCU of a component of the plan that was offered last."""
    return kinds[component] if component < len(kinds) else FIRMWARE
