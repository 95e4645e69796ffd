"""What happened: the tables every engine writes and the folder they live in; the only bridge to statistics and reports.

A folder is written aside and renamed when complete, so a half-written one is never taken for whole.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from sim import archive
from sim.block_writer import BlockWriter
from sim.causes import Cause
from sim.errors import FolderInUse, RecordsError

OUTCOMES = (
    "succeeded",
    "failed",
    "timed_out",
    "rejected",
    "canceled",
    "not_needed",
    "incompatible",
    "pending",
    "never_online",
)
"""How a module ended, by what is true at the horizon. `not_needed` ran the target version already; `incompatible` has a
version that the delta package does not fit, and stays behind."""

CAUSES = Cause.words()[1:]

ROWS_AT_ONCE = 262_144
"""Rows of a group in a Parquet file."""

STAGES = ("none", "notified", "confirmed", "downloaded", "upgraded", "reported")

MODULE_COLUMNS: dict[str, str] = {
    "replication": "int16", "module": "object", "group": "category", "technology": "category", "power": "category",
    "hardware": "category", "cell": "category", "rsrp_dbm": "float64", "coverage_level": "int8", "battery_percent": "float64",
    "free_space_bytes": "int64", "outcome": "category", "cause": "category", "cloud_state": "category",
    "stage": "category", "component": "int8", "components_done": "int8", "attempts": "int16", "first_fault": "category",
    "installations": "int16", "installation_failed": "bool", "fell_back": "bool", "expected_bricks": "float64", "download_errors": "int16",
    "sessions": "int32", "preambles": "int32", "offers": "int32", "deferrals": "int32", "first_contact_s": "float64",
    "notified_s": "float64", "confirmed_s": "float64", "download_started_s": "float64", "downloaded_s": "float64",
    "updating_s": "float64", "upgraded_s": "float64", "reported_s": "float64", "ended_s": "float64",
    "fails_s": "float64", "bytes_useful": "int64", "bytes_wasted": "int64", "energy_j": "float64", "energy_period_j": "float64", "battery_end_percent": "float64",
}  # fmt: skip
"""Columns of modules.parquet: one row per module (and replication), times in seconds after activation, NaN never."""

LOT_COLUMNS = ("lot", "lot_correlation")
"""Further columns of modules.parquet where `fleet.lots` is set: the number of the module's lot, -1 for none, and the
correlation of two modules of one lot."""

LABEL = "label_"
"""Begins the name of a further column of modules.parquet for each label of the fleet: `label_site`. Empty: the module has none."""


def label_columns(columns: Iterable[str]) -> dict[str, str]:
    """The columns that hold labels, each with the label's name."""
    return {name: name.removeprefix(LABEL) for name in columns if name.startswith(LABEL)}


SPANS = {
    "wake": "from the moment the module was first due to connect until it has its plan notice",
    "upgrade": "from the moment the module was first due to connect until the cloud has acknowledged its success",
}
"""What a user waits for, across legs: measured from the schedule, so a pause of the server shows at its full length."""
TIMELINE_COLUMNS = (
    "time_s", "width_s", "online", "connects", "requests", "downloads", "egress_bit_s",
    "notified", "confirmed", "downloaded", "upgraded", "reported", "failed",
)  # fmt: skip

DECISION_COLUMNS: dict[str, str] = {
    "replication": "int16", "time_s": "float64", "decision": "category", "group": "object", "detail": "object",
    "targets": "int64", "released": "int64", "notified": "int64", "completed": "int64", "succeeded": "int64",
    "failed": "int64",
}  # fmt: skip
"""Columns of decisions.parquet: what the strategy decided, when, and the counts it was decided at."""

STOPS = ("paused", "canceled", "force_canceled", "rolled_back")
"""Decisions of a strategy that stop a rollout."""

EVENT_COLUMNS = ("time_s", "module", "source", "status", "code", "text")

CAPACITY_FILE = "capacity.json"
"""What a capacity search found; a run folder that holds it is one of a search."""


def no_decisions() -> pd.DataFrame:
    """A table of decisions without any, for runs whose strategy decided elsewhere."""
    return pd.DataFrame(columns=list(DECISION_COLUMNS)).astype(DECISION_COLUMNS)


class Table(Protocol):
    """A table that need not be in memory as a whole."""

    def __len__(self) -> int: ...

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Some or all columns, some rows at a time, in order; there is one block at least."""
        ...

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Some or all columns, of all rows."""
        ...


@dataclass(slots=True)
class WholeTable:
    """A table in memory."""

    whole: pd.DataFrame

    def __len__(self) -> int:
        return len(self.whole)

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """See Table."""
        table = self.frame(columns)
        for start in range(0, max(1, len(table)), ROWS_AT_ONCE):
            yield table.iloc[start : start + ROWS_AT_ONCE]

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """See Table."""
        return self.whole if columns is None else self.whole[[name for name in self.whole if name in columns]]


@dataclass(slots=True)
class Records:
    """What an engine leaves: the tables, the peaks of the cloud's load and how the run went.

    `watched_s` is the virtual time the run reached: its horizon, or less when it was interrupted.
    """

    table: Table
    timeline: pd.DataFrame
    happened: Table | None
    """The events, where they were recorded: columns of EVENT_COLUMNS in order of time."""
    cloud_peaks: dict[str, float]
    complete: bool
    wall_s: float
    watched_s: float
    modules_left_out: int = 0
    engine: str = "simpy"
    decisions: pd.DataFrame = field(default_factory=no_decisions)

    @property
    def modules(self) -> pd.DataFrame:
        """The whole table of modules; it is kept from then on."""
        if not isinstance(self.table, WholeTable):
            self.table = WholeTable(self.table.frame())
        return self.table.whole

    @property
    def events(self) -> pd.DataFrame | None:
        """All events, or None where they were not recorded."""
        return None if self.happened is None else self.happened.frame()


KINDS = {
    "run": "run", "comparison": "comparison", "sweep": "sweep", "tune": "search", "sensitivity": "study of the inputs",
    "load": "load run", "capacity": "capacity search",
}  # fmt: skip
"""Kinds of folders, as their manifest names them, and what they are called."""
MANIFEST = "manifest.json"
FORMAT = 1
"""Format number of the folders this version writes. It goes up when an older version could not read them, or would
read them with another meaning; folders without a number are from before there was one and read as they are."""


def _readable(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raises RecordsError for a folder whose format this version does not know."""
    found = manifest.get("format", FORMAT)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise RecordsError(f"{folder / MANIFEST}: format {found!r:.20} is no format number; the folder is damaged")
    if found > FORMAT:
        raise RecordsError(
            f"{folder}: has folder format {found}, this fotasim reads up to {FORMAT}; upgrade with: pip install -U fotasim"
        )


def read_manifest(path: str | Path) -> dict[str, Any]:
    """The manifest of a folder of any kind, its `kind` filled in. RecordsError when there is none that can be read."""
    folder = Path(path)
    if not folder.is_dir():
        raise RecordsError(f"{folder}: no such folder")
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        kind = found.setdefault("kind", "run")
    except FileNotFoundError:
        raise RecordsError(f"{folder}: has no {MANIFEST}, so it is no folder of fotasim's") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RecordsError(f"{folder / MANIFEST}: cannot be read: {error}") from None
    _readable(folder, found)
    if not isinstance(kind, str) or kind not in KINDS:
        raise RecordsError(f"{folder}: of a kind this version does not know ({kind!r:.60})")
    return found  # type: ignore[no-any-return]


def write_manifest(folder: Path, kind: str, **facts: Any) -> None:
    """Says what the folder holds; `facts` are plain values. RecordsError when it holds something else already."""
    check_kind(folder, kind)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format": FORMAT, "kind": kind, **facts}, indent=1, default=str)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def check_kind(folder: Path, kind: str) -> None:
    """Raises FolderInUse when the folder holds a result of another kind, which is never written over."""
    if not (folder / MANIFEST).exists():
        return
    found = read_manifest(folder)["kind"]
    if found != kind:
        raise FolderInUse(f"{folder}: holds a {KINDS[found]}; choose another --out for this {KINDS[kind]}")


def check_free(folder: Path, kind: str, *, overwrite: bool = False) -> None:
    """Raises FolderInUse unless a result may be written there: to no folder, an empty one, or, with `overwrite`, one of its kind."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir() or not (folder / MANIFEST).exists():
        raise FolderInUse(f"{folder}: exists and is not a {KINDS[kind]} folder; choose another --out")
    check_kind(folder, kind)
    if not overwrite:
        raise FolderInUse(f"{folder}: holds a {KINDS[kind]} already; --overwrite replaces it, another --out keeps both")


def clear(folder: Path, kind: str, *, overwrite: bool) -> None:
    """Empties a folder that a result of this kind is about to be written to; see `check_free`."""
    check_free(folder, kind, overwrite=overwrite)
    if folder.is_dir():
        shutil.rmtree(folder)


@dataclass(slots=True)
class Run:
    """A run folder, read back."""

    path: Path
    manifest: dict[str, Any]
    summary: dict[str, Any]
    scenario: dict[str, Any]
    modules: pd.DataFrame
    timeline: pd.DataFrame
    events: pd.DataFrame | None
    decisions: pd.DataFrame

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Reads a run folder; RecordsError says what is missing or damaged."""
        folder = Path(path)
        if not folder.is_dir():
            raise RecordsError(f"{folder}: no such run folder")
        try:
            manifest = read_manifest(folder)
            if manifest["kind"] != "run":
                raise RecordsError(f"{folder}: a {KINDS[manifest['kind']]}, not a run folder")
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            events, decisions = folder / "events.parquet", folder / "decisions.parquet"
            return cls(
                folder, manifest, summary, dict(manifest.get("scenario", {})),
                pd.read_parquet(folder / "modules.parquet"), pd.read_parquet(folder / "timeline.parquet"),
                pd.read_parquet(events) if events.exists() else None,
                pd.read_parquet(decisions) if decisions.exists() else no_decisions(),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise RecordsError(f"{folder}: not a whole run folder: {error}") from None


_ASIDE = ".fotasim-"
"""In the name of a hidden folder that is being written."""
_YOUNG_S = 60.0


def write_folder(
    target: Path, records: Records, *, scenario_yaml: str, manifest: dict[str, Any], summary: dict[str, Any],
    copied: Mapping[str, Path] | None = None, overwrite: bool = False,
) -> Path:  # fmt: skip
    """Writes the tables and texts aside and renames them to `target`. Returns the folder; on failure leaves nothing.

    `copied` are input files by the name they get in the folder. See `check_free` for `overwrite`.
    """
    with replaced_folder(target, overwrite=overwrite) as aside:
        _write_tables(aside, records)
        write_texts(aside, scenario_yaml, {MANIFEST: manifest, "summary.json": summary})
        for name, path in (copied or {}).items():
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, aside / name)
    return target


def write_texts(folder: Path, scenario_yaml: str, documents: Mapping[str, Any]) -> None:
    """The scenario as it was used, and JSON documents by file name."""
    (folder / "scenario.yaml").write_text(scenario_yaml, encoding="utf-8")
    for name, document in documents.items():
        numbered = {"format": FORMAT, **document} if name == MANIFEST else document
        (folder / name).write_text(json.dumps(numbered, indent=1, allow_nan=False), encoding="utf-8")


@contextmanager
def replaced_folder(target: Path, kind: str = "run", *, overwrite: bool = False) -> Iterator[Path]:
    """A folder to write into, which is sealed and takes the place of `target` when all went well; see `check_free`.

    What runs that were killed have left of it goes first.
    """
    check_free(target, kind, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _clear_remains(target)
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}{_ASIDE}", dir=target.parent))
        owned = _lock(aside)
    except OSError as error:
        raise RecordsError(f"{target}: cannot be written: {error.strerror or error}") from None
    try:
        aside.chmod(0o755)
        yield aside
        archive.seal(aside)
        if target.exists():
            shutil.rmtree(target)
        aside.replace(target)
    except OSError as error:
        raise RecordsError(f"{target}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        _unlock(owned)


def _clear_remains(target: Path) -> None:
    """Removes hidden folders of this target whose owner is dead: the system gave their locks back when it died."""
    for left in target.parent.glob(f".{glob.escape(target.name)}{_ASIDE}*"):
        with suppress(OSError):
            young = time.time() - left.stat().st_mtime < _YOUNG_S  # its owner may be about to lock it
            if not young and (lock := _lock(left)) is not None:
                shutil.rmtree(left, ignore_errors=True)
                _unlock(lock)


def _lock(folder: Path) -> int | None:
    """A lock on a folder that ends with its process; None when somebody has it, or where the system has none."""
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _write_tables(folder: Path, records: Records) -> None:
    write_blocks(folder / "modules.parquet", records.table)
    records.timeline.to_parquet(folder / "timeline.parquet", index=False)
    records.decisions.to_parquet(folder / "decisions.parquet", index=False)
    if records.happened is not None:
        write_blocks(folder / "events.parquet", records.happened)


def write_blocks(path: Path, table: Table) -> None:
    """Writes a table block by block, each a group of rows."""
    with BlockWriter(path) as writer:
        for block in table.blocks():
            writer.add(block)
