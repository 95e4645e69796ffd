"""A live module that speaks DDI: polls and feedback around the unchanged behaviour.

A poll that is answered is the session; a deployment becomes Notice and FirmwareUrl, the maintenance window holds and
releases the installation, cancelAction becomes Cancel, and each status entered becomes feedback.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from math import inf, isnan
from typing import TYPE_CHECKING

from sim import messages as msg
from sim.causes import Cause
from sim.cloud import execution as ex
from sim.cloud.execution_states import ExecutionState
from sim.draws import Purpose, uniform
from sim.engines.driver_rules.request_rules import AWAKE_S
from sim.engines.live import failure_reasons
from sim.engines.live.ddi.deployment_messages import Offer, offer_of
from sim.engines.live.ddi.device_states import CANCELED, ERROR, FINISHED, RUNNING, Said
from sim.engines.live.ddi.json_requests import NoAnswer
from sim.engines.live.fetch import Package
from sim.engines.live.live_module import LiveModule
from sim.engines.live.reconciliation import mirror
from sim.errors import InputError, LocalProtocolError, ProtocolError, RemoteProtocolError
from sim.module.inputs import Input
from sim.module.link_states import LinkState
from sim.module.machine import Module
from sim.module.rows import CheckIn
from sim.wire.ddi import client as dc
from sim.wire.ddi import stages
from sim.wire.ddi.documents import Deployment, Feedback, attributes

if TYPE_CHECKING:
    from sim.engines.live.ddi.ddi_cloud import Ddi
    from sim.engines.live.live_engine import LiveEngine

BOARD = "fotasim"
"""The device's hw_boardname."""

_LEGS = {
    "poll": "poll", "configData": "configData", "deploymentBase": "deploymentBase", "confirmationBase": "deploymentBase",
    "cancelAction": "deploymentBase", "feedback": "feedback", "confirmation": "feedback", "cancel": "feedback",
}  # fmt: skip
"""The leg each kind of request is timed as."""
Tag = tuple[int, str, float, str]
"""Of feedback under way: the status it tells (0: none of its own), what the server must believe then, the loop's time it was
queued, and its action."""


class DdiModule(LiveModule):
    """A module with its poll machine. At most one request of it is under way."""

    __slots__ = (
        "_agreed", "_asked_at", "_canceling", "_client", "_cloud", "_confirming", "_dialled_at", "_exchange", "_last", "_leg", "_met_at", "_offer",
        "_online", "_open", "_over", "_pump_timer", "_radio_on", "_reported", "_unacked", "believed", "believed_action", "closed_with", "doubtful",
    )  # fmt: skip

    def __init__(self, engine: LiveEngine, module: Module, cloud: Ddi) -> None:
        super().__init__(engine, module)
        self._cloud = cloud
        target, row, profile = cloud.target, module.row, module.profile
        self._client = dc.Client(
            target.url, target.tenant, module.name, target.authorization_of(module.name), self._attributes(),
            lambda n: uniform(profile.key_0, profile.key_1, row.identity, Purpose.SERVER_WAIT, n),
        )  # fmt: skip
        self._exchange: asyncio.Task[None] | None = None
        self._pump_timer: asyncio.TimerHandle | None = None
        self._dialled_at = self._met_at = self._asked_at = 0.0
        self._leg = ""
        self._radio_on = self._online = False
        self._offer: Offer | None = None
        self._open = False  # the server wants it carried out
        self._agreed = ""  # the action the module decided to take on
        self._confirming = False  # the offer still waits for a confirmation at the server
        self._canceling = False
        self._over: set[str] = set()
        self._reported = ""  # the action of `_last`
        self._last: Feedback | None = None
        self._unacked = 0
        self.believed = ""
        """State the server must have after the feedback it acknowledged."""
        self.believed_action = ""
        """The action `believed` is about."""
        self.doubtful = False
        """The last word was taken when its first answer got lost, or somebody else closed the action: the server knows."""
        self.closed_with = 0
        """State of the execution a closed action ended in, 0 while it is open."""

    def _attributes(self) -> dict[str, str]:
        """What it tells of itself: hardware, and the version of each component."""
        module = self.module
        versions = {f"sw_version_{name}": version for name, version in module.versions.items()}
        planned = self._cloud.components[0].component
        return {
            "hw_boardname": BOARD, "hw_revision": self._cloud.hardware(module.row.hardware),
            "sw_version": module.versions.get(planned, ""), **versions,
        }  # fmt: skip

    def check(self) -> None:
        """InputError for attributes that a server does not take, before the upgrade or after it."""
        planned = {f"sw_version_{c.component}": c.target_version for c in self._cloud.components}
        try:
            attributes({**self._attributes(), **planned})
            attributes(self._attributes())
        except LocalProtocolError as error:
            raise InputError(
                f"module {self.module.name}: {error}; shorten the component's name or version in fleet.groups or plan.components"
            ) from None

    # --- life --------------------------------------------------------------------------------------------------------

    @property
    def unacknowledged(self) -> bool:
        """See LiveModule."""
        return self._unacked > 0

    @property
    def done(self) -> bool:
        """The action is closed and the server knows, or the module is dark."""
        row = self.module.row
        if row.link == LinkState.DARK:
            return True
        settled = row.status in (msg.NO_PLAN, msg.DOWNLOADED)
        return self.closed_with != 0 and settled and row.cached == 0 and not self._unacked and not self._client.waiting

    def _wake(self) -> None:
        row = self.module.row
        due = row.link == LinkState.ONLINE and row.link_then == Input.SLEEP and row.link_at <= self._timer_at
        if due and self._asking and self.module.profile.check_in != CheckIn.DIURNAL:
            row.link_at = self._timer_at + AWAKE_S * self._engine.settings.time_scale
            if self.module.deadline > self._timer_at:
                self._timer, self._timer_at = None, inf
                self._rearm(self._engine.now())
                return
        super()._wake()

    @property
    def _asking(self) -> bool:
        """A request is under way or due."""
        return self._exchange is not None or self._client.deadline <= self._engine.clock()

    def _connect(self) -> None:
        engine = self._engine
        self._dialled_at = max(self._due, engine.zero)
        self._radio_on = True
        self._client.poll(engine.connects.slot(engine.clock()))
        self._pump()

    def _hello(self, now: float) -> None:  # noqa: ARG002 - the poll that was answered is the hello
        self._client.describe(self._attributes())

    def _disconnect(self, now: float) -> None:
        row = self.module.row
        self._client.pause()
        self._went(now)
        if row.link == LinkState.DARK or row.cause == Cause.BATTERY_DEAD:  # no supply, no farewell
            self._cut()

    def _drop(self) -> None:
        """The radio is gone: so is the request under way."""
        engine, row = self._engine, self.module.row
        self._cut()
        self._client.pause()
        now = engine.now()
        self._went(now)
        row.cause = Cause.LINK_LOST
        self.deliver(Input.LINK_LOST, now)

    def _went(self, now: float) -> None:
        if self._online:
            self._online = False
            self._engine.recorder.online(now, -1)

    def halt(self) -> None:
        """See LiveModule: the request under way is still answered."""
        self._halted = True
        self._rest()
        self._client.pause()

    def waiting(self) -> Iterator[tuple[str, float]]:
        """See LiveModule."""
        yield from super().waiting()
        if self._exchange is not None:
            yield self._leg, self._asked_at

    def _hang_up(self) -> None:
        self._client.pause()
        self._cut()

    def _cut(self) -> None:
        """Nothing more goes out; what is queued waits for the next connection."""
        self._radio_on = False
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.cancel()
            self._client.abandon()

    # --- requests ----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Sends what is due, or comes back when it is. Reports still go out while the module takes its leave."""
        if self._pump_timer is not None:
            self._pump_timer.cancel()
            self._pump_timer = None
        engine = self._engine
        if self._exchange is not None or not self._radio_on or self._halted:
            return
        at = self._client.deadline
        if at > engine.clock():
            if at < inf:
                self._pump_timer = engine.loop.call_at(at, self._pump)
            return
        request = self._client.request(engine.clock())
        if request is not None:
            late_s = engine.clock() - at if request.what == "poll" and at > engine.zero else 0.0
            self._leg, self._asked_at = _LEGS[request.what], engine.clock()
            self._exchange = engine.loop.create_task(self._carry(request, late_s))

    async def _carry(self, request: dc.Request, late_s: float) -> None:
        """Sends a request and takes its answer; it is timed from when it was due, `late_s` ago."""
        engine, cloud = self._engine, self._cloud
        scale = engine.settings.time_scale
        wait_s = engine.messages.slot(engine.clock()) - engine.clock()
        if engine.settings.radio:
            wait_s += cloud.round_trips * self.module.row.rtt_s / scale  # a connection of its own, then the request
        if wait_s > 0.0:
            await asyncio.sleep(wait_s)
        engine.recorder.requests(engine.now(), 1)
        cloud.asked(request.what, engine.clock() - engine.zero)
        asked_at = self._asked_at = engine.clock() - late_s
        try:
            answer = await cloud.http.send(request, cloud.identities.of(self.module.name))
        except NoAnswer as error:
            self._exchange = None
            self._client.failed(engine.clock())
            cloud.refused[str(error)] += 1
            self._fail(self._leg, str(error))
            self._unreached()
            return
        except Exception as error:  # ours: the request is over, the module tries again
            self._exchange = None
            self._client.failed(engine.clock())
            engine.surprised(error)
            self._fail(self._leg, failure_reasons.of_surprise(error))
            self._unreached()
            return
        self._exchange = None
        took_s = engine.clock() - asked_at
        try:
            self._answered(request, *answer, took_s)
        except LocalProtocolError as error:  # of attributes that grew too long: nothing of them went out
            self._fail(self._leg, failure_reasons.of_protocol(error))
            self._pump()
        except Exception as error:
            engine.surprised(error)
            self._fail(self._leg, failure_reasons.of_surprise(error))
            self._pump()

    def _answered(
        self, request: dc.Request, status: int, headers: Mapping[str, str], body: bytes, took_s: float
    ) -> None:
        engine, events, wrong = self._engine, list[dc.Event](), ""
        try:
            events = self._client.receive(status, headers, body, engine.clock())
        except ProtocolError as error:
            engine.recorder.damaged += 1
            wrong = failure_reasons.of_protocol(error)
        if wrong or not _is_answer(status):
            self._fail(self._leg, wrong or failure_reasons.of_status(status))
        else:
            self.latencies.add(self._leg, took_s)
        if status >= 400:
            self._cloud.refused[f"{request.what}: HTTP {status}"] += 1
        if self._client.retry_at > engine.clock():
            self._unreached()
            return
        self._reached()
        for event in events:
            self._on_event(event)
        self._pump()

    def _reached(self) -> None:
        """The server answered: the module is online."""
        engine = self._engine
        if self.module.row.link != LinkState.CONNECTING:
            return
        now, self.trouble = engine.now(), ""
        self.latencies.add("connect", max(0.0, engine.clock() - self._dialled_at))
        engine.recorder.dialled()
        engine.recorder.online(now, 1)
        self._online, self._met_at = True, engine.clock()
        self.deliver(Input.CONNECTED, now)

    def _unreached(self) -> None:
        """No answer that helps: a module that was connecting failed to, and tries again when the wait is over."""
        engine, row = self._engine, self.module.row
        if row.link == LinkState.CONNECTING:
            self._client.pause()
            self.deliver(Input.CONNECT_FAILED, engine.now())
            wait_s = max(0.0, self._client.retry_at - engine.clock())
            row.link_at = engine.now() + wait_s * engine.settings.time_scale
            self._rearm(engine.now())
        else:
            self._pump()

    def _authorization(self, url: str) -> str:
        """The credentials go to the server alone, never to a host that only serves files."""
        target = self._cloud.target
        return target.authorization_of(self.module.name) if dc.same_origin(url, target.url) else ""

    def _tls(self, url: str) -> ssl.SSLContext | None:
        """The certificate, too, is shown to the server alone."""
        same = dc.same_origin(url, self._cloud.target.url)
        return self._cloud.identities.of(self.module.name) if same else None

    # --- what the server wants ---------------------------------------------------------------------------------------

    def _on_event(self, event: dc.Event) -> None:
        if isinstance(event, dc.Polled):
            if not event.links & {"deploymentBase", "confirmationBase", "cancelAction"}:
                self._open = False  # nothing new is begun; what is under way goes on and is reported
        elif isinstance(event, dc.Offered):
            self._offered(event.deployment, confirming=False)
        elif isinstance(event, dc.ConfirmationAsked):
            self._offered(event.deployment, confirming=True)
        elif isinstance(event, dc.CancelAsked):
            self._on_cancel(event)
        elif isinstance(event, dc.Acknowledged):
            self.doubtful = event.doubtful
            self._acknowledged(event.tag)
        elif isinstance(event, dc.Closed):
            self._on_closed(event)
        elif event.status == dc.NOT_ASKED:
            self._fail(_LEGS[event.what], failure_reasons.of_protocol(RemoteProtocolError("a link to another server")))
        elif event.tag is not None:  # spent: a cancel's answer after the success (405), or a report that is not taken
            self._unacked = max(0, self._unacked - 1)

    def _offered(self, deployment: Deployment, *, confirming: bool) -> None:
        if self._offer is None or self._offer.deployment is not deployment:
            try:
                self._offer = offer_of(deployment, self._cloud.components, self._engine.world.plan.settings)
            except ProtocolError as error:
                self._offer = None
                if deployment.action not in self._over:
                    self._over.add(deployment.action)
                    self._send(deployment.action, Feedback("closed", "failure", stages.CAUSE_CODES, (str(error),)), 0)
                return
        self._confirming = confirming
        self._reopen(deployment.action)
        self._advance()

    def _reopen(self, action: str) -> None:
        """A new action is open; so is a failed one that the server had taken back and offers anew."""
        again = (
            action in self._over
            and not self._open
            and self.closed_with in (ExecutionState.FAILED, ExecutionState.REJECTED)
        )
        if again:
            self._over.discard(action)
            self._agreed, self._last = "", None
        if action not in self._over:
            self.closed_with = 0
        self._open = True

    def _advance(self) -> None:
        """Gives the module what it waits for."""
        row, offer = self.module.row, self._offer
        if offer is None or not self._open or row.link != LinkState.ONLINE or offer.deployment.action in self._over:
            return
        deployment, now = offer.deployment, self._engine.now()
        agreed = self._agreed == deployment.action and not self._confirming
        if row.status == msg.NO_PLAN and not agreed and not (self._confirming and self._agreed == deployment.action):
            if self._met_at:
                self.latencies.add("notice", self._engine.clock() - self._met_at)
                self._met_at = 0.0
            self.deliver(offer.notice, now)
        elif row.status in (msg.NO_PLAN, msg.SUBMITTED) and agreed:
            self._give_url(offer, now)
        elif row.status == msg.DOWNLOADED and row.hold and not deployment.hold:
            self.deliver(msg.Install(), now)
        if (
            row.status == msg.PLAN_RECEIVED
            and deployment.forced
            and not self._confirming
            and self.module.profile.confirm_mode
            and not self.ignores_offers
        ):
            self.deliver(Input.DECIDE, now)  # forced: the user is not asked, the module's own limits hold

    def _give_url(self, offer: Offer, now: float) -> None:
        index = next((i for i in range(len(offer.urls)) if not self.module.row.at_target & 1 << i), None)
        if index is None or offer.deployment.download == "skip":
            return
        files = offer.files[index]
        if self._package is None or self._package.files != files:
            self._package = Package(files, self._engine.known_files)
        self._due = self._engine.clock()
        self.deliver(offer.urls[index], now)

    def _on_cancel(self, asked: dc.CancelAsked) -> None:
        """Honoured until the image is being written."""
        row = self.module.row
        mine = self._offer is not None and self._offer.deployment.action == asked.stop
        if mine and row.status == msg.UPDATING:
            self._client.cancel_feedback(asked.cancel, False, _timestamp_ms(), ("the image is being written",))
            return
        self._over.add(asked.stop)
        self._give_up(asked.stop)
        self._post(
            lambda tag: self._client.cancel_feedback(asked.cancel, True, _timestamp_ms(), ("stopped",), tag),
            msg.REFUSED, CANCELED, asked.stop,
        )  # fmt: skip

    def _on_closed(self, event: dc.Closed) -> None:
        """Gone: the action was taken away and nobody listens any more. Not found: not (yet) the module's; poll again."""
        self._unacked = 0
        if event.status == dc.GONE:
            self._over.add(event.action)
            self._give_up(event.action)
            if not self.closed_with:
                self.believed, self.closed_with = CANCELED, ExecutionState.CANCELED
                self.believed_action = event.action
        else:
            self._open = False

    def _give_up(self, action: str) -> None:
        if (
            self._offer is not None
            and self._offer.deployment.action == action
            and self.module.row.status != msg.NO_PLAN
        ):
            self._canceling = True
            self.deliver(msg.Cancel(), self._engine.now())
            self._canceling = False

    # --- what the module reports -------------------------------------------------------------------------------------

    def _publish_status(self, now: float) -> None:  # noqa: ARG002 - stamped by the wall clock
        offer = self._offer
        status = self.module.row.published
        if offer is None or offer.deployment.action in self._over or self._canceling:
            return
        action = offer.deployment.action
        if status == msg.SUBMITTED:
            self._agreed = action
        if self._confirming:
            self._answer_confirmation(action, status)
            return
        feedback = self._feedback(offer, status)
        if feedback is None:
            return
        if feedback.execution == "closed":
            self._over.add(action)
        if (self._reported, self._last) != (action, feedback):
            self._send(action, feedback, status)
        if status == msg.SUBMITTED or (status == msg.UPDATE_SUCCESS and feedback.execution != "closed"):
            self._engine.loop.call_soon(self._advance)

    def _answer_confirmation(self, action: str, status: int) -> None:
        """Confirms or denies at a server that asks first; a denial is told again only when its cause changes."""
        row, client = self.module.row, self._client
        if status == msg.SUBMITTED:
            self._post(lambda tag: client.confirm(action, True, status, ("confirmed",), tag), status, RUNNING, action)
            client.poll(self._engine.clock())  # the deployment comes with the next poll
        elif status == msg.REFUSED:
            said = stages.deferred(Cause(row.cause).word, row.cause)
            if self._refuses_for_good:
                self._over.add(action)  # it stays pending at the server, and is not asked again
            if (self._reported, self._last) != (action, said):
                self._reported, self._last = action, said
                assert said.code is not None
                code = said.code
                self._post(lambda tag: client.confirm(action, False, code, said.details, tag), status, RUNNING, action)

    def _feedback(self, offer: Offer, status: int) -> Feedback | None:
        row = self.module.row
        cause = (Cause(row.cause).word, row.cause)
        version = self.module.versions.get(offer.notice.components[row.component].component, "")
        if status == msg.REFUSED:
            return stages.refused(*cause) if self._refuses_for_good else stages.deferred(*cause)
        if status == msg.DOWNLOAD_START:
            return stages.downloading(row.offset_bytes + int(row.kept_bytes), row.package_bytes)
        if status == msg.DOWNLOADED:
            waits = row.hold and not offer.deployment.download_only
            return stages.scheduled() if waits else stages.downloaded()
        if status == msg.UPDATE_SUCCESS:
            whole = row.at_target == (1 << self.module.profile.components) - 1
            return (
                stages.succeeded(version)
                if whole
                else stages.component_done(self.module.components[row.component], version)
            )
        if status == msg.PLAN_RECEIVED:
            return stages.notified() if row.offers == 1 or self._reported != offer.deployment.action else None
        if status == msg.DOWNLOAD_ERROR:
            if row.cause == Cause.CHECKSUM:
                self._client.distrust()
            return stages.broken(*cause)
        if status == msg.UPDATE_ERROR:
            return stages.failed(*cause, version)
        return stages.accepted() if status == msg.SUBMITTED else stages.installing() if status == msg.UPDATING else None

    @property
    def _refuses_for_good(self) -> bool:
        """A user's no is final; an unmet limit is where the plan says reject, else the module decides again."""
        return self.module.row.cause == Cause.USER_REFUSED or bool(self._engine.world.plan.settings.reject_unmet)

    def _send(self, action: str, feedback: Feedback, status: int) -> None:
        self._reported, self._last = action, feedback
        only = self._offer is not None and self._offer.deployment.download_only
        final = feedback.execution == "downloaded" and only
        if feedback.execution == "closed":
            believed = FINISHED if feedback.finished == "success" else ERROR
        else:
            believed = RUNNING
        self._post(
            lambda tag: self._client.report(action, feedback, _timestamp_ms(), tag, final=final),
            status,
            believed,
            action,
        )

    def _post(self, queue: Callable[[Tag], None], status: int, believed: str, action: str) -> None:
        self.sent_statuses += 1
        self._unacked += 1
        queue((status, believed, self._engine.clock(), action))
        self._engine.loop.call_soon(self._pump)

    def _acknowledged(self, tag: Tag | None) -> None:
        if tag is None:
            return
        status, self.believed, since, self.believed_action = tag
        self._unacked = max(0, self._unacked - 1)
        if status:
            self._report_acknowledged(status, since)
        self._close(status)

    def _close(self, status: int) -> None:
        """Whether what the server has just acknowledged ends the action, and how."""
        offer = self._offer
        if self.believed == FINISHED:
            self.closed_with = ExecutionState.SUCCEEDED
        elif self.believed == CANCELED:
            self.closed_with = ExecutionState.CANCELED
        elif self.believed == ERROR:
            self.closed_with = ExecutionState.REJECTED if status == msg.REFUSED else ExecutionState.FAILED
        elif offer is not None and status == msg.REFUSED and offer.deployment.action in self._over:
            self.closed_with = ExecutionState.REJECTED  # denied for good: the server goes on waiting
        elif offer is not None and status == msg.DOWNLOADED and offer.deployment.download_only:
            self.believed, self.closed_with = FINISHED, ExecutionState.DOWNLOADED  # all that was asked for

    def said(self) -> Said:
        """The client's side of the reconciliation."""
        row = self.module.row
        carried_out = not isnan(row.upgraded_s) or self.closed_with == ExecutionState.DOWNLOADED
        pending = self.unacknowledged or self.doubtful
        return Said(not isnan(row.first_contact_s), self.believed, pending, carried_out, self.believed_action)

    def settle(self, execution: ex.Execution) -> None:
        """The execution as the acknowledged feedback tells it."""
        mirror(execution, self.acked, self.module.row)
        if self.closed_with and execution.state != ExecutionState.SUCCEEDED:
            execution.state = self.closed_with


def _is_answer(status: int) -> bool:
    """Whether a status is one of those that a device is to expect: done, nothing new, or the action is not its any more."""
    return status < 300 or status in (dc.NOT_MODIFIED, dc.GONE)


def _timestamp_ms() -> int:
    return time.time_ns() // 1_000_000
