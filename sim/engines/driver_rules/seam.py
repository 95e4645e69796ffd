"""The seam between the rules and a driver: what each driver of virtual time does in a way of its own.

The rules beside this file say what happens when something is due and what follows from it; they reach their driver
through `EngineState` (what they read and change) and through the functions here (what they ask for). In Python a function
calls the method of the same name. Compiled code has no methods: there a function of the same name over arrays takes its
place (compiled/seam_over_arrays.py), and the rules are compiled as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sim.cloud.capacity import Connections, Downloads, Workers
    from sim.cloud.egress import Egress
    from sim.cloud.rollout_state import RolloutState
    from sim.engines.driver_rules.driven_row import DrivenRow, UnderWay
    from sim.engines.recording.tally import Tally
    from sim.module.profile import Profile


class RunSettings(Protocol):
    """What holds for a whole run."""

    keepalive_s: float
    may_retire: int
    """An execution that is over stays so."""
    polled: int
    """The cloud never speaks first: its modules poll."""
    login_round_trips: int
    hello_requests: int
    round_trips_there: float
    round_trips_back: float
    reads_document: int
    tells_attributes: int
    serves_files: int
    """What talking to this kind of cloud costs: see cloud_kinds.adapter."""


class EngineState(Protocol):
    """What the rules read and change, whatever it is made of: Python objects, or records of arrays."""

    @property
    def driver(self) -> RunSettings:
        """What holds for the whole run."""

    @property
    def modules(self) -> Sequence[DrivenRow]:
        """The modules by number."""

    @property
    def profiles(self) -> Sequence[Profile]:
        """The profile of each group of modules."""

    @property
    def rollout(self) -> RolloutState:
        """The plan: settings, progress and the execution of each module."""

    @property
    def connections(self) -> Connections:
        """The gate new connections pass."""

    @property
    def workers(self) -> Workers:
        """What answers requests."""

    @property
    def downloads(self) -> Downloads:
        """Download slots."""

    @property
    def egress(self) -> Egress:
        """Transfers under way."""

    @property
    def tally(self) -> Tally:
        """The load as it is counted."""


class Driver(EngineState, Protocol):
    """A driver in Python: the functions below as methods."""

    def schedule(self, i: int, at: float, kind: int) -> UnderWay:
        """See `schedule`."""

    def forget(self, i: int, kind: int) -> None:
        """See `forget`."""

    def is_waiting(self, i: int, kind: int) -> bool:
        """See `is_waiting`."""

    def take_waiting(self, i: int, kind: int) -> UnderWay:
        """See `take_waiting`."""

    def arm(self, i: int, at: float) -> None:
        """See `arm`."""

    def receive(self, i: int, input_: int, now: float) -> int:
        """See `receive`."""

    def receive_message(self, i: int, message: int, component: int, back: int, now: float) -> int:
        """See `receive_message`."""

    def record_status(self, i: int, now: float) -> None:
        """See `record_status`."""

    def begin_access(self, i: int, now: float) -> None:
        """See `begin_access`."""

    def describe_hello(self, i: int, event: UnderWay, now: float) -> None:
        """See `describe_hello`."""

    def describe_status(self, i: int, event: UnderWay) -> None:
        """See `describe_status`."""

    def cloud_knows(self, i: int) -> None:
        """See `cloud_knows`."""

    def cloud_hello(self, i: int, event: UnderWay, now: float) -> None:
        """See `cloud_hello`."""

    def cloud_status(self, i: int, event: UnderWay, now: float) -> None:
        """See `cloud_status`."""

    def cloud_polled(self, i: int, now: float) -> tuple[int, int]:
        """See `cloud_polled`."""

    def cloud_feedback(
        self, i: int, status: int, component: int, on_target: int, last_word: int, now: float
    ) -> None:  # fmt: skip
        """See `cloud_feedback`."""


def _driver(state: EngineState) -> Driver:
    return state  # type: ignore[return-value]


# --- events under way -------------------------------------------------------------------------------------------------


def schedule(state: EngineState, i: int, at: float, kind: int) -> UnderWay:
    """Something will happen to module `i` at that time, after what was scheduled for the same instant before.

    Returns the event, for its numbers to be filled in at once. At `inf` it waits to be taken.
    """
    return _driver(state).schedule(i, at, kind)


def forget(state: EngineState, i: int, kind: int) -> None:
    """Drops the module's first event of that kind, if there is one."""
    _driver(state).forget(i, kind)


def is_waiting(state: EngineState, i: int, kind: int) -> bool:
    """Whether the module has an event of that kind."""
    return _driver(state).is_waiting(i, kind)


def take_waiting(state: EngineState, i: int, kind: int) -> UnderWay:
    """Takes the module's first event of that kind, which there must be."""
    return _driver(state).take_waiting(i, kind)


def arm(state: EngineState, i: int, at: float) -> None:
    """The module's one timer is due at that time, `inf` for never; whatever it was armed for before is void."""
    _driver(state).arm(i, at)


# --- the module -------------------------------------------------------------------------------------------------------


def receive(state: EngineState, i: int, input_: int, now: float) -> int:
    """The module receives an input; returns the effects to be performed."""
    return _driver(state).receive(i, input_, now)


def receive_message(state: EngineState, i: int, message: int, component: int, back: int, now: float) -> int:
    """The module receives a message of the cloud; returns the effects to be performed."""
    return _driver(state).receive_message(i, message, component, back, now)


def record_status(state: EngineState, i: int, now: float) -> None:
    """The module entered a status: it is recorded, where it is to be."""
    _driver(state).record_status(i, now)


def begin_access(state: EngineState, i: int, now: float) -> None:
    """The module begins its random access; an event of the kind ACCESS ends it."""
    _driver(state).begin_access(i, now)


def describe_hello(state: EngineState, i: int, event: UnderWay, now: float) -> None:
    """Lays how the module is now into its hello."""
    _driver(state).describe_hello(i, event, now)


def describe_status(state: EngineState, i: int, event: UnderWay) -> None:
    """Lays the status just entered into a report or a feedback."""
    _driver(state).describe_status(i, event)


# --- the cloud --------------------------------------------------------------------------------------------------------


def cloud_knows(state: EngineState, i: int) -> None:
    """At activation the cloud knows a module that has been online before; it has not asked for a plan."""
    _driver(state).cloud_knows(i)


def cloud_hello(state: EngineState, i: int, event: UnderWay, now: float) -> None:
    """A hello has reached the cloud, which acts; its messages leave."""
    _driver(state).cloud_hello(i, event, now)


def cloud_status(state: EngineState, i: int, event: UnderWay, now: float) -> None:
    """A status report has reached the cloud, which acts; its messages leave."""
    _driver(state).cloud_status(i, event, now)


def cloud_polled(state: EngineState, i: int, now: float) -> tuple[int, int]:
    """A poll has reached the server: the message the module finds, NONE for none, and its component."""
    return _driver(state).cloud_polled(i, now)


def cloud_feedback(
    state: EngineState, i: int, status: int, component: int, on_target: int, last_word: int, now: float
) -> None:  # fmt: skip
    """Feedback has reached the server, which acts. `on_target`: the component runs its target; `last_word`: refused for good."""
    _driver(state).cloud_feedback(i, status, component, on_target, last_word, now)


FUNCTIONS = {f.__name__: f for f in (
    schedule, forget, is_waiting, take_waiting, arm, receive, receive_message, record_status, begin_access, describe_hello, describe_status, cloud_knows, cloud_hello, cloud_status, cloud_polled, cloud_feedback,
)}  # fmt: skip
"""All of them by name."""
