"""Plug-ins: Python functions of other packages that a simulated run calls. Which kinds there are, and how one is found.

A scenario names a function (`python: package.module:function`) or an installed entry point of the group `fotasim.plugins`.
Reading a scenario imports nothing. A run imports an entry point because somebody installed it here, and a named function
only where the user allowed it (`--allow-plugins`, which sets ALLOW for the processes of the run too): a scenario from
elsewhere brings no code along. What a function raises is a PluginError that names the plug-in and the line.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points, packages_distributions, version
from typing import Any, Protocol

from sim.errors import InputError, PluginError, because

GROUP = "fotasim.plugins"
ALLOW = "FOTASIM_ALLOW_PLUGINS"
"""Environment variable that allows functions a scenario names; `--allow-plugins` sets it to 1."""


class Kind(StrEnum):
    """What a plug-in is for. docs/plugins.md has what each is given and gives back."""

    ABORT_CRITERION = "abort-criterion"
    RELEASE_RULE = "release-rule"
    CHECK_IN = "check-in"
    METRIC = "metric"
    GATE = "gate"
    OUTCOME_CLASS = "outcome-class"
    REPORT_SECTION = "report-section"


NO_PLUGINS = "plugins: only simulated runs (fotasim run) call plug-ins; leave them out here, or the result would be of another plan"

DRIVING = (Kind.ABORT_CRITERION, Kind.RELEASE_RULE, Kind.CHECK_IN)
"""Kinds that are asked while a run goes, by the SimPy engine; the others look at its tables when it is over."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Modules of a plan as the cloud counts them."""

    targets: int = 0
    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    rejected: int = 0

    @property
    def completed(self) -> int:
        """Modules whose outcome is final."""
        return self.succeeded + self.failed + self.timed_out + self.rejected


@dataclass(frozen=True, slots=True)
class PlanNow:
    """A plan as the cloud sees it at one moment: what abort criteria and release rules are given."""

    now_s: float
    """Seconds after activation."""
    counts: Counts
    """Of the whole plan."""
    released: int
    notified: int
    under_way: int
    """Released and not over."""
    by: Callable[[str], Mapping[str, Counts]]
    """Counts by `group` or by a label of the fleet, such as `plan.by("region")["eu"]`; modules without the label are in none."""


@dataclass(frozen=True, slots=True)
class ModuleNow:
    """One module that goes to sleep: what a check-in pattern is given."""

    name: str
    group: str
    after_s: float
    """Seconds after activation: the pattern gives a later time."""
    number: int
    """How many check-ins this pattern has given the module before."""
    uniform: float
    """A random number in (0, 1) of this module and this number, the same in every run with the seed."""


class Written(Protocol):
    """An entry of `plugins` in a scenario."""

    name: str
    kind: Kind
    python: str | None
    entry_point: str | None
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in that is loaded: its function, and where it comes from."""

    name: str
    kind: Kind
    target: str
    """Module and function."""
    package: str
    """Name and version of the installed package it belongs to; empty for a module that belongs to none."""
    file: str
    sha256: str
    """Of the file of the module that is named."""
    function: Callable[..., Any]
    options: Mapping[str, Any]

    def __call__(self, *given: Any) -> Any:
        """What the function gives back; PluginError for whatever it raises."""
        try:
            return self.function(*given, **self.options)
        except (Exception, SystemExit) as error:
            lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == self.file]
            where = f"{self.file}:{lines[-1]}" if lines else self.file
            raise PluginError(f"plug-in {self.name} ({self.kind}, {where}) failed: {because(error)}") from error

    def refused(self, given: Any, wanted: str) -> PluginError:
        """The error for a value that its kind does not give."""
        shown = repr(given)
        return PluginError(
            f"plug-in {self.name} ({self.kind}, {self.file}) gave {shown[:77] + '...' if len(shown) > 80 else shown}; "
            f"it has to give {wanted}"
        )

    def provenance(self) -> dict[str, Any]:
        """What a manifest keeps of it."""
        return {
            "name": self.name, "kind": str(self.kind), "python": self.target, "package": self.package,
            "sha256": self.sha256, "options": dict(self.options),
        }  # fmt: skip


def load(written: Sequence[Written], kinds: Sequence[Kind] = tuple(Kind)) -> list[Plugin]:
    """The plug-ins of these kinds, imported; InputError for one that is not allowed, not found or not callable that way."""
    return [_loaded(entry) for entry in written if entry.kind in kinds]


def allowed() -> bool:
    """Whether functions that a scenario names may run."""
    return os.environ.get(ALLOW, "") == "1"


def allow() -> None:
    """Allows them in this process and in those it starts."""
    os.environ[ALLOW] = "1"


def installed() -> list[EntryPoint]:
    """Entry points of installed packages, by name; none is imported."""
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, origin(point)))


def origin(point: EntryPoint) -> str:
    """Name and version of the package that brings an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


def _loaded(written: Written) -> Plugin:
    target, package = _target(written)
    module_name, _, function_name = target.partition(":")
    try:
        module = import_module(module_name)
        function = getattr(module, function_name)
        file = str(module.__file__)
        content = module.__spec__.loader.get_data(file)  # type: ignore[union-attr] # also out of a zip
    except (Exception, SystemExit) as error:  # whatever a foreign module does when it is imported
        raise InputError(f"plug-in {written.name}: {target} cannot be loaded: {because(error)}") from error
    _check_call(written, target, function)
    return Plugin(
        written.name, written.kind, target, package or _package_of(module_name), file, hashlib.sha256(content).hexdigest(),
        function, written.options,
    )  # fmt: skip


def _target(written: Written) -> tuple[str, str]:
    """Module and function, and the package where an entry point says it."""
    if written.python is not None:
        if not allowed():
            raise InputError(
                f"plug-in {written.name}: the scenario names Python code, {written.python}, which runs with your rights; "
                "read it, then add --allow-plugins"
            )
        return written.python, ""
    found = [point for point in installed() if point.name == written.entry_point]
    if not found:
        known = ", ".join(dict.fromkeys(point.name for point in installed())) or "none"
        raise InputError(
            f"plug-in {written.name}: no installed package has the entry point {written.entry_point}; there are: {known}"
        )
    if len(found) > 1:
        packages = " and ".join(map(origin, found))
        raise InputError(
            f"plug-in {written.name}: entry point {written.entry_point} is claimed by {packages}: uninstall all but one"
        )
    return found[0].value, origin(found[0])


def _check_call(written: Written, target: str, function: Any) -> None:
    """InputError where the function cannot be called with one thing and the options of the scenario."""
    try:
        inspect.signature(function).bind(None, **written.options)
    except TypeError as error:
        options = ", ".join(written.options) or "none"
        raise InputError(
            f"plug-in {written.name}: {target} cannot be called with one argument and the options {options}: {error}"
        ) from None
    except ValueError:  # a function of C tells no signature
        pass


@cache
def _package_of(module_name: str) -> str:
    """Name and version of the distribution a module belongs to, or nothing."""
    names = packages_distributions().get(module_name.partition(".")[0], [])
    return f"{names[0]} {version(names[0])}" if names and module_name in sys.modules else ""
