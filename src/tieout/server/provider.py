"""The OpenID provider: asked over HTTP, believed only by its signature."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from tieout.errors import LoginFailed, NotAuthenticated, ProviderUnavailable
from tieout.server.settings import Oidc
from tieout.wire.oidc import Granted, Metadata, Rejected, discovery_address, exchange, read_metadata, wrong_party

log = logging.getLogger("tieout.server")

SECONDS = 5.0
"""How long the provider may take to answer."""

MOST = 1_048_576
"""Bytes that an answer of the provider's may have."""

FRESH = 600.0
"""Seconds after which what the provider says of itself, and its keys, are asked for again."""

USABLE = 3_600.0
"""Seconds for which they are used when it does not answer: as long a key that it has withdrawn may count."""

BETWEEN = 2.0
"""Seconds between two questions for keys: anybody can send tokens that name unknown ones, or want to log in."""

LEEWAY = 60
"""Seconds by which the clocks may differ."""

ACCESS_TOKENS = frozenset({"at+jwt", "application/at+jwt", "jwt"})
"""What the header of an access token may call it; RFC 9068 says the first, older providers the last, or nothing."""


class Known(msgspec.Struct, frozen=True):
    """What the provider said, and when by this machine's monotonic clock."""

    metadata: Metadata
    keys: KeySet
    at: float


class Provider:
    """One provider. Raises `ProviderUnavailable` where it does not answer, `LoginFailed` where it does not agree."""

    def __init__(self, oidc: Oidc, secret: str) -> None:
        self.oidc = oidc
        self._secret = secret
        self._known: Known | None = None
        self._asked = float("-inf")
        self._asking = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """What the provider says of itself."""
        return (await self._current()).metadata

    async def claims(self, code: str, *, redirect: str, verifier: str, nonce: str) -> dict[str, Any]:
        """What the provider says of the person who has logged in, for the code that it gave them."""
        granted = await self._exchanged(code, redirect, verifier)
        claims = await self._id_token(granted.id_token, nonce)
        if claims.get(self.oidc.name_claim) is None or not _has(claims, self.oidc.roles_claim):
            claims = await self._with_userinfo(claims, granted.access_token)
        return claims

    async def access_token(self, text: str) -> dict[str, Any]:
        """The claims of an access token that a program sends; raise `NotAuthenticated` for one that does not count."""
        try:
            token = await self._verified(text, self.oidc.audience)
        except JoseError as error:
            raise NotAuthenticated(f"this token of the provider's does not count: {_why(error)}") from error
        if str(token.header.get("typ", "jwt")).lower() not in ACCESS_TOKENS:
            raise NotAuthenticated("this is no access token")
        return token.claims

    async def _exchanged(self, code: str, redirect: str, verifier: str) -> Granted:
        metadata = await self.metadata()
        headers, form = exchange(
            metadata,
            client=self.oidc.client_id,
            secret=self._secret,
            redirect=redirect,
            code=code,
            verifier=verifier,
        )
        status, body = await _asked("POST", metadata.token_endpoint, headers, form)
        try:
            if status == 200:
                return msgspec.json.decode(body, type=Granted)
            rejected = msgspec.json.decode(body, type=Rejected)
        except msgspec.DecodeError as error:
            raise ProviderUnavailable(f"the provider's token endpoint answered {status}, and no tokens") from error
        raise LoginFailed(f"the provider does not accept this log-in: {rejected.error:.100}")

    async def _id_token(self, text: str, nonce: str) -> dict[str, Any]:
        try:
            claims = (await self._verified(text, self.oidc.client_id)).claims
        except JoseError as error:
            raise LoginFailed(f"the provider's ID token does not count: {_why(error)}") from error
        if wrong := wrong_party(claims, self.oidc.client_id):
            raise LoginFailed(f"the provider's ID token does not count: {wrong}")
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise LoginFailed("the provider's ID token does not count: it was made for another log-in")
        return claims

    async def _with_userinfo(self, claims: dict[str, Any], access_token: str) -> dict[str, Any]:
        """The claims, and those that the provider tells only when it is asked for them."""
        address = (await self.metadata()).userinfo_endpoint
        if not (address and access_token):
            return claims
        status, body = await _asked("GET", address, {"Authorization": f"Bearer {access_token}"})
        try:
            told = msgspec.json.decode(body, type=dict[str, Any]) if status == 200 else {}
        except msgspec.DecodeError as error:
            raise ProviderUnavailable("the provider's userinfo is no JSON object") from error
        if told.get("sub") != claims["sub"]:
            raise LoginFailed(f"the provider's userinfo ({status}) is not of the person who has logged in")
        return {**told, **claims}

    async def _verified(self, text: str, audience: str) -> jwt.Token:
        """A token that the provider has signed, for this audience, in time; raise `JoseError`."""
        known = await self._current()
        try:
            token = self._decoded(text, known.keys)
        except (InvalidKeyIdError, BadSignatureError):
            # Keys may have been rotated since they were asked for.
            newer = await self._renewed(known)
            if newer is known:
                raise
            token = self._decoded(text, newer.keys)
        registry = jwt.JWTClaimsRegistry(
            now=int(time.time()),
            leeway=LEEWAY,
            iss={"essential": True, "value": self.oidc.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            iat={"essential": True},
        )
        registry.validate(token.claims)
        return token

    def _decoded(self, text: str, keys: KeySet) -> jwt.Token:
        try:
            return jwt.decode(text, keys, algorithms=list(self.oidc.algorithms))
        except JoseError:
            raise
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise JoseError("it cannot be read") from error

    async def _current(self) -> Known:
        known = self._known
        if known is not None and time.monotonic() - known.at < FRESH:
            return known
        return await self._renewed(known)

    async def _renewed(self, known: Known | None) -> Known:
        """What the provider says now; what it said before when it was just asked, or does not answer."""
        async with self._asking:
            now = time.monotonic()
            usable = self._known if self._known is not None and now - self._known.at < USABLE else None
            if usable is not None and (usable is not known or now - self._asked < BETWEEN):
                return usable
            if now - self._asked < BETWEEN:
                raise ProviderUnavailable("the OpenID provider does not answer: try again, or use a token")
            try:
                self._known = await self._told()
            except ProviderUnavailable as error:
                if usable is None:
                    raise
                log.warning("the OpenID provider is not asked anew: %s", error)
                return usable
            finally:
                self._asked = time.monotonic()
            return self._known

    async def _told(self) -> Known:
        where = discovery_address(self.oidc.issuer)
        try:
            metadata = read_metadata(await _fetched(where), self.oidc.issuer)
            where = metadata.jwks_uri
            found = msgspec.json.decode(await _fetched(where), type=dict[str, Any])
            signing = [
                key for key in found.get("keys", ()) if key.get("use", "sig") == "sig" and key.get("kty") != "oct"
            ]
            keys = KeySet.import_key_set({"keys": signing})
        except (msgspec.DecodeError, JoseError, ValueError, TypeError, AttributeError) as error:
            log.warning("the OpenID provider's %s cannot be used: %s", where, error)
            raise ProviderUnavailable("the OpenID provider says of itself what cannot be used") from error
        return Known(metadata, keys, time.monotonic())


async def _fetched(address: str) -> bytes:
    status, body = await _asked("GET", address, {})
    if status != 200:
        raise ProviderUnavailable(f"the OpenID provider answers {status}")
    return body


async def _asked(
    method: str, address: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """The status and body of an answer; redirects are not followed. Raise `ProviderUnavailable`."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as http,
            http.request(
                method, address, headers={"Accept": "application/json", **headers}, data=form, allow_redirects=False
            ) as answer,
        ):
            body = await answer.content.read(MOST + 1)
            while len(body) <= MOST and (more := await answer.content.read(MOST + 1)):
                body += more
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        log.warning("the OpenID provider does not answer: %s", type(error).__name__)
        raise ProviderUnavailable("the OpenID provider does not answer: try again, or use a token") from error
    if answer.status >= 500 or len(body) > MOST:
        raise ProviderUnavailable(f"the OpenID provider fails ({answer.status}): try again, or use a token")
    return answer.status, body


def _has(claims: Mapping[str, Any], name: str) -> bool:
    return name in claims or name.partition(".")[0] in claims


def _why(error: JoseError) -> str:
    return f"{error.error} {error.description}".replace("_", " ").strip()[:200]
