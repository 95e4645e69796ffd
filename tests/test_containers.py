"""Dockerfile and compose.yaml: they parse, their commands are commands of fotasim, their files exist, secrets stay outside."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from sim.cli.entry import app

ROOT = Path(__file__).parents[1]


def services() -> dict[str, Any]:
    """The services of compose.yaml."""
    return dict(YAML(typ="safe").load((ROOT / "compose.yaml").read_text())["services"])


def commands() -> list[tuple[str, list[str]]]:
    """Service and arguments of every command of fotasim."""
    return [(name, shlex.split(service["command"])) for name, service in services().items() if "command" in service]


@pytest.mark.parametrize(("service", "arguments"), commands(), ids=[name for name, _ in commands()])
def test_the_command_of_every_service_is_a_command(service: str, arguments: list[str]) -> None:
    group = typer.main.get_command(app)
    command = group.get_command(group.make_context("fotasim", ["--help"], resilient_parsing=True), arguments[0])  # type: ignore[attr-defined]
    assert command is not None, service
    context = command.make_context(arguments[0], arguments[1:])
    assert not context.args
    assert (ROOT / str(context.params["scenario"])).is_file()


def test_master_and_workers_agree() -> None:
    by_name = dict(commands())
    workers = services()["worker"]["deploy"]["replicas"]
    assert by_name["master"][by_name["master"].index("--of") + 1] == str(workers)
    assert by_name["worker"][by_name["worker"].index("--of") + 1] == str(workers)
    assert by_name["worker"][by_name["worker"].index("--master") + 1].split(":")[0] == "master"


def test_only_the_console_is_published_and_only_on_loopback() -> None:
    published = [port for service in services().values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:8080:8080"]


def test_secrets_come_from_the_environment() -> None:
    for name, service in services().items():
        for key, value in service.get("environment", {}).items():
            if re.search("TOKEN|PASSWORD", key):
                assert re.fullmatch(r"\$\{\w+:\?.*\}", value), (name, key)


def test_the_image_copies_what_is_there_and_runs_without_privileges() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line
    assert "USER fotasim" in lines and 'ENTRYPOINT ["fotasim"]' in lines
