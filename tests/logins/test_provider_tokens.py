"""Tokens of an OpenID provider: ID tokens that are forged, and access tokens that programs bring."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import pytest
from jwcrypto.jwk import JWK

from tests.logins.house import claims_of, program_claims, told
from tests.servers.openid import CLIENT, SECRET, OpenId


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


COUNT = {"json": {"command": "hold"}}


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
