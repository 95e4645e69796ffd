"""The door of the web application: who asks, how much may be sent in which time, and whether a JSON text is one.

All of it before the framework sees the request: a body is read only for who may send it, up to a limit that fits the call.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from math import isfinite
from typing import Any
from urllib.parse import urlencode

from fastapi.responses import JSONResponse, RedirectResponse, Response
from h11 import LocalProtocolError
from starlette.requests import Request

from sim.cloud.catalog import MAX_FILE_BYTES, MAX_FILES
from sim.service.cloud import Cloud
from sim.service.throttle import Throttle
from sim.service.web.access import COOKIE, Sessions, same

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
OPEN = ("/api/v1/health", "/api/v1/live")
"""Calls of the API that need no token."""
MAX_CONTENT_TYPE_CHARS = 256
MAX_DEPTH = 32
_THREAD_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limit:
    """How large a request's body may be, and how long it may take in all."""

    size_bytes: int
    time_s: float


SMALL = Limit(64 * 1024, 30.0)
LISTS = Limit(40 << 20, 300.0)
"""Plans and registrations: lists of up to a million device keys."""
UPLOAD = Limit(MAX_FILES * MAX_FILE_BYTES + (1 << 20), 3600.0)
"""Five package files and a form around them."""
_LIMITS = (
    (re.compile(r"/api/v1/versions|/projects/\d+/versions"), UPLOAD),
    (re.compile(r"/api/v1/plans(/\d+)?|/projects/\d+/plans/new|/plans/\d+/edit|/api/v1/products/\d+/devices|/projects/\d+/devices"), LISTS),
)  # fmt: skip


def limit_of(method: str, path: str) -> Limit:
    """The limit of a call."""
    if method in ("POST", "PUT"):
        return next((limit for pattern, limit in _LIMITS if pattern.fullmatch(path)), SMALL)
    return SMALL


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: Any, cloud: Cloud, sessions: Sessions, throttle: Throttle) -> None:
        self._app, self._cloud, self._sessions, self._throttle = app, cloud, sessions, throttle

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers a request, or passes it on with its body bounded."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, scope["path"])
        request = Request(scope)
        limit = limit_of(scope["method"], scope["path"])
        refused = self._stranger(request) or _oversized(request, limit)
        if refused is None and _is_json(request) and limit is not UPLOAD:
            refused, receive = await _whole(receive, limit)
        if refused is not None:
            refused.headers["Connection"] = "close"
        try:
            if refused is not None:
                await refused(scope, receive, answer)
            else:
                await self._app(scope, _bounded(receive, limit), answer)
        except LocalProtocolError:
            pass  # what followed in the stream was no HTTP, and the server has told the client so
        except Exception as error:
            if not answer.begun:
                reference = self._cloud.trouble.report(f"{scope['method']} {scope['path'][:80]}", error)
                await inside(reference)(scope, receive, answer)

    def _stranger(self, request: Request) -> Response | None:
        """The answer to who may not ask; None for who may."""
        path, source = request.url.path, request.client.host if request.client else ""
        if path.startswith("/api/"):
            return None if path in OPEN else self._without_token(request, source)
        if request.method in ("GET", "HEAD") or path == "/login":
            return None  # pages ask for themselves
        if self._sessions.valid(request.cookies.get(COOKIE)):
            return None
        return RedirectResponse("/login?" + urlencode({"next": "/"}), 303)

    def _without_token(self, request: Request, source: str) -> Response | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        now = asyncio.get_running_loop().time()
        wait_s = self._throttle.wait_s(source, "", now)
        if given and wait_s > 0.0:
            return JSONResponse({"detail": "too many wrong tokens"}, 429, {"Retry-After": str(int(wait_s) + 1)})
        if scheme.lower() == "bearer" and same(given, self._cloud.token):
            return None
        if given:
            self._throttle.failed(source, "", now)
        return JSONResponse({"detail": "a valid bearer token is needed"}, 401, {"WWW-Authenticate": "Bearer"})


def inside(reference: str) -> Response:
    """The answer when something went wrong inside."""
    return JSONResponse({"detail": f"an error inside fotasim, reference {reference}"}, 500)


class _Answer:
    """`send` with the security headers; knows whether an answer has begun."""

    def __init__(self, send: Any, path: str) -> None:
        self._send, self._static = send, path.startswith("/static/")
        self.begun = False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            there = {name.lower() for name, _ in message["headers"]}
            for name, value in (SECURITY | {"Cache-Control": "max-age=3600"} if self._static else SECURITY).items():
                if name.lower().encode() not in there:
                    message["headers"] = [*message["headers"], (name.lower().encode(), value.encode())]
        await self._send(message)


def _oversized(request: Request, limit: Limit) -> Response | None:
    if len(request.headers.get("content-type", "")) > MAX_CONTENT_TYPE_CHARS:
        return JSONResponse({"detail": f"Content-Type: at most {MAX_CONTENT_TYPE_CHARS} characters"}, 400)
    declared = request.headers.get("content-length", "0")
    if not declared.isdigit() or len(declared) > 12 or int(declared) > limit.size_bytes:
        return _too_large(limit)
    return None


def _too_large(limit: Limit) -> Response:
    return JSONResponse({"detail": f"this call takes at most {limit.size_bytes} bytes"}, 413)


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    return request.method in ("POST", "PUT") and request.url.path.startswith("/api/") and "json" in kind


def _bounded(receive: Any, limit: Limit) -> Any:
    """The same stream of messages; one that goes on beyond the limit, or for too long, ends as if the client had left."""
    taken, until = 0, asyncio.get_running_loop().time() + limit.time_s
    whole = False

    async def bounded() -> Any:
        nonlocal taken, whole
        if whole:
            return await receive()  # the body is in; what comes now is the client's leave
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        taken += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        return message if taken <= limit.size_bytes else {"type": "http.disconnect"}

    return bounded


async def _whole(receive: Any, limit: Limit) -> tuple[Response | None, Any]:
    """A JSON body read and checked, and a stream that gives it once more; or the answer that refuses it."""
    body = bytearray()
    try:
        async with asyncio.timeout(limit.time_s):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if message["type"] != "http.request" or len(body) > limit.size_bytes:
                    return _too_large(limit), receive  # or it has left, and nobody reads the answer
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        return JSONResponse({"detail": f"the body did not come within {limit.time_s:g} s"}, 408), receive
    given = bytes(body)
    fault = await asyncio.to_thread(json_fault, given) if len(given) > _THREAD_BYTES else json_fault(given)
    if fault:
        return JSONResponse({"detail": fault}, 400), receive
    sent = False

    async def again() -> Any:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": given, "more_body": False}

    return None, again


def json_fault(body: bytes) -> str:
    """What is wrong with a JSON text, "" when nothing is: finite numbers, whole characters, no deep nesting."""
    if not body:
        return ""
    try:
        value = json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        return f"JSON: nested more than {MAX_DEPTH} deep"
    except ValueError as error:
        return f"JSON: {error}"[:200]
    level = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return ""
        inner: list[Any] = []
        for item in level:
            if isinstance(item, str) and not _encodes(item):
                return "JSON: a text holds half of a character (a lone surrogate)"
            if isinstance(item, dict):
                inner += [*item.keys(), *item.values()]
            elif isinstance(item, list):
                inner += item
        level = inner
    return f"JSON: nested more than {MAX_DEPTH} deep" if level else ""


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value
