"""hawkBit's management API: targets, software module, distribution set, rollout with groups and thresholds."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Collection, Sequence
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from sim.engines.live.ddi import device_states as rec
from sim.engines.live.ddi.control import FORCED, Action, Api, Group, Release
from sim.engines.live.ddi.device_states import Counters
from sim.errors import FotasimError

PAGE = 500
MAX_PAGES = 200
CREATION_S = 120.0
_STATES = {
    "unknown": rec.UNKNOWN, "registered": rec.REGISTERED, "pending": rec.RUNNING, "error": rec.ERROR,
    "in_sync": rec.FINISHED,
}  # fmt: skip
FIELD = "name==fotasim-*"
"""Targets made here carry this name, so that a rollout does not reach others of the tenant."""


class Hawkbit:
    """See Control."""

    def __init__(self, api: Api) -> None:
        self._api = api
        login = f"{api.target.user}:{api.target.password}".encode()
        self._headers = {"Authorization": "Basic " + b64encode(login).decode("ascii")}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()

    async def allow(self, key: str, value: object) -> None:
        """Sets a configuration key of the tenant, such as authentication.targettoken.enabled or pollingTime."""
        await self._ask("PUT", f"/rest/v1/system/configs/{key}", json={"value": value})

    async def register(self, names: Sequence[str], token: str) -> None:
        """See Control."""
        for start in range(0, len(names), PAGE):
            body = [
                {"controllerId": name, "name": f"fotasim-{name}",
                 **({"securityToken": token.replace("{id}", name)} if token else {})}
                for name in names[start : start + PAGE]
            ]  # fmt: skip
            await self._ask("POST", "/rest/v1/targets", json=body)

    async def publish(self, release: Release) -> int:
        """See Control: a software module with its artifact, in a distribution set, whose number it gives."""
        named = {"name": release.component, "version": release.version, "type": "os"}
        module = int((await self._ask("POST", "/rest/v1/softwaremodules", json=[named]))[0]["id"])
        form = aiohttp.FormData()
        form.add_field("file", release.data, filename=f"{release.component}-{release.version}.bin")
        await self._ask("POST", f"/rest/v1/softwaremodules/{module}/artifacts", form=form)
        made = await self._ask("POST", "/rest/v1/distributionsets", json=[{**named, "modules": [{"id": module}]}])
        return int(made[0]["id"])

    async def start(self, name: str, package: int, groups: Sequence[Group], action: Action = FORCED) -> int:
        """See Control."""
        body = {
            "name": name, "distributionSetId": package, "targetFilterQuery": FIELD, "type": action.kind,
            "groups": [_group(g) for g in groups],
        }  # fmt: skip
        if action.kind == "timeforced":
            body["forcetime"] = time.time_ns() // 1_000_000 + int(1000.0 * action.force_after_s)
        rollout = int((await self._ask("POST", "/rest/v1/rollouts", json=body))["id"])
        await self._until(rollout, "ready")
        await self._ask("POST", f"/rest/v1/rollouts/{rollout}/start")
        return rollout

    async def _until(self, rollout: int, status: str) -> None:
        found = ""
        for _ in range(int(CREATION_S)):
            found = str((await self._ask("GET", f"/rest/v1/rollouts/{rollout}"))["status"])
            if found == status:
                return
            await asyncio.sleep(1.0)
        raise FotasimError(f"rollout {rollout} is {found!r} and not {status!r} after {CREATION_S:.0f} s")

    async def states(self, doubted: Collection[str] = ()) -> dict[str, str]:
        """See Control.

        A target whose action was cancelled is in_sync again, with what it had before; its last action tells.
        """
        found: dict[str, str] = {}
        for page in range(MAX_PAGES):
            query = f"/rest/v1/targets?limit={PAGE}&offset={page * PAGE}&sort=controllerId:ASC"
            targets = (await self._ask("GET", query))["content"]
            found.update({str(t["controllerId"]): _STATES.get(str(t["updateStatus"]), rec.UNKNOWN) for t in targets})
            if len(targets) < PAGE:
                break
        for name in sorted(name for name in doubted if found.get(name) == rec.FINISHED):
            found[name] = await self._ended(name)
        return found

    async def _ended(self, name: str) -> str:
        """How the last action of a target that is in_sync has ended."""
        query = f"/rest/v1/targets/{quote(name, safe='')}/actions?limit=1&sort=id:DESC"
        actions = (await self._ask("GET", query))["content"]
        if not actions:
            return rec.REGISTERED
        last = actions[0]
        canceled = (
            str(last.get("detailStatus", "canceled" if last.get("type") == "cancel" else "")).lower() == "canceled"
        )
        return rec.CANCELED if canceled else rec.FINISHED

    async def counters(self, rollout: int | None) -> Counters | None:
        """See Control."""
        if rollout is None:
            rollouts = (await self._ask("GET", "/rest/v1/rollouts?limit=1&sort=id:DESC"))["content"]
            if not rollouts:
                return None
            rollout = int(rollouts[0]["id"])
        found = await self._ask("GET", f"/rest/v1/rollouts/{rollout}?representation=full")
        counts = found.get("totalTargetsPerStatus", {})
        return Counters(f"rollout {rollout}", counts.get("finished"), counts.get("error"))

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        return await self._api.ask(method, path, headers=self._headers, **given)


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name, "targetPercentage": group.percent,
        "successCondition": {"condition": "THRESHOLD", "expression": str(group.success_percent)},
        "successAction": {"action": "NEXTGROUP", "expression": ""},
        "errorCondition": {"condition": "THRESHOLD", "expression": str(group.error_percent)},
        "errorAction": {"action": "PAUSE", "expression": ""},
    }  # fmt: skip
