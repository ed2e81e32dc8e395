"""`/v1/alarms`: what machines could not decide."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from tieout.alarm.store import LAST
from tieout.documents import AlarmDocument, alarm_document
from tieout.errors import UnknownAlarm
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.pages import Cursor, Limit, cursor_after, read_cursor
from tieout.server.routes.commands import Reason, Why
from tieout.server.site import Asked, Site, who

Resolution = Literal["followed-first", "followed-other", "settled-outside", "false-alarm", "accepted"]
State = Literal["open", "acknowledged", "resolved"]
AlarmId = Annotated[str, PathParameter(description="The alarm's id, 32 hex digits.", pattern="^[0-9a-f]{32}$")]
Standing = Annotated[State | None, QueryParameter(name="state", required=False)]
Kind = Annotated[str, QueryParameter(max_length=63, description="For instance conflict.")]


class AlarmPage(msgspec.Struct, frozen=True):
    """Some alarms, the latest first; `next` is the cursor of the page behind them, null at the end."""

    items: list[AlarmDocument]
    next: str | None


class ToResolve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"resolution": "as"}):
    """How an alarm was resolved, and why so."""

    resolution: Resolution
    reason: Reason


@get("/v1/alarms", tags=["alarms"], responses=refusals(), **permits("alarm:read"))
async def list_alarms(
    request: Asked, kind: Kind = "", standing: Standing = None, limit: Limit = 50, cursor: Cursor = ""
) -> AlarmPage:
    """Alarms by their last occurrence, the latest first."""
    site, caller = who(request)
    before, before_id = read_cursor(cursor)
    found = await site.app.alarms.list(
        kind=kind, state=standing or "", before=before if cursor else LAST, before_id=before_id, limit=limit + 1
    )
    page, now = found[:limit], await site.now()
    following = cursor_after(page[-1].last_at, page[-1].id) if len(found) > limit else None
    items: Any = [site.for_caller(alarm_document(alarm, None, now), caller) for alarm in page]
    return AlarmPage(items, following)


@get("/v1/alarms/{id:str}", tags=["alarms"], responses=refusals(), **permits("alarm:read"))
async def get_alarm(request: Asked, id: AlarmId) -> AlarmDocument:
    """An alarm with its evidence."""
    site, caller = who(request)
    document: AlarmDocument = site.for_caller(await _shown(site, raw(id)), caller)
    return document


@post(
    "/v1/alarms/{id:str}/acknowledge",
    status_code=200,
    tags=["alarms"],
    responses=refusals(*WITH_BODY),
    **permits("alarm:handle"),
)
async def acknowledge_alarm(request: Asked, id: AlarmId, data: JSONBody[Why]) -> AlarmDocument:
    """Say that you look after an open alarm."""
    site, caller = who(request)
    await site.app.alarms.acknowledge(raw(id), actor=caller.name, reason=data.reason)
    return await _shown(site, raw(id))


@post(
    "/v1/alarms/{id:str}/resolve",
    status_code=200,
    tags=["alarms"],
    responses=refusals(*WITH_BODY),
    **permits("alarm:handle"),
)
async def resolve_alarm(request: Asked, id: AlarmId, data: JSONBody[ToResolve]) -> AlarmDocument:
    """Close an alarm; its evidence stays. A conflict is better closed by settling its process."""
    site, caller = who(request)
    await site.app.alarms.resolve(raw(id), data.resolution, actor=caller.name, reason=data.reason)
    return await _shown(site, raw(id))


def raw(id: str) -> bytes:
    """The bytes of an alarm's id; raise `UnknownAlarm` for what cannot be one."""
    try:
        return bytes.fromhex(id)
    except ValueError as error:
        raise UnknownAlarm("an alarm's id is 32 hex digits") from error


async def _shown(site: Site, alarm: bytes) -> AlarmDocument:
    found, evidence = await site.app.alarms.show(alarm)
    return alarm_document(found, evidence, await site.now())


ROUTES = [list_alarms, get_alarm, acknowledge_alarm, resolve_alarm]
