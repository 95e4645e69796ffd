"""The command live: a scenario's fleet in real time against a real or mock cloud."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sim.cli.common import (
    KEPT,
    AsJson,
    MarginalOption,
    Overrides,
    Overwrite,
    ScenarioPath,
    SignKey,
    app,
    check_output,
    command_line,
    end_as,
    fail,
    load_scenario,
    option_value,
    outcome_lines,
    sign_folder,
    verdict_lines,
    with_options,
)
from sim.cli.metrics import Otlp, Progress, Prometheus, watching
from sim.cli.signals import handlers_kept, held
from sim.errors import FotasimError, RecordsError
from sim.exit_status import ExitStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sim.engines.live.live_engine import Settings
    from sim.engines.live.live_run import LiveOutcome

_ENDED = {"SIGINT": ExitStatus.INTERRUPTED, "SIGTERM": ExitStatus.TERMINATED}
"""The status of a run that a signal ended."""

CloudUrl = Annotated[
    str | None,
    typer.Option(
        envvar="FOTASIM_CLOUD",
        help="http(s)://… of a mock cloud or a DDI server, or mqtt(s)://… of an endpoint; default: the scenario's cloud.url.",
    ),
]
Modules = Annotated[int | None, typer.Option(min=1, help="Fleet size, instead of the scenario's.")]
Ramp = Annotated[str, typer.Option(help="Modules that begin per second.")]
TimeScale = Annotated[
    float, typer.Option(min=1.0, max=1e6, help="Shorten the modules' waits; the network keeps real time.")
]
Radio = Annotated[bool, typer.Option("--radio", help="Delay, lose and pace as the modelled radio would.")]
Duration = Annotated[str | None, typer.Option(help="Real time after which the run ends at the latest.")]
Sources = Annotated[
    list[str], typer.Option(metavar="ADDRESS", help="Source address, repeatable; one carries 28,000 connections.")
]
PlanId = Annotated[int | None, typer.Option(help="The cloud's plan, instead of its newest.")]
Allowed = Annotated[list[str], typer.Option(metavar="HOST", help="A host beyond this machine that may be reached.")]
RateCap = Annotated[str | None, typer.Option(help="Most connections, and messages, per second.")]
UserName = Annotated[
    str | None, typer.Option(help="User name to send: strict brokers refuse the SDK's password without one.")
]
Certificates = Annotated[Path | None, typer.Option(help="Certificates to trust (PEM).", exists=True, dir_okay=False)]
SloOption = Annotated[
    str | None,
    typer.Option(
        "--slo",
        help="Objectives, such as 'p99(wake)<5s, error_rate(connect)<0.5%, p95(download, group=indoor)<120s'. "
        "Without one on its failures, at most 1 % of each step may fail.",
    ),
]
AbortOnFailure = Annotated[
    bool, typer.Option("--abort-on-failure", help="End the run as soon as an objective is broken beyond doubt.")
]
Seed = Annotated[int | None, typer.Option(help="Seed, instead of the scenario's.")]
Out = Annotated[Path | None, typer.Option(help="Run folder; default reports/NAME-SEED-live.")]


@app.command()
def live(
    scenario: ScenarioPath,
    cloud: CloudUrl = None,
    modules: Modules = None,
    ramp: Ramp = "200/s",
    time_scale: TimeScale = 1.0,
    radio: Radio = False,
    duration: Duration = None,
    source: Sources = [],  # noqa: B006 - typer copies it
    plan: PlanId = None,
    allow: Allowed = [],  # noqa: B006
    rate_cap: RateCap = None,
    username: UserName = None,
    ca: Certificates = None,
    slo: SloOption = None,
    abort_on_failure: AbortOnFailure = False,
    prometheus: Prometheus = None,
    otlp: Otlp = None,
    progress: Progress = None,
    set_: Overrides = [],  # noqa: B006
    seed: Seed = None,
    out: Out = None,
    overwrite: Overwrite = False,
    sign: SignKey = None,
    marginal_as: MarginalOption = None,
    as_json: AsJson = False,
) -> None:
    """Run a fleet in real time against a cloud; leave a run folder and its report.

    Product key and secret come from FOTASIM_PRODUCT_KEY and FOTASIM_PRODUCT_SECRET, or from the mock cloud when
    FOTASIM_TOKEN holds its token. With a scenario of cloud kind ddi: FOTASIM_DDI_TARGET_TOKEN or
    FOTASIM_DDI_GATEWAY_TOKEN for the devices, FOTASIM_DDI_USER and FOTASIM_DDI_PASSWORD for the reconciliation. Ctrl-C ends the run and keeps what is there.
    """
    from sim.engines.live.live_engine import CRASHED, Settings
    from sim.engines.live.live_run import run_live
    from sim.engines.live.live_target import Limits

    loaded = load_scenario(scenario, with_options(set_, seed, modules))
    limits = Limits(tuple(allow), None if rate_cap is None else rate_of("--rate-cap", rate_cap))
    check_user_name(username)
    settings = Settings(
        rate_of("--ramp", ramp), time_scale, tuple(source), radio, None if duration is None else seconds("--duration", duration), limits,
        None if ca is None else str(ca), username, slo_of(slo, loaded), abort_on_failure,
    )  # fmt: skip
    url = cloud or loaded.cloud.url
    if url is None:
        fail("--cloud: a cloud's URL is needed, there or as cloud.url of a scenario of cloud kind ddi")
    target = out or Path("reports") / f"{loaded.name}-{loaded.seed}-live"
    folder = check_output(target, "run", overwrite=overwrite, sign=sign)
    with watching(prometheus, otlp, progress, quiet=as_json) as watch, handlers_kept():
        found = run_live(loaded, url, settings, plan=plan, watch=watch)
    with held(f"{folder}"):
        measured = _measured_lines(found, settings)
        report, page = _saved(found, folder, measured, overwrite=overwrite, sign=sign)
        _tell(found, report, page, measured, as_json)
    if found.ended_by == CRASHED:
        raise found.surprises[0]
    if found.ended_by in _ENDED:
        raise typer.Exit(_ENDED[found.ended_by])
    end_as(report, marginal_as)


def _saved(
    found: LiveOutcome, folder: Path, measured: Iterator[str], *, overwrite: bool, sign: Path | None
) -> tuple[Any, Path]:
    """Writes the folder with its page; gives the report and the page. Where that fails, `measured` is at least told."""
    try:
        return _written(found, folder, overwrite=overwrite, sign=sign)
    except (OSError, RecordsError):  # a full disk, say
        print("\n".join(measured), file=sys.stderr)
        raise


def _written(found: LiveOutcome, folder: Path, *, overwrite: bool, sign: Path | None) -> tuple[Any, Path]:
    from sim import archive
    from sim.engines.live.live_run import save_live
    from sim.report.formats.html_page import render
    from sim.report.model.run_report import build
    from sim.report.pages.run_page import run_page

    saved = save_live(found, folder, overwrite=overwrite, command=command_line())
    KEPT.append(folder)
    page = saved.path / "report.html"
    report = build(saved)
    page.write_text(render(run_page(report, saved)), encoding="utf-8")
    archive.add(folder, [page])
    sign_folder(folder, sign)
    return report, page


def check_user_name(name: str | None) -> None:
    """Wrong use where MQTT cannot carry it."""
    from sim.wire.mqtt import MAX_TEXT_BYTES

    if name is not None and len(name.encode(errors="replace")) > MAX_TEXT_BYTES:
        fail(f"--username: MQTT carries at most {MAX_TEXT_BYTES:,} bytes, not {len(name.encode(errors='replace')):,}")


def slo_of(text: str | None, scenario: Any) -> Any:
    """The objectives an option was given, on groups that the scenario's fleet has; wrong use ends the command."""
    from sim.engines.live.slo import check_groups, parse

    try:
        slo = None if text is None else parse(text)
        check_groups(slo, [group.name for group in scenario.fleet.groups])
    except FotasimError as error:
        fail(f"--slo: {error}")
    return slo


def seconds(option: str, text: str) -> float:
    """A duration an option was given; wrong use ends the command."""
    from sim.units import duration

    return _above_nothing(option, text, duration)


def rate_of(option: str, text: str) -> float:
    """A rate above nothing, per second; wrong use otherwise."""
    from sim.units import rate

    return _above_nothing(option, text, rate)


def _above_nothing(option: str, text: str, read: Callable[[str], float]) -> float:
    given = option_value(option, text, read)
    if given <= 0.0:
        fail(f"{option} {text}: more than nothing is needed")
    return given


# --- result ------------------------------------------------------------------------------------------------------------


def failure_lines(latencies: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What went wrong between modules and cloud, by step and reason; refused logins first, since nothing works then."""
    from sim.engines.live.failure_reasons import LOGIN_REFUSED

    found = [(reason, leg, n) for leg, row in latencies.items() for reason, n in row["failures"].items()]
    for reason, leg, n in sorted(found, key=lambda failure: (not failure[0].startswith(LOGIN_REFUSED), -failure[2])):
        yield f"  {leg} failed: {reason}: {n:,} of {latencies[leg]['tries']:,}"


_TOLD = ("failures", "waiting_at_end", "slo", "faults", "ended_by")
"""What of the manifest's `live` stands in --json too."""


def partial_words(ended_by: str) -> str:
    """Why a run ended before its time, as the terminal says it."""
    from sim.engines.live.live_engine import ABORTED, CRASHED

    if ended_by.startswith(ABORTED):
        return f"ENDED EARLY, {ended_by}"
    return ended_by.upper() if ended_by == CRASHED else f"INTERRUPTED{f' by {ended_by}' if ended_by else ''}"


def _of_the_cloud(live: Mapping[str, Any]) -> Iterator[str]:
    """What a run says beside the figures: what the operator did, and what had no answer at the end."""
    for entry in live.get("operator", ()):
        yield f"  operator at {entry['at_s']:,.0f} s: {entry['did']} ({entry['why']})"
    if live["waiting_at_end"]:
        steps = ", ".join(f"{step} {n:,}" for step, n in sorted(live["waiting_at_end"].items()))
        yield f"  without an answer yet when the run ended: {steps}"


def _tell(found: LiveOutcome, report: Any, page: Path, lines: Iterator[str], as_json: bool) -> None:
    """What was found: as JSON, or as `lines` with the verdict."""
    if as_json:
        quantiles = {leg: {k: v for k, v in row.items() if k != "hdr"} for leg, row in found.latencies.items()}
        live = {name: found.outcome.manifest["live"][name] for name in _TOLD}
        print(
            json.dumps(
                {
                    **found.outcome.summary,
                    "latencies": quantiles,
                    "reconciliation": found.reconciliation.as_dict(),
                    **live,
                }
            )
        )
        return
    for line in (*lines, *verdict_lines(report), f"report: {page}"):
        print(line)


def _measured_lines(found: LiveOutcome, settings: Settings) -> Iterator[str]:
    """What was measured, without a verdict on it."""
    summary = found.outcome.summary
    scale = "" if settings.time_scale == 1.0 else f", time scale {settings.time_scale:g}"
    yield f"{summary['scenario']}: {summary['modules']:,} modules live, {summary['wall_s']:.1f} s{scale}"
    if not summary["complete"]:
        yield f"  {partial_words(found.ended_by)}: this run is partial"
    for fault in found.outcome.manifest["live"]["faults"]:
        yield f"  VOID: {fault}"
    yield from failure_lines(found.latencies)
    yield from outcome_lines(summary)
    for leg, row in found.latencies.items():
        if row["count"]:
            shown = "  ".join(f"{p} {1000 * row[f'{p}_s']:9,.1f} ms" for p in ("p50", "p95", "p99"))
            yield f"  {leg:<10}{row['count']:>9,}  {shown}"
    yield from _of_the_cloud(found.outcome.manifest["live"])
    yield from found.reconciliation.lines()
