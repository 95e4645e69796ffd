"""Which column of a fleet file holds which value, in which unit, and what is done where it is missing."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from sim.scenario.fields import Section

Missing = Literal["stop", "drop", "default", "sample", "distribution"]

UNITS: dict[str, tuple[str, ...]] = {
    "rsrp_dbm": ("dBm", "unsigned-dBm", "index"),
    "battery_percent": ("percent", "fraction"),
    "free_space": ("B", "kB", "MB", "GB", "KiB", "MiB", "GiB"),
    "last_seen": ("iso", "day-first", "month-first", "s", "ms"),
}
"""Units by column; the first is what a bare value without doubt is taken for."""


class Column(Section):
    """A column of the fleet file. A plain name is short for `{column: name}`."""

    column: Annotated[str, Field(min_length=1, max_length=200)]
    """Its name in the file's first line, exactly; for JSON the path of keys, such as `attributes.site`."""
    unit: Literal[
        "dBm", "unsigned-dBm", "index", "percent", "fraction", "B", "kB", "MB", "GB", "KiB", "MiB", "GiB",
        "iso", "day-first", "month-first", "s", "ms",
    ] | None = None  # fmt: skip
    """Unit of bare values: signal `dBm`, `unsigned-dBm` (95 for -95) or `index` (0 to 97 of 3GPP TS 36.133); battery `percent` or `fraction`; space `B` to `GiB`; times `iso`, `day-first`, `month-first`, `s`, `ms`. Not set: recognised, and asked for where in doubt."""
    decimal: Literal[".", ","] | None = None
    """Decimal mark; not set: recognised, and asked for where in doubt."""
    absent: Annotated[list[str], Field(max_length=50)] = Field(default_factory=list)
    """Further texts that mean that there is no value, such as `["255", "-999"]`."""
    missing: Missing | None = None
    """Where there is no value: `stop`, `drop` the row, `default`, `sample` from the values that are known, or draw from the group's `distribution`. Not set: `stop`; only of `cell`, `last_seen` and labels an empty field means that there is none."""
    default: str | int | float | None = None
    """The value where there is none, in the column's unit; makes `missing` default."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"column": given}
        if isinstance(given, dict) and given.get("default") is not None and "missing" not in given:
            return {**given, "missing": "default"}
        return given

    @model_validator(mode="after")
    def _fits(self) -> Column:
        if (self.missing == "default") != (self.default is not None):
            raise ValueError("missing: default needs a default, and a default means missing: default")
        return self

    def check_text(self, key: str) -> None:
        """ValueError when the default of a text is a number: YAML has read `1.10` as 1.1."""
        if self.default is not None and not isinstance(self.default, str):
            raise ValueError(f'{key}: write the default in quotes, such as "1.10"')

    def check_unit(self, key: str) -> None:
        """ValueError when the unit is none of the key's."""
        allowed = UNITS.get(key.removeprefix("columns."), ())
        if self.unit is not None and self.unit not in allowed:
            raise ValueError(f"{key}: unit must be one of {', '.join(allowed)}" if allowed else f"{key}: takes no unit")


def _short(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


ColumnOf = Annotated[Column, BeforeValidator(_short)]
Key = Literal[
    "module", "hardware", "cell", "rsrp_dbm", "battery_percent", "free_space", "version", "time_zone", "last_seen"
]
"""What a file can hold of a module. The rest of a module is drawn from the group's distributions."""


def nearest(name: str, names: list[str]) -> str:
    """What to do about a column that the file does not have."""
    folded = {other.casefold(): other for other in names}
    close = difflib.get_close_matches(name.casefold(), list(folded), 1)
    listed = ", ".join(repr(other) for other in names[:30]) + (", …" if len(names) > 30 else "")
    return f"did you mean {folded[close[0]]!r}? The file has {listed}" if close else f"the file has {listed}"
