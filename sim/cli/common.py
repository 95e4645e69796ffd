"""What the commands share: the application, options, exit status, loading, progress, failing."""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from typer.core import TyperGroup

from sim.cli.progress import TimeLeft
from sim.errors import InputError, PlanFileWarning, missing_part
from sim.exit_status import ExitStatus
from sim.plugins import NO_PLUGINS, allow


class Commands(TyperGroup):
    """The commands; Ctrl-C in one that does not handle it reaches the entry point as an abort, which is told."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Abort from None


app = typer.Typer(
    name="fotasim", cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Simulate and load-test firmware-over-the-air rollouts to fleets of cellular modules.",
)  # fmt: skip

KEPT: list[Path] = []
"""Folders a command has written: named when it fails after that."""

ScenarioPath = Annotated[Path, typer.Argument(help="Scenario file (YAML).")]
Overrides = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print machine-readable output.")]


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the result that the folder holds.")]
SignKey = Annotated[
    Path | None, typer.Option("--sign", metavar="KEY", help="Sign the folder with an Ed25519 private key (PEM).")
]


def _allow_plugins(asked: bool) -> bool:
    if asked:
        allow()
    return asked


AllowPlugins = Annotated[
    bool,
    typer.Option("--allow-plugins", callback=_allow_plugins, help="Run the Python functions that the scenario names."),
]
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Imports of an optional part: where one is not there, MissingExtra says what to install, or what cannot be here."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_part(error, extra) from None


def command_line() -> str:
    """What was typed, for the record of where a result comes from; credentials in addresses are left out."""
    return shlex.join(["fotasim", *(_CREDENTIALS.sub("…@", word) for word in sys.argv[1:])])


def check_output(folder: Path, kind: str, *, overwrite: bool, sign: Path | None = None) -> Path:
    """The folder, when a result of that kind may be written and signed there: nothing long must fail at its end."""
    from sim import archive
    from sim.records import check_free

    check_free(folder, kind, overwrite=overwrite)
    _check_writable(folder)
    if sign is not None:
        archive.check_key(sign)
    return folder


def _check_writable(folder: Path) -> None:
    """InputError where no folder can be made beside which this one is to be: results are written aside, then renamed."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name[:40]}-"):
            pass
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None


def sign_folder(folder: Path, key: Path | None) -> None:
    """Signs the folder where a key was given, and says with which."""
    if key is None:
        return
    from sim import archive

    print(f"signed by {archive.sign(folder, key)}", file=sys.stderr)


class MarginalAs(StrEnum):
    """What a pipeline that needs yes or no makes of a gate in doubt."""

    GO = "go"
    NO_GO = "no-go"


MarginalOption = Annotated[
    MarginalAs | None,
    typer.Option("--marginal-as", help="Exit status of Marginal: go 0, no-go 1, instead of 4."),
]


def _print_version(asked: bool) -> None:
    if asked:
        from sim.version import version

        print(f"fotasim {version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and end."),
    ] = False,
) -> None:
    del version  # its callback has done it


def load_scenario(path: Path, overrides: list[str], *, plugins: bool = False) -> Any:
    """The checked scenario of a file, with overrides; what its plan file holds beyond a strategy, and what is
    perhaps not meant, goes to stderr. One with plug-ins is refused unless the command follows them (`plugins`)."""
    from sim.scenario import Scenario
    from sim.scenario.doubts import doubts

    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always", PlanFileWarning)
        scenario = Scenario.load(path, overrides)
    if scenario.plugins and not plugins:
        raise InputError(f"{path}: {NO_PLUGINS}")
    for told in [*(str(note.message) for note in notes), *doubts(scenario)]:
        print(f"fotasim: {told}", file=sys.stderr)
    return scenario


def with_options(overrides: list[str], seed: int | None, modules: int | None) -> list[str]:
    """Overrides with the short options written as further ones."""
    extra = [] if seed is None else [f"seed={seed}"]
    return [*overrides, *extra, *([] if modules is None else [f"fleet.modules={modules}"])]


def fail(text: str) -> NoReturn:
    """Ends the command: wrong use."""
    print(f"fotasim: {text}", file=sys.stderr)
    raise typer.Exit(ExitStatus.WRONG_INPUT)


def option_value(option: str, text: str, read: Callable[[str], float]) -> float:
    """What an option's text says, read by one of `sim.units`; wrong use ends the command."""
    try:
        return read(text)
    except ValueError as error:
        fail(f"{option}: {error}")


def say(text: str) -> None:
    """A line about what goes on, beside the output."""
    print(f"fotasim: {text}", file=sys.stderr)


def progress(quiet: bool) -> Progress:
    """A bar on a terminal, nothing in a pipe."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(), TimeLeft(),
        console=console, disable=quiet or not console.is_terminal, transient=True,
    )  # fmt: skip


_ATTEMPTS = (
    ("first attempt failed:", ((1, "first_attempts"), (-1, "first_attempts_succeeded")), ((1, "first_attempts"),)),
    ("rolled back by themselves:", ((1, "rolled_back"),), ((1, "installed_ended"),)),
    ("rolled back by the plan:", ((1, "rolled_back_by_plan"),), ((1, "installed_ended"),)),
    ("failed in the end:", ((1, "touched_failed"),), ((1, "touched_ended"),)),
)  # fmt: skip
"""What further attempts hide: a text, the counts that add up to the numerator, those of the denominator."""


def outcome_lines(summary: dict[str, Any]) -> Iterator[str]:
    """How many modules of the plan ended in each way, what attempts cost, and the causes that held most of the others back.

    Of several campaigns the mean per campaign, so that every count is out of the modules of one.
    """
    from sim.metrics import COUNTS
    from sim.report.show import outcome_words, words

    campaigns, total = summary["replications"], max(sum(summary["outcomes"].values()), 1)

    def per_campaign(count: int) -> str:
        return f"{count:,}" if campaigns == 1 else f"{count / campaigns:,.1f}"

    if campaigns > 1:
        yield f"  mean of {campaigns} campaigns"
    for name, count in summary["outcomes"].items():
        if count:
            yield f"  {outcome_words(name):<13}{per_campaign(count):>9}  {100 * count / total:6.2f} %"
    for text, numerator, denominator in _ATTEMPTS:
        count, of = (
            sum(sign * summary["counts"].get(name, 0) for sign, name in part) for part in (numerator, denominator)
        )
        if count:
            yield f"  {text} {per_campaign(count)} of {per_campaign(of)} {COUNTS[denominator[0][1]]} ({100 * count / of:.2f} %)"
    mistaken = summary["counts"].get("cloud_mistaken", 0)
    if mistaken:
        yield f"  the cloud does not know the end of {per_campaign(mistaken)}, or has it wrong"
    causes = [(words(cause), count) for cause, count in summary["causes"].items() if count]
    if causes:
        yield f"  held back by {', '.join(f'{cause} {per_campaign(count)}' for cause, count in causes[:4])}"


def verdict_lines(report: Any) -> Iterator[str]:
    """The verdict with its reasons, then every gate that is not settled for good, with what was found."""
    from sim.report.model.verdict_words import gate_sentence

    yield f"{report.told.word}: {report.told.headline}"
    for text in report.told.reasons:
        yield f"  {text}"
    for gate in report.gates:
        where = f"{gate.gate} {gate.of}".strip()
        yield f"  gate {where:<34} {gate.state:<12} {gate_sentence(gate)}"


def end_as(report: Any, marginal_as: MarginalAs | None) -> None:
    """Ends the command with the status of the report's verdict; `Go` just returns."""
    status = report.exit_statuses["as it is" if marginal_as is None else marginal_as]
    if status:
        raise typer.Exit(status)
