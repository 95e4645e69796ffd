"""What all pages of the console share: templates, the session, form secrets, errors as pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from pydantic import BaseModel, ValidationError

from sim.errors import FotasimError
from sim.service.errors import Refused, ServiceError
from sim.service.web.access import COOKIE, Sessions, same
from sim.units import show_size

Form = dict[str, str]
Given = TypeVar("Given", bound=BaseModel)


class NotLoggedIn(ServiceError):
    """A page was asked for without a session."""

    status = 401


class Forged(ServiceError):
    """A form came without the secret of its session."""

    status = 403


def session(request: Request) -> str:
    """The session of a page; NotLoggedIn when there is none."""
    sessions: Sessions = request.app.state.sessions
    found = request.cookies.get(COOKIE)
    if found is None or not sessions.valid(found):
        raise NotLoggedIn("log in first")
    return found


SessionDep = Annotated[str, Depends(session)]


async def form(request: Request, opened: SessionDep) -> Form:
    """The fields of a form of this session; Forged when another site sent it."""
    fields = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    check_secret(request, opened, fields.pop("secret", ""))
    return fields


FormDep = Annotated[Form, Depends(form)]


def check_secret(request: Request, opened: str, given: str) -> None:
    """Forged unless the form carries the secret of its session."""
    if not same(given, request.app.state.sessions.form_secret(opened)):
        raise Forged("this form is not from your session; open the page again")


def page(request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
    """A page from its template."""
    opened = request.cookies.get(COOKIE)
    sessions: Sessions = request.app.state.sessions
    inside = opened is not None and sessions.valid(opened)
    secret = sessions.form_secret(opened) if inside and opened else ""
    values["given"] = defaultdict(str, values.get("given", {}))
    text = _environment().get_template(name).render(
        {"inside": inside, "secret": secret, "path": request.url.path, "error": "", **values}
    )  # fmt: skip
    return HTMLResponse(text, status)


def problem_page(request: Request, status: int, text: str) -> Response:
    """An error as a page; without a session, the way to log in."""
    if status == NotLoggedIn.status:
        return RedirectResponse("/login?" + urlencode({"next": request.url.path}), 303)
    return page(request, "problem.html", status=status, text=text, code=status, title="Not done")


def checked(model: type[Given], fields: Mapping[str, Any]) -> Given:
    """The fields of a form as a checked value; Refused says in words which one is wrong."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = " ".join(str(part).replace("_", " ") for part in first["loc"] if not isinstance(part, int)) or "form"
        raise Refused(f"{place}: {_allowed(first)}") from None
    except FotasimError as error:
        raise Refused(str(error)) from None


_PATTERNS = {
    "[A-Za-z0-9]{1,32}": "1 to 32 letters and digits", "[A-Za-z0-9]{16,32}": "16 to 32 letters and digits",
    "[A-Za-z0-9_]{1,100}": "1 to 100 letters, digits and underscores", "[^\\x00-\\x1f\\x7f:;]*": "printable characters without : and ;",
    "[^\\x00-\\x1f\\x7f]*": "characters of one line", "[^\\x00]*": "all characters but NUL",
}  # fmt: skip
"""What a pattern allows, in words."""


def _allowed(error: Mapping[str, Any]) -> str:
    """What would be right, where the checker would quote a pattern."""
    if error["type"] == "string_pattern_mismatch":
        pattern = str(error["ctx"]["pattern"]).removeprefix("^").removesuffix("$")
        return (
            f"{_PATTERNS.get(pattern, 'other characters')} are allowed" if pattern in _PATTERNS else str(error["msg"])
        )
    return str(error["msg"]).removeprefix("Value error, ")


def go(where: str) -> Response:
    """On to another page after a form was carried out."""
    return RedirectResponse(where, 303)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("sim.service.web"), autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["size"] = show_size
    made.filters["when"] = _when
    made.filters["whole"] = lambda number: f"{number:,}"
    made.filters["given"] = lambda value: "–" if value is None or value == "" else value
    made.filters["query"] = urlencode
    return made


def _when(seconds: float | None) -> str:
    """A moment as people read it, in UTC."""
    return "–" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
