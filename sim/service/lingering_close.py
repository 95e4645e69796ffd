"""Ends a connection so that the other side can read the last answer (a lingering close, RFC 9112, 9.6).

A socket that is closed while input waits, or before input that is still under way, is reset, and a reset may overtake
or void the answer: a refusal would read "connection reset" instead of its reason.
"""

from __future__ import annotations

import asyncio

LINGER_S = 5.0
"""What the other side still sends is taken and thrown away for this long after it took the last of the answer."""


class LingeringClose:
    """The end of one connection: no more is written, what comes in is for nobody, and it closes when the other side does."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None
        try:
            if not transport.can_write_eof():  # TLS has an end of its own, which waits for the other side's
                transport.close()
                return
            transport.write_eof()
            if not transport.is_reading():
                transport.resume_reading()
        except (OSError, RuntimeError):  # the other side has reset it already
            transport.abort()
            return
        self._wait()

    def over(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        unsent = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, self._look, unsent)

    def _look(self, unsent_before: int) -> None:
        if 0 < self._transport.get_write_buffer_size() < unsent_before:
            self._wait()  # a slow client takes its answer still
        else:
            self._transport.abort()
