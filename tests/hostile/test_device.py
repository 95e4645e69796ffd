"""What one device, or a stranger, can do to a cloud: nothing but end its own connection."""

from __future__ import annotations

import asyncio

import pytest

from sim import messages as msg
from sim.service import endpoint as endpoint_file
from sim.wire import mqtt
from sim.wire.quecthing import commands, frame, login, ota
from tests.hostile.device import Raw, hello, hostile_payloads, known_device, uplink
from tests.service.cloud import prepare, served, settled
from tests.service.modules import RANDOM, FakeModule


def run(scene):
    """A coroutine function as a test."""

    def test(tmp_path):
        async def limited():
            async with asyncio.timeout(100), served(tmp_path) as (server, client):
                await scene(server, client)

        asyncio.run(limited())

    test.__name__, test.__doc__ = scene.__name__, scene.__doc__
    return test


@run
async def test_no_value_ends_the_cloud(server, client):
    """Free flash of 2^63, versions of 60,000 characters or with NUL, an MCU list of 30 KB …: each is refused, and the
    device is served as before; another one upgrades meanwhile."""
    plan = await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    other = FakeModule(live, "goodmodule")
    upgrading = asyncio.ensure_future(other.run())
    hostile = await known_device(live, "hostile1")
    payloads = list(hostile_payloads())
    for number, (command, payload) in enumerate(payloads):
        if number % 20 == 0:  # it is cut off after so many in a row, and comes again
            await hostile.connect()
        topic = login.uplink_topic(hostile.client_id, commands.topic_kind(command)).encode()
        hostile.link.session.publish(topic, frame.encode(7, command, payload), 0, 0.0)
        async with asyncio.timeout(10):
            got = await hostile.link.receive()
        assert (got.command, commands.decode_exception(got.payload).code) == (commands.EXCEPTION, commands.BAD_FORMAT)
    await settled(client, plan, {"succeeded": 1})
    await upgrading
    health = (await client.get("/api/v1/health")).json()
    assert (health["errors"], health["rejected_rows"], health["store"]) == (0, 0, "")
    device = server.cloud.rollouts.device(1, "hostile1")
    assert device.module_version == "" and device.free_bytes != device.free_bytes  # nothing of it was taken


@run
async def test_who_sends_only_garbage_or_acknowledges_nothing_is_cut_off(server, client):
    """33 messages in a row that are no frames; and exceptions that nobody acknowledges never fill the packet ids."""
    await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    hostile = await known_device(live, "hostile1")
    async with Raw(live) as raw:
        password = login.login_password(live["product_secret"], hostile.secret, RANDOM).encode()
        raw.send(hello(hostile.client_id, password))
        garbage = mqtt.publish(login.uplink_topic(hostile.client_id, "sys").encode(), b"garbage")
        raw.send(*[garbage] * 40)
        assert await raw.ended()
    assert server.gateway.garbage == 33  # what came behind was not looked at
    async with Raw(live) as raw:
        raw.send(hello(hostile.client_id, password))
        honest = uplink(hostile.client_id, commands.DATA_UP, b"")
        for _ in range(300):  # 31 wrong and one right, again and again, none of the answers acknowledged
            raw.send(*[garbage] * 31, honest)
        assert await raw.ended()
    assert server.endpoint.counts.overflows == 1
    assert (await client.get("/api/v1/health")).json()["errors"] == 0


@run
async def test_a_stranger_cannot_take_a_devices_connection(server, client):
    """CONNECT with `0;0000;x;y` under a device's id: the device stays, and the stranger hears only why it is refused."""
    plan = await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    victim = await known_device(live, "victim01")
    victim.hold = msg.DOWNLOADING
    task = asyncio.ensure_future(victim.run())
    await victim.held.wait()
    link = victim.link
    for password, code in [
        (b"0;0000;x;y", login.PRODUCT_UNKNOWN), (f"0;0000;{live['product_key']};y".encode(), login.UNDECODABLE),
        (f"0;9999;{live['product_key']};y".encode(), login.BAD_FLAG), (b"2;0000;x;y", login.AUTH_VERSION), (b"", login.UNDECODABLE),
    ]:  # fmt: skip
        async with Raw(live) as raw:
            raw.send(hello(victim.client_id, password))
            kinds = [await raw.packet() for _ in range(3)]
            assert [kind for kind, _ in kinds] == [mqtt.CONNACK, mqtt.SUBACK, mqtt.PUBLISH]
            assert kinds[0][1] == b"\0\0"
            told = frame.decode(kinds[2][1][2 + len(login.downlink_topic(victim.client_id, "sys")) + 2 :])
            assert commands.decode_exception(told.payload).code == code
            raw.send(
                uplink(victim.client_id, commands.OTA_STATUS, ota.encode_status(ota.Status(msg.UPDATE_ERROR, "fw")))
            )
            raw.send(mqtt.ack(mqtt.PUBACK, 1))
            assert await raw.ended()
    async with Raw(live) as raw:
        raw.send(hello(victim.client_id, f"1;0000;{RANDOM};{'A' * 44}".encode()))
        assert await raw.packet() == (mqtt.CONNACK, bytes([0, mqtt.BAD_LOGIN]))
    assert victim.link is link and not link.transport.is_closing()
    assert server.cloud.rollouts.device(1, "victim01").online
    assert await settled(client, plan, {"downloading": 1})
    task.cancel()


@run
async def test_logins_are_throttled_by_source_and_name(server, client):
    """After ten wrong secrets under one id from one place nothing more is looked at there; elsewhere the device logs in."""
    await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    victim = await known_device(live, "victim01")
    for _ in range(10):
        async with Raw(live) as raw:
            raw.send(hello(victim.client_id, f"1;0000;{RANDOM};{'A' * 44}".encode()))
            assert await raw.packet() == (mqtt.CONNACK, bytes([0, mqtt.BAD_LOGIN]))
    password = login.login_password(live["product_secret"], victim.secret, RANDOM).encode()
    async with Raw(live) as raw:
        raw.send(hello(victim.client_id, password))
        assert await raw.packet() is None  # no return code: one would make a module forget its secret
    other = await known_device(live, "another1")
    assert other.connects == 2 and server.endpoint.counts.throttled == 1
    assert server.endpoint.throttle.wait_s("192.0.2.7", victim.client_id, asyncio.get_running_loop().time()) == 0.0


@run
async def test_topics_are_those_of_the_protocol(server, client):
    """Not whatever contains the id: root, level and kind as documented, commands on their kind, one's own downlink alone."""
    await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    device = await known_device(live, "device01")
    name, before = device.client_id, server.cloud.rollouts.device(1, "device01")
    password = login.login_password(live["product_secret"], device.secret, RANDOM).encode()
    good = frame.encode(5, commands.INFO_REPORT, commands.encode_info_report({"fw": "6.6.6"}, "fw"))
    async with Raw(live) as raw:
        filters = [f"q/1/d/{name}/+", "#", "q/1/d/+/ota", f"q/1/d/{name}x/+", f"q/2/d/{name}/+", f"q/1/d/{name}/ota"]
        raw.send(mqtt.connect(name, 60, password=password), mqtt.subscribe(9, [(f, 1) for f in filters]))
        await raw.packet()
        assert await raw.packet() == (mqtt.SUBACK, bytes([0, 9, 1, 0x80, 0x80, 0x80, 0x80, 1]))
        for topic in (f"a/b/c/{name}/d", f"q/1/d/{name}/sys", f"q/2/d/{name}/other", f"q/2/d/{name}", f"x/2/d/{name}/sys",
                      f"q/2/d/{name}/sys/a/b", f"q/2/d/{name}/bus", "q/2/d/other/sys"):  # fmt: skip
            raw.send(mqtt.publish(topic.encode(), good))
        raw.send(mqtt.PINGREQ_PACKET)
        while (await raw.packet())[0] != mqtt.PINGRESP:
            pass
        assert before.module_version == "" and server.gateway.garbage == 8
        raw.send(mqtt.publish(f"q/2/d/{name}/sys/app".encode(), good), mqtt.PINGREQ_PACKET)
        while (await raw.packet())[0] != mqtt.PINGRESP:
            pass
    assert before.module_version == "6.6.6"


@run
async def test_products_are_told_apart_by_what_the_password_names(server, client):
    """`p1A` and `p1AB`: the client id `qdp1AB0001` may belong to both; the password says to which."""
    project = (await client.post("/api/v1/projects", json={"name": "p"})).json()["id"]
    for key, secret in (("p1A", "secretsecretAAAA"), ("p1AB", "secretsecretBBBB")):
        given = {"project_id": project, "name": key, "product_key": key, "product_secret": secret}
        assert (await client.post("/api/v1/products", json=given)).status_code == 201
    where = (await client.get("/api/v1/live")).json()["mqtt"]
    short = FakeModule({"mqtt": where, "product_key": "p1A", "product_secret": "secretsecretAAAA"}, "B0001")
    long = FakeModule({"mqtt": where, "product_key": "p1AB", "product_secret": "secretsecretBBBB"}, "0001")
    assert short.client_id == long.client_id
    for module, product in ((short, 1), (long, 2)):
        await module.connect()
        assert server.cloud.rollouts.device(product, module.key).online
        module.link.transport.abort()
        await module.connect()  # by its own secret now, which names no product
        assert server.cloud.rollouts.device(product, module.key).authenticated
        module.link.transport.abort()
    assert short.secret != long.secret


@run
async def test_two_devices_of_one_client_id_never_get_each_others_messages(server, client):
    """`p1A` + `B0001` and `p1AB` + `0001` at the same time: the later connection ends the earlier, whose device is offline."""
    project = (await client.post("/api/v1/projects", json={"name": "p"})).json()["id"]
    for key in ("p1A", "p1AB"):
        given = {"project_id": project, "name": key, "product_key": key, "product_secret": f"secretsecret{key:A>4}"}
        assert (await client.post("/api/v1/products", json=given)).status_code == 201
    where = (await client.get("/api/v1/live")).json()["mqtt"]
    short = FakeModule({"mqtt": where, "product_key": "p1A", "product_secret": "secretsecretAp1A"}, "B0001")
    long = FakeModule({"mqtt": where, "product_key": "p1AB", "product_secret": "secretsecretp1AB"}, "0001")
    await short.connect()
    await long.connect()
    first, second = server.cloud.rollouts.device(1, "B0001"), server.cloud.rollouts.device(2, "0001")
    assert (first.online, second.online) == (False, True)
    assert first.id not in server.gateway._clients and server.gateway._clients[second.id] == long.client_id
    await short.connect()
    assert (first.online, second.online) == (True, False)


@run
async def test_device_keys_have_an_alphabet(server, client):
    """4 to 16 letters, digits, - and _; anything else is refused before it is stored."""
    await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    for key in ("abc", "x" * 17, "a b c d", "ab;cd", "äöüß", "ab/cd", "abcd+"):
        module = FakeModule(live, key)
        assert await module.connect() is None
    assert not server.cloud.rollouts.devices


@run
async def test_a_second_bootstrap_is_refused_until_the_operator_resets(server, client):
    """10422 once the device has logged in with its secret; before that it may never have got it."""
    await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    first = FakeModule(live, "device01")
    await first.connect()
    again = FakeModule(live, "device01")
    assert await again.connect() is not None  # the first one's secret may have been lost on its way
    assert again.secret == first.secret
    await first.connect()
    third = FakeModule(live, "device01")
    assert await third.connect() is None and third.refusals == [login.ALREADY_AUTHENTICATED]
    answer = await client.post("/api/v1/products/1/devices/reset", params={"device_key": "device01"})
    assert answer.json() == {"count": 1}
    assert await third.connect() is not None and third.secret == first.secret
    assert server.gateway.refused == 1


@run
async def test_a_callback_that_raises_ends_its_connection_alone(server, client):
    """An error of ours in one module's message: counted, told with a reference, the others go on."""
    await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    bad, good = await known_device(live, "badbadbad"), await known_device(live, "goodgood")
    take = server.gateway._command

    def broken(session, opened):
        if session.device.key == "badbadbad":
            raise ZeroDivisionError
        take(session, opened)

    server.gateway._command = broken
    await good.connect()
    await bad.connect()
    with pytest.raises(Exception):  # noqa: B017 - the connection is cut
        await bad.introduce()
    await good.introduce()
    assert server.endpoint.counts.errors == 1 == server.cloud.trouble.count
    assert "ZeroDivisionError" in (server.options.data / "errors.log").read_text()
    assert (server.options.data / "errors.log").stat().st_mode & 0o777 == 0o600
    assert (await client.get("/api/v1/health")).json()["errors"] == 1


@run
async def test_a_flood_of_one_device_leaves_the_others_their_turn(server, client):
    """What one read brings is looked at in slices: another device's message comes in between, and all of it is taken."""
    await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    flooding, other = await known_device(live, "flooding1"), await known_device(live, "another01")
    heard = []
    take = server.gateway.on_message

    def listen(client_id, topic, payload):
        heard.append(client_id)
        return take(client_id, topic, payload)

    server.endpoint.on_message = listen
    link = await other.connect()
    async with Raw(live) as raw:
        password = login.login_password(live["product_secret"], flooding.secret, RANDOM).encode()
        raw.send(hello(flooding.client_id, password))
        await raw.packet()
        count = 5 * endpoint_file.SLICE_BYTES // 40
        honest = uplink(flooding.client_id, commands.DATA_UP, b"")
        assert len(honest) > 40
        raw.writer.transport.set_write_buffer_limits(0)
        raw.send(*[honest] * count)
        await asyncio.gather(raw.writer.drain(), link.publish(other.client_id, commands.DATA_UP, b"", 1))
        raw.send(mqtt.PINGREQ_PACKET)
        while (await raw.packet())[0] != mqtt.PINGRESP:
            pass
    assert heard.count(flooding.client_id) == count
    assert heard.index(other.client_id) < count


@run
async def test_a_list_of_twenty_thousand_topic_filters_is_no_subscription(server, client):
    """Neither to subscribe to nor to leave: the connection ends; 64 are looked at."""
    await prepare(client)
    live = (await client.get("/api/v1/live")).json()
    device = await known_device(live, "device01")
    password = login.login_password(live["product_secret"], device.secret, RANDOM).encode()
    for number, packet in enumerate((mqtt.subscribe(2, [("a", 0)] * 15_000), mqtt.unsubscribe(2, ["a"] * 15_000))):
        async with Raw(live) as raw:
            raw.send(hello(device.client_id, password), packet)
            assert await raw.ended()
        assert server.endpoint.counts.protocol_errors == number + 1
    async with Raw(live) as raw:
        raw.send(mqtt.connect(device.client_id, 60, password=password), mqtt.subscribe(2, [("a", 0)] * 64))
        assert (await raw.packet())[0] == mqtt.CONNACK
        assert await raw.packet() == (mqtt.SUBACK, bytes([0, 2]) + b"\x80" * 64)


def test_connect_has_to_come_in_time_however_it_dribbles(tmp_path, monkeypatch):
    """A byte a moment is no CONNECT: the deadline counts from the connection."""
    monkeypatch.setattr(endpoint_file, "SILENCE_TICK_S", 0.05)

    async def scene():
        async with served(tmp_path) as (_, client):
            await prepare(client)
            live = (await client.get("/api/v1/live")).json()
            async with Raw(live) as raw:
                ended = asyncio.ensure_future(raw.ended())
                for byte in hello("qdx", b"1;0000;x;y"):
                    if ended.done():
                        break
                    raw.send(bytes([byte]))
                    await asyncio.sleep(0.25)
                assert ended.done() and await ended

    asyncio.run(scene())


def test_connections_of_one_source_that_do_not_log_in_are_limited(tmp_path, monkeypatch):
    """The newest are turned away, those who have logged in count no more."""
    monkeypatch.setattr(endpoint_file, "MAX_STRANGERS", 5)

    async def scene():
        async with served(tmp_path) as (server, client):
            await prepare(client)
            live = (await client.get("/api/v1/live")).json()
            device = await known_device(live, "device01")
            await device.connect()
            silent = [await Raw(live).__aenter__() for _ in range(5)]
            async with Raw(live) as late:
                assert await late.ended()
            assert server.endpoint.strangers.refused == 1
            for raw in silent:
                await raw.__aexit__()
            await device.introduce()

    asyncio.run(scene())
