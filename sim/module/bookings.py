"""What a module draws from its battery beyond its own habits: time awake for an upgrade, and downloads."""

from __future__ import annotations

from sim.module import battery, radio
from sim.module.profile import Profile
from sim.module.rows import INF, NAN, ModuleRow, Power


def book_awake(row: ModuleRow, profile: Profile, now: float) -> None:
    """Energy of having been awake, without a transfer, for longer than the module's own habits ask for."""
    if row.transfer_start_s == row.transfer_start_s:
        return
    if profile.power == Power.BATTERY:
        battery.spend(row, battery.awake_w(profile) * max(0.0, now - max(row.idle_since_s, row.session_end_s)))
    row.idle_since_s = now


def begin_transfer(row: ModuleRow, profile: Profile, now: float) -> None:
    """A download begins to draw power, and may run the battery empty."""
    book_awake(row, profile, now)
    row.transfer_start_s = now
    row.power_at = now + battery.empty_after_s(row, profile, now, radio.download_w(row, profile))


def end_transfer(row: ModuleRow, profile: Profile, now: float) -> None:
    """Books the energy of the download, beyond what the module would have used awake in its ordinary session."""
    row.power_at = INF
    if row.transfer_start_s != row.transfer_start_s:
        return
    if profile.power == Power.BATTERY:
        awake_anyway_s = max(0.0, min(now, row.session_end_s) - row.transfer_start_s)
        used = radio.download_w(row, profile) * (now - row.transfer_start_s)
        battery.spend(row, max(0.0, used - battery.awake_w(profile) * awake_anyway_s))
    row.transfer_start_s = NAN
    row.idle_since_s = now
