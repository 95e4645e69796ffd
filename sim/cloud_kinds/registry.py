"""Which kinds of clouds there are: two of our own, and those of installed packages with an entry point `fotasim.clouds`.

A scenario names a kind and nothing more. Only an entry point of an installed package can be loaded, and only the one that
is named: a scenario from elsewhere brings no code along.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from sim.cloud_kinds import ddi, developer_center
from sim.cloud_kinds.adapter import CloudAdapter, VirtualBehaviour
from sim.errors import InputError
from sim.strategy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

GROUP = "fotasim.clouds"
DEFAULT = "simulated"
OWN: Mapping[str, CloudAdapter] = {DEFAULT: developer_center.ADAPTER, "ddi": ddi.ADAPTER}
MOST_SERVERS = 100


@dataclass(frozen=True, slots=True)
class Installed:
    """A kind of cloud that a scenario may name, or the reason why not."""

    kind: str
    title: str
    origin: str
    """Who brings it: fotasim, or the name and version of a package."""
    trouble: str = ""


def adapter_of(kind: str) -> CloudAdapter:
    """The adapter of a kind; InputError for one that is not installed, that two packages claim, or that is none."""
    if kind in OWN:
        return OWN[kind]
    found = [point for point in entry_points(group=GROUP) if point.name == kind]
    if not found:
        raise InputError(f"no such kind of cloud; installed are {', '.join(_names())} (fotasim doctor lists them)")
    if len(found) > 1:
        raise InputError(f"claimed by {' and '.join(map(_origin, found))}: uninstall all but one")
    return _loaded(found[0])


def installed() -> list[Installed]:
    """Every kind, our own first. Loads the adapters of other packages, to say which of them cannot be used."""
    rows = [Installed(kind, adapter.title, "fotasim") for kind, adapter in OWN.items()]
    for point in sorted(entry_points(group=GROUP), key=lambda p: (p.name, _origin(p))):
        title = trouble = ""
        try:
            if point.name in OWN:
                raise InputError("the name is taken by fotasim's own; this one is never used")
            title = adapter_of(point.name).title
        except InputError as error:
            trouble = str(error)
        rows.append(Installed(point.name, title, _origin(point), trouble))
    return rows


def _names() -> list[str]:
    return [*OWN, *sorted({point.name for point in entry_points(group=GROUP)} - OWN.keys())]


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


@cache
def _loaded(point: EntryPoint) -> CloudAdapter:
    """The adapter behind an entry point, once in a process; InputError when it cannot be used."""
    try:
        adapter = point.load()
        _check(adapter)
    except Exception as error:  # whatever a foreign package does when it is imported
        raise InputError(
            f"{_origin(point)}: {point.value} is no usable adapter: {error or type(error).__name__}"
        ) from error
    return adapter  # type: ignore[no-any-return]


def _check(adapter: CloudAdapter) -> None:
    """TypeError naming what an adapter is without."""
    wanted = [name for name in (*CloudAdapter.__annotations__, *vars(CloudAdapter)) if not name.startswith("_")]
    missing = [name for name in dict.fromkeys(wanted) if not hasattr(adapter, name)]
    if missing:
        raise TypeError(f"it is without {', '.join(missing)}")
    known = {field.name for field in fields(Settings)}
    for server in (None, *adapter.servers[:MOST_SERVERS]):
        behaviour = adapter.behaviour(server)
        if not isinstance(behaviour, VirtualBehaviour):
            raise TypeError(f"behaviour({server!r}) is {type(behaviour).__name__} and no VirtualBehaviour")
        unknown = sorted(behaviour.fixed_settings.keys() - (known - {"polled"}))
        if unknown:
            raise TypeError(f"fixed_settings: no setting of a plan is called {', '.join(unknown)}")
