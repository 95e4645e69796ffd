"""One live module: the behaviour's inputs from sockets and timers, its effects onto them. Decides nothing itself.

What is the same whatever cloud it talks to: life, timer, download. How a cloud is spoken to is a subclass.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from math import inf, isnan
from typing import TYPE_CHECKING

from sim import messages as msg
from sim.causes import Cause
from sim.draws import Purpose, uniform
from sim.engines.driver_rules.transfer_rules import FETCH_ROUND_TRIPS
from sim.engines.live import failure_reasons
from sim.engines.live.fetch import Ask, Broken, Package, ServerRefused, WrongChecksum
from sim.engines.live.reconciliation import ModuleCounts
from sim.module import behaviour as b
from sim.module import radio
from sim.module.inputs import Effect, Input
from sim.module.link_states import LinkState
from sim.module.machine import Module
from sim.module.rows import NAN, CheckIn
from sim.records import SPANS

if TYPE_CHECKING:
    from sim.engines.live.live_engine import LiveEngine

_GUARDED = (msg.SUBMITTED, msg.DOWNLOAD_START)
"""In these states the module waits for the network: their timers keep real seconds under a time scale."""


OVERDUE, UPGRADE_FAILED = "no answer within the objective", "the upgrade failed"
"""Why a step or span that was open at the end has failed."""


class LiveModule(ABC):
    """A module with its download and its one timer; subclasses give it a connection to their cloud."""

    __slots__ = (
        "_due",
        "_engine",
        "_fetch",
        "_fetched_bytes",
        "_fetched_from",
        "_guard",
        "_halted",
        "_header_at",
        "_package",
        "_scheduled_at",
        "_timer",
        "_timer_at",
        "_transfer_at",
        "acked",
        "acknowledged_statuses",
        "ignores_offers",
        "latencies",
        "module",
        "sent_statuses",
        "span_s",
        "trouble",
    )  # fmt: skip

    def __init__(self, engine: LiveEngine, module: Module) -> None:
        self._engine = engine
        self._halted = False
        self.module = module
        self.latencies = engine.latencies_of(module)
        self.trouble = ""
        """Why its last attempt to get a session failed; "" once it has one."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._guard = inf
        self._due = self._header_at = 0.0
        self._scheduled_at = NAN
        self.ignores_offers = False
        """Even a forced update is not taken: the module is there to wake up and ask, not to upgrade."""
        self._package: Package | None = None
        self._fetch: asyncio.Task[None] | None = None
        self._fetched_bytes = 0
        self._fetched_from = 0.0
        self._transfer_at = NAN
        self.sent_statuses = self.acknowledged_statuses = 0
        self.acked: dict[int, float] = {}
        """When the cloud last acknowledged each status, seconds of the run."""
        self.span_s: dict[str, float] = {}
        """The spans (records.SPANS) that have ended, seconds from when the module was first due to connect."""

    # --- how a cloud is spoken to ------------------------------------------------------------------------------------

    @abstractmethod
    def _connect(self) -> None:
        """Opens a session; ends in CONNECTED or CONNECT_FAILED."""

    @abstractmethod
    def _hello(self, now: float) -> None:
        """Reports what the module is and asks for its plan."""

    @abstractmethod
    def _publish_status(self, now: float) -> None:
        """Reports the status just entered."""

    @abstractmethod
    def _disconnect(self, now: float) -> None:
        """The module goes offline."""

    @abstractmethod
    def _drop(self) -> None:
        """The radio loses the session under a transfer."""

    @abstractmethod
    def _hang_up(self) -> None:
        """The run is over: nothing stays open."""

    @property
    @abstractmethod
    def unacknowledged(self) -> bool:
        """Whether reports are on their way."""

    def _tls(self, url: str) -> ssl.SSLContext | None:  # noqa: ARG002 - of subclasses
        """TLS of this module's own for a download, None for the run's."""
        return None

    def _authorization(self, url: str) -> str:  # noqa: ARG002 - of subclasses
        """Value of the Authorization header for a download, "" for none."""
        return ""

    # --- life ----------------------------------------------------------------------------------------------------

    def begin(self, due: float, *, at_once: bool = False) -> None:
        """Its first connection, from `due` by the engine's clock, whenever this is called.

        At once when asked for and for modules that are always online, else at its own check-in.
        """
        row, profile = self.module.row, self.module.profile
        if row.link != LinkState.OFFLINE:
            return  # never online
        self._due, now = due, self._engine.run_s(due)
        if at_once or (profile.check_in == CheckIn.ALWAYS and row.away_until_s <= now):
            self.deliver(Input.CHECK_IN, now)
        else:
            b.start(row, profile, now)
            self._rearm(now)

    def _fail(self, step: str, reason: str) -> None:
        """The one place where a step that failed is counted, by its reason."""
        self.latencies.fail(step, reason)
        self.trouble = reason

    def _span_ends(self, span: str) -> None:
        """A span counts once: a later offer does not begin at the first connection."""
        if span not in self.span_s and not isnan(self._scheduled_at):
            seconds = self.span_s[span] = self._engine.clock() - self._scheduled_at
            self.latencies.add(span, seconds)

    def span_so_far(self, span: str, now: float) -> tuple[float, float] | None:
        """When the module was first due to connect, by the engine's clock, and how long the span took, or takes already.

        None as long as it was not.
        """
        if isnan(self._scheduled_at):
            return None
        return self._scheduled_at, self.span_s.get(span, now - self._scheduled_at)

    @property
    def done(self) -> bool:
        """Nothing more is to be expected of it: it runs the new version and the cloud knows, or it is dark."""
        row = self.module.row
        if row.link == LinkState.DARK:
            return True
        return not isnan(row.upgraded_s) and row.cached == 0 and not self.unacknowledged

    def waiting(self) -> Iterator[tuple[str, float]]:
        """Legs under way and when each began, by the engine's clock: what a run that ends now leaves unanswered."""
        if self._fetch is not None:
            yield "download", self._fetched_from

    def count_open(self, overdue_s: Callable[[str], float]) -> None:
        """Counts what is open as it ends as failed: waits that are overdue, and an upgrade whose last word is a failure.

        Otherwise a cloud that answers some modules only would be judged by those alone.
        """
        now = self._engine.clock()
        for leg, since in self.waiting():
            if now - since > overdue_s(leg):
                self.latencies.fail(leg, OVERDUE)
        for span in SPANS:
            row = self.span_so_far(span, now)
            if row is None or span in self.span_s:
                continue
            if row[1] > overdue_s(span):
                self.latencies.fail(span, OVERDUE)
            elif span == "upgrade" and msg.UPDATE_ERROR in self.acked:
                self.latencies.fail(span, UPGRADE_FAILED)

    def deliver(self, given: int | msg.ToModule, now: float) -> None:
        """Every input of the module goes through here: receive, perform the effects, arm the timer."""
        if self._halted:
            return
        effects = self.module.receive(given, now)
        if effects:
            self._perform(effects, now)
        self._rearm(now)

    def halt(self) -> None:
        """At once: nothing more is begun, asked for or fetched, whatever comes in. `end` disconnects from the cloud."""
        self._halted = True
        self.end()

    def end(self) -> None:
        """The run is over."""
        self._rest()
        self._hang_up()

    def _rest(self) -> None:
        """No timer and no transfer is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_fetch()

    def _rearm(self, now: float) -> None:
        """One timer, at the deadline; guards of the network are stretched to real seconds first."""
        if self._halted:
            return
        row = self.module.row
        scale = self._engine.settings.time_scale
        if scale != 1.0 and row.ota_then == Input.TIMEOUT and row.status in _GUARDED and row.ota_at != self._guard:
            row.ota_at = self._guard = now + (row.ota_at - now) * scale
        at = self.module.deadline
        if row.link == LinkState.OFFLINE and self.done:
            at = inf
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = at
        if at < inf:
            self._timer = self._engine.at(at, self._wake)

    def _wake(self) -> None:
        at, self._timer, self._timer_at = self._timer_at, None, inf
        self._due = self._engine.real(at)
        before = self.module.row.status
        self.deliver(Input.WAKE, max(at, self._engine.now()))
        if self.module.row.status != before:
            self._status_left(before)

    def _status_left(self, before: int) -> None:
        """A timer ended a status, in which an answer was waited for; subclasses know of more."""
        if before == msg.DOWNLOAD_START:
            self._fail("header", failure_reasons.NO_ANSWER)

    def _perform(self, effects: int, now: float) -> None:
        if effects & Effect.ENTERED:
            self._engine.recorder.entered(self.module, now)
            if self.module.row.published == msg.PLAN_RECEIVED:
                self._span_ends("wake")
        if effects & Effect.STOP_FETCH:
            self._stop_fetch()
        if effects & Effect.ACCESS:  # the network under test has a random access of its own
            self.deliver(Input.ACCESSED, now)
        if effects & Effect.CONNECT:
            if isnan(self._scheduled_at):
                self._scheduled_at = self._due
            self._connect()
        if effects & Effect.HELLO:
            self._hello(now)
        if effects & Effect.PUBLISH:
            self._publish_status(now)
        if effects & Effect.FETCH:
            self._begin_fetch(now)
        if effects & Effect.DISCONNECT:
            self._disconnect(now)

    def _report_acknowledged(self, status: int, sent_at: float) -> None:
        """The cloud has a status report that was sent at a time of the engine's clock."""
        engine = self._engine
        self.latencies.add("report", engine.clock() - sent_at)
        self.acknowledged_statuses += 1
        self.acked[status] = engine.now()
        if status == msg.UPDATE_SUCCESS and not isnan(self.module.row.upgraded_s):
            self._span_ends("upgrade")

    def counts(self) -> ModuleCounts:
        """The client's side of the reconciliation."""
        row = self.module.row
        return ModuleCounts(
            connected=not isnan(row.first_contact_s),
            success_acknowledged=msg.UPDATE_SUCCESS in self.acked and not isnan(row.upgraded_s),
            upgraded=not isnan(row.upgraded_s),
            statuses_sent=self.sent_statuses,
            statuses_acknowledged=self.acknowledged_statuses,
        )

    # --- download ------------------------------------------------------------------------------------------------

    def _begin_fetch(self, now: float) -> None:
        row = self.module.row
        self._fetched_bytes, self._fetched_from = 0, self._engine.clock()
        self._engine.recorder.requests(now, 1)
        start = row.offset_bytes + int(row.kept_bytes)
        end = row.offset_bytes + row.piece_bytes
        if self._package is None or not self._package.begin(start):
            start, row.kept_bytes = row.offset_bytes, 0.0
        self._fetch = self._engine.loop.create_task(self._download(start, end))

    async def _download(self, start: int, end: int) -> None:
        """Fetches the piece and tells the module how it went; cancelled when it stops."""
        engine, row = self._engine, self.module.row
        fetch = asyncio.current_task()
        if engine.settings.radio:
            await asyncio.sleep(FETCH_ROUND_TRIPS * row.rtt_s / engine.settings.time_scale)
        asked_at = engine.clock()
        try:
            if self._package is None or not self._package.begin(start):
                raise Broken("the bytes before this piece are gone")
            for url, first, last in self._package.requests(start, end):
                engine.check_url(url)
                ask = Ask(url, first, last, row.index, self._authorization(url), self._tls(url))
                await engine.downloader.get(ask, lambda: self._header(asked_at), self._take)
            if start >= end:  # the last transfer was cut behind its last byte
                self._header(asked_at)
        except Broken as error:
            if self._fetch is fetch:
                self._fetch_broken(error)
            return
        except Exception as error:
            engine.surprised(error)
            if self._fetch is fetch:
                self._fetch_broken(Broken(failure_reasons.of_surprise(error)))
            return
        if self._fetch is fetch:
            self.latencies.add("download", engine.clock() - asked_at)
            self._fetch_done()

    def _header(self, asked_at: float) -> None:
        """The answer begins: the module is told once, and the hazard of losing the session begins to run."""
        engine, row = self._engine, self.module.row
        if row.status != msg.DOWNLOAD_START:
            return
        self._header_at = engine.clock()
        self.latencies.add("header", self._header_at - asked_at)
        now = self._transfer_at = engine.now()
        engine.recorder.transfer_began()
        drop_s = radio.drop_after_s(row, self.module.profile)
        if drop_s < inf:
            engine.at(now + drop_s, lambda fetch=self._fetch: self._drop_of(fetch))  # type: ignore[misc]
        self.deliver(Input.HEADER, now)

    def _drop_of(self, fetch: asyncio.Task[None] | None) -> None:
        if fetch is not None and self._fetch is fetch:
            self._drop()

    def _take(self, chunk: memoryview) -> float:
        """Takes a chunk; with the modelled radio the next one waits until its goodput allows it."""
        engine, row = self._engine, self.module.row
        if self._fetch is None:
            return 0.0  # given up as the answer began
        self._fetched_bytes += len(chunk)
        engine.recorder.bytes_arrived(len(chunk))
        if self._package is not None and not self._package.feed(chunk):
            raise WrongChecksum(f"the {self._package.algorithm} is wrong")
        if not engine.settings.radio:
            return 0.0
        bit_s = row.goodput_bit_s * engine.settings.time_scale
        return self._header_at + 8.0 * self._fetched_bytes / bit_s - engine.clock()

    def _fetch_done(self) -> None:
        engine, row, profile = self._engine, self.module.row, self.module.profile
        self._close_fetch()
        row.received_bytes += self._fetched_bytes
        dice = uniform(profile.key_0, profile.key_1, row.identity, Purpose.CHECKSUM, row.transfers)
        if dice < profile.checksum_error:  # written wrongly on the module's side
            row.cause, row.kept_bytes = Cause.CHECKSUM, 0.0
            self.deliver(Input.BROKEN, engine.now())
        else:
            self.deliver(Input.DONE, engine.now())

    def _fetch_broken(self, error: Broken) -> None:
        row = self.module.row
        self._engine.recorder.broken(error)
        self._fail("download", str(error)[:80])
        self._stop_fetch()
        wrong = isinstance(error, WrongChecksum)
        row.cause = (
            Cause.CHECKSUM if wrong else Cause.SERVER_ERROR if isinstance(error, ServerRefused) else Cause.SERVER_BUSY
        )
        if wrong:
            row.kept_bytes = 0.0
        self.deliver(Input.BROKEN, self._engine.now())

    def _stop_fetch(self) -> None:
        """The transfer under way, if any, ends here; what arrived is kept only by modules that can resume."""
        fetch = self._fetch
        if fetch is None:
            return
        row = self.module.row
        self._close_fetch()
        if fetch is not asyncio.current_task():
            fetch.cancel()
        row.received_bytes += self._fetched_bytes
        row.kept_bytes = row.kept_bytes + self._fetched_bytes if self.module.profile.resume_download else 0.0

    def _close_fetch(self) -> None:
        self._fetch = None
        if not isnan(self._transfer_at):
            since, self._transfer_at = self._transfer_at, NAN
            self._engine.recorder.transfer_ended(since, self._engine.now(), self._fetched_bytes)
