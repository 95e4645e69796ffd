"""The commands around pages: report (every format of one run or several) and trend (a folder of archived runs)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from sim.cli.common import AsJson, MarginalAs, MarginalOption, app, fail, say
from sim.exit_status import ExitStatus
from sim.report.show import plural

Formats = Annotated[
    str, typer.Option("--format", help="html, pdf, md, junit, json, csv, parquet, separated by commas, or all.")
]
FailOnRegression = Annotated[
    bool, typer.Option("--fail-on-regression", help="Exit status 1 when a figure got worse beyond noise.")
]
_FACES = {".html": "page", ".pdf": "PDF", ".md": "Markdown", ".xml": "JUnit", ".json": "JSON"}
_TABLES = {"csv": "CSV", "parquet": "Parquet"}
Out = Annotated[Path | None, typer.Option(help="Folder to write to.")]


@app.command()
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER…", help="Folder of any kind; several run folders make a comparison."),
    ],
    format_: Formats = "html",
    out: Out = None,
    against: Annotated[Path | None, typer.Option(metavar="OLD", help="Archived run of the previous release.")] = None,
    study: Annotated[
        list[Path],
        typer.Option(metavar="FOLDER", help="Result of sensitivity or tune; RUN-sensitivity and RUN-tune are found."),
    ] = [],  # noqa: B006
    gate: Annotated[list[str], typer.Option(help='A further gate, such as "bricked upper <= 1e-4".')] = [],  # noqa: B006
    price_per_mb: Annotated[float | None, typer.Option(min=0, help="Price of a megabyte of data.")] = None,
    fail_on_regression: FailOnRegression = False,
    marginal_as: MarginalOption = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run, of several side by side, or of any other result, in any format.

    Results are run folders (simulated, replicated, live) and the folders of compare, sweep, tune, sensitivity, load and
    capacity. Gates and their like decide the exit status.
    """
    from sim.cli.result_folders import note_options
    from sim.report.formats.write import write_formats

    formats = formats_of(format_)
    options = Options([_gate(text) for text in gate], price_per_mb, against, study, fail_on_regression)
    _check_target(folders, out)
    whole = [_as_written(folder) for folder in folders]
    page, plain = _made(folders, options)
    target = out or (folders[0] if len(folders) == 1 else Path("reports") / "comparison")
    written = write_formats(page, target, formats, runs=plain)
    if folders == [target]:
        note_options(target, written, options.given())
    _end(written, page, as_json, marginal_as, whole=all(whole))


def _check_target(folders: list[Path], out: Path | None) -> None:
    """No page is written over that of another result."""
    from sim.cli.result_folders import KINDS, kind_of
    from sim.records import MANIFEST

    if out is None or not (out / MANIFEST).exists() or [folder.resolve() for folder in folders] == [out.resolve()]:
        return
    fail(f"--out {out}: holds a {KINDS[kind_of(out)]}, whose page would be replaced; choose another folder")


def _as_written(folder: Path) -> bool:
    """Whether a folder's files are those that were sealed; says which are not."""
    from sim import archive

    changed = archive.edited(folder)
    if changed:
        say(
            f"{folder}: not as it was written: {', '.join(changed)}; the page shows what is there now and decides nothing; "
            "fotasim verify says more"
        )
    return not changed


@dataclass(frozen=True, slots=True)
class Options:
    """What only pages of runs take."""

    gates: list[Any]
    price_per_mb: float | None
    against: Path | None
    studies: list[Path]
    fail_on_regression: bool

    def given(self) -> list[str]:
        """The options that were given, as they are written."""
        named = {"--gate": self.gates, "--price-per-mb": self.price_per_mb is not None, "--against": self.against,
                 "--study": self.studies, "--fail-on-regression": self.fail_on_regression}  # fmt: skip
        return [name for name, value in named.items() if value]


def _made(folders: list[Path], options: Options) -> Any:
    """The page of the folders and the plain reports of the runs among them."""
    from sim.cli.result_folders import KINDS, kind_of, page_of
    from sim.report.from_runs import comparison, single

    kinds = [kind_of(folder) for folder in folders]
    others = [(folder, KINDS[kind]) for folder, kind in zip(folders, kinds, strict=True) if kind != "run"]
    if not others and len(folders) == 1:
        return single(
            folders[0], gates=options.gates, price_per_mb=options.price_per_mb, against=options.against,
            studies=options.studies, fail_on_regression=options.fail_on_regression,
        )  # fmt: skip
    if not others:
        if options.against is not None:
            fail("--against compares one run with an older one; give one FOLDER")
        return comparison(folders, gates=options.gates, price_per_mb=options.price_per_mb)
    folder, called = others[0]
    if len(folders) > 1:
        fail(f"{folder} holds a {called}; only run folders can be laid side by side, others are reported one by one")
    if options.given():
        fail(f"{options.given()[0]} is for run folders; {folder} holds a {called}")
    return page_of(folder), []


@app.command()
def trend(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with run folders anywhere below it.")],
    format_: Formats = "html",
    out: Out = None,
    order: Annotated[str, typer.Option(help="name (release numbers as numbers) or time.")] = "name",
    fail_on_regression: FailOnRegression = False,
    marginal_as: MarginalOption = None,
    as_json: AsJson = False,
) -> None:
    """Figures from release to release; what got worse beyond noise is marked."""
    from sim.report.formats.write import write_formats
    from sim.report.pages.trend_page import archived, trend_page

    if order not in ("name", "time"):
        fail(f"--order {order}: choose name or time")
    page = trend_page(
        archived(folder, order), f"Trend of {folder.resolve().name}", fail_on_regression=fail_on_regression
    )
    _end(write_formats(page, out or folder, formats_of(format_), name="trend"), page, as_json, marginal_as)


def _end(
    written: list[Path], page: Any, as_json: bool, marginal_as: MarginalAs | None, *, whole: bool = True
) -> None:  # fmt: skip
    """Says what was written and ends with the status of the checks; with 3 where the folders are not `whole` any more."""
    unmet = [check for check in page.checks if not check.passed]
    if as_json:
        verdict = page.verdict.word if page.verdict else ""
        print(json.dumps({"verdict": verdict, "unmet": [c.name for c in unmet], "written": [str(p) for p in written]}))
    else:
        if page.verdict:
            print(f"{page.verdict.word}: {page.title}")
        for line in _written(written):
            print(line)
        for check in unmet:
            print(f"  {check.state.upper()}: {check.suite}: {check.name}: {check.text}")
    status = _status(unmet, marginal_as) if whole else ExitStatus.RUN_FAILED
    if status:
        raise typer.Exit(status)


_GRAVEST = (ExitStatus.INTERRUPTED, ExitStatus.RUN_FAILED, ExitStatus.NO_GO, ExitStatus.UNDECIDED)


def _status(unmet: Sequence[Any], marginal_as: MarginalAs | None) -> int:
    """The gravest status of the checks that did not hold; where that is doubt, and all of it by chance, as the pipeline wants."""
    statuses = [check.status for check in unmet]
    gravest = next((status for status in _GRAVEST if status in statuses), ExitStatus.GO)
    doubts = [check for check in unmet if check.status == ExitStatus.UNDECIDED]
    if gravest != ExitStatus.UNDECIDED or marginal_as is None:
        return gravest
    if marginal_as is MarginalAs.GO:
        return ExitStatus.GO if all(check.by_chance for check in doubts) else gravest
    return (
        gravest
        if any(check.word in ("Invalid", "too little", "nothing to judge") for check in doubts)
        else ExitStatus.NO_GO
    )


def _written(paths: list[Path]) -> Iterator[str]:
    """A line for each file, one for each format of tables."""
    tables: dict[tuple[Path, str], int] = {}
    for path in paths:
        if path.parent.name == "tables":
            tables[path.parent, path.suffix[1:]] = tables.get((path.parent, path.suffix[1:]), 0) + 1
        else:
            yield f"  {_FACES.get(path.suffix, 'report')}: {path}"
    for (folder, format_), count in tables.items():
        yield f"  {plural(count, 'table')} as {_TABLES[format_]}: {folder}"


def formats_of(text: str) -> list[str]:
    """The formats named with commas between them, or all."""
    from sim.report.formats.write import FORMATS

    wanted = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if wanted == ["all"]:
        return list(FORMATS)
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown or not wanted:
        fail(f"--format {text}: choose from {', '.join(FORMATS)}, or all")
    return wanted


def _gate(text: str) -> Any:
    from sim import gates

    try:
        gate = gates.parse_expression(text)
    except ValueError as error:
        fail(f"--gate: {error}")
    return gate
