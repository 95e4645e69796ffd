"""Where compiled code is kept on this host. Knows no compiler: it can be asked where Numba is missing."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path | None:
    """Where compiled code is kept, or None when no place can be written. FOTASIM_CACHE names another place.

    The user's cache folder; where that cannot be written, as in many containers, one of this user's own among the
    temporary files.
    """
    named = os.environ.get("FOTASIM_CACHE")
    if named:
        return _writable(Path(named))
    return _writable(_users_cache() / "fotasim") or _private_temporary()


def _users_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _writable(folder: Path) -> Path | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def _private_temporary() -> Path | None:
    """Compiled code is run as it is found: nobody else may have put it there."""
    if not hasattr(os, "getuid"):
        return None
    folder = Path(tempfile.gettempdir()) / f"fotasim-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError:
        return None
    owned = status.st_uid == os.getuid() and stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o077
    return folder if owned else None
