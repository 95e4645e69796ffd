"""Locust's own web UI, driven in a real Chromium, over native workers and a cloud."""

from __future__ import annotations

import asyncio
import threading

from playwright.sync_api import Error

from sim.engines.live import latency
from sim.engines.live.live_cloud import find_target
from sim.engines.live.live_engine import Settings
from sim.load.load_fleet import LoadFleet
from sim.load.locust_workers.native_worker import Worker
from tests.live_cloud import LiveCloud
from tests.load.master import free_port, master
from tests.report.browser import chromium
from tests.support import HARMLESS, scenario

LEGS = [
    leg for leg in latency.LEGS if leg not in ("poll", "configData", "deploymentBase", "feedback")
]  # those are DDI's
FLEET = scenario(
    *HARMLESS, "fleet.size=12", "fleet.groups.0.power=mains", "fleet.groups.0.rsrp_dbm=-90",
    "fleet.groups.0.free_space=10 MB",
)  # fmt: skip
TIMEOUT_MS = 60_000


def workers_until_quit(port, ended):
    """A cloud and a worker in a thread of their own, until the master goes."""

    async def run():
        cloud = LiveCloud(FLEET)
        await cloud.start()
        try:
            settings = Settings(time_scale=50.0)
            target = await find_target(cloud.url, settings)
            work = asyncio.ensure_future(
                Worker("127.0.0.1", port, lambda s: LoadFleet(FLEET, target, settings, s)).run()
            )
            while not (work.done() or ended.is_set()):
                await asyncio.sleep(0.05)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        finally:
            await cloud.stop()

    asyncio.run(run())


def test_start_watch_the_legs_stop_and_download_the_report(tmp_path):
    web = free_port()
    ended = threading.Event()
    options = ("--expect-workers", "1", "--web-host", "127.0.0.1", "--web-port", str(web))
    with chromium() as page, master(tmp_path, *options, headless=False) as (_, port):
        thread = threading.Thread(target=workers_until_quit, args=(port, ended))
        thread.start()
        try:
            _drive(page, f"http://127.0.0.1:{web}/")
        finally:
            ended.set()
            thread.join(60)


def _drive(page, url):
    page.set_default_timeout(TIMEOUT_MS)
    for _ in range(200):
        try:
            page.goto(url)
            break
        except Error:  # the master opens its port in its own time
            page.wait_for_timeout(200)
    page.wait_for_function("document.body.innerText.match(/Workers\\s+1/i)")
    page.fill("input[name=userCount]", "12")
    page.fill("input[name=spawnRate]", "12")
    page.click("button[type=submit]")
    for leg in LEGS:
        page.locator("td", has_text=leg).first.wait_for()
    page.get_by_role("button", name="Stop", exact=False).first.click()
    page.wait_for_function("document.body.innerText.match(/STOPPED/i)")
    page.get_by_role("tab", name="Download Data").click()
    with page.expect_popup() as waiting:
        page.get_by_text("Download Report").click()
    report = waiting.value
    for leg in LEGS:
        report.locator("td", has_text=leg).first.wait_for()
    saved = page.request.get(f"{url}stats/report?download=1")
    assert "attachment" in saved.headers["content-disposition"]
    assert all(f'"{leg}"' in saved.text() for leg in LEGS)
