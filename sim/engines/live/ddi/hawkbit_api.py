"""hawkBit's management API: targets, software modules, distribution set, rollout; its own word on each target afterwards."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Collection, Iterable
from typing import Any, Self
from urllib.parse import quote, unquote, urlsplit

import aiohttp

from sim.engines.live.ddi import device_states as rec
from sim.engines.live.ddi import hawkbit_bodies as bodies
from sim.engines.live.ddi.control import Api, Refused
from sim.engines.live.ddi.device_states import Counters, DeviceState
from sim.engines.live.ddi.publication import Publication, Release
from sim.errors import FotasimError, InputError
from sim.scenario.imports.findings import Loss
from sim.scenario.strategy import polling

PAGE = 500
MAX_PAGES = 2000
DEADLINE_S, FIRST_WAIT_S, LONGEST_WAIT_S = 180.0, 0.05, 1.0
"""A cold server takes up to 40 s to start a rollout."""
AT_ONCE = 8
CONFLICT, NOT_FOUND = 409, 404
CONFIRMATION_SWITCH = "user.confirmation.flow.enabled"
_STATES = {
    "scheduled": rec.REGISTERED, "finished": rec.FINISHED, "error": rec.ERROR, "canceled": rec.CANCELED,
}  # fmt: skip
"""By the action's detailStatus; everything else is under way."""


class Hawkbit:
    """See Control."""

    def __init__(self, api: Api) -> None:
        self._api = api
        login = f"{api.target.user}:{api.target.password}".encode()
        self._headers = {"Authorization": "Basic " + b64encode(login).decode("ascii")}
        self._sent: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()

    # --- the tenant's settings ---------------------------------------------------------------------------------------

    async def allow(self, key: str, value: object) -> None:
        """Sets a configuration key of the tenant, such as authentication.targettoken.enabled or pollingTime."""
        await self._ask("PUT", f"/rest/v1/system/configs/{key}", json={"value": value})

    async def differences(self, publication: Publication) -> list[Loss]:
        """See Control."""
        found = []
        if publication.polling_time is not None:
            tenants = await self._setting("pollingTime")
            if tenants is not None and _interval(tenants) != _interval(publication.polling_time):
                found.append(Loss(
                    "plan.strategy.delivery.polling_time", publication.polling_time, f"this tenant is polled every {tenants}",
                    "set the tenant's pollingTime, or simulate with this one",
                ))  # fmt: skip
        if publication.rollout.get("confirmationRequired") and not await self._setting(CONFIRMATION_SWITCH):
            found.append(Loss(
                "plan.strategy.delivery.confirmation", "user", f"the tenant's {CONFIRMATION_SWITCH} is off, so nobody is asked",
                "switch it on",
            ))  # fmt: skip
        return found

    async def _setting(self, key: str) -> Any:
        answer = await self._ask("GET", f"/rest/v1/system/configs/{key}")
        return answer.get("value") if isinstance(answer, dict) else None

    # --- targets -----------------------------------------------------------------------------------------------------

    async def register(self, publication: Publication, token: str) -> None:
        """See Control: targets that exist keep their tokens and get the name by which the rollout finds them.

        InputError when one of them bears a name that somebody else gave it.
        """
        there = await self._names(publication.targets)
        theirs = [n for n, name in there.items() if not name.startswith("fotasim-") and name != n]
        if theirs:
            raise InputError(
                f"{len(theirs)} targets of these ids belong to somebody else, such as {theirs[0]} ({there[theirs[0]]!r}); "
                "use a tenant of your own, or other ids"
            )
        new = [n for n in publication.targets if n not in there]
        for start in range(0, len(new), PAGE):
            page = [bodies.target(publication, n, token) for n in new[start : start + PAGE]]
            await self._create_targets(page)
        wrong = [n for n, name in there.items() if name != publication.target_name(n)]
        await _together(self._rename(n, publication.target_name(n)) for n in wrong)

    async def _names(self, wanted: Iterable[str]) -> dict[str, str]:
        """Display names of the targets among these ids that exist."""
        ids, found = set(wanted), {}
        async for target in self._pages("/rest/v1/targets?sort=controllerId:ASC"):
            if target.get("controllerId") in ids:
                found[str(target["controllerId"])] = str(target.get("name", ""))
        return found

    async def _create_targets(self, page: list[dict[str, Any]]) -> None:
        """Together; one by one where one of them came into being meanwhile (devices register themselves by polling)."""
        try:
            await self._ask("POST", "/rest/v1/targets", json=page)
        except Refused as error:
            if error.status != CONFLICT:
                raise
            await _together(self._create_or_rename(target) for target in page)

    async def _create_or_rename(self, target: dict[str, Any]) -> None:
        if not await self._unless_there("POST", "/rest/v1/targets", json=[target]):
            await self._rename(target["controllerId"], target["name"])

    async def _rename(self, controller: str, name: str) -> None:
        await self._ask("PUT", f"/rest/v1/targets/{quote(controller, safe='')}", json={"name": name})

    # --- packages ----------------------------------------------------------------------------------------------------

    async def upload(self, publication: Publication) -> int:
        """See Control: software modules with their artifacts, in a distribution set, whose number it gives."""
        modules = [await self._software_module(publication, release) for release in publication.releases]
        body = bodies.distribution_set(publication, modules)
        made = await self._unless_there("POST", "/rest/v1/distributionsets", json=[body])
        if made:
            return int(made[0]["id"])
        found = await self._named("distributionsets", body)
        held = {int(m["id"]) async for m in self._pages(f"/rest/v1/distributionsets/{found}/assignedSM?")}
        if held != set(modules):
            raise InputError(
                f"the distribution set {body['name']} {body['version']} exists with other software modules; "
                "give the release another target_version"
            )
        return found

    async def _software_module(self, publication: Publication, release: Release) -> int:
        """Number of the component's software module, with these bytes and no others."""
        body = bodies.software_module(publication, release)
        made = await self._unless_there("POST", "/rest/v1/softwaremodules", json=[body])
        module = int(made[0]["id"]) if made else await self._named("softwaremodules", body)
        path = f"/rest/v1/softwaremodules/{module}/artifacts"
        held = [] if made else await self._ask("GET", path) or []
        if [a.get("hashes", {}).get("sha256") for a in held] == [release.sha256]:
            return module
        if held:
            raise InputError(
                f"{release.component} {release.version} exists on the server with other bytes; "
                "give the release another target_version, or delete it there"
            )
        form = aiohttp.FormData()
        form.add_field("file", release.data, filename=bodies.artifact_name(release))
        await self._ask("POST", path, form=form)
        return module

    async def _named(self, kind: str, body: dict[str, Any]) -> int:
        """Number of what bears this name and version, which the server has refused to make anew."""
        query = quote(f"name=='{body['name']}';version=='{body['version']}'", safe="")
        found = (await self._ask("GET", f"/rest/v1/{kind}?limit=2&q={query}"))["content"]
        if len(found) != 1:
            raise FotasimError(f"{kind}: {body['name']} {body['version']} is there and cannot be found")
        return int(found[0]["id"])

    # --- the rollout -------------------------------------------------------------------------------------------------

    async def create(self, publication: Publication, package: int) -> int:
        """See Control."""
        self._sent = bodies.rollout(publication, package, time.time_ns() // 1_000_000)
        made = await self._unless_there("POST", "/rest/v1/rollouts", json=self._sent)
        if not made:
            raise InputError(
                f"a rollout named {publication.name!r} exists; give plan.name another one, or delete it there"
            )
        rollout = int(made["id"])
        await self._until(rollout, ("ready",))
        return rollout

    async def stored(self, publication: Publication, rollout: int) -> list[str]:
        """See Control."""
        whole = await self._ask("GET", f"/rest/v1/rollouts/{rollout}?representation=full")
        return bodies.differences(publication, self._sent, whole, await self.groups(rollout))

    async def start(self, rollout: int) -> None:
        """See Control."""
        await self._ask("POST", f"/rest/v1/rollouts/{rollout}/start")
        await self._until(rollout, ("running", "paused", "finished"))

    async def _until(self, rollout: int, wanted: tuple[str, ...]) -> None:
        found, until, wait_s = "", time.monotonic() + DEADLINE_S, FIRST_WAIT_S
        while time.monotonic() < until:
            found = str((await self._ask("GET", f"/rest/v1/rollouts/{rollout}"))["status"])
            if found in wanted:
                return
            await asyncio.sleep(wait_s)
            wait_s = min(2.0 * wait_s, LONGEST_WAIT_S)
        raise FotasimError(f"rollout {rollout} is {found!r} and not {wanted[0]!r} after {DEADLINE_S:.0f} s")

    # --- what an operator does and sees ------------------------------------------------------------------------------

    async def status(self, rollout: int) -> str:
        """Where the rollout stands, in the server's word."""
        return str((await self._ask("GET", f"/rest/v1/rollouts/{rollout}"))["status"]).lower()

    async def groups(self, rollout: int) -> list[dict[str, Any]]:
        """Its groups in order, with their counts."""
        path = f"/rest/v1/rollouts/{rollout}/deploygroups?representation=full&sort=id:ASC"
        return [group async for group in self._pages(path)]

    async def operate(self, rollout: int, request: str) -> None:
        """pause, resume, triggerNextGroup or stop. Refused where the rollout is in no state for it."""
        await self._ask("POST", f"/rest/v1/rollouts/{rollout}/{request}")

    # --- its word afterwards -----------------------------------------------------------------------------------------

    async def states(self, names: Collection[str] = (), rollout: int | None = None) -> dict[str, DeviceState]:
        """See Control: by the actions of the rollout, read in one pass; never by what targets or counters say."""
        if rollout is None:
            return {}
        found: dict[str, DeviceState] = {}
        query = f"/rest/v1/actions?representation=full&sort=id:ASC&q={quote(f'rollout.id=={rollout}', safe='')}"
        try:
            async for action in self._pages(query):
                found[_controller(action)] = _state(action)
        except (Refused, LookupError):  # a server without that view of all actions
            found = {}
            await _together(self._last_action(name, rollout, found) for name in names)
        return found

    async def _last_action(self, name: str, rollout: int, found: dict[str, DeviceState]) -> None:
        """The newest action of a target in the rollout."""
        async for action in self._pages(f"/rest/v1/targets/{quote(name, safe='')}/actions?sort=id:DESC"):
            if action.get("rollout") == rollout:
                found[name] = _state(action)
                return

    async def finished(self, prefix: str, names: Collection[str]) -> int:
        """See Control: by the actions, which an automatic assignment makes without a rollout."""
        query = (
            f"/rest/v1/actions?representation=full&sort=id:ASC&q={quote(f'target.controllerId=={prefix}*', safe='')}"
        )
        found: dict[str, DeviceState] = {}
        try:
            async for action in self._pages(query):
                found[_controller(action)] = _state(action)
        except (Refused, LookupError):  # a server without that view of all actions
            found = {}
            await _together(self._newest_action(name, found) for name in names)
        return sum(state.state == rec.FINISHED for state in found.values())

    async def _newest_action(self, name: str, found: dict[str, DeviceState]) -> None:
        """The newest action of a target, where the server knows the target."""
        try:
            async for action in self._pages(f"/rest/v1/targets/{quote(name, safe='')}/actions?sort=id:DESC"):
                found[name] = _state(action)
                return
        except Refused as error:
            if error.status != NOT_FOUND:
                raise

    async def rollouts(self) -> list[tuple[int, str]]:
        """See Control."""
        return [(int(r["id"]), str(r.get("name", ""))) async for r in self._pages("/rest/v1/rollouts?sort=id:ASC")]

    async def counters(self, rollout: int | None) -> Counters | None:
        """See Control."""
        if rollout is None:
            return None
        found = await self._ask("GET", f"/rest/v1/rollouts/{rollout}?representation=full")
        counts = found.get("totalTargetsPerStatus") or {}
        return Counters(f"rollout {rollout}", counts.get("finished"), counts.get("error"))

    # --- requests ----------------------------------------------------------------------------------------------------

    async def _pages(self, path: str) -> AsyncIterator[dict[str, Any]]:
        """Entries of a list that the server gives page by page."""
        for page in range(MAX_PAGES):
            answer = await self._ask("GET", f"{path}&limit={PAGE}&offset={page * PAGE}")
            content = answer.get("content", []) if isinstance(answer, dict) else []
            for entry in content:
                yield entry
            if len(content) < PAGE:
                return

    async def _unless_there(self, method: str, path: str, **given: Any) -> Any:
        """The answer, or None where the server says that it has this already."""
        try:
            return await self._ask(method, path, **given)
        except Refused as error:
            if error.status != CONFLICT:
                raise
            return None

    async def _ask(self, method: str, path: str, **given: Any) -> Any:
        return await self._api.ask(method, path, headers=self._headers, **given)


async def _together(asked: Iterable[Awaitable[None]]) -> None:
    """Awaits all, at most AT_ONCE at a time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(what: Awaitable[None]) -> None:
        async with turn:
            await what

    await asyncio.gather(*(one(what) for what in asked))


def _controller(action: dict[str, Any]) -> str:
    """Whose action it is, which only its link says. LookupError where there is none."""
    return unquote(urlsplit(str(action["_links"]["target"]["href"])).path.rsplit("/", 1)[-1])


def _state(action: dict[str, Any]) -> DeviceState:
    """The state of an action; one that is closed as downloaded was only to be downloaded."""
    word = str(action.get("detailStatus", "canceled" if action.get("type") == "cancel" else "")).lower()
    if word == "downloaded" and action.get("status") == "finished":
        word = "finished"
    return DeviceState(_STATES.get(word, rec.RUNNING), str(action.get("id", "")))


def _interval(text: Any) -> tuple[float, float] | str:
    try:
        return polling(text)
    except ValueError:
        return str(text)
