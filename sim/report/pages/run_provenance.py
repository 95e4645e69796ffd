"""The sections that make a run's page evidence: what was released, under which strategy, made how, and how to repeat it."""

from __future__ import annotations

from collections.abc import Iterator

from sim.report.model.run_report import RunReport
from sim.report.page import Block, Column, Section, Table
from sim.report.pages.origin_section import origin_section


def release_sections(report: RunReport) -> Iterator[Section]:
    """Packages with their hashes, input files, and the strategy as a table."""
    release = report.release
    columns = (
        Column("component", "Component"), Column("type", "Type"), Column("package", "Package"),
        Column("installed", "Installed before"), Column("source_version", "Source version"),
        Column("target_version", "Target version"), Column("size_bytes", "Size", "size"), Column("sha256", "SHA-256"),
    )  # fmt: skip
    rows = [
        (p.component, p.type, p.package, p.installed, p.source_version or "any", p.target_version, p.size_bytes,
         p.sha256 or "no file given")
        for p in release.packages
    ]  # fmt: skip
    blocks: list[Block] = [Table("packages", columns, rows)]
    yield Section(f"What is released: plan {release.plan}", blocks)
    settings = (Column("setting", "Setting"), Column("value", "Value"), Column("meaning", "Meaning"))
    listed = [(s.key, s.value, s.meaning) for s in release.strategy]
    yield Section("Strategy as run", [Table("strategy_as_run", settings, listed)])


def provenance_rows(report: RunReport) -> list[tuple[str, str]]:
    """Everything that identifies a run, as pairs of texts: the properties of its JUnit suite."""
    return [*_what_ran(report), *report.origin.rows()]


def _what_ran(report: RunReport) -> list[tuple[str, str]]:
    packages = "; ".join(
        f"{p.component} {p.source_version or p.installed} → {p.target_version}" for p in report.release.packages
    )
    return [
        ("scenario", report.facts.scenario),
        ("release", packages),
        ("replications", str(report.facts.replications)),
    ]


def appendix_sections(report: RunReport) -> Iterator[Section]:
    """Command, date, seed, versions, hashes; how to repeat the run and how to check this folder."""
    simulated = report.facts.kind == "simulated"
    hint = (
        "Type it in the run's folder: scenario.yaml there has every default written out, and the fleet files are copies. "
        "fotasim verify . checks every file against SHA256SUMS and the figures against the tables"
        + ("; with --repeat it also runs the scenario again and names what differs." if simulated else ".")
    )
    if not simulated:
        hint = f"A live run does not repeat exactly. {hint}"
    yield origin_section(report.origin, "Repeat this run", hint, _what_ran(report))
