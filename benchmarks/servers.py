"""Servers that benchmarks need: mosquitto and nginx on loopback, on a core of their own where there are two."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT_CORE, SERVER_CORE = 0, 1


def pinned(core: int) -> list[str]:
    """What begins a command that is to run on one core."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


@contextmanager
def _serving(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen([*pinned(SERVER_CORE), *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _await_port(port)
        yield
    finally:
        process.terminate()
        process.wait()


def needed(name: str) -> str:
    """The path of a program; SystemExit where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise SystemExit(f"{name} is not installed")
    return found


@contextmanager
def mosquitto() -> Iterator[int]:
    """The port of a broker that takes anybody."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_connections -1\npersistence false\nlog_type none\n"
            "set_tcp_nodelay true\n",
            encoding="ascii",
        )
        with _serving([needed("mosquitto"), "-c", str(config)], port):
            yield port


@contextmanager
def nginx(folder: Path, package: bytes) -> Iterator[str]:
    """The URL of a server whose package.bin is `package`."""
    port = _free_port()
    (folder / "package.bin").write_bytes(package)
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid; error_log /dev/null;\n"
        "events { worker_connections 15000; }\n"
        f"http {{ access_log off; sendfile on; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f"server {{ listen 127.0.0.1:{port} backlog=8192; root {folder}; }} }}\n",
        encoding="ascii",
    )
    folder.chmod(0o755)
    with _serving([needed("nginx"), "-c", str(config)], port):
        yield f"http://127.0.0.1:{port}"
