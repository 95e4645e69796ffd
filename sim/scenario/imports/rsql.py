"""A target filter of hawkBit (RSQL) as a filter of a rollout group, where it selects by whole values.

`tag==internal` and `attribute.site==lab` become labels of the fleet's groups, `controllerId==pump-*` modules by glob;
parts joined by `;` or `and` all have to hold. Alternatives, comparisons and negations have no equal here.
"""

from __future__ import annotations

import re
from typing import Any

_JOIN = re.compile(r"\s*(?:;|\band\b)\s*", re.IGNORECASE)
_EQUAL = re.compile(r"\s*([A-Za-z][\w.-]*)\s*==\s*(?:'([^']*)'|\"([^\"]*)\"|([^\s'\"();,=<>!~]+))\s*")
_ANY_OF = re.compile(r"\s*([A-Za-z][\w.-]*)\s*=in=\s*\(([^()]*)\)\s*", re.IGNORECASE)
_MODULE = ("controllerid", "id", "name")
_PREFIX = re.compile(r"(?:attribute|metadata)\.", re.IGNORECASE)
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MAX_CHARS = 2000


def members(query: str) -> dict[str, Any]:
    """The filter; empty for a query that takes everybody. ValueError says what has no equal here."""
    if len(query) > MAX_CHARS:
        raise ValueError(f"it is longer than {MAX_CHARS} characters")
    found: dict[str, Any] = {}
    for part in _JOIN.split(query.strip()):
        key, values = _part(part)
        if values == ["*"]:
            continue
        if key.lower() in _MODULE:
            _all_hold(found, "modules", [_glob(value) for value in values])
            continue
        label = _PREFIX.sub("", key)
        if any("*" in value for value in values):
            raise ValueError(f"{part.strip()[:60]}: a label is compared as a whole, without *")
        if _LABEL.fullmatch(label) is None:
            raise ValueError(f"{key[:60]} is no name of a label")
        _all_hold(found.setdefault("labels", {}), label, values)
    return found


def _part(part: str) -> tuple[str, list[str]]:
    equal, any_of = _EQUAL.fullmatch(part), _ANY_OF.fullmatch(part)
    if equal is not None:
        return equal[1], [next(value for value in equal.groups()[1:] if value is not None)]
    if any_of is not None:
        values = [value.strip().strip("'\"") for value in any_of[2].split(",")]
        if all(values):
            return any_of[1], values
    raise ValueError(f"{part.strip()[:60] or 'an empty part'} is not of the form key==value or key=in=(a,b)")


def _all_hold(found: dict[str, Any], key: str, values: list[str]) -> None:
    if key in found:
        raise ValueError(f"{key} is asked for twice")
    found[key] = values


def _glob(value: str) -> str:
    """hawkBit knows * alone; ? and [ are themselves."""
    return re.sub(r"[\[?]", lambda match: f"[{match[0]}]", value)
