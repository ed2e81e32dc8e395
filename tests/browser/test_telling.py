"""What the page tells when nothing was done, or nothing is known, and how it is used without a mouse."""

from __future__ import annotations

import json

import pytest

from tests.browser.conftest import BUTTON, Losing

REDEEM = "**/redeem"
JUDGE = """async ([status, headers, text, following]) => {
    const { judge } = await import("./tieout.js");
    const response = new Response(status === 204 ? null : text, { status, headers });
    Object.defineProperty(response, "url", { value: location.href });
    let body;
    try { body = JSON.parse(text); } catch {}
    const { then, isHeld, location: at, isLost, after } = judge(response, body, following);
    return { then, isHeld, at, isLost, after };
}"""


def test_refused(tab, shop):
    """Too few points: told why, nothing was taken, and the next click is another intent."""
    tab.page.check("input[value=bicycle]")
    tab.page.click(BUTTON)
    assert tab.until("refused") == "Not done: not enough points. No points were taken."
    shop.check_untouched()
    tab.page.check("input[value=mug]")
    tab.page.click(BUTTON)
    tab.until("done")
    assert len(set(tab.sent)) == 2
    shop.check_redeemed()


def test_params_changed(tab, shop):
    """The server knows the id with other params: told to the person, and nothing is done a second time."""
    tab.page.route(REDEEM, Losing())
    tab.page.click(BUTTON)
    tab.until_accepted()
    tab.page.evaluate(
        """() => {
            const record = JSON.parse(localStorage.getItem("tieout:redeem/visitor"));
            record.params.quantity = 7;
            localStorage.setItem("tieout:redeem/visitor", JSON.stringify(record));
        }"""
    )
    tab.page.reload()
    assert "Nothing else was sent" in tab.until("refused")
    shop.check_redeemed()


def test_refunded(tab, shop):
    """The prize cannot be issued: the points are back, and the page says so."""
    shop.plan(result="refused")
    tab.page.click(BUTTON)
    assert tab.until("done") == "The prize could not be issued. Your points are back."
    assert shop.points() == 5_000


def test_logged_out(tab, shop):
    """A log-in that has expired does not end the intent: what became of it is not known, and it goes on with its id."""
    tab.page.route(REDEEM, lambda route: route.fulfill(status=401, json={"code": "not-authenticated"}), times=1)
    tab.page.click(BUTTON)
    assert "not known" in tab.until("stopped")
    tab.page.reload()
    tab.until("stopped")
    tab.page.click(BUTTON)
    tab.until("done")
    assert len(tab.sent) == 2 and len(set(tab.sent)) == 1
    shop.check_redeemed()


def test_given_up_by_the_person(tab, shop):
    """What is stopped is forgotten when the person says so; a changed form alone does not forget it."""
    tab.page.route(REDEEM, lambda route: route.fulfill(status=403, json={"code": "forbidden"}), times=1)
    tab.page.click(BUTTON)
    tab.until("stopped")
    tab.page.fill("input[name=quantity]", "2")
    assert tab.state == "stopped"
    tab.page.click("#abandon")
    tab.until("idle")
    tab.page.fill("input[name=quantity]", "1")
    tab.page.click(BUTTON)
    tab.until("done")
    assert len(set(tab.sent)) == 2


def test_begun_long_ago(tab, shop):
    """What was begun more than an hour ago and never answered is not sent by a reload: the person is asked."""
    record = {"id": "0" * 32, "params": {"user": "visitor", "sku": "mug", "quantity": 1}, "at": 1, "state": "open"}
    text = json.dumps({**record, "location": None})
    tab.page.evaluate("text => localStorage.setItem('tieout:redeem/visitor', text)", text)
    tab.page.reload()
    assert "some time ago" in tab.until("stopped")
    assert tab.sent == []
    tab.page.click(BUTTON)
    tab.until("done")
    assert tab.sent == [f'"{"0" * 32}"']
    shop.check_redeemed()


def test_held_by_a_contradiction(tab, shop):
    """A prize that nobody asked for: the page says that a person looks at it; clicks and reloads send nothing."""
    shop.plan(result="mislabelled")
    tab.page.click(BUTTON)
    assert "a person looks at it" in tab.until("held")
    tab.click()
    tab.page.reload()
    tab.until("held")
    tab.click()
    assert len(tab.sent) == 1
    assert shop.accepted() == 1


def test_by_keyboard(tab, shop):
    """The form is used with keys alone; the button keeps the focus while it is held, and the end is announced."""
    tab.page.locator("input[name=sku]").first.focus()
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Tab")
    tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("Enter")
    tab.until("done")
    told = tab.page.locator("#told")
    assert told.get_attribute("role") == "status"
    focused = tab.page.evaluate("[document.activeElement.type, document.activeElement.getAttribute('aria-disabled')]")
    assert focused == ["submit", "true"]
    shop.check_redeemed()


def test_held_in_flight(tab, shop):
    """While it is under way, the form is marked busy and its button held; at the end it is busy no more."""
    tab.page.route(REDEEM, Losing())
    tab.page.click(BUTTON)
    tab.until_accepted()
    marks = "[form.getAttribute('aria-busy'), form.querySelector('[type=submit]').getAttribute('aria-disabled')]"
    look = f"() => {{ const form = document.querySelector('form'); return {marks}; }}"
    assert tab.page.evaluate(look) == ["true", "true"]
    tab.page.reload()
    tab.until("done")
    assert tab.page.evaluate(look) == ["false", "true"]


def test_nothing_comes_from_elsewhere(context, shop):
    """The page asks no other host, and its policy allows neither that nor scripts of its own text."""
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(f"{shop.url}/")
    page.wait_for_selector("input[name=sku]")
    assert asked and all(url.startswith((shop.url, "data:")) for url in asked)
    assert "script-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("status", "headers", "text", "following", "meant"),
    [
        (200, {}, '{"status": "final"}', False, {"then": "done"}),
        (201, {}, "[1]", False, {"then": "done"}),
        (204, {}, "", False, {"then": "done"}),
        (200, {}, "<html>", False, {"then": "again", "after": 0}),
        (202, {"Location": "/x"}, "{}", False, {"then": "follow", "isHeld": False, "at": "/x", "after": 0}),
        (201, {"Location": "/x"}, '{"status": "running"}', False, {"then": "follow", "isHeld": False, "at": "/x"}),
        (202, {"Location": "/x"}, '{"status": "held"}', False, {"then": "follow", "isHeld": True, "at": "/x"}),
        (202, {"Location": "https://elsewhere.example/x"}, "{}", False, {"then": "follow", "at": None}),
        (409, {}, "", False, {"then": "again"}),
        (409, {}, '{"code": "in-flight"}', False, {"then": "again"}),
        (409, {}, '{"code": "params-changed"}', False, {"then": "refused"}),
        (422, {}, '{"code": "params-changed"}', False, {"then": "refused"}),
        (410, {}, '{"code": "key-retired"}', False, {"then": "refused"}),
        (404, {}, "", False, {"then": "stopped"}),
        (404, {}, "", True, {"then": "again", "isLost": True}),
        (401, {}, "", False, {"then": "stopped"}),
        (408, {}, "", False, {"then": "again"}),
        (425, {}, "", False, {"then": "again"}),
        (429, {"Retry-After": "7"}, "", False, {"then": "again", "after": 7}),
        (503, {"Retry-After": "99999"}, "", False, {"then": "again", "after": 300}),
        (503, {"Retry-After": "soon"}, "", False, {"then": "again", "after": 0}),
        (503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, "", False, {"then": "again", "after": 0}),
    ],
)
def test_what_an_answer_means(page_of_the_module, status, headers, text, following, meant):
    """Each status: done, to be followed, refused, stopped, or to be asked again after so long."""
    page, origin = page_of_the_module
    found = page.evaluate(JUDGE, [status, headers, text, following])
    if meant.get("at"):
        meant = {**meant, "at": origin + meant["at"]}
    assert {name: found.get(name) for name in meant} == meant
