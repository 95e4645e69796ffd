"""Opening a connection, from a given source address if one is asked for."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from collections.abc import Callable

IP_BIND_ADDRESS_NO_PORT = 24
"""Linux: the port is chosen when connecting, per destination. Chosen by bind it has to be free everywhere, and with
ten thousand connections the kernel spends milliseconds on each search."""


async def dial(
    make: Callable[[], asyncio.BaseProtocol], host: str, port: int, *, ssl: tls.SSLContext | None, source: str
) -> None:
    """Connects; OSError when it cannot. A source of "" leaves the choice to the host."""
    loop = asyncio.get_running_loop()
    if not source:
        await loop.create_connection(make, host, port, ssl=ssl)
        return
    bound = _bound(source)
    try:
        await loop.sock_connect(bound, (host, port))
        await loop.create_connection(make, sock=bound, ssl=ssl, server_hostname=host if ssl is not None else None)
    except BaseException:
        bound.close()
        raise


def _bound(source: str) -> socket.socket:
    """A socket with its source address, whose port is still open."""
    made = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    try:
        made.setblocking(False)
        if hasattr(socket, "SOL_IP"):
            made.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        made.bind((source, 0))
    except BaseException:
        made.close()
        raise
    return made
