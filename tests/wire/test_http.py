"""The module's HTTP: its request, answers in any split, and what is refused."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import ProtocolError
from sim.wire import http

HEAD = b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nX: y\r\n\r\n"


def read(stream, cuts=()):
    """Status, body and whether the answer is whole."""
    statuses, body = [], bytearray()
    answer = http.Answer(lambda head: statuses.append(head.status), body.extend)
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
        b"HTTP/0.9 200 OK\r\nContent-Length: 1\r\n\r\nx", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
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


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=20), st.sampled_from([b"1.0", b"1.1"]))
def test_an_answer_without_a_length_ends_where_the_server_closes(body, cuts, version):
    bytes_, heads, stream = bytearray(), [], b"HTTP/" + version + b" 200 OK\r\n\r\n" + body
    answer = http.Answer(heads.append, bytes_.extend)
    for size in [*cuts, len(stream)]:
        if stream[:size]:
            answer.feed(memoryview(stream[:size]))
        stream = stream[size:]
    assert not answer.done
    assert answer.closed()
    assert (bytes(bytes_), heads[0].status) == (body, 200)


def test_a_connection_that_closes_within_a_length_is_no_end():
    for stream in (b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nab", b"HTTP/1.1 200 OK\r\nX: y"):
        answer = http.Answer(lambda head: None, lambda data: None)
        answer.feed(memoryview(stream))
        assert not answer.closed()


# --- the wanted bytes --------------------------------------------------------------------------------------------------

FILE = bytes(range(256)) * 40


def picked(status, body, first, last, pieces=1000, **headers):
    """The bytes that are picked from an answer, cut into pieces."""
    wanted = http.Wanted(http.Head(status, {k.replace("_", "-"): v for k, v in headers.items()}), first, last)
    found = b"".join(
        bytes(part) for i in range(0, len(body), pieces) for part in wanted.pick(memoryview(body[i : i + pieces]))
    )
    return found, wanted.missing


@given(st.integers(0, len(FILE) - 1), st.integers(1, 3000), st.integers(1, 5000))
def test_a_server_that_ignores_the_range_gives_the_wanted_bytes_all_the_same(first, size, pieces):
    last = min(first + size, len(FILE)) - 1
    assert picked(200, FILE, first, last, pieces) == (FILE[first : last + 1], 0)
    encoded = zlib.compress(FILE)
    assert picked(200, encoded, first, last, pieces, content_encoding="deflate") == (FILE[first : last + 1], 0)
    encoded = gzip.compress(FILE)
    assert picked(200, encoded, first, last, pieces, content_encoding="gzip") == (FILE[first : last + 1], 0)


def test_a_part_begins_where_its_content_range_says():
    assert picked(206, FILE[100:300], 100, 299, content_range="bytes 100-299/10240") == (FILE[100:300], 0)
    assert picked(206, FILE[100:300], 100, 299) == (FILE[100:300], 0)  # as asked
    assert picked(206, FILE, 100, 299, content_range="bytes 0-10239/10240") == (FILE[100:300], 0)
    assert picked(206, FILE[100:200], 100, 299, content_range="bytes 100-199/*") == (FILE[100:200], 100)


@pytest.mark.parametrize(
    ("status", "body", "headers", "what"),
    [
        (206, FILE, {"content_range": "bytes 200-299/10240"}, "begins at byte 200"),
        (206, FILE, {"content_range": "pages 1-2/3"}, "names no bytes"),
        (206, FILE, {"content_range": "bytes 100-299/10240"}, "more bytes than were asked for"),
        (200, FILE, {"content_encoding": "br"}, "cannot be decoded"),
        (200, FILE, {"content_encoding": "gzip"}, "not what its Content-Encoding says"),
        (206, gzip.compress(FILE), {"content_encoding": "gzip"}, "a part of a file"),
    ],
)  # fmt: skip
def test_what_cannot_hold_the_wanted_bytes_is_refused(status, body, headers, what):
    with pytest.raises(ProtocolError, match=what):
        picked(status, body, 100, 299, **headers)


def test_a_decoded_body_is_not_believed_beyond_what_was_asked_for():
    """A hundred megabytes of zeros in a hundred kilobytes: 64 KiB of them are decoded, and no more."""
    bomb = gzip.compress(bytes(100_000_000))
    found, missing = picked(200, bomb, 0, 999, len(bomb), content_encoding="gzip")
    assert (found, missing) == (bytes(1000), 0)


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("http://h/a/b", "c", "http://h/a/c"), ("http://h/a", "//x:81/y", "http://x:81/y"),
        ("https://h/a", "https://cdn/z?e=1", "https://cdn/z?e=1"), ("http://h/a", "https://h/b", "https://h/b"),
    ],
)  # fmt: skip
def test_a_redirect_leads_on(url, location, target):
    assert http.Head(302, {"location": location}).location(url) == target


@pytest.mark.parametrize("location", ["", "http://h/plain", "ftp://h/", "https://h/\r\nX: y"])
def test_a_redirect_that_leads_nowhere_or_out_of_tls_is_refused(location):
    with pytest.raises(ProtocolError):
        http.Head(302, {"location": location}).location("https://h/a")
