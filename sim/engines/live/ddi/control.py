"""The control side of DDI servers: publish a package to a fleet, start a rollout, read the server's own states."""

from __future__ import annotations

import json as jsonlib
import ssl as tls
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import aiohttp

from sim.engines.live.ddi.ddi_target import PASSWORD, USER, DdiTarget
from sim.engines.live.ddi.device_states import Counters
from sim.errors import FotasimError

TIMEOUT_S = 120.0
MAX_ANSWER_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Release:
    """One component's package, as published: `data` is the payload, servers that want a container wrap it."""

    component: str
    version: str
    data: bytes
    board: str
    hardware: Sequence[str]


@dataclass(frozen=True, slots=True)
class Group:
    """A rollout's group: share of those left in percent, and the thresholds that end it."""

    name: str
    percent: float
    success_percent: int
    error_percent: int


@dataclass(frozen=True, slots=True)
class Action:
    """What a rollout's actions are: forced, soft, timeforced (from `force_after_s` on) or downloadonly."""

    kind: str = "forced"
    force_after_s: float = 0.0


FORCED = Action()


class Control(Protocol):
    """What both servers can do."""

    async def __aenter__(self) -> Self:
        """Logs in."""

    async def __aexit__(self, *_: object) -> None:
        """Frees the connection."""

    async def register(self, names: Sequence[str], token: str) -> None:
        """Creates the targets; `token` is their security token, {id} in it a target's name, "" for none."""

    async def publish(self, release: Release) -> int:
        """Uploads the package; its number."""

    async def start(self, name: str, package: int, groups: Sequence[Group], action: Action = FORCED) -> int:
        """Creates and starts a rollout of it; the rollout's number."""

    async def states(self, doubted: Collection[str] = ()) -> dict[str, str]:
        """State of every device, in the vocabulary of the reconciliation; those `doubted` are looked at closely."""

    async def counters(self, rollout: int | None) -> Counters | None:
        """What the server counted of a rollout (None: its newest), or None where it has none."""


def control_of(target: DdiTarget, context: tls.SSLContext) -> Control | None:
    """The control side of the target's server, or None when it is not known or has no credentials."""
    from sim.engines.live.ddi.goosebit_api import Goosebit
    from sim.engines.live.ddi.hawkbit_api import Hawkbit

    kinds: dict[str, type[Goosebit] | type[Hawkbit]] = {"goosebit": Goosebit, "hawkbit": Hawkbit}
    kind = kinds.get(target.server)
    return kind(Api(target, context)) if kind is not None and target.user else None


class Api:
    """JSON requests to a management API."""

    def __init__(self, target: DdiTarget, context: tls.SSLContext) -> None:
        self.target = target
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context), timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)
        )

    async def ask(
        self, method: str, path: str, *, json: Any = None, form: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The answer's JSON, None for an empty one. FotasimError with the server's words when it refuses."""
        url = self.target.url + path
        try:
            async with self._session.request(
                method, url, json=json, data=form, headers=headers, allow_redirects=False
            ) as answer:
                body = await answer.content.read(MAX_ANSWER_BYTES)
                while not answer.content.at_eof() and len(body) < MAX_ANSWER_BYTES:
                    body += await answer.content.read(MAX_ANSWER_BYTES - len(body))
                if answer.status in (401, 403):
                    raise FotasimError(f"{url}: HTTP {answer.status}; {USER} and {PASSWORD} are the server's login")
                if answer.status >= 300:
                    raise FotasimError(f"{method} {url}: HTTP {answer.status}: {body[:300].decode(errors='replace')}")
                return jsonlib.loads(body) if body.strip() else None
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise FotasimError(f"{url}: the server cannot be asked: {str(error) or type(error).__name__}") from None

    async def close(self) -> None:
        """Frees the connection."""
        await self._session.close()
