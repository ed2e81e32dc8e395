"""`POST /v1/report/{call_key}`: what became of a call, from a signed callback."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, post
from litestar.params import PathParameter

from tieout.contracts import Transaction
from tieout.errors import Forbidden, InvalidRequest
from tieout.identity import fingerprint, parse_call_key
from tieout.process.landing import call_of
from tieout.process.reading import Callback, read_callback
from tieout.server.bodies import check_json
from tieout.server.describing import WITH_BODY, refusals
from tieout.server.signatures import not_signed, signed_by
from tieout.server.site import Asked, Site, site_of
from tieout.wire.standard_webhooks import Signed

CallKey = Annotated[
    str, PathParameter(description="The call's key, as it was sent: `id:n`.", pattern="^[0-9a-f]{32}:[0-9]{1,9}$")
]


class Judged(msgspec.Struct, frozen=True):
    """What the report did. A `replayed` one was received before, and did nothing."""

    effect: Literal["advanced", "kept", "duplicate", "conflict", "waiting"]
    replayed: bool


@post(
    "/v1/report/{call_key:str}",
    status_code=200,
    tags=["reports"],
    responses=refusals(*WITH_BODY),
    opt={"open": True},
    security=[{}],
)
async def report(request: Asked, call_key: CallKey) -> Judged:
    """Say what became of a call. Signed by Standard Webhooks or RFC 9421, over the body as it is sent; no token.

    200 whatever the report did; the same message again does nothing. 401 unless it is rightly signed, within five
    minutes. 404 when there is no such call yet: send it again later.
    """
    site = site_of(request)
    body = await request.body()
    signed = _signed(request, site, body)
    source, message = f"callback:{signed.sender}", fingerprint(signed.id, call_key, body.decode("latin-1")).hex()
    if await site.app.database.read(lambda tx: site.app.inbox.knows(tx, source, message)):
        site.metrics.reports.labels(signed.sender, "replayed").inc()
        return Judged("duplicate", replayed=True)
    outcome = _callback(request, body, call_key).told
    await _check_lane(site, signed, call_key)
    effect: Any = await site.app.report(call_key, outcome, source="push")

    async def remember(tx: Transaction) -> None:
        await site.app.inbox.once(tx, source, message)

    await site.app.engine.world.transact(remember)
    site.metrics.reports.labels(signed.sender, effect).inc()
    return Judged(effect, replayed=False)


def _signed(request: Asked, site: Site, body: bytes) -> Signed:
    found = signed_by(request, site, body)
    if isinstance(found, Signed):
        return found
    site.metrics.reports.labels("nobody", found).inc()
    raise not_signed("report", found)


def _callback(request: Request[Any, Any, Any], body: bytes, call_key: str) -> Callback:
    check_json(body, {"content-type": (request.headers.get("content-type", ""),)})
    callback = read_callback(body)
    if callback.call_key != call_key:
        raise InvalidRequest("the body reports on another call than the address does")
    return callback


async def _check_lane(site: Site, signed: Signed, call_key: str) -> None:
    """Raise `Forbidden` when the sender may not report on calls of this lane."""
    sender = site.settings.senders[signed.sender]
    if not (sender.lanes or sender.suppliers):
        return
    process, n = parse_call_key(call_key)
    record = await site.app.database.read(lambda tx: site.app.store.read(tx, process))
    entry = None if record is None else record.entry(n)
    if record is None or entry is None:
        return
    call = call_of(site.app.engine.world.type_of(record), entry)
    if call is None or call.lane not in sender.lanes:
        raise Forbidden(f"{signed.sender} may not report on this call")


ROUTES = [report]
