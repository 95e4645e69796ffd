"""Blocks of the documentation as tests run them: what stands in them, and a place where their commands work.

A block is marked by a comment on the line before it:

- `<!-- run -->`: its commands run; `<!-- run exit=1 -->` with the exit status they end with (1 for No go, 4 for undecided …).
- `<!-- run: cloud -->`: as in a shell of its own. `fotasim cloud` starts in the background on free ports, and later blocks
  of the page reach it at the address they name; it ends with the page.
- `<!-- run: scenario -->`: a part of a scenario file, which must be valid. `<!-- run: apart -->`: Python in a process of its own.
- `<!-- run first: REASON -->`: its first command runs, the others are parsed.
- `<!-- not run: REASON -->`: its `fotasim` commands are parsed: they exist, with these options and kinds of values.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import typer.main
from typer.testing import CliRunner

from sim.cli.common import app
from sim.exit_status import ExitStatus

CLOUD = "http://127.0.0.1:8080"
"""Where the pages say the cloud is."""
ANSWER_S, COMMAND_S = 90.0, 120.0
SCALE = "200"
"""How much faster the clouds and fleets of the pages go here, whatever a page says."""
SMALL = {
    "run": ("--modules", "100", "--workers", "1"), "sweep": ("--modules", "60", "--replications", "2", "--workers", "1"),
    "tune": ("--modules", "60", "--trials", "6", "--replications", "1", "--final-replications", "2", "--workers", "1"),
    "compare": ("--modules", "60", "--replications", "3", "--workers", "1"),
    "sensitivity": ("--modules", "60", "--samples", "2", "--workers", "1"), "cloud": ("--http", "0", "--mqtt", "0", "--json", "--time-scale", SCALE),
    "live": ("--modules", "20", "--time-scale", SCALE),
    "load": ("--modules", "20", "--workers", "1", "--headless", "--duration", "3 s", "--ramp", "50/s", "--time-scale", SCALE),
    "capacity": ("--start", "5", "--max", "10", "--hold", "1 s", "--confirm", "1 s", "--precision", "0.5"),
}  # fmt: skip
"""What a command gets when the page does not say, so that it takes a moment only."""
SHORT = {"--time-scale": SCALE, "--hold": "1 s", "--confirm": "1 s"}
"""What options are worth here, whatever a page says, unless it names the load it needs: that takes its full time to prove."""
EVIDENCE = ("--modules", "--replications", "--final-replications", "--max", "--hold", "--confirm")
"""Options that decide how much evidence there is: where a command here has less than the page's, its verdict may be
"undecided"."""
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>(?:not )?run[^>]*?) -->\n)?^```(?P<kind>\w+)[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]*=")


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


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, top down."""
    return [Block(m["mark"] or "", m["kind"], m["text"]) for m in _BLOCK.finditer(page.read_text(encoding="utf-8"))]


def small(arguments: list[str]) -> list[str]:
    """The command at a size that takes a moment; what the page gives stays."""
    listed, options = list(arguments), SMALL.get(arguments[0], ())
    if "--need" in listed:
        return listed
    for option, value in SHORT.items():
        if option in listed:
            listed[listed.index(option) + 1] = value
    flags = [i for i, word in enumerate(options) if word.startswith("--")]
    for at, end in zip(flags, [*flags, len(options)][1:], strict=True):
        if options[at] not in arguments:
            listed += options[at:end]
    return listed


def value_of(option: str, arguments: list[str]) -> str | None:
    """What stands behind an option, if it is there."""
    return arguments[arguments.index(option) + 1] if option in arguments else None


def parse(words: list[str]) -> None:
    """Raises when the line is no fotasim command with options and values of these kinds."""
    command = typer.main.get_command(app).commands[words[1]]  # type: ignore[attr-defined]
    command.make_context(words[1], [word for word in words[2:] if word != "…"])


def environment(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The assignments a line begins with (also behind `export`), and the command behind them."""
    rest = words[1:] if words[0] == "export" else words
    count = next((i for i, word in enumerate(rest) if not _ASSIGNMENT.match(word)), len(rest))
    given = dict(word.split("=", 1) for word in rest[:count])
    return given, rest[count:]


@dataclass
class Shell:
    """A shell in a folder: its variables, its background processes, the address of the cloud it started, and the run
    folders whose fleets `small` made smaller than the page has them."""

    folder: Path
    variables: dict[str, str] = field(default_factory=lambda: {"FOTASIM_TOKEN": "a-token-for-the-documentation"})
    background: list[subprocess.Popen[bytes]] = field(default_factory=list)
    address: str = CLOUD
    shrunk: set[Path] = field(default_factory=set)

    def run(self, words: list[str], status: int) -> None:
        """One line: an export, a server in the background, or a command to its end."""
        given, command = environment(words)
        self.variables |= {name: value for name, value in given.items() if "…" not in value}
        if not command or command[0] == "pip":  # what the page installs is there
            return
        assert command[0] == "fotasim", f"only fotasim commands run here: {words}"
        arguments = small(command[1:])
        if arguments[0] == "cloud":
            self._serve(arguments)
            return
        if any(CLOUD in word for word in arguments) and not self.background:
            self._serve(small(["cloud", "--scenario", arguments[1], "--activate"]))
        arguments = [word.replace(CLOUD, self.address) for word in arguments]
        if arguments[0] == "load":
            arguments += ["--port", str(free_port())]
        before = self._folders()
        done = subprocess.run(
            [sys.executable, "-m", "sim.cli", *arguments], cwd=self.folder, env=self._environment(), text=True,
            capture_output=True, timeout=COMMAND_S, check=False,
        )  # fmt: skip
        told = f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
        # A busy host makes a load's figures void, which the command says by status 3: the page's command worked.
        void = arguments[0] in ("load", "capacity") and "void" in told.lower()
        allowed = self._statuses(command[1:], arguments, status, before) | (
            {int(ExitStatus.RUN_FAILED)} if void else set()
        )
        assert done.returncode in allowed, told

    def here(self, words: list[str], status: int) -> None:
        """One line in this process, which spares the start of another; `> FILE` takes what it prints."""
        assert words[0] == "fotasim", f"only fotasim commands run here: {words}"
        given, target = (words[1:-2], words[-1]) if words[-2:-1] == [">"] else (words[1:], None)
        arguments, before = small(given), self._folders()
        done = CliRunner().invoke(app, arguments)
        allowed = self._statuses(given, arguments, status, before)
        assert done.exit_code in allowed, f"{' '.join(words)}\n{done.output}\n{done.exception}"
        if target is not None:
            Path(target).write_text(done.stdout, encoding="utf-8")

    def python(self, text: str) -> None:
        """A snippet in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=self.folder, env=self._environment(), text=True, capture_output=True,
            timeout=COMMAND_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def end(self) -> None:
        """Ends what runs in the background."""
        for process in self.background:
            process.kill()
            process.wait()

    def _serve(self, arguments: list[str]) -> None:
        """Starts a cloud and waits for the line that tells its addresses. An earlier one of the page ends first."""
        self.end()
        output = self.folder / "cloud.log"
        with output.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "sim.cli", *arguments], cwd=self.folder, env=self._environment(), stdout=file,
                stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.background = [process]
        until = time.monotonic() + ANSWER_S
        while time.monotonic() < until:
            told = re.search(r"^{.*}$", output.read_text(), re.MULTILINE)
            if told is not None:
                self.address = str(json.loads(told[0])["http"])
                return
            assert process.poll() is None, f"{' '.join(arguments)} ended: {output.read_text()}"
            time.sleep(0.05)
        raise AssertionError(f"{' '.join(arguments)} told no address: {output.read_text()}")

    def _folders(self) -> set[Path]:
        """The run folders that are there."""
        return {manifest.parent for manifest in self.folder.rglob("manifest.json")}

    def _statuses(self, given: list[str], arguments: list[str], status: int, before: set[Path]) -> set[int]:
        """What a command that just ended may have ended with: the page's status, or "undecided" when its fleet is smaller
        than the page's, or when it judged the folder of such a run."""
        smaller = any(value_of(option, arguments) != value_of(option, given) for option in EVIDENCE)
        if smaller:
            self.shrunk |= self._folders() - before
        named = {self.folder / word for word in given if not word.startswith("-")}
        judged = any(place == folder or place in folder.parents for place in named for folder in self.shrunk)
        return {status, int(ExitStatus.UNDECIDED)} if smaller or judged else {status}

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), **self.variables}


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
