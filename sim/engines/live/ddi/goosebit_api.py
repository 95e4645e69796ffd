"""goosebit's own API: it wants .swu packages, has one feed per rollout and no groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from sim.engines.live.ddi import device_states as rec
from sim.engines.live.ddi.control import FORCED, Action, Api, Group, Release
from sim.engines.live.ddi.device_states import Counters
from sim.engines.live.ddi.swu import swu
from sim.errors import FotasimError

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

    async def register(self, names: Sequence[str], token: str) -> None:
        """See Control."""
        for name in names:
            own = token.replace("{id}", name)
            if len(own) > MAX_TOKEN_CHARS:
                raise FotasimError(f"goosebit keeps tokens of at most {MAX_TOKEN_CHARS} characters")
            body = {"devices": [name], "feed": FEED, "software": "rollout", **({"auth_token": own} if own else {})}
            await self._ask("PUT", "/api/v1/devices", json=body)

    async def publish(self, release: Release) -> int:
        """See Control."""
        form = aiohttp.FormData()
        package = swu(release.version, release.data, release.board, release.hardware)
        form.add_field("file", package, filename=f"{release.component}-{release.version}.swu")
        return int((await self._ask("PUT", "/api/v1/software", form=form))["id"])

    async def start(self, name: str, package: int, groups: Sequence[Group], action: Action = FORCED) -> int:
        """See Control."""
        if action != FORCED:
            raise FotasimError(f"goosebit's actions are forced: {action.kind} cannot be published there")
        if len(groups) > 1:
            raise FotasimError("goosebit has no groups: it offers a rollout to every device at once")
        answer = await self._ask("PUT", "/api/v1/rollouts", json={"name": name, "feed": FEED, "software_id": package})
        return int(answer["id"])

    async def states(self, doubted: Collection[str] = ()) -> dict[str, str]:  # noqa: ARG002 - its states are plain
        """See Control."""
        devices = (await self._ask("GET", "/api/v1/devices"))["devices"]
        return {str(d["id"]): _STATES.get(str(d["last_state"]), rec.UNKNOWN) for d in devices}

    async def log(self, name: str) -> str:
        """What a device reported in the details of its feedback, as the server keeps it."""
        return str((await self._ask("GET", f"/api/v1/devices/{quote(name, safe='')}/log"))["log"] or "")

    async def counters(self, rollout: int | None) -> Counters | None:
        """See Control."""
        rollouts = (await self._ask("GET", "/api/v1/rollouts"))["rollouts"]
        found = [r for r in rollouts if rollout in (None, r["id"])]
        if not found:
            return None
        newest = max(found, key=lambda r: int(r["id"]))
        return Counters(f"rollout {newest['id']}", int(newest["success_count"]), int(newest["failure_count"]))

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        return await self._api.ask(method, path, headers=self._headers, **given)
