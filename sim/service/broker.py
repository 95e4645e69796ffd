"""The cloud behind an existing broker: it subscribes to what modules publish, and acknowledges only what is stored.

The broker lets modules in, so passwords and connections are not seen here: a device that speaks is created when it is
unknown, and counts as online until it has been silent for long. Devices bring their secret; a bootstrap needs the
cloud's own endpoint. The broker delivers at least once: a report that it repeats is told by its identity and counted once.
"""

from __future__ import annotations

import asyncio
import ssl as tls
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import aiomqtt

from sim.errors import FotasimError
from sim.service.errors import StoreFailing
from sim.service.gateway import Abusive, Gateway

UPLINKS = "q/2/d/+/+"
UPLINK_QOS = 1
"""What is acknowledged only when it is stored must be QoS 1 here: of QoS 2 the client library acknowledges the first
half by itself, and a message whose halves a crash separates would be lost."""
IDENTIFIER = "fotasim-cloud"
SILENT_S = 300.0
RECONNECT_S = 1.0
SWEEP_S = 10.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class _Client(aiomqtt.Client):
    """aiomqtt's client, which watches a socket only while it is its own.

    aiomqtt lets the loop watch a socket by its number a moment later: by then it may be closed, and the number another
    connection's.
    """

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ARG002 - paho's names
        def watch() -> None:
            if client.socket() is sock:
                attempt(self._loop.add_writer, sock.fileno(), partial(attempt, client.loop_write))

        def attempt(call: Callable[..., object], *arguments: object) -> None:
            try:
                call(*arguments)
            except Exception as error:  # uvloop gives up a socket that was reset: nothing of it would be heard any more
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)
                client._sock_close()

        self._loop.call_soon_threadsafe(watch)


class Broker:
    """A transport over somebody else's broker. `url` is mqtt://[user:password@]host[:port], or mqtts://."""

    def __init__(self, url: str, gateway: Gateway, *, on_state: Callable[[str], None] = lambda _text: None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise FotasimError("--broker: write mqtt://HOST:PORT or mqtts://HOST:PORT")
        self.gateway, self.on_state = gateway, on_state
        self.shown = f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"
        self._options: dict[str, Any] = {
            "hostname": parts.hostname, "port": parts.port or _PORTS[parts.scheme],
            "username": unquote(parts.username) if parts.username else None,
            "password": unquote(parts.password) if parts.password else None,
            "tls_context": tls.create_default_context() if parts.scheme == "mqtts" else None,
        }  # fmt: skip
        self._client: aiomqtt.Client | None = None
        self._heard: dict[str, float] = {}
        self._repeated: set[int] = set()
        """MQTT packet ids of messages that the broker has sent before."""
        self._unsent: tuple[str, bytes, int] | None = None
        self._sending: asyncio.Queue[tuple[str, bytes, int]] = asyncio.Queue()

    async def run(self) -> None:
        """Stays connected until cancelled; the broker keeps what comes while it is not."""
        self._heard = dict.fromkeys(self.gateway.resume(), time.monotonic())
        while True:
            try:
                async with self._connected() as client:
                    self._client = client
                    self.on_state("")
                    await self._work(client)
            except aiomqtt.MqttError as error:
                self.on_state(str(error) or "the broker is away")
            except StoreFailing as error:
                self.on_state(f"left until the store is back: {error}")  # then it delivers again what was not stored
            except Exception as error:
                reference = self.gateway.cloud.trouble.report("the broker's client", error)
                self.on_state(f"an error inside, reference {reference}")
            self._client = None
            await asyncio.sleep(RECONNECT_S)
            while self.gateway.cloud.journal.failing:
                await asyncio.sleep(RECONNECT_S)

    async def _work(self, client: aiomqtt.Client) -> None:
        """Receives and sends until one of them fails; raises its error."""
        tasks = [asyncio.ensure_future(work) for work in (self._receive(client), self._send(client), self._sweep())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._client = None
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=RECONNECT_S)  # the client may take its time over a dead connection
        for task in done:
            task.result()

    def _connected(self) -> aiomqtt.Client:
        """A lasting session with manual acknowledgement: what is not stored comes again."""
        client = _Client(**self._options, identifier=IDENTIFIER, clean_session=False, max_queued_incoming_messages=0)
        client._client.manual_ack_set(True)
        self._repeated.clear()
        deliver: Any = client._client.on_message

        def mark(paho: Any, userdata: Any, message: Any) -> None:
            if message.dup:
                self._repeated.add(message.mid)
            deliver(paho, userdata, message)

        client._client.on_message = mark
        return client

    async def _receive(self, client: aiomqtt.Client) -> None:
        await client.subscribe(UPLINKS, qos=UPLINK_QOS)
        async for message in client.messages:
            if self.gateway.cloud.journal.failing:
                raise StoreFailing(self.gateway.cloud.journal.failing)
            stored = self._take(message)
            if stored is None:
                self._acknowledge(client, message)
            else:
                stored.add_done_callback(partial(self._acknowledge, client, message))

    def _take(self, message: aiomqtt.Message) -> asyncio.Future[None] | None:
        """Hands a message over; one that only raises is counted and dropped, or it would come for ever.

        What the broker retained was said once and is repeated at every subscription: it is no news.
        """
        if message.retain:
            return None
        topic = str(message.topic)
        client_id = topic.split("/")[3]
        repeated = message.mid in self._repeated
        self._repeated.discard(message.mid)
        payload = message.payload if isinstance(message.payload, bytes) else b""
        try:
            if not self.gateway.adopt(client_id, repeated, message.mid):
                return None
            self._heard[client_id] = time.monotonic()
            return self.gateway.on_message(client_id, topic, payload)
        except Abusive:
            self.drop(client_id)  # the connection is the broker's; its next message opens a new session
            return None
        except Exception as error:
            self.gateway.cloud.trouble.report("a module's message", error)
            return None

    def _acknowledge(self, client: aiomqtt.Client, message: aiomqtt.Message, _done: object = None) -> None:
        if client is self._client and message.qos:
            client._client.ack(message.mid, message.qos)

    async def _send(self, client: aiomqtt.Client) -> None:
        while client is self._client:
            self._unsent = self._unsent or await self._sending.get()
            await client.publish(*self._unsent)
            self._unsent = None

    async def _sweep(self) -> None:
        """Modules that have long been silent are taken for gone."""
        while True:
            await asyncio.sleep(SWEEP_S)
            limit = time.monotonic() - SILENT_S
            for client_id in [c for c, heard in self._heard.items() if heard < limit]:
                self.drop(client_id)

    def publish(self, _client_id: str, topic: str, payload: bytes, qos: int = 1) -> bool:
        """Queues a message; the broker knows whether its module is there."""
        self._sending.put_nowait((topic, payload, qos))
        return True

    def drop(self, client_id: str) -> None:
        """Forgets a module; its connection is the broker's."""
        self._heard.pop(client_id, None)
        self.gateway.on_disconnect(client_id)
