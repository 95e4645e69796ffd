"""Who is silent where TLS begins, or stops in its middle, is gone after the deadline of the handshake, at both ports."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time

import pytest

from sim.service import endpoint
from tests.hostile.test_http import raw
from tests.service.cloud import served
from tests.service.test_server import certificate


def client_hello() -> bytes:
    """The first flight of a TLS client."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


async def seconds_until_closed(port: int, said: bytes) -> float:
    """How long a connection lasts that says this and no more."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        async with asyncio.timeout(20):
            try:
                while await reader.read(65536):
                    pass
            except ConnectionError:
                pass
        return time.monotonic() - began
    finally:
        writer.transport.abort()


def test_tls_handshakes_end(tmp_path, monkeypatch):
    """Not a byte, a part of ClientHello, all of it and no answer to the server's: each ends by the deadline, not at once."""
    monkeypatch.setattr(endpoint, "TLS_HANDSHAKE_S", 0.6)
    cert, key = certificate(tmp_path)

    async def scene():
        async with served(tmp_path / "data", tls_cert=cert, tls_key=key) as (server, _):
            ports = (server.endpoint.port, int(server.cloud.http_url.rpartition(":")[2]))
            hello = client_hello()
            lasted = await asyncio.gather(
                *(seconds_until_closed(port, said) for port in ports for said in (b"", hello[:40], hello))
            )
            assert all(0.5 < seconds < 8.0 for seconds in lasted), lasted
            assert server.cloud.trouble.count == 0

    asyncio.run(scene())


def test_tls_handshakes_count_by_source_as_plain_connections_do(tmp_path, monkeypatch):
    """Three may stand at each port; the fourth of the source is cut off at once, another source is let in, and so is
    the first one when one of its own has gone. What stands when the cloud ends is not waited for."""
    monkeypatch.setattr(endpoint, "TLS_HANDSHAKE_S", 3600.0)
    cert, key = certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=cert)

    async def secure(port, source="127.0.0.1"):
        """Whether a client that goes on with its handshake gets through it."""
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=trusted, server_hostname="127.0.0.1", local_addr=(source, 0)
            )
        except OSError:
            return False
        writer.transport.abort()
        return True

    async def settle(connections):
        async with asyncio.timeout(60):
            while connections._count > 3:
                await asyncio.sleep(0.01)

    held = []

    async def scene():
        async with served(tmp_path / "data", tls_cert=cert, tls_key=key) as (server, _):
            hello = client_hello()
            for port, connections in (
                (server.endpoint.port, server.endpoint.strangers),
                (int(server.cloud.http_url.rpartition(":")[2]), server._connections),
            ):
                connections.per_source = 3
                silent = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(3)]
                held.extend(silent)
                silent[1].write(hello[:40])
                silent[2].write(hello)
                while connections._count < 3:
                    await asyncio.sleep(0.01)
                assert not await secure(port)
                assert connections.refused == 1
                assert await secure(port, "127.0.0.2")
                await settle(connections)
                silent.pop().transport.abort()
                while connections._count > 2:
                    await asyncio.sleep(0.01)
                assert await secure(port)
                await settle(connections)
            assert server.cloud.trouble.count == 0
        for writer in held:
            writer.transport.abort()

    asyncio.run(asyncio.wait_for(scene(), 200))


def test_what_comes_with_the_end_of_a_handshake_is_read(tmp_path):
    """A client that sends its request in the same write as its last handshake message gets an answer."""
    cert, key = certificate(tmp_path)

    async def scene():
        async with served(tmp_path / "data", tls_cert=cert, tls_key=key) as (server, _):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = ssl.create_default_context(cafile=cert)
            client = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
            port = int(server.cloud.http_url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(65536))
            client.write(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            writer.write(outgoing.read())
            answer = b""
            while not answer.startswith(b"HTTP/1.1 200 "):
                incoming.write(await reader.read(65536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    answer += client.read(65536)
            writer.transport.abort()

    asyncio.run(asyncio.wait_for(scene(), 200))


@pytest.mark.parametrize("size", [70_000, 100_000, 250_000])
def test_a_long_head_is_refused_whether_it_is_whole_or_not(tmp_path, size):
    """One write brings all of it, and then all but its end: 431 both times; a head of 10 KB is taken.

    Where bytes are still on their way when the server closes, the kernel may drop the answer.
    """
    head = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nA: "

    async def scene():
        async with served(tmp_path) as (server, _):
            for end in (b"\r\n\r\n", b""):
                answer = await raw(server, head + b"a" * size + end)
                assert answer.startswith(b"HTTP/1.1 431 ") or (size > 70_000 and not answer), answer[:80]
                assert answer.count(b"HTTP/1.1") <= 1
            answer = await raw(server, head + b"a" * 10_000 + b"\r\nConnection: close\r\n\r\n")
            assert answer.split(b" ")[1] == b"200"
            assert server.cloud.trouble.count == 0

    asyncio.run(scene())
