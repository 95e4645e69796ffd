"""The error tree: everything a user can be told about.

FotasimError
├── InputError          what was given is wrong: an option, a file
│   ├── ScenarioError   the scenario or a file it names is wrong: one Problem per mistake
│   │   └── FleetFileError  a fleet file is wrong: the first faults one by one, the rest counted
│   └── StudyError      a study was asked for in a way that cannot be done
├── RecordsError    a run folder is missing, damaged or cannot be written
│   └── FolderInUse     (an InputError too) a folder holds something that would be overwritten or mixed with
├── IllegalInput    a module was given an input its state refuses
├── ProtocolError   a wire format is broken: by the peer, unless it says otherwise
│   ├── RemoteProtocolError  the peer sent what breaks the format
│   └── LocalProtocolError   we were about to send what breaks it; nothing was written
├── EngineUnavailable  the compiled engine cannot run here
├── PluginError     a plug-in failed, or gave what its kind does not give
└── MissingExtra    an optional part is not installed

PlanFileWarning     (a warning) what a plan file of another product holds beyond a strategy
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass


class FotasimError(Exception):
    """Base of all errors that are the user's or the environment's, not ours."""


class InputError(FotasimError):
    """What was given cannot be used: the user's to put right (exit status 2)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a scenario: where it is, what was found, what would be right.

    As text it is one line without control characters: much of it comes from files of others and goes to terminals.
    """

    file: str
    line: int | None
    key: str
    found: str
    cure: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        text = f"{place}: {self.key}: found {self.found}; {self.cure}"
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class ScenarioError(InputError):
    """The scenario cannot be used; `problems` lists every mistake found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


class FleetFileError(ScenarioError):
    """A fleet file cannot be used; `problems` lists the first faults, `more` counts the rest by kind."""

    def __init__(self, problems: Sequence[Problem], more: Sequence[str] = ()) -> None:
        super().__init__(problems)
        self.more = list(more)
        self.args = ("\n".join([*map(str, self.problems), *(f"… and {line}" for line in self.more)]),)

    def __reduce__(self) -> tuple[type, tuple[list[Problem], list[str]]]:
        return type(self), (self.problems, self.more)


class StudyError(InputError):
    """A study was asked for in a way that cannot be done; the text says what would be right."""


class RecordsError(FotasimError):
    """A run folder is missing, damaged or cannot be written."""


class FolderInUse(InputError, RecordsError):
    """A folder to write to holds something that would be overwritten, or mixed with another result's files."""


class IllegalInput(FotasimError):
    """A module was given an input that its state refuses; names state, input and module."""


class ProtocolError(FotasimError):
    """A wire format is broken; the text says which rule."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what breaks the format."""


class LocalProtocolError(ProtocolError, ValueError):
    """We were about to send what breaks the format; nothing was written."""


class EngineUnavailable(FotasimError):
    """The compiled engine cannot run here; the text says why."""

    def __str__(self) -> str:
        return f"the compiled engine cannot run: {super().__str__()}"


class PluginError(FotasimError):
    """A plug-in failed, or gave what its kind does not give; names plug-in and file (exit status 70)."""


def because(error: BaseException) -> str:
    """An error of a library in one line: its kind, and the first line of what it says."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0][:200]}" if said else type(error).__name__


class MissingExtra(FotasimError):
    """An optional part is not installed, or this platform does not have it; the text says what to do."""


_POSIX_ONLY = ("fcntl", "resource")
"""Parts of Python that only POSIX systems have."""


def missing_part(error: ModuleNotFoundError, extra: str) -> MissingExtra:
    """What to say where an import failed: the extra to install, or that the platform cannot run this."""
    if error.name in _POSIX_ONLY:
        return MissingExtra(f"this needs Linux or macOS ({sys.platform} has no {error.name}); use WSL or the container")
    return MissingExtra(f"{error.name} is missing: pip install 'fotasim[{extra}]'")


class PlanFileWarning(UserWarning):
    """A field of a plan file that cannot be carried over, is unknown, or lies outside its documented range."""
