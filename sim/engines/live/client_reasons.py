"""Why a request over aiohttp had no answer, in the words of all clients."""

from __future__ import annotations

import aiohttp

from sim.engines.live import failure_reasons
from sim.errors import LocalProtocolError, RemoteProtocolError


def reason_of(error: Exception) -> str:
    """A connection that never came is told from an answer that did not."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return failure_reasons.CLOSED
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"{failure_reasons.CLOSED} in mid-answer"
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return failure_reasons.NO_ANSWER
    if isinstance(error, aiohttp.InvalidURL):
        return failure_reasons.of_protocol(LocalProtocolError(str(error)))
    if isinstance(error, aiohttp.ClientResponseError):
        return failure_reasons.of_protocol(RemoteProtocolError(error.message))
    return failure_reasons.of_error(error)


__all__ = ["reason_of"]
