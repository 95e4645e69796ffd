"""Who may: the token as a bearer for the API, a session cookie for the console, and a secret in every form.

The token is compared in constant time and never logged. Sessions live in memory: a restart logs the console out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from sim.service.cloud import Cloud

COOKIE = "fotasim_session"
SESSION_S = 12 * 3600.0
MAX_SESSIONS = 1000

_bearer = HTTPBearer(auto_error=False, description="The token printed at start, or FOTASIM_TOKEN.")


def get_cloud(request: Request) -> Cloud:
    """The cloud that this application serves."""
    cloud: Cloud = request.app.state.cloud
    return cloud


CloudDep = Annotated[Cloud, Depends(get_cloud)]


def has_token(request: Request, cloud: CloudDep) -> bool:
    """Whether the request carries the right token, where one is not needed."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and same(given, cloud.token)


def needs_token(cloud: CloudDep, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> None:
    """401 without the right token."""
    if given is None or not same(given.credentials, cloud.token):
        raise HTTPException(401, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"})


def same(given: str, secret: str) -> bool:
    """Comparison in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


class Sessions:
    """Sessions of the console: random ids with an end, the oldest dropped when there are too many."""

    def __init__(self) -> None:
        self._ends: OrderedDict[str, float] = OrderedDict()
        self._key = secrets.token_bytes(32)

    def open(self) -> str:
        """A new session."""
        session = secrets.token_urlsafe(32)
        self._ends[session] = time.monotonic() + SESSION_S
        while len(self._ends) > MAX_SESSIONS:
            self._ends.popitem(last=False)
        return session

    def close(self, session: str) -> None:
        """Logs out."""
        self._ends.pop(session, None)

    def valid(self, session: str | None) -> bool:
        """Whether a session exists and has not ended."""
        return session is not None and self._ends.get(session, 0.0) > time.monotonic()

    def form_secret(self, session: str) -> str:
        """What a form of this session must carry, so that no other site can send it."""
        return hmac.new(self._key, session.encode(), hashlib.sha256).hexdigest()
