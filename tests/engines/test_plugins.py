"""Plug-ins: the example package as it is installed, each kind by value; nothing of a scenario runs that was not allowed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from math import inf
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sim import plugins
from sim.cli import app
from sim.cloud.execution import is_terminal
from sim.engines.reference.plugged_engine import PluggedEngine
from sim.engines.run import simulate
from sim.engines.world.build import build
from sim.errors import InputError, PluginError, ScenarioError
from sim.scenario import Scenario
from sim.stats.intervals import share_interval
from sim.study.replicate import replicate
from sim.study.sweep import sweep
from tests.support import HARMLESS, scenario

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rollout_rules"
ALWAYS = (*HARMLESS, "fleet.size=40", "fleet.groups.0.power=mains", "fleet.groups.0.battery={}", "horizon=1d")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The example's package as it is installed: its wheel, unpacked."""
    folder = tmp_path_factory.mktemp("site")
    build_it = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build_it, str(folder)], cwd=EXAMPLE, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as parts:
        parts.extractall(folder)
    return folder


def fotasim(site: Path, cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """The command, with the package installed."""
    env = {**os.environ, "PYTHONPATH": f"{Path.cwd()}{os.pathsep}{site}"}
    env.pop(plugins.ALLOW, None)
    return subprocess.run(
        [sys.executable, "-m", "sim.cli", *map(str, words)], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_the_example_package_runs_is_named_and_is_verified(site, tmp_path):
    """One plug-in of each kind: permission, the run, page and manifest, and a report that runs no code of theirs."""
    given = EXAMPLE / "scenario.yaml"
    refused = fotasim(site, tmp_path, "run", given, "--out", "out")
    assert refused.returncode == 2 and "add --allow-plugins" in refused.stderr and not (tmp_path / "out").exists()
    ran = fotasim(site, tmp_path, "run", given, "--out", "out", "--allow-plugins")
    assert ran.returncode in (0, 1, 4), ran.stderr
    assert (
        "SimPy runs this one: the compiled engine cannot call plug-in region-stop, office-hours, once-a-day"
        in ran.stderr
    )
    manifest, summary = (
        json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("manifest", "summary")
    )
    sha256 = hashlib.sha256((EXAMPLE / "rollout_rules.py").read_bytes()).hexdigest()
    assert {(x["package"], x["sha256"]) for x in manifest["plugins"]} == {("rollout-rules 1.0.0", sha256)}
    assert [x["name"] for x in manifest["plugins"]] == [x["name"] for x in summary["plugins"]]
    assert summary["plugins"][5]["classes"].keys() <= {"none", "wait", "send a technician"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Plug-ins took part:" in page and sha256 in page and "Modules that run the new version, by region." in page
    without = tmp_path / "nothing"
    without.mkdir()
    told = fotasim(without, tmp_path, "report", "out", "--format", "md,json")
    assert told.returncode == ran.returncode, told.stderr
    assert "weak-lost-gate" in (tmp_path / "out" / "report.md").read_text()
    assert fotasim(without, tmp_path, "verify", "out").returncode == 0
    assert fotasim(site, tmp_path, "verify", "out", "--repeat").returncode == 2
    assert fotasim(site, tmp_path, "verify", "out", "--repeat", "--allow-plugins").returncode == 0


@pytest.mark.parametrize(
    "words",
    ["live {}", "sweep {} --vary seed=1,2", "tune {} --vary horizon=1d:2d --minimise failed", "capacity {}",
     "publish {} --cloud http://127.0.0.1:9", "cloud --scenario {}"],
)  # fmt: skip
def test_commands_that_do_not_follow_plugins_refuse_them(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words.format(EXAMPLE / "scenario.yaml").split())
    assert "only simulated runs (fotasim run) call plug-ins" in f"{done.exception}", done.output


# --- by value, in this process ---------------------------------------------------------------------------------------


@pytest.fixture
def rules(tmp_path, monkeypatch):
    """Writes a module `own_rules` that a scenario may name."""

    def write(source: str) -> Path:
        (tmp_path / "own_rules.py").write_text(textwrap.dedent(source))
        sys.modules.pop("own_rules", None)
        return tmp_path / "own_rules.py"

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(plugins.ALLOW, "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield write
    sys.modules.pop("own_rules", None)


def plugged(kind: str, *further: str, entry: str = "", overrides: tuple[str, ...] = ALWAYS) -> Scenario:
    """The base scenario with one plug-in, `own_rules:own`."""
    return scenario(*overrides, *further, f"plugins=[{{name: own, kind: {kind}, python: 'own_rules:own'{entry}}}]")


def test_a_criterion_is_asked_at_activation_and_then_every_so_often_until_it_fires(rules):
    """Asked at 0, 1 h, 2 h with the plan's counts; it fires once, and its decision names it."""
    rules("""
        asked = []
        def own(plan, after_h):
            asked.append((plan.now_s, plan.counts.targets))
            return "pause" if plan.now_s >= after_h * 3600 else None
        """)
    outcome = simulate(plugged("abort-criterion", entry=", every: 1h, options: {after_h: 2}"))
    from own_rules import asked

    assert asked == [(0.0, 40), (3600.0, 40), (7200.0, 40)]
    decisions = outcome.records.decisions
    fired = decisions[decisions["decision"] == "criterion_fired"]
    assert list(fired["time_s"]) == [7200.0] and list(fired["detail"]) == ["plug-in own: pause"]
    assert list(decisions[decisions["decision"] == "paused"]["time_s"]) == [7200.0]
    assert outcome.summary["verdict"] == "stopped" and "plug-in own" in outcome.summary["stopped"][0]["why"]


def test_a_plan_knows_its_counts_by_label_and_by_group(rules):
    """Counts by label add up to those of the plan; a label that no module has is an error of the plug-in."""
    rules("""
        seen = []
        def own(plan, label):
            seen.append((plan.counts, plan.by(label)))
            return None
        """)
    simulate(
        plugged("abort-criterion", "fleet.groups.0.labels={region: eu}", entry=", every: 6h, options: {label: region}")
    )
    from own_rules import seen

    assert len(seen) == 4 and all(by == {"eu": counts} for counts, by in seen) and seen[-1][0].succeeded > 0
    with pytest.raises(
        PluginError, match=r"plug-in own .*own_rules.py:4\) failed: KeyError: 'the fleet has no label site'"
    ):
        simulate(plugged("abort-criterion", entry=", options: {label: site}"))


def test_a_release_rule_holds_everybody_and_lets_so_many_go(rules):
    """Nobody before 6 h, then never more than three released and not over; the plan's own smaller cap goes before."""
    rules("""
        def own(plan):
            return 0 if plan.now_s < 6 * 3600 else 3
        """)
    spans = released_and_over(plugged("release-rule", FROM_RELEASE, entry=", every: 1h"))
    assert min(start for start, _ in spans) == 6 * 3600.0 and len(spans) > 3 and most_at_once(spans) == 3
    own = "plan.strategy.rollout.max_in_progress=2"
    spans = released_and_over(plugged("release-rule", FROM_RELEASE, own, entry=", every: 1h"))
    assert len(spans) > 2 and most_at_once(spans) == 2


def test_a_release_rule_holds_offers_too_where_the_plan_counts_from_them(rules):
    """Released at once, but nobody is offered anything before 6 h."""
    rules("def own(plan):\n    return 0 if plan.now_s < 6 * 3600 else None\n")
    offered = "plan.strategy.rollout.in_progress_counts=offered"
    modules = simulate(plugged("release-rule", offered, entry=", every: 1h")).records.modules
    assert modules["notified_s"].min() >= 6 * 3600.0 and (modules["outcome"] == "succeeded").any()


FROM_RELEASE = "plan.strategy.rollout.in_progress_counts=released"


def released_and_over(given: Scenario) -> list[tuple[float, float]]:
    """When each module that was released was, and when its execution was over; inf for never."""
    engine = PluggedEngine(build(given, plugins=True))
    assert engine.run()
    listed = engine.world.center.executions
    return [(e.released_s, e.ended_s if is_terminal(e.state) else inf) for e in listed if e.released]


def most_at_once(spans: list[tuple[float, float]]) -> int:
    """The most spans that hold one moment."""
    return max(sum(start <= at < end for start, end in spans) for at, _ in spans)


def test_a_check_in_pattern_says_when_modules_are_online(rules):
    """Every module is first online at 5 h and 7 s times its number, whatever its group's check-in; None leaves that one."""
    rules("""
        def own(module, to=5.0):
            return 3600.0 * (to + 24 * module.number) + 7 * int(module.name[-2:])
        """)
    periodic = "fleet.groups.0.check_in={every: 6h}"
    modules = simulate(plugged("check-in", periodic, "horizon=20h")).records.modules
    modules = modules[modules["first_contact_s"].notna()]  # some have no service
    first = modules["first_contact_s"].to_numpy() - np.array([7 * int(name[-2:]) for name in modules["module"]])
    assert len(first) > 30 and (first >= 18000.0).all() and (first < 18000.0 + 120.0).all()
    rules("def own(module):\n    return None\n")
    same, plain = simulate(plugged("check-in", periodic)), simulate(scenario(*ALWAYS, periodic), engine="simpy")
    assert same.records.modules.equals(plain.records.modules)
    rules("def own(module):\n    return module.after_s\n")
    with pytest.raises(PluginError, match=r"gave 0.0; it has to give None or seconds after activation, later than 0"):
        simulate(plugged("check-in", periodic))


def test_a_metric_and_a_gate_are_judged_by_fotasims_own_interval(rules):
    """10 of 40: the exact interval; so few modules do not decide a gate inside it, beyond it they do. Over campaigns one pair for each."""
    rules("def own(modules):\n    return 10, len(modules)\n")
    low, high = share_interval(10, 40)
    for limit, state in ((low - 0.01, "not met"), (0.25, "too little"), (high + 0.01, "met")):
        outcome = simulate(plugged("gate", "gates={}", entry=f", limit: '<= {limit:.4f}'"), engine="simpy")
        (gate,) = outcome.summary["gates"]
        assert (gate["metric"], gate["state"], gate["total"]) == ("own", state, 40)
        assert (gate["low"], gate["high"]) == (low, high)
        assert outcome.summary["verdict"] == {"not met": "no-go", "too little": "invalid", "met": "go"}[state]
    many = replicate(
        plugged("gate", "gates={}", entry=", limit: '<= 30 %'"), 3, keep="records", engine="simpy", workers=1
    )
    assert many.outcome().summary["plugins"][0]["campaigns"] == [[10, 40]] * 3


def test_a_plugin_cannot_alter_the_records(rules):
    """What looks at the tables gets copies."""
    rules("def own(modules):\n    modules['outcome'] = 'succeeded'\n    return ['all'] * len(modules)\n")
    outcome = simulate(plugged("outcome-class", "horizon=1min"), engine="simpy")
    assert outcome.summary["plugins"][0]["classes"] == {"all": 40}
    assert outcome.summary["outcomes"]["succeeded"] == 0
    assert not (outcome.records.modules["outcome"] == "succeeded").any()


FEW = ("fleet.groups.0.check_in={every: 6h}", "fleet.size=5", "horizon=2h")
WRONG = [
    ("metric", "41, 40"), ("metric", "-1, 40"), ("metric", "1.5, 40"), ("metric", "1, 41"), ("metric", "0.5"), ("metric", "None"),
    ("metric", "float('nan'), 40"), ("outcome-class", "['x']"), ("outcome-class", "'x' * 40"), ("outcome-class", "[1] * len(given)"),
    ("outcome-class", "None"), ("report-section", "'text'"), ("report-section", "[1]"), ("report-section", "['x' * 6000]"),
    ("report-section", "[{'columns': ['a'], 'rows': [[1, 2]]}]"), ("report-section", "[{'columns': ['a'], 'rows': [[object()]]}]"),
    ("report-section", "['x'] * 51"), ("abort-criterion", "True"), ("abort-criterion", "'stop'"), ("abort-criterion", "'rollback'"),
    ("release-rule", "-1"), ("release-rule", "True"), ("release-rule", "2.5"), ("check-in", "'later'"), ("check-in", "float('nan')"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "given"), WRONG)
def test_what_a_kind_does_not_give_is_one_sentence_with_name_and_file(rules, kind, given):
    file = rules(f"def own(given):\n    return {given}\n")
    entry = ", every: 1h" if kind in ("abort-criterion", "release-rule") else ""
    with pytest.raises(PluginError) as caught:
        simulate(
            plugged(kind, *FEW, entry=entry),
            engine="auto" if kind in plugins.DRIVING else "simpy",
        )
    told = str(caught.value)
    assert told.startswith(f"plug-in own ({kind}, {file}) gave ") and "\n" not in told and len(told) < 450


@pytest.mark.parametrize("kind", [*plugins.Kind])
@pytest.mark.parametrize(
    "what", ["raise ValueError('broken')", "raise SystemExit(0)", "import nothing_of_the_kind", "1 / 0"]
)
def test_whatever_a_plugin_raises_names_it_and_its_line(rules, kind, what):
    file = rules(f"def own(given):\n    pass\n    {what}\n")
    entry = ", limit: '<= 0.5'" if kind == "gate" else ""
    with pytest.raises(PluginError, match=rf"^plug-in own \({kind}, {file}:3\) failed: "):
        simulate(
            plugged(kind, *FEW, entry=entry),
            engine="auto" if kind in plugins.DRIVING else "simpy",
        )


def test_a_failing_plugin_ends_the_command_with_70_and_writes_nothing(site, tmp_path):
    (tmp_path / "own_rules.py").write_text("def own(modules):\n    return 1 / 0\n")
    text = (EXAMPLE / "scenario.yaml").read_text().partition("plugins:")[0]
    (tmp_path / "s.yaml").write_text(f"{text}plugins: [{{name: own, kind: metric, python: 'own_rules:own'}}]\n")
    done = fotasim(tmp_path, tmp_path, "run", "s.yaml", "--allow-plugins", "--engine", "simpy", "--modules", "20")
    assert done.returncode == 70 and done.stderr.splitlines()[-1] == (
        f"fotasim: plug-in own (metric, {tmp_path}/own_rules.py:2) failed: ZeroDivisionError: division by zero; nothing was written"
    )


def test_reading_a_scenario_imports_nothing(rules, monkeypatch):
    """Neither the file nor a world; without permission not even the run does."""
    rules("raise RuntimeError('imported')\n")
    given = plugged("metric")
    with pytest.raises(InputError, match="only simulated runs"):
        build(given)
    monkeypatch.delenv(plugins.ALLOW)
    with pytest.raises(InputError, match="runs with your rights; read it, then add --allow-plugins"):
        simulate(given, engine="simpy")
    assert "own_rules" not in sys.modules
    monkeypatch.setenv(plugins.ALLOW, "1")
    with pytest.raises(InputError, match=r"plug-in own: own_rules:own cannot be loaded: RuntimeError: imported"):
        simulate(given, engine="simpy")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("own = 3\n", "is not a callable object"),
        ("def other(modules): pass\n", "has no attribute 'own'"),
        ("def own(): pass\n", "too many positional arguments"),
        ("def own(modules, needed): pass\n", "missing a required argument: 'needed'"),
        ("def own(\n", "SyntaxError"),
    ],
)
def test_a_function_that_cannot_be_called_is_told_before_the_run(rules, source, told):
    rules(source)
    with pytest.raises(InputError, match=told):
        simulate(plugged("metric"), engine="simpy")


def test_options_that_the_function_does_not_take_are_told(rules):
    rules("def own(modules): return 0, 1\n")
    with pytest.raises(
        InputError, match=r"with one argument and the options share: got an unexpected keyword argument 'share'"
    ):
        simulate(plugged("metric", entry=", options: {share: 0.5}"), engine="simpy")


def test_the_compiled_engine_is_refused_for_what_it_cannot_call(rules):
    rules("def own(plan): return None\n")
    with pytest.raises(InputError, match=r"--engine compiled: the compiled engine cannot call plug-in own"):
        simulate(plugged("release-rule"), engine="compiled")


def test_a_study_refuses_plugins(rules):
    rules("def own(modules): return 0, 1\n")
    with pytest.raises(InputError, match="only simulated runs"):
        sweep(plugged("metric"), ["seed=1,2"], replications=1, engine="simpy", workers=1)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{name: a, kind: metric}", "give either python"),
        ("{name: a, kind: metric, python: 'a:b', entry_point: c}", "give either python"),
        ("{name: a, kind: gate, python: 'a:b'}", "limit: a gate needs one"),
        ("{name: a, kind: metric, python: 'a:b', limit: '<= 1 %'}", "no other kind has one"),
        ("{name: a, kind: gate, python: 'a:b', limit: '<= 2'}", "a share between 0 and 1"),
        ("{name: a, kind: gate, python: 'a:b', limit: '<= 1d'}", "limit of a is a number or a percentage"),
        ("{name: success_rate, kind: metric, python: 'a:b'}", "a name of its own that is no metric's"),
        ("{name: a, kind: metric, python: 'os; print(1):b'}", "python"),
        ("{name: a, kind: metric, python: 'a.b'}", "python"),
        ("{name: a, kind: colour, python: 'a:b'}", "kind"),
    ],
)
def test_entries_that_mean_nothing_are_refused_with_their_key(entry, told):
    with pytest.raises(ScenarioError, match=r"plugins") as caught:
        scenario(f"plugins=[{entry}]")
    assert told in str(caught.value)


def test_an_entry_point_that_two_packages_claim_or_none_has_is_refused(tmp_path, monkeypatch):
    for name in ("one", "other"):
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{plugins.GROUP}]\nshared = {name}:own\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(plugins.ALLOW, raising=False)
    named = "plugins=[{{name: own, kind: metric, entry_point: {}}}]"
    with pytest.raises(
        InputError, match=r"entry point shared is claimed by one 1\.0 and other 1\.0: uninstall all but one"
    ):
        simulate(scenario(named.format("shared")), engine="simpy")
    with pytest.raises(InputError, match=r"no installed package has the entry point own; there are: shared"):
        simulate(scenario(named.format("own")), engine="simpy")
