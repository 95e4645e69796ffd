"""Random numbers by key, not by order: every draw is a pure function of (seed, module, purpose, attempt).

Adding a feature, a worker or another order of events shifts nothing, and two strategies are compared on the very
same luck. The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
checked in the tests against the known answers its authors publish.

The functions are written for ints and floats so that one source serves plain Python, NumPy arrays and a compiler.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASK = 0xFFFFFFFF
BLOCK = 16384
"""Numbers drawn at once: what the generator needs for them stays in the cache."""
_MULTIPLIER_0 = 0xD2511F53
_MULTIPLIER_1 = 0xCD9E8D57
_WEYL_0 = 0x9E3779B9
_WEYL_1 = 0xBB67AE85


class Purpose(IntEnum):
    """What a draw is for. Numbers are part of the contract of a seed: append, never renumber."""

    RSRP_SITE = 1
    BATTERY = 2
    FREE_SPACE = 3
    FRAILTY = 4
    SINR_SITE = 5
    GAUGE = 6
    NEVER_ONLINE = 7
    LONG_OFFLINE = 8
    LONG_OFFLINE_RETURN = 9
    CHECK_IN_PHASE = 10
    VERSION = 11
    HARDWARE = 12
    SOURCE_MISMATCH = 13
    USER_DELAY = 14
    RECHARGE_PHASE = 15
    CHECK_IN = 20
    RSRP_SESSION = 21
    ACCESS = 22
    UPLINK = 23
    DOWNLINK = 24
    LINK_DROP = 25
    SERVER_ERROR = 26
    CHECKSUM = 27
    IMAGE = 28
    USER_REFUSAL = 29
    INSTALL = 30
    FLASH_ERROR = 31
    POWER_LOSS = 32
    OUTAGE = 33
    BOOT = 34
    BRICK = 35
    REATTACH = 36
    BACK_OFF = 37
    RELEASE_ORDER = 40
    APPROVAL = 41
    LATE_JOIN = 42
    EARLIER_PLAN = 43
    EARLIER_PLAN_END = 44
    POLL = 45
    PREAMBLE = 50
    CONTENTION = 51
    ACCESS_BACK_OFF = 52
    CELL = 53
    CELL_SIZE = 54
    SERVER_WAIT = 60
    REQUEST_TIME = 61
    HANG = 62
    HANG_END = 63
    EARLY_SUCCESS = 64
    OTHER_VERSION = 65
    LATE_FAILURE = 66
    ACKNOWLEDGEMENT = 67
    DUPLICATE_IDENTITY = 68
    TAKEOVER = 69
    EVENT_SAMPLE = 70
    RETRY_JITTER = 71
    LATE_BRICK = 72
    LOT = 73
    REGION = 74
    LEAVE = 75


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Philox4x32-10: four 32-bit words for a 128-bit counter and a 64-bit key, all given as 32-bit words.

    The products need only their 64 low bits, so wrapping 64-bit integers and Python's own give the same words. Of c1, c3
    and the key only the 32 low bits matter; what is above them is cut where a product needs it, and at the end.
    """
    for _ in range(10):
        p0 = _MULTIPLIER_0 * c0
        p1 = _MULTIPLIER_1 * c2
        c0 = ((p1 >> 32) ^ c1 ^ k0) & MASK
        c2 = ((p0 >> 32) ^ c3 ^ k1) & MASK
        c1 = p1
        c3 = p0
        k0 += _WEYL_0
        k1 += _WEYL_1
    return c0, c1 & MASK, c2, c3 & MASK


def to_unit(high: Any, low: Any) -> Any:
    """Two 32-bit words as a double in the open interval (0, 1), 53 bits deep."""
    return ((high >> 5) * 67108864.0 + (low >> 6) + 0.5) / 9007199254740992.0


def uniform(k0: int, k1: int, module: int, purpose: int, attempt: int) -> float:
    """The draw in (0, 1) that belongs to this module (its identity, 64 bits), purpose and attempt under the key (k0, k1)."""
    high, low, _, _ = philox(module & MASK, purpose, attempt & MASK, (module >> 32) & MASK, k0, k1)
    unit: float = to_unit(high, low)
    return unit


def uniforms(k0: int, k1: int, modules: NDArray[Any], purpose: int, attempt: int = 0) -> NDArray[np.float64]:
    """`uniform` for an array of modules' identities at once: the same numbers, shape (n,)."""
    drawn = np.empty(len(modules), dtype=np.float64)
    for start in range(0, len(modules), BLOCK):
        part = slice(start, start + BLOCK)
        drawn[part] = _block(k0, k1, modules[part], purpose, attempt)
    return drawn


def _block(k0: int, k1: int, modules: NDArray[Any], purpose: int, attempt: int) -> NDArray[np.float64]:
    zero = np.zeros(len(modules), dtype=np.uint64)
    identity = modules.astype(np.uint64)
    counter, upper = identity & np.uint64(MASK), identity >> np.uint64(32)
    with np.errstate(over="ignore"):
        high, low, _, _ = philox(counter, zero + np.uint64(purpose), zero + np.uint64(attempt), upper, k0, k1)
    return np.asarray(to_unit(high, low), dtype=np.float64)


def key(seed: int, replication: int = 0) -> tuple[int, int]:
    """The key of one replication: seeds and replications that differ by one give unrelated keys."""
    k0, k1, _, _ = philox(replication & MASK, replication >> 32, 0, 0, seed & MASK, (seed >> 32) & MASK)
    return k0, k1


def exponential(unit: float, mean: float) -> float:
    """Exponential quantile with the given mean."""
    return -mean * math.log(unit)


def lognormal(unit: float, median: float, sigma: float) -> float:
    """Log-normal quantile with the given median and log-spread."""
    return median * math.exp(sigma * normal(unit))


def normal(unit: float) -> float:
    """Standard normal quantile: Wichura's algorithm AS 241 (PPND16), relative accuracy about 1e-16."""
    q = unit - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * _ratio_central(r)
    r = math.sqrt(-math.log(unit if q < 0.0 else 1.0 - unit))
    value = _ratio_middle(r - 1.6) if r <= 5.0 else _ratio_tail(r - 5.0)
    return -value if q < 0.0 else value


def _ratio_central(r: float) -> float:
    numerator = (
        ((((((r * 2509.0809287301226727 + 33430.575583588128105) * r + 67265.770927008700853) * r
        + 45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r
        + 133.14166789178437745) * r + 3.387132872796366608
    )  # fmt: skip
    denominator = (
        ((((((r * 5226.495278852854561 + 28729.085735721942674) * r + 39307.89580009271061) * r
        + 21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r
        + 42.313330701600911252) * r + 1.0
    )  # fmt: skip
    return numerator / denominator


def _ratio_middle(r: float) -> float:
    numerator = (
        ((((((r * 7.7454501427834140764e-4 + 0.0227238449892691845833) * r + 0.24178072517745061177) * r
        + 1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r
        + 4.6303378461565452959) * r + 1.42343711074968357734
    )  # fmt: skip
    denominator = (
        ((((((r * 1.05075007164441684324e-9 + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r
        + 0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r
        + 2.05319162663775882187) * r + 1.0
    )  # fmt: skip
    return numerator / denominator


def _ratio_tail(r: float) -> float:
    numerator = (
        ((((((r * 2.01033439929228813265e-7 + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r
        + 0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r
        + 5.4637849111641143699) * r + 6.6579046435011037772
    )  # fmt: skip
    denominator = (
        ((((((r * 2.04426310338993978564e-15 + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r
        + 7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r
        + 0.59983220655588793769) * r + 1.0
    )  # fmt: skip
    return numerator / denominator


def pair(k0: int, k1: int, module: int, purpose: int, attempt: int) -> tuple[float, float]:
    """Two independent draws in (0, 1) for one key: the first is the same as `uniform`'s."""
    a, b, c, d = philox(module & MASK, purpose, attempt & MASK, (module >> 32) & MASK, k0, k1)
    return to_unit(a, b), to_unit(c, d)
