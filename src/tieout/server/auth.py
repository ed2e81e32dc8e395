"""Who makes a request, and whether its route lets them in. Nothing is open that does not say so."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tieout.access import Caller, Permission, Tokens
from tieout.access.rules import PREFIX, caller, granted
from tieout.access.sessions import PEOPLE
from tieout.errors import Forbidden, NotAuthenticated
from tieout.identity import storable_text
from tieout.server.settings import Settings

if TYPE_CHECKING:
    from tieout.server.logins import Logins

Headers = Mapping[str, Sequence[str]]

Connection = ASGIConnection[Any, Any, Any, Any]


class Doorkeeper:
    """Tells who makes a request: by its token, by the session of its browser, or by what the proxy says."""

    def __init__(self, tokens: Tokens, settings: Settings, logins: Logins | None = None) -> None:
        self.tokens = tokens
        self.logins = logins
        self.proxy = settings.proxy
        self.networks = settings.proxy_networks()

    async def caller(self, headers: Headers, peer: str) -> Caller | None:
        """Who makes it; None when nobody says so. Raise `NotAuthenticated` for a token that does not count."""
        given = headers.get("authorization", ())
        if given:
            return await self._bearer(given)
        if self.logins is not None and (found := await self.logins.person(headers)):
            return found
        return self._person(headers, peer)

    async def _bearer(self, given: Sequence[str]) -> Caller:
        scheme, _, rest = given[0].partition(" ")
        token, is_bearer = rest.strip(), scheme.lower() == "bearer" and len(given) == 1
        if is_bearer and self.logins is not None and self.logins.oidc.audience and not token.startswith(f"{PREFIX}_"):
            return await self.logins.program(token)
        found = await self.tokens.caller(token) if is_bearer else None
        if found is None:
            raise NotAuthenticated("this token does not count: it is wrong, has expired or was revoked")
        return found

    def _person(self, headers: Headers, peer: str) -> Caller | None:
        proxy = self.proxy
        if proxy is None or not (users := headers.get(proxy.user_header.lower(), ())):
            return None
        if not self._is_proxy(peer) or len(users) != 1 or not users[0].strip():
            raise NotAuthenticated("only the proxy may say who somebody is")
        groups = ",".join(headers.get(proxy.roles_header.lower(), ())).split(",")
        roles = granted((group.strip() for group in groups), proxy.roles)
        name = f"user:{storable_text(users[0].strip(), 200)}"
        return caller(name, PEOPLE, roles, name, is_ambient=True)

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self.networks)


async def permitted(connection: Connection, handler: BaseRouteHandler) -> None:
    """The guard of every route: its `permits` says who may come in; without one, nobody may.

    Litestar runs plain functions in a thread of their own, which costs more than all the rest of a request.
    """
    if handler.opt.get("open"):
        return
    found = caller_of(connection)
    wanted: tuple[Permission, ...] = handler.opt.get("permits", ())
    if not found.may(*wanted):
        raise Forbidden(
            f"this needs {' or '.join(wanted) or 'what nobody may do'}; your roles: {', '.join(found.roles)}"
        )


def caller_of(connection: Connection) -> Caller:
    """Who makes this request; raise `NotAuthenticated` when nobody knows."""
    found: Caller | None = connection.scope.get("tieout.caller")  # type: ignore[assignment]  # scopes are open
    if found is None:
        raise NotAuthenticated("this needs a token: Authorization: Bearer tieout_…; or a log-in, where there is one")
    return found
