"""The web application: API, console and downloads under one roof, with one way of answering errors."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from sqlalchemy.exc import OperationalError
from starlette.routing import Match

from sim.cloud.catalog import MAX_FILE_BYTES, MAX_FILES
from sim.service.cloud import Cloud
from sim.service.errors import NotFound, ServiceError, StoreFailing
from sim.service.packages.download import PREFIX, Downloads
from sim.service.web import api_catalog, api_plans, console
from sim.service.web.access import Sessions

MAX_BODY_BYTES = MAX_FILES * MAX_FILE_BYTES + (1 << 20)
"""Five package files and a form around them."""
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def build(cloud: Cloud) -> FastAPI:
    """The application of a cloud, without its downloads."""
    app = FastAPI(
        title="fotasim mock Developer Center", version=version("fotasim"), docs_url=None, redoc_url=None,
        openapi_url="/openapi.json",
    )  # fmt: skip
    app.state.cloud = cloud
    app.state.sessions = Sessions()
    app.add_exception_handler(ServiceError, _problem)
    app.add_exception_handler(OperationalError, _store_away)
    app.add_exception_handler(404, _no_page)
    app.add_exception_handler(405, _wrong_method)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.middleware("http")(_secured)
    for router in (api_catalog.router, api_plans.router, api_plans.open_router, console.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(packages=[("sim.service.web", "static")]), name="static")
    return app


def with_downloads(app: FastAPI, downloads: Downloads) -> Any:
    """The same with downloads answered before the framework sees them."""

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await downloads(scope, receive, send)
        elif scope["type"] == "http" and _declared_bytes(scope) > MAX_BODY_BYTES:
            answer = JSONResponse({"detail": f"a request has at most {MAX_BODY_BYTES} bytes"}, 413)
            await answer(scope, receive, send)
        else:
            await app(scope, _bounded(receive), send)

    return dispatch


def _declared_bytes(scope: Any) -> int:
    given = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(given) if given.isdigit() else 0


def _bounded(receive: Any) -> Any:
    """The same stream of messages; one that goes on beyond the limit is cut off as if the client had left."""
    taken = 0

    async def bounded() -> Any:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return message if taken <= MAX_BODY_BYTES else {"type": "http.disconnect"}

    return bounded


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if request.url.path.startswith("/api/"):
        return JSONResponse({"detail": str(error)}, error.status)
    return console.problem_page(request, error.status, str(error))


async def _store_away(request: Request, _error: Exception) -> Response:
    return await _problem(request, StoreFailing("the store cannot be read"))


async def _no_page(request: Request, _error: Exception) -> Response:
    return await _problem(request, NotFound("there is no such page"))


async def _not_understood(request: Request, error: Exception) -> Response:
    """A request that breaks the document: in detail for the API, as a page that is not there for the console."""
    assert isinstance(error, RequestValidationError)
    if request.url.path.startswith("/api/"):
        return await request_validation_exception_handler(request, error)
    return await _no_page(request, error)


async def _wrong_method(request: Request, _error: Exception) -> Response:
    """405 with every method of the path: the framework alone would name those of its first route."""
    allowed: set[str] = set()
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            allowed.add(method)
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(sorted(allowed))})


async def _secured(request: Request, call_next: Any) -> Any:
    response = await call_next(request)
    for name, value in _SECURITY.items():
        response.headers.setdefault(name, value)
    if request.url.path.startswith("/static/"):
        response.headers["Cache-Control"] = "max-age=3600"
    return response
