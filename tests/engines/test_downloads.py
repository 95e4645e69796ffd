"""Downloads from servers as they are: no ranges, HTTP/1.0, encodings, redirects, cuts; and where redirects may not lead."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from sim.engines.live.fetch import Ask, Broken, ServerRefused, ThinDownloader

FILE = bytes(range(256)) * 800


LAST = len(FILE) - 1


def answer(status, body=b"", version="1.1", length=-1, **headers):
    """An answer as bytes; with `length=None` it ends where the connection does."""
    lines = [f"HTTP/{version} {status} X"]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def fetched(serve, first=0, last=LAST, *, path="/fw.bin", authorization="", check=lambda url: None):
    """What a download gives, and the requests the server saw; `serve` makes the answer from a request's head."""

    async def run():
        requests = []

        async def client(reader, writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            requests.append(head)
            writer.write(serve(head, writer.get_extra_info("sockname")[1]))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(client, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        body, begun = bytearray(), []

        def take(data):
            body.extend(data)
            return 0.0

        async with server:
            downloader = ThinDownloader(check=check)
            ask = Ask(f"http://127.0.0.1:{port}{path}", first, last, 0, authorization)
            await downloader.get(ask, lambda: begun.append(True), take)
        assert begun == [True]
        return bytes(body), requests

    return asyncio.run(asyncio.wait_for(run(), 30))


@pytest.mark.parametrize(
    "serve",
    [
        lambda head, port: answer(200, FILE),
        lambda head, port: answer(200, FILE, version="1.0"),
        lambda head, port: answer(200, FILE, version="1.0", length=None),
        lambda head, port: answer(200, gzip.compress(FILE), Content_Encoding="gzip"),
        lambda head, port: answer(206, FILE, Content_Range=f"bytes 0-{LAST}/{len(FILE)}"),
    ],
    ids=["range ignored", "HTTP/1.0", "until closed", "gzip", "whole 206"],
)  # fmt: skip
@pytest.mark.parametrize("first", [0, 100_000])
def test_the_rest_of_a_file_comes_from_a_server_that_sends_it_whole(serve, first):
    """A module that goes on at 100,000 lets the bytes before pass."""
    body, requests = fetched(serve, first)
    assert body == FILE[first:]
    assert f"Range: bytes={first}-{LAST}" in requests[0]


def test_a_redirect_is_followed_with_its_credentials_only_at_home():
    def serve(head, port):
        if head.startswith("GET /fw.bin"):
            return answer(302, Location="/other.bin")
        if head.startswith("GET /other.bin"):
            return answer(307, Location=f"http://localhost:{port}/cdn.bin")
        return answer(200, FILE)

    asked = []
    body, requests = fetched(serve, authorization="GatewayToken t", check=asked.append)
    assert body == FILE
    assert ["Authorization: GatewayToken t" in head for head in requests] == [True, True, False]
    assert [url.rpartition("/")[2] for url in asked] == ["other.bin", "cdn.bin"]


def test_a_redirect_to_a_host_that_is_not_allowed_is_refused():
    def check(url):
        if "127.0.0.1" not in url:
            raise Broken("URL refused: allow it first")

    with pytest.raises(Broken, match="URL refused"):
        fetched(lambda head, port: answer(302, Location="http://example.org/fw.bin"), check=check)


def test_redirects_end():
    with pytest.raises(Broken, match="more than 5 redirects"):
        fetched(lambda head, port: answer(302, Location="/fw.bin"))


@pytest.mark.parametrize("status", [400, 401, 404, 410, 416, 429, 500, 503])
def test_other_answers_are_refusals_with_their_status(status):
    with pytest.raises(ServerRefused, match=f"HTTP {status}"):
        fetched(lambda head, port: answer(status))


@pytest.mark.parametrize(
    ("serve", "what"),
    [
        (lambda head, port: answer(200, FILE[:1000], length=len(FILE)), "closed by peer before the last byte"),
        (lambda head, port: answer(200, FILE[:1000], length=None), "closed by peer before the last byte"),
        (lambda head, port: answer(200, FILE[:1000]), "bytes are missing"),
        (lambda head, port: answer(206, FILE, Content_Range="bytes 7-9/10"), "begins at byte 7"),
        (lambda head, port: answer(200, FILE, Content_Encoding="br"), "cannot be decoded"),
        (lambda head, port: answer(302), "without a Location"),
        (lambda head, port: b"220 mail.example.org ESMTP\r\n\r\n", "not HTTP"),
    ],
    ids=["cut", "cut without a length", "short", "elsewhere", "brotli", "redirect to nowhere", "not HTTP"],
)  # fmt: skip
def test_what_does_not_give_the_bytes_is_broken_and_says_why(serve, what):
    with pytest.raises(Broken, match=what):
        fetched(serve)
