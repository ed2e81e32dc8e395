"""OpenID Connect without a provider: what metadata, claims and cookies are taken for."""

from __future__ import annotations

import base64
import json

import pytest

from tieout.errors import ConfigError
from tieout.server.cookies import Cookies
from tieout.server.settings import Oidc, Settings
from tieout.wire.oidc import (
    Metadata,
    challenge,
    exchange,
    is_safe,
    login_address,
    read_metadata,
    values_of,
    wrong_party,
)

ISSUER = "https://id.example.com/realms/shop"
TOLD = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/keys",
    "something_else": [1],
}


def test_metadata_is_its_issuers() -> None:
    """What a provider says of itself is taken from the issuer itself, by TLS throughout; what is unknown is left."""
    assert read_metadata(json.dumps(TOLD).encode(), ISSUER).token_endpoint == f"{ISSUER}/token"
    for wrong in (
        {"issuer": f"{ISSUER}/"},
        {"token_endpoint": "http://id.example.com/token"},
        {"jwks_uri": "file:///keys"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": "http://10.0.0.1/me"},
    ):
        with pytest.raises(ValueError, match=r"it says|not spoken to"):
            read_metadata(json.dumps(TOLD | wrong).encode(), ISSUER)


@pytest.mark.parametrize(
    ("address", "is_right"),
    [
        ("https://id.example.com", True),
        ("http://127.0.0.1:8080/o", True),
        ("http://localhost", True),
        ("http://[::1]:80", True),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1@evil.example", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_addresses_are_safe_by_tls_or_on_this_machine(address: str, is_right: bool) -> None:
    """Nobody may listen on the way to a provider."""
    assert is_safe(address) is is_right


def test_the_challenge_is_that_of_the_standard() -> None:
    """PKCE's challenge is computed as RFC 7636, appendix B, shows."""
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_an_address_with_a_query_keeps_it() -> None:
    """A provider whose address has a query of its own is asked with both; `openid` is asked for once."""
    metadata = Metadata(ISSUER, f"{ISSUER}/auth?tenant=1", f"{ISSUER}/token", f"{ISSUER}/keys")
    address = login_address(
        metadata, client="c", redirect="r", scopes=("openid", "email"), state="s", nonce="n", verifier="v"
    )
    assert address.startswith(f"{ISSUER}/auth?tenant=1&response_type=code")
    assert "scope=openid+email&" in address


def test_a_secret_is_written_as_the_provider_takes_it() -> None:
    """By Basic both parts are escaped before they are joined (RFC 6749, 2.3.1); else both stand in the form."""
    told = {"client": "c:1", "secret": "s %", "redirect": "r", "code": "x", "verifier": "v"}
    headers, form = exchange(Metadata(ISSUER, "a", "t", "k"), **told)
    assert base64.b64decode(headers["Authorization"].partition(" ")[2]) == b"c%3A1:s%20%25"
    assert form == {"grant_type": "authorization_code", "code": "x", "redirect_uri": "r", "code_verifier": "v"}
    by_form = Metadata(ISSUER, "a", "t", "k", token_endpoint_auth_methods_supported=("client_secret_post",))
    headers, form = exchange(by_form, **told)
    assert (headers, form["client_id"], form["client_secret"]) == ({}, "c:1", "s %")


@pytest.mark.parametrize(
    ("claims", "name", "values"),
    [
        ({"groups": ["a", "b", 3]}, "groups", ("a", "b")),
        ({"groups": "a b,c"}, "groups", ("a", "b", "c")),
        ({"realm_access": {"roles": ["a"]}}, "realm_access.roles", ("a",)),
        ({"https://x.example/roles": ["a"]}, "https://x.example/roles", ("a",)),
        ({"groups": {"a": 1}}, "groups", ()),
        ({"groups": None}, "groups", ()),
        ({"realm_access": "roles"}, "realm_access.roles", ()),
        ({}, "groups", ()),
    ],
)
def test_groups_are_read_wherever_they_stand(claims: dict, name: str, values: tuple[str, ...]) -> None:
    """A claim of that name or behind that path, a list or words; anything else is none."""
    assert values_of(claims, name) == values


@pytest.mark.parametrize(
    ("claims", "is_wrong"),
    [
        ({"aud": "c"}, False),
        ({"aud": ["c"]}, False),
        ({"aud": ["c", "d"]}, True),
        ({"aud": ["c", "d"], "azp": "c"}, False),
        ({"aud": ["c", "d"], "azp": "d"}, True),
        ({"aud": "c", "azp": "d"}, True),
    ],
)
def test_a_token_for_several_says_for_which(claims: dict, is_wrong: bool) -> None:
    """Where a token has several audiences, or names a party, that has to be us (OpenID Connect Core, 3.1.3.7)."""
    assert bool(wrong_party(claims, "c")) is is_wrong


def test_cookies_are_sent_by_tls_unless_on_this_machine() -> None:
    """By TLS, cookies are `__Host-` ones; on the machine itself they go without, under another name."""
    by_tls = Cookies("https://ops.example.com").write("session", "x", 60).to_header(header="")
    for part in ("__Host-tieout-session=x", "Secure", "HttpOnly", "Path=/", "SameSite=lax", "Max-Age=60"):
        assert part in by_tls
    assert "Domain" not in by_tls
    plain = Cookies("http://127.0.0.1:8080").write("session", "x", 60).to_header(header="")
    assert plain.strip().startswith("tieout-session=x;")
    assert "Secure" not in plain


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tieout-session=a", ""),
        ("__Host-tieout-session=a", "a"),
        ("x=1; __Host-tieout-session=a ; y=2", "a"),
        ("__Host-tieout-session=a; __Host-tieout-session=b", ""),
        ("x__Host-tieout-session=a", ""),
        ("__Host-tieout-sessions=a", ""),
    ],
)
def test_a_cookie_counts_once(field: str, value: str) -> None:
    """A cookie is that of its whole name, and only when there is one of it: two may have come from two places."""
    assert Cookies("https://ops.example.com").read("session", {"cookie": [field]}) == value


PROVIDER = {"issuer": ISSUER, "client_id": "c", "client_secret": "s"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://id.example.com"},
        {"client_secret": ""},
        {"client_id": ""},
        {"audience": "c"},
        {"idle": 0},
        {"idle": 60, "life": 30},
    ],
    ids=str,
)
def test_a_provider_that_cannot_be_used_is_refused(wrong: dict) -> None:
    """Settings of a provider that would let somebody in who should not be, or nobody, are a `ConfigError`."""
    Oidc(**PROVIDER)
    with pytest.raises(ConfigError):
        Oidc(**PROVIDER | wrong)


def test_browsers_have_to_know_where_to_come_back() -> None:
    """A node that others reach needs a public URL for log-ins; it is by TLS, and has no slash at its end."""
    with pytest.raises(ConfigError, match="public_url"):
        Settings(host="10.0.0.1", behind_proxy=True, oidc=Oidc(**PROVIDER))
    for wrong in ("http://ops.example.com", "https://ops.example.com/", "ops.example.com"):
        with pytest.raises(ConfigError, match="public_url"):
            Settings(public_url=wrong)
    there = Settings(public_url="https://Ops.example.com/tieout", oidc=Oidc(**PROVIDER))
    assert (there.origin, Settings().origin) == ("https://ops.example.com", "")
