"""The sections that make a run's page evidence: what was released, under which strategy, made how, and how to repeat it."""

from __future__ import annotations

from collections.abc import Iterator

from sim.report.model.run_report import RunReport
from sim.report.page import Block, Code, Column, Section, Table, Text, Value
from sim.report.show import plural


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
    if release.inputs:
        blocks.append(_input_table(report))
    yield Section(f"What is released: plan {release.plan}", blocks)
    settings = (Column("setting", "Setting"), Column("value", "Value"), Column("meaning", "Meaning"))
    listed = [(s.key, s.value, s.meaning) for s in release.strategy]
    yield Section("Strategy as run", [Table("strategy_as_run", settings, listed)])


def _input_table(report: RunReport) -> Table:
    columns = (
        Column("key", "Key"), Column("name", "File"), Column("rows", "Rows", "count"), Column("size_bytes", "Size", "size"),
        Column("sha256", "SHA-256"), Column("copy", "Copy in this folder"),
    )  # fmt: skip
    rows = [(f.key, f.name, f.rows, f.size_bytes, f.sha256, f.copy or "none") for f in report.release.inputs]
    return Table("input_files", columns, rows, caption="Input files")


def provenance_rows(report: RunReport) -> list[tuple[str, str]]:
    """Everything that identifies a run, as pairs of texts: the rows of its table, the properties of its JUnit suite."""
    f = report.facts
    packages = "; ".join(
        f"{p.component} {p.source_version or p.installed} → {p.target_version}" for p in report.release.packages
    )
    return [
        ("scenario", f.scenario), ("release", packages), ("made at", f.made_at or "not known"), ("command", f.command or "not known"),
        ("seed", str(f.seed)), ("replications", str(f.replications)), ("engine", f.engine), ("fotasim", f.version),
        ("commit", f.commit or "not known"), ("scenario SHA-256", f.scenario_sha256),
        ("input files", plural(len(report.release.inputs), "file")), ("Python", f.python), ("system", f.system),
        ("took", f"{f.wall_s:.1f} s"),
    ]  # fmt: skip


def appendix_sections(report: RunReport) -> Iterator[Section]:
    """Command, date, seed, versions, hashes; how to repeat the run and how to check this folder."""
    f = report.facts
    simulated = f.kind == "simulated"
    hint = (
        "Type it in the run's folder: scenario.yaml there has every default written out, and the fleet files are copies. "
        "fotasim verify . checks every file against SHA256SUMS and the figures against the tables"
        + ("; with --repeat it also runs the scenario again and names what differs." if simulated else ".")
    )
    if not simulated:
        hint = f"A live run does not repeat exactly. {hint}"
    columns = (Column("what", "What"), Column("value", "Value"))
    yield Section("Repeat this run", [
        Code(f.repeat), Text(hint, hint=True),
        Table("provenance", columns, [(name, Value("text", value)) for name, value in provenance_rows(report)], caption="Origin of these figures"),
    ])  # fmt: skip
