"""OpenID Connect as a client speaks it: discovery, the way to the provider and back, and what claims say. Pure.

OpenID Connect Core 1.0 and Discovery 1.0; RFC 6749, 7636 (PKCE), 9207 (`iss` of an answer).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Metadata(msgspec.Struct, frozen=True):
    """What a provider says of itself, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Granted(msgspec.Struct, frozen=True):
    """The answer of a token endpoint, as far as it is used."""

    id_token: str
    access_token: str = ""


class Rejected(msgspec.Struct, frozen=True):
    """A token endpoint's refusal."""

    error: str


def discovery_address(issuer: str) -> str:
    """Where a provider tells of itself."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def read_metadata(body: bytes, issuer: str) -> Metadata:
    """A discovery document; raise `ValueError` unless it is this issuer's, and nothing in it goes without TLS."""
    found = msgspec.json.decode(body, type=Metadata)
    if found.issuer != issuer:
        raise ValueError(f"it says that it is {found.issuer!r:.200}, not {issuer!r}")
    for address in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri, found.userinfo_endpoint):
        if address is not None and not is_safe(address):
            raise ValueError(f"{address!r:.200} is not spoken to by TLS")
    return found


def is_safe(address: str) -> bool:
    """Whether nobody listens on the way: by TLS, or on this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def login_address(
    metadata: Metadata, *, client: str, redirect: str, scopes: tuple[str, ...], state: str, nonce: str, verifier: str
) -> str:
    """Where a browser is sent to log in."""
    asked = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": redirect,
        "scope": " ".join(dict.fromkeys(("openid", *scopes))),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
    }
    joint = "&" if "?" in metadata.authorization_endpoint else "?"
    return f"{metadata.authorization_endpoint}{joint}{urlencode(asked)}"


def challenge(verifier: str) -> str:
    """What PKCE says of a verifier beforehand, by SHA-256."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def exchange(
    metadata: Metadata, *, client: str, secret: str, redirect: str, code: str, verifier: str
) -> tuple[dict[str, str], dict[str, str]]:
    """The header fields and the form by which a code is turned into tokens."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
    if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
        pair = f"{quote(client, safe='')}:{quote(secret, safe='')}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, form
    return {}, form | {"client_id": client, "client_secret": secret}


def wrong_party(claims: Mapping[str, Any], client: str) -> str:
    """Why an ID token whose audience has been checked is still not for this client; "" when it is."""
    audience, party = claims.get("aud"), claims.get("azp")
    if party is not None and party != client:
        return "it was made for another party"
    if isinstance(audience, list) and len(audience) > 1 and party is None:
        return "it is for several, and does not say for which"
    return ""


def values_of(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The values of a claim: of that very name, or else behind a path, `realm_access.roles`; none when it is not there.

    A list's texts, or the words of one text, between spaces or commas.
    """
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return tuple(found.replace(",", " ").split())
    return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()
