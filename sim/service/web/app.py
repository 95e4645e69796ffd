"""The web application: API, console and downloads under one roof, with one way of answering errors."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from h11 import LocalProtocolError
from sqlalchemy.exc import OperationalError
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from sim.service.cloud import Cloud
from sim.service.errors import NotFound, ServiceError, StoreFailing
from sim.service.packages.download import PREFIX, Cut, Downloads
from sim.service.throttle import Throttle
from sim.service.web import api_catalog, api_plans, console
from sim.service.web.access import Sessions
from sim.service.web.guard import Guard, inside

MAX_FAULTS = 20
"""Faults of one request that are told."""
CLIENT_LEFT = 499


def build(cloud: Cloud) -> FastAPI:
    """The application of a cloud, without its downloads."""
    app = FastAPI(
        title="fotasim mock Developer Center", version=version("fotasim"), docs_url=None, redoc_url=None,
        openapi_url="/openapi.json",
    )  # fmt: skip
    app.state.cloud = cloud
    app.state.sessions = Sessions()
    app.state.throttle = Throttle()
    app.add_exception_handler(ServiceError, _problem)
    app.add_exception_handler(OperationalError, _store_away)
    app.add_exception_handler(404, _no_page)
    app.add_exception_handler(405, _wrong_method)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _unforeseen)
    for router in (api_catalog.router, api_plans.router, api_plans.open_router, console.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(packages=[("sim.service.web", "static")]), name="static")
    return app


def with_downloads(app: FastAPI, downloads: Downloads) -> Any:
    """The same with downloads answered before the framework sees them, and a guard before everything else."""
    cloud, sessions = app.state.cloud, app.state.sessions
    guarded = Guard(app, cloud, sessions, app.state.throttle)

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            try:
                await downloads(scope, receive, send)
            except Cut:
                raise  # the server breaks the connection off, as it should
            except LocalProtocolError:
                pass  # the request went on as no HTTP, and has its answer
            except Exception as error:
                cloud.trouble.report("a download", error)
                raise Cut from None
        else:
            await guarded(scope, receive, send)

    return dispatch


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
        found = error.errors()[:MAX_FAULTS]
        told = [{"loc": [_short(p) for p in e["loc"]], "msg": e["msg"][:300], "type": e["type"]} for e in found]
        return JSONResponse({"detail": told}, 422)
    return await _no_page(request, error)


def _short(part: object) -> object:
    """A part of a place in a request; names in it are the sender's."""
    return part if isinstance(part, int) else str(part)[:100]


async def _left(_request: Request, _error: Exception) -> Response:
    """The client went away in the middle of its request: there is nobody to answer."""
    return Response(status_code=CLIENT_LEFT)


async def _unforeseen(request: Request, error: Exception) -> Response:
    """An error of ours: the reference leads to its traceback, which stays here.

    An answer that cannot be sent any more, because the request went on as no HTTP, is the client's.
    """
    if isinstance(error, LocalProtocolError):
        return Response(status_code=CLIENT_LEFT)
    reference = request.app.state.cloud.trouble.report(f"{request.method} {request.url.path[:80]}", error)
    return inside(reference)


async def _wrong_method(request: Request, _error: Exception) -> Response:
    """405 with every method of the path: the framework alone would name those of its first route."""
    allowed: set[str] = set()
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            allowed.add(method)
    return JSONResponse({"detail": "Method Not Allowed"}, 405, {"Allow": ", ".join(sorted(allowed))})
