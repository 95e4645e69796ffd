"""Doubles that stand between modules and a cloud and misbehave in one way each, on loopback."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from contextlib import asynccontextmanager, suppress

LINGER_RESET = struct.pack("ii", 1, 0)
"""Closing a socket with this sends RST."""


class HostileProxy:
    """Hands connections on to a port; every `nth` one, counted from 1, meets `does` instead of the server.

    `does`: reset (RST at once, which a client hears while it connects or when it logs in, as its machine is fast), reset-login (RST once the
    client has said something), close (FIN once the client has said something), stall (taken, and never a byte), garbage (bytes that are no protocol),
    reset-later (RST once the client has said something, and the server answered).
    """

    def __init__(self, to_port: int, does: str, nth: int = 2) -> None:
        self.to_port, self.does, self.nth = to_port, does, nth
        self.connections = self.hit = 0
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        """Listens; the port."""
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", 0, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]
        return self.port

    async def stop(self) -> None:
        """Ends everything."""
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.connections += 1
        try:
            if next(self._numbers) % self.nth == 0:
                self.hit += 1
                await self._misbehave(reader, writer)
            else:
                await self._hand_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            with suppress(OSError):
                writer.close()

    async def _misbehave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.does == "reset":
            reset(writer)
        elif self.does == "reset-login":
            await reader.read(65536)
            reset(writer)
        elif self.does == "close":
            await reader.read(65536)  # what is unread when a socket closes turns FIN into RST
        elif self.does == "stall":
            await asyncio.sleep(3600)
        elif self.does == "garbage":
            writer.write(b"\xff\x00 this is no protocol at all \x00\xff" * 8)
            await writer.drain()
            await asyncio.sleep(0.2)
        elif self.does == "reset-later":
            await self._hand_on(reader, writer, ends_after_bytes=1)

    async def _hand_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends_after_bytes: int = 0
    ) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self.to_port)
        up = asyncio.create_task(_copy(reader, forth))
        try:
            if ends_after_bytes:
                writer.write(await back.read(65536))
                await writer.drain()
                await asyncio.sleep(0.05)
                reset(writer)
            else:
                await _copy(back, writer)
        finally:
            up.cancel()
            forth.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN."""
    found = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    writer.transport.abort()


@asynccontextmanager
async def hostile(to_port: int, does: str, nth: int = 2):
    """A proxy that is gone afterwards."""
    made = HostileProxy(to_port, does, nth)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
