"""Makes the examples: `make examples`. One small sample of each format lies here, in the repository; everything else goes
to docs/examples/, which is not checked in and is published with the documentation. `--without-capacity` leaves out what
takes minutes. `wakeups_50000`, two searches over real sockets that take half an hour, is kept as it was measured."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXAMPLES = ROOT / "docs" / "examples"
SAMPLE = HERE / "sample"
SAMPLE_TABLES = ("gates", "losses")
UNDECIDED = 4


def fotasim(*arguments: str) -> None:
    """Runs the command; No go and Marginal are results, not errors."""
    done = subprocess.run([sys.executable, "-m", "sim.cli", *arguments], cwd=ROOT, check=False)
    if done.returncode not in (0, 1, UNDECIDED):
        raise SystemExit(f"fotasim {' '.join(arguments)}: exit status {done.returncode}")


def capacity(folder: Path) -> None:
    """A mock cloud that lets 200 messages and downloads through per second, predicted and measured; some minutes."""
    os.environ["FOTASIM_TOKEN"] = secrets.token_urlsafe(16)
    command = [
        sys.executable, "-m", "sim.cli", "cloud", "--json", "--mqtt", "0", "--http", "0", "--data", f"{folder}/cloud",
        "--scenario", "scenarios/live_demo.yaml", "--activate", "--fault", "max_requests_per_s=200",
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as cloud:
        try:
            url = json.loads(cloud.stdout.readline())["http"] if cloud.stdout else ""
            fotasim(
                "capacity", "scenarios/live_demo.yaml", "--cloud", url, "--slo", "p99(notify)<2s, error_rate<0.1%",
                "--set", "cloud.capacity.request_workers=1", "--set", "cloud.capacity.request_time=32ms", "--start", "400",
                "--hold", "10s", "--confirm", "25s", "--out", f"{folder}/capacity",
            )  # fmt: skip
        finally:
            cloud.kill()
    fotasim("report", f"{folder}/capacity", "--format", "html,pdf,md,junit", "--out", f"{EXAMPLES}/capacity")


def picture(page: Path, target: Path) -> None:
    """The top of a page as README and documentation show it; left as it is where there is no Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        print(f"no Chromium: {target.name} stays as it is")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 1280, "height": 1180})
        view.goto(page.as_uri())
        view.screenshot(path=target)
        browser.close()


def sample() -> None:
    """One small run in every format, with two of its tables."""
    fotasim("run", "scenarios/bad_release.yaml", "--modules", "500", "--out", "reports/example", "--overwrite")
    shutil.rmtree(SAMPLE, ignore_errors=True)
    fotasim("report", "reports/example", "--format", "all", "--price-per-mb", "0.02", "--out", str(SAMPLE))
    for table in (SAMPLE / "tables").iterdir():
        if table.stem not in SAMPLE_TABLES:
            table.unlink()


def rollouts(runs: Path) -> None:
    """A go, a bad release as it is and stopped in time, two strategies, a release against the one before, a trend."""
    limits = ("plan.strategy.preconditions.min_battery_percent=15", "plan.strategy.preconditions.min_rsrp_dbm=-120")
    changes = [word for limit in limits for word in ("--set", limit)]
    fotasim("run", "scenarios/quickstart.yaml", "--out", f"{runs}/quickstart")
    fotasim("run", "scenarios/quickstart.yaml", *changes, "--out", f"{runs}/lower limits")
    fotasim("run", "scenarios/bad_release.yaml", "--out", f"{runs}/bad_release")
    stop = "{criteria: [{failure_type: failed, threshold_percentage: 2, min_number_of_executed: 100}]}"
    fotasim("run", "scenarios/bad_release.yaml", "--set", f"plan.strategy.abort={stop}",
            "--set", "plan.strategy.rollout.maximum_per_minute=10", "--set", "plan.strategy.retry.number_of_retries=0",
            "--out", f"{runs}/stopped")  # fmt: skip
    archive = runs / "archive"
    for release, brick in (("1.8.0", 0.0001), ("1.9.0", 0.0002), ("1.10.0", 0.02)):
        fotasim("run", "scenarios/quickstart.yaml", "--modules", "4000", "--set", f"fleet.failures.brick={brick}",
                "--seed", str(len(release)), "--out", f"{archive}/{release}")  # fmt: skip
    fotasim(
        "report",
        f"{runs}/quickstart",
        "--format",
        "html,pdf",
        "--price-per-mb",
        "0.02",
        "--out",
        f"{EXAMPLES}/quickstart",
    )
    fotasim("report", f"{runs}/bad_release", "--format", "html,pdf", "--out", f"{EXAMPLES}/bad_release")
    fotasim("report", f"{runs}/stopped", "--out", f"{EXAMPLES}/stopped")
    fotasim("report", f"{runs}/quickstart", f"{runs}/lower limits", "--out", f"{EXAMPLES}/comparison")
    fotasim("report", f"{archive}/1.10.0", "--against", f"{archive}/1.9.0", "--out", f"{EXAMPLES}/against")
    fotasim("trend", str(archive), "--out", f"{EXAMPLES}/trend")


def main() -> None:
    """Everything anew, and the pictures of README and documentation."""
    shutil.rmtree(EXAMPLES, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name)
        sample()
        rollouts(runs)
        if "--without-capacity" not in sys.argv:
            capacity(runs)
    for name, image in (("quickstart", "report.png"), ("capacity", "capacity.png")):
        if (EXAMPLES / name).is_dir():
            picture(EXAMPLES / name / "report.html", ROOT / "docs" / "images" / image)


if __name__ == "__main__":
    main()
