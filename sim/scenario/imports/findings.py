"""What reading a plan file finds besides the strategy: notes, losses, and what the product itself would refuse."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

SHOWN = 60
"""Characters of a value that a message shows."""
SHOWN_OF_A_KEY = 400
"""Characters of a place in the file."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Something the file limits, selects or stops and the strategy does not."""

    key: str
    value: str
    why: str
    cure: str

    def __str__(self) -> str:
        return f"{self.key}: {self.value} is not carried over: {self.why}; {self.cure}"

    def as_dict(self) -> dict[str, str]:
        """As `strategy.losses` writes it."""
        return {"key": self.key, "value": self.value, "why": self.why, "cure": self.cure}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something the product would refuse, or that is no value at all."""

    key: str
    value: str
    cure: str


@dataclass(slots=True)
class Findings:
    """All that one file gives to say. Notes change nothing of the rollout."""

    notes: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)


def short(value: Any, limit: int = SHOWN) -> str:
    """A value of a foreign file in one short line, as JSON writes it."""
    as_json = isinstance(value, dict | list | bool | None)
    text = (
        value if isinstance(value, str) and value
        else json.dumps(value, ensure_ascii=False, default=repr) if as_json else repr(value)
    )[: 2 * limit]  # fmt: skip
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."
