"""One store, one cloud: what a running cloud holds so that no second one touches its store or its packages.

A lock on a file beside the store (and on the data folder), or an advisory lock of PostgreSQL on a connection of its own.
The system gives a lock back when its owner dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from sim.errors import FotasimError

POSTGRESQL_LOCK = 0x666F746173696D
"""The key of the advisory lock: the same for all versions of fotasim, one lock for each database."""
_OWNER_CHARS = 60


class Claimed(FotasimError):
    """Another cloud has the store, or the data folder."""


class FileClaim:
    """A lock on a file that says who holds it."""

    def __init__(self, path: Path, what: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._file, 200).decode("utf-8", "replace")
            os.close(self._file)
            raise Claimed(f"{what} is in use by another cloud ({owner or 'unknown'}); stop that one first") from None
        os.ftruncate(self._file, 0)
        os.write(self._file, owner_name().encode())

    def holds(self) -> bool:
        """Whether the claim still stands; a file's lock goes with the process alone."""
        return True

    def release(self) -> None:
        """Gives it back."""
        os.close(self._file)


class PostgresClaim:
    """An advisory lock of a database, for as long as one connection stands."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url).set(drivername="postgresql+psycopg")
        options = {"application_name": f"fotasim-cloud {owner_name()}"[:_OWNER_CHARS], "connect_timeout": 5}
        self._engine: Engine = create_engine(parsed, pool_size=1, max_overflow=0, connect_args=options)
        self._connection: Connection | None = None
        try:
            self._take()
        except DBAPIError as error:
            self.release()
            raise FotasimError(f"database: {str(error.orig).strip().splitlines()[0]}") from None

    def _take(self) -> None:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.scalar(text(f"SELECT pg_try_advisory_lock({POSTGRESQL_LOCK})")):
            self._connection = connection
            return
        owner = connection.scalar(text(_HOLDER), {"high": POSTGRESQL_LOCK >> 32, "low": POSTGRESQL_LOCK & 0xFFFFFFFF})
        connection.close()
        self.release()
        raise Claimed(f"the database is in use by another cloud ({owner or 'unknown'}); stop that one first")

    def holds(self) -> bool:
        """Whether the claim still stands; one lost with its connection is taken again.

        False while the database is away. Raises Claimed when another cloud has taken the database meanwhile.
        """
        try:
            if self._connection is not None:
                self._connection.execute(text("SELECT 1"))
                return True
        except DBAPIError:
            self._forget()
        try:
            self._take()
        except DBAPIError:
            return False
        return True

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def release(self) -> None:
        """Gives it back."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._engine.dispose()


_HOLDER = """
SELECT a.application_name || ', ' || coalesce(host(a.client_addr), 'local') FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = :high AND l.objid::bigint = :low
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1
"""

Claim = FileClaim | PostgresClaim


def claim(url: str, data: Path) -> list[Claim]:
    """Claims the data folder and the store at a URL. Raises Claimed when another cloud has one of them."""
    claims: list[Claim] = [FileClaim(data / "cloud.lock", f"the data folder {data}")]
    parsed = make_url(url)
    try:
        if parsed.get_backend_name() == "postgresql":
            claims.append(PostgresClaim(url))
        elif (
            parsed.get_backend_name() == "sqlite"
            and parsed.database
            and Path(parsed.database).resolve().parent != data.resolve()
        ):
            beside = Path(parsed.database).with_suffix(".lock")
            claims.append(FileClaim(beside, f"the store {parsed.database}"))
    except BaseException:
        release(claims)
        raise
    return claims


def release(claims: list[Claim]) -> None:
    """Gives all of them back."""
    for claimed in claims:
        claimed.release()


def owner_name() -> str:
    """Who holds a claim, for people."""
    return f"process {os.getpid()} on {socket.gethostname()}"
