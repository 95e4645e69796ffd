"""A refusal arrives: who still sends while it is refused reads the answer and the end, and no reset; who sends on is cut off."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest

from sim.service import lingering_close
from sim.wire import mqtt
from tests.hostile.device import Raw, hello
from tests.service.cloud import TOKEN, prepare, served

BODY_BYTES = 200_000
POST = f"POST /api/v1/plans HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {BODY_BYTES}\r\n"
REFUSED = {
    "no token": (POST + "\r\n", b" 401 ", b'needed"}'),
    "a wrong token": (POST + "Authorization: Bearer wrong\r\n\r\n", b" 401 ", b'needed"}'),
    "too large": (POST.replace("api/v1/plans", "api/v1/projects") + f"Authorization: Bearer {TOKEN}\r\n\r\n", b" 413 ", b'bytes"}'),
    "no session": (POST.replace("api/v1/plans", "projects") + "\r\n", b" 303 ", b"\r\n\r\n"),
    "no HTTP": ("GET / HTTP/1.1\r\nHost: x\r\n: \r\n\r\n", b" 400 ", b"received."),
}  # fmt: skip


def run(scene, tmp_path):
    """A scene within a limit, against a cloud of its own."""

    async def limited():
        async with asyncio.timeout(100), served(tmp_path) as (server, client):
            await scene(server, client)

    asyncio.run(limited())


@pytest.mark.parametrize("name", REFUSED)
def test_an_http_answer_is_read_whole_while_the_body_comes(tmp_path, name):
    head, status, ending = REFUSED[name]

    async def scene(server, _client):
        where = urlsplit(server.cloud.http_url)
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(head.encode())
        answer = await reader.readexactly(40)  # the refusal is there before the body is sent
        for _ in range(20):
            writer.write(bytes(BODY_BYTES // 20))
            await asyncio.sleep(0.005)
        answer += await reader.read()  # a reset raises
        assert status in answer.split(b"\r\n")[0] and answer.endswith(ending)
        writer.close()

    run(scene, tmp_path)


def test_a_refused_login_is_read_whole_while_more_comes(tmp_path):
    async def scene(_server, client):
        await prepare(client, activate=False)
        live = (await client.get("/api/v1/live")).json()
        async with Raw(live) as raw:
            raw.send(mqtt.connect("not an id!", 60, password=b"1;0000;x;y"))
            first = await raw.reader.readexactly(1)
            for _ in range(20):
                raw.send(hello("q1x", b"1;0000;x;y"))
                await asyncio.sleep(0.005)
            assert first + await raw.reader.read() == bytes([mqtt.CONNACK << 4, 2, 0, mqtt.BAD_CLIENT_ID])

    run(scene, tmp_path)


@pytest.mark.parametrize("protocol", ["http", "mqtt"])
def test_who_goes_on_after_its_refusal_is_cut_off_and_counts_until_then(tmp_path, monkeypatch, protocol):
    monkeypatch.setattr(lingering_close, "LINGER_S", 1.0)

    async def scene(server, client):
        await prepare(client, activate=False)
        where = urlsplit(server.cloud.http_url if protocol == "http" else server.cloud.mqtt_url)
        connections = server._connections if protocol == "http" else server.endpoint.strangers
        before = connections._count
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        said = REFUSED["no token"][0].encode() if protocol == "http" else mqtt.connect("not an id!", 60)
        writer.write(said)
        await reader.read()  # it is told, and this side is not closed
        assert connections._count == before + 1
        with pytest.raises(ConnectionError):
            while True:
                writer.write(b"x" * 1000)
                await writer.drain()
                await asyncio.sleep(0.01)
        while connections._count != before:
            await asyncio.sleep(0.01)
        assert server.cloud.trouble.count == 0

    run(scene, tmp_path)
