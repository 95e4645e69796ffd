"""The driver of the compiled engine: modules and cloud in virtual time, as virtual.py drives them, over arrays.

A module's private moments, which touch nothing shared, are run ahead up to its next shared one; only those wait in the
queue: the connection gate, messages the cloud acts on, download slots, the shared egress. How far ahead is bounded by
the next instant at which the cloud may speak to anybody unasked, and by the end of the present stretch.

`s` is the engine's state: `k` the numbers of the driver, `modules`, `profiles`, `drives` (what the driver knows of a
module), `pool` (events under way to or from a module), `q` the queue, `books` the plan, and the parts of the cloud.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from sim.cloud import capacity, egress, execution as ex, rollout, rules
from sim.cloud.books import SEND_CANCEL, SEND_INSTALL, SEND_NOTICE, SEND_URL
from sim.draws import Purpose, uniform
from sim.engines import tally
from sim.engines.compiled import queue
from sim.engines.compiled.pending import (
    ANSWER,
    ARRIVAL,
    CONNECTED,
    DROP,
    HELLO,
    NONE,
    STATUS,
    UNHEARD,
    add,
    forget,
    take,
)
from sim.engines.compiled.timers import add_timer, first_timer_s, take_timer
from sim.messages import (
    DOWNLOAD_START,
    DOWNLOADED,
    DOWNLOADING,
    UPDATE_ERROR,
    UPDATE_SUCCESS,
    UPDATING,
)
from sim.module import battery, behaviour, radio, states
from sim.module.fleet_rules import starts_online
from sim.module.rows import (
    ALWAYS,
    ATTACHED_LINK,
)

DONE, GROW = 0, 1
