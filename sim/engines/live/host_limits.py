"""What this host gives a live run: open files, and source addresses for more connections than one address has ports."""

from __future__ import annotations

import ipaddress
import socket
import sys

from sim.engines.live.live_target import is_loopback
from sim.errors import FotasimError, InputError

CONNECTIONS_PER_SOURCE = 25_000
"""Linux hands out 28,232 local ports by default; some are taken, some linger."""
EASY_CONNECTIONS_PER_SOURCE = 10_000
"""Beyond half of its ports the kernel searches long for a free one: connecting becomes several times slower."""
SPARE_FILES = 200
MAX_SOURCES = 200


def sources_for(modules: int, host: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """Source addresses for that many modules: those given, or further loopback addresses where one does not do."""
    for address in given:
        _check_source(address)
    if given or modules <= EASY_CONNECTIONS_PER_SOURCE:
        return given
    needed = -(-modules // CONNECTIONS_PER_SOURCE)
    easy = -(-modules // EASY_CONNECTIONS_PER_SOURCE)
    if is_loopback(host) and sys.platform.startswith("linux") and easy <= MAX_SOURCES:
        return ("", *(f"127.0.0.{i + 2}" for i in range(easy - 1)))
    if needed > 1:
        raise FotasimError(
            f"{modules:,} modules need {needed} source addresses ({CONNECTIONS_PER_SOURCE:,} connections each): "
            "give them with --source"
        )
    return ()


def _check_source(address: str) -> None:
    """InputError for what connections cannot come from: no address, or none of this machine."""
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except ValueError:
        raise InputError(f"--source {address}: an IP address is needed") from None
    except OSError as error:
        raise InputError(f"--source {address}: not usable on this machine: {error.strerror}") from None


def allow_files(modules: int) -> None:
    """Raises the limit of open files: a connection for each module, and a download each if this process may.

    FotasimError when not even the connections fit.
    """
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed, wanted = modules + SPARE_FILES, 2 * modules + SPARE_FILES
    if soft >= wanted:
        return
    if hard == resource.RLIM_INFINITY or hard >= needed:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (ValueError, OSError):
        raise FotasimError(
            f"{modules:,} connections at once need {needed:,} open files and this process may have {hard:,}: "
            "raise `ulimit -n`, or run fewer modules"
        ) from None
