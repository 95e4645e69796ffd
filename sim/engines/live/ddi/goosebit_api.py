"""goosebit's own API: it wants .swu packages, has one feed per rollout and no groups."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from sim.engines.live.ddi import device_states as rec
from sim.engines.live.ddi.control import Api
from sim.engines.live.ddi.device_states import Counters, DeviceState
from sim.engines.live.ddi.hawkbit_bodies import artifact_name
from sim.engines.live.ddi.publication import Publication
from sim.engines.live.ddi.swu import swu
from sim.errors import FotasimError
from sim.scenario.imports.findings import Loss

FEED = "default"
MAX_TOKEN_CHARS = 32
_STATES = {
    "Unknown": rec.UNKNOWN, "Registered": rec.REGISTERED, "Running": rec.RUNNING, "Error": rec.ERROR,
    "Finished": rec.FINISHED, "None": rec.UNKNOWN,
}  # fmt: skip


class Goosebit:
    """See Control."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._headers: dict[str, str] = {}
        self._sent: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        login = {"username": self._api.target.user, "password": self._api.target.password}
        try:
            answer = await self._api.ask("POST", "/login", form=login)
            token = answer["access_token"]
        except (KeyError, TypeError):
            await self._api.close()
            raise FotasimError(f"{self._api.target.url}/login: no access_token in the answer") from None
        except BaseException:
            await self._api.close()
            raise
        self._headers = {"Authorization": f"Bearer {token}"}
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()

    async def differences(self, publication: Publication) -> list[Loss]:  # noqa: ARG002 - its settings cannot be asked
        """See Control."""
        return []

    async def register(self, publication: Publication, token: str) -> None:
        """See Control."""
        for name in publication.targets:
            own = token.replace("{id}", name)
            if len(own) > MAX_TOKEN_CHARS:
                raise FotasimError(f"goosebit keeps tokens of at most {MAX_TOKEN_CHARS} characters")
            body = {"devices": [name], "feed": FEED, "software": "rollout", **({"auth_token": own} if own else {})}
            await self._ask("PUT", "/api/v1/devices", json=body)

    async def upload(self, publication: Publication) -> int:
        """See Control: a .swu, which the server keeps under its hash."""
        release = publication.releases[0]
        form = aiohttp.FormData()
        package = swu(release.version, release.data, release.board, release.hardware)
        form.add_field("file", package, filename=artifact_name(release))
        return int((await self._ask("PUT", "/api/v1/software", form=form))["id"])

    async def create(self, publication: Publication, package: int) -> int:
        """See Control: a rollout runs as soon as it exists."""
        self._sent = rollout_body(publication, package)
        return int((await self._ask("PUT", "/api/v1/rollouts", json=self._sent))["id"])

    async def stored(self, publication: Publication, rollout: int) -> list[str]:  # noqa: ARG002
        """See Control."""
        found = next((r for r in await self._rollouts() if r["id"] == rollout), None)
        if found is None:
            return ["the rollout is not there"]
        return [
            f"the rollout's {key} is {found[key]!r}, {sent!r} was sent"
            for key, sent in self._sent.items()
            if key in found and found[key] != sent
        ]

    async def start(self, rollout: int) -> None:
        """See Control."""
        found = next((r for r in await self._rollouts() if r["id"] == rollout), {})
        if found.get("paused"):
            raise FotasimError(f"rollout {rollout} is paused at the server")

    async def states(self, names: Collection[str] = (), rollout: int | None = None) -> dict[str, DeviceState]:  # noqa: ARG002
        """See Control: it keeps one state of each device, whatever the rollout."""
        devices = (await self._ask("GET", "/api/v1/devices"))["devices"]
        return {str(d["id"]): DeviceState(_STATES.get(str(d["last_state"]), rec.UNKNOWN)) for d in devices}

    async def finished(self, prefix: str, names: Collection[str]) -> int:  # noqa: ARG002
        """See Control."""
        states = await self.states()
        return sum(s.state == rec.FINISHED for name, s in states.items() if name.startswith(prefix))

    async def log(self, name: str) -> str:
        """What a device reported in the details of its feedback, as the server keeps it."""
        return str((await self._ask("GET", f"/api/v1/devices/{quote(name, safe='')}/log"))["log"] or "")

    async def counters(self, rollout: int | None) -> Counters | None:
        """See Control."""
        found = [r for r in await self._rollouts() if rollout in (None, r["id"])]
        if not found:
            return None
        newest = max(found, key=lambda r: int(r["id"]))
        return Counters(f"rollout {newest['id']}", int(newest["success_count"]), int(newest["failure_count"]))

    async def rollouts(self) -> list[tuple[int, str]]:
        """See Control."""
        return sorted((int(r["id"]), str(r.get("name", ""))) for r in await self._rollouts())

    async def _rollouts(self) -> list[dict[str, Any]]:
        return list((await self._ask("GET", "/api/v1/rollouts"))["rollouts"])

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        return await self._api.ask(method, path, headers=self._headers, **given)


def rollout_body(publication: Publication, package: Any) -> dict[str, Any]:
    """A rollout of an uploaded package to every device of the feed."""
    return {"name": publication.name, "feed": FEED, "software_id": package}
