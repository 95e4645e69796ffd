"""The question before a run whether an endpoint hands out device secrets, or is a broker that nobody answers behind."""

from __future__ import annotations

import asyncio
import secrets

from sim.engines.live.link import Link, Links
from sim.errors import RemoteProtocolError
from sim.wire.quecthing import commands, frame
from sim.wire.quecthing.client import CONFIG_TIMEOUT_S, QuecThingClient


class Bootstrap:
    """One module bootstraps before the run: whether anybody hands out secrets there, so that no login waits in vain.

    What it got is the module's; a connection that fails, or is refused, leaves the question to the run.
    """

    def __init__(self, links: Links, session: QuecThingClient) -> None:
        self.done: asyncio.Future[None] = links.loop.create_future()
        self._session, self._timer = session, links.loop.call_later(CONFIG_TIMEOUT_S, self._unanswered)
        self._up = False
        password = session.password(secrets.token_hex(8))
        self._link = links.dial(self, session.name, password, session.subscription)

    def on_up(self, link: Link) -> None:  # noqa: ARG002
        """See LinkOwner."""
        self._up = True
        self._timer.cancel()
        self._timer = self.done.get_loop().call_later(CONFIG_TIMEOUT_S, self._unanswered)

    def on_message(self, link: Link, topic: str, payload: bytes) -> None:  # noqa: ARG002
        """See LinkOwner."""
        try:
            opened = frame.decode(payload)
            if opened.command == commands.CONFIG:
                self._session.secret = commands.decode_config(opened.payload).device_secret
                self._session.hand_out.answered()
                self._end()
            elif opened.command == commands.EXCEPTION:  # refused by somebody who hands out secrets
                self._session.hand_out.answered()
                self._end()
        except RemoteProtocolError:
            self._end()

    def on_acknowledged(self, link: Link, packet_id: int) -> None:
        """See LinkOwner: nothing was published."""

    def on_down(self, link: Link, code: int) -> None:  # noqa: ARG002
        """See LinkOwner."""
        self._end()

    def _unanswered(self) -> None:
        if self._up:
            self._session.hand_out.unanswered()
        self._end()

    def _end(self) -> None:
        self._timer.cancel()
        self._session.bootstrapping = False
        self._link.close()
        if not self.done.done():
            self.done.set_result(None)


__all__ = ["Bootstrap"]
