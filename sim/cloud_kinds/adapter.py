"""The seam for clouds: what one kind of cloud has to say and to do, and nothing else of fotasim knows the kind.

An adapter has three sides. In virtual time it is data: `VirtualBehaviour` says whether the cloud pushes or is polled, what
its requests cost, and which settings of a plan it cannot follow. Live it makes modules that speak the cloud's protocol,
with a device client that opens no socket (`LiveSide`). In control it publishes a plan, reads it back and starts it
(`ControlSide`); what the cloud says of each module afterwards is asked by `Cloud.reconcile` of the live side.
docs/clouds.md has the duty of each method and an example.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sim.engines.live.live_cloud import Cloud, LiveTarget
    from sim.engines.live.live_engine import Settings
    from sim.engines.live.publishing import How
    from sim.engines.world.build import World
    from sim.scenario import Scenario
    from sim.scenario.imports.findings import Loss

Steps = tuple[tuple[tuple[str, ...], str, str], ...]
"""Rows of what a simulated cloud can be timed by: legs (or spans) of a load, and the columns of `modules` they lie between."""


SUCCEEDED = "succeeded"
"""How `LiveSide.states_of` calls modules that run the new version."""


@dataclass(frozen=True, slots=True)
class Polls:
    """How modules ask a cloud that never speaks first. Seconds and shares."""

    sleep_s: float
    """Between two polls, where the plan's `delivery.polling_time` says nothing."""
    sleep_jitter: float
    """Share of it by which it varies to either side, where the plan names none."""
    registration_s: float = 0.0
    """A module the cloud has not met polls again after this time and gets no offer before; 0: at once."""
    window_sleep_s: float = 0.0
    """The shortest sleep of a module that waits for a maintenance window; 0: a window shortens no sleep."""
    asks_first: bool = False
    """Whether a plan with `delivery.confirmation: user` waits at the cloud until the module has agreed."""
    reads_document: bool = True
    """Whether a poll only links to what the cloud wants, which takes a request of its own to read."""
    tells_attributes: bool = True
    """Whether versions are told with a request of their own after the first poll and after each change."""


@dataclass(frozen=True, slots=True)
class VirtualBehaviour:
    """A cloud in virtual time. What costs time in it besides (workers, slots, bandwidth) is `cloud.capacity` of the scenario."""

    steps: Steps
    polls: Polls | None = None
    """None for a cloud that pushes over a session which stays open."""
    login_round_trips: int = 0
    """Of a cloud that pushes: round trips from the first packet to a session."""
    hello_requests: int = 0
    """Of a cloud that pushes: requests with which a module that has connected introduces itself."""
    round_trips_there: float = 0.0
    """Of a cloud that is polled: round trips until a request is at the cloud, its connection included."""
    round_trips_back: float = 0.0
    """Of a cloud that is polled: round trips of the answer."""
    fixed_settings: Mapping[str, float] = field(default_factory=dict)
    """Fields of `strategy.settings.Settings` that are so whatever the plan says: the cloud can do no other."""
    without_effect: Mapping[str, object] = field(default_factory=dict)
    """Settings of a plan's strategy that do nothing here, by key, with the value that says so; another value is told."""
    parameters_without_effect: frozenset[str] = frozenset()
    """Parameters of `fleet.failures` and `fleet.physics` that do nothing here; setting one is told."""


@dataclass(frozen=True, slots=True)
class Published:
    """A rollout that runs, and what of the plan it is without."""

    rollout: int
    losses: tuple[Loss, ...]


class ControlSide(Protocol):
    """The management API: a plan is published, read back and started."""

    def requests(self, scenario: Scenario, how: How, tell: Callable[[str], None]) -> list[dict[str, Any]]:
        """What `publish` would send, in order and without secrets; nothing is sent.

        ScenarioError naming every setting that the cloud cannot hold, unless `how` accepts losses.
        """

    async def publish(self, scenario: Scenario, url: str, how: How, tell: Callable[[str], None]) -> Published:
        """Uploads what the plan needs, creates its rollout, reads it back and starts it; `tell` hears of it before.

        ScenarioError as above; FotasimError where the cloud stored another rollout, which is then not started.
        """


class LiveSide(Protocol):
    """Modules that speak to the cloud over sockets."""

    async def find(self, url: str, scenario: Scenario | None, settings: Settings, plan: int | None) -> LiveTarget:
        """The target behind a URL. `settings.limits` are checked before anything is sent; secrets come from the environment."""

    def cloud(self, target: Any, world: World, settings: Settings, *, plan: int | None, compare: bool) -> Cloud:
        """The cloud for one run: makes modules around a sans-IO device client, reconciles afterwards.

        Without `compare` the cloud's own word is not asked for.
        """

    async def states_of(self, target: Any, ca_file: str | None) -> dict[str, int]:
        """Modules of the target's plan by state, those SUCCEEDED always among them; empty where it cannot be asked."""

    async def succeeded_of(self, target: Any, ca_file: str | None, prefix: str, names: Collection[str]) -> int | None:
        """How many of these modules, all beginning with `prefix`, have succeeded; None where only `states_of` can tell."""


class CloudAdapter(Protocol):
    """One kind of cloud. Whoever derives from it inherits: no flavours, no URL, nothing refused, virtual time only."""

    title: str
    """What people call it."""
    servers: tuple[str, ...] = ()
    """Flavours, as `cloud.server` names them."""
    takes_url: bool = False
    """Whether a scenario may name where the cloud is (`cloud.url`)."""
    speaks_quecthing: bool = False
    """Whether modules speak QuecThing to it, so that Locust's blocking `ModuleUser` can as well."""

    def behaviour(self, server: str | None) -> VirtualBehaviour:
        """How it behaves in virtual time; `server` is one of its flavours, or None."""

    def refusals(self, scenario: Scenario) -> Iterable[str]:
        """What of a scenario this cloud cannot represent, a sentence each with its cure; the scenario is then refused."""
        del scenario
        return ()

    def live(self) -> LiveSide | None:
        """Its live side, loaded now; None when there is none."""
        return None

    def control(self, server: str | None) -> ControlSide | None:
        """Its management side, loaded now; None when it is not known."""
        del server
        return None
