"""Starts and stops the mock cloud: store, rollouts, MQTT and HTTP in one process and one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import resource
import secrets
import socket
import ssl as tls
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import uvicorn

from sim.errors import FotasimError
from sim.messages import ToModule
from sim.service import cloud as parts
from sim.service import endpoint
from sim.service.activated_plan import Rollout
from sim.service.broker import Broker
from sim.service.cloud import Cloud
from sim.service.endpoint import Endpoint
from sim.service.faults import Faults, Injector
from sim.service.gateway import Gateway
from sim.service.handshakes import Handshakes
from sim.service.known_device import Device
from sim.service.packages.download import Downloads
from sim.service.packages.links import DEFAULT_LIFETIME_S, Links
from sim.service.packages.shelf import Shelf
from sim.service.products import Products
from sim.service.rollouts import Rollouts
from sim.service.store.claim import claim, release
from sim.service.store.journal import Journal
from sim.service.throttle import Connections
from sim.service.trouble import Trouble
from sim.service.web import app as web
from sim.service.web.connection import MAX_HEAD_BYTES, FirstHead, Limited, protocol

STOP_S = 5.0
WATCH_S = 2.0
MAX_HTTP_OF_SOURCE = 8192
RESERVED_FILES = 128
"""Descriptors kept for the store, packages and the program itself; MQTT and HTTP connections share the rest."""
SEND_BUFFER_BYTES = 128 * 1024
"""Of a download in the kernel. Without a limit Linux takes in 4 MB at once, and a download to a slow module would count
as over before it has begun."""


@dataclass(slots=True)
class Options:
    """How a mock cloud is run. Port 0 takes a free one."""

    data: Path
    db: str | None = field(default=None, repr=False)
    listen: str = "127.0.0.1"
    allow_remote: bool = False
    mqtt_port: int = 0
    http_port: int = 0
    broker: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    link_lifetime_s: float = DEFAULT_LIFETIME_S
    time_scale: float = 1.0
    faults: Faults = field(default_factory=Faults)


class Server:
    """A running mock cloud; made by `running`."""

    def __init__(self, options: Options) -> None:
        _check(options)
        self.options = options
        parts.private_folder(options.data)
        self._claims = claim(options.db or parts.store_url(options.data), options.data)  # before anything is touched
        try:
            self._open()
        except BaseException:
            release(self._claims)
            raise
        self.gateway = Gateway(self.cloud)
        self.cloud.journal.on_rejected = self.gateway.drop_device
        self.endpoint: Endpoint | None = None
        self.broker: Broker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._web: uvicorn.Server | None = None

    def _open(self) -> None:
        """Store, packages, rollouts."""
        options = self.options
        trouble = Trouble(options.data)
        database = parts.open_database(options.db, options.data)
        injector = Injector(options.faults, behind_broker=options.broker is not None)
        journal = Journal(database, trouble)
        shelf = Shelf(options.data / "packages")
        shelf.sweep(parts.named_packages(database))
        links = Links("", parts.link_key(database), options.link_lifetime_s)
        rollouts = Rollouts(database, journal, self._send, time_scale=options.time_scale, trouble=trouble)
        self.downloads = Downloads(shelf, links, injector, partial(parts.file_row, database))
        self.downloads.clock = rollouts.clock
        self.cloud = Cloud(
            database, journal, shelf, injector, links, self.downloads, options.token, rollouts, Products(database),
            trouble, clock_ahead_s=getattr(rollouts.clock, "ahead_s", 0.0),
        )  # fmt: skip

    async def start(self) -> None:
        """Opens the sockets and begins to serve."""
        context = _tls(self.options)
        asyncio.get_running_loop().set_exception_handler(self._unforeseen)
        self._run(self._watch_store())
        self._run(self.cloud.journal.run())
        self._run(self.cloud.rollouts.run())
        await self._start_http()
        await self._start_mqtt(context)

    async def _start_mqtt(self, context: tls.SSLContext | None) -> None:
        options, gateway = self.options, self.gateway
        if options.broker is not None:
            self.broker = Broker(options.broker, gateway, on_state=self._broker_state)
            gateway.transport, self.cloud.mqtt_url = self.broker, self.broker.shown
            self.cloud.hands_out_secrets = False
            self._run(self.broker.run())
            return
        self.endpoint = Endpoint(
            gateway.on_connect, gateway.on_message, gateway.on_disconnect, gateway.on_subscribe,
            may_subscribe=gateway.may_subscribe, max_connections=_connections(), trouble=self.cloud.trouble,
        )  # fmt: skip
        gateway.transport = self.endpoint
        try:
            await self.endpoint.start(options.listen, options.mqtt_port, context)
        except OSError as error:
            raise FotasimError(f"MQTT port {options.mqtt_port}: {error.strerror or error}") from None
        scheme = "mqtts" if context else "mqtt"
        self.cloud.mqtt_url = f"{scheme}://{_host(options.listen)}:{self.endpoint.port}"

    async def _start_http(self) -> None:
        options = self.options
        sock = _listen(options.listen, options.http_port)
        secure = options.tls_cert is not None
        port = sock.getsockname()[1]
        self.cloud.http_url = self.cloud.links.base = (
            f"{'https' if secure else 'http'}://{_host(options.listen)}:{port}"
        )
        application = web.with_downloads(web.build(self.cloud), self.downloads)
        self._connections = Connections(MAX_HTTP_OF_SOURCE, _connections())
        config = uvicorn.Config(
            application, http=protocol(self._connections), ws="none", lifespan="off", log_config=None, access_log=False,
            ssl_certfile=options.tls_cert, ssl_keyfile=options.tls_key, backlog=4096, server_header=False,
            timeout_graceful_shutdown=int(STOP_S), h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )  # fmt: skip
        logging.getLogger("uvicorn.error").addFilter(_quiet)
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # forms that are none are answered, not told
        self._web = _Web(config)
        self._serving = self._run(self._web.serve([sock]))
        while not self._web.started:
            self._raise_if_failed()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Closes the sockets, commits what is left, closes the store."""
        if self.endpoint is not None:
            await self.endpoint.stop()
        if self._web is not None:
            self._web.should_exit = True
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(asyncio.shield(self._serving), STOP_S + 1.0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.cloud.journal.close()
        with contextlib.suppress(FotasimError):
            self.cloud.journal.flush()
        self.cloud.database.close()
        release(self._claims)
        asyncio.get_running_loop().set_exception_handler(None)

    async def watch(self) -> None:
        """Returns when a part of the server has ended by itself, with its error."""
        await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._raise_if_failed()

    def _send(self, device: Device, rollout: Rollout, message: ToModule) -> None:
        self.gateway.send(device, rollout, message)

    def _run(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.append(task)
        return task

    async def _watch_store(self) -> None:
        """Looks whether the store can be written and is still ours; ends the server when another cloud has taken it."""
        while True:
            await asyncio.sleep(WATCH_S)
            ours = all([await asyncio.to_thread(claimed.holds) for claimed in self._claims])
            self.cloud.store_state = "" if ours else "the store is away"
            if ours:
                self.cloud.store_state = await asyncio.to_thread(self.cloud.database.ping)

    def _unforeseen(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An error in a callback of the event loop: counted and told, nothing ends."""
        error = context.get("exception")
        if error is not None and not isinstance(error, ConnectionError | TimeoutError | tls.SSLError):
            what = str(context.get("message", "")).partition(" <")[0].partition("(")[0]  # what follows may hold values
            self.cloud.trouble.report(f"the event loop: {what}", error)

    def _raise_if_failed(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception() is not None:
                raise FotasimError(f"the cloud has stopped: {task.exception()!r}") from task.exception()

    def _broker_state(self, text: str) -> None:
        self.cloud.broker_state = text


@asynccontextmanager
async def running(
    options: Options, prepare: Callable[[Server], Awaitable[None]] | None = None
) -> AsyncIterator[Server]:
    """A mock cloud that serves while the block runs."""
    server = Server(options)
    try:
        await server.start()
        if prepare is not None:
            await prepare(server)
        yield server
    finally:
        await server.stop()


class _Web(uvicorn.Server):
    """uvicorn without signal handlers: the command decides what Ctrl-C means."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens as uvicorn does, with an end to TLS handshakes that none of its options set."""
        config, loop = self.config, asyncio.get_running_loop()

        def connected() -> asyncio.Protocol:
            return FirstHead(config, self.server_state)

        self.servers = []
        self._handshakes: Handshakes | None = None
        if config.ssl is not None:
            by_source = cast("type[Limited]", config.http_protocol_class).by_source
            self._handshakes = Handshakes(connected, config.ssl, by_source, endpoint.TLS_HANDSHAKE_S)
        for sock in sockets or []:
            self.servers.append(
                await loop.create_server(self._handshakes or connected, sock=sock, backlog=config.backlog)
            )
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends as uvicorn does; who is still in a handshake is not waited for."""
        if self._handshakes is not None:
            self._handshakes.abort()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _check(options: Options) -> None:
    """Refuses to be reachable from elsewhere by accident."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if options.listen == "localhost" else options.listen)
    except ValueError:
        raise FotasimError(f"--listen {options.listen}: write an address of this machine, like 127.0.0.1") from None
    if not address.is_loopback and not options.allow_remote:
        raise FotasimError(
            f"--listen {options.listen} can be reached from elsewhere: add --allow-remote if that is meant"
        )
    if (options.tls_cert is None) != (options.tls_key is None):
        raise FotasimError("--tls-cert and --tls-key belong together")


def _tls(options: Options) -> tls.SSLContext | None:
    if options.tls_cert is None:
        return None
    context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.tls_cert, options.tls_key)
    except (OSError, tls.SSLError) as error:
        raise FotasimError(f"--tls-cert, --tls-key: {error}") from None
    return context


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # the accepted ones inherit it
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise FotasimError(f"HTTP port {port}: {error.strerror or error}") from None
    return sock


def _connections() -> int:
    """How many connections of each kind fit into what this process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, (files - RESERVED_FILES) // 2)


def _host(listen: str) -> str:
    return f"[{listen}]" if ":" in listen else listen


def _quiet(record: logging.LogRecord) -> bool:
    """What a client has done is no news: transfers that faults cut, requests that are none, wishes for a WebSocket."""
    text = record.getMessage()
    return not any(told in text for told in _NO_NEWS)


_NO_NEWS = (
    "without completing response",
    "Invalid HTTP request received",
    "Unsupported upgrade request",
    "No supported WebSocket library",
)
