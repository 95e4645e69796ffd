"""The engine of the store: connecting, durability settings, migrations at start.

SQLite runs in write-ahead mode with `synchronous=FULL`: a commit is on disk when it returns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from sim.errors import FotasimError, MissingExtra
from sim.service.errors import StoreFailing

BUSY_TIMEOUT_S = 30.0
POOL_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5


class NewerStore(Exception):
    """The store has a migration that this version does not know."""


class Database:
    """One database, migrated to the newest schema. Raises FotasimError when it cannot be opened."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _engine(url)
        try:
            _migrate(self.engine)
        except DBAPIError as error:
            self.engine.dispose()
            raise FotasimError(f"database {safe_url(url)}: {_reason(error)}") from None
        except NewerStore:
            self.engine.dispose()
            raise FotasimError(f"database {safe_url(url)} was written by a newer fotasim: upgrade this one") from None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading: one consistent view. StoreFailing when the database is away."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise StoreFailing(f"the store cannot be read: {_reason(error)}") from None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction; committed and on disk when the block ends. StoreFailing when the database cannot take it."""
        try:
            with self.engine.connect().execution_options(writes=True) as connection, connection.begin():
                yield connection
        except (OperationalError, InterfaceError, InternalError, PoolTimeout) as error:
            raise StoreFailing(f"the store cannot be written: {_reason(error)}") from None

    def ping(self) -> str:
        """ "" when the store can be written, else why it cannot. May block."""
        try:
            with self.write() as connection:
                connection.execute(text("SELECT 1"))
        except StoreFailing as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Closes all connections."""
        self.engine.dispose()


def safe_url(url: str) -> str:
    """The URL without its password, for messages."""
    return make_url(url).render_as_string(hide_password=True)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise FotasimError("--db: not a database URL; write sqlite:///FILE or postgresql://USER@HOST/NAME") from None
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise FotasimError(f"--db: {backend} is not supported; write sqlite:///FILE or postgresql://USER@HOST/NAME")
    if backend == "sqlite" and not parsed.database:
        raise FotasimError("--db: a store in memory would be empty at every start; write sqlite:///FILE")
    if backend == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        arguments = {"connect_timeout": CONNECT_TIMEOUT_S} if backend == "postgresql" else {}
        engine = create_engine(
            parsed, pool_pre_ping=backend == "postgresql", pool_size=10, max_overflow=30, pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True, connect_args=arguments,
        )  # fmt: skip
    except (ModuleNotFoundError, NoSuchModuleError):
        raise MissingExtra("PostgreSQL needs a driver: pip install 'fotasim[postgres]'") from None
    if backend == "sqlite":
        if parsed.database:
            _private_file(Path(parsed.database))
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    return engine


def _private_file(path: Path) -> None:
    """The database's file, readable by its owner alone; SQLite gives its companions the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise FotasimError(f"--db {path}: {error.strerror or error}") from None


def _sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say so, see _sqlite_begin
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(1000 * BUSY_TIMEOUT_S)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _sqlite_begin(connection: Connection) -> None:
    """A writer takes the lock at once: upgrading a read lock later would fail instead of wait."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    with as_file(files("sim.service.store") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise NewerStore from error


def _reason(error: Exception) -> str:
    """The first cause in words: what a full disk breaks afterwards, like a savepoint, is no news."""
    if not isinstance(error, DBAPIError):
        return "it does not answer in time"
    cause: BaseException | None = error
    while cause is not None:
        error = cause if isinstance(cause, DBAPIError) else error
        cause = cause.__context__
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
