"""What a dialect is: how files of one product are told apart and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sim.scenario.imports.findings import Findings


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says besides the file: version of the server, packages to roll back to, today's date."""

    server_version: tuple[int, ...] = ()
    """Such as (0, 4); empty: a current one."""
    rollback: tuple[Mapping[str, Any], ...] = ()
    """Previous packages as `strategy.rollback` writes them."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


Reader = Callable[[Mapping[str, Any], Findings, Options], tuple[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of plan file: `certain` by a field nobody else has, `possible` by fields that others have, too."""

    name: str
    product: str
    read: Reader
    certain: Callable[[Mapping[str, Any]], bool]
    possible: Callable[[Mapping[str, Any]], bool] | None = None
