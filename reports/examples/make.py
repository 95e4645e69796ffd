"""Makes the samples of this folder anew: `make examples`. One checked-in sample of each face, from the installed product."""

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
GATES_NOT_MET = 1


def fotasim(*arguments: str) -> None:
    """Runs the command; gates that are not met are a result, not an error."""
    done = subprocess.run([sys.executable, "-m", "sim.cli", *arguments], cwd=ROOT, check=False)
    if done.returncode > GATES_NOT_MET:
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
    fotasim("report", f"{folder}/capacity", "--format", "html,pdf,md,junit", "--out", f"{HERE}/capacity")


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


def main() -> None:
    """One run with every face, a bad release as it is and stopped in time, a comparison of two strategies, a release against the one before, a trend, a capacity search."""
    for folder in ("quickstart", "bad_release", "stopped", "comparison", "against", "trend", "capacity"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        runs = Path(name)
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
        every = "html,pdf,md,junit,json,csv,parquet"
        fotasim(
            "report", f"{runs}/quickstart", "--format", every, "--price-per-mb", "0.02", "--out", f"{HERE}/quickstart"
        )
        fotasim("report", f"{runs}/bad_release", "--format", "html,pdf,md,junit", "--out", f"{HERE}/bad_release")
        fotasim("report", f"{runs}/stopped", "--out", f"{HERE}/stopped")
        fotasim("report", f"{runs}/quickstart", f"{runs}/lower limits", "--out", f"{HERE}/comparison")
        fotasim("report", f"{archive}/1.10.0", "--against", f"{archive}/1.9.0", "--out", f"{HERE}/against")
        fotasim("trend", str(archive), "--out", f"{HERE}/trend")
        capacity(runs)
    for name, image in (("quickstart", "report.png"), ("capacity", "capacity.png")):
        picture(HERE / name / "report.html", ROOT / "docs" / "images" / image)


if __name__ == "__main__":
    main()
