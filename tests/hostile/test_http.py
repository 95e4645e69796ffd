"""What one HTTP client can do to the cloud: get an answer of 4xx, or wait until its time is up."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import tarfile
import time

import httpx
import pytest

from sim.service.web import connection as connection_file
from sim.service.web import guard
from tests.service.cloud import AUTH, TOKEN, prepare, served

JSON = {**AUTH, "Content-Type": "application/json"}


async def sound(server, client):
    """The cloud is as it was: no error of ours, and it works."""
    health = await client.get("/api/v1/health")
    assert (health.status_code, health.json()["errors"]) == (200, 0)
    assert server.cloud.trouble.count == 0


def test_json_that_no_cloud_should_take(tmp_path):
    """NaN, 1e999, half characters, nests, dates beyond any plan …: 400 or 422 in words, never 500."""

    async def scene():
        async with served(tmp_path) as (server, client):
            plan = await prepare(client, activate=False)
            ids = {k: v for k, v in (await client.get(f"/api/v1/plans/{plan}")).json().items() if k.endswith("_id")}
            choice = {"component_id": 1, "version_id": 1}

            def planned(**changed):
                return json.dumps({**ids, "name": "q", "components": [choice], **changed})

            bodies = [
                ("faults", '{"slow_s": NaN}'), ("faults", '{"slow_s": 1e999}'), ("faults", '{"slow_s": -Infinity}'),
                ("faults", '{"seed": ' + "9" * 5000 + "}"), ("faults", '{"seed": 99999999999999999999}'),
                ("projects", '{"name": "\\ud800"}'), ("projects", '{"\\udfff": 1}'), ("plans", "[" * 100_000),
                ("plans", '{"a":' * 50_000), ("projects", "[" * 40 + "]" * 40), ("projects", '{"name": "a\\u0000"}'),
                ("projects", b"\xff\xfe"), ("projects", b'{"name": "\xed\xa0\x80"}'), ("projects", "null"), ("projects", ""),
                ("plans", planned(ends_at="9999-12-31T23:59:59")), ("plans", planned(starts_at="0001-01-01T00:00:00")),
                ("plans", planned(starts_at="2026-01-01T00:00:00+99:99")), ("plans", planned(time_zone="../../etc/passwd")),
                ("plans", planned(strategy={"preconditions": {"min_battery_percent": 10**400}})),
                ("plans", planned(strategy={"retry": {"number_of_retries": 2**63}})),
                ("plans", planned(whitelist=["[" * 32] * 3, text="\\ud83d")[:-1]),
            ]  # fmt: skip
            for path, body in bodies:
                method = "PUT" if path == "faults" else "POST"
                answer = await client.request(method, f"/api/v1/{path}", content=body, headers=JSON)
                assert answer.status_code in (400, 422), (path, body[:60], answer.status_code, answer.text[:200])
                assert len(answer.content) < 20_000 and answer.json()["detail"]
            await sound(server, client)

    asyncio.run(scene())


def chained_tar() -> bytes:
    """3,000 headers of long names, one behind the other."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 5
    return (header.tobuf(tarfile.GNU_FORMAT) + b"abcd\0".ljust(512, b"\0")) * 3000 + bytes(1024)


def pax_tar() -> bytes:
    """A size that is no number, and one beyond any disk."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("a")
        entry.pax_headers = {"size": "9" * 400, "mtime": "nan"}
        archive.addfile(entry)
    return out.getvalue()


def test_uploads_that_no_cloud_should_take(tmp_path):
    """Archives built against their readers, a boundary of 5,000 characters, bodies that are none: told, and nothing stays."""

    async def scene():
        async with served(tmp_path) as (server, client):
            await prepare(client, activate=False)
            fields = {"project_id": "1", "name": "v", "target_version": "2"}
            kept = set((tmp_path / "packages").iterdir())
            for name, body in [("a.tar", chained_tar()), ("a.tar", pax_tar()), ("a.zip", b"PK\x05\x06" + b"\xff" * 18),
                               ("a.rar", b"Rar!"), ("../a.bin", b"x"), ("a" * 300 + ".bin", b"x"), ("a.bin", b"")]:  # fmt: skip
                answer = await client.post("/api/v1/versions", data=fields, files=[("files", (name, body))])
                assert answer.status_code == 422, (name, answer.text)
            for kind in ("multipart/form-data; boundary=" + "x" * 5000, "multipart/form-data; boundary=" + "x" * 100,
                         "multipart/form-data", "text/plain", "multipart/form-data; boundary=b; charset=none"):  # fmt: skip
                answer = await client.post(
                    "/api/v1/versions", content=b"--b\r\nnothing", headers={"Content-Type": kind}
                )
                assert answer.status_code in (400, 422), kind
            assert set((tmp_path / "packages").iterdir()) == kept
            await sound(server, client)

    asyncio.run(scene())


async def raw(server, request: bytes, *, then=b"", every_s=0.0, within_s=20.0) -> bytes:
    """What a connection answers that sends `request`, then `then` byte by byte."""
    port = int(server.cloud.http_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        answer = asyncio.ensure_future(reader.read(65536))
        for byte in then:
            if answer.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(every_s)
        async with asyncio.timeout(within_s):
            try:
                return await answer
            except ConnectionError:
                return b""
    finally:
        writer.transport.abort()


def test_a_client_that_leaves_in_mid_upload(tmp_path):
    """It is no error of ours, and nothing of the file stays."""

    async def scene():
        async with served(tmp_path) as (server, client):
            head = (
                f"POST /api/v1/versions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9999999\r\n"
                "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
                'Content-Disposition: form-data; name="files"; filename="a.bin"\r\n\r\n'
            )
            port = int(server.cloud.http_url.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head.encode() + bytes(100_000))
            end = time.monotonic() + 20
            while not list((tmp_path / "packages").glob("incoming-*")):
                assert time.monotonic() < end
                await asyncio.sleep(0.02)
            writer.transport.abort()
            while list((tmp_path / "packages").glob("incoming-*")):
                assert time.monotonic() < end
                await asyncio.sleep(0.02)
            await sound(server, client)

    asyncio.run(scene())


def test_nobody_sends_a_body_before_he_is_known(tmp_path):
    """The answer comes while the body is still to come; a form needs its session, an upload the form's secret first."""

    async def scene():
        async with served(tmp_path) as (server, client):
            for line in (
                "POST /api/v1/projects",
                "POST /api/v1/versions",
                "PUT /api/v1/faults",
                "DELETE /api/v1/plans/1",
            ):
                head = f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\nContent-Type: application/json\r\n\r\n"
                assert b" 401 " in (await raw(server, head.encode())).split(b"\r\n")[0]
            for path in ("/projects", "/logout", "/projects/1/versions", "/plans/1/delete"):
                head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\nContent-Type: text/plain\r\n\r\n"
                assert b" 303 " in (await raw(server, head.encode())).split(b"\r\n")[0]
            too_long = f"POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 65537\r\n\r\n"
            assert b" 413 " in (await raw(server, too_long.encode())).split(b"\r\n")[0]
            chunked = (
                f"POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n"
            )
            assert (
                b" 413 " in (await raw(server, chunked.encode() + b" " * 0x10001 + b"\r\n0\r\n\r\n")).split(b"\r\n")[0]
            )
            await sound(server, client)

    asyncio.run(scene())


def test_limits_fit_the_calls():
    """A package's upload may be large, a plan's lists too, nothing else."""
    assert guard.limit_of("POST", "/api/v1/versions") is guard.UPLOAD is guard.limit_of("POST", "/projects/7/versions")
    assert guard.limit_of("PUT", "/api/v1/plans/3") is guard.LISTS is guard.limit_of("POST", "/plans/3/edit")
    for method, path in [
        ("POST", "/api/v1/projects"),
        ("POST", "/login"),
        ("GET", "/api/v1/versions"),
        ("POST", "/api/v1/plans/3/activate"),
    ]:
        assert guard.limit_of(method, path) is guard.SMALL
    assert guard.SMALL.size_bytes == 65536


def test_slow_heads_slow_bodies_and_silence_end(tmp_path, monkeypatch):
    """Deadlines count in all, not from the last byte."""
    monkeypatch.setattr(connection_file, "HEAD_S", 0.6)
    monkeypatch.setattr(guard, "SMALL", guard.Limit(65536, 0.6))

    async def scene():
        async with served(tmp_path) as (server, client):
            assert await raw(server, b"") == b""
            assert await raw(server, b"", then=b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 500, every_s=0.05) == b""
            long = b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 5000  # goes over to the parser before it has its end
            assert await raw(server, long, then=b"a" * 500, every_s=0.05) == b""
            head = (
                f"POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
                "Content-Type: application/json\r\nContent-Length: 600\r\n\r\n"
            )
            assert b" 408 " in (await raw(server, head.encode(), then=b" " * 600, every_s=0.05)).split(b"\r\n")[0]
            await sound(server, client)

    asyncio.run(scene())


def test_what_is_no_http_leaves_no_traceback(tmp_path, capfd):
    """Garbage behind a head or within chunks, wishes for a WebSocket, two lengths: an answer of 4xx or the end, not a word on stderr."""
    heads = [
        "GET / HTTP/1.1\r\nHost: x\r\nX: \x01\r\n\r\n", "GARBAGE\r\n\r\n", "GET / HTTP/3.7\r\n\r\n", "\r\n" * 100 + "x",
        "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "TRACE /api/v1/plans/9 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /packages/1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n",
        "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
        "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /api/v1/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        "GET /api/v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /api/v1/plans HTTP/1.1\r\nHost: x\r\nA: " + "a" * 400_000 + "\r\n\r\n", "GET /%ff%00/../x HTTP/1.1\r\nHost: \xff\r\n\r\n",
    ]  # fmt: skip

    async def scene():
        async with served(tmp_path) as (server, client):
            for head in heads:
                for given in (head, head.replace("Host: x", f"Host: x\r\nAuthorization: Bearer {TOKEN}")):
                    answer = await raw(server, given.encode("latin-1"), within_s=30)
                    status = answer.partition(b" ")[2][:3]
                    assert status[:1] in (b"", b"1", b"3", b"4"), (head[:80], answer[:80])
            await sound(server, client)

    asyncio.run(scene())
    told = capfd.readouterr()
    assert "Traceback" not in told.err and "WebSocket" not in told.err and "Invalid HTTP" not in told.err


def narrow(port: int) -> socket.socket:
    """A connection that takes little at a time."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", port))
    sock.setblocking(False)
    return sock


@pytest.mark.parametrize("more", ["Connection: close", "Accept: */*"])
def test_who_takes_an_answer_slowly_gets_all_of_it(tmp_path, monkeypatch, more):
    """The time to the next head does not run while the last answer is on its way: a package over a slow network is whole."""
    monkeypatch.setattr(connection_file, "HEAD_S", 0.3)
    size = 1_500_000

    async def scene():
        async with served(tmp_path) as (server, client):
            await prepare(client, size=size, activate=False)
            name = server.downloads._find(1)["name"]
            link = server.cloud.links.make(1, name, server.cloud.rollouts.clock())
            port, loop = int(server.cloud.http_url.rpartition(":")[2]), asyncio.get_running_loop()
            with narrow(port) as sock:
                path = link.partition(str(port))[2]
                await loop.sock_sendall(sock, f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n\r\n".encode())
                answer = b""
                async with asyncio.timeout(30):
                    while data := await loop.sock_recv(sock, 16384):
                        answer += data
                        if server.downloads.served_bytes == size and len(answer) < size:
                            await asyncio.sleep(0.02)
            assert len(answer.partition(b"\r\n\r\n")[2]) == size

    asyncio.run(scene())


def test_who_takes_nothing_of_an_answer_is_cut_off(tmp_path, monkeypatch):
    """A download, and a thousand requests one behind the other, of clients that never read."""
    monkeypatch.setattr(connection_file, "STALLED_S", 0.5)
    monkeypatch.setattr(connection_file, "LOOK_S", 0.1)

    async def scene():
        async with served(tmp_path) as (server, client):
            await prepare(client, size=1_500_000, activate=False)
            name = server.downloads._find(1)["name"]
            link = server.cloud.links.make(1, name, server.cloud.rollouts.clock())
            port, loop = int(server.cloud.http_url.rpartition(":")[2]), asyncio.get_running_loop()
            for request in (
                f"GET {link.partition(str(port))[2]} HTTP/1.1\r\nHost: x\r\n\r\n",
                "GET /login HTTP/1.1\r\nHost: x\r\n\r\n" * 1000,
            ):
                with narrow(port) as sock:
                    sending = asyncio.ensure_future(loop.sock_sendall(sock, request.encode()))
                    end = time.monotonic() + 20
                    while not server._connections._open["127.0.0.1"] >= 2:  # the client's own is the other one
                        assert time.monotonic() < end
                        await asyncio.sleep(0.02)
                    while server._connections._open["127.0.0.1"] >= 2:
                        assert time.monotonic() < end
                        await asyncio.sleep(0.02)
                    sending.cancel()
                    await asyncio.gather(sending, return_exceptions=True)
            await sound(server, client)

    asyncio.run(scene())


def test_wrong_tokens_of_the_console_are_throttled(tmp_path):
    """Ten a minute from one place; then even the right one waits."""

    async def scene():
        async with served(tmp_path) as (_, client):
            stranger = httpx.AsyncClient(base_url=client.base_url)
            statuses = [(await stranger.post("/login", data={"token": "x"})).status_code for _ in range(11)]
            assert statuses == [403] * 10 + [429]
            assert (await stranger.post("/login", data={"token": TOKEN})).status_code == 429
            await stranger.aclose()

    asyncio.run(scene())


@pytest.mark.parametrize("value", ["1", '"a"', "[[[1.5]]]", '{"a": "\\ud83d\\ude00"}'])
def test_sound_json_passes(value):
    assert guard.json_fault(value.encode()) == ""
