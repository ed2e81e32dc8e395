"""People's log-ins at the OpenID provider, and the sessions that they begin.

A log-in is known by its `state`: 256 random bits that the browser keeps in a cookie, together with where it wants to go
and when it began, signed. What else is secret about it, its nonce and its PKCE verifier, is made of the state and a key
of this server's, so that any node can finish what another began, and nothing is stored for who never comes back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote, urlencode

import msgspec
from litestar.datastructures import Cookie

from tieout.access import Caller, Role, Sessions
from tieout.access.rules import caller, granted
from tieout.config import looked_up
from tieout.errors import LoginFailed, NotAllowed, NotAuthenticated, ProviderUnavailable
from tieout.identity import storable_text
from tieout.server.cookies import Cookies
from tieout.server.provider import Provider
from tieout.server.settings import CALLBACK, Oidc, Settings
from tieout.wire.oidc import login_address, values_of

LOGIN_SECONDS = 600
"""How long somebody may take to log in."""

_PATH = re.compile(r"/[!-\[\]-~]{0,999}")

_LOGIN = re.compile(r"([A-Za-z0-9_-]{43})\.(\d{1,12})\.([0-9a-f]{64})\.([A-Za-z0-9._~%-]*)")


class Began(msgspec.Struct, frozen=True):
    """A log-in that has begun: where the browser is sent, and the cookie that it keeps."""

    address: str
    cookie: Cookie


class Finished(msgspec.Struct, frozen=True):
    """A log-in that has come to its end: the session's text, and where the browser is sent."""

    session: str
    address: str


class Logins:
    """Everything that people's log-ins need."""

    def __init__(self, settings: Settings, oidc: Oidc, sessions: Sessions) -> None:
        secret = looked_up(oidc.client_secret, "oidc.client_secret")
        self.oidc = oidc
        self.sessions = sessions
        self.provider = Provider(oidc, secret)
        self.public_url = settings.reached_at
        self.cookies = Cookies(self.public_url)
        self._key = hmac.digest(secret.encode(), b"tieout log-ins", "sha256")

    @property
    def redirect(self) -> str:
        """Where the provider sends browsers back to."""
        return f"{self.public_url}{CALLBACK}"

    async def begin(self, back: str) -> Began:
        """Send somebody to the provider; afterwards the browser is sent to the path `back`."""
        if not _PATH.fullmatch(back):  # it stands behind the public URL, so that it leads nowhere else
            raise LoginFailed("`back` is a path of this server, such as /v1/me")
        metadata = await self.provider.metadata()
        state = secrets.token_urlsafe(32)
        address = login_address(
            metadata,
            client=self.oidc.client_id,
            redirect=self.redirect,
            scopes=self.oidc.scopes,
            state=state,
            nonce=self._derived("nonce", state),
            verifier=self._derived("verifier", state),
        )
        began = str(int(time.time()))
        cookie = f"{state}.{began}.{self._derived('cookie', state, began, back)}.{quote(back, safe='')}"
        return Began(address, self.cookies.write("login", cookie, LOGIN_SECONDS))

    async def finish(self, answer: Mapping[str, str], cookie: str) -> Finished:
        """Begin a session for who comes back from the provider; raise `LoginFailed`, or `Forbidden` without a role."""
        state, back = self._begun(cookie)
        if not hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
            raise LoginFailed("this is the answer to another log-in than the one begun in this browser: begin again")
        await self._check_issuer(answer)
        if error := answer.get("error"):
            raise LoginFailed(f"the provider refuses the log-in: {error:.100}")
        if not answer.get("code"):
            raise LoginFailed("the provider's answer has neither a code nor an error")
        claims = await self.provider.claims(
            answer["code"],
            redirect=self.redirect,
            verifier=self._derived("verifier", state),
            nonce=self._derived("nonce", state),
        )
        session = await self.sessions.begin(
            f"user:{self._name(claims)}",
            self._roles(claims),
            login=state.encode(),
            lifetime=round(self.oidc.life * 1_000_000),
            reason=f"logged in at {self.oidc.issuer}",
        )
        return Finished(session, f"{self.public_url}{back}")

    async def program(self, token: str) -> Caller:
        """Who sends an access token of the provider's; raise `NotAuthenticated` for one that does not count."""
        claims = await self.provider.access_token(token)
        program = claims.get("client_id", claims.get("azp"))
        client = storable_text(program, 100) if isinstance(program, str) else ""
        name = f"client:{client}" if claims["sub"] == program else f"user:{self._name(claims)}"
        return caller(name, f"oidc:{client}", self._roles(claims), name)

    async def person(self, headers: Mapping[str, Sequence[str]]) -> Caller | None:
        """Whose session a browser's cookie is; None without a cookie. Raise `NotAuthenticated` when it is over."""
        text = self.cookies.read("session", headers)
        if not text:
            return None
        found = await self.sessions.caller(text)
        if found is None:
            raise NotAuthenticated("this session is over: log in again, at /v1/login")
        return found

    async def end(self, headers: Mapping[str, Sequence[str]]) -> str | None:
        """End a browser's session; return where its person can log out of the provider too, if it has that."""
        found = await self.sessions.find(self.cookies.read("session", headers))
        if found is None:
            raise NotAllowed("there is no session to end: tokens are revoked, see `tieout token revoke`")
        await self.sessions.end(found.id, actor=found.name, reason="logged out")
        try:
            address = (await self.provider.metadata()).end_session_endpoint
        except ProviderUnavailable:
            return None
        return f"{address}?{urlencode({'client_id': self.oidc.client_id})}" if address else None

    def _begun(self, cookie: str) -> tuple[str, str]:
        """The state and the way back of the log-in that a browser has begun."""
        match = _LOGIN.fullmatch(cookie)
        if match is None:
            raise LoginFailed("this log-in was not begun in this browser, or was finished: begin again")
        state, began, mac, back = match[1], match[2], match[3], unquote(match[4])
        if not hmac.compare_digest(mac, self._derived("cookie", state, began, back)):
            raise LoginFailed("this log-in was not begun here: begin again")
        if not -LOGIN_SECONDS < time.time() - int(began) < LOGIN_SECONDS:
            raise LoginFailed("this log-in took longer than ten minutes: begin again")
        return state, back

    async def _check_issuer(self, answer: Mapping[str, str]) -> None:
        """Raise `LoginFailed` for an answer that says it is another provider's, or hides whose it is (RFC 9207)."""
        told = answer.get("iss")
        needed = told is not None or (await self.provider.metadata()).authorization_response_iss_parameter_supported
        if needed and told != self.oidc.issuer:
            raise LoginFailed("this is the answer of another provider")

    def _name(self, claims: Mapping[str, Any]) -> str:
        found = claims.get(self.oidc.name_claim)
        if not isinstance(found, str) or not found.strip():
            raise LoginFailed(f"the provider does not tell this person's {self.oidc.name_claim!r}")
        if self.oidc.name_claim == "email" and claims.get("email_verified") is not True:
            raise LoginFailed("the provider has not verified this person's e-mail address, which is to name them")
        return storable_text(found.strip(), 200)

    def _roles(self, claims: Mapping[str, Any]) -> tuple[Role, ...]:
        return granted(values_of(claims, self.oidc.roles_claim), self.oidc.roles)

    def _derived(self, use: str, *parts: str) -> str:
        return hmac.new(self._key, "\n".join((use, *parts)).encode(), hashlib.sha256).hexdigest()
