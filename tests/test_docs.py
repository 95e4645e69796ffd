"""The documentation does what it says: every marked command and snippet runs, every command is marked, the site builds.

`tests/docs_blocks.py` tells how blocks are marked and run. Commands run in order, page by page, in a copy of the
scenarios, with small fleets.
"""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import typer.main
from ruamel.yaml import YAML

import sim.cli
from sim.cli.common import app
from sim.cloud.state_machines import TABLES
from sim.module import link_states
from sim.module import states as ota_states
from sim.module.parameters import PARAMETERS
from sim.scenario import Scenario
from sim.scenario.load import check
from tests.docs_blocks import Shell, blocks_of, parse
from tests.support import BASE

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
OF_A_USER = {
    "staging.yaml": ROOT / "scenarios" / "live_demo.yaml",
    "scenario.yaml": ROOT / "demos" / "mixed_fleet.yaml",
    "aws-job.json": ROOT / "tests" / "scenario" / "data" / "aws_describe_job.json",
}
"""Files that pages take for a user's own."""
DEVICES = "imei,fw,rsrp_dbm,technology\n860688000000017,1.0.0,-97,LTE-M\n860688000000025,1.0.0,-104,NB-IoT\n"
"""An export of devices, of a user's own too."""
PAGES = [page for page in (README, *sorted(DOCS.rglob("*.md"))) if blocks_of(page)]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A copy of what a user has: the ready scenarios, files of their own and an empty folder for reports."""
    shutil.copytree(ROOT / "scenarios", tmp_path / "scenarios")
    for name, source in OF_A_USER.items():
        shutil.copy(source, tmp_path / name)
    (tmp_path / "devices.csv").write_text(DEVICES, encoding="utf-8")
    (tmp_path / "reports").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL_STUDIES = {
    "replicate": {"most": 20}, "compare": {"replications": 2}, "sweep": {"replications": 1},
    "tune": {"trials": 4, "replications": 1, "final_replications": 2}, "sensitivity": {"samples": 2},
}  # fmt: skip
"""What the studies of a snippet take when the page does not say."""


@pytest.fixture
def small_studies(monkeypatch):
    """Studies of snippets take moments, not minutes."""
    for name, options in SMALL_STUDIES.items():
        home = import_module(f"sim.study.{name}")
        monkeypatch.setattr(home, name, partial(getattr(home, name), **options, workers=1))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_and_snippets_run(page, workplace, small_studies):
    """In order, each with the exit status the page gives; what is not run is a command line that parses."""
    shell = Shell(workplace)
    try:
        for block in blocks_of(page):
            _run_block(block, page, shell)
    finally:
        shell.end()


def _run_block(block, page, shell):
    if block.mark.startswith("not run"):
        for words in block.commands:
            if words[0] == "fotasim":
                parse(words)
    elif block.mark.startswith("run: scenario"):
        given = YAML(typ="safe").load(block.text)
        check(_as_yaml(YAML(typ="safe").load(BASE) | given), page.name, ())
    elif block.mark.startswith("run: apart"):
        shell.python(block.text)
    elif block.mark.startswith("run") and block.kind == "python":
        exec(compile(_small_snippet(block.text), _name(page), "exec"), {"__name__": "docs"})
    elif block.mark.startswith("run: cloud"):
        for words in block.commands:
            shell.run(words, block.status)
    elif block.mark.startswith("run"):
        first, *others = block.commands
        for words in [first] if block.mark.startswith("run first") else block.commands:
            shell.here(words, block.status)
        for words in others if block.mark.startswith("run first") else ():
            parse(words)


def _small_snippet(text: str) -> str:
    return re.sub(r"(fleet(?:\.|__)size=)\d+", r"\g<1>100", text)


def _as_yaml(tree: object) -> str:
    buffer = io.StringIO()
    YAML().dump(tree, buffer)
    return buffer.getvalue()


def test_commands_of_the_readme_run(workplace):
    """Those between its lines of text, in order: a bad release ends with status 1, the others with 0."""
    text = re.sub(r"^```.*?^```", "", README.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = [shlex.split(span.replace("\n", " ")) for span in re.findall(r"`(fotasim [^`]+)`", text)]
    commands = [words for words in found if len(words) > 2]  # a name alone is a mention
    assert len(commands) >= 4
    shell = Shell(workplace)
    for words in commands:
        shell.here(words, 1 if "scenarios/bad_release.yaml" in words else 0)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_is_marked(page):
    """Nothing to type stands on a page that nobody ran, unless it says why."""
    for block in blocks_of(page):
        if block.kind in ("console", "bash", "sh", "python"):
            assert block.mark, f"{_name(page)}: unmarked block\n{block.text}"
            assert not block.mark.startswith("not run") or ": " in block.mark, f"{block.mark}: say why"


TEXTS = [README, *sorted(DOCS.rglob("*.md"))]


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
        if name in ("…", "COMMAND", "--help", "--version"):
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


def _build():
    spec = spec_from_file_location("build", DOCS / "_build.py")
    build = module_from_spec(spec)
    spec.loader.exec_module(build)
    return build


def test_the_page_of_states_is_drawn_from_the_tables_in_force():
    """Made from the code; every row of the five tables is on it, and every pair of states a row joins is an arrow."""
    build = _build()
    page = (DOCS / "states.md").read_text(encoding="utf-8")
    assert page == build.states(), "make schema writes it anew"
    tables = (link_states.TABLE, ota_states.TABLE, *TABLES)
    rows = re.findall(r"^\| `(\w+)` \| .* \| `(\w+)` \| ", page, re.MULTILINE)
    assert rows == [(t.moves[row.move], t.states[row.target]) for t in tables for row in t.rows]
    arrows = set(re.findall(r"^  (\w+) --> (\w+): (.+)$", page, re.MULTILINE))
    assert ("WAITING", "RUNNING", "OPEN") in arrows and ("ANY_OPEN", "FAILED", "FAIL") in arrows
    assert ("NOPLAN", "REVICEPLAN", "NOTICE") in arrows and ("DOWNLOADERROR", "NOPLAN", "SETTLE") in arrows
    assert ("SUSPENDED", "UPGRADING", "RESUME") in arrows and ("ATTACHING", "CONNECTING", "CONNECT") in arrows


def test_the_page_of_parameters_is_the_one_in_force():
    """Made from the code, every parameter on it, and nowhere else a table of them."""
    build = _build()
    page = (DOCS / "parameters.md").read_text(encoding="utf-8")
    assert page == build.parameters(), "make schema writes it anew"
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == set(PARAMETERS)
    others = [p for p in DOCS.rglob("*.md") if p.name != "parameters.md"]
    assert not [p.name for p in others if "| `long_offline_return_s` |" in p.read_text(encoding="utf-8")]


@pytest.mark.parametrize("template", sorted((DOCS / "ci").glob("*.yml")), ids=lambda p: p.name)
def test_ci_templates_parse_and_use_options_that_exist(template):
    """YAML, and every fotasim command of it is one the command line takes."""
    text = template.read_text(encoding="utf-8")
    YAML(typ="safe").load(text)
    known = typer.main.get_command(app).commands
    found = re.findall(r"fotasim (run|report)([^|;\n]*)", text)
    assert {name for name, _ in found} == (set() if template.name == "release.yml" else {"run", "report"})
    for name, rest in found:
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options
