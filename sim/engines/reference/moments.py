"""SimPy's clock in moments: whole numbers that order what happens by time and, at one instant, by who acts.

SimPy schedules by delays, and `now + (at - now)` of two floating-point times need not be `at`. Its times may be any
numbers, though. A moment is the rank that an 8-byte time has among all of them, which is the whole number its bits
make, followed by the rank of who acts. Differences and sums of whole numbers are exact, so every event happens at
the very time it was scheduled for, in the order of driver_rules/tie_order.py, by plain SimPy timeouts.
"""

from __future__ import annotations

import struct

RANK_BITS = 40
_TIME = struct.Struct("<d")
_BITS = struct.Struct("<q")


def moment(at: float, rank: int) -> int:
    """The moment of a time, seconds, zero or later, and of a rank of tie_order."""
    bits: int = _BITS.unpack(_TIME.pack(at + 0.0))[0]
    return bits << RANK_BITS | rank


def time_of(moment: int) -> float:
    """The time of a moment, seconds."""
    time_s: float = _TIME.unpack(_BITS.pack(moment >> RANK_BITS))[0]
    return time_s
