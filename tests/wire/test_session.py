"""Sessions of both ends, wired together in memory on a clock of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import LocalProtocolError, ProtocolError
from sim.wire import mqtt
from sim.wire.session import MAX_UNACKNOWLEDGED, ClientSession, ServerSession

TOPIC = b"q/2/d/x/ota"


class Log:
    """Owner of either end: remembers what it was told."""

    def __init__(self, *, holds_back=False):
        self.messages, self.acknowledged, self.unacknowledged, self.other = [], [], [], []
        self.holds_back = holds_back

    def on_message(self, topic, payload, qos, packet_id):
        self.messages.append((topic, payload, qos, packet_id))
        return not self.holds_back

    def on_acknowledged(self, packet_id):
        self.acknowledged.append(packet_id)

    def on_unacknowledged(self, packet_id):
        self.unacknowledged.append(packet_id)

    def on_connack(self, code):
        self.other.append(("connack", code))

    def on_suback(self, codes):
        self.other.append(("suback", codes))

    def on_silence(self, what):
        self.other.append(("silence", what))

    def on_connect(self, request):
        self.other.append(("connect", request.client_id))
        return mqtt.ACCEPTED if request.password == b"secret" else mqtt.BAD_LOGIN

    def may_subscribe(self, topic_filter):
        return not topic_filter.startswith("forbidden")

    def on_subscribe(self, filters):
        self.other.append(("subscribe", filters))

    def on_end(self, why):
        self.other.append(("end", why))


class Link:
    """Both ends and the bytes between them."""

    def __init__(self, *, holds_back=False, password=b"secret"):
        self.up, self.down = [], []
        self.module, self.cloud = Log(), Log(holds_back=holds_back)
        self.client = ClientSession(self.module, self.up.append, keepalive_s=120)
        self.server = ServerSession(self.cloud, self.down.append, 0.0)
        self.client.connect("x", ("q/1/d/x/+", 1), 0.0, password=password)

    def carry(self, now, *, lose=()):
        """Delivers until nothing moves; `lose` names the packets that vanish, by kind."""
        while self.up or self.down:
            for queue, end in ((self.up, self.server), (self.down, self.client)):
                sent = list(queue)
                queue.clear()
                for data in sent:
                    if data[0] >> 4 not in lose:
                        end.receive(data, now)


@pytest.fixture
def link():
    made = Link()
    made.carry(0.0)
    return made


def test_connect_and_subscribe_in_one_breath(link):
    assert link.module.other == [("connack", 0), ("suback", b"\x01")]
    assert link.cloud.other == [("connect", "x"), ("subscribe", ["q/1/d/x/+"])]
    assert link.server.granted_qos("q/1/d/x/ota") == 1
    assert link.server.granted_qos("q/1/d/y/ota") == -1


def test_a_refused_login_ends_the_session():
    link = Link(password=b"wrong")
    link.carry(0.0)
    assert link.cloud.other == [("connect", "x"), ("end", "CONNACK 4")]
    assert link.module.other == [("connack", mqtt.BAD_LOGIN)]  # the SUBSCRIBE behind it is not answered


def test_the_first_packet_is_connect():
    link = Link()
    with pytest.raises(ProtocolError, match="first packet"):
        link.server.receive(mqtt.PINGREQ_PACKET, 0.0)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_arrive_once_and_are_acknowledged_once(link, qos):
    packet_id = link.client.publish(TOPIC, b"up", qos, 1.0)
    link.server.publish(b"q/1/d/x/ota", b"down", min(qos, 1), 1.0)
    link.carry(1.0)
    assert link.cloud.messages == [(TOPIC.decode(), b"up", qos, packet_id)]
    assert [m[1] for m in link.module.messages] == [b"down"]
    assert link.module.acknowledged == ([packet_id] if qos else [])
    assert link.client.in_flight == link.server.in_flight == 0


@pytest.mark.parametrize("lost", [mqtt.PUBLISH, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP])
def test_qos_2_is_exactly_once_whatever_packet_is_lost(link, lost):
    packet_id = link.client.publish(TOPIC, b"up", 2, 1.0)
    link.carry(1.0, lose=[lost])
    assert link.module.acknowledged == []
    assert link.client.deadline == 3.0
    link.client.wake(3.0)
    link.carry(3.0)
    assert [m[1] for m in link.cloud.messages] == [b"up"]
    assert link.module.acknowledged == [packet_id]


def test_three_sends_two_seconds_apart_then_given_up(link):
    packet_id = link.client.publish(TOPIC, b"up", 1, 10.0)
    sends = [list(link.up)]
    for now in (12.0, 14.0, 16.0):
        assert link.client.retry_at == now
        link.up.clear()
        link.client.wake(now)
        sends.append(list(link.up))
    first, again = mqtt.publish(TOPIC, b"up", 1, packet_id), mqtt.publish(TOPIC, b"up", 1, packet_id, dup=True)
    assert sends == [[first], [again], [again], []]
    assert link.module.unacknowledged == [packet_id]
    assert link.client.retry_at == float("inf")


def test_resends_go_in_the_order_they_are_due(link):
    ids = [link.client.publish(TOPIC, b"a", 1, 10.0), link.client.publish(TOPIC, b"b", 1, 11.0)]
    link.up.clear()
    link.client.wake(12.5)
    assert link.client.retry_at == 13.0
    link.client.wake(13.0)
    assert [data[-3] << 8 | data[-2] for data in link.up] == ids


def test_an_acknowledgement_held_back_is_not_given_by_a_repetition_either():
    link = Link(holds_back=True)
    link.carry(0.0)
    packet_id = link.client.publish(TOPIC, b"up", 2, 1.0)
    link.carry(1.0)
    link.client.wake(3.0)
    link.carry(3.0)
    assert (len(link.cloud.messages), link.module.acknowledged) == (1, [])
    link.server.acknowledge(2, packet_id)
    link.carry(3.5)
    assert link.module.acknowledged == [packet_id]


def test_pings_come_when_the_sdk_sends_them(link):
    assert link.client.deadline == (120 - 20) / 2
    link.client.wake(50.0)
    assert link.up == [mqtt.PINGREQ_PACKET]
    link.carry(50.1)
    assert link.client.deadline == pytest.approx(50.1 + 100)


def test_three_pings_without_answer_end_the_session(link):
    for now in (50.0, 55.0, 60.0):
        assert link.client.deadline == now
        link.client.wake(now)
    link.client.wake(65.0)
    assert len(link.up) == 3
    assert link.module.other[-1] == ("silence", "PINGRESP")


def test_a_server_that_does_not_answer_connect_is_silent():
    link = Link()
    link.client.wake(4.9)
    assert link.module.other == []
    link.client.wake(5.0)
    assert link.module.other == [("silence", "CONNACK or SUBACK")]


def test_a_silent_client_is_gone_after_one_and_a_half_keepalives(link):
    assert link.server.silent_at == 180.0
    link.server.wake(179.0)
    assert link.cloud.other[-1] != ("end", "keep-alive")
    link.server.wake(180.0)
    assert link.cloud.other[-1] == ("end", "keep-alive")


def test_disconnect_is_a_leave(link):
    link.client.close()
    link.carry(1.0)
    assert link.cloud.other[-1] == ("end", "")


def test_half_done_messages_are_bounded():
    link = Link(holds_back=True)
    link.carry(0.0)
    flood = b"".join(mqtt.publish(TOPIC, b"", 2, i) for i in range(1, 2000))
    with pytest.raises(ProtocolError, match="unfinished"):
        link.server.receive(flood, 1.0)


def test_packet_ids_skip_what_is_in_flight(link):
    first = link.client.publish(TOPIC, b"", 1, 1.0)
    for _ in range(0xFFFF - 1):  # once around, the first one still unanswered
        link.client.receive(mqtt.ack(mqtt.PUBACK, link.client.publish(TOPIC, b"", 1, 1.0)), 1.0)
    assert link.client.publish(TOPIC, b"", 1, 1.0) == first + 1


def test_who_acknowledges_nothing_is_our_error_after_256(link):
    """65,535 unanswered messages were a crash; now the 257th is refused before it is written, and the ids stay free."""
    for _ in range(MAX_UNACKNOWLEDGED):
        link.client.publish(TOPIC, b"", 1, 1.0)
    with pytest.raises(LocalProtocolError, match="256 messages"):
        link.client.publish(TOPIC, b"", 1, 1.0)
    assert link.client.in_flight == MAX_UNACKNOWLEDGED == 256


@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=8)), max_size=8), st.data())
def test_any_losses_deliver_at_least_once_and_qos_2_at_most_once(messages, data):
    link = Link()
    link.carry(0.0)
    for qos, payload in messages:
        link.client.publish(TOPIC, payload, qos, 1.0)
    now = 1.0
    kinds = [mqtt.PUBLISH, mqtt.PUBACK, mqtt.PUBREC, mqtt.PUBREL, mqtt.PUBCOMP]
    for _ in range(2):  # the third send of each half gets through
        link.carry(now, lose=data.draw(st.sets(st.sampled_from(kinds))))
        now += 2.0
        link.client.wake(now)
    for _ in range(4):
        link.carry(now)
        now += 2.0
        link.client.wake(now)
    arrived = [(qos, packet_id) for _, _, qos, packet_id in link.cloud.messages]
    assert link.client.in_flight == 0
    assert set(link.module.acknowledged) | set(link.module.unacknowledged) == {i + 2 for i in range(len(messages))}
    assert {i for _, i in arrived} >= set(link.module.acknowledged)
    for qos, packet_id in arrived:
        assert qos == 1 or arrived.count((qos, packet_id)) == 1
