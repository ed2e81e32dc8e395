"""The module against the HTTP API itself: as `tieout serve` has it, followed by hints and without them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

import tieout
from tests.browser.shop import Shop
from tieout.access import Tokens

REDEEM = """async ([token, events, wait]) => {
    const { Intent } = await import("/v1/tieout.js");
    const intent = new Intent("redeem", {
        url: "/v1/types/redeem/processes",
        headers: async () => ({ Authorization: `Bearer ${token}` }),
        events,
        wait,
    });
    const seen = [];
    intent.addEventListener("change", () => seen.push(intent.view.state));
    const view = await intent.submit({ user: "visitor", sku: "mug", quantity: 1 });
    return { seen, state: view.state, result: view.answer?.result, code: view.problem?.code };
}"""


@pytest.fixture(scope="session")
def token(services: Shop) -> str:
    """A client's; made in a thread, since Playwright has a loop running in this one."""

    async def work() -> str:
        async with tieout.App(services.db, sweep=False, migrate=False) as app:
            tokens = Tokens(app.database, app.operate.audit, app.engine.world.clock)
            made = await tokens.create("shop", ("client",), lifetime=10**12, actor="tests", reason="a test")
            return made.text

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


@pytest.fixture
def api(context, shop):
    """A page of the API's own origin, whose policy allows scripts of its host alone."""
    page = context.new_page()
    page.goto(f"{shop.api}/v1/docs")
    return page


@pytest.mark.parametrize("events", ["/v1/events?topics=process", None])
def test_a_redemption(api, shop, token, events):
    """Accepted, followed where it is, and final: by hints, and by looking now and then."""
    shop.plan(answer="pending")
    asked: list[str] = []
    api.on("request", lambda request: asked.append(f"{request.method} {request.url.removeprefix(shop.api)}"))
    told = api.evaluate(REDEEM, [token, events, 0])
    assert told["state"] == "done" and told["result"]["sku"] == "mug"
    assert told["seen"][0] == "sending" and "waiting" in told["seen"] and told["seen"][-1] == "done"
    assert ("GET /v1/events?topics=process" in asked) is (events is not None)
    shop.check_redeemed()


def test_hints_spare_looks(api, shop, token):
    """While hints come, it looks when one has come, and not every second."""
    shop.plan(answer="pending")
    looks: list[str] = []
    api.on("request", lambda request: looks.append(request.url) if "/v1/processes/" in request.url else None)
    assert api.evaluate(REDEEM, [token, "/v1/events?topics=process", 0])["state"] == "done"
    assert 1 <= len(looks) <= 5
    shop.check_redeemed()


def test_hints_that_do_not_come(api, shop, token):
    """A stream that breaks again and again holds up nothing."""
    shop.plan(answer="pending")
    api.route("**/v1/events*", lambda route: route.abort())
    assert api.evaluate(REDEEM, [token, "/v1/events?topics=process", 0])["state"] == "done"
    shop.check_redeemed()


def test_the_server_waits(api, shop, token):
    """Asked to wait by `Prefer`, the server answers when it is final: no look is needed."""
    shop.plan(answer="pending")
    assert api.evaluate(REDEEM, [token, None, 20])["state"] == "done"
    shop.check_redeemed()


def test_without_a_token(api, shop):
    """Nobody is let in without a token: the page is told, and nothing was done."""
    told = api.evaluate(REDEEM, ["tieout_wrong", None, 0])
    assert (told["state"], told["code"]) == ("stopped", "not-authenticated")
    shop.check_untouched()


def test_the_module_is_kept(context, shop):
    """The module is asked for again only with its mark, and 304 answers that."""
    first = context.request.get(f"{shop.api}/v1/tieout.js")
    mark = first.headers["etag"]
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert first.headers["cache-control"] == "public, max-age=600"
    again = context.request.get(f"{shop.api}/v1/tieout.js", headers={"If-None-Match": f'W/"x", {mark}'})
    assert (again.status, again.body(), again.headers["etag"]) == (304, b"", mark)
    assert context.request.get(f"{shop.url}/tieout.js").body() == first.body()
