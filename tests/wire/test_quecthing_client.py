"""The sans-IO session of a module: logins, what arrives, what is sent, and who is to blame when it is wrong."""

from __future__ import annotations

import pytest

from sim import messages as msg
from sim.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from sim.wire import mqtt
from sim.wire.quecthing import commands, frame, login, ota
from sim.wire.quecthing.client import Product, QuecThingClient, kind_of

PRODUCT = Product("p1A", "secretsecretAAAA", "fw")
RANDOM = "0123456789abcdef"


class Module:
    """Events that are remembered, and what was published."""

    def __init__(self):
        self.told, self.sent = [], []
        self.client = QuecThingClient(PRODUCT, "device01", self)

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *given: self.told.append((name, *given))

    def hello(self):
        return msg.Hello(80.0, -90.0, 1000, {"fw": "1.0.0", "mcu": "2"})

    def publish(self, topic, payload, qos):
        self.sent.append((topic.decode(), frame.decode(payload), qos))
        return len(self.sent)

    def receive(self, command, payload=b"", packet_id=1):
        self.client.received(frame.encode(packet_id, command, payload), self.publish)


@pytest.fixture
def module():
    return Module()


def test_a_bootstrap_waits_for_its_secret_and_then_logs_in_with_it(module):
    client = module.client
    opened = login.open_password(client.password(RANDOM).encode(), PRODUCT.key, PRODUCT.secret)
    assert isinstance(opened, login.Bootstrap) and opened.device_key == "device01"
    assert not client.subscribed() and module.told == []
    module.receive(commands.CONFIG, commands.encode_config(commands.Config("s" * 32)))
    assert module.told == [("on_ready",)] and not client.bootstrapping
    opened = login.open_password(client.password(RANDOM).encode(), PRODUCT.key, PRODUCT.secret)
    assert login.verify_login(opened, PRODUCT.secret, "s" * 32)
    assert client.subscribed() and module.told == [("on_ready",)] * 2


def test_without_a_secret_in_time_it_works_and_asks_again_next_time(module):
    module.client.password(RANDOM)
    assert not module.client.subscribed()
    module.client.no_secret_came()
    assert module.told == [("on_ready",)]
    module.client.no_secret_came()  # too late to matter
    assert module.told == [("on_ready",)]
    assert module.client.password(RANDOM).startswith("0;")


@pytest.mark.parametrize(
    ("connack", "code", "kept"),
    [(None, login.NETWORK, True), (mqtt.BAD_VERSION, login.VERSION_UNSUPPORTED, True), (mqtt.BAD_LOGIN, login.DEVICE_SECRET_WRONG, False),
     (mqtt.UNAVAILABLE, login.DEVICE_SECRET_WRONG, False), (77, login.NETWORK, True)],
)  # fmt: skip
def test_a_secret_is_forgotten_only_when_it_was_refused(module, connack, code, kept):
    """A network that fails while connecting took the secret from one of two copies of this."""
    module.client.secret = "s" * 32
    module.client.password(RANDOM)
    assert module.client.failed(connack) == code
    assert bool(module.client.secret) is kept


def test_a_refused_bootstrap_is_no_exception_and_an_exception_no_refusal(module):
    module.client.password(RANDOM)
    module.receive(commands.EXCEPTION, commands.encode_exception(commands.ExceptionNotice(10422)))
    module.receive(commands.EXCEPTION, commands.encode_exception(commands.ExceptionNotice(10428)))
    assert module.told == [("on_refused", 10422), ("on_exception", 10428)]


def test_questions_are_answered_under_their_packet_id(module):
    module.receive(commands.STATUS_GET, packet_id=900)
    module.receive(commands.INFO_GET, packet_id=901)
    assert [(topic, sent.packet_id, sent.command, qos) for topic, sent, qos in module.sent] == [
        ("q/2/d/qdp1Adevice01/sys", 900, commands.STATUS_REPLY, 1), ("q/2/d/qdp1Adevice01/sys", 901, commands.INFO_REPLY, 1),
    ]  # fmt: skip


def test_frames_are_numbered_and_go_around(module):
    for packet in module.client.hello_packets(module.hello()):
        module.client.send(module.publish, *packet)
    assert [(sent.packet_id, sent.command, qos) for _, sent, qos in module.sent] == [
        (1, 0x34, 1),
        (2, 0x44, 1),
        (3, 0x115, 2),
    ]
    module.client._last_frame = frame.MAX_PACKET_ID
    module.client.send_status(module.publish, msg.StatusReport(msg.SUBMITTED, 0), "fw", msg.FIRMWARE)
    assert module.sent[-1][1].packet_id == 1 and ota.decode_status(module.sent[-1][1].payload).status == msg.SUBMITTED


def test_damage_is_told_and_takes_nothing_along(module):
    part = (4, "fw"), (6, "2"), (7, 0)
    for payload in (
        b"\xff",
        b"",
        *(commands.ttlv.encode([*part, (9, value)]) for value in (2**63, 2**64 - 1, -1, 2**53)),
    ):
        module.receive(commands.OTA_NOTICE, payload)
    module.client.received(b"garbage", module.publish)
    module.receive(commands.CONFIG, commands.ttlv.encode([(5, "s" * 32), (6, b"short")]))
    assert [name for name, _ in module.told] == ["on_damaged"] * 8
    assert all(isinstance(error, RemoteProtocolError) for _, error in module.told) and module.client.secret == ""


def test_unknown_commands_are_passed_over(module):
    module.receive(0x7777, b"anything")
    assert module.told == module.sent == []


def test_whose_fault_it_is():
    """Encoders blame us and write nothing, decoders the peer; both are ProtocolErrors, ours a ValueError too."""
    for ours in (
        lambda: frame.encode(0, 1), lambda: frame.encode(1, 70000), lambda: mqtt.connect("x", 70000), lambda: mqtt.publish(b"t" * 70000, b""),
        lambda: commands.mcu_list({"a:b": "1"}), lambda: commands.encode_info_report({"fw": "1\0"}, "fw"), lambda: login.encrypt_payload(b"k", b""),
    ):  # fmt: skip
        with pytest.raises(LocalProtocolError) as caught:
            ours()
        assert isinstance(caught.value, ProtocolError | ValueError) and not isinstance(
            caught.value, RemoteProtocolError
        )
    for theirs in (
        lambda: frame.decode(b"x"),
        lambda: mqtt.parse_connect(b"\0"),
        lambda: ota.decode_url(b""),
        lambda: login.decrypt_payload(b"k", b"x"),
    ):
        with pytest.raises(RemoteProtocolError):
            theirs()


def test_kinds_default_to_firmware():
    assert [kind_of((msg.MCU,), i) for i in range(2)] == [msg.MCU, msg.FIRMWARE]
