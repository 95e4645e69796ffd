"""Downloads in virtual time: asked for, refused or served, cut short, complete. Nothing here delivers an input to a module."""

from __future__ import annotations

from sim.causes import Cause
from sim.cloud import capacity, egress, offer_rules
from sim.draws import Purpose, uniform
from sim.engines.driver_rules import seam, session_rules
from sim.engines.driver_rules.driven_row import NONE, NOT_ANSWERED, Kind
from sim.engines.driver_rules.seam import EngineState
from sim.engines.recording import tally
from sim.module import radio
from sim.network import cells

FETCH_ROUND_TRIPS = 2
"""TCP and the GET until its header arrives."""
FETCH_NUMBERS = 1 << 20
"""The times that download requests take are drawn by numbers beyond those of messages."""


def ask(state: EngineState, i: int, now: float) -> None:
    """The module asks for its piece of the package."""
    row = state.modules[i]
    tally.requests(state.tally, now, 1)
    row.fetch += 1
    row.transfer = NOT_ANSWERED
    served_s = now
    if state.driver.serves_files:
        takes_s = session_rules.request_time_s(state, i, FETCH_NUMBERS + row.fetch)
        served_s = capacity.answered_at(state.workers, now, 0.0, takes_s)
    event = seam.schedule(state, i, served_s + FETCH_ROUND_TRIPS * row.rtt_s, Kind.ANSWER)
    event.number = row.fetch


def refusal(state: EngineState, i: int) -> int:
    """Why the cloud does not serve this download, or Cause.NONE and a slot is taken."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    if offer_rules.refuses_downloads(state.rollout.progress, state.rollout.executions[i]):
        return Cause.URL_GONE
    dice = uniform(profile.key_0, profile.key_1, row.identity, Purpose.SERVER_ERROR, row.transfers)
    if dice < profile.server_error:
        return Cause.SERVER_ERROR
    if 0.0 < profile.data_plan_bytes <= row.received_bytes:
        return Cause.DATA_PLAN_EMPTY
    return Cause.NONE if capacity.open_slot(state.downloads) else Cause.SERVER_BUSY


def begin(state: EngineState, i: int, now: float) -> None:
    """Bytes flow until they are complete, the session breaks or the data plan is used up."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    tally.downloads(state.tally, state.downloads.active[0])
    wanted_bytes = row.piece_bytes - row.kept_bytes
    if profile.data_plan_bytes > 0.0:
        wanted_bytes = min(wanted_bytes, profile.data_plan_bytes - row.received_bytes)
    carrier, share = cells.carrier(row.cell, profile.technology), cells.download_share(row, profile)
    row.transfer = egress.start(state.egress, i, carrier, share, wanted_bytes, row.goodput_bit_s, now)
    seam.schedule(state, i, now + radio.drop_after_s(row, profile), Kind.DROP)


def end(state: EngineState, i: int, now: float) -> int:
    """The egress has carried the module's transfer to its end: what is wrong with what arrived, or Cause.NONE."""
    row = state.modules[i]
    profile = state.profiles[row.group]
    transfer = state.egress.transfers[row.transfer]
    began_s, arrived_bytes = transfer.began_s, transfer.bits / 8.0
    egress.finish(state.egress, row.transfer, now)
    _close(state, i, began_s, arrived_bytes, now)
    row.received_bytes += arrived_bytes
    if arrived_bytes < row.piece_bytes - row.kept_bytes:
        row.kept_bytes = row.kept_bytes + arrived_bytes if profile.resume_download else 0.0
        return Cause.DATA_PLAN_EMPTY
    if uniform(profile.key_0, profile.key_1, row.identity, Purpose.CHECKSUM, row.transfers) < profile.checksum_error:
        row.kept_bytes = 0.0
        return Cause.CHECKSUM
    return Cause.NONE


def stop(state: EngineState, i: int, now: float) -> None:
    """The download under way, if any, ends here; what arrived is kept only by modules that can resume."""
    row = state.modules[i]
    if row.transfer == NOT_ANSWERED:
        row.transfer = NONE
    if row.transfer == NONE:
        return
    began_s = state.egress.transfers[row.transfer].began_s
    arrived_bytes = egress.stop(state.egress, row.transfer, now)
    row.received_bytes += arrived_bytes
    row.kept_bytes = row.kept_bytes + arrived_bytes if state.profiles[row.group].resume_download else 0.0
    _close(state, i, began_s, arrived_bytes, now)


def _close(state: EngineState, i: int, began_s: float, arrived_bytes: float, now: float) -> None:
    """Gives the download slot back and counts the transfer."""
    state.modules[i].transfer = NONE
    seam.forget(state, i, Kind.DROP)
    capacity.close_slot(state.downloads)
    tally.transfer(state.tally, began_s, now, 8.0 * arrived_bytes)


def count_unfinished(state: EngineState, i: int, now: float) -> None:
    """The run ends under the module's transfer, if it has one."""
    transfer = state.modules[i].transfer
    if transfer >= 0:
        tally.transfer(state.tally, state.egress.transfers[transfer].began_s, now, 0.0)
