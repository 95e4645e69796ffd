"""The plug-ins a scenario names: which function, for what, with which options. Nothing is imported here."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sim import gates
from sim.plugins import DRIVING, Kind
from sim.scenario.fields import Name, PositiveDuration, Section

MOST_PLUGINS = 20


class PluginSection(Section):
    """A function of another package that the run calls; docs/plugins.md has what each kind is given and gives back."""

    name: Name
    """Name of the plug-in in the report; each has its own."""
    kind: Kind
    """What it is for: `abort-criterion`, `release-rule` and `check-in` are asked during the run, the others after it."""
    python: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$", max_length=200)] | None = None
    """The function, such as `mypackage.rules:stop_on_region`; runs only with `--allow-plugins`."""
    entry_point: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")] | None = None
    """In its place the name of an entry point `fotasim.plugins` of an installed package; needs no permission."""
    options: dict[Annotated[str, Field(pattern=r"^[a-z_]\w{0,63}$")], str | bool | int | float] = Field(
        default_factory=dict, max_length=50
    )
    """Arguments of the function by name, such as `{region: eu, share: 0.02}`."""
    limit: str | None = None
    """Of a `gate`: comparison and limit of its share, such as `<= 2 %`."""
    every: PositiveDuration = 60.0
    """Of an `abort-criterion` or `release-rule`: how often it is asked, from activation on, such as `1min`."""

    @model_validator(mode="after")
    def _complete(self) -> PluginSection:
        if (self.python is None) == (self.entry_point is None):
            raise ValueError("give either python, like mypackage.rules:stop_on_region, or entry_point")
        if (self.limit is not None) != (self.kind is Kind.GATE):
            raise ValueError('limit: a gate needs one, like "<= 2 %", and no other kind has one')
        if self.limit is not None:
            gates.parse_share(self.name, self.limit)
        return self

    @property
    def drives(self) -> bool:
        """Whether it is asked while the run goes."""
        return self.kind in DRIVING
