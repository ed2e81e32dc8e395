"""`/v1/login`, the way back from it, and `/v1/logout`: only where an OpenID provider is set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, get_args

import msgspec
from litestar import Response, get, post
from litestar.datastructures import Cookie
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from tieout.access import Permission
from tieout.errors import TieoutError, UnknownPage
from tieout.server.describing import OPEN, permits, refusals
from tieout.server.site import Asked, Site, headers_of, site_of

if TYPE_CHECKING:
    from tieout.server.logins import Logins

SENT_ON = ResponseSpec(None, generate_examples=False, description="The browser is sent on.")

Word = Annotated[str, QueryParameter(max_length=4_096)]


class LoggedOut(msgspec.Struct, frozen=True):
    """The session is over. `provider` is where the person can log out of the provider as well, if it has that."""

    provider: str | None


@get("/v1/login", tags=["access"], status_code=200, responses={**refusals(), 303: SENT_ON}, **OPEN)
async def login(
    request: Asked,
    back: Annotated[
        str, QueryParameter(max_length=1_000, description="Where to go then: a path below ours.")
    ] = "/v1/me",
) -> Response[None]:
    """Log in: the browser is sent to the OpenID provider, and comes back to `/v1/login/callback`."""
    began = await _logins(request).begin(back)
    return _sent_on(began.address, began.cookie)


@get("/v1/login/callback", tags=["access"], status_code=200, responses={**refusals(), 303: SENT_ON}, **OPEN)
async def come_back(
    request: Asked,
    login_state: Annotated[str, QueryParameter(name="state", max_length=4_096)] = "",
    code: Word = "",
    error: Word = "",
    iss: Word = "",
) -> Response[None]:
    """The end of a log-in: the provider sends the browser here, which is given its session and sent on."""
    logins = _logins(request)
    answer = {"state": login_state, "code": code, "error": error, "iss": iss}
    told = {name: text for name, text in answer.items() if text}
    count = site_of(request).metrics.logins
    try:
        finished = await logins.finish(told, logins.cookies.read("login", headers_of(request)))
    except TieoutError as failed:
        count.labels(failed.code).inc()
        raise
    count.labels("done").inc()
    session = logins.cookies.write("session", finished.session, round(logins.oidc.life))
    return _sent_on(finished.address, session, logins.cookies.write("login", "", 0))


@post("/v1/logout", tags=["access"], status_code=200, responses=refusals(409), **permits(*get_args(Permission)))
async def logout(request: Asked) -> Response[LoggedOut]:
    """End the session of this browser, here and now; on other nodes within two seconds."""
    logins = _logins(request)
    address = await logins.end(headers_of(request))
    return Response(LoggedOut(address), cookies=[logins.cookies.write("session", "", 0)])


def _logins(request: Asked) -> Logins:
    found = site_of(request).logins
    if found is None:
        raise UnknownPage("no OpenID provider is set here")
    return found


def _sent_on(address: str, *cookies: Cookie) -> Response[None]:
    return Response(None, status_code=303, headers={"Location": address}, cookies=cookies)


def routes(site: Site) -> Sequence[ControllerRouterHandler]:
    """The routes for people who log in here, if they do."""
    return [] if site.logins is None else [login, come_back, logout]
