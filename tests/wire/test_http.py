"""The module's HTTP: its request, answers in any split, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import ProtocolError
from sim.wire import http

HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nX: y\r\n\r\n"


def read(stream, cuts=()):
    """Status, body and whether the answer is whole."""
    statuses, body = [], bytearray()
    answer = http.Answer(statuses.append, body.extend)
    for size in [*cuts, len(stream)]:
        if stream[:size]:
            answer.feed(memoryview(stream[:size]))
        stream = stream[size:]
    return statuses, bytes(body), answer.done


def chunked(parts, extension=b"", trailer=b""):
    sent = b"".join(b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in parts if p)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n" + sent + b"0\r\n" + trailer + b"\r\n"


def test_the_request_is_the_modules():
    where = http.place("http://127.0.0.1:8080/f/1?e=2&s=3")
    assert where == ("127.0.0.1", 8080, False, "/f/1?e=2&s=3", "127.0.0.1:8080")
    assert http.get(where, 0, 99) == (
        b"GET /f/1?e=2&s=3 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept-Ranges: bytes\r\nRange: bytes=0-99\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert http.place("https://h")[1:4] == (443, True, "/")
    assert http.place("http://[::1]/")[4] == "[::1]:80"


@pytest.mark.parametrize(
    "url", ["ftp://h/", "http:///x", "http://h:x/", "http://h/\r\nX: y", "http://h/ä", "/f", "http://h/" + "x" * 9000]
)
def test_urls_that_break_a_request_are_refused(url):
    with pytest.raises(ProtocolError):
        http.place(url)


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=20))
def test_an_answer_with_a_length_in_any_split(body, cuts):
    assert read(HEAD % len(body) + body, cuts) == ([206], body, True)


@given(
    st.lists(st.binary(min_size=1, max_size=60), max_size=6), st.lists(st.integers(1, 20), max_size=40),
    st.sampled_from([b"", b";name=value"]), st.sampled_from([b"", b"X-Digest: 1\r\n"]),
)  # fmt: skip
def test_an_answer_in_chunks_in_any_split(parts, cuts, extension, trailer):
    assert read(chunked(parts, extension, trailer), cuts) == ([200], b"".join(parts), True)


def test_an_answer_cut_short_is_not_done():
    assert read(HEAD % 10 + b"12345") == ([206], b"12345", False)
    assert read(chunked([b"abc"])[:-2]) == ([200], b"abc", False)


@pytest.mark.parametrize(
    "stream",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nx", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", b"x" * 20_000,
        HEAD % 2 + b"123", chunked([b"abc"]) + b"x", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000,
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(stream):
    with pytest.raises(ProtocolError):
        read(stream)
