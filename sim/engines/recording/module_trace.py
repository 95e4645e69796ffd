"""One module's life from the events of a run, as lines to print."""

from __future__ import annotations

from typing import Any

from sim.errors import RecordsError
from sim.messages import STATUS_TEXT
from sim.records import Run


def lines(run: Run, module: str) -> list[dict[str, Any]]:
    """Events of one module in order: time, source, state and text (callback string or line of the upgrade log)."""
    if run.events is None:
        raise RecordsError(f"{run.path}: holds no events; run the scenario with --events")
    found = run.events[run.events["module"] == module]
    if found.empty:
        raise RecordsError(f"{run.path}: no event of module {module!r}; ids look like {_example(run)!r}")
    return [
        {
            "time_s": float(e["time_s"]), "time": clock(float(e["time_s"])), "source": str(e["source"]),
            "status": int(e["status"]), "state": STATUS_TEXT.get(int(e["status"]), ""), "text": str(e["text"]),
        }
        for e in found.to_dict("records")
    ]  # fmt: skip


def clock(seconds: float) -> str:
    """Time after activation as days, hours, minutes, seconds and milliseconds."""
    millis = round(seconds * 1000)
    days, rest = divmod(millis, 86_400_000)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{days}d {hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def _example(run: Run) -> str:
    return str(run.modules["module"].iloc[0])
