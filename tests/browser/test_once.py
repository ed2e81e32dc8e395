"""Whatever a person or the network does to the page, it ends with one redemption in the databases."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route

from tests.browser.conftest import BUTTON, Losing

REDEEM = "**/redeem"


def test_a_click(tab, shop):
    """One click: one redemption, whose code is told; the account has less."""
    assert tab.state == "idle"
    tab.page.click(BUTTON)
    assert tab.until("done").startswith("Done: 1 x mug, code ")
    tab.page.locator("#points", has_text="4,880").wait_for()
    shop.check_redeemed()


def test_a_double_click(tab, shop):
    """Clicked twice in a moment, and a third time after the end: one request id, one redemption."""
    tab.page.dblclick(BUTTON)
    tab.until("done")
    tab.click()
    assert len(tab.sent) == 1
    shop.check_redeemed()


def test_a_third_redemption_is_wanted(tab, shop):
    """What begins the next intent is a person's wish for another: the button for that, or a changed form."""
    tab.page.click(BUTTON)
    tab.until("done")
    tab.page.click("button[type=reset]")
    assert tab.until("idle") == ""
    tab.page.click(BUTTON)
    tab.until("done")
    tab.page.fill("input[name=quantity]", "3")
    tab.until("idle")
    tab.page.fill("input[name=quantity]", "1")
    tab.page.click(BUTTON)
    tab.until("done")
    assert len(set(tab.sent)) == 3
    shop.check_redeemed(3)


def test_reloaded_when_the_answer_had_not_come(tab, shop):
    """The server has it, the page has not heard: after the reload the same id brings the first answer."""
    tab.page.route(REDEEM, Losing())
    tab.page.click(BUTTON)
    tab.until_accepted()
    assert tab.state == "sending"
    tab.page.reload()
    tab.until("done")
    assert len(tab.sent) == 2 and len(set(tab.sent)) == 1
    shop.check_redeemed()


def test_reloaded_before_the_request_had_left(tab, shop):
    """What a person has clicked is done, although the page was reloaded before anything reached the server."""
    tab.page.route(REDEEM, Losing(reaches=False))
    tab.page.fill("input[name=quantity]", "2")
    tab.page.click(BUTTON)
    tab.until("sending")
    shop.check_untouched()
    tab.page.reload()
    assert tab.until("done").startswith("Done: 2 x mug")
    assert tab.page.locator("input[name=quantity]").input_value() == "2"
    assert len(set(tab.sent)) == 1
    shop.check_redeemed(points=240)


def test_reloaded_while_the_prize_is_issued(tab, shop):
    """Accepted and not final: after the reload the page looks where it is, and sends nothing again."""
    shop.plan(answer="pending")
    tab.page.click(BUTTON)
    tab.until("waiting")
    tab.page.reload()
    tab.until("done")
    assert len(tab.sent) == 1
    shop.check_redeemed()


def test_reloaded_after_the_end(tab, shop):
    """What was done is still told after a reload, and a click on the same form does nothing."""
    tab.page.click(BUTTON)
    words = tab.until("done")
    tab.page.reload()
    assert tab.until("done") == words
    tab.click()
    assert len(tab.sent) == 1
    shop.check_redeemed()


def test_the_back_button(tab, shop):
    """Left in the middle and come back to: it goes on with the same id; and after the end nothing is sent again."""
    tab.page.route(REDEEM, Losing())
    tab.page.click(BUTTON)
    tab.until_accepted()
    tab.page.goto(f"{shop.url}/account")
    tab.page.go_back()
    words = tab.until("done")
    tab.page.goto(f"{shop.url}/account")
    tab.page.go_back()
    assert tab.until("done") == words
    assert len(tab.sent) == 2 and len(set(tab.sent)) == 1
    shop.check_redeemed()


def test_two_tabs_at_once(tab, another, shop):
    """The same clicked in two tabs: one tab sends it, both tell the same."""
    second = another()
    shop.plan(answer="pending")
    tab.click()
    second.click()
    assert tab.until("done") == second.until("done")
    assert len(tab.sent) + len(second.sent) == 1
    shop.check_redeemed()


def test_the_tab_that_sends_is_closed(tab, another, shop):
    """The other tab goes on with it by itself, with the same id."""
    second = another()
    tab.page.route(REDEEM, Losing())
    tab.page.click(BUTTON)
    tab.until_accepted()
    second.until("sending")
    tab.page.close()
    second.until("done")
    assert second.sent == tab.sent
    shop.check_redeemed()


def test_something_else_in_the_second_tab(tab, another, shop):
    """While one thing is open, another one is not sent, and the person is told; what is open goes on."""
    second = another()
    second.page.fill("input[name=quantity]", "5")
    tab.page.route(REDEEM, Losing())
    tab.page.click(BUTTON)
    tab.until_accepted()
    second.until("sending")
    view = second.page.evaluate(
        """async () => {
            const { Intent } = await import("./tieout.js");
            const view = await new Intent("redeem/visitor", { url: "redeem" }).submit({ quantity: 5 });
            return [view.state, view.problem.code];
        }"""
    )
    assert view == ["refused", "params-changed"]
    assert second.sent == []
    tab.page.close()
    second.until("done")
    shop.check_redeemed()


def test_the_network_is_lost(tab, context, shop):
    """Offline: the page says so and keeps the request; online again, it goes on by itself."""
    context.set_offline(True)
    tab.page.click(BUTTON)
    assert "offline" in tab.until("retrying")
    shop.check_untouched()
    context.set_offline(False)
    tab.until("done")
    assert len(set(tab.sent)) == 1
    shop.check_redeemed()


def test_the_network_is_lost_after_the_request_was_sent(tab, context, shop):
    """The answer is lost on its way: the same id again brings it, with one redemption."""

    def cut(route: Route) -> None:
        route.fetch()
        context.set_offline(True)
        route.abort("internetdisconnected")

    tab.page.route(REDEEM, cut, times=1)
    tab.page.click(BUTTON)
    tab.until("retrying")
    assert shop.accepted() == 1
    context.set_offline(False)
    tab.until("done")
    assert len(tab.sent) > 1 and len(set(tab.sent)) == 1
    shop.check_redeemed()


def test_the_server_is_killed_in_the_middle(tab, shop):
    """Killed (-9) when it had accepted the request and not answered: started again, it is asked with the same id."""
    shop.plan(answer="slow", query="slow")
    tab.page.click(BUTTON)
    tab.until_accepted()
    shop.mall.kill()
    assert "nothing is taken twice" in tab.until("retrying")
    shop.plan(answer="plain")
    shop.mall.start()
    tab.until("done")
    assert len(set(tab.sent)) == 1
    shop.check_redeemed()


def test_the_server_is_killed_while_it_is_followed(tab, shop):
    """Accepted and told so; killed and started again, the page finds it where it is, and sends nothing again."""
    shop.plan(answer="pending")
    tab.page.click(BUTTON)
    tab.until("waiting")
    shop.mall.kill()
    tab.until("retrying")
    shop.mall.start()
    tab.until("done")
    assert len(tab.sent) == 1
    shop.check_redeemed()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_cannot_answer(tab, shop, status):
    """It is asked again when it has said, with the same id, until it can."""
    tab.page.route(REDEEM, lambda route: route.fulfill(status=status, headers={"Retry-After": "1"}), times=1)
    tab.page.click(BUTTON)
    assert "busy" in tab.until("retrying")
    tab.until("done")
    assert len(tab.sent) == 2 and len(set(tab.sent)) == 1
    shop.check_redeemed()


def test_an_answer_that_is_none(tab, shop):
    """A page of somebody's in place of the answer, with status 200, is no result: the same is asked again."""
    page = "<!doctype html><title>Welcome to our hotel</title>"
    tab.page.route(REDEEM, lambda route: route.fulfill(status=200, content_type="text/html", body=page), times=1)
    tab.page.click(BUTTON)
    assert "made no sense" in tab.until("retrying")
    tab.until("done")
    shop.check_redeemed()


def test_a_browser_that_keeps_nothing(context, shop, tab):
    """Where nothing may be stored, a double click is still one redemption."""
    tab.page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })")
    tab.page.reload()
    tab.ready()
    tab.page.dblclick(BUTTON)
    tab.until("done")
    assert len(tab.sent) == 1
    shop.check_redeemed()
