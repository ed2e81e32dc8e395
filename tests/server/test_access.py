"""Who may do what: every route, every role, one's own objects and others'; deny by default."""

from __future__ import annotations

import re

import pytest

import tieout
from tests.server.conftest import ROLES
from tests.server.node import inside, token, wait_for
from tieout.access import Tokens
from tieout.errors import NotAuthenticated
from tieout.server import asgi
from tieout.server.auth import Doorkeeper
from tieout.server.settings import Proxy, Settings

MINE, FOREIGN, MISSING = "mine", "foreign", "missing"
OPEN = {"/healthz", "/readyz", "/version", "/v1/report/{call_key}", "/v1/push/{supplier}"}
UNTOLD = {"/v1/docs", "/v1/docs/{name}", "/v1/openapi.json", "/v1/tieout.js"}
"""Not described, and open: the description itself, its viewer, and the client for browsers."""

READERS = {"viewer", "operator", "approver", "admin"}
OPERATORS = {"operator", "approver", "admin"}

ALLOWED = {
    ("get", "/v1/types"): {"client", *READERS},
    ("post", "/v1/types/redeem/processes"): {"client", "admin"},
    ("post", "/v1/types/reminder/processes"): {"client", "admin"},
    ("post", "/v1/types/payment/processes"): {"client", "admin"},
    ("get", "/v1/processes"): {"client", *READERS},
    ("get", "/v1/processes/{id}"): {"client", *READERS},
    ("get", "/v1/processes/{id}/trail"): {"client", *READERS},
    ("get", "/v1/processes/{id}/inspection"): READERS,
    ("post", "/v1/processes/{id}/retry"): OPERATORS,
    ("post", "/v1/processes/{id}/query"): OPERATORS,
    ("post", "/v1/processes/{id}/hold"): OPERATORS,
    ("post", "/v1/processes/{id}/resume"): OPERATORS,
    ("post", "/v1/processes/{id}/cancel"): OPERATORS,
    ("post", "/v1/processes/{id}/settle"): {"approver", "admin"},
    ("post", "/v1/bulk/count"): OPERATORS,
    ("post", "/v1/bulk"): OPERATORS,
    ("get", "/v1/bulk"): OPERATORS,
    ("get", "/v1/bulk/{id}"): OPERATORS,
    ("post", "/v1/bulk/{id}/abort"): OPERATORS,
    ("get", "/v1/alarms"): READERS,
    ("get", "/v1/alarms/{id}"): READERS,
    ("post", "/v1/alarms/{id}/acknowledge"): OPERATORS,
    ("post", "/v1/alarms/{id}/own"): OPERATORS,
    ("post", "/v1/alarms/{id}/snooze"): OPERATORS,
    ("post", "/v1/alarms/{id}/resolve"): OPERATORS,
    ("get", "/v1/messages"): OPERATORS,
    ("get", "/v1/messages/{number}"): OPERATORS,
    ("post", "/v1/messages/{number}/replay"): OPERATORS,
    ("post", "/v1/messages/{number}/drop"): OPERATORS,
    ("get", "/v1/audit"): OPERATORS,
    ("get", "/v1/audit/verify"): OPERATORS,
    ("get", "/v1/events"): {"client", *READERS},
    ("get", "/v1/mirrors"): {"client", *READERS},
    ("get", "/v1/mirrors/{mirror}/suppliers/{supplier}/items/{item}"): {"client", *READERS},
    ("get", "/v1/mirrors/{mirror}/suppliers/{supplier}/items/{item}/stay"): {"client", *READERS},
    ("get", "/v1/mirrors/{mirror}/suppliers/{supplier}/changes"): {"client", *READERS},
    ("post", "/v1/mirrors/{mirror}/search"): {"client", *READERS},
    ("get", "/v1/rules"): READERS,
    ("get", "/v1/rules/{rule}"): READERS,
    ("get", "/v1/feeds"): READERS,
    ("get", "/v1/rules/{rule}/statement"): READERS,
    ("post", "/v1/rules/{rule}/runs"): OPERATORS,
    ("post", "/v1/runs/{id}/abort"): OPERATORS,
    ("get", "/v1/runs"): READERS,
    ("get", "/v1/runs/{id}"): READERS,
    ("get", "/v1/breaks"): READERS,
    ("get", "/v1/breaks/{id}"): READERS,
    ("post", "/v1/breaks/{id}/settle"): OPERATORS,
    ("post", "/v1/breaks/{id}/ignore"): OPERATORS,
    ("post", "/v1/breaks/{id}/judge"): OPERATORS,
    ("post", "/v1/breaks/{id}/repair"): {"approver", "admin"},
    ("get", "/v1/me"): set(ROLES),
    ("get", "/metrics"): {"admin", "metrics"},
}
"""Which roles each route lets in, written down apart from the code."""


def test_every_route_is_in_the_table(place):
    """A new route has to be thought about: the table names each of them, and no other."""
    described = place.nobody.get("/v1/openapi.json").json()["paths"]
    routes = {(method, path) for path, methods in described.items() for method in methods if path not in OPEN}
    assert routes == set(ALLOWED)


def test_no_route_is_beside_the_table(place):
    """What the description does not tell of is there for everybody on purpose, or for nobody at all."""
    paths = {route.path_format for route in asgi(tieout.App("sqlite://")).routes.routes}
    beside = paths - {path for _, path in ALLOWED} - OPEN - UNTOLD
    for path in beside:
        for caller in (place.nobody, place.admin):
            assert caller.get(path).status_code in (401, 403, 404), path


def ask(caller, method: str, path: str, object_id: str):
    """Send a request that would do something if it were let in; only its head is waited for."""
    body = {"reason": "matrix", "command": "retry", "as": "accepted", "call": 1, "seconds": 1}
    keep = {
        "/v1/bulk/count": {"command"},
        "/v1/bulk": {"command", "reason"},
        "/v1/alarms/{id}/resolve": {"as", "reason"},
        "/v1/alarms/{id}/snooze": {"seconds", "reason"},
        "/v1/processes/{id}/settle": {"call", "reason"},
    }.get(path, {"reason"})
    told = {name: value for name, value in body.items() if name in keep}
    if path.endswith("settle"):
        told["as"] = "failed"
    if path == "/v1/bulk":
        told["filter"] = {"type": "no-such-type"}
    if path.endswith("/processes") and method == "post":
        told = {"user": "matrix"}
    url = path.replace("{id}", object_id).replace("{number}", "7")
    with caller.stream(
        method.upper(),
        url,
        json=told if method == "post" else None,
        headers={"Idempotency-Key": f"matrix-{object_id}"},
    ) as answer:
        if answer.headers.get("content-type", "").startswith("application/problem"):
            answer.read()
        return answer.status_code


@pytest.fixture(scope="module")
def objects(place):
    """A process of the client's, one of a stranger's, and one that is not there."""
    return {
        MINE: place.started("pending")["id"],
        FOREIGN: place.started("pending", by="stranger")["id"],
        MISSING: "f" * 32,
    }


@pytest.mark.parametrize("whose", [MINE, FOREIGN, MISSING])
@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_the_matrix(place, objects, role, whose):
    """Each role gets past the door of exactly its routes; elsewhere 403, without a token 401.

    A client that gets in finds its own process, and of a stranger's no more than of one that does not exist.
    """
    for (method, path), roles in ALLOWED.items():
        status = ask(place.callers[role], method, path, objects[whose])
        where = f"{method} {path} as {role} on {whose}: {status}"
        if role == "nobody":
            assert status == 401, where
        elif role not in roles:
            assert status == 403, where
        else:
            assert status not in (401, 403) and status < 500, where
            if role == "client" and path.startswith("/v1/processes/{id}"):
                assert (status == 200) is (whose == MINE), where
                assert status in (200, 404), where


def test_foreign_and_missing_look_alike(place, objects):
    """What a client is told of a stranger's process is what it is told of none, but for the id."""
    told = [place.client.get(f"/v1/processes/{objects[whose]}").json() for whose in (FOREIGN, MISSING)]
    assert re.sub(r"[0-9a-f]{32}", "", str(told[0])) == re.sub(r"[0-9a-f]{32}", "", str(told[1]))


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_do_nothing(place, objects, method):
    """405 for methods that a route does not have, also when a header asks to override."""
    path = f"/v1/processes/{objects[MINE]}"
    assert place.admin.request(method, path).status_code == 405
    override = place.viewer.get(f"{path}/hold", headers={"X-HTTP-Method-Override": "POST"})
    assert override.status_code == 405


@pytest.mark.parametrize(
    "path", ["//v1/audit", "/v1//audit", "/V1/audit", "/v1/audit/", "/v1/types/../audit", "/v1/%61udit", "/v1/audit;x"]
)
def test_no_spelling_of_a_path_gets_past(place, path):
    """However a path is spelt, a client does not get at what is not for it."""
    status = place.client.get(f"{place.node.address}{path}").status_code
    assert status in (400, 403, 404)


def test_tokens_expire_and_are_revoked(place):
    """A token counts until its time is over, or until it is revoked; then 401, on every node within seconds."""
    lasting = token(place.url, "short", "viewer")
    with place.node.client(lasting) as caller:
        assert caller.get("/v1/me").json()["client"] == "short"

        async def revoke(app):
            tokens = Tokens(app.database, app.operate.audit, app.engine.world.clock)
            await tokens.revoke(bytes.fromhex(lasting.split("_")[1]), actor="tests", reason="over")

        inside(place.url, revoke)
        wait_for(lambda: caller.get("/v1/me").status_code == 401, "the revoked token")
    with place.node.client(token(place.url, "short", "viewer", lifetime=1)) as caller:
        answer = caller.get("/v1/me")
        assert (answer.status_code, answer.json()["code"]) == (401, "not-authenticated")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Basic {}", "Bearer", "Bearer {}x", "{}", "bearer  {} {}", "Bearer {} , Bearer {}"])
def test_only_a_whole_token_counts(place, scheme):
    """A token in another form than the one that there is does not count."""
    given = scheme.replace("{}", place.tokens["admin"])
    assert place.nobody.get("/v1/me", headers={"Authorization": given}).status_code == 401


def test_a_token_with_another_secret_does_not_count(place):
    """The id alone opens nothing: every wrong secret is refused."""
    head, token_id, secret = place.tokens["admin"].split("_")
    for wrong in ("0" * 64, secret[::-1], secret[:-1] + ("0" if secret[-1] != "0" else "1")):
        given = {"Authorization": f"Bearer {head}_{token_id}_{wrong}"}
        assert place.nobody.get("/v1/me", headers=given).status_code in (401, 429)


def test_secrets_of_tokens_are_not_stored(place):
    """The database holds no token's secret, nor the token itself."""
    whole = place.node.folder.joinpath("shop.db").read_bytes()
    for text in place.tokens.values():
        secret = text.rpartition("_")[2]
        assert secret.encode() not in whole
        assert bytes.fromhex(secret) not in whole


PROXY = """
[server]
behind_proxy = true
[server.proxy]
addresses = ["127.0.0.1/32"]
roles = {ops = "operator", all = "viewer"}
"""


def test_a_trusted_proxy_names_people(node_of):
    """The proxy's headers name a person and their groups; other sites cannot act in a person's name."""
    node = node_of(settings=PROXY)
    with node.client() as http:
        ann = {"X-Forwarded-User": "ann", "X-Forwarded-Groups": "staff, ops"}
        assert http.get("/v1/me", headers=ann).json()["name"] == "user:ann"
        assert http.get("/v1/me", headers=ann).json()["roles"] == ["operator"]
        assert http.get("/v1/me", headers={"X-Forwarded-User": "eve"}).status_code == 403
        assert http.get("/v1/me").status_code == 401
        count = {"json": {"command": "hold"}}
        assert http.post("/v1/bulk/count", headers=ann, **count).status_code == 200
        crossed = ann | {"Sec-Fetch-Site": "cross-site"}
        assert http.post("/v1/bulk/count", headers=crossed, **count).status_code == 400
        form = ann | {"Content-Type": "text/plain"}
        crafted = http.post("/v1/bulk/count", headers=form, content=b'{"command":"hold"}')
        assert crafted.status_code == 400


@pytest.mark.parametrize("peer", ["192.0.2.1", "", "::1", "not an address"])
async def test_headers_from_elsewhere_are_not_the_proxys(peer):
    """Where a connection comes from another address than the proxy's, what its headers say of people is refused."""
    app = tieout.App("sqlite://")
    proxy = Proxy(addresses=("10.0.0.0/8",), roles={"ops": "operator"})
    door = Doorkeeper(Tokens(app.database, app.operate.audit, app.engine.world.clock), Settings(proxy=proxy))
    headers = {"x-forwarded-user": ["ann"], "x-forwarded-groups": ["ops"]}
    assert (await door.caller(headers, "10.1.2.3")).name == "user:ann"
    with pytest.raises(NotAuthenticated):
        await door.caller(headers, peer)


def test_without_a_provider_there_is_no_way_in(place):
    """Where no provider is set, nothing of this is there, and a cookie says nothing."""
    assert place.nobody.get("/v1/login").status_code == 404
    assert place.nobody.get("/v1/login/callback", params={"state": "x", "code": "y"}).status_code == 404
    assert place.admin.post("/v1/logout").status_code == 404
    assert place.nobody.get("/v1/me", headers={"Cookie": f"tieout-session={'0' * 64}"}).status_code == 401
