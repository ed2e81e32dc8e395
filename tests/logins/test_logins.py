"""People log in at an OpenID provider, a real one: what they get by it, and every answer that gets nobody in."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from jwcrypto.jwk import JWK

from tests.logins.house import changed, program_claims, told
from tests.server.node import token, wait_for
from tests.server.test_access import ALLOWED, OPEN
from tests.servers.openid import CLIENT, SECRET, as_it_is
from tieout.errors import ProviderUnavailable
from tieout.server.provider import Provider
from tieout.server.settings import Oidc


def test_somebody_logs_in(house):
    """The code flow with PKCE: a session of the person's name and roles, told in the audit; then they are sent on."""
    browser = house.browser()
    address = browser.to_provider("/v1/types?x=%20y")
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"]) == 43
    assert len(asked["nonce"]) == 64
    answer = browser.http.get(browser.at_provider("ann", address))
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{house.node.address}/v1/types?x=%20y"
    me = browser.http.get("/v1/me").json()
    assert (me["name"], me["roles"], me["client"]) == ("user:ann", ["operator"], "people")
    row = next(row for row in house.audit() if row["action"] == "login")
    assert (row["actor"], row["reason"]) == ("user:ann", f"logged in at {house.openid.issuer}")


def test_cookies_are_out_of_reach(house):
    """A session's cookie is for this host alone, out of reach of scripts and of others' posts; the log-in's goes."""
    browser = house.browser()
    cookies = browser.login("ann").headers.get_list("set-cookie")
    session, login = sorted(cookies, key=lambda one: "login" in one.partition("=")[0])
    for part in ("HttpOnly", "Path=/", "SameSite=lax", "Max-Age=43200"):
        assert part in session
    assert "Domain" not in session
    assert "Max-Age=0" in login
    assert browser.http.cookies.get("tieout-login") is None


def test_only_these_routes_are_added(house):
    """With a provider there are three routes more, of which those that begin and end a log-in are open."""
    with house.node.client() as http:
        described = http.get("/v1/openapi.json").json()["paths"]
        assert http.post("/v1/logout").status_code == 401
    routes = {(method, path) for path, methods in described.items() for method in methods if path not in OPEN}
    assert routes - set(ALLOWED) == {("get", "/v1/login"), ("get", "/v1/login/callback"), ("post", "/v1/logout")}


def test_who_has_no_role_gets_no_session(house):
    """Somebody none of whose groups has a role is refused, and is nobody afterwards."""
    browser = house.browser()
    assert told(browser.login("eve")) == (403, "forbidden")
    assert browser.http.cookies.get("tieout-session") is None
    assert browser.http.get("/v1/me").status_code == 401


@pytest.mark.parametrize(
    "more",
    [
        {"state": "x" * 43},
        {"state": ""},
        {"code": ""},
        {"code": "made-up"},
        {"iss": "https://evil.example"},
        {"iss": ""},
        {"error": "access_denied", "code": ""},
    ],
    ids=str,
)
def test_another_answer_gets_nobody_in(house, more):
    """A wrong or missing state, code or issuer, and the provider's refusal: nobody is logged in."""
    browser = house.browser()
    back = browser.at_provider("ann", browser.to_provider())
    assert told(browser.http.get(changed(back, **more))) == (400, "login-failed")
    assert browser.http.cookies.get("tieout-session") is None


def test_an_answer_counts_in_its_own_browser_only(house):
    """A link with somebody's code and state logs nobody in elsewhere: without a log-in there, or within another."""
    attacker, victim = house.browser(), house.browser()
    link = attacker.at_provider("ann", attacker.to_provider())
    assert told(victim.http.get(link)) == (400, "login-failed")
    victim.to_provider()
    assert told(victim.http.get(link)) == (400, "login-failed")
    assert victim.http.get("/v1/me").status_code == 401


@pytest.mark.parametrize("change", ["back", "time", "state"])
def test_a_log_in_begun_elsewhere_does_not_count(house, change):
    """The cookie of a log-in is this server's own: another time, state or way back in it is noticed."""
    browser = house.browser()
    back = browser.at_provider("ann", browser.to_provider())
    state, began, mac, way = browser.http.cookies["tieout-login"].split(".", 3)
    other = {
        "back": (state, began, mac, "%2Fv1%2Faudit"),
        "time": (state, str(int(began) + 1), mac, way),
        "state": ("A" * 43, began, mac, way),
    }[change]
    browser.http.cookies.set("tieout-login", ".".join(other), domain="127.0.0.1", path="/")
    link = changed(back, state=other[0])
    with house.node.client(cookies={"tieout-login": ".".join(other)}) as http:
        assert told(http.get(link)) == (400, "login-failed")


def test_a_code_is_good_once(house):
    """The same answer again: not when the log-in is over, not for the provider, nor if that were fooled."""
    granted: list[bytes] = []
    browser = house.browser()
    back = browser.at_provider("ann", browser.to_provider())
    begun = browser.http.cookies["tieout-login"]
    house.openid.line.changed = lambda path, body: (granted.append(body) or body) if "/token/" in path else body
    assert browser.http.get(back).status_code == 303
    assert told(browser.http.get(back)) == (400, "login-failed")
    with house.node.client(cookies={"tieout-login": begun}) as http:
        house.openid.line.changed = as_it_is
        assert "invalid_grant" in http.get(back).json()["detail"]
        with house.openid.changing("/token/", lambda _: json.loads(granted[0])):
            house.openid.line.status = 200
            again = http.get(back)
            house.openid.line.status = 0
    assert told(again) == (400, "login-failed")
    assert "finished before" in again.json()["detail"]


@pytest.mark.parametrize(
    "back",
    ["https://evil.example", "evil", "", "/a b", "/a\r\nSet-Cookie: x=y", "/\\evil.example", "/ä"],
    ids=repr,
)
def test_nobody_is_sent_elsewhere(house, back):
    """The way back is a path of this server's: everything else is refused."""
    with house.node.client() as http:
        assert told(http.get("/v1/login", params={"back": back})) == (400, "login-failed")
        assert told(http.get("/v1/login", params={"back": "/\x00"})) == (400, "invalid-request")


def test_two_slashes_lead_nowhere_else(house):
    """A path that browsers would take for another host's stands behind our own address."""
    browser = house.browser()
    answer = browser.login("ann", "//evil.example/x")
    assert answer.headers["location"] == f"{house.node.address}//evil.example/x"


@pytest.mark.parametrize("keeping", [True, False])
def test_keys_are_rotated(house, keeping):
    """A provider that signs with a new key is believed at once, whether the old one is still told of or not."""
    assert house.person("ann").http.get("/v1/me").status_code == 200
    house.openid.rotate(keeping=keeping)
    wait_for(lambda: house.browser().login("ann").status_code == 303, "a log-in by the new key")


def test_made_up_keys_do_not_make_the_provider_be_asked(house):
    """Tokens that name unknown keys, as anybody can send, do not make a node ask the provider each time."""
    forged = house.openid.signed(program_claims(house), JWK.generate(kty="RSA", size=2048), kid="unknown")
    house.openid.line.asked.clear()
    with house.node.client(forged) as http:
        statuses = {http.get("/v1/me").status_code for _ in range(30)}
    assert statuses <= {401, 429}
    assert len([path for path in house.openid.line.asked if "jwks" in path]) < 10


def test_a_provider_that_is_down(house, another):
    """Logging in is a clear 503 then; sessions and tokens go on; when it is back, so is logging in."""
    person = house.person("ann")
    lasting = token(house.node.url, "somebody", "viewer")
    cut = house.browser()
    back = cut.at_provider("ann", cut.to_provider())
    house.openid.line.is_cut = True
    answer = cut.http.get(back)
    assert told(answer) == (503, "provider-unavailable")
    assert answer.headers["retry-after"]
    another()
    try:
        assert told(house.browser().http.get("/v1/login")) == (503, "provider-unavailable")
        assert person.http.get("/v1/me").json()["name"] == "user:ann"
        with house.node.client(lasting) as http:
            assert http.get("/v1/me").status_code == 200
        assert person.post("/v1/logout").json() == {"provider": None}
    finally:
        house.openid.line.is_cut = False
    wait_for(lambda: house.browser().http.get("/v1/login").status_code == 303, "the provider")


async def test_a_provider_that_is_another_one(house):
    """What says that it is another issuer, or has keys or addresses that cannot be used, is no provider of ours."""
    oidc = Oidc(issuer=house.openid.issuer, client_id=CLIENT, client_secret=SECRET)
    assert (await Provider(oidc, SECRET).metadata()).issuer == house.openid.issuer
    for part, change in (
        ("openid-configuration", {"issuer": "https://evil.example"}),
        ("openid-configuration", {"token_endpoint": "http://evil.example/token"}),
        ("openid-configuration", {"jwks_uri": "http://evil.example/keys"}),
        ("jwks.json", {"keys": []}),
        ("jwks.json", {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "x"}]}),
        ("jwks.json", {"keys": "none"}),
    ):
        lying = house.openid.changing(part, lambda answer, change=change: answer | change)
        with lying, pytest.raises(ProviderUnavailable):
            await Provider(oidc, SECRET).metadata()


def test_nothing_secret_is_logged(house):
    """The log of the node holds no session, code, state, ID token or secret of all these log-ins."""
    browser = house.browser()
    back = browser.at_provider("ann", browser.to_provider())
    browser.http.get(back)
    log = house.node.log.read_text()
    asked = parse_qs(urlsplit(back).query)
    for secret in (browser.http.cookies["tieout-session"], asked["code"][0], asked["state"][0], SECRET, "eyJ"):
        assert secret not in log
