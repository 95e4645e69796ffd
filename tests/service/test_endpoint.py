"""The MQTT endpoint over real sockets: an independent client, our own session, and clients that misbehave."""

from __future__ import annotations

import asyncio
import contextlib

import aiomqtt
import pytest

from sim.service.endpoint import Endpoint
from sim.wire import mqtt


class Cloud:
    """An endpoint with callbacks that remember."""

    def __init__(self, **settings):
        self.connected, self.messages, self.gone, self.subscribed = [], [], [], []
        self.stored: asyncio.Future | None = None
        self.news = asyncio.Event()
        self.writers = []
        self.endpoint = Endpoint(self.on_connect, self.on_message, self.on_disconnect, self.on_subscribe, **settings)

    def on_connect(self, client_id, username, password):
        self.connected.append((client_id, username, password))
        return password == b"secret"

    def on_message(self, client_id, topic, payload):
        self.messages.append((client_id, topic, payload))
        self.news.set()
        return self.stored

    def on_disconnect(self, client_id):
        self.gone.append(client_id)
        self.news.set()

    def on_subscribe(self, client_id, filters):
        self.subscribed.append((client_id, list(filters)))
        self.news.set()

    async def raw(self, *packets):
        """A connection that sends packets as they are."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.endpoint.port)
        self.writers.append(writer)
        writer.write(b"".join(packets))
        return reader, writer

    async def until(self, true):
        async with asyncio.timeout(10):
            while not true():
                self.news.clear()
                await self.news.wait()


@contextlib.asynccontextmanager
async def cloud(**settings):
    made = Cloud(**settings)
    await made.endpoint.start()
    try:
        yield made
    finally:
        for writer in made.writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        await made.endpoint.stop()


async def packet(reader):
    """The next packet, whose length takes one byte."""
    async with asyncio.timeout(10):
        head = await reader.readexactly(2)
        return head + await reader.readexactly(head[1])


def connect(client_id="qdx", password=b"secret"):
    return mqtt.connect(client_id, 120, password=password) + mqtt.subscribe(1, [(f"q/1/d/{client_id}/+", 1)])


def run(test):
    """Runs a coroutine function as a test."""

    def started():
        asyncio.run(test())

    started.__name__, started.__doc__ = test.__name__, test.__doc__
    return started


@run
async def test_an_independent_client_speaks_with_it_at_every_qos():
    async with cloud() as made:
        port = made.endpoint.port
        async with aiomqtt.Client("127.0.0.1", port, username="u", password="secret", identifier="qdx") as client:
            await client.subscribe("q/1/d/qdx/+", qos=2)
            for qos in (0, 1, 2):
                await client.publish("q/2/d/qdx/ota", f"up {qos}", qos=qos)
                assert made.endpoint.publish("qdx", "q/1/d/qdx/ota", f"down {qos}".encode(), qos)
            got = []
            async with asyncio.timeout(10):
                async for message in client.messages:
                    got.append((message.payload, message.qos))
                    if len(got) == 3:
                        break
        await made.until(lambda: made.gone)
    assert got == [(b"down 0", 0), (b"down 1", 1), (b"down 2", 2)]
    assert made.connected == [("qdx", "u", b"secret")]
    assert made.messages == [("qdx", "q/2/d/qdx/ota", b"up %d" % qos) for qos in (0, 1, 2)]
    assert made.gone == ["qdx"]


@run
async def test_a_password_without_user_name_is_let_in():
    async with cloud() as made:
        reader, _ = await made.raw(connect())
        assert await packet(reader) == mqtt.connack(0)
        assert await packet(reader) == mqtt.suback(1, b"\x01")
        assert made.connected == [("qdx", None, b"secret")]
        assert made.subscribed == [("qdx", ["q/1/d/qdx/+"])]


@run
async def test_a_wrong_password_gets_its_return_code_and_the_door():
    async with cloud() as made:
        reader, _ = await made.raw(connect(password=b"guess"))
        async with asyncio.timeout(10):
            assert await reader.read() == mqtt.connack(mqtt.BAD_LOGIN)
        assert made.endpoint.clients == []


@run
async def test_no_acknowledgement_before_the_message_is_stored():
    async with cloud() as made:
        made.stored = asyncio.get_running_loop().create_future()
        sent = mqtt.publish(b"q/2/d/qdx/ota", b"status", 2, 7)
        reader, _ = await made.raw(connect(), sent, mqtt.PINGREQ_PACKET)
        assert [(await packet(reader))[0] for _ in range(3)] == [0x20, 0x90, 0xD0]  # no PUBREC among them
        made.stored.set_result(None)
        assert await packet(reader) == mqtt.ack(mqtt.PUBREC, 7)


@run
async def test_a_message_that_could_not_be_stored_is_not_acknowledged():
    async with cloud() as made:
        made.stored = asyncio.get_running_loop().create_future()
        made.stored.set_exception(OSError("disk full"))
        reader, _ = await made.raw(connect(), mqtt.publish(b"t", b"", 1, 7))
        await made.until(lambda: made.messages)
        made.stored = None
        made.writers[0].write(mqtt.publish(b"t", b"", 1, 8))
        assert [await packet(reader) for _ in range(3)][2] == mqtt.ack(mqtt.PUBACK, 8)


@run
async def test_a_client_that_comes_again_takes_over():
    async with cloud() as made:
        first, _ = await made.raw(connect())
        await packet(first)
        second, _ = await made.raw(connect())
        await packet(second)
        with contextlib.suppress(ConnectionResetError):
            assert (await first.read())[:1] in (b"", b"\x90")
        assert made.endpoint.clients == ["qdx"]
        assert made.gone == []
        made.endpoint.drop("qdx")
        assert made.gone == ["qdx"]


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", mqtt.PINGREQ_PACKET, b"\x10\xff\xff\xff\xff\xff", b"\x10\x80\x80\x10"]
)
def test_garbage_is_cut_off(data):
    async def test():
        async with cloud(max_packet_bytes=4096) as made:
            reader, _ = await made.raw(data)
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(10):
                    assert await reader.read() == b""
            assert made.endpoint.counts.protocol_errors == 1
            assert made.connected == []

    asyncio.run(test())


@run
async def test_a_client_that_does_not_read_is_dropped():
    async with cloud() as made:
        reader, _ = await made.raw(connect())
        await packet(reader)
        await made.until(lambda: made.subscribed)
        for _ in range(2000):  # 64 MB into a socket nobody reads
            if not made.endpoint.publish("qdx", "q/1/d/qdx/bus", bytes(32_000), 0):
                break
            await asyncio.sleep(0)
        assert made.gone == ["qdx"]


@run
async def test_nothing_is_sent_to_who_is_not_there_or_did_not_subscribe():
    async with cloud() as made:
        reader, _ = await made.raw(connect())
        await packet(reader)
        await made.until(lambda: made.subscribed)
        assert not made.endpoint.publish("qdy", "q/1/d/qdy/ota", b"")
        assert not made.endpoint.publish("qdx", "q/1/d/other/ota", b"")
