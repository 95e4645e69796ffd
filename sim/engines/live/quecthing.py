"""QuecThing over MQTT for a live run: a module's session with its frames, and the cloud they all connect to."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf, isnan
from typing import TYPE_CHECKING, Any

from sim import messages as msg
from sim.causes import Cause
from sim.cloud import execution as ex
from sim.cloud_kinds.adapter import SUCCEEDED
from sim.cloud_kinds.developer_center import BEHAVIOUR
from sim.engines.live import failure_reasons
from sim.engines.live.api import CloudApi
from sim.engines.live.bootstrap import Bootstrap
from sim.engines.live.fetch import Package
from sim.engines.live.known_files import File
from sim.engines.live.link import NETWORK_FAILED, Link, Links
from sim.engines.live.live_module import LiveModule
from sim.engines.live.live_target import Target, checked_url, target_of, trusting
from sim.engines.live.reconciliation import ModuleCounts, Reconciliation, mirror, reconcile
from sim.engines.world.build import World
from sim.errors import FotasimError, RemoteProtocolError
from sim.module import battery, radio, states
from sim.module.inputs import Input
from sim.module.link_states import LinkState
from sim.module.machine import Module
from sim.scenario.beyond_the_cloud import beyond_the_cloud
from sim.strategy.settings import Settings as StrategySettings
from sim.wire.quecthing import login, ota
from sim.wire.quecthing.client import CONFIG_TIMEOUT_S, Product, QuecThingClient, kind_of

if TYPE_CHECKING:
    from sim.engines.live.live_engine import LiveEngine, Settings
    from sim.scenario import Scenario


class QuecThingModule(LiveModule):
    """A module with its MQTT session."""

    __slots__ = (
        "_asked_at", "_cloud", "_confirmed_at", "_dialled_at", "_firmware", "_heard_at", "_kinds", "_leaving", "_request",
        "_requested_at", "_unacked", "link", "session",
    )  # fmt: skip

    def __init__(self, engine: LiveEngine, module: Module, cloud: QuecThing) -> None:
        super().__init__(engine, module)
        self._cloud = cloud
        self.session = QuecThingClient(cloud.product, module.name, self, cloud.target.hand_out)
        self.link: Link | None = None
        self._dialled_at = self._asked_at = self._confirmed_at = self._heard_at = 0.0
        self._requested_at = 0.0
        self._request = 0  # MQTT packet id of the request under way
        self._unacked: dict[int, tuple[int, float]] = {}
        self._leaving: Link | None = None  # offline already, while the last acknowledgements come in
        self._kinds: tuple[int, ...] = ()
        self._firmware: ota.Firmware | None = None

    @property
    def unacknowledged(self) -> bool:
        """See LiveModule."""
        return bool(self._unacked)

    def waiting(self) -> Iterator[tuple[str, float]]:
        """See LiveModule."""
        row, link = self.module.row, self.link
        if row.link == LinkState.CONNECTING:
            yield ("login", link.made_at) if link is not None and link.made_at else ("connect", self._dialled_at)
        if self._asked_at and isnan(row.upgraded_s):
            yield "notice", self._asked_at  # asleep or not: it asked and was not answered
        if row.link == LinkState.ONLINE:
            if self._request:
                yield "request", self._requested_at
            if self._confirmed_at and row.status == msg.SUBMITTED:
                yield "url", self._confirmed_at
            yield from super().waiting()
        yield from (("report", sent_at) for _, sent_at in self._unacked.values())

    def _status_left(self, before: int) -> None:
        """See LiveModule."""
        if before == msg.SUBMITTED and self._confirmed_at:
            self._confirmed_at = 0.0
            self._fail("url", failure_reasons.NO_ANSWER)
        super()._status_left(before)

    # --- link ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        engine = self._engine
        if self._leaving is not None:
            self._fail("session", f"{failure_reasons.NO_ANSWER} (acknowledgement, until its next connection)")
            self._leaving.abort()
            self._left()
        self._dialled_at = self._due
        password = self.session.password(secrets.token_hex(8))
        round_trips = BEHAVIOUR.login_round_trips if engine.settings.radio else 0
        modelled_s = round_trips * self.module.row.rtt_s / engine.settings.time_scale
        self._dialled_at += modelled_s
        at = engine.connects.slot(engine.clock() + modelled_s)
        engine.when(at, lambda: self._dial(password))

    def _dial(self, password: str) -> None:
        if self.module.row.link == LinkState.CONNECTING and self.link is None and not self._halted:
            self._engine.recorder.dialled()
            self.link = self._cloud.links.dial(self, self.session.name, password, self.session.subscription)

    def on_up(self, link: Link) -> None:
        """See LinkOwner."""
        self.latencies.add("connect", max(0.0, link.made_at - self._dialled_at))
        if not self.session.subscribed():
            self._engine.loop.call_later(CONFIG_TIMEOUT_S, self._no_config, link)

    def _no_config(self, link: Link) -> None:
        if self.link is link:
            self.session.no_secret_came()

    def on_ready(self) -> None:
        """See Events."""
        link, engine = self.link, self._engine
        assert link is not None
        self._request, self.trouble = 0, ""
        self.latencies.add("login", engine.clock() - link.made_at)
        now = engine.now()
        engine.recorder.online(now, 1)
        self._heard_at = now
        self._due = engine.clock()
        self.deliver(Input.CONNECTED, now)

    def on_down(self, link: Link, code: int) -> None:
        """See LinkOwner."""
        if self._leaving is link:
            self._fail("session", link.why)
            self._left()
        if self.link is not link:
            return
        self.link = None
        if self.module.row.link == LinkState.ONLINE:
            self._session_lost(link.why)
        else:
            refused = self.session.failed(None if code == NETWORK_FAILED else code)
            self._refused(refused, "login" if link.made_at else "connect", link.why)

    def _session_lost(self, why: str) -> None:
        """The session broke: what was not acknowledged is kept like a status published offline, the latest only.

        Without a reason it is the modelled radio's doing, and no failure of the network or the cloud.
        """
        row, engine = self.module.row, self._engine
        now = engine.now()
        engine.recorder.online(now, -1)
        if why:
            self._fail("session", why)
        else:
            engine.recorder.dropped += 1
        self._keep_unacknowledged()
        if row.status in (msg.DOWNLOAD_START, msg.DOWNLOADING):
            row.cause = Cause.LINK_LOST
        self.deliver(Input.LINK_LOST, now)
        self._back_off(login.NETWORK, now)

    def _refused(self, code: int, leg: str, why: str) -> None:
        """No session came about."""
        engine = self._engine
        self._fail(leg, why)
        engine.recorder.refused(code)
        now = engine.now()
        self.deliver(Input.CONNECT_FAILED, now)
        self._back_off(code, now)

    def _back_off(self, code: int, now: float) -> None:
        """The wait before the next attempt, by class of error and in real seconds whatever the time scale."""
        row, scale = self.module.row, self._engine.settings.time_scale
        if row.link != LinkState.OFFLINE or row.link_at == inf:
            return
        if code == login.NETWORK:
            row.link_at = now + (row.link_at - now) * scale
        else:
            row.link_at = now + login.back_off_s(code, row.link_failures) * scale
        self._rearm(now)

    def _disconnect(self, now: float) -> None:
        link, self.link = self.link, None
        if link is None:
            return
        if link.up and not self.session.bootstrapping:
            self._engine.recorder.online(now, -1)
        row = self.module.row
        if row.link == LinkState.DARK or row.cause == Cause.BATTERY_DEAD:
            link.abort()  # no supply, no farewell
            self._keep_unacknowledged()
        elif not link.finish():
            self._leaving = link

    def _left(self) -> None:
        """The connection it was leaving is gone before everything was acknowledged."""
        self._leaving = None
        self._keep_unacknowledged()
        self._rearm(self._engine.now())

    def _keep_unacknowledged(self) -> None:
        row = self.module.row
        if self._unacked and not row.cached:
            row.cached = next(reversed(self._unacked.values()))[0]
        self._unacked.clear()

    def _drop(self) -> None:
        """Both sockets die."""
        link = self.link
        if link is not None:
            self.link = None
            link.abort()
            self._session_lost("")

    def halt(self) -> None:
        """See LiveModule: a session that stands stays, so that what is on its way is still acknowledged."""
        self._halted = True
        self._rest()
        if self.link is not None and not self.link.up:
            self._hang_up()

    def _hang_up(self) -> None:
        for link in (self.link, self._leaving):
            if link is not None:
                link.close()
        self.link = self._leaving = None

    # --- uplink --------------------------------------------------------------------------------------------------

    def _hello(self, now: float) -> None:
        """0x0034, 0x0044 and, with the request, 0x0115."""
        packets = self.session.hello_packets(self.module.hello(now))
        self._asked_at = self._requested_at = self._due

        def send() -> None:
            for packet in packets:
                self._request = self.session.send(self._publish, *packet)

        self._uplink(now, send, len(packets))

    def _publish_status(self, now: float) -> None:
        report = self.module.report()
        self._uplink(now, lambda: self._send_status(report), 1)

    def _send_status(self, report: msg.StatusReport) -> None:
        component, kind = self._component(report.component)
        packet_id = self.session.send_status(self._publish, report, component, kind)
        self.sent_statuses += 1
        self._unacked[packet_id] = (report.status, self._engine.clock())
        if report.status == msg.SUBMITTED:
            self._confirmed_at = self._due
        elif report.status == msg.DOWNLOADING:
            self._engine.loop.call_later(states.PROGRESS_INTERVAL_S, self._beat, self._fetch)

    def _component(self, index: int) -> tuple[str, int]:
        """Name and kind of a component of the module's plan."""
        module = self.module
        if index < len(module.components):
            return module.components[index], kind_of(self._kinds, index)
        planned = self._engine.world.center.plan.components[index]
        return planned.component, planned.kind

    def _beat(self, fetch: asyncio.Task[None] | None) -> None:
        """A module that downloads says so every five seconds."""
        if fetch is not None and self._fetch is fetch and self.module.row.status == msg.DOWNLOADING and self.link:
            self._engine.recorder.beat()
            self._send_status(msg.StatusReport(msg.DOWNLOADING, self.module.row.component))

    def _uplink(self, now: float, send: Callable[[], object], packets: int) -> None:
        """Through the modelled radio when asked for, within the cap on the rate, in order."""
        engine, link = self._engine, self.link
        engine.recorder.requests(now, packets)
        at = now
        if engine.settings.radio:
            delay = radio.uplink_s(self.module.row, self.module.profile)
            if delay < 0.0:
                engine.recorder.lost += 1
                return
            at = self._heard_at = max(now + delay, self._heard_at)
        start = engine.messages.slot(engine.real(at))

        def later() -> None:
            if self.link is link and link is not None and not self._halted:
                send()

        engine.when(start, later)

    def _publish(self, topic: bytes, payload: bytes, qos: int) -> int:
        """Sends over the link that stands; the MQTT packet id."""
        assert self.link is not None
        return self.link.publish(topic, payload, qos)

    def on_acknowledged(self, link: Link, packet_id: int) -> None:
        """See LinkOwner."""
        if link is self._leaving and not link.session.in_flight:
            self._leaving = None
        if packet_id == self._request:
            self._request = 0
            self.latencies.add("request", self._engine.clock() - self._requested_at)
            return
        status, sent_at = self._unacked.pop(packet_id, (0, 0.0))
        if status:
            self._report_acknowledged(status, sent_at)

    # --- downlink ------------------------------------------------------------------------------------------------

    def on_message(self, link: Link, topic: str, payload: bytes) -> None:  # noqa: ARG002 - the command says it all
        """See LinkOwner."""
        if link is not self.link:
            return  # it sleeps already
        self.session.received(payload, self._publish)

    def hello(self) -> msg.Hello:
        """See Events."""
        return self.module.hello(self._engine.now())

    def on_damaged(self, error: RemoteProtocolError) -> None:
        """See Events."""
        self._engine.recorder.damaged += 1
        self._fail("session", failure_reasons.of_protocol(error))

    def on_notice(self, notice: msg.Notice, kinds: tuple[int, ...]) -> None:
        """See Events."""
        self._downlink(lambda: self._on_notice(notice, kinds))

    def on_url(self, firmware: ota.Firmware) -> None:
        """See Events."""
        try:
            url = firmware.message(self.module.components)
        except RemoteProtocolError as error:
            self.on_damaged(error)
        else:
            self._downlink(lambda: self._on_url(firmware, url))

    def on_exception(self, code: int) -> None:
        """See Events."""
        self._engine.recorder.refused(code)
        self._fail("session", failure_reasons.of_exception(code))

    def on_refused(self, code: int) -> None:
        """See Events."""
        link, self.link = self.link, None
        if link is not None:
            link.abort()
            self._refused(code, "login", failure_reasons.of_platform(code))

    def _downlink(self, deliver: Callable[[], None]) -> None:
        """Through the modelled radio when asked for."""
        engine, link = self._engine, self.link
        if not engine.settings.radio:
            deliver()
            return
        delay = radio.downlink_s(self.module.row, self.module.profile)
        if delay < 0.0:
            engine.recorder.lost += 1
            return

        def later() -> None:
            if self.link is link and link is not None:
                deliver()

        engine.at(engine.now() + delay, later)

    def _on_notice(self, notice: msg.Notice, kinds: tuple[int, ...]) -> None:
        engine = self._engine
        if self.module.row.link != LinkState.ONLINE:
            return
        self._kinds = kinds
        self._due = engine.clock()
        if self._asked_at:
            self.latencies.add("notice", self._due - self._asked_at)
            self._asked_at = 0.0
        self.deliver(notice, engine.now())

    def _on_url(self, firmware: ota.Firmware, url: msg.FirmwareUrl) -> None:
        engine = self._engine
        if self.module.row.link != LinkState.ONLINE:
            return
        self._due = engine.clock()
        if self._confirmed_at:
            self.latencies.add("url", self._due - self._confirmed_at)
            self._confirmed_at = 0.0
        if self._firmware != firmware:
            self._firmware, self._package = (
                firmware,
                Package([File(f.url, f.size_bytes, f.md5) for f in firmware.files], engine.known_files),
            )
        self.deliver(url, engine.now())


class QuecThingSide:
    """See LiveSide. The sans-IO client of its modules is wire/quecthing/client.py."""

    async def find(self, url: str, scenario: Scenario | None, settings: Settings, plan: int | None) -> Target:
        """See LiveSide. A mock cloud's http(s) URL is asked where its MQTT endpoint is."""
        del scenario
        place = checked_url(url, ("http", "https", "mqtt", "mqtts"))
        assert place.hostname is not None
        settings.limits.check(place.hostname)
        if place.scheme.startswith("mqtt"):
            return target_of(url, api=None, found={} if plan is None else {"plan": plan}, limits=settings.limits)
        api = CloudApi.from_environment(url, settings.ca_file)
        try:
            found = await api.live(plan)
            await api.reset(found.get("product_id"))
            named = f"{url}/api/v1/live: mqtt in the cloud's answer"
            return target_of(str(found.get("mqtt", "")), api=url, found=found, limits=settings.limits, what=named)
        finally:
            await api.close()

    def cloud(self, target: Target, world: World, settings: Settings, *, plan: int | None, compare: bool) -> QuecThing:
        """See LiveSide. The plan is the target's."""
        del plan
        asks = compare and target.api is not None
        api = CloudApi.from_environment(str(target.api), settings.ca_file) if asks else None
        return QuecThing(target, api, world)

    async def states_of(self, target: Target, ca_file: str | None) -> dict[str, int]:
        """See LiveSide."""
        if target.api is None or target.plan is None:
            return {}
        api = CloudApi.from_environment(target.api, ca_file)
        try:
            return {SUCCEEDED: 0, **await api.states(target.plan)}
        except FotasimError:
            return {}
        finally:
            await api.close()

    async def succeeded_of(
        self, target: Target, ca_file: str | None, prefix: str, names: Collection[str]
    ) -> int | None:  # fmt: skip
        """See LiveSide: its plan's counts before and after tell."""
        del target, ca_file, prefix, names
        return None


class QuecThing:
    """The cloud behind an MQTT endpoint, and its HTTP API where it has one."""

    links: Links

    def __init__(self, target: Target, api: CloudApi | None, world: World) -> None:
        self.target = target
        firmware = next((c.component for c in world.scenario.plan.components if c.type == "firmware"), "")
        self.product = Product(target.product_key, target.product_secret, firmware)
        self.host, self.port, self.plan = target.host, target.port, target.plan
        self._api = api
        self.can_compare = api is not None
        self._before: dict[str, dict[str, Any]] = {}
        _check_device_keys(world.modules)
        _check_limits(world.plan.settings)
        _check_strategy(world.scenario)

    def module(self, engine: LiveEngine, module: Module) -> QuecThingModule:
        """See Cloud."""
        return QuecThingModule(engine, module, self)

    def ssl_context(self, ca_file: str | None) -> ssl.SSLContext:
        """See Cloud."""
        return trusting(ca_file)

    async def open(self, engine: LiveEngine) -> None:
        """See Cloud."""
        settings, target = engine.settings, self.target
        if self._api is not None and self.plan is not None:
            self._before = await self._api.devices(self.plan)
            engine.notes += _still_under_way(self._before, [m.module.name for m in engine.modules])
        self.links = Links(
            target.host, target.port, ssl=target.ssl_context(settings.ca_file), sources=settings.sources,
            keepalive_s=int(engine.world.keepalive_s), username=settings.username, surprised=engine.surprised,
        )  # fmt: skip
        first = next(iter(engine.modules), None)
        if target.hand_out.known is None and isinstance(first, QuecThingModule):
            await Bootstrap(self.links, first.session).done

    async def close(self) -> None:
        """See Cloud."""
        await self.links.close()

    async def attend(self, settings: Settings) -> None:
        """See Cloud. The mock cloud sees to its plan itself."""

    async def free(self) -> None:
        """See Cloud."""
        if self._api is not None:
            await self._api.close()

    async def is_over(self, engine: LiveEngine) -> bool:
        """See Cloud."""
        if self._api is None or self.plan is None:
            return False
        try:
            states = await self._api.states(self.plan)
        except FotasimError:
            return False  # it is away for a moment; the run goes on
        over = sum(count for name, count in states.items() if name in _TERMINAL)
        return over >= sum(1 for m in engine.modules if m.module.row.link != LinkState.DARK or m.acked)

    async def reconcile(self, engine: LiveEngine) -> Reconciliation:
        """See Cloud."""
        for module in engine.modules:
            execution = engine.world.center.executions[module.module.row.index]
            mirror(execution, module.acked, module.module.row)
            execution.unmet = _unmet(engine.world, module.module, engine.recorder.end_s)
        if self._api is None or self.plan is None:
            return Reconciliation(note="not possible: the cloud's API or its plan is not known")
        try:
            cloud = await self._api.devices(self.plan)
        except FotasimError as error:
            return Reconciliation(note=f"not possible: {error}")
        _adopt(engine.world, cloud)
        client = {m.module.name: m.counts() for m in engine.modules}
        earlier = self._leave_out_earlier(client, cloud)
        told = f"{earlier:,} of the devices had succeeded in an earlier run: the cloud offers them nothing"
        found = reconcile(client, cloud)
        return replace(found, findings=(*found.findings, *((told,) if earlier else ()), *engine.notes))

    def _leave_out_earlier(self, client: Mapping[str, ModuleCounts], cloud: Mapping[str, dict[str, Any]]) -> int:
        """Takes out of the cloud's word what it counted before this run; gives successes of earlier runs."""
        earlier = 0
        for name in cloud.keys() & client.keys():
            device, before = cloud[name], self._before.get(name, {})
            if "reports" in device:
                device["reports"] -= before.get("reports", 0)
            if before.get("state") == "succeeded" and not client[name].upgraded:
                device["state"] = "succeeded before"
                earlier += 1
        return earlier

    @property
    def traffic(self) -> tuple[int, int]:
        """See Cloud."""
        return self.links.sent, self.links.received

    def figures(self) -> dict[str, Any]:
        """See Cloud."""
        return {
            "unacknowledged": self.links.unacknowledged,
            "protocol_errors": self.links.protocol_errors,
            "local_errors": self.links.local_errors,
        }


_TERMINAL = frozenset(name for i, name in enumerate(ex.STATE_NAMES) if ex.is_terminal(i))


_UNDER_WAY = ("notified", "confirmed", "downloading", "downloaded", "updating")


def _still_under_way(devices: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """What to say of modules that an earlier run left in mid-upgrade, by the state the cloud holds them in."""
    states = Counter(str(devices[name].get("state")) for name in names if name in devices)
    left = {state: states[state] for state in _UNDER_WAY if states[state]}
    if not left:
        return []
    listed = ", ".join(f"{state} {count:,}" for state, count in left.items())
    return [
        f"{sum(left.values()):,} of these devices are still under way from an earlier run ({listed}): they start over "
        "here; where the cloud does not offer them the upgrade again when they ask, they wait for its timeout"
    ]


def _unmet(world: World, module: Module, now: float) -> int:
    """The limit for which the cloud defers a module that it has heard of, by what the module would report now."""
    row, wanted = module.row, world.center.plan.settings
    if not wanted.checked_by_cloud or isnan(row.first_contact_s):
        return Cause.NONE
    return msg.unmet(
        battery.gauge_percent(row, module.profile, now), row.rsrp_dbm, row.free_bytes, wanted.min_battery_percent,
        wanted.min_rsrp_dbm, wanted.needed_bytes,
    )  # fmt: skip


def _adopt(world: World, cloud: Mapping[str, Mapping[str, Any]]) -> None:
    """The cloud's own word on each execution."""
    for module in world.modules:
        device = cloud.get(module.name)
        if device is None:
            continue
        execution = world.center.executions[module.row.index]
        if device.get("state") in ex.STATE_NAMES:
            execution.state = ex.STATE_NAMES.index(str(device["state"]))
        if device.get("reason") in ex.REASON_NAMES:
            execution.reason = ex.REASON_NAMES.index(str(device["reason"]))
        execution.attempts = int(device.get("attempts", 0))


def _check_limits(settings: StrategySettings) -> None:
    """FotasimError for a limit that the notice cannot carry: the device would compare another number than the cloud."""
    fraction = ota.fraction_in_limits(settings.min_battery_percent, settings.min_rsrp_dbm)
    if fraction:
        raise FotasimError(f"plan.strategy.preconditions.{fraction}")


def _check_strategy(scenario: Scenario) -> None:
    """FotasimError for settings that no plan of such a cloud follows: a report would judge them as if it had."""
    beyond = beyond_the_cloud(scenario.plan.strategy)
    if beyond:
        raise FotasimError("; ".join(f"plan.strategy.{setting}" for setting in beyond))


def _check_device_keys(modules: Sequence[Module]) -> None:
    """Device keys have an alphabet and a length; FotasimError names the first module whose id has not."""
    for module in modules:
        if not login.is_device_key(module.name):
            raise FotasimError(
                f"module {module.name!r}: a device key has {login.MIN_DEVICE_KEY_CHARS} to "
                f"{login.MAX_DEVICE_KEY_CHARS} characters, letters, digits, - and _; rename it in the fleet's file"
            )
