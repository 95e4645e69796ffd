"""MQTT sessions without sockets or clocks: packet ids, acknowledgements, resends, keep-alive, for both ends.

A session writes through the `write` it is given, tells its owner what happens through methods, and names the moment
it wants `wake` in `deadline`. Resend rules are the QuecThing SDK's: 2 s for an acknowledgement, 3 sends; for QoS 2
each half of the exchange has them. Sessions are clean: nothing outlives the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Generic, Protocol, TypeVar

from sim.errors import LocalProtocolError, RemoteProtocolError
from sim.wire import mqtt

ACK_TIMEOUT_S = 2.0
SENDS = 3
ANSWER_TIMEOUT_S = 5.0
"""CONNACK and SUBACK have to come within this time."""
MAX_INCOMING = 1024
"""QoS 2 messages a peer may leave half-done; more is a ProtocolError."""
MAX_UNACKNOWLEDGED = 256
"""Messages on their way to a peer that acknowledges none; the next one is a LocalProtocolError."""
MAX_SUBSCRIPTIONS = 8
SILENCE_WITHOUT_KEEPALIVE_S = 3600.0
"""A client that asked for no keep-alive counts as gone after this long."""
_MAX_ID = 0xFFFF

Write = Callable[[bytes], object]


class Owner(Protocol):
    """What both ends tell about messages."""

    def on_message(self, topic: str, payload: bytes, qos: int, packet_id: int) -> bool:
        """A message arrived. False holds its acknowledgement back until `session.acknowledge(qos, packet_id)`."""

    def on_acknowledged(self, packet_id: int) -> None:
        """The peer has the message of QoS 1 or 2 with this id."""

    def on_unacknowledged(self, packet_id: int) -> None:
        """The peer did not answer the third send; the session goes on without the message."""


class _Pending:
    """One message out of our hands and not yet acknowledged."""

    __slots__ = ("awaited", "due", "packet", "sends")

    def __init__(self, packet: bytes, awaited: int, due: float) -> None:
        self.packet = packet
        self.awaited = awaited
        self.due = due
        self.sends = 1


OwnerT = TypeVar("OwnerT", bound=Owner)


class _Exchange(Generic[OwnerT]):
    """Both directions of QoS 0, 1 and 2 over one connection."""

    __slots__ = ("_incoming", "_last_id", "_owner", "_parser", "_pending", "_write", "now")

    def __init__(self, owner: OwnerT, write: Write, max_packet_bytes: int) -> None:
        self._owner = owner
        self._write = write
        self._parser = mqtt.Parser(max_packet_bytes)
        self.now = 0.0
        self._last_id = 0
        self._pending: dict[int, _Pending] | None = None
        self._incoming: dict[int, bool] | None = None  # id of QoS 2 -> acknowledged

    @property
    def in_flight(self) -> int:
        """Messages sent and not acknowledged."""
        return len(self._pending) if self._pending else 0

    @property
    def retry_at(self) -> float:
        """When the oldest unacknowledged message is sent again, or inf."""
        if not self._pending:
            return inf
        return next(iter(self._pending.values())).due

    def publish(self, topic: bytes, payload: bytes, qos: int, now: float) -> int:
        """Sends a message and returns its packet id (0 for QoS 0); LocalProtocolError when too many are unanswered."""
        if qos == 0:
            self._write(mqtt.publish(topic, payload))
            return 0
        pending = self._pending
        if pending is None:
            pending = self._pending = {}
        packet_id = self._next_id(pending)
        packet = mqtt.publish(topic, payload, qos, packet_id)
        pending[packet_id] = _Pending(packet, mqtt.PUBACK if qos == 1 else mqtt.PUBREC, now + ACK_TIMEOUT_S)
        self._write(packet)
        return packet_id

    def _next_id(self, pending: dict[int, _Pending]) -> int:
        if len(pending) >= MAX_UNACKNOWLEDGED:
            raise LocalProtocolError(f"{MAX_UNACKNOWLEDGED} messages are on their way and not one is acknowledged")
        packet_id = self._last_id
        while True:
            packet_id = packet_id % _MAX_ID + 1
            if packet_id not in pending:
                self._last_id = packet_id
                return packet_id

    def acknowledge(self, qos: int, packet_id: int) -> None:
        """Answers a message whose acknowledgement was held back."""
        if qos == 2 and self._incoming and packet_id in self._incoming:
            self._incoming[packet_id] = True
        if qos:
            self._write(mqtt.ack(mqtt.PUBACK if qos == 1 else mqtt.PUBREC, packet_id))

    def resend(self, now: float) -> None:
        """Sends again what is due; gives up what was sent often enough."""
        pending = self._pending
        while pending:
            packet_id, message = next(iter(pending.items()))
            if message.due > now:
                return
            del pending[packet_id]
            if message.sends >= SENDS:
                self._owner.on_unacknowledged(packet_id)
                continue
            message.sends += 1
            message.due = now + ACK_TIMEOUT_S
            pending[packet_id] = message  # to the end: the dict stays in order of `due`
            first = message.packet[0]
            self._write(bytes((first | 8,)) + message.packet[1:] if first >> 4 == mqtt.PUBLISH else message.packet)

    def _message(self, packet_id: int, topic: str, payload: bytes, flags: int) -> None:
        qos = flags >> 1 & 3
        if qos == 2:
            incoming = self._incoming
            if incoming is None:
                incoming = self._incoming = {}
            if packet_id in incoming:  # a repetition: delivered already
                if incoming[packet_id]:
                    self._write(mqtt.ack(mqtt.PUBREC, packet_id))
                return
            if len(incoming) >= MAX_INCOMING:
                raise RemoteProtocolError(f"more than {MAX_INCOMING} messages of QoS 2 are unfinished")
            incoming[packet_id] = False
        if self._owner.on_message(topic, payload, qos, packet_id):
            self.acknowledge(qos, packet_id)

    def _answer(self, kind: int, packet_id: int) -> None:
        """PUBACK, PUBREC, PUBREL or PUBCOMP."""
        if kind == mqtt.PUBREL:
            if self._incoming:
                self._incoming.pop(packet_id, None)
            self._write(mqtt.ack(mqtt.PUBCOMP, packet_id))
            return
        message = self._pending.get(packet_id) if self._pending else None
        if message is None or message.awaited != kind:
            if kind == mqtt.PUBREC:  # the peer repeats itself: let it finish
                self._write(mqtt.ack(mqtt.PUBREL, packet_id))
            return
        assert self._pending is not None
        del self._pending[packet_id]
        if kind != mqtt.PUBREC:
            self._owner.on_acknowledged(packet_id)
            return
        release = mqtt.ack(mqtt.PUBREL, packet_id)
        self._pending[packet_id] = _Pending(release, mqtt.PUBCOMP, self.now + ACK_TIMEOUT_S)
        self._write(release)


# --- client ----------------------------------------------------------------------------------------------------------


class ClientOwner(Owner, Protocol):
    """What a client's session tells."""

    def on_connack(self, code: int) -> None:
        """The server answered CONNECT."""

    def on_suback(self, codes: bytes) -> None:
        """The server answered SUBSCRIBE."""

    def on_silence(self, what: str) -> None:
        """No answer to CONNECT, SUBSCRIBE or three PINGREQs in time: drop the connection."""


PING_TRIES = 3
PING_TIMEOUT_S = 5.0
PING_MARGIN_S = 20.0
MIN_KEEPALIVE_S = 21
CONNECT_SILENCE, PING_SILENCE = "CONNACK or SUBACK", "PINGRESP"
_SUBSCRIBE_ID = 1


class ClientSession(_Exchange[ClientOwner]):
    """A module's end: CONNECT with SUBSCRIBE right behind it, messages, PINGREQ by the SDK's timing."""

    __slots__ = ("_pings", "keepalive_s", "ping_at")

    def __init__(
        self, owner: ClientOwner, write: Write, *, keepalive_s: int = 120, max_packet_bytes: int = mqtt.MAX_PACKET_BYTES
    ) -> None:
        super().__init__(owner, write, max_packet_bytes)
        self.keepalive_s = max(keepalive_s, MIN_KEEPALIVE_S)
        self.ping_at = inf
        self._pings = -1  # waiting for CONNACK and SUBACK

    @property
    def deadline(self) -> float:
        """When `wake` is wanted next, or inf."""
        return min(self.ping_at, self.retry_at)

    def connect(
        self, client_id: str, subscription: tuple[str, int], now: float, *,
        username: str | None = None, password: bytes | None = None,
    ) -> None:  # fmt: skip
        """Opens the session; a TCP connection is there already."""
        self._last_id = _SUBSCRIBE_ID
        self.ping_at = now + ANSWER_TIMEOUT_S
        hello = mqtt.connect(client_id, self.keepalive_s, username=username, password=password)
        self._write(hello + mqtt.subscribe(_SUBSCRIBE_ID, [subscription]))

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the server; ProtocolError when they are no MQTT, or not for a client."""
        self.now = now
        self._parser.feed(data, self._handle)

    def wake(self, now: float) -> None:
        """Resends and pings that are due."""
        self.now = now
        if self._pending:
            self.resend(now)
        if self.ping_at > now:
            return
        if self._pings < 0 or self._pings >= PING_TRIES:
            self.ping_at = inf
            self._owner.on_silence(CONNECT_SILENCE if self._pings < 0 else PING_SILENCE)
            return
        self._pings += 1
        self.ping_at = now + PING_TIMEOUT_S
        self._write(mqtt.PINGREQ_PACKET)

    def close(self) -> None:
        """Says DISCONNECT."""
        self.ping_at = inf
        self._write(mqtt.DISCONNECT_PACKET)

    def _handle(self, kind: int, packet_id: int, topic: str, payload: bytes, flags: int) -> None:
        if kind == mqtt.PUBLISH:
            self._message(packet_id, topic, payload, flags)
        elif mqtt.PUBACK <= kind <= mqtt.PUBCOMP:
            self._answer(kind, packet_id)
        elif kind == mqtt.PINGRESP:
            self._pings = 0
            self.ping_at = self.now + self.keepalive_s - PING_MARGIN_S
        elif kind == mqtt.CONNACK:
            self._owner.on_connack(packet_id)
        elif kind == mqtt.SUBACK:
            self._pings = 0
            self.ping_at = self.now + (self.keepalive_s - PING_MARGIN_S) / 2
            self._owner.on_suback(payload)
        elif kind != mqtt.UNSUBACK:
            raise RemoteProtocolError(f"packet type {kind} is not for a client")


# --- server ----------------------------------------------------------------------------------------------------------


class ServerOwner(Owner, Protocol):
    """What a server's session tells and asks."""

    def on_connect(self, request: mqtt.Connect) -> int:
        """A client wants in: the return code of CONNACK."""

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether the client may have what a topic filter covers."""

    def on_subscribe(self, filters: Sequence[str]) -> None:
        """The client subscribed; SUBACK is written."""

    def on_end(self, why: str) -> None:
        """The session is over: drop the connection. "" for a client that took its leave."""


class ServerSession(_Exchange[ServerOwner]):
    """The cloud's end of one connection."""

    __slots__ = ("_ended", "_silence_s", "connected", "heard_at", "subscriptions")

    def __init__(
        self, owner: ServerOwner, write: Write, now: float, max_packet_bytes: int = mqtt.MAX_PACKET_BYTES
    ) -> None:
        super().__init__(owner, write, max_packet_bytes)
        self.connected = False
        self._ended = False  # what follows in the stream does not count
        self.heard_at = now
        self._silence_s = ANSWER_TIMEOUT_S  # a client has to say CONNECT soon
        self.subscriptions: dict[str, int] | None = None

    @property
    def silent_at(self) -> float:
        """When the client counts as gone: one and a half keep-alives after its last whole packet.

        Before CONNECT a few seconds after the connection was made, however many bytes dribble in.
        """
        return self.heard_at + self._silence_s

    @property
    def deadline(self) -> float:
        """When `wake` is wanted next, or inf."""
        return min(self.silent_at, self.retry_at)

    def receive(self, data: bytes, now: float) -> None:
        """Bytes from the client; ProtocolError when they are no MQTT, or not for a server."""
        self.now = now
        self._parser.feed(data, self._handle)

    def wake(self, now: float) -> None:
        """Resends that are due, and the end of a client that fell silent."""
        self.now = now
        if self._pending:
            self.resend(now)
        if self.silent_at <= now:
            self._end("keep-alive" if self.connected else "no CONNECT")

    def _end(self, why: str) -> None:
        self._ended, self._silence_s = True, inf
        self._owner.on_end(why)

    def granted_qos(self, topic: str) -> int:
        """The highest QoS a subscription of the client grants for a topic, -1 when none covers it."""
        granted = -1
        for name, qos in (self.subscriptions or {}).items():
            if qos > granted and mqtt.matches(name, topic):
                granted = qos
        return granted

    def _handle(self, kind: int, packet_id: int, topic: str, payload: bytes, flags: int) -> None:
        if self._ended:
            return
        self.heard_at = self.now
        if not self.connected:
            self._first(kind, payload)
        elif kind == mqtt.PUBLISH:
            self._message(packet_id, topic, payload, flags)
        elif mqtt.PUBACK <= kind <= mqtt.PUBCOMP:
            self._answer(kind, packet_id)
        elif kind == mqtt.PINGREQ:
            self._write(mqtt.PINGRESP_PACKET)
        elif kind == mqtt.SUBSCRIBE:
            self._subscribe(packet_id, payload)
        elif kind == mqtt.UNSUBSCRIBE:
            for name in mqtt.parse_unsubscribe(payload):
                (self.subscriptions or {}).pop(name, None)
            self._write(mqtt.ack(mqtt.UNSUBACK, packet_id))
        elif kind == mqtt.DISCONNECT:
            self._end("")
        else:
            raise RemoteProtocolError(f"packet type {kind} is not for a server")

    def _first(self, kind: int, body: bytes) -> None:
        if kind != mqtt.CONNECT:
            raise RemoteProtocolError("the first packet is CONNECT")
        request = mqtt.parse_connect(body)
        code = mqtt.BAD_VERSION if request.level != 4 else self._owner.on_connect(request)
        self._write(mqtt.connack(code))
        if code != mqtt.ACCEPTED:
            self._end(f"CONNACK {code}")
            return
        self.connected = True
        self._silence_s = 1.5 * request.keepalive_s or SILENCE_WITHOUT_KEEPALIVE_S

    def _subscribe(self, packet_id: int, body: bytes) -> None:
        filters = mqtt.parse_subscribe(body)
        if self.subscriptions is None:
            self.subscriptions = {}
        codes = bytearray()
        granted = []
        for name, qos in filters:
            room = name in self.subscriptions or len(self.subscriptions) < MAX_SUBSCRIPTIONS
            if room and self._owner.may_subscribe(name):
                self.subscriptions[name] = qos
                granted.append(name)
                codes.append(qos)
            else:
                codes.append(mqtt.SUBSCRIPTION_FAILED)
        self._write(mqtt.suback(packet_id, bytes(codes)))
        self._owner.on_subscribe(granted)
