"""`POST /v1/push/{supplier}`: what a supplier tells a mirror by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from litestar import post
from litestar.params import PathParameter, QueryParameter

from tieout.app import App
from tieout.errors import Forbidden, InvalidRequest, UnknownItem
from tieout.server.describing import WITH_BODY, refusals
from tieout.server.signatures import not_signed, signed_by
from tieout.server.site import Asked, site_of
from tieout.wire.standard_webhooks import Signed

if TYPE_CHECKING:
    from tieout.mirror.mirror import Mirror

Supplier = Annotated[str, PathParameter(description="The supplier's name in its mirror.", max_length=255)]
MirrorName = Annotated[
    str, QueryParameter(name="mirror", max_length=255, description="Its mirror, when several have such a supplier.")
]


class Taken(msgspec.Struct, frozen=True):
    """What became of the message. A duplicate was taken in before, and did nothing.

    Of an accepted one `changes` are taken in; `ignored` are of groups that the catalogue does not have. After a `gap`
    in the numbers of its stream, all that the stream speaks of is asked for.
    """

    effect: Literal["accepted", "duplicate"]
    changes: int
    ignored: int
    gap: bool


@post(
    "/v1/push/{supplier:str}",
    status_code=202,
    tags=["mirrors"],
    responses=refusals(*WITH_BODY),
    opt={"open": True},
    security=[{}],
)
async def push(request: Asked, supplier: Supplier, mirror_name: MirrorName = "") -> Taken:
    """Tell a mirror what has changed. Signed by Standard Webhooks or RFC 9421, over the body as it is sent; no token.

    202 once it is stored, whatever comes of it; the same message again does nothing. 401 unless it is rightly signed,
    within five minutes.
    """
    site = site_of(request)
    body = await request.body()
    signed = signed_by(request, site, body)
    if not isinstance(signed, Signed):
        site.metrics.pushes.labels("nobody", signed).inc()
        raise not_signed("message", signed)
    if supplier not in (site.settings.senders[signed.sender].suppliers or (signed.sender,)):
        raise Forbidden(f"{signed.sender} may not push for this supplier")
    received = await mirror_of(site.app, supplier, mirror_name).push(supplier, body, message=signed.id)
    site.metrics.pushes.labels(signed.sender, received.effect).inc()
    return Taken(received.effect, received.changes, received.ignored, received.gap)


def mirror_of(app: App, supplier: str, name: str) -> Mirror:
    """The mirror that has such a supplier; raise `UnknownItem`, or `InvalidRequest` when several have."""
    having = [one for one in app.mirrors.values() if supplier in one.suppliers and name in ("", one.name)]
    if not having:
        raise UnknownItem("no mirror has a supplier of this name")
    if len(having) > 1:
        raise InvalidRequest(f"several mirrors have this supplier: say ?mirror={having[0].name} or another")
    return having[0]


ROUTES = [push]
