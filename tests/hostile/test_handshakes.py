"""Who is silent where TLS begins, or stops in its middle, is gone after the deadline of the handshake, at both ports."""

from __future__ import annotations

import asyncio
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
