"""What a cloud's HTTP API answers, and why it does not: JSON of the documented form, and errors of the client in plain words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import aiohttp

from sim.engines.live import failure_reasons
from sim.errors import LocalProtocolError, RemoteProtocolError

_WRONG_FORM = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading a document raises that has not the form it should have."""
_MOST_CHARS = 100


def reason_of(error: Exception) -> str:
    """aiohttp's own errors in the words of all clients; a connection that never came is told from an answer that did not."""
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return failure_reasons.CLOSED
    if isinstance(error, aiohttp.ClientPayloadError):
        return f"{failure_reasons.CLOSED} in mid-answer"
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return failure_reasons.NO_ANSWER
    if isinstance(error, aiohttp.InvalidURL):
        return failure_reasons.of_protocol(LocalProtocolError(str(error)))
    if isinstance(error, aiohttp.ClientResponseError):
        return failure_reasons.of_protocol(RemoteProtocolError(error.message))
    return failure_reasons.of_error(error)


def parsed(body: bytes) -> Any:
    """The JSON of a body; RemoteProtocolError when it is none. NaN and numbers beyond a double are none either."""
    try:
        return json.loads(body, parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        raise RemoteProtocolError("the answer is not JSON") from None


def _no_number(text: str) -> Any:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """An object of a document; RemoteProtocolError for anything else."""
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"{where}: an object is needed")
    return value


def sequence(value: Any, where: str) -> Sequence[Any]:
    """A list of a document; RemoteProtocolError for anything else."""
    if not isinstance(value, list):
        raise RemoteProtocolError(f"{where}: a list is needed")
    return value


def count(value: Any, where: str) -> int:
    """A number of things; RemoteProtocolError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RemoteProtocolError(f"{where}: a whole number is needed, not {value!r:.40}")
    return value


@contextmanager
def as_documented(what: str) -> Iterator[None]:
    """RemoteProtocolError for whatever reading `what` raises that has not the documented form: a missing key, a wrong type."""
    try:
        yield
    except _WRONG_FORM as error:
        told = f"{type(error).__name__} {error}"[:_MOST_CHARS]
        raise RemoteProtocolError(f"{what}: the answer has not the documented form ({told})") from error


__all__ = ["as_documented", "count", "mapping", "parsed", "reason_of", "sequence"]
