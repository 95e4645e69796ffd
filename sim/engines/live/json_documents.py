"""What a cloud's HTTP API answers, read by its documented form: RemoteProtocolError for anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sim.errors import RemoteProtocolError

_WRONG_FORM = (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
"""What reading a document raises that has not the form it should have."""
_MOST_CHARS = 100


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


__all__ = ["as_documented", "count", "mapping", "parsed", "sequence"]
