"""The console in a real browser: the whole path of an operator, by mouse and by keyboard, at desk and phone width."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from tests.service.cloud import TOKEN
from tests.service.modules import FakeModule
from tests.service.threaded import cloud_in_thread
from tests.support import require

PICTURES = os.environ.get("FOTASIM_PICTURES")
"""A folder for screenshots of every step, to be looked at."""


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium as the distribution ships it."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=require("chromium", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser):
    """A fresh page of 1440 pixels; what its scripts complain about fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    opened = context.new_page()
    complaints = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    yield opened
    context.close()
    assert [c for c in complaints if "status of 4" not in c] == []


def picture(page, name: str) -> None:
    """Screenshots at desk and phone width, when wanted."""
    if PICTURES:
        Path(PICTURES).mkdir(parents=True, exist_ok=True)
        for width, height in ((1440, 1000), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.screenshot(path=f"{PICTURES}/{name}-{width}.png", full_page="drawer" not in name)
        page.set_viewport_size({"width": 1440, "height": 1000})


def accessible(page) -> None:
    """No violation of WCAG that axe can find, and no sideways scrolling at phone width."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
    page.set_viewport_size({"width": 1440, "height": 1000})


@contextmanager
def modules(server, live, holds):
    """Modules on the server's loop: `holds` gives the last status each sends by itself, by device key."""
    made = [FakeModule(live, key, hold=hold) for key, hold in holds.items()]

    async def start():
        return [asyncio.ensure_future(m.run()) for m in made]

    async def stop(tasks):
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    tasks = server.call(start())
    try:
        yield made
    finally:
        server.call(stop(tasks))


def live_of(server):
    """What a fleet is told, with the product's secret."""
    with server.cloud.database.read() as connection:
        from sim.service.store import catalog, tables

        product = catalog.listed(connection, tables.products)[0]
    return {
        "mqtt": server.cloud.mqtt_url, "product_key": product["product_key"],
        "product_secret": product["product_secret"],
    }  # fmt: skip


def log_in(page, server):
    """Through the login page, a wrong token first."""
    page.goto(server.cloud.http_url)
    expect(page).to_have_url(re.compile("/login"))
    page.get_by_label("Token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the token")
    picture(page, "01-login")
    accessible(page)
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()


def make_catalogue(page, package):
    """Project, product, model and version with an upload, each by its form."""
    page.get_by_label("Project name").fill("Smart homes")
    page.get_by_role("button", name="Create project").click()
    page.get_by_label("Product name").fill("Aromatherapy diffuser")
    page.get_by_role("button", name="Create product").click()
    expect(page.get_by_role("row", name="Aromatherapy diffuser")).to_be_visible()
    picture(page, "02-products")
    accessible(page)
    page.get_by_role("link", name="Models").click()
    for label, text in (
        ("Model name", "Diffuser"),
        ("Device model", "BG95"),
        ("Component identifier", "fw"),
        ("Component name", "Module firmware"),
    ):
        page.get_by_label(label).last.fill(text)
    page.get_by_role("button", name="Create model").click()
    expect(page.get_by_role("heading", name="Diffuser")).to_be_visible()
    picture(page, "03-models")
    accessible(page)
    page.get_by_role("link", name="Versions").click()
    page.get_by_label("Version name").fill("Release 1.1")
    page.get_by_label("Target version").fill("1.1.0")
    page.get_by_label("Files").set_input_files({"name": "fw.exe", "mimeType": "x/y", "buffer": b"MZ"})
    page.get_by_role("button", name="Upload version").click()
    expect(page.get_by_role("alert")).to_contain_text("must end in one of")
    page.get_by_label("Files").set_input_files(package)
    page.get_by_role("button", name="Upload version").click()
    expect(page.get_by_role("heading", name="Release 1.1")).to_be_visible()
    picture(page, "04-versions")
    accessible(page)


def make_plan(page):
    """The plan editor, and the plan's activation."""
    page.get_by_role("link", name="Upgrade plans").click()
    page.get_by_role("link", name="New plan").click()
    page.get_by_label("Plan name").fill("Release 1.1 to all")
    page.get_by_role("button", name="Save plan").click()
    expect(page.get_by_role("alert")).to_contain_text("select a version")
    page.get_by_label("Module firmware").select_option("Release 1.1 → 1.1.0 (full)")
    page.get_by_label("Minimum battery (%)").fill("25")
    picture(page, "05-plan")
    accessible(page)
    page.get_by_role("button", name="Save plan").click()
    expect(page.get_by_role("heading", name="Release 1.1 to all")).to_be_visible()
    page.get_by_role("link", name="Edit").click()
    expect(page.get_by_label("Minimum battery (%)")).to_have_value("25")
    page.go_back()
    page.get_by_role("button", name="Activate plan").click()
    expect(page.locator("main")).to_contain_text("neither edited nor deleted")  # it asks once more
    page.get_by_role("button", name="Activate plan").click()
    expect(page.get_by_role("status").filter(has_text="Activated")).to_be_visible()


def test_the_whole_path(page, tmp_path):
    """Log in, product, upload, plan, activate, watch the counts move, details with the log, cancel."""
    package = tmp_path / "release.bin"
    package.write_bytes(os.urandom(300_000))
    with cloud_in_thread(tmp_path / "data") as server:
        log_in(page, server)
        make_catalogue(page, package)
        make_plan(page)
        holds = {f"866100{i:04d}": None for i in range(30)}
        holds |= {f"866200{i:04d}": status for i, status in enumerate([1, 2, 5, 5, 9, 1])}
        with modules(server, live_of(server), holds):
            expect(page.locator("#stage-success b")).to_have_text("30", timeout=30_000)
            expect(page.locator("#stage-download b")).to_have_text("2")
            expect(page.locator("#stage-start b")).to_have_text("2")
            expect(page.locator("#devices")).to_contain_text("36 devices", timeout=10_000)
            picture(page, "06-monitoring")
            accessible(page)
            search_and_sort(page)
            details_and_cancel(page)


def search_and_sort(page):
    """The table narrows as one types, sorts by its headers, and keeps both in the address."""
    page.get_by_label("Device key").fill("866200")
    expect(page.locator("#devices tbody tr")).to_have_count(6)
    page.get_by_label("Status").select_option("Download")
    expect(page.locator("#devices tbody tr")).to_have_count(2)
    page.get_by_label("Status").select_option("")
    expect(page.locator("#devices tbody tr")).to_have_count(6)
    page.locator("#sort-device").click()
    expect(page.locator("#devices tbody tr").first).to_contain_text("8662000005")
    expect(page.locator("th[aria-sort=descending]")).to_contain_text("Device")
    page.reload()
    expect(page.locator("#devices tbody tr").first).to_contain_text("8662000005")


def details_and_cancel(page):
    """The drawer opens by keyboard, holds the focus, shows component and log; cancelling works until confirmed."""
    page.locator("#details-8662000002").click()
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("Issue the URL to upgrade")
    expect(drawer.get_by_role("button", name="Cancel upgrade")).to_have_count(0)
    picture(page, "07-drawer")
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    page.locator("#details-8662000000").focus()
    page.keyboard.press("Enter")
    expect(drawer).to_contain_text("issuing plan")
    accessible(page)
    page.once("dialog", lambda dialog: dialog.accept())
    drawer.get_by_role("button", name="Cancel upgrade").click()
    expect(page.locator("main")).to_contain_text("canceled")
    picture(page, "08-cancelled")
    page.get_by_role("link", name="Upgrade plans").click()
    expect(page.get_by_role("row", name="Release 1.1 to all")).to_contain_text("Upgrading")
    picture(page, "09-plans")
    accessible(page)


def test_forms_of_other_sites_do_nothing(tmp_path, page):
    """Without the secret of the session a form is refused; without a session every page leads to the login."""
    with cloud_in_thread(tmp_path) as server:
        url = server.cloud.http_url
        assert page.request.get(f"{url}/projects/1/products", max_redirects=0).status == 303
        log_in(page, server)
        for form in ({"name": "x"}, {"name": "x", "secret": "0" * 64}):
            assert page.request.post(f"{url}/projects", form=form).status == 403
        assert page.request.post(f"{url}/projects/1/versions", multipart={"name": "x"}).status in (403, 404)
        page.reload()
        expect(page.get_by_text("Create one to begin")).to_be_visible()
        cookie = page.context.cookies()[0]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_url(re.compile("/login"))
        assert page.request.get(url, max_redirects=0).status == 303


def test_names_are_text_and_never_markup(tmp_path, page):
    """What people type is escaped on every page; the policy forbids inline scripts besides."""
    nasty = "<img src=x onerror=alert(1)>\"'"
    with cloud_in_thread(tmp_path) as server:
        log_in(page, server)
        page.get_by_label("Project name").fill(nasty)
        page.get_by_role("button", name="Create project").click()
        expect(page.get_by_text(nasty)).to_be_visible()
        assert page.locator("img").count() == 0
        policy = page.request.get(f"{server.cloud.http_url}/login").headers["content-security-policy"]
        assert "script-src 'self'" in policy and "unsafe-inline" not in policy


def test_works_without_scripts(tmp_path, browser):
    """Links and forms alone carry the whole console: the drawer becomes a page."""
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    with cloud_in_thread(tmp_path) as server:
        plain.goto(server.cloud.http_url)
        plain.locator("#token").fill(TOKEN)
        plain.locator("main button").click()
        plain.locator("#f-name").fill("No scripts")
        plain.locator("main form button").click()
        expect(plain.get_by_role("heading", name="Products")).to_be_visible()
    context.close()
