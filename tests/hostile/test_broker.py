"""Behind somebody else's broker: no message ends the cloud, holds up the others or is said twice; a restart forgets nobody."""

from __future__ import annotations

import asyncio
import os
import socket
import time

import aiomqtt
import pytest

from sim import messages as msg
from sim.service.broker import Broker
from sim.service.errors import Refused
from sim.service.faults import Faults
from sim.wire.quecthing import commands, frame, login, ota
from tests.hostile.device import hostile_payloads
from tests.service.cloud import prepare, served, settled
from tests.service.modules import FakeModule

STRATEGY = {"preset": "quectel", "delivery": {"push_interval": "2s"}}


async def live_of(client):
    return {**(await client.get("/api/v1/live")).json(), "broker": True}


async def until(true, within_s=30.0):
    """Returns once it is true."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def publisher(broker):
    return aiomqtt.Client("127.0.0.1", broker.port)


def uplink(client_id, command, payload, packet_id=7):
    """Topic and frame as a module publishes them."""
    return login.uplink_topic(client_id, commands.topic_kind(command)), frame.encode(packet_id, command, payload)


def test_no_message_ends_the_cloud_while_postgresql_is_away(tmp_path, mosquitto, postgresql):
    """The store is gone, modules report, one of them anything: the cloud stays, acknowledges nothing, and stores it later."""

    async def scene():
        async with served(tmp_path, broker=mosquitto.url, db=postgresql.new_database()) as (server, client):
            plan = await prepare(client, strategy={**STRATEGY, "timeouts": {"in_progress": "10s"}})
            live = await live_of(client)
            modules = [FakeModule(live, f"device{i:02d}") for i in range(5)]
            tasks = [asyncio.ensure_future(m.run()) for m in modules]
            await until(lambda: sum(msg.SUBMITTED in m.acked for m in modules) >= 2)
            await asyncio.to_thread(postgresql.crash)
            async with publisher(mosquitto) as hostile:
                for command, payload in hostile_payloads():
                    await hostile.publish(*uplink(modules[0].client_id, command, payload), qos=1)
            await until(lambda: server.cloud.journal.failing)
            assert (await client.get("/api/v1/health")).status_code == 503
            await asyncio.sleep(2.5)  # long enough for a second message behind the first
            assert all(not task.done() for task in server._tasks)
            await asyncio.to_thread(postgresql.start)
            await settled(client, plan, {"succeeded": 5})
            await asyncio.gather(*tasks)
            end = time.monotonic() + 20
            while (answer := await client.get("/api/v1/health")).status_code != 200:
                assert time.monotonic() < end
                await asyncio.sleep(0.1)
            health = answer.json()
            assert (health["errors"], health["store"], health["rejected_rows"]) == (0, "", 0)
            for module in modules:
                device = server.cloud.rollouts.device(1, module.key)
                assert device.reports == len(module.acked), "counted as often as it was said"

    asyncio.run(scene())


def test_who_waits_for_a_url_gets_it_after_a_restart_of_the_cloud(tmp_path, mosquitto):
    """The broker holds the module's connection, so the module says nothing: the cloud has to speak first."""

    async def scene():
        async with served(tmp_path, broker=mosquitto.url) as (server, client):
            plan = await prepare(client, strategy=STRATEGY)
            module = FakeModule(await live_of(client), "device01")
            running = asyncio.ensure_future(module.run())
            await until(lambda: msg.PLAN_RECEIVED in module.acked)
            server.cloud.injector.set(Faults(lose_message=1.0))
            await settled(client, plan, {"confirmed": 1})
        connects = module.connects
        async with served(tmp_path, broker=mosquitto.url) as (server, client):
            assert [d.key for d in server.cloud.rollouts.were_online] == ["device01"]
            await settled(client, plan, {"succeeded": 1}, within_s=30)
            await running
            assert module.connects == connects + 1  # its own reboot

    asyncio.run(scene())


def test_what_a_broker_retained_is_no_news(tmp_path, mosquitto):
    """A retained report comes again with every subscription: it is acknowledged and not counted."""

    async def scene():
        async with publisher(mosquitto) as hostile:
            async with served(tmp_path, broker=mosquitto.url) as (server, client):
                await prepare(client, strategy=STRATEGY)
                live = await live_of(client)
                module = FakeModule(live, "device01")
                await module.connect()
                await module.introduce()
                await module.link.receive()
                status = ota.encode_status(ota.Status(msg.PLAN_RECEIVED, "fw", msg.FIRMWARE, ""))
                await hostile.publish(*uplink(module.client_id, commands.OTA_STATUS, status), qos=1, retain=True)
                device = server.cloud.rollouts.device(1, "device01")
                await until(lambda: device.reports == 1)
            for _ in range(2):
                async with served(tmp_path, broker=mosquitto.url) as (server, client):
                    await until(lambda cloud=server.cloud: cloud.broker_state == "")
                    await module.introduce()
                    device = server.cloud.rollouts.device(1, "device01")
                    device.identities.clear()
                    await asyncio.sleep(0.5)
                    assert device.reports == 1
            module.link.transport.abort()

    asyncio.run(scene())


def test_late_messages_of_a_device_that_is_cut_off_hold_no_place_of_the_broker(tmp_path, mosquitto):
    """A hostile device under a slow cloud: mosquitto hands over 20 at a time, and none of them may stay unanswered."""

    async def scene():
        async with served(tmp_path, broker=mosquitto.url) as (server, client):
            plan = await prepare(client, strategy=STRATEGY)
            live = await live_of(client)
            server.cloud.injector.set(Faults(slow_s=0.05))
            client_id = FakeModule(live, "hostile1").client_id
            async with publisher(mosquitto) as hostile:
                for _ in range(400):
                    topic, _ = uplink(client_id, commands.OTA_STATUS, b"")
                    await hostile.publish(topic, b"garbage", qos=1)
            module = FakeModule(live, "device01")
            await asyncio.gather(module.run(), settled(client, plan, {"succeeded": 1}))
            assert server.gateway.garbage == 400

    asyncio.run(scene())


def test_a_callback_that_raises_costs_its_message_alone(tmp_path, mosquitto):
    """At once or late: counted, acknowledged, or it would come for ever; the others go on."""

    async def scene(slow_s):
        async with served(tmp_path / str(slow_s), broker=mosquitto.url) as (server, client):
            plan = await prepare(client, strategy=STRATEGY)
            live = await live_of(client)
            bad = FakeModule(live, "badbad01")
            take = server.gateway._command

            def broken(session, opened):
                if session.device.key == "badbad01":
                    raise ZeroDivisionError
                take(session, opened)

            server.gateway._command = broken
            server.cloud.injector.set(Faults(slow_s=slow_s))
            async with publisher(mosquitto) as hostile:
                for number in range(50):
                    await hostile.publish(*uplink(bad.client_id, commands.DATA_UP, b"", 1 + number), qos=1)
            module = FakeModule(live, "device01")
            await asyncio.gather(module.run(), settled(client, plan, {"succeeded": 1}))
            assert (await client.get("/api/v1/health")).json()["errors"] == 50

    for slow_s in (0.0, 0.02):
        asyncio.run(scene(slow_s))


def test_connections_cannot_be_dropped_behind_a_broker(tmp_path, mosquitto):
    """The fault would hold messages for ever: refused in words, at the start and while it runs."""

    async def scene():
        async with served(tmp_path, broker=mosquitto.url) as (server, client):
            answer = await client.put("/api/v1/faults", json={"drop_connection": 0.1})
            assert answer.status_code == 422 and "broker" in answer.text
            assert server.cloud.injector.faults.drop_connection == 0.0
            assert isinstance(server.broker, Broker)
        with pytest.raises(Refused, match="behind a broker"):
            async with served(tmp_path, broker=mosquitto.url, faults=Faults(drop_connection=0.1)):
                pass

    asyncio.run(scene())


@pytest.mark.parametrize("committed", [False, True])
def test_a_report_of_the_session_before_is_told_from_its_repetition(tmp_path, mosquitto, committed):
    """The cloud ends with a report and the session that follows it unanswered: the broker repeats both, one report was sent.

    The broker's own number tells them: an equal report of the next session, marked or not, is another one.
    """
    status = ota.encode_status(ota.Status(msg.PLAN_RECEIVED, "fw", msg.FIRMWARE, ""))
    info = commands.encode_info_report({"fw": "1.0.0"}, "fw")

    async def scene():
        client_id = ""

        def take(server, command, payload, packet_id, delivery, *, repeated=False):
            assert server.gateway.adopt(client_id, repeated, delivery)
            return server.gateway.on_message(client_id, *uplink(client_id, command, payload, packet_id))

        async with served(tmp_path, broker=mosquitto.url) as (server, client):
            await prepare(client, strategy=STRATEGY)
            client_id = FakeModule(await live_of(client), "device01").client_id
            await take(server, commands.INFO_REPORT, info, 1, 11)
            reported = take(server, commands.OTA_STATUS, status, 2, 12)
            if committed:  # and the broker may still repeat it: it has gone before it heard so
                await reported
            await take(server, commands.INFO_REPORT, info, 1, 13)  # else one batch of the store with the report
        async with served(tmp_path, broker=mosquitto.url) as (server, client):
            device = server.cloud.rollouts.device(1, "device01")
            for _ in range(2):
                take(server, commands.OTA_STATUS, status, 2, 12, repeated=True)
            await take(server, commands.INFO_REPORT, info, 1, 13, repeated=True)
            assert (device.reports, server.gateway.repeated) == (1, 3)
            await take(server, commands.OTA_STATUS, status, 2, 14)
            assert device.reports == 2, "of the new session, by its number"
            await take(server, commands.OTA_STATUS, status, 2, 15)
            assert device.reports == 2, "the module said it again"
            await take(server, commands.INFO_REPORT, info, 1, 16, repeated=True)
            await take(server, commands.OTA_STATUS, status, 2, 17, repeated=True)
            assert device.reports == 3, "marked as repeated, and never heard before"

    asyncio.run(scene())


def test_a_socket_that_was_closed_is_not_watched_under_its_number():
    """The client asks to write, its socket closes, and another connection has the number before the loop comes to it."""

    class Paho:
        def __init__(self, now):
            self.now, self.wrote = now, asyncio.Event()

        def socket(self):
            return self.now

        def loop_write(self):
            self.wrote.set()

    async def scene():
        loop, errors = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _loop, context: errors.append(context))
        client = Broker("mqtt://127.0.0.1:1", gateway=None)._connected()
        (ours, its), (other, others) = socket.socketpair(), socket.socketpair()
        paho, number = Paho(ours), ours.fileno()
        client._on_socket_register_write(paho, None, ours)
        await asyncio.wait_for(paho.wrote.wait(), 30)  # an open one is watched
        loop.remove_writer(number)
        paho.wrote.clear()
        client._on_socket_register_write(paho, None, ours)
        paho.now = None
        ours.close()
        os.dup2(other.fileno(), number)
        for _ in range(5):
            await asyncio.sleep(0.01)
        assert not paho.wrote.is_set() and not errors
        os.close(number)
        for left in (its, other, others):
            left.close()

    asyncio.run(scene())
    pytest.importorskip("uvloop").run(scene())


def test_a_socket_that_cannot_be_watched_ends_its_connection():
    """uvloop gives up the handle of a socket that was reset: the client hears of it, and connects again."""

    class Paho:
        closed = False

        def socket(self):
            return ours

        def loop_write(self):
            raise AssertionError

        def _sock_close(self):
            self.closed = True

    class Loop:
        def add_writer(self, *_):
            raise RuntimeError("the handler is closed")

        def call_soon_threadsafe(self, call):
            call()

    async def scene():
        errors = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
        client, paho = Broker("mqtt://127.0.0.1:1", gateway=None)._connected(), Paho()
        client._loop = Loop()
        client._on_socket_register_write(paho, None, ours)
        assert isinstance(client._disconnected.exception(), RuntimeError) and paho.closed and not errors

    ours, its = socket.socketpair()
    with ours, its:
        asyncio.run(scene())
