"""Kinds of clouds: two of our own, those of installed packages, and nothing else; a third kind runs without a change here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sim.cli.common import app
from sim.cloud_kinds import registry
from sim.cloud_kinds.adapter import CloudAdapter, VirtualBehaviour
from sim.engines.live.live_cloud import live_side
from sim.engines.reference.simpy_engine import SimpyEngine
from sim.engines.world.build import build
from sim.errors import FotasimError, InputError, ScenarioError
from tests.conformance.test_engines import both
from tests.support import HARMLESS, scenario

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "http_poll_cloud"
ALWAYS = (
    *HARMLESS, "fleet.size=1", "fleet.groups.0.power=mains", "fleet.groups.0.check_in=always", "horizon=1d",
    "fleet.groups.0.battery={}",
)  # fmt: skip


@pytest.fixture
def third_kind(tmp_path, monkeypatch):
    """The example's package, built and importable as it is installed: from its wheel."""
    build_it = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build_it, str(tmp_path)], cwd=EXAMPLE, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with _on_path(monkeypatch, wheel):
        yield "http-poll"


def package(folder: Path, name: str, source: str, **points: str) -> None:
    """An installed package with one module of its name and these entry points."""
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = "".join(f"{kind.replace('_', '-')} = {target}\n" for kind, target in points.items())
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{lines}")


class _on_path:
    def __init__(self, monkeypatch, place: Path):
        self.monkeypatch, self.place, self.before = monkeypatch, str(place), set(sys.modules)

    def __enter__(self):
        self.monkeypatch.syspath_prepend(self.place)

    def __exit__(self, *_: object):
        registry._loaded.cache_clear()
        for name in set(sys.modules) - self.before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(self.place):
                del sys.modules[name]


GOOD = """
from sim.cloud_kinds.developer_center import DeveloperCenter
class Own(DeveloperCenter):
    title = "Own"
ADAPTER = Own()
"""


def requests_of(*overrides: str) -> int:
    """All requests the cloud served to the one module."""
    engine = SimpyEngine(build(scenario(*ALWAYS, *overrides)))
    assert engine.run() and engine.modules[0].upgraded_s < inf
    return engine.modules[0].messages


def test_a_third_kind_needs_fewer_requests_than_ddi(third_kind):
    """No deployment to read (1) and no attributes to tell, at first and after the upgrade (2): three requests fewer.

    The same module, the same polls: both poll every hour without jitter.
    """
    same = "plan.strategy.delivery.polling_time=1h~1%"
    assert requests_of("cloud.kind=ddi", same) - requests_of(f"cloud.kind={third_kind}", same) == 3


def test_a_third_kind_leaves_the_same_records_on_both_engines(third_kind):
    both(scenario(f"cloud.kind={third_kind}", "fleet.size=60", "plan.strategy.rollout.maximum_per_minute=5"))


def test_its_figures_reach_the_world(third_kind):
    """An hour between polls, half a round trip back, and no retries of the cloud, whatever the plan says."""
    world = build(scenario(f"cloud.kind={third_kind}", "plan.strategy.retry={number_of_retries: 3}"))
    profile, settings = world.fleet.profiles[0], world.plan.settings
    assert (profile.sleep_s, profile.sleep_jitter, profile.registration_s) == (3600.0, 0.1, 0.0)
    assert (settings.polled, settings.need_push, settings.retries) == (1, 0, 0)
    assert world.talk_costs == {
        "login_round_trips": 0, "hello_requests": 0, "round_trips_there": 2.5, "round_trips_back": 0.5, "reads_document": 0,
        "tells_attributes": 0, "serves_files": 1,
    }  # fmt: skip


def test_what_it_cannot_represent_is_refused(third_kind):
    with pytest.raises(ScenarioError, match=r"cloud\.kind http-poll: it asks nobody; leave out delivery\.confirmation"):
        scenario(f"cloud.kind={third_kind}", "plan.strategy.delivery.confirmation=user")
    with pytest.raises(ScenarioError, match=r"a cloud of kind http-poll has no URL"):
        scenario(f"cloud={{kind: {third_kind}, url: 'http://127.0.0.1:1'}}")
    with pytest.raises(ScenarioError, match=r"a cloud of kind http-poll has none: leave it out"):
        scenario(f"cloud={{kind: {third_kind}, server: hawkbit}}")


def test_a_kind_without_a_live_side_says_so(third_kind):
    with pytest.raises(FotasimError, match=r"cloud\.kind http-poll: this kind of cloud is simulated only"):
        live_side(third_kind)


def test_doctor_lists_every_kind(third_kind):
    shown = CliRunner().invoke(app, ["doctor", "--json"]).stdout
    rows = {row["kind"]: row for row in json.loads(shown)["clouds"]}
    assert list(rows)[:2] == ["simulated", "ddi"] and rows["ddi"]["origin"] == "fotasim"
    assert rows[third_kind] == {
        "kind": "http-poll", "title": "Plain HTTP poll", "origin": "http-poll-cloud 1.0.0", "trouble": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["nothing", "os", "sim.errors:FotasimError", "http-poll", "../x", "Simulated", "x" * 33]
)
def test_a_scenario_names_what_is_installed_and_can_load_nothing_else(kind):
    before = set(sys.modules)
    with pytest.raises(ScenarioError, match=r"cloud\.kind") as caught:
        scenario(f"cloud={{kind: '{kind}'}}")
    assert not set(sys.modules) - before - {"zipimport"}
    if re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", kind):
        assert "installed are simulated, ddi (fotasim doctor lists them)" in str(caught.value)


def test_only_the_kind_that_is_named_is_loaded(tmp_path, monkeypatch):
    package(tmp_path, "fine_cloud", GOOD, fine="fine_cloud:ADAPTER")
    package(tmp_path, "other_cloud", "raise SystemError('loaded')", other="other_cloud:ADAPTER")
    with _on_path(monkeypatch, tmp_path):
        assert scenario("cloud.kind=fine").cloud.adapter.title == "Own"
        assert "fine_cloud" in sys.modules and "other_cloud" not in sys.modules


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise OSError('no licence')", "broken_cloud 1.0: broken_cloud:ADAPTER is no usable adapter: no licence"),
        ("ADAPTER = 7", "it is without title, servers, takes_url"),
        (GOOD.replace('title = "Own"', "def behaviour(self, server): return {}"), "no VirtualBehaviour"),
        (
            GOOD.replace(
                'title = "Own"',
                "def behaviour(self, server):\n"
                "        from dataclasses import replace\n"
                "        return replace(super().behaviour(server), fixed_settings={'retires': 1, 'polled': 0})",
            ),
            "no setting of a plan is called polled, retires",
        ),
    ],
)
def test_an_adapter_that_cannot_be_used_is_refused_with_its_package(tmp_path, monkeypatch, source, reason):
    package(tmp_path, "broken_cloud", source, broken="broken_cloud:ADAPTER")
    with _on_path(monkeypatch, tmp_path):
        with pytest.raises(InputError, match=re.escape(reason)):
            registry.adapter_of("broken")
        with pytest.raises(ScenarioError, match=r"cloud\.kind"):
            scenario("cloud.kind=broken")
        (row,) = [row for row in registry.installed() if row.kind == "broken"]
        assert reason in row.trouble


def test_two_packages_with_one_name_and_one_that_takes_ours(tmp_path, monkeypatch):
    package(tmp_path, "one_cloud", GOOD, twice="one_cloud:ADAPTER", ddi="one_cloud:ADAPTER")
    package(tmp_path, "two_cloud", GOOD, twice="two_cloud:ADAPTER")
    with _on_path(monkeypatch, tmp_path):
        with pytest.raises(InputError, match=r"claimed by one_cloud 1\.0 and two_cloud 1\.0: uninstall all but one"):
            registry.adapter_of("twice")
        assert registry.adapter_of("ddi") is registry.OWN["ddi"]
        assert [row.trouble for row in registry.installed() if row.kind == "ddi"] == [
            "", "the name is taken by fotasim's own; this one is never used",
        ]  # fmt: skip


def test_our_own_kinds_satisfy_what_is_asked_of_others():
    for adapter in registry.OWN.values():
        registry._check(adapter)


def test_a_flavour_with_a_wrong_setting_is_found():
    """Each flavour is looked at, not the first alone."""

    class Flavoured(CloudAdapter):
        title, servers = "F", ("good", "bad")

        def behaviour(self, server):
            plain = VirtualBehaviour(steps=())
            return replace(plain, fixed_settings={"no_such": 1}) if server == "bad" else plain

    with pytest.raises(TypeError, match=r"no_such"):
        registry._check(Flavoured())


def test_nobody_else_asks_which_kind_it_is():
    """Comparisons with a kind or a flavour stand in the adapters and in the rooms that speak that protocol alone."""
    asks = re.compile(
        r"""(cloud\.kind|\.server)\s*[!=]=\s*["']|\bkind\s*[!=]=\s*["'](ddi|hawkbit|goosebit)["']|is_ddi|isinstance\([^)]*Ddi"""
    )
    rooms = ("sim/cloud_kinds/", "sim/engines/live/ddi/", "sim/wire/ddi/")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in sorted((ROOT / "sim").rglob("*.py"))
        if not str(path.relative_to(ROOT)).startswith(rooms)
        for line in path.read_text().splitlines()
        if asks.search(line)
    ]
    assert found == []
