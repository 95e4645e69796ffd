"""Errors nobody foresaw: counted, told in one sentence with a reference, their tracebacks kept in a private file.

A traceback shows code and places, never values: secrets of devices stay out of it.
"""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from pathlib import Path

MAX_FILE_BYTES = 1 << 20
MAX_TOLD = 100
"""Different errors that are told on the terminal, each once; all are counted, and kept in the file."""


class Trouble:
    """Where unforeseen errors of a service go. `folder` keeps `errors.log`; None keeps nothing."""

    def __init__(self, folder: Path | None = None) -> None:
        self.count = 0
        self._told: set[str] = set()
        self._file = folder / "errors.log" if folder is not None else None

    def report(self, where: str, error: BaseException) -> str:
        """Counts an error that was caught in `where`; gives its reference, the same each time it happens."""
        places = traceback.extract_tb(error.__traceback__)
        named = [type(error).__name__, *(f"{Path(p.filename).name}:{p.name}" for p in places)]
        reference = hashlib.sha256("\n".join(named).encode()).hexdigest()[:8]
        self.count += 1
        if reference not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(reference)
            kept = f"; see {self._file}" if self._file is not None else ""
            text = f"fotasim: an error inside, {where}: {type(error).__name__}, reference {reference}"
            print(f"{text}; the service goes on{kept}", file=sys.stderr, flush=True)
        self._keep(reference, where, error)
        return reference

    def _keep(self, reference: str, where: str, error: BaseException) -> None:
        if self._file is None:
            return
        places = "".join(traceback.format_tb(error.__traceback__))
        text = f"{reference} {where}: {type(error).__name__}\n{places}\n"
        try:
            full = self._file.exists() and self._file.stat().st_size > MAX_FILE_BYTES
            flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if full else os.O_APPEND)
            with os.fdopen(os.open(self._file, flags, 0o600), "w") as file:
                file.write(text)
        except OSError:
            pass  # it was told on the terminal
