"""A DDI server recorded by documentation: hawkBit's documented answers, for what no server at hand offers.

One action, number 8, for every controller that registers. What the documentation says of each answer stands beside it.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections import Counter, defaultdict
from typing import Any

from aiohttp import web

ACTION, CANCEL = "8", "11"
TERMINAL = ("FINISHED", "ERROR", "CANCELED")


class DocumentedServer:
    """hawkBit as its documentation tells; settings may change while it runs."""

    def __init__(
        self, package: bytes, *, version: str = "1.1.0", sleep: str = "00:00:01",
        more: tuple[tuple[str, str, str, bytes], ...] = (),
    ) -> None:  # fmt: skip
        self.package, self.version, self.sleep = package, version, sleep
        self.chunks = (("os", "fw", version, package), *more)
        self.tls: ssl.SSLContext | None = None
        self.handling = "forced"  # attempt: soft
        self.window = ""  # "", unavailable, available
        self.download_only = False
        self.confirmation = False
        self.token = ""
        self.busy: Counter[str] = Counter()  # answers 429 still to be given, by controller
        self.down = False  # answers 503
        self.paused = False  # nothing is offered; feedback is taken all the same
        self.force_quit: set[str] = set()
        self.canceling: set[str] = set()
        self.wrong_digest = False
        self.status: dict[str, str] = {}
        self.confirmed: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.feedback: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.cancel_feedback: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.attributes: dict[str, dict[str, str]] = defaultdict(dict)
        self.polls: dict[str, list[int]] = defaultdict(list)
        self.ranges: list[str] = []
        self.authorized: list[str] = []

    async def start(self) -> None:
        """Listens on loopback."""
        app = web.Application()
        base = "/DEFAULT/controller/v1/{id}"
        app.router.add_get(base, self._base)
        app.router.add_put(base + "/configData", self._config)
        app.router.add_get(base + "/deploymentBase/{action}", self._deployment)
        app.router.add_post(base + "/deploymentBase/{action}/feedback", self._feedback)
        app.router.add_get(base + "/confirmationBase/{action}", self._confirmation)
        app.router.add_post(base + "/confirmationBase/{action}/feedback", self._confirm)
        app.router.add_get(base + "/cancelAction/{action}", self._cancel)
        app.router.add_post(base + "/cancelAction/{action}/feedback", self._canceled)
        app.router.add_get(base + "/softwaremodules/{number}/artifacts/{file}", self._artifact)
        self.routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls).start()
        scheme = "https" if self.tls is not None else "http"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"

    def routes(self, app: web.Application) -> None:
        """What a subclass serves besides."""

    async def stop(self) -> None:
        await self._runner.cleanup()

    def executions(self, name: str) -> list[str]:
        """The feedback of a controller, in order."""
        return [f["status"]["execution"] for f in self.feedback[name]]

    # --- documented answers ------------------------------------------------------------------------------------------

    def _refusal(self, request: web.Request, name: str) -> web.Response | None:
        if self.down:
            return web.Response(status=503)
        if self.token and request.headers.get("Authorization") != self.token:
            return web.Response(status=401)
        if self.busy[name] > 0:  # the DoS filter: too many requests of one client
            self.busy[name] -= 1
            return web.Response(status=429, headers={"Retry-After": "1"})
        return None

    async def _base(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        refusal = self._refusal(request, name)
        if refusal is not None:
            self.polls[name].append(refusal.status)
            return refusal
        state = self.status.setdefault(name, "WAIT_FOR_CONFIRMATION" if self.confirmation else "RUNNING")
        url = f"{self.url}{request.path}"
        links = {} if self.attributes[name] else {"configData": {"href": f"{url}/configData"}}
        if name in self.canceling:
            links["cancelAction"] = {"href": f"{url}/cancelAction/{CANCEL}"}
        elif state == "WAIT_FOR_CONFIRMATION":
            links["confirmationBase"] = {"href": f"{url}/confirmationBase/{ACTION}?c=1"}
        elif state not in TERMINAL and not self.paused:  # c changes when soft turns forced, and when a window opens
            c = hashlib.md5(f"{self.handling}{self.window}".encode()).hexdigest()[:8]
            links["deploymentBase"] = {"href": f"{url}/deploymentBase/{ACTION}?c={c}"}
        body = json.dumps({"config": {"polling": {"sleep": self.sleep}}, "_links": links})
        etag = f'"{hashlib.md5(body.encode()).hexdigest()}"'
        if request.headers.get("If-None-Match") == etag:
            self.polls[name].append(304)
            return web.Response(status=304, headers={"ETag": etag})
        self.polls[name].append(200)
        return web.Response(text=body, content_type="application/hal+json", headers={"ETag": etag})

    async def _config(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        given = await request.json()
        self.attributes[name] |= given["data"]
        return web.Response()

    def _document(self, request: web.Request, key: str) -> web.Response:
        name = request.match_info["id"]
        outside = self.window == "unavailable"
        update = "skip" if outside or self.download_only else self.handling
        inner: dict[str, Any] = {
            "download": "forced" if self.download_only else self.handling, "update": update,
            "chunks": [self._chunk(name, number) for number in range(len(self.chunks))],
        }  # fmt: skip
        if self.window:
            inner["maintenanceWindow"] = self.window
        return web.json_response({"id": ACTION, key: inner})

    def _chunk(self, controller: str, number: int) -> dict[str, Any]:
        part, name, version, package = self.chunks[number]
        sha1 = "0" * 39 + "1" if self.wrong_digest else hashlib.sha1(package).hexdigest()
        href = f"{self.url}/DEFAULT/controller/v1/{controller}/softwaremodules/{number}/artifacts/{name}.bin"
        artifact = {
            "filename": f"{name}.bin", "size": len(package), "hashes": {"sha1": sha1, "md5": "0" * 32},
            "_links": {"download": {"href": href}, "md5sum": {"href": href + ".MD5SUM"}},
        }  # fmt: skip
        return {"part": part, "name": name, "version": version, "artifacts": [artifact]}

    async def _deployment(self, request: web.Request) -> web.Response:
        return self._document(request, "deployment")

    async def _confirmation(self, request: web.Request) -> web.Response:
        return self._document(request, "confirmation")

    async def _feedback(self, request: web.Request) -> web.Response:
        name, given = request.match_info["id"], await request.json()
        if self.down:
            return web.Response(status=503)
        if name in self.force_quit or self.status[name] in TERMINAL:
            return web.Response(status=410)  # the action is not active any more
        if self.status[name] == "WAIT_FOR_CONFIRMATION":
            return web.Response(status=404)
        assert isinstance(given["timestamp"], int)
        self.feedback[name].append(given)
        status = given["status"]
        execution, finished = status["execution"], status["result"]["finished"]
        if execution == "closed":
            self.status[name] = "ERROR" if finished == "failure" else "FINISHED"
        elif execution == "canceled":
            self.status[name] = "CANCELED"
        elif execution == "rejected":
            self.status[name] = "WARNING"  # not terminal
        elif execution == "downloaded" and self.download_only:
            self.status[name] = "FINISHED"
        else:
            words = {"download": "DOWNLOAD", "downloaded": "DOWNLOADED"}
            self.status[name] = words.get(execution, "RUNNING")
        return web.Response()

    async def _confirm(self, request: web.Request) -> web.Response:
        name, given = request.match_info["id"], await request.json()
        self.confirmed[name].append(given)
        if given["confirmation"] == "confirmed":
            self.status[name] = "RUNNING"
        return web.Response()  # denied: it stays pending

    async def _cancel(self, request: web.Request) -> web.Response:
        return web.json_response({"id": CANCEL, "cancelAction": {"stopId": ACTION}})

    async def _canceled(self, request: web.Request) -> web.Response:
        name, given = request.match_info["id"], await request.json()
        self.cancel_feedback[name].append(given)
        status = given["status"]
        self.canceling.discard(name)
        if status["execution"] == "closed" and status["result"]["finished"] == "success":
            self.status[name] = "CANCELED"
        return web.Response()  # refused: the action runs again

    async def _artifact(self, request: web.Request) -> web.StreamResponse:
        self.ranges.append(request.headers.get("Range", ""))
        self.authorized.append(request.headers.get("Authorization", ""))
        span = request.http_range
        package = self.chunks[int(request.match_info["number"])][3]
        start, stop = span.start or 0, min(span.stop or len(package), len(package))
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(package)}"}
        return web.Response(status=206, body=package[start:stop], headers=headers)
