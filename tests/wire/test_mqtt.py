"""MQTT 3.1.1 packets: known bytes, there and back in any split, and what breaks the standard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import ProtocolError
from sim.wire import mqtt

texts = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=30)
ids = st.integers(1, 0xFFFF)
publishes = st.tuples(texts, st.binary(max_size=400), st.integers(0, 2), ids, st.booleans(), st.booleans())


def parsed(stream, cuts=()):
    found = []
    parser = mqtt.Parser()
    for size in [*cuts, max(len(stream), 1)]:
        parser.feed(stream[:size], lambda *packet: found.append(packet))
        stream = stream[size:]
    return found


def one(packet):
    (found,) = parsed(packet)
    return found


@pytest.mark.parametrize(
    ("packet", "hex_"),
    [  # written by hand from the standard's tables
        (mqtt.connack(5, session_present=True), "20020105"),
        (mqtt.publish(b"a/b", b"xyz"), "30080003612f6278797a"),
        (mqtt.publish(b"a", b"", 2, 10, dup=True, retain=True), "3d05000161000a"),
        (mqtt.ack(mqtt.PUBACK, 1), "40020001"), (mqtt.ack(mqtt.PUBREC, 258), "50020102"),
        (mqtt.ack(mqtt.PUBREL, 1), "62020001"), (mqtt.ack(mqtt.PUBCOMP, 65535), "7002ffff"),
        (mqtt.subscribe(10, [("a/b", 1), ("c/d", 2)]), "820e000a0003612f62010003632f6402"),
        (mqtt.suback(10, b"\x01\x80"), "9004000a0180"), (mqtt.unsubscribe(10, ["a/b"]), "a207000a0003612f62"),
        (mqtt.PINGREQ_PACKET, "c000"), (mqtt.PINGRESP_PACKET, "d000"), (mqtt.DISCONNECT_PACKET, "e000"),
        (mqtt.connect("c", 120, password=b"p"), "101000044d51545404420078000163" "000170"),
    ],
)  # fmt: skip
def test_packets_are_the_standards_bytes(packet, hex_):
    assert packet.hex() == hex_


@given(st.lists(publishes, max_size=6), st.lists(st.integers(1, 50), max_size=40))
def test_publishes_survive_any_split_of_the_stream(sent, cuts):
    packets, expected = [], []
    for topic, payload, qos, packet_id, dup, retain in sent:
        again = dup and qos > 0
        packets.append(mqtt.publish(topic.encode(), payload, qos, packet_id, dup=again, retain=retain))
        flags = 8 * again | qos << 1 | retain
        expected.append((mqtt.PUBLISH, packet_id if qos else 0, topic, payload, flags))
    assert parsed(b"".join(packets), cuts) == expected


@given(
    texts, st.integers(0, 0xFFFF), st.one_of(st.none(), texts), st.one_of(st.none(), st.binary(max_size=200)),
    st.booleans(),
)  # fmt: skip
def test_a_connect_comes_back_with_or_without_user_name(client, keepalive, username, password, clean):
    packet = mqtt.connect(client, keepalive, username=username, password=password, clean=clean)
    kind, _, _, body, _ = one(packet)
    assert kind == mqtt.CONNECT
    assert mqtt.parse_connect(body) == mqtt.Connect(4, client, keepalive, clean, username, password)


def test_a_will_is_read():
    body = b"\x00\x04MQTT\x04\x2e\x00\x0a\x00\x01c\x00\x01t\x00\x02wx"
    assert mqtt.parse_connect(body).will == ("t", b"wx", 1, True)


@given(ids, st.lists(st.tuples(texts, st.integers(0, 2)), min_size=1, max_size=5))
def test_subscriptions_come_back(packet_id, filters):
    kind, found_id, _, body, _ = one(mqtt.subscribe(packet_id, filters))
    assert (kind, found_id, mqtt.parse_subscribe(body)) == (mqtt.SUBSCRIBE, packet_id, filters)
    kind, found_id, _, body, _ = one(mqtt.unsubscribe(packet_id, [name for name, _ in filters]))
    assert (kind, found_id) == (mqtt.UNSUBSCRIBE, packet_id)
    assert mqtt.parse_unsubscribe(body) == [name for name, _ in filters]


@pytest.mark.parametrize("size", [0, 120, 127, 128, 16_383, 16_384, 40_000])
def test_lengths_of_one_to_three_bytes(size):
    payload = bytes(size)
    packet = mqtt.publish(b"t", payload)
    assert one(packet)[3] == payload
    assert parsed(packet, [1] * 20)[0][3] == payload


@pytest.mark.parametrize(
    "hex_",
    [
        "00", "f000", "3000", "30050003612f62"[:-2] + "62" * 0, "3600", "360500016100" "01", "320500016100" "00",
        "38030001" "61", "3003000123", "300300012b", "3003000100", "300300" "01ff", "30020000", "4003000100", "40020000",
        "60020001", "8202" "0001", "80060001" "00016100", "2003000000", "20020200", "c00100", "e001" "00", "e100",
        "30ffffffff7f", "30ffffff7f",
    ],
)  # fmt: skip
def test_what_breaks_the_standard_is_a_protocol_error(hex_):
    data = bytes.fromhex(hex_)
    with pytest.raises(ProtocolError):
        parsed(data.ljust(2, b"\0") + b"\xff" * 8)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"\x00\x04HTTP\x04\x02\x00\x0a\x00\x00", "another protocol"), (b"\x00\x04MQTT\x04\x03\x00\x0a\x00\x00", "flags"),
        (b"\x00\x04MQTT\x04\x1e\x00\x0a\x00\x00", "flags"), (b"\x00\x04MQTT\x04\x08\x00\x0a\x00\x00", "flags"),
        (b"\x00\x04MQTT\x04\x02\x00\x0a\x00\x05ab", "shorter"), (b"\x00\x04MQTT\x04\x02\x00\x0a\x00\x01ax", "follow"),
    ],
)  # fmt: skip
def test_a_wrong_connect_says_what_is_wrong(body, rule):
    with pytest.raises(ProtocolError, match=rule):
        mqtt.parse_connect(body)


def test_other_protocol_levels_are_left_to_the_server():
    assert mqtt.parse_connect(b"\x00\x04MQTT\x05").level == 5
    assert mqtt.parse_connect(b"\x00\x06MQIsdp\x03").level == 3


@pytest.mark.parametrize(
    ("filter_", "topic", "expected"),
    [
        ("q/1/d/x/+", "q/1/d/x/ota", True), ("q/1/d/x/+", "q/1/d/x/ota/y", False), ("q/1/d/x/+", "q/1/d/y/ota", False),
        ("#", "a/b", True), ("#", "$SYS/a", False), ("+/a", "$SYS/a", False), ("a/#", "a", True), ("a/#", "a/b/c", True),
        ("a/+/c", "a/b/c", True), ("a/+", "a", False), ("+", "/a", False), ("/+", "/a", True), ("a", "a", True),
    ],
)  # fmt: skip
def test_filters_match_as_the_standard_says(filter_, topic, expected):
    assert mqtt.matches(filter_, topic) is expected


@pytest.mark.parametrize("name", ["", "a+", "a/#/b", "#a", "a/b#"])
def test_misplaced_wildcards_are_refused(name):
    with pytest.raises(ProtocolError):
        mqtt.checked_filter(name)
