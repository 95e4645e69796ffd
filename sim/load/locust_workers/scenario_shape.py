"""`ScenarioShape`: a Locust load shape from a scenario, for any locustfile. The gevent side; asyncio never runs beside it."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any, ClassVar

from locust import LoadTestShape, events

from sim.load.start_curve import Curve


class CurveShape(LoadTestShape):
    """Users begin as a curve says. Locust's users, spawn rate and run time count: how many, how fast at most, how long.

    Without a number of users all modules of the curve begin.
    """

    abstract = True
    use_common_options = True

    def __init__(self, whole: Curve) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._whole = whole
        self._curves: dict[tuple[int, float], Curve] = {}
        self._told = (0, 1.0)

    @classmethod
    def load(cls, path: Path) -> CurveShape:
        """The shape of a saved curve."""
        return cls(Curve.load(path))

    def reset_time(self) -> None:
        """A test begins."""
        super().reset_time()  # type: ignore[no-untyped-call]
        self._told = (0, 1.0)

    def at(self, seconds: float, users: int | None = None, most_per_s: float | None = None) -> int:
        """Users that have begun after so many seconds; at least one, as Locust wants it."""
        asked = (users or len(self._whole.begins_s), most_per_s or inf)
        if asked not in self._curves:
            self._curves = {asked: self._whole.of(*asked)}
        return max(1, self._curves[asked].modules(seconds))

    def tick(self) -> tuple[int, float] | None:
        """See LoadTestShape: users, and a rate at which they all begin now."""
        options = getattr(self.runner and self.runner.environment, "parsed_options", None)
        seconds: float = self.get_run_time()  # type: ignore[no-untyped-call]
        run_time_s = getattr(options, "run_time", None)
        if run_time_s and seconds >= run_time_s:
            return None
        users = self.at(seconds, getattr(options, "num_users", None), getattr(options, "spawn_rate", None))
        if users != self._told[0]:
            self._told = (users, float(max(1, users - self._told[0])))
        return self._told


class ScenarioShape(CurveShape):
    """Subclass it in a locustfile and set `scenario` and `shape`, one of sim.load.load_shape.SHAPES.

    `time_scale` shortens the curve as it does the modules' waits: set it as for `ModuleUser`.
    """

    abstract = True
    scenario: ClassVar[str] = ""
    shape: ClassVar[str] = "check-in"
    time_scale: ClassVar[float] = 1.0

    def __init__(self) -> None:
        from sim.load.load_shape import curve
        from sim.scenario import Scenario

        super().__init__(curve(Scenario.load(Path(self.scenario)), self.shape, self.time_scale))
        events.init.add_listener(self._all_unless_asked)  # type: ignore[no-untyped-call]

    def _all_unless_asked(self, environment: Any, **_: Any) -> None:
        """Without a number of users Locust would take one, and one a second."""
        options = environment.parsed_options
        if options is not None and environment.shape_class is self:
            everybody = len(self._whole.begins_s)
            options.num_users = options.num_users or everybody
            options.spawn_rate = options.spawn_rate or float(everybody)


__all__ = ["CurveShape", "ScenarioShape"]
