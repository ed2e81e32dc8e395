"""Sessions of people who have logged in: what each role may, how they end, and what other sites cannot do with them."""

from __future__ import annotations

import hashlib

import httpx
import pytest

from tests.logins.house import told
from tests.server.conftest import ROLES, Place
from tests.server.node import inside, token, wait_for
from tests.server.test_access import ALLOWED, FOREIGN, MINE, MISSING, ask


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
