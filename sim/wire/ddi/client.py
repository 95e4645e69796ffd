"""A DDI device as a machine: what to ask next and when, what the answers mean. Knows neither sockets nor clocks.

The owner sends `request(now)` when `deadline` is due, gives back `receive(...)` or `failed(now)`, and acts on the events.
One request is under way at a time, feedback goes before polls, and nothing is lost: what a server cannot take now
(no answer, 429, 5xx) is sent again after a wait that doubles and is drawn, so that a fleet does not come back at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any
from urllib.parse import quote, urlsplit

from sim.wire.ddi import documents as doc

OK, NOT_MODIFIED, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, GONE, TOO_MANY = 200, 304, 401, 403, 404, 410, 429
POLL_JITTER = 0.1
"""Polls are drawn within ± this share of the server's sleep."""
SHORTEST_SLEEP_S = 1.0
FIRST_SLEEP_S = 60.0
"""Until a server has named its own sleep."""
BACK_OFF_S, LONGEST_BACK_OFF_S = 5.0, 900.0
LONGEST_RETRY_AFTER_S = 86400.0


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. `what` is its kind; `tag` is the owner's, for feedback."""

    what: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    tag: Any = None
    final: bool = False
    """Feedback with which the server closes the action."""


@dataclass(frozen=True, slots=True)
class Polled:
    """The server answered a poll; `links` names what it wants."""

    links: frozenset[str]


@dataclass(frozen=True, slots=True)
class Offered:
    """An action to carry out; repeated at each poll as long as the server wants it, `changed` when it says anew how."""

    deployment: doc.Deployment
    changed: bool


@dataclass(frozen=True, slots=True)
class ConfirmationAsked:
    """An action the device has to confirm or deny before it gets it."""

    deployment: doc.Deployment
    changed: bool


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """The server asks to stop an action; answered with `Client.cancel_feedback`."""

    cancel: str
    stop: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The server has the feedback with this tag.

    `doubtful`: its first answer got lost, and to the repeat the server said that the action is closed. Most likely by this
    very feedback; it may have been closed by somebody else in between.
    """

    tag: Any
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """The server does not know the action any more (410), or not yet or never did (404): stop working on it."""

    action: str
    status: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The server refuses a request for good, or will not let the device in (401, 403; the request is sent again).

    With status NOT_ASKED nothing was sent: the link leads to another server, which the credentials are not for.
    `tag` is that of the feedback which is thereby spent.
    """

    what: str
    status: int
    tag: Any = None


NOT_ASKED = 0
Event = Polled | Offered | ConfirmationAsked | CancelAsked | Acknowledged | Closed | Refused


class Client:
    """One controller at one server. `unit(n)` gives the n-th number of its own in [0, 1), for waits."""

    __slots__ = (
        "_asked", "_asleep", "_attributes", "_authorization", "_busy", "_documents", "_draws", "_etag", "_failures", "_maybe_taken",
        "_not_before", "_queue", "_sent_attributes", "_unit", "_unsure", "_url", "base", "poll_at",
    )  # fmt: skip

    def __init__(
        self, server: str, tenant: str, controller: str, authorization: str, attributes: Mapping[str, str],
        unit: Callable[[int], float],
    ) -> None:  # fmt: skip
        self._url = f"{server.rstrip('/')}/{quote(tenant, safe='')}/controller/v1/{quote(controller, safe='')}"
        self._authorization = authorization
        self._attributes = dict(attributes)
        self._sent_attributes: dict[str, str] | None = None
        self._unit = unit
        self._draws = self._failures = 0
        self._asleep = True
        self._unsure = False
        self._maybe_taken = False  # the first of the queue was sent and its answer got lost
        self._not_before = -inf
        self._etag = ""
        self._documents: dict[str, tuple[str, doc.Deployment | None]] = {}  # by kind: the href it was read from
        self._queue: deque[Request] = deque()
        self._asked: set[str] = set()  # hrefs of documents that are in the queue
        self._busy: Request | None = None
        self.base: doc.Base | None = None
        self.poll_at = inf

    # --- what the owner wants ----------------------------------------------------------------------------------------

    def poll(self, now: float) -> None:
        """Polls as soon as allowed: never before the end of a wait that errors have caused."""
        self._asleep, self.poll_at = False, now

    def pause(self) -> None:
        """No more polls until `poll`: the device sleeps. Feedback stays queued."""
        self._asleep, self.poll_at = True, inf

    def abandon(self) -> None:
        """The request under way will never be answered: its connection is gone with the radio. It is sent again."""
        request, self._busy = self._busy, None
        self._maybe_taken |= request is not None and request.what != "poll"
        if request is not None and request.what == "poll":
            self._etag = ""

    def report(
        self, action: str, feedback: doc.Feedback, timestamp_ms: int, tag: Any = None, *, final: bool = False
    ) -> None:
        """Feedback on an action, in order; `final` when the server closes the action with it, as with every `closed`."""
        final = final or feedback.execution == "closed"
        path = f"deploymentBase/{quote(action, safe='')}/feedback"
        self._post(path, feedback.body(timestamp_ms), "feedback", (action, tag), final=final)

    def confirm(self, action: str, confirmed: bool, code: int, details: tuple[str, ...], tag: Any = None) -> None:
        """Confirms or denies an action that waits for it."""
        body = doc.confirmation(confirmed, code, details)
        self._post(f"confirmationBase/{quote(action, safe='')}/feedback", body, "confirmation", (action, tag))

    def cancel_feedback(
        self, cancel: str, accepted: bool, timestamp_ms: int, details: tuple[str, ...] = (), tag: Any = None
    ) -> None:
        """The answer to a cancelAction. Accepted is closed with success; `canceled` would only be a warning there."""
        feedback = (
            doc.Feedback("closed", "success", 200, details)
            if accepted
            else doc.Feedback("rejected", "none", 409, details)
        )
        path = f"cancelAction/{quote(cancel, safe='')}/feedback"
        self._post(path, feedback.body(timestamp_ms), "cancel", (cancel, tag), final=accepted)

    def distrust(self) -> None:
        """What a deployment announced turned out wrong: it is read again once its link changes at all."""
        self._unsure = True

    def describe(self, attributes: Mapping[str, str]) -> None:
        """The device's attributes from now on; changes of what the server knows are told at once, before other reports."""
        self._attributes = dict(attributes)
        if self._sent_attributes not in (None, self._attributes):
            self._tell_attributes(f"{self._url}/configData")

    def _tell_attributes(self, url: str) -> None:
        self._sent_attributes = dict(self._attributes)
        self._send("PUT", url, doc.attributes(self._attributes), "configData")

    # --- sending -----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether something is under way or queued."""
        return self._busy is not None or bool(self._queue)

    @property
    def retry_at(self) -> float:
        """End of the wait that errors have caused; -inf when the last request was answered."""
        return self._not_before

    @property
    def deadline(self) -> float:
        """When `request` has something to send; inf while a request is under way."""
        if self._busy is not None:
            return inf
        return self._not_before if self._queue else max(self.poll_at, self._not_before)

    def request(self, now: float) -> Request | None:
        """The next request, if one is due."""
        if self.deadline > now:
            return None
        if self._queue:
            self._busy = self._queue[0]
        else:
            self.poll_at = inf
            etag = (("If-None-Match", self._etag),) if self._etag else ()
            self._busy = Request("poll", "GET", self._url, (*self._headers(), *etag))
        return self._busy

    def _headers(self) -> tuple[tuple[str, str], ...]:
        headers = (("Accept", "application/hal+json, application/json"),)
        return (*headers, ("Authorization", self._authorization)) if self._authorization else headers

    def _post(self, path: str, body: bytes, what: str, tag: Any, *, final: bool = False) -> None:
        self._send("POST", f"{self._url}/{path}", body, what, tag, final=final)

    def _send(self, method: str, url: str, body: bytes, what: str, tag: Any = None, *, final: bool = False) -> None:
        headers = (*self._headers(), ("Content-Type", "application/json")) if body else self._headers()
        self._queue.append(Request(what, method, url, headers, body, tag, final))

    # --- receiving ---------------------------------------------------------------------------------------------------

    def failed(self, now: float, retry_after_s: float = 0.0, *, refused: bool = False) -> None:
        """No answer, or none that helps: the same again, later. Unless `refused`, the server may have acted on it."""
        request, self._busy = self._busy, None
        self._maybe_taken |= not refused and request is not None and request.what != "poll"
        self._failures += 1
        window = self._first_wait_s(request) * 2.0 ** min(self._failures - 1, 20)
        window = min(window, max(LONGEST_BACK_OFF_S, self._first_wait_s(request)))
        self._not_before = now + retry_after_s + window * (0.5 + 0.5 * self._draw())
        if request is not None and request.what == "poll" and not self._asleep:
            self.poll_at = min(self.poll_at, self._not_before)

    def _first_wait_s(self, request: Request | None) -> float:
        """Polls wait at least the server's own sleep (half of this), so that a fleet asks no more when it is down."""
        if request is None or request.what != "poll" or self.base is None:
            return BACK_OFF_S
        return max(BACK_OFF_S, 2.0 * self.base.sleep_s)

    def receive(self, status: int, headers: Mapping[str, str], body: bytes, now: float) -> list[Event]:
        """What an answer means. Names of `headers` are in lower case. RemoteProtocolError when it breaks the format.

        After an error the machine goes on: the request is spent, the next poll comes at its time.
        """
        request = self._busy
        assert request is not None, "nothing was asked"
        if status == TOO_MANY or status >= 500:
            self.failed(now, _retry_after_s(headers), refused=status == TOO_MANY)
            return []
        if status in (UNAUTHORIZED, FORBIDDEN):
            self._failures += 4  # credentials rarely heal within seconds
            self.failed(now, refused=True)
            return [Refused(request.what, status)]
        self._busy, self._failures, self._not_before = None, 0, -inf
        if request.what == "poll":
            try:
                return self._polled(status, headers, body)
            finally:
                self._sleep(now)  # as the answer says, or as the last good one did
        self._queue.popleft()
        self._asked.discard(request.url)
        repeated, self._maybe_taken = self._maybe_taken, False
        if request.method == "GET":
            return self._read(request, status, body)
        return self._sent(request, status, repeated=repeated)

    def _sleep(self, now: float) -> None:
        if self._asleep:
            return
        sleep_s = max(self.base.sleep_s, SHORTEST_SLEEP_S) if self.base is not None else FIRST_SLEEP_S
        self.poll_at = now + sleep_s * (1.0 + POLL_JITTER * (2.0 * self._draw() - 1.0))

    def _draw(self) -> float:
        self._draws += 1
        return self._unit(self._draws)

    def _polled(self, status: int, headers: Mapping[str, str], body: bytes) -> list[Event]:
        if status == NOT_MODIFIED and self.base is not None:
            return self._wanted(self.base)
        if status != OK:
            return [Refused("poll", status)]
        self.base, self._etag = doc.read_base(body, self._url), headers.get("etag", "")
        return self._wanted(self.base)

    def _wanted(self, base: doc.Base) -> list[Event]:
        """Acts on the links of a poll."""
        links = base.links
        events: list[Event] = [Polled(frozenset(links))]
        changed = self._sent_attributes is not None and self._sent_attributes != self._attributes
        if "configData" in links or changed:
            url = links.get("configData", f"{self._url}/configData")
            if self._at_home(url):
                self._tell_attributes(url)
            else:
                events.append(Refused("configData", NOT_ASKED))
        for kind in ("cancelAction", "confirmationBase", "deploymentBase"):
            href = links.get(kind)
            if href is None:
                self._documents.pop(kind, None)
                continue
            read_before = self._documents.get(kind)
            if (
                read_before is not None
                and read_before[1] is not None
                and (
                    read_before[0] == href or (not self._unsure and _still_holds(read_before[0], read_before[1], href))
                )
            ):
                events.append(_offer(kind, read_before[1], False))
            elif not self._at_home(href):
                events.append(Refused(kind, NOT_ASKED))
            elif href not in self._asked:
                self._asked.add(href)
                self._send("GET", href, b"", kind)
        return events

    def _at_home(self, url: str) -> bool:
        """Links lead to the server that gave them; the credentials go nowhere else."""
        return same_origin(url, self._url)

    def _read(self, request: Request, status: int, body: bytes) -> list[Event]:
        if status != OK:
            action = urlsplit(request.url).path.rsplit("/", 1)[-1]
            return [Closed(action, status)] if status in (NOT_FOUND, GONE) else [Refused(request.what, status)]
        if request.what == "cancelAction":
            return [CancelAsked(*doc.read_cancel(body))]
        key = request.what.removesuffix("Base")
        deployment = doc.read_deployment(body, request.url, key)
        self._documents[request.what] = (request.url, deployment)
        self._unsure = False
        return [] if deployment is None else [_offer(request.what, deployment, True)]

    def _sent(self, request: Request, status: int, *, repeated: bool) -> list[Event]:
        if request.what == "configData":
            if status >= 300:
                self._sent_attributes = None
                return [Refused("configData", status)]
            return []
        action, tag = request.tag
        if status < 300:
            self._etag = ""  # what was reported may change what the server wants
            return [Acknowledged(tag)]
        if status == GONE and repeated and request.final:
            self._forget(action)
            return [Acknowledged(tag, doubtful=True)]
        if status in (NOT_FOUND, GONE):
            self._forget(action)
            return [Closed(action, status)]
        return [Refused(request.what, status, tag)]

    def _forget(self, action: str) -> None:
        """Feedback on a closed action would only be refused again."""
        self._queue = deque(r for r in self._queue if r.tag is None or r.tag[0] != action)
        self._documents.clear()
        self._etag = ""


def _still_holds(read: str, deployment: doc.Deployment, href: str) -> bool:
    """Whether a deployment need not be read again, though the query of its link may have changed.

    There stands a revision that every feedback changes. Only what is left to a user, or waits for a window, can turn into
    something else.
    """
    settled = deployment.forced and not deployment.hold and not deployment.window
    return read == href or (settled and urlsplit(read)._replace(query="") == urlsplit(href)._replace(query=""))


def _offer(kind: str, deployment: doc.Deployment, changed: bool) -> Event:
    return Offered(deployment, changed) if kind == "deploymentBase" else ConfirmationAsked(deployment, changed)


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs lead to the same scheme, host and port."""
    a, b = urlsplit(one), urlsplit(other)
    try:
        return (a.scheme, a.hostname, a.port or _PORT.get(a.scheme)) == (
            b.scheme,
            b.hostname,
            b.port or _PORT.get(b.scheme),
        )
    except ValueError:
        return False


_PORT = {"http": 80, "https": 443}


def _retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds of Retry-After, within reason; a date counts as not given."""
    text = headers.get("retry-after", "").strip()
    return min(float(text), LONGEST_RETRY_AFTER_S) if text.isdigit() and len(text) < 10 else 0.0


__all__ = ["Acknowledged", "CancelAsked", "Client", "Closed", "ConfirmationAsked", "Event", "Offered", "Polled", "Refused",
           "Request", "same_origin"]  # fmt: skip
