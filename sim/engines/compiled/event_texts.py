"""Events of a compiled run: numbers while it goes, words made once for each kind of line when it is over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sim import messages as msg
from sim.cloud import rollout_state
from sim.cloud.center import firmware_url, note_text, notice
from sim.engines.compiled.seam_over_arrays import VERSION_FLAGS
from sim.engines.recording.run_tables import categories, events_table
from sim.engines.world.build import World

_WORDED = ("status", "code", "component", "kind", "package_bytes", "offset_bytes", "piece_bytes", "back")


def table(world: World, events: NDArray[Any], notes: NDArray[np.float64]) -> pd.DataFrame:
    """Statuses that modules entered and lines of the upgrade log, columns of records.EVENT_COLUMNS."""
    kinds, which = np.unique(events[list(_WORDED)], return_inverse=True)
    lines = [_callbacks(world, kind) for kind in kinds]
    counts = np.array([len(of_event) for of_event in lines], dtype=np.int64)
    firsts = np.cumsum(counts) - counts
    repeats = counts[which]
    place = np.repeat(np.arange(len(events)), repeats)
    nth = np.arange(len(place)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    texts = [text for of_event in lines for text in of_event]
    codes, note_codes, note_texts = firsts[which[place]] + nth, *_log_lines(world, notes)
    module = np.concatenate([events["module"][place], notes[:, 0].astype(np.int64)])
    blank = np.zeros(len(notes), dtype=np.int64)
    return events_table(
        np.concatenate([events["time"][place], notes[:, 1]]),
        module, world.fleet.names_of,
        np.concatenate([np.zeros(len(place), dtype=np.int64), blank + 1]),
        np.concatenate([events["status"][place].astype(np.int64), blank - 1]),
        np.concatenate([events["code"][place].astype(np.int64), blank]),
        _categories(np.concatenate([codes, note_codes + len(texts)]), [*texts, *note_texts]),
    )  # fmt: skip


def _categories(codes: NDArray[np.int64], texts: list[str]) -> Any:
    """Texts by number; the same text under two numbers is one category."""
    unique = sorted(set(texts))
    places = {text: i for i, text in enumerate(unique)}
    return categories(np.array([places[t] for t in texts], dtype=np.int64)[codes], unique)


def _callbacks(world: World, event: Any) -> tuple[str, ...]:
    """The callback strings of a status, as Module.callbacks words them."""
    plan, code, form = world.plan, int(event["code"]), msg.CallbackForm(world.scenario.fleet.callbacks)
    if code == 0:
        return ("",)
    if code == msg.TASK_NOTIFY:
        return tuple(msg.notify_callback(c) for c in notice(plan, bool(event["back"])).components)
    component = int(event["component"])
    name = plan.components[component].component
    if code == msg.START:
        return (msg.start_callback(name, firmware_url(plan, component, bool(event["back"])), form),)
    if code == msg.DOWNLOAD_COMPLETE:
        kind, size, start, piece = (
            int(event[field]) for field in ("kind", "package_bytes", "offset_bytes", "piece_bytes")
        )
        return (msg.downloaded_callback(name, kind, size, start, piece, form),)
    return (msg.bare_callback(code),)


def _log_lines(world: World, notes: NDArray[np.float64]) -> tuple[NDArray[np.int64], list[str]]:
    """Lines of the upgrade log: the number of each one's text, and the texts."""
    code, value = notes[:, 2].astype(np.int64), notes[:, 3].astype(np.int64)
    versions = np.full(len(notes), -1, dtype=np.int64)
    for i, component in enumerate(world.plan.components):
        old = (code >= rollout_state.NOTE_OF_STATUS) & (value == VERSION_FLAGS * i) & _tells_version(code)
        if component.component in world.fleet.versions:
            versions[old] = world.fleet.versions[component.component].codes[notes[old, 0].astype(np.int64)]
    kinds, which = np.unique(np.stack([code, value, versions], axis=1), axis=0, return_inverse=True)
    return which.reshape(-1), [_log_line(world, *map(int, kind)) for kind in kinds]


def _tells_version(code: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.isin(code - rollout_state.NOTE_OF_STATUS, (msg.UPDATE_SUCCESS, msg.UPDATE_ERROR))


def _log_line(world: World, code: int, value: int, version: int) -> str:
    if code < rollout_state.NOTE_OF_STATUS or code - rollout_state.NOTE_OF_STATUS not in (
        msg.UPDATE_SUCCESS,
        msg.UPDATE_ERROR,
    ):
        return note_text(code, value)
    component = world.plan.components[value // VERSION_FLAGS]
    flag = value % VERSION_FLAGS
    if flag:
        return note_text(code, value, component.target_version if flag == 1 else component.rollback_version)
    return note_text(code, value, world.fleet.versions[component.component].names[version] if version >= 0 else "")
