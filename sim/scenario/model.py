"""The scenario file as types: every key, its meaning, its bounds and its default. Values are SI after loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from sim import gates as gate_rules
from sim.cloud_kinds import registry
from sim.cloud_kinds.adapter import CloudAdapter, VirtualBehaviour
from sim.errors import InputError
from sim.metrics import METRICS
from sim.scenario.fields import BitRate, Duration, Name, PositiveDuration, Rate, Section
from sim.scenario.fleet_section import Fleet
from sim.scenario.plan import PlanSection
from sim.scenario.plugin_section import MOST_PLUGINS, PluginSection
from sim.scenario.shared_fate import MOST_OUTAGES, CloudOutage


class CapacitySection(Section):
    """What the cloud can sustain."""

    connections_per_s: Rate = 500.0
    """Connections accepted, such as `500/s`; further ones wait their turn."""
    request_workers: Annotated[int, Field(ge=1, le=100_000)] = 32
    """Requests answered at the same time; further ones queue."""
    request_time: PositiveDuration = 0.04
    """Mean time a worker takes for one request, such as `40ms`."""
    request_time_law: Literal["constant", "exponential", "lognormal"] = "constant"
    """How that time is distributed around its mean."""
    request_time_cv: Annotated[float, Field(ge=0, le=20)] = 1.0
    """Coefficient of variation of a `lognormal` one: standard deviation over mean."""
    downloads: Annotated[int, Field(ge=1)] = 2000
    """Downloads at the same time; further ones are refused and come back later."""
    downloads_take_requests: bool | None = None
    """Whether each download request (a whole file, or a range of it) also takes a request worker: by default with a server
    that is polled, which serves its files itself, and not with the Developer Center, whose packages lie in a storage of their own."""
    egress: BitRate = 1e9
    """Bandwidth of all downloads together, such as `1 Gbit/s`, shared fairly."""


class CloudSection(Section):
    """The cloud the modules talk to, in a simulation by the kind's own rules: predicted first, then run live.

    Credentials never stand here: they come from the environment.
    """

    kind: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$", json_schema_extra={"examples": list(registry.OWN)})
    ] = registry.DEFAULT
    """`simulated` is the Developer Center; `ddi` a server of hawkBit's Direct Device Integration, which is polled. Installed
    packages may add kinds; `fotasim doctor` lists them."""
    capacity: CapacitySection = CapacitySection()
    """What it can sustain."""
    outages: list[CloudOutage] = Field(default_factory=list, max_length=MOST_OUTAGES)
    """Times in which nobody reaches it; a simulation only."""
    keepalive: PositiveDuration = 120.0
    """Keep-alive of connections, such as `2min`; a silent module is noticed after 1.5 times that."""
    url: Annotated[str, Field(pattern=r"^https?://[^\s/@]+(/\S*)?$", max_length=500)] | None = None
    """Where the server of kind `ddi` is, such as `http://127.0.0.1:8080`; not for `simulated`."""
    tenant: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "DEFAULT"
    """Its tenant."""
    server: (
        Annotated[str, Field(max_length=64, json_schema_extra={"examples": [*registry.OWN["ddi"].servers]})] | None
    ) = None
    """Whose management API it has, for publishing and for the reconciliation: `hawkbit` or `goosebit` for kind `ddi`; none for
    servers without one of these."""

    @field_validator("kind")
    @classmethod
    def _installed(cls, kind: str) -> str:
        try:
            registry.adapter_of(kind)
        except InputError as error:
            raise ValueError(str(error)) from None
        return kind

    @model_validator(mode="after")
    def _of_the_kind(self) -> CloudSection:
        adapter = self.adapter
        if self.url is not None and not adapter.takes_url:
            raise ValueError(f"url: a cloud of kind {self.kind} has no URL in the scenario; leave it out")
        if self.server is not None and self.server not in adapter.servers:
            listed = " or ".join(adapter.servers) or "none: leave it out"
            raise ValueError(f"server: a cloud of kind {self.kind} has {listed}")
        return self

    @property
    def adapter(self) -> CloudAdapter:
        """What fotasim knows of this kind of cloud."""
        return registry.adapter_of(self.kind)

    @property
    def behaviour(self) -> VirtualBehaviour:
        """How it behaves in virtual time."""
        return self.adapter.behaviour(self.server)


class GateSection(Section):
    """A gate that is judged slice by slice."""

    limit: str
    """Comparison and limit, such as `<= 1e-3` or `upper <= 1e-3`."""
    by: str | None = None
    """Every slice by this has to meet the limit by itself: `group`, `hardware`, `coverage_level`, `technology`, `component`, or a label of the fleet such as `site`; none for the whole fleet."""


FORMAT: Literal[1] = 1
"""Format number of the scenario files this version reads and writes."""


class _Written:
    """What a file gives. Two scenarios that mean the same are equal however they were written, so all these are."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.tree = tree

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Written)

    __hash__ = None  # type: ignore[assignment]


class Scenario(Section):
    """A scenario: fleet, plan, cloud and gates. Durations in seconds, sizes in bytes, rates per second."""

    format: Literal[1] = FORMAT
    """Format of the file. It goes up when a key changes its meaning, so that no version reads a file as something else."""
    name: Name
    """Name of the scenario: letters, digits, dot, hyphen and underscore."""
    description: str = ""
    """What it asks, in a sentence; stands in the report."""
    seed: Annotated[int, Field(ge=0, lt=2**64)] = 1
    """Seed of all random numbers; the same scenario and seed give the same result."""
    horizon: Annotated[Duration, Field(gt=0, le=2 * 365 * 86400)] = 14 * 86400.0
    """Time after activation at which the run is judged, such as `14d`; at most two years."""
    fleet: Fleet
    """The modules."""
    plan: PlanSection
    """The upgrade plan."""
    cloud: CloudSection = CloudSection()
    """What the cloud can sustain, and how it watches connections."""
    gates: dict[str, str | GateSection] = Field(default_factory=dict)
    """Limits for a go, by metric: `success_rate: ">= 0.95"`, `time_to_95: "<= 7d"`, `bricked: "upper <= 1e-3"`; with
    `{limit: "<= 1e-3", by: hardware}` for each slice of the fleet by itself."""
    plugins: list[PluginSection] = Field(default_factory=list, max_length=MOST_PLUGINS)
    """Functions of other packages that a simulated run calls; docs/plugins.md."""

    @field_validator("format", mode="before")
    @classmethod
    def _format_known(cls, given: Any) -> Any:
        """Files of a newer version are refused as a whole: their keys may mean something else there."""
        if type(given) is not int or given < FORMAT:
            raise ValueError(f"write format: {FORMAT}, or leave it out")
        if given > FORMAT:
            raise ValueError(f"this fotasim reads scenario format {FORMAT}; upgrade with: pip install -U fotasim")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        gates = []
        for metric, entry in self.gates.items():
            try:
                gates.append(gate := gate_rules.parse_entry(metric, entry))
                gate_rules.check_slice(gate.by, self.fleet.label_names)
            except ValueError as error:
                given = entry if isinstance(entry, str) else entry.limit
                raise ValueError(f"gates.{metric}: {error}; found {given!r}") from None
        names = [plugin.name for plugin in self.plugins]
        twice = next((name for name in names if names.count(name) > 1 or name in METRICS), None)
        if twice is not None:
            raise ValueError(f"plugins: {twice}: each needs a name of its own that is no metric's")
        try:
            gate_rules.check_together(gates)
        except ValueError as error:
            raise ValueError(f"gates: {error}") from None
        for refusal in self.cloud.adapter.refusals(self):
            raise ValueError(f"cloud.kind {self.cloud.kind}: {refusal}")
        self._labels_exist()
        planned = {c.component for c in self.plan.components}
        for group in self.fleet.groups:
            if not planned <= group.components.keys():
                missing = ", ".join(sorted(planned - group.components.keys()))
                number = self.fleet.groups.index(group)
                raise ValueError(
                    f"fleet.groups.{number}.components: group {group.name} has no {missing}, which the plan upgrades"
                )
        known = {name for g in self.fleet.groups if g.file is None for name in _names(g.hardware)}
        for component in self.plan.components:
            for defect in component.defects:
                if known and defect.hardware not in (None, *known) and all(g.file is None for g in self.fleet.groups):
                    raise ValueError(f"defects: no group has hardware {defect.hardware!r}")
        return self

    def _labels_exist(self) -> None:
        """A filter by labels takes somebody; what goes by a label has one to go by."""
        rollout = self.plan.strategy.rollout
        prefix = "plan.strategy.rollout"
        asked = {f"{prefix}.max_in_progress_per_label.{x}": x for x in rollout.max_in_progress_per_label or {}}
        if rollout.order == "recently-active" and not any("last_seen" in g.columns for g in self.fleet.groups):
            raise ValueError(
                f"{prefix}.order: recently-active needs the day each module was last seen: "
                "give a group a file with columns: {last_seen: COLUMN}, or use shuffled"
            )
        if rollout.stagger is not None:
            asked[f"{prefix}.stagger.label"] = rollout.stagger.label
        if self.fleet.lots is not None and self.fleet.lots.label is not None:
            asked["fleet.lots.label"] = self.fleet.lots.label
        for number, outage in enumerate(self.fleet.outages):
            if outage.together == "cell" and self.fleet.cells is None:
                raise ValueError(f"fleet.outages.{number}.together: cell needs fleet.cells")
            if outage.together not in (None, "cell"):
                asked[f"fleet.outages.{number}.together"] = outage.together
        if len(self.fleet.outages) + len(self.cloud.outages) > MOST_OUTAGES:
            raise ValueError(
                f"fleet.outages: at most {MOST_OUTAGES} together with cloud.outages; use every for those that repeat"
            )
        for key, label in asked.items():
            if not any(group.has_label(label) for group in self.fleet.groups):
                raise ValueError(
                    f"{key}: no group of the fleet has it; "
                    f"write labels: {{{label}: …}} into the fleet's groups it belongs to"
                )
        for number, wanted in enumerate(self.plan.strategy.rollout.groups):
            labels = wanted.filter.labels if wanted.filter is not None else {}
            if labels and not any(group.may_have(labels) for group in self.fleet.groups):
                shown = ", ".join(f"{label}: {values[0]}" for label, values in labels.items())
                raise ValueError(
                    f"plan.strategy.rollout.groups.{number}.filter.labels: no group of the fleet has them; "
                    f"write labels: {{{shown}}} into the fleet's groups they belong to"
                )

    _written: _Written = PrivateAttr(default_factory=lambda: _Written({}))

    @property
    def written(self) -> dict[str, Any]:
        """The tree of keys as the file gives them, before presets and defaults; empty when there was no file."""
        return self._written.tree

    def remember(self, tree: dict[str, Any]) -> None:
        """Keeps the tree the scenario was read from, for variations of it."""
        self._written = _Written(tree)

    @classmethod
    def load(cls, path: str | Path, overrides: Sequence[str] = ()) -> Scenario:
        """Reads and checks a scenario file; `overrides` are `key=value` texts. Raises ScenarioError."""
        from sim.scenario.load import load

        return load(Path(path), overrides)

    @classmethod
    def from_text(cls, text: str, name: str = "scenario.yaml") -> Scenario:
        """Checks a scenario given as text. Raises ScenarioError."""
        from sim.scenario.load import check

        return check(text, name, ())

    def with_(self, settings: Mapping[str, Any] | None = None, /, **further: Any) -> Scenario:
        """A variation: other values at dotted paths, such as {"plan.strategy.preconditions.min_rsrp_dbm": -118}.

        Keywords write two underscores for each dot: `with_(fleet__size=500, seed=2)`. Values are read as in the file,
        units included. Raises ScenarioError.
        """
        from sim.scenario.load import vary

        return vary(self, {**(settings or {}), **{key.replace("__", "."): value for key, value in further.items()}})

    def computed(self, settings: Mapping[str, Any]) -> Scenario:
        """A variation by a study: numbers at dotted paths, in base units. Raises ScenarioError."""
        from sim.scenario.load import vary

        return vary(self, settings, computed=True)

    def to_yaml(self) -> str:
        """The whole scenario with defaults written out; loads back equal."""
        from sim.scenario.load import dump

        return dump(self)


def _names(shares: str | dict[str, float]) -> list[str]:
    return [shares] if isinstance(shares, str) else list(shares)
