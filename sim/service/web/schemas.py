"""What the API takes and gives. Field names are those of the store; times are seconds of the epoch."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sim.cloud.catalog import MAX_COMPONENT_CHARS, MAX_VERSION_CHARS
from sim.scenario.strategy import StrategySection
from sim.scenario.zones import zone_of
from sim.service.faults import no_truth
from sim.wire.quecthing.login import is_device_key

MAX_ID = 2**31 - 1
FIRST_YEAR, LAST_YEAR = 2000, 2100


def _device_key(text: str) -> str:
    if not is_device_key(text):
        raise ValueError(f"{text[:20]!r} is no device key: 4 to 16 letters, digits, - and _ are allowed")
    return text


Kind = Literal["firmware", "mcu"]
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Id = Annotated[int, BeforeValidator(no_truth), Field(ge=1, le=MAX_ID)]
PathId = Annotated[int, Path(ge=1, le=MAX_ID)]
QueryId = Annotated[int | None, Query(ge=1, le=MAX_ID)]
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=_PRINTABLE)]
Text = Annotated[str, Field(max_length=500, pattern=_PRINTABLE)]
Identifier = Annotated[str, Field(min_length=1, max_length=MAX_COMPONENT_CHARS, pattern=r"^[^\x00-\x1f\x7f:;]*$")]
VersionText = Annotated[str, Field(min_length=1, max_length=MAX_VERSION_CHARS, pattern=r"^[^\x00-\x1f\x7f:;]*$")]
DeviceKey = Annotated[str, Path(min_length=1, max_length=32, pattern=_PRINTABLE)]
QueryKey = Annotated[str | None, Query(min_length=1, max_length=32, pattern=_PRINTABLE)]
RegisteredKey = Annotated[str, AfterValidator(_device_key)]
DeviceEntry = Annotated[str, Field(min_length=1, max_length=32, pattern=_PRINTABLE)]


def _zone(name: str) -> str:
    zone_of(name)
    return name


def _near(moment: datetime) -> datetime:
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"a date from {FIRST_YEAR} to {LAST_YEAR} is needed")
    return moment


Moment = Annotated[datetime, AfterValidator(_near)]


class Given(BaseModel):
    """Base of what is taken: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid")


class ProjectIn(Given):
    """A project to create."""

    name: Name


class ProductIn(Given):
    """A product to create; key and secret are made up unless given."""

    project_id: Id
    name: Name
    product_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{1,32}$")] | None = None
    product_secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9]{16,32}$")] | None = None


class ComponentIn(Given):
    """A component of a model."""

    identifier: Identifier
    name: Name
    kind: Kind = "firmware"
    remarks: Text = ""


class ModelIn(Given):
    """A model to create, with its components in order of upgrade."""

    project_id: Id
    name: Name
    device_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,100}$")]
    version: Annotated[str, Field(max_length=200, pattern=_PRINTABLE)] = ""
    components: Annotated[list[ComponentIn], Field(max_length=20)] = []


class VersionIn(Given):
    """The fields of an upload; for a delta package `source_version` names the base of each file, in order."""

    project_id: Id
    product_id: Id | None = None
    name: Name
    kind: Kind = "firmware"
    package: Literal["full", "delta"] = "full"
    target_version: VersionText
    source_version: list[Annotated[str, Field(max_length=MAX_VERSION_CHARS, pattern=r"^[^\x00-\x1f\x7f:;]*$")]] = []
    information: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""


class ChoiceIn(Given):
    """Which version a component is upgraded to."""

    component_id: Id
    version_id: Id


class PlanIn(Given):
    """A plan to create: who, what, when and under which strategy (the vocabulary of a scenario file)."""

    project_id: Id
    product_id: Id
    model_id: Id
    name: Name
    mode: Literal["silent", "confirm"] = "silent"
    text: Text = ""
    whitelist: Annotated[list[DeviceEntry], Field(max_length=1_000_000)] = []
    blacklist: Annotated[list[DeviceEntry], Field(max_length=1_000_000)] = []
    time_zone: Annotated[str, Field(max_length=60), AfterValidator(_zone)] = "UTC"
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    strategy: StrategySection = StrategySection()
    components: Annotated[list[ChoiceIn], Field(min_length=1, max_length=20)]

    @model_validator(mode="after")
    def _sound(self) -> PlanIn:
        chosen = [choice.component_id for choice in self.components]
        if len(set(chosen)) < len(chosen):
            raise ValueError("components: one component stands twice")
        starts, ends = self.starts_at, self.ends_at
        if starts and ends and starts.replace(tzinfo=None) >= ends.replace(tzinfo=None):
            raise ValueError("ends_at must be later than starts_at")
        return self

    def fields(self) -> dict[str, Any]:
        """As the store takes it."""
        definition = self.model_dump(
            mode="json", include={"mode", "text", "whitelist", "blacklist", "time_zone", "starts_at", "ends_at"}
        )
        definition["strategy"] = self.strategy.model_dump(mode="json", exclude_unset=True)
        return {
            "project_id": self.project_id, "product_id": self.product_id, "model_id": self.model_id,
            "name": self.name, "definition": definition, "components": [c.model_dump() for c in self.components],
        }  # fmt: skip


class ProductChoice(Given):
    """The product a form is about."""

    product_id: Id


class DevicesIn(Given):
    """Devices to register beforehand."""

    device_keys: Annotated[list[RegisteredKey], Field(min_length=1, max_length=1_000_000)]


class Counted(BaseModel):
    """How many were changed."""

    count: int


class Problem(BaseModel):
    """Why a request was not carried out."""

    detail: Any


class Project(BaseModel):
    """A collection of products."""

    id: int
    name: str
    created_at: float


class Product(BaseModel):
    """A class of devices. The secret is what its devices bootstrap with."""

    id: int
    project_id: int
    name: str
    product_key: str
    product_secret: str
    created_at: float


class Component(BaseModel):
    """A part that is upgraded by itself."""

    id: int
    model_id: int
    position: int
    identifier: str
    name: str
    kind: Kind
    remarks: str


class Model(BaseModel):
    """A collection of components, in order of upgrade."""

    id: int
    project_id: int
    name: str
    device_model: str
    version: str
    created_at: float
    components: list[Component]


class File(BaseModel):
    """One package file; `source_version` "" serves every version."""

    id: int
    name: str
    source_version: str
    size_bytes: int
    md5: str
    sha256: str
    crc32: int


class VersionHead(BaseModel):
    """A version without its files."""

    id: int
    project_id: int
    product_id: int | None
    name: str
    kind: Kind
    package: Literal["full", "delta"]
    target_version: str
    information: str
    created_at: float


class Version(VersionHead):
    """A version with its files."""

    files: list[File]


class Link(BaseModel):
    """A signed link to a file."""

    url: str
    lifetime_s: float


class PlanHead(BaseModel):
    """A plan without its definition."""

    id: int
    project_id: int
    product_id: int
    model_id: int
    name: str
    state: str
    created_at: float
    activated_at: float | None


class Planned(BaseModel):
    """A component of a plan with the version chosen for it."""

    component_id: int
    identifier: str
    name: str
    kind: Kind
    version_id: int
    version_name: str
    package: str
    target_version: str


class Plan(PlanHead):
    """A plan: its definition as given, and its components in order."""

    definition: dict[str, Any]
    components: list[Planned]


class Counts(BaseModel):
    """Devices of a plan, by every way of counting; read from the store."""

    devices: int
    stages: dict[str, int]
    device_states: dict[str, int]
    states: dict[str, int]
    never_seen: int
    """Registered, and never connected."""
    judged: int
    """Upgraded or failed: what the success rate is of. Not started, running and cancelled devices are not."""
    success_rate: float | None


class Monitoring(Counts):
    """Counts with the state of the plan."""

    plan: str
    state: str


class Progress(BaseModel):
    """One device in a plan, and what it last reported."""

    device_key: str
    stage: str
    state: str
    device_state: str
    reason: str
    attempts: int
    failures: int
    updated_at: float
    online: bool
    module_version: str
    mcu_versions: str
    battery_percent: float | None
    rsrp_dbm: float | None
    free_bytes: int | None
    seen_at: float | None
    reports: int


class Page(BaseModel):
    """One page of the device table."""

    total: int
    page: int
    size: int
    devices: list[Progress]


class LogLine(BaseModel):
    """A line of the upgrade log; `times` when it came several times in a row, until `last_at`."""

    at: float
    text: str
    times: int
    last_at: float


class ComponentProgress(BaseModel):
    """One component of a device under a plan."""

    identifier: str
    kind: Kind
    running_version: str
    target_version: str
    stage: str


class Details(Progress):
    """One device in a plan with its components and its log."""

    components: list[ComponentProgress]
    log: list[LogLine]


class Live(BaseModel):
    """What a fleet needs to connect. The secret only for who has the token."""

    mqtt: str
    http: str
    product_key: str | None
    product_id: int | None
    plan: int | None
    product_secret: str | None = None


class Health(BaseModel):
    """Whether the service works. `store` says why nothing is acknowledged, `broker` why it is away; "" when all is
    well. `errors` counts errors of fotasim itself, `clock_ahead_s` how far the store's time is ahead of the wall clock."""

    store: str
    broker: str
    devices: int
    online: int
    plans: int
    downloads: int
    commits: int
    errors: int
    rejected_rows: int
    clock_ahead_s: float
