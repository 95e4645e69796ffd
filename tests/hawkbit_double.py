"""hawkBit 1.0.4 as it was seen to behave: its management API and its DDI over one state, on loopback.

What a real server did is rebuilt here answer by answer: group sizes of all targets, `starting` before actions exist, 409 for
what is there, 410 for a repeat of one's own final feedback, 405 for a cancel that comes after a success, a revision in `?c=`
that every feedback changes. Answers can be lost after they took effect.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USER, PASSWORD = "admin", "admin"
_LOGIN = "Basic " + b64encode(f"{USER}:{PASSWORD}".encode()).decode()
OPEN = ("running", "retrieved", "download", "downloaded", "warning", "canceling", "wait_for_confirmation")


def group_sizes(percents: list[float], total: int) -> list[int]:
    """As hawkBit 0.5 and later cuts percentages of all targets."""
    sizes, left = [], total
    for number, percent in enumerate(percents):
        to_serve = 100.0 - sum(percents[:number])
        of_rest = 100.0 if to_serve <= 1.0 else min(100.0, percent * 100.0 / to_serve)
        size = int(of_rest * left / 100.0 + 0.5)
        sizes.append(size)
        left -= size
    return sizes


@dataclass
class Action:
    """One action of one target."""

    number: int
    target: str
    rollout: int
    group: int
    chunks: list[dict[str, Any]]
    kind: str = "forced"
    status: str = "scheduled"
    revision: int = 1
    cancel: int = 0
    history: list[str] = field(default_factory=list)

    @property
    def active(self) -> bool:
        """The server still listens."""
        return self.status in OPEN and not (self.kind == "downloadonly" and self.status == "downloaded")


class HawkbitDouble:
    """One tenant; settings may change while it runs."""

    def __init__(self, *, sleep: str = "00:00:01", starting: int = 2) -> None:
        self.settings: dict[str, Any] = {"pollingTime": "00:05:00", "user.confirmation.flow.enabled": False}
        self.sleep, self.token = sleep, ""
        self.held: set[str] = set()  # kinds of requests of devices that have no answer while the double runs
        self.stopped = asyncio.Event()
        self.starting = starting  # times a rollout that starts is looked at before it runs
        self.targets: dict[str, dict[str, Any]] = {}
        self.modules: dict[int, dict[str, Any]] = {}
        self.artifacts: dict[int, tuple[str, bytes]] = {}
        self.sets: dict[int, dict[str, Any]] = {}
        self.rollouts: dict[int, dict[str, Any]] = {}
        self.groups: dict[int, list[dict[str, Any]]] = {}
        self.actions: list[Action] = []
        self.attributes: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.requests: Counter[str] = Counter()  # of devices, by kind
        self.lose: set[str] = set()  # executions whose first answer gets lost, once for each target
        self._lost: set[tuple[str, str]] = set()
        self.assigned = 0  # the software module that whoever polls first is assigned, without a rollout
        self.forgets_every = 0  # of so many successes one is answered and not kept: a lost update
        self._successes = 0
        self.stores: dict[str, Any] = {}  # what a rollout is stored with, whatever was sent
        self._numbers = 0

    async def start(self) -> None:
        """Listens on loopback."""
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/rest/v1/{tail:.*}", self._manage)
        app.router.add_route("*", "/DEFAULT/controller/v1/{tail:.*}", self._device)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Ends."""
        self.stopped.set()
        await self._runner.cleanup()

    def action(self, target: str) -> Action:
        """The newest action of a target."""
        return next(action for action in reversed(self.actions) if action.target == target)

    def statuses(self) -> Counter[str]:
        """States of all actions."""
        return Counter(action.status for action in self.actions)

    def force_quit(self, target: str) -> None:
        """An operator takes the newest action of a target away; the device is not told."""
        self.action(target).status = "canceled"

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # --- management --------------------------------------------------------------------------------------------------

    async def _manage(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != _LOGIN:
            return web.Response(status=401)
        path = request.match_info["tail"].split("/")
        if request.content_type.startswith("multipart/"):
            given: Any = (await request.post())["file"].file.read()
        else:
            given = json.loads(await request.text() or "null")
        self.asked.append((request.method, "/" + "/".join(path), given))
        handle = getattr(self, f"_{request.method.lower()}_{path[0]}", None)
        return web.Response(status=404) if handle is None else handle(request, path[1:], given)

    def _get_system(self, _: web.Request, path: list[str], __: Any) -> web.Response:
        return web.json_response({"value": self.settings.get(path[1]), "global": True})

    def _put_system(self, _: web.Request, path: list[str], given: Any) -> web.Response:
        self.settings[path[1]] = given["value"]
        return web.Response()

    def _get_targets(self, request: web.Request, path: list[str], _: Any) -> web.Response:
        if path and path[1] == "actions":
            return _page(request, [self._shown(a) for a in reversed(self.actions) if a.target == path[0]])
        return _page(request, [self.targets[name] for name in sorted(self.targets)])

    def _post_targets(self, _: web.Request, __: list[str], given: Any) -> web.Response:
        if any(target["controllerId"] in self.targets for target in given):
            return web.json_response({"errorCode": "hawkbit.server.error.repo.entityAlreadyExists"}, status=409)
        self.targets |= {t["controllerId"]: {**t, "updateStatus": "unknown"} for t in given}
        return web.json_response(given, status=201)

    def _put_targets(self, _: web.Request, path: list[str], given: Any) -> web.Response:
        self.targets[path[0]] |= given
        return web.json_response(self.targets[path[0]])

    def _post_softwaremodules(self, _: web.Request, path: list[str], given: Any) -> web.Response:
        if path:
            number = int(path[0])
            self.artifacts[number] = (self.modules[number]["name"], given)
            return web.json_response({"id": self._number()}, status=201)
        return self._made(self.modules, given[0])

    def _get_softwaremodules(self, request: web.Request, path: list[str], _: Any) -> web.Response:
        if path:
            held = self.artifacts.get(int(path[0]))
            hashes = [] if held is None else [{"hashes": {"sha256": hashlib.sha256(held[1]).hexdigest()}}]
            return web.json_response(hashes)
        return _page(request, [m for m in self.modules.values() if _asked_for(request, m)])

    def _post_distributionsets(self, _: web.Request, __: list[str], given: Any) -> web.Response:
        return self._made(self.sets, given[0])

    def _get_distributionsets(self, request: web.Request, path: list[str], _: Any) -> web.Response:
        if path:
            return _page(request, self.sets[int(path[0])]["modules"])
        return _page(request, [s for s in self.sets.values() if _asked_for(request, s)])

    def _made(self, kept: dict[int, dict[str, Any]], given: dict[str, Any]) -> web.Response:
        if any((m["name"], m["version"]) == (given["name"], given["version"]) for m in kept.values()):
            return web.json_response({}, status=409)
        number = self._number()
        kept[number] = {**given, "id": number}
        return web.json_response([kept[number]], status=201)

    def _post_rollouts(self, _: web.Request, path: list[str], given: Any) -> web.Response:
        if path:
            return self._operate(int(path[0]), path[1])
        if any(r["name"] == given["name"] for r in self.rollouts.values()):
            return web.json_response({}, status=409)
        prefix = given["targetFilterQuery"].removeprefix("name=='").removesuffix("*'")
        names = sorted(n for n, t in self.targets.items() if t["name"].startswith(prefix))
        groups = given.get("groups") or [{**given, "name": "group-1", "targetPercentage": 100.0}]
        if any(not 1.0 <= g["targetPercentage"] <= 100.0 for g in groups):
            return web.json_response({"message": "percentage has to be between 1 and 100"}, status=400)
        number, cut = self._number(), group_sizes([g["targetPercentage"] for g in groups], len(names))
        kept = {**given, "id": number, "status": "creating", "looks": 0, "totalTargets": len(names), **self.stores}
        self.rollouts[number] = kept
        self.groups[number] = [
            {**g, "totalTargets": n, "status": "scheduled"} for g, n in zip(groups, cut, strict=True)
        ]
        return web.json_response(kept, status=201)

    def _operate(self, number: int, what: str) -> web.Response:
        """What an operator may ask of a rollout; in another state it is refused."""
        rollout, groups = self.rollouts[number], self.groups[number]
        needed = {"start": "ready", "pause": "running", "resume": "paused", "triggerNextGroup": "running"}
        if rollout["status"] != needed.get(what, rollout["status"]):
            return web.json_response({"message": f"rollout is {rollout['status']}"}, status=400)
        following = next((i for i, g in enumerate(groups) if g["status"] == "scheduled"), len(groups))
        if what == "start":
            rollout |= {"status": "starting", "looks": 0}
        elif what == "pause":
            rollout["status"] = "paused"
        elif what == "resume":
            rollout["status"] = "running"
            if not any(g["status"] == "running" for g in groups):
                self._open(number, following)
        elif what == "triggerNextGroup":
            self._open(number, following)
        elif what == "stop":
            rollout["status"] = "stopped"
            for action in self.actions:
                if action.rollout == number and action.status == "scheduled":
                    action.status = "canceled"
                elif action.rollout == number and action.active:
                    action.status, action.cancel = "canceling", self._number()
        return web.Response(status=204)

    def _get_rollouts(self, request: web.Request, path: list[str], _: Any) -> web.Response:
        if not path:
            return _page(request, [self.rollouts[n] for n in sorted(self.rollouts, reverse=True)])
        rollout = self.rollouts[int(path[0])]
        if path[1:] == ["deploygroups"]:
            counts = [Counter(a.status for a in self.actions if (a.rollout, a.group) == (int(path[0]), i))
                      for i in range(len(self.groups[int(path[0])]))]  # fmt: skip
            return _page(
                request,
                [
                    {**g, "totalTargetsPerStatus": dict(n)}
                    for g, n in zip(self.groups[int(path[0])], counts, strict=True)
                ],
            )
        rollout["looks"] += 1
        if rollout["status"] in ("creating", "starting") and rollout["looks"] > self.starting:
            if rollout["status"] == "starting":
                self._run(int(path[0]))
            rollout["status"] = {"creating": "ready", "starting": "running"}[rollout["status"]]
        mine = Counter(a.status for a in self.actions if a.rollout == int(path[0]))
        return web.json_response({**rollout, "totalTargetsPerStatus": {k: mine[k] for k in ("finished", "error")}})

    def _run(self, number: int) -> None:
        """Actions come into being; those of the first group with targets are open."""
        rollout, groups = self.rollouts[number], self.groups[number]
        prefix = rollout["targetFilterQuery"].removeprefix("name=='").removesuffix("*'")
        names = sorted((n for n, t in self.targets.items() if t["name"].startswith(prefix)),
                       key=lambda n: hashlib.md5(n.encode()).hexdigest())  # fmt: skip
        chunks = [self._chunk(int(m["id"])) for m in self.sets[int(rollout["distributionSetId"])]["modules"]]
        for index, group in enumerate(groups):
            mine, names = names[: group["totalTargets"]], names[group["totalTargets"] :]
            for name in mine:
                self.actions.append(Action(self._number(), name, number, index, chunks, rollout["type"]))
        self._open(number, 0)

    def _open(self, number: int, index: int) -> None:
        rollout, groups = self.rollouts[number], self.groups[number]
        if index >= len(groups):
            return
        asks = groups[index].get("confirmationRequired") and self.settings["user.confirmation.flow.enabled"]
        groups[index]["status"] = "running"
        for action in self.actions:
            if action.rollout == number and action.group == index and action.status == "scheduled":
                for older in self.actions:
                    if older.target == action.target and older.active and older is not action:
                        older.status, older.cancel = "canceling", self._number()
                action.status = "wait_for_confirmation" if asks else "running"
        if groups[index]["totalTargets"] == 0 and rollout["status"] != "paused":
            self._open(number, index + 1)

    def _judge(self, action: Action) -> None:
        """Error before success; both over the whole group."""
        number, group = action.rollout, self.groups[action.rollout][action.group]
        mine = [a for a in self.actions if a.rollout == number and a.group == action.group]
        if group["status"] != "running" or self.rollouts[number]["status"] == "paused":
            return
        bad, good = (100.0 * sum(a.status == s for a in mine) / len(mine) for s in ("error", "finished"))
        expressions = [group[f"{what}Condition"]["expression"] or "100" for what in ("error", "success")]
        error, success = (int(e) if e.isdigit() else None for e in expressions)
        if error is not None and bad > error:
            group["status"], self.rollouts[number]["status"] = "error", "paused"
        elif (success is not None and good >= success) or not any(a.active for a in mine):
            group["status"] = "finished"
            if group["successAction"]["action"] == "PAUSE":
                self.rollouts[number]["status"] = "paused"
            else:
                self._open(number, action.group + 1)

    def _get_actions(self, request: web.Request, _: list[str], __: Any) -> web.Response:
        asked = request.query["q"]
        if asked.startswith("target.controllerId=="):
            prefix = asked.removeprefix("target.controllerId==").removesuffix("*")
            return _page(request, [self._shown(a) for a in self.actions if a.target.startswith(prefix)])
        rollout = int(asked.removeprefix("rollout.id=="))
        return _page(request, [self._shown(a) for a in self.actions if a.rollout == rollout])

    def _shown(self, action: Action) -> dict[str, Any]:
        return {
            "id": action.number, "rollout": action.rollout, "detailStatus": action.status,
            "status": "pending" if action.active or action.status == "scheduled" else "finished", "type": "update",
            "_links": {"target": {"href": f"{self.url}/rest/v1/targets/{action.target}"}},
        }  # fmt: skip

    def assign(self, name: str, version: str, package: bytes) -> None:
        """An automatic assignment of a package to every target that comes."""
        number = self._number()
        self.modules[number] = {"id": number, "name": name, "version": version, "type": "os"}
        self.artifacts[number] = ("x.bin", package)
        self.assigned = number

    def _chunk(self, number: int) -> dict[str, Any]:
        module, (_, package) = self.modules[number], self.artifacts[number]
        href = f"{self.url}/DEFAULT/controller/v1/any/softwaremodules/{number}/artifacts/x.bin"
        artifact = {
            "filename": "x.bin", "size": len(package), "hashes": {"sha256": hashlib.sha256(package).hexdigest()},
            "_links": {"download-http": {"href": href}},
        }  # fmt: skip
        part = "os" if module["type"] == "os" else "bApp"
        return {"part": part, "name": module["name"], "version": module["version"], "artifacts": [artifact]}

    # --- devices -----------------------------------------------------------------------------------------------------

    async def _device(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["tail"].split("/")
        name, rest = path[0], path[1:]
        kind = rest[0] if rest else "poll"
        kind = "feedback" if rest[2:] == ["feedback"] and kind == "deploymentBase" else kind
        self.requests[kind] += 1
        if self.token and kind != "softwaremodules" and request.headers.get("Authorization") != self.token:
            return web.Response(status=401)
        if kind == "softwaremodules":
            return _artifact(request, self.artifacts[int(rest[1])][1])
        if name not in self.targets:
            self.targets[name] = {"controllerId": name, "name": name}
            if self.assigned:
                chunks = [self._chunk(self.assigned)]
                self.actions.append(Action(self._number(), name, 0, 0, chunks, status="running"))
        given = json.loads(await request.text() or "null")
        if kind in self.held:
            await self.stopped.wait()
        if kind == "poll":
            return self._poll(name)
        if kind == "configData":
            self.attributes.setdefault(name, {}).update(given["data"])
            return web.Response()
        mine = {a.number: a for a in self.actions if a.target == name} | {a.cancel: a for a in self.actions if a.target == name and a.cancel}  # fmt: skip
        action = mine.get(int(rest[1]))
        if action is None:
            return web.Response(status=404)
        answer = self._of_action(action, rest, given)
        if (
            kind == "feedback"
            and given["status"]["execution"] in self.lose
            and (name, given["status"]["execution"]) not in self._lost
        ):
            self._lost.add((name, given["status"]["execution"]))
            assert request.transport is not None
            request.transport.close()
            await asyncio.sleep(0)
        return answer

    def _poll(self, name: str) -> web.Response:
        base, links = f"{self.url}/DEFAULT/controller/v1/{name}", {}
        if name not in self.attributes:
            links["configData"] = {"href": f"{base}/configData"}
        mine = [a for a in self.actions if a.target == name]
        canceling = next((a for a in mine if a.status == "canceling"), None)
        current = next((a for a in mine if a.active), None)
        if canceling is not None:
            links["cancelAction"] = {"href": f"{base}/cancelAction/{canceling.cancel}"}
        elif current is not None:
            kind = "confirmationBase" if current.status == "wait_for_confirmation" else "deploymentBase"
            links[kind] = {"href": f"{base}/{kind}/{current.number}?c={current.revision}"}
        return web.json_response({"config": {"polling": {"sleep": self.sleep}}, "_links": links})

    def _of_action(self, action: Action, rest: list[str], given: Any) -> web.Response:
        kind, telling = rest[0], rest[2:] == ["feedback"]
        if kind == "cancelAction":
            return self._cancel(action, given) if telling else web.json_response(
                {"id": str(action.cancel), "cancelAction": {"stopId": str(action.number)}})  # fmt: skip
        if not telling:
            key = kind.removesuffix("Base")
            if not action.active:
                return web.Response(status=410)
            word = "attempt" if action.kind == "soft" else "forced"
            inner = {
                "download": word,
                "update": "skip" if action.kind == "downloadonly" else word,
                "chunks": action.chunks,
            }
            return web.json_response({"id": str(action.number), key: inner})
        if not action.active:
            return web.Response(status=410)
        action.revision += 1
        if kind == "confirmationBase":
            action.status = "running" if given["confirmation"] == "confirmed" else action.status
            return web.Response()
        self._told(action, given["status"])
        return web.Response()

    def _told(self, action: Action, status: dict[str, Any]) -> None:
        execution = status["execution"]
        action.history.append(execution)
        if execution == "closed" and status["result"]["finished"] != "failure" and self._forgets():
            return
        if execution == "closed":
            action.status = "error" if status["result"]["finished"] == "failure" else "finished"
        elif action.status != "canceling":
            action.status = {"download": "download", "downloaded": "downloaded", "rejected": "warning"}.get(
                execution, "running"
            )
        if not action.active and action.rollout:
            self._judge(action)

    def _forgets(self) -> bool:
        self._successes += 1
        return self.forgets_every > 0 and self._successes % self.forgets_every == 0

    def _cancel(self, action: Action, given: Any) -> web.Response:
        if action.status != "canceling":
            return web.Response(status=405)
        accepted = given["status"]["execution"] == "closed"
        action.status = "canceled" if accepted else "running"
        action.revision += 1
        return web.Response()


def _page(request: web.Request, entries: list[Any]) -> web.Response:
    first, most = int(request.query.get("offset", 0)), int(request.query.get("limit", 50))
    return web.json_response({"content": entries[first : first + most], "total": len(entries)})


def _asked_for(request: web.Request, entity: dict[str, Any]) -> bool:
    return request.query.get("q", "") == f"name=='{entity['name']}';version=='{entity['version']}'"


def _artifact(request: web.Request, package: bytes) -> web.Response:
    span = request.http_range
    start, stop = span.start or 0, min(span.stop or len(package), len(package))
    headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(package)}"}
    return web.Response(status=206, body=package[start:stop], headers=headers)
