"""JSON as device lists come in it: one list, one object a line, or the pages a product's API or command prints.

Keys inside keys become columns joined by dots. Numbers keep the digits of the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from sim.scenario.fleet_files.content import refuse
from sim.scenario.fleet_files.raw import Raw
from sim.units import show_size

MAX_JSON_BYTES = 256 << 20
_DEEPEST = 8
_MOST_COLUMNS = 1000
_MORE_PAGES = "the list goes on: fetch all pages, one after the other into this file, or raise the page size"

_GO_ON = ("nextToken", "NextToken", "next_token", "hasNext", "has_next", "hasMore", "has_more", "nextLink", "next")
_TOTALS = ("total", "totalElements", "total_count", "totalCount")


@dataclass(frozen=True, slots=True)
class Listing:
    """How a product prints its devices: where the records are, and how it says that there are more of them."""

    product: str
    fits: Callable[[dict[str, Any]], bool]
    records: Callable[[dict[str, Any]], list[Any]]
    goes_on: Callable[[dict[str, Any]], bool] = lambda page: bool(page.get("nextToken") or page.get("NextToken"))
    total: Callable[[dict[str, Any]], Any] = lambda _: None


def _list_with(page: dict[str, Any], key: str, *fields: str) -> bool:
    """Whether `key` holds a list, empty or of objects that have the fields."""
    listed = page.get(key)
    return isinstance(listed, list) and all(isinstance(r, dict) and all(f in r for f in fields) for r in listed[:3])


def _executions(page: dict[str, Any]) -> list[Any]:
    """A thing is named by the end of its ARN only."""
    return [
        {"thingName": str(record["thingArn"]).rpartition(":thing/")[2], "thingArn": record["thingArn"],
         **record["jobExecutionSummary"]}
        for record in page["executionSummaries"]
    ]  # fmt: skip


def _things(page: dict[str, Any]) -> list[Any]:
    """The index holds a thing's shadow as JSON in a text."""
    records = _of_registry(page["things"])
    return [{**record, "shadow": _inner(record["shadow"])} if "shadow" in record else record for record in records]


def _of_registry(records: list[Any]) -> list[Any]:
    """A registry's own `version` counts edits of the entry: it must not be taken for a firmware's."""
    return [
        {"entry.version" if key == "version" else key: value for key, value in record.items()} for record in records
    ]


def _inner(text: Any) -> Any:
    try:
        return json.loads(text, parse_float=str, parse_int=str) if isinstance(text, str) else text
    except ValueError:
        return text


LISTINGS = (
    Listing(
        "hawkBit targets (GET /rest/v1/targets)", lambda p: _list_with(p, "content", "controllerId"),
        lambda p: list(p["content"]), lambda _: False, lambda p: p.get("total"),
    ),
    Listing(
        "AWS IoT list-job-executions-for-job",
        lambda p: _list_with(p, "executionSummaries", "thingArn", "jobExecutionSummary"), _executions,
    ),
    Listing("AWS IoT list-things or search-index", lambda p: _list_with(p, "things", "thingName"), _things),
    Listing(
        "ThingsBoard devices", lambda p: _list_with(p, "data", "id", "name") and "hasNext" in p,
        lambda p: _of_registry(p["data"]), lambda p: str(p.get("hasNext")).lower() == "true", lambda p: p.get("totalElements"),
    ),
    Listing(
        "Developer Center devices", lambda p: _list_with(p, "devices") and {"total", "page", "size"} <= p.keys(),
        lambda p: list(p["devices"]), lambda _: False, lambda p: p.get("total"),
    ),
)  # fmt: skip


def read_documents(path: Path, text: str, encoding: str) -> Raw:
    """The records of one or several JSON documents in a row. Raises FleetFileError."""
    if len(text) > MAX_JSON_BYTES:
        raise refuse(
            path, show_size(len(text)), f"JSON of at most {show_size(MAX_JSON_BYTES)}: write it as CSV or Parquet"
        )
    documents = list(_documents(path, text))
    listing = next((one for one in LISTINGS if isinstance(documents[0], dict) and one.fits(documents[0])), None)
    records, form = _plain_records(path, documents) if listing is None else _listed(path, documents, listing)
    return _columns(path, records, f"{form}, {encoding}")


def _documents(path: Path, text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder(parse_float=str, parse_int=str, object_pairs_hook=_apart)
    at, end = 0, len(text)
    number = 0
    while True:
        while at < end and text[at] in " \t\r\n,\x1e":
            at += 1
        if at == end:
            if number == 0:
                raise refuse(path, "an empty file", "a list of devices is needed")
            return
        number += 1
        try:
            document, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, getattr(error, "pos", at)) + 1
            why = "too deep" if isinstance(error, RecursionError) else getattr(error, "msg", str(error))
            raise refuse(path, f"broken JSON in line {line}", f"fix it ({why})") from None
        yield document


def _apart(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of which no key is there twice: readers disagree about which of them counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        again = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {again[:60]!r} occurs twice in one object")
    return found


def _listed(path: Path, documents: list[Any], listing: Listing) -> tuple[list[Any], str]:
    """The records of all pages; a list that is not whole is refused."""
    records: list[Any] = []
    for page in documents:
        if not isinstance(page, dict) or not listing.fits(page):
            raise refuse(path, f"pages of {listing.product} and something else", "one list a file")
        records += listing.records(page)
    total = listing.total(documents[-1])
    missing = total is not None and str(total).isdigit() and len(records) < int(total)
    if missing or listing.goes_on(documents[-1]):
        of = f" of {int(total):,}" if missing else ""
        raise refuse(path, f"{len(records):,}{of} devices", _MORE_PAGES)
    return records, listing.product


def _plain_records(path: Path, documents: list[Any]) -> tuple[list[Any], str]:
    if len(documents) > 1:
        return documents, "JSON lines"
    only = documents[0]
    if isinstance(only, list):
        return only, "JSON list"
    lists = (
        [key for key, value in only.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
        if isinstance(only, dict)
        else []
    )
    if len(lists) == 1:
        _check_whole(path, only, only[lists[0]])
        return only[lists[0]], f"JSON, list {lists[0]!r}"
    if isinstance(only, dict) and not lists:
        return [only], "JSON, one record"
    raise refuse(path, "JSON that is no list of devices", "a list of objects, or one object a line")


def _check_whole(path: Path, page: dict[str, Any], records: list[Any]) -> None:
    """Refuses a page of a longer list of a product that is not known, by what such pages have beside the list."""
    if any(str(page.get(key) or "false").lower() != "false" for key in _GO_ON):
        raise refuse(path, f"{len(records):,} devices", _MORE_PAGES)
    totals = [int(str(page[key])) for key in _TOTALS if str(page.get(key)).isdecimal()]
    if totals and max(totals) > len(records):
        raise refuse(path, f"{len(records):,} of {max(totals):,} devices", _MORE_PAGES)


def _columns(path: Path, records: list[Any], form: str) -> Raw:
    names: dict[str, int] = {}
    flat: list[dict[str, str]] = []
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise refuse(path, f"record {number + 1} is no object", "each device is an object of keys and values")
        row: dict[str, str] = {}
        _flatten(record, "", row, 0)
        for name in row:
            names.setdefault(name, len(names))
        if len(names) > _MOST_COLUMNS:
            raise refuse(path, f"more than {_MOST_COLUMNS} different keys", "leave out what is not needed")
        flat.append(row)
    columns = [pa.array([row.get(name, "") for row in flat], pa.string()) for name in names]
    return Raw(list(names), columns, len(flat), place="record", lines_of=lambda rows: [r + 1 for r in rows], form=form)


def _flatten(node: dict[str, Any], prefix: str, row: dict[str, str], depth: int) -> None:
    for key, value in node.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value and depth < _DEEPEST:
            _flatten(value, f"{name}.", row, depth + 1)
        elif value is None or value == {}:
            row[name] = ""
        elif isinstance(value, bool):
            row[name] = str(value).lower()
        elif isinstance(value, list):
            row[name] = ",".join(map(str, value)) if all(isinstance(v, str) for v in value) else json.dumps(value)
        else:
            row[name] = str(value)
