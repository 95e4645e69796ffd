"""The control side of DDI servers: publish a package to a fleet, start a rollout, read the server's own states."""

from __future__ import annotations

import ssl as tls
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self

import aiohttp

from sim.engines.live.client_reasons import reason_of
from sim.engines.live.ddi.ddi_target import PASSWORD, USER, DdiTarget
from sim.engines.live.ddi.device_states import Counters, DeviceState
from sim.engines.live.json_documents import parsed
from sim.errors import FotasimError, InputError, RemoteProtocolError

if TYPE_CHECKING:
    from sim.engines.live.ddi.publication import Publication
    from sim.scenario.imports.findings import Loss

TIMEOUT_S = 120.0
MAX_ANSWER_BYTES = 64 << 20
MANAGEMENT = "the server's management API"
"""How messages call it."""


class Control(Protocol):
    """What both servers can do."""

    async def __aenter__(self) -> Self:
        """Logs in."""

    async def __aexit__(self, *_: object) -> None:
        """Frees the connection."""

    async def differences(self, publication: Publication) -> list[Loss]:
        """Settings of the server (its polling time, its switches) under which the rollout would be another one."""

    async def register(self, publication: Publication, token: str) -> None:
        """Creates the targets that are not there yet; `token` is their security token, {id} in it a target's name."""

    async def upload(self, publication: Publication) -> int:
        """Uploads the packages, or finds the same bytes there; the number of what a rollout hands out."""

    async def create(self, publication: Publication, package: int) -> int:
        """Creates the rollout and waits until the server has cut its groups; the rollout's number."""

    async def stored(self, publication: Publication, rollout: int) -> list[str]:
        """Reads the rollout back: where it differs from the publication, in words."""

    async def start(self, rollout: int) -> None:
        """Starts a rollout and waits until it runs: devices that ask before find nothing."""

    async def states(self, names: Collection[str] = (), rollout: int | None = None) -> dict[str, DeviceState]:
        """State of every device in a rollout (hawkBit; goosebit keeps one state), in the reconciliation's vocabulary."""

    async def finished(self, prefix: str, names: Collection[str]) -> int:
        """How many devices whose names begin so, `names` all of them, have an action that ended in success, whatever the rollout."""

    async def counters(self, rollout: int | None) -> Counters | None:
        """What the server counted of a rollout, or None where it has none."""

    async def rollouts(self) -> list[tuple[int, str]]:
        """Number and name of every rollout there, the newest last."""


async def judged(control: Control, plan: int | None, name: str) -> tuple[int | None, str]:
    """Which rollout a run is judged by, and how it is called: the plan's number, else the newest of the plan's name.

    InputError naming those that are there where none is the plan's.
    """
    there = await control.rollouts()
    if plan is not None:
        found = [title for number, title in there if number == plan]
        if not found:
            raise InputError(f"--plan {plan}: the server has no rollout of this number; it has {_listed(there)}")
        return plan, f"rollout {plan} {found[0]!r}"
    mine = [number for number, title in there if title == name]
    if not mine:
        raise InputError(
            f"the server has no rollout named {name!r} (plan.name); it has {_listed(there)}: give --plan NUMBER"
        )
    return mine[-1], f"rollout {mine[-1]} {name!r}"


def _listed(rollouts: list[tuple[int, str]]) -> str:
    shown = ", ".join(f"{number} {title[:60]!r}" for number, title in rollouts[-5:][::-1])
    return f"{shown}{', and older ones' if len(rollouts) > 5 else ''}" if rollouts else "none"


def control_of(target: DdiTarget, context: tls.SSLContext) -> Control | None:
    """The control side of the target's server, or None when it is not known or has no credentials."""
    from sim.engines.live.ddi.goosebit_api import Goosebit
    from sim.engines.live.ddi.hawkbit_api import Hawkbit

    kinds: dict[str, type[Goosebit] | type[Hawkbit]] = {"goosebit": Goosebit, "hawkbit": Hawkbit}
    kind = kinds.get(target.server)
    return kind(Api(target, context)) if kind is not None and target.user else None


class Refused(FotasimError):
    """A management API refuses a request with an HTTP status."""

    def __init__(self, asked: str, status: int, words: str) -> None:
        self.status = status
        super().__init__(f"{asked}: HTTP {status}: {words}")


class WrongLogin(InputError):
    """A management API does not let us in."""


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
                    raise WrongLogin(f"{url}: HTTP {answer.status}; {USER} and {PASSWORD} are the server's login")
                if answer.status >= 300:
                    raise Refused(f"{method} {url}", answer.status, body[:300].decode(errors="replace"))
                return parsed(body) if body.strip() else None
        except aiohttp.ClientConnectorCertificateError as error:
            raise FotasimError(
                f"{url}: the server cannot be asked: {reason_of(error)}; name the file of certificates to trust with --ca"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FotasimError(f"{url}: the server cannot be asked: {reason_of(error)}") from None
        except RemoteProtocolError as error:
            raise FotasimError(f"{url}: the server's answer cannot be used: {error}") from None

    async def close(self) -> None:
        """Frees the connection."""
        await self._session.close()
