"""`Module`: one virtual module for the Python engines, a row with its behaviour, versions and words around it."""

from __future__ import annotations

from sim import messages as msg
from sim.module import battery, behaviour, link_states, states
from sim.module.inputs import Effect, Input
from sim.module.profile import Profile
from sim.module.rows import ModuleRow

INPUTS: dict[type, int] = {msg.Install: Input.UPDATE, msg.Cancel: Input.CANCEL, msg.Revoked: Input.REVOKED}
"""Messages that carry nothing, as inputs."""


class Module:
    """A module as the drivers hold it: deliver inputs, perform the effects, arm one timer at `deadline`."""

    __slots__ = (
        "callback_form",
        "components",
        "name",
        "notice",
        "previous",
        "profile",
        "row",
        "targets",
        "url",
        "versions",
    )

    def __init__(
        self, name: str, row: ModuleRow, profile: Profile, versions: dict[str, str],
        callback_form: msg.CallbackForm = msg.CallbackForm.DOCUMENT,
    ) -> None:  # fmt: skip
        self.callback_form = callback_form
        self.name = name
        self.row = row
        self.profile = profile
        self.versions = versions
        self.components: tuple[str, ...] = ()
        self.targets: tuple[str, ...] = ()
        self.previous: dict[str, str] = {}
        self.notice: msg.Notice | None = None
        self.url: msg.FirmwareUrl | None = None

    @property
    def deadline(self) -> float:
        """When the module wants `wake`, seconds, or inf."""
        return behaviour.deadline(self.row)

    @property
    def state(self) -> int:
        """The OTA status, 0-12."""
        return self.row.status

    def receive(self, input_: int | msg.ToModule, now: float) -> int:
        """Delivers an input or a message and returns the effects; what the state refuses changes nothing."""
        if not isinstance(input_, int):
            return self._receive_message(input_, now)
        before = self.row.at_target
        effects = behaviour.receive(self.row, self.profile, input_, now)
        if self.row.link < 0:
            raise link_states.refused(self.name, self.row.link)
        if self.row.at_target != before:
            self._versions_changed(before)
        return effects

    def _receive_message(self, message: msg.ToModule, now: float) -> int:
        if isinstance(message, msg.Notice):
            return self._receive_notice(message, now)
        if isinstance(message, msg.FirmwareUrl):
            return self._receive_url(message, now)
        return self.receive(INPUTS[type(message)], now)

    def _versions_changed(self, before: int) -> None:
        """Keeps the reported versions in step with what runs."""
        for i, name in enumerate(self.components):
            bit = 1 << i
            if self.row.at_target & bit and not before & bit:
                self.previous[name] = self.versions.get(name, "")
                self.versions[name] = self.targets[i]
            elif before & bit and not self.row.at_target & bit:
                self.versions[name] = self.targets[i] if self.row.reverting else self.previous.get(name, "")

    def hello(self, now: float) -> msg.Hello:
        """What the module reports on connecting: gauge, signal, free flash and versions."""
        row = self.row
        gauge = battery.gauge_percent(row, self.profile, now)
        return msg.Hello(gauge, row.rsrp_dbm, row.free_bytes, dict(self.versions), level=row.level)

    def report(self) -> msg.StatusReport:
        """The status to publish now; 11 and 12 carry the running version."""
        row = self.row
        version = ""
        if row.published in (msg.UPDATE_SUCCESS, msg.UPDATE_ERROR) and self.components:
            version = self.versions.get(self.components[row.component], "")
        return msg.StatusReport(row.published, row.component, version)

    def callbacks(self) -> tuple[str, ...]:
        """The callback strings of the status just entered, as `Ql_iotEventCB` gets them."""
        row = self.row
        if row.event == 0:
            return ()
        if row.event == msg.TASK_NOTIFY and self.notice is not None:
            return tuple(msg.notify_callback(c) for c in self.notice.components)
        name = self.components[row.component] if self.components else ""
        if row.event == msg.START and self.url is not None:
            return (msg.start_callback(name, self.url, self.callback_form),)
        if row.event == msg.DOWNLOAD_COMPLETE:
            sizes = row.package_bytes, row.offset_bytes, row.piece_bytes
            return (msg.downloaded_callback(name, row.kind, *sizes, form=self.callback_form),)
        return (msg.bare_callback(row.event),)

    def _receive_notice(self, notice: msg.Notice, now: float) -> int:
        first = notice.components[0]
        row = self.row
        if states.next_status(row.status, Input.NOTICE) < 0:
            return Effect.REFUSED_INPUT
        self.notice = notice
        self.components = tuple(c.component for c in notice.components)
        self.targets = tuple(c.target_version for c in notice.components)
        row.min_battery_percent = float(first.min_battery_percent)
        row.min_rsrp_dbm = float(first.min_rsrp_dbm)
        row.needed_bytes = max(c.needed_bytes for c in notice.components)
        return behaviour.receive(row, self.profile, Input.NOTICE, now)

    def _receive_url(self, url: msg.FirmwareUrl, now: float) -> int:
        row = self.row
        if states.next_status(row.status, Input.URL) < 0:
            return Effect.REFUSED_INPUT
        self.url = url
        row.component = url.component
        row.kind = url.kind
        row.package_bytes = url.size_bytes
        row.hold, row.reverting = int(url.hold), int(url.reverting)
        return behaviour.receive(row, self.profile, Input.URL, now)
