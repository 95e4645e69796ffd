"""The documentation does what it says: every marked command and snippet runs, every command is marked, the site builds.

A block is marked by a comment on the line before it: `<!-- run -->`, `<!-- run exit=1 -->` (the exit status it ends with),
`<!-- run: scenario -->` (a part of a scenario file, which must be valid), `<!-- not run: REASON -->`. Commands run in order,
page by page, in a copy of the scenarios, with small fleets.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from ruamel.yaml import YAML
from typer.testing import CliRunner

import sim.cli
from sim.cli.common import app
from sim.scenario import Scenario
from sim.scenario.load import check
from tests.support import BASE

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SMALL = {"run": 100, "sweep": 60, "tune": 60, "compare": 60, "sensitivity": 60, "replicate": 60}
"""Modules a command gets when the page does not say."""
UNMARKED = ("capacity.md", "cloud.md", "live.md", "load.md")
"""Pages whose blocks may still be unmarked."""
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>(?:not )?run[^>]*?) -->\n)?^```(?P<kind>\w+)[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    mark: str
    kind: str
    text: str

    @property
    def status(self) -> int:
        """The exit status it is to end with."""
        found = re.search(r"exit=(\d+)", self.mark)
        return int(found[1]) if found else 0

    @property
    def commands(self) -> list[list[str]]:
        """Its command lines, without the prompt, split as a shell would."""
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        wanted = [line[2:] for line in lines if line.startswith("$ ")] if self.kind == "console" else lines
        return [words for line in wanted if (words := shlex.split(line, comments=True))]


def _blocks(page: Path) -> list[Block]:
    return [Block(m["mark"] or "", m["kind"], m["text"]) for m in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


PAGES = sorted(page for page in DOCS.rglob("*.md") if _blocks(page))
RUN = [page for page in PAGES if any(block.mark.startswith("run") for block in _blocks(page))]


def _name(page: Path) -> str:
    return str(page.relative_to(DOCS))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A copy of what a user has: the ready scenarios and an empty folder for reports."""
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    (tmp_path / "reports").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", RUN, ids=_name)
def test_commands_and_snippets_run(page, workplace):
    """In order, each with the exit status the page gives."""
    for block in _blocks(page):
        if not block.mark.startswith("run"):
            continue
        if block.mark.startswith("run: scenario"):
            given = YAML(typ="safe").load(block.text)
            whole = YAML(typ="safe").load(BASE) | given
            check(_as_yaml(whole), page.name, ())
        elif block.kind == "python":
            exec(compile(_small_snippet(block.text), _name(page), "exec"), {"__name__": "docs"})
        else:
            for words in block.commands:
                assert words[0] == "fotasim", f"only fotasim commands run here: {words}"
                done = CliRunner().invoke(app, _small(words[1:]))
                assert done.exit_code == block.status, f"{' '.join(words)}\n{done.output}\n{done.exception}"


def _small(arguments: list[str]) -> list[str]:
    size = SMALL.get(arguments[0])
    return [*arguments, "--modules", str(size)] if size and "--modules" not in arguments else arguments


def _small_snippet(text: str) -> str:
    return re.sub(r"fleet\.size=\d+", "fleet.size=100", text)


def _as_yaml(tree: object) -> str:
    import io

    buffer = io.StringIO()
    YAML().dump(tree, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("page", [p for p in PAGES if p.name not in UNMARKED], ids=_name)
def test_every_command_is_marked(page):
    """Nothing to type stands on a page that nobody ran, unless it says why."""
    for block in _blocks(page):
        if block.kind in ("console", "bash", "sh", "python"):
            assert block.mark, f"{_name(page)}: unmarked block\n{block.text}"


TEXTS = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_commands_named_in_the_text_exist(page):
    """Every `fotasim …` in a line of text or a block names a command, and options it takes."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```\w*[^\n]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`(fotasim [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    for block in fenced:
        spans += re.findall(r"^(?:\$ )?(fotasim [^\n|;]+)", re.sub(r"\\\n\s*", " ", block), flags=re.MULTILINE)
    known = typer.main.get_command(app).commands
    for span in spans:
        name, *rest = span.split()[1:]
        if name in ("…", "COMMAND"):
            continue
        assert name in known, span
        options = {
            option for parameter in known[name].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {re.split(r"[=\]]", word)[0] for word in rest if word.startswith("--")} <= options | {"--help"}, span


def test_the_site_builds_without_warnings(tmp_path):
    """Links, generated tables, the Python reference."""
    pytest.importorskip("mkdocs")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    keys = (tmp_path / "site" / "reference" / "scenario" / "index.html").read_text()
    assert all(f"<code>{key}</code>" in keys for key in Scenario.model_fields)
    commands = (tmp_path / "site" / "reference" / "commands" / "index.html").read_text()
    assert "--price-per-mb" in commands and sim.cli


@pytest.mark.parametrize("template", sorted((DOCS / "ci").glob("*.yml")), ids=lambda p: p.name)
def test_ci_templates_parse_and_use_options_that_exist(template):
    """YAML, and every fotasim command of it is one the command line takes."""
    text = template.read_text(encoding="utf-8")
    YAML(typ="safe").load(text)
    known = typer.main.get_command(app).commands
    found = re.findall(r"fotasim (run|report)([^|;\n]*)", text)
    assert {name for name, _ in found} == {"run", "report"}
    for name, rest in found:
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options
