"""Chromium, without a window, and pages of the demo's shop in it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, sync_playwright

from tests.browser.shop import PATIENCE, Shop
from tieout.browser.module import MODULE, TYPE

BUTTON = "button[type=submit]"
TOLD = "#told"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "the Debian package chromium is not installed"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("shop"))
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture
def shop(services: Shop) -> Shop:
    """The shop, in which nothing has been done yet that a test counts."""
    services.begin()
    return services


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A person's browser: tabs that share what is kept."""
    made = chromium.new_context()
    made.set_default_timeout(1_000 * PATIENCE)
    yield made
    made.close()


class Tab:
    """A tab with the shop in it, and the requests for a redemption that it has sent."""

    def __init__(self, page: Page, shop: Shop) -> None:
        self.page = page
        self.shop = shop
        self.sent: list[str] = []
        self.errors: list[str] = []
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self) -> Tab:
        self.page.goto(f"{self.shop.url}/")
        self.ready()
        return self

    def ready(self) -> None:
        """Wait until the page can be used: its form has what the shop offers."""
        self.page.wait_for_selector("input[name=sku]")

    def click(self) -> None:
        """What a click does, also while the button is held."""
        self.page.locator(BUTTON).evaluate("button => button.click()")

    def until(self, state: str) -> str:
        """Wait until the page tells of this state; its words."""
        self.page.wait_for_selector(f"{TOLD}[data-state={state}]")
        return self.page.locator(TOLD).inner_text()

    def until_accepted(self) -> None:
        """Wait until the shop has accepted a request."""
        ends = time.monotonic() + PATIENCE
        while self.shop.accepted() != 1:
            assert time.monotonic() < ends, "the request was never accepted"
            self.page.wait_for_timeout(20)

    @property
    def state(self) -> str | None:
        return self.page.locator(TOLD).get_attribute("data-state")

    def _note(self, request: Request) -> None:
        if request.method == "POST":
            self.sent.append(request.headers["idempotency-key"])


@pytest.fixture
def tab(context: BrowserContext, shop: Shop) -> Iterator[Tab]:
    opened = Tab(context.new_page(), shop).open()
    yield opened
    assert opened.errors == []


@pytest.fixture
def another(context: BrowserContext, shop: Shop) -> Iterator[Callable[[], Tab]]:
    """Opens more tabs of the same browser."""
    opened: list[Tab] = []

    def open_one() -> Tab:
        opened.append(Tab(context.new_page(), shop).open())
        return opened[-1]

    yield open_one
    assert [error for one in opened for error in one.errors] == []


class Losing:
    """Lets the first requests get lost, on their way or with their answers: the page goes on waiting for them.

    It stays in place: Playwright would let go of what it holds when the last route is removed.
    """

    def __init__(self, *, count: int = 1, reaches: bool = True) -> None:
        self.left = count
        self.reaches = reaches

    def __call__(self, route: Route) -> None:
        if not self.left:
            route.continue_()
            return
        self.left -= 1
        if self.reaches:
            route.fetch()


@pytest.fixture(scope="session")
def page_of_the_module(chromium: Browser) -> Iterator[tuple[Page, str]]:
    """A page that has the module beside it, and its origin."""
    page, origin = chromium.new_page(), "http://shop.localhost"
    page.route("**/*", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    page.route("**/tieout.js", lambda route: route.fulfill(body=MODULE, content_type=TYPE))
    page.goto(f"{origin}/")
    yield page, origin
    page.close()
