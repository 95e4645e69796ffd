"""`ModuleUser` tells failures by the reasons of every other client, and its token to nobody but the cloud."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import pytest

from sim.engines.live.fetch import check_url
from sim.engines.live.live_target import Limits, Target
from sim.engines.world.build import build
from sim.load.locust_workers.blocking_module import BlockingModule
from tests.hostile_proxy import LINGER_RESET
from tests.live_cloud import PRODUCT_KEY, PRODUCT_SECRET
from tests.support import HARMLESS, scenario

FLEET = scenario(*HARMLESS, "fleet.size=1", "fleet.groups.0.power=mains", "fleet.groups.0.check_in=always")
READY = b"\x20\x02\x00\x00\x90\x03\x00\x01\x01"


@contextmanager
def answering(answer, *, then_reset=False):
    """A port where the first words of every client are answered with these bytes; then the connection ends."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                if then_reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def first_failure(port, *, secure=False):
    """Step and reason of the first failure of a module that connects there."""
    failures = []

    def measure(leg, seconds, reason):
        if seconds is None:
            failures.append((leg, reason))
            module.stopped = True

    target = Target("127.0.0.1", port, secure, PRODUCT_KEY, PRODUCT_SECRET)
    target.hand_out.known = False
    module = BlockingModule(build(FLEET).modules[0], target, "fw", measure)
    module.run()
    return failures[0]


@pytest.mark.parametrize(
    ("answer", "then_reset", "failure"),
    [
        (b"\x20\x02\x00\x05", False, ("login", "login refused (CONNACK 5: not authorized)")),
        (b"\x20\x02\x00\x03", False, ("login", "server unavailable (CONNACK 3)")),
        (b"\x20\x02\x00\x00\x90\x03\x00\x01\x80", False, ("login", "subscription refused")),
        (b"\xff\xff\xff\xff\xff\xff", False, ("login", "protocol error, the server's: a remaining length of more than four bytes")),
        (b"", False, ("login", "closed by peer")),
        (b"", True, ("login", "connection reset")),
    ],
)  # fmt: skip
def test_a_login_that_fails_has_the_reason_of_every_client(answer, then_reset, failure):
    with answering(answer, then_reset=then_reset) as port:
        assert first_failure(port) == failure


def test_nobody_there_is_refused():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert first_failure(taken.getsockname()[1]) == ("connect", "connection refused")


def test_a_session_that_ends_says_by_whom():
    with answering(READY) as port:
        assert first_failure(port)[1] in ("closed by peer", "connection reset")  # by whether something was unread


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "login refused (HTTP 401)"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.1 206 P\r\nContent-Length: 9\r\n\r\nabc", "closed by peer before the last byte"),
        (b"HTTP/1.1 302 F\r\nLocation: http://192.0.2.1/x\r\nContent-Length: 0\r\n\r\n", "host not allowed: 192.0.2.1"),
        (b"nonsense\r\n\r\n", "protocol error, the server's: the answer is not HTTP/1.1 or 1.0"),
    ],
)
def test_a_download_that_fails_has_the_reason_of_every_client(answer, reason):
    module = BlockingModule(
        build(FLEET).modules[0], Target("127.0.0.1", 1, False, PRODUCT_KEY, PRODUCT_SECRET), "fw", print
    )
    module.allow(lambda url: check_url(url, Limits()))
    with answering(answer) as port:
        file = SimpleNamespace(url=f"http://127.0.0.1:{port}/f", size_bytes=9, md5="0" * 32)
        module._url = SimpleNamespace(files=[file])
        cause = module._transfer(0, 9)
    assert cause is not None
    assert cause[1] == reason


FIND = """\
import sys
from sim.engines.live.live_target import Limits
from sim.errors import FotasimError
from sim.load.locust_workers.module_user import find

try:
    find(sys.argv[1], Limits(), None)
except FotasimError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("status", "location", "body", "words"),
    [
        (302, "{own}/elsewhere", "", "the cloud answered HTTP 302"), (401, "", "", "the cloud answered HTTP 401"),
        (200, "", "[1]", "the cloud's answer cannot be used: the answer: an object is needed"),
        (200, "", "[" * 50_000, "the cloud's answer cannot be used: the answer is not JSON"),
        (200, "", '{"mqtt": 5}', "mqtt in the cloud's answer: mqtt://HOST:PORT, mqtts://HOST:PORT is needed"),
    ],
)  # fmt: skip
def test_what_the_cloud_answers_a_user_is_told_and_redirects_are_not_followed(status, location, body, words):
    """In a process of its own: Locust patches sockets."""
    import subprocess
    import sys

    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(status)
            if location:
                self.send_header("Location", location.format(own=f"http://127.0.0.1:{server.server_port}"))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        done = subprocess.run(
            [sys.executable, "-c", FIND, url], capture_output=True, text=True, timeout=90, check=False
        )
        server.shutdown()
        thread.join()
    assert words in done.stdout, done.stderr
    assert asked == ["/api/v1/live"]
