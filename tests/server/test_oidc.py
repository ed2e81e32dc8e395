"""People log in at an OpenID provider, a real one: what they get by it, and everything that gets nobody in."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import httpx
import pytest
from jwcrypto.jwk import JWK

from tests.server.conftest import ROLES, Place
from tests.server.node import SETTINGS, Node, inside, migrate, token, wait_for
from tests.server.test_access import ALLOWED, FOREIGN, MINE, MISSING, OPEN, ask
from tests.servers.openid import CLIENT, SECRET, Browser, OpenId, as_it_is
from tests.servers.process import free_port

AUDIENCE = "https://tieout.example/api"


@dataclass
class House:
    """A provider, a node whose people log in there, and their browsers."""

    openid: OpenId
    node: Node
    browsers: list[Browser]

    def browser(self) -> Browser:
        self.browsers.append(Browser(self.node.address))
        return self.browsers[-1]

    def person(self, name: str) -> Browser:
        """The browser of somebody who has logged in."""
        browser = self.browser()
        answer = browser.login(name)
        assert answer.status_code == 303, answer.text
        return browser

    def audit(self) -> list[dict]:
        with self.node.client(token(self.node.url, "auditor", "operator")) as http:
            return http.get("/v1/audit").json()["items"]


def settings(openid: OpenId, *more: str) -> str:
    roles = ", ".join(f'{role}s = "{role}"' for role in ROLES)
    return "\n".join(
        (
            SETTINGS,
            "[server.oidc]",
            f'issuer = "{openid.issuer}"',
            f'client_id = "{CLIENT}"',
            f"client_secret = {json.dumps(SECRET)}",
            f"roles = {{{roles}}}",
            'name_claim = "preferred_username"',
            f'audience = "{AUDIENCE}"',
            *more,
        )
    )


def made(folder: Path) -> House:
    port = free_port()
    (folder / "openid").mkdir()
    openid = OpenId(folder / "openid", f"http://127.0.0.1:{port}/v1/login/callback").start()
    node = Node(folder, migrate(f"sqlite:///{folder}/shop.db"), settings=settings(openid), port=port)
    return House(openid, node.start(), [])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = made(tmp_path_factory.mktemp("house"))
    yield house
    for browser in house.browsers:
        browser.close()
    house.node.kill()
    house.openid.close()


@pytest.fixture
def another(house: House, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Starts further nodes in the house, one at a time in the place of the first, with settings of their own."""
    nodes: list[Node] = []

    def start(*more: str) -> Node:
        for node in (house.node, *nodes):
            node.kill()
        nodes.append(Node(tmp_path, house.node.url, settings=settings(house.openid, *more), port=house.node.port))
        return nodes[-1].start()

    yield start
    for node in nodes:
        node.kill()
    house.node.start()


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


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


@pytest.mark.parametrize("whose", [MINE, FOREIGN, MISSING])
@pytest.mark.parametrize("role", ROLES)
def test_the_matrix_of_people(house, objects, role, whose):
    """Somebody who has logged in gets past the door of exactly the routes of their role."""
    with httpx.Client(
        base_url=house.node.address, headers={"Origin": house.node.address}, cookies=objects[role], timeout=60
    ) as http:
        for (method, path), roles in ALLOWED.items():
            status = ask(http, method, path, objects[whose])
            where = f"{method} {path} as {role} on {whose}: {status}"
            if role not in roles:
                assert status == 403, where
            else:
                assert status not in (401, 403) and status < 500, where
                if role == "client" and path.startswith("/v1/processes/{id}"):
                    assert (status == 200) is (whose == MINE), where


@pytest.fixture(scope="module")
def objects(house):
    """Cookies of a person of each role; a process that people have started, one of a stranger's, and none."""
    people = {role: house.person(f"one-{role}") for role in ROLES}
    start = {"json": {"user": "bob", "sku": "pending"}}
    mine = people["client"].http.post(
        "/v1/types/redeem/processes",
        headers={"Idempotency-Key": "people-1", "Origin": house.node.address, "Prefer": "wait=0"},
        **start,
    )
    with house.node.client(token(house.node.url, "stranger", "client")) as stranger:
        place = Place(house.node, {"stranger": stranger})
        foreign = place.started("pending", by="stranger")["id"]
    cookies = {role: dict(browser.http.cookies) for role, browser in people.items()}
    return {MINE: mine.json()["id"], FOREIGN: foreign, MISSING: "f" * 32, **cookies}


def test_only_these_routes_are_added(house):
    """With a provider there are three routes more, of which those that begin and end a log-in are open."""
    with house.node.client() as http:
        described = http.get("/v1/openapi.json").json()["paths"]
        assert http.post("/v1/logout").status_code == 401
    routes = {(method, path) for path, methods in described.items() for method in methods if path not in OPEN}
    assert routes - set(ALLOWED) == {("get", "/v1/login"), ("get", "/v1/login/callback"), ("post", "/v1/logout")}


def test_without_a_provider_there_is_no_way_in(place):
    """Where no provider is set, nothing of this is there, and a cookie says nothing."""
    assert place.nobody.get("/v1/login").status_code == 404
    assert place.nobody.get("/v1/login/callback", params={"state": "x", "code": "y"}).status_code == 404
    assert place.admin.post("/v1/logout").status_code == 404
    assert place.nobody.get("/v1/me", headers={"Cookie": f"tieout-session={'0' * 64}"}).status_code == 401


def test_who_has_no_role_gets_no_session(house):
    """Somebody none of whose groups has a role is refused, and is nobody afterwards."""
    browser = house.browser()
    assert told(browser.login("eve")) == (403, "forbidden")
    assert browser.http.cookies.get("tieout-session") is None
    assert browser.http.get("/v1/me").status_code == 401


def changed(address: str, **more: str) -> str:
    parts = urlsplit(address)
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()} | more
    return urlunsplit(parts._replace(query=urlencode({name: value for name, value in asked.items() if value})))


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


def claims_of(text: str) -> dict:
    body = text.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def none(openid: OpenId, claims: dict) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "typ": "JWT"}, claims)]
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def by_public_key(openid: OpenId, claims: dict) -> str:
    secret = base64.urlsafe_b64encode(openid.keys[0].export_to_pem()).rstrip(b"=").decode()
    return openid.signed(claims, JWK(kty="oct", k=secret), alg="HS256")


def by_client_secret(openid: OpenId, claims: dict) -> str:
    secret = base64.urlsafe_b64encode(SECRET.ljust(32).encode()).rstrip(b"=").decode()
    return openid.signed(claims, JWK(kty="oct", k=secret), alg="HS256")


FORGED: dict[str, Callable[[OpenId, dict], str]] = {
    "another nonce": lambda openid, claims: openid.signed(claims | {"nonce": "0" * 64}),
    "no nonce": lambda openid, claims: openid.signed({k: v for k, v in claims.items() if k != "nonce"}),
    "another audience": lambda openid, claims: openid.signed(claims | {"aud": "another"}),
    "several audiences": lambda openid, claims: openid.signed(claims | {"aud": [CLIENT, "another"]}),
    "another party": lambda openid, claims: openid.signed(claims | {"aud": [CLIENT, "another"], "azp": "another"}),
    "no audience": lambda openid, claims: openid.signed({k: v for k, v in claims.items() if k != "aud"}),
    "another issuer": lambda openid, claims: openid.signed(claims | {"iss": "https://evil.example"}),
    "expired": lambda openid, claims: openid.signed(claims | {"exp": int(time.time()) - 120}),
    "never expires": lambda openid, claims: openid.signed({k: v for k, v in claims.items() if k != "exp"}),
    "of tomorrow": lambda openid, claims: openid.signed(claims | {"iat": int(time.time()) + 86_400}),
    "no subject": lambda openid, claims: openid.signed({k: v for k, v in claims.items() if k != "sub"}),
    "another key": lambda openid, claims: openid.signed(claims, JWK.generate(kty="RSA", size=2048)),
    "an unknown key": lambda openid, claims: openid.signed(claims, JWK.generate(kty="RSA", size=2048), kid="unknown"),
    "the public key as a secret": by_public_key,
    "the client's secret": by_client_secret,
    "alg none": none,
    "no token": lambda *_: "no.token.atall",
    "cut off": lambda openid, claims: openid.signed(claims)[:-8],
}


@pytest.mark.parametrize("how", FORGED)
def test_a_forged_id_token_gets_nobody_in(house, how):
    """However an ID token is forged, the log-in fails, and nobody is logged in."""
    browser = house.browser()
    back = browser.at_provider("ann", browser.to_provider())

    def forged(answer: dict) -> dict:
        return answer | {"id_token": FORGED[how](house.openid, claims_of(answer["id_token"]))}

    with house.openid.changing("/token/", forged):
        answer = browser.http.get(back)
    assert told(answer) == (400, "login-failed")
    assert browser.http.cookies.get("tieout-session") is None


def test_what_the_forger_has_to_work_with_is_good(house):
    """The same token signed anew as it was is taken: what is refused above is refused for what was changed."""
    browser = house.browser()
    back = browser.at_provider("ann", browser.to_provider())

    def again(answer: dict) -> dict:
        return answer | {"id_token": house.openid.signed(claims_of(answer["id_token"]))}

    with house.openid.changing("/token/", again):
        assert browser.http.get(back).status_code == 303


def test_groups_are_asked_for_where_the_id_token_has_none(house):
    """Providers that tell groups only at their userinfo are asked there, and believed of the same person only."""

    def without(answer: dict) -> dict:
        claims = {name: value for name, value in claims_of(answer["id_token"]).items() if name != "groups"}
        return answer | {"id_token": house.openid.signed(claims)}

    browser = house.browser()
    with house.openid.changing("/token/", without):
        assert browser.login("ann").status_code == 303
    assert browser.http.get("/v1/me").json()["roles"] == ["operator"]
    browser = house.browser()
    back = browser.at_provider("ann", browser.to_provider())

    def another(path: str, body: bytes) -> bytes:
        if "/token/" in path:
            return json.dumps(without(json.loads(body))).encode()
        return json.dumps(json.loads(body) | {"sub": "another"}).encode() if "/userinfo/" in path else body

    before, house.openid.line.changed = house.openid.line.changed, another
    try:
        assert told(browser.http.get(back)) == (400, "login-failed")
    finally:
        house.openid.line.changed = before


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


def test_a_provider_that_is_another_one(house, another):
    """What says that it is another issuer, or has keys or addresses that cannot be used, is no provider of ours."""
    for change in (
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "http://evil.example/keys"},
    ):
        with house.openid.changing("openid-configuration", lambda answer, change=change: answer | change):
            another()
            assert told(house.browser().http.get("/v1/login")) == (503, "provider-unavailable")


def test_sessions_end_by_themselves(house, another):
    """A session ends when it was not used for a while, and at the latest after its life, however much it is used."""
    idle = house.person("ann")

    async def an_hour_ago(app):
        await app.database.transact(lambda tx: tx.execute("UPDATE tieout_session SET used = used - 3600000000"))

    assert idle.http.get("/v1/me").status_code == 200
    inside(house.node.url, an_hour_ago)
    wait_for(lambda: idle.http.get("/v1/me").status_code == 401, "the unused session to end")
    another("idle = 2", "life = 2")
    brief = house.person("ann")
    assert brief.http.get("/v1/me").status_code == 200
    wait_for(lambda: brief.http.get("/v1/me").status_code == 401, "the session's life to end")
    assert brief.http.get("/v1/login").status_code == 303


def test_somebody_logs_out(house):
    """After logging out the session counts no more, also for whoever kept its cookie; the audit tells."""
    browser = house.person("ann")
    kept = browser.http.cookies["tieout-session"]
    answer = browser.post("/v1/logout")
    assert answer.status_code == 200
    assert answer.json()["provider"].startswith(f"{house.openid.issuer}/logout/?client_id=")
    assert browser.http.cookies.get("tieout-session") is None
    with house.node.client(cookies={"tieout-session": kept}) as http:
        assert told(http.get("/v1/me")) == (401, "not-authenticated")
        assert http.post("/v1/logout", headers={"Origin": house.node.address}).status_code == 401
    row = house.audit()[0]
    assert (row["action"], row["actor"], row["reason"]) == ("logout", "user:ann", "logged out")


def test_tokens_do_not_log_out(house):
    """A token has no session that could be ended."""
    with house.node.client(token(house.node.url, "somebody", "viewer")) as http:
        assert told(http.post("/v1/logout")) == (409, "not-allowed")


COUNT = {"json": {"command": "hold"}}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
    ],
    ids=str,
)
def test_other_sites_cannot_act_in_a_persons_name(house, headers):
    """What another site makes a browser send changes nothing: not with its origin, and not without any."""
    browser = house.person("ann")
    assert told(browser.http.post("/v1/bulk/count", headers=headers, **COUNT)) == (400, "invalid-request")
    assert told(browser.http.post("/v1/logout", headers=headers)) == (400, "invalid-request")
    assert browser.http.get("/v1/me", headers=headers).status_code == 200


@pytest.mark.parametrize("headers", [{"Origin": "own"}, {"Sec-Fetch-Site": "same-origin"}], ids=str)
def test_our_own_pages_can(house, objects, headers):
    """A page of this server may act in its person's name, and what is done is theirs in the audit."""
    browser = house.person("ann")
    sent = {name: house.node.address if value == "own" else value for name, value in headers.items()}
    for command in ("hold", "resume"):
        url = f"/v1/processes/{objects[MINE]}/{command}"
        assert browser.http.post(url, headers=sent, json={"reason": "to see"}).status_code == 200
        row = house.audit()[0]
        assert (row["action"], row["actor"], row["object"]) == (command, "user:ann", objects[MINE])


@pytest.mark.parametrize(
    "back",
    ["https://evil.example", "evil", "", "/a b", "/a\r\nSet-Cookie: x=y", "/\\evil.example", "/\x00", "/ä"],
    ids=repr,
)
def test_nobody_is_sent_elsewhere(house, back):
    """The way back is a path of this server's: everything else is refused."""
    with house.node.client() as http:
        assert told(http.get("/v1/login", params={"back": back})) == (400, "login-failed")


def test_two_slashes_lead_nowhere_else(house):
    """A path that browsers would take for another host's stands behind our own address."""
    browser = house.browser()
    answer = browser.login("ann", "//evil.example/x")
    assert answer.headers["location"] == f"{house.node.address}//evil.example/x"


@pytest.mark.parametrize(
    "cookie", ["0" * 64, "g" * 64, "", "0" * 63, "0" * 64 + "; tieout-session=" + "1" * 64], ids=str
)
def test_made_up_sessions_do_not_count(house, cookie):
    """A session is one that was begun; anything else is nobody, or refused."""
    with house.node.client() as http:
        assert http.get("/v1/me", headers={"Cookie": f"tieout-session={cookie}"}).status_code in (401, 429)


def test_sessions_are_not_stored(house):
    """The database holds the digest of a session, not what the browser sends."""
    kept = house.person("ann").http.cookies["tieout-session"]
    whole = b"".join(path.read_bytes() for path in house.node.folder.glob("shop.db*"))
    assert kept.encode() not in whole
    assert bytes.fromhex(kept) not in whole
    assert hashlib.sha256(bytes.fromhex(kept)).digest() in whole


def program_claims(house: House, **more) -> dict:
    now = int(time.time())
    claims = {"iss": house.openid.issuer, "aud": AUDIENCE, "sub": "billing", "client_id": "billing"}
    return claims | {"iat": now, "exp": now + 60, "groups": ["viewers"], **more}


def test_programs_bring_the_providers_tokens(house):
    """An access token of the provider's, made for this API, is its bearer: a program by its id, a person by name."""
    with house.node.client(house.openid.signed(program_claims(house), typ="at+jwt")) as http:
        me = http.get("/v1/me").json()
        assert (me["name"], me["client"], me["roles"]) == ("client:billing", "oidc:billing", ["viewer"])
    personal = program_claims(house, sub="17", preferred_username="ann", groups=["operators"])
    with house.node.client(house.openid.signed(personal)) as http:
        assert http.get("/v1/me").json()["name"] == "user:ann"
        assert http.post("/v1/bulk/count", **COUNT).status_code == 200


@pytest.mark.parametrize(
    ("more", "header"),
    [
        ({"aud": CLIENT}, {}),
        ({"aud": "another"}, {}),
        ({"iss": "https://evil.example"}, {}),
        ({"exp": 1}, {}),
        ({}, {"typ": "logout+jwt"}),
        ({}, {"kid": "unknown"}),
    ],
    ids=str,
)
def test_other_tokens_of_the_providers_do_not_count(house, more, header):
    """An ID token, one for another API, of another issuer, an expired one, or one of another kind opens nothing."""
    with house.node.client(house.openid.signed(program_claims(house, **more), **header)) as http:
        assert http.get("/v1/me").status_code in (401, 429)


def test_a_program_without_a_role_is_refused(house):
    """A token that counts, of somebody none of whose groups has a role, may do nothing."""
    with house.node.client(house.openid.signed(program_claims(house, groups=["others"]))) as http:
        assert told(http.get("/v1/me")) == (403, "forbidden")


def test_nothing_secret_is_logged(house):
    """The log of the node holds no session, code, state, ID token or secret of all these log-ins."""
    browser = house.browser()
    back = browser.at_provider("ann", browser.to_provider())
    browser.http.get(back)
    log = house.node.log.read_text()
    asked = parse_qs(urlsplit(back).query)
    for secret in (browser.http.cookies["tieout-session"], asked["code"][0], asked["state"][0], SECRET, "eyJ"):
        assert secret not in log
