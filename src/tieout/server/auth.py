"""Who makes a request, and whether its route lets them in. Nothing is open that does not say so."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from tieout.access import Caller, Permission, Role, Tokens
from tieout.access.rules import ROLES, caller
from tieout.errors import Forbidden, NotAuthenticated
from tieout.identity import storable_text
from tieout.server.settings import Settings

PEOPLE = "people"
"""The client that owns what persons start through the proxy."""

Headers = Mapping[str, Sequence[str]]

Connection = ASGIConnection[Any, Any, Any, Any]


class Doorkeeper:
    """Tells who makes a request, by its token or by what the proxy says."""

    def __init__(self, tokens: Tokens, settings: Settings) -> None:
        self.tokens = tokens
        self.proxy = settings.proxy
        self.networks = settings.proxy_networks()

    async def caller(self, headers: Headers, peer: str) -> Caller | None:
        """Who makes it; None when nobody says so. Raise `NotAuthenticated` for a token that does not count."""
        given = headers.get("authorization", ())
        if given:
            scheme, _, token = given[0].partition(" ")
            found = await self.tokens.caller(token.strip()) if scheme.lower() == "bearer" and len(given) == 1 else None
            if found is None:
                raise NotAuthenticated("this token does not count: it is wrong, has expired or was revoked")
            return found
        return self._person(headers, peer)

    def _person(self, headers: Headers, peer: str) -> Caller | None:
        proxy = self.proxy
        if proxy is None or not (users := headers.get(proxy.user_header.lower(), ())):
            return None
        if not self._is_proxy(peer) or len(users) != 1 or not users[0].strip():
            raise NotAuthenticated("only the proxy may say who somebody is")
        groups = ",".join(headers.get(proxy.roles_header.lower(), ())).split(",")
        roles: set[Role] = {proxy.roles[group.strip()] for group in groups if group.strip() in proxy.roles}
        if not roles:
            raise Forbidden("none of your groups has a role here")
        name = f"user:{storable_text(users[0].strip(), 200)}"
        return caller(name, PEOPLE, tuple(role for role in ROLES if role in roles), name)

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
        raise NotAuthenticated("this needs a token: Authorization: Bearer tieout_…")
    return found
