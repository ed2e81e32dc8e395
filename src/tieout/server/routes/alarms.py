"""`/v1/alarms`: what machines could not decide."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from tieout.alarm.rules import LONGEST_SNOOZE, OWNER_LENGTH
from tieout.alarm.store import LAST
from tieout.documents import AlarmDocument, alarm_document, detail_document
from tieout.errors import ApprovalNeeded, UnknownAlarm
from tieout.identity import hex_id
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.pages import Cursor, Limit, cursor_after, read_cursor
from tieout.server.routes.commands import RECORDED, Reason, Why, recorded
from tieout.server.site import Asked, Site, who

Resolution = Literal["followed-first", "followed-other", "settled-outside", "false-alarm", "accepted"]
State = Literal["open", "acknowledged", "resolved"]
AlarmId = Annotated[str, PathParameter(description="The alarm's id, 32 hex digits.", pattern="^[0-9a-f]{32}$")]
Standing = Annotated[State | None, QueryParameter(name="state", required=False)]
Kind = Annotated[str, QueryParameter(max_length=63, description="For instance conflict.")]

Owner = Annotated[str, QueryParameter(max_length=OWNER_LENGTH, description="Only those that this person looks after.")]
Parent = Annotated[str, QueryParameter(pattern="^([0-9a-f]{32})?$", description="Only those folded under this alarm.")]

HANDLING: dict[str, Any] = {
    "status_code": 200,
    "tags": ["alarms"],
    "responses": refusals(*WITH_BODY),
    **permits("alarm:handle"),
}


class AlarmPage(msgspec.Struct, frozen=True):
    """Some alarms, the latest first; `next` is the cursor of the page behind them, null at the end."""

    items: list[AlarmDocument]
    next: str | None


class ToResolve(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"resolution": "as"}):
    """How an alarm was resolved, and why so."""

    resolution: Resolution
    reason: Reason


class ToOwn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who looks after an alarm, whoever asks unless named, and why."""

    reason: Reason
    owner: Annotated[str, msgspec.Meta(max_length=OWNER_LENGTH)] = ""


class ToSnooze(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long nothing is said of an alarm, and why."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_SNOOZE // 1_000_000)]
    reason: Reason


@get("/v1/alarms", tags=["alarms"], responses=refusals(), **permits("alarm:read"))
async def list_alarms(
    request: Asked,
    kind: Kind = "",
    standing: Standing = None,
    owner: Owner = "",
    parent: Parent = "",
    limit: Limit = 50,
    cursor: Cursor = "",
) -> AlarmPage:
    """Alarms by their last occurrence, the latest first."""
    site, caller = who(request)
    before, before_id = read_cursor(cursor)
    found = await site.app.alarms.list(
        kind=kind,
        state=standing or "",
        owner=owner,
        parent=bytes.fromhex(parent),
        before=before if cursor else LAST,
        before_id=before_id,
        limit=limit + 1,
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


@post("/v1/alarms/{id:str}/acknowledge", **HANDLING)
async def acknowledge_alarm(request: Asked, id: AlarmId, data: JSONBody[Why]) -> AlarmDocument:
    """Say that you look after an open alarm."""
    site, caller = who(request)
    await site.app.alarms.acknowledge(raw(id), actor=caller.name, reason=data.reason)
    return await _shown(site, raw(id))


@post("/v1/alarms/{id:str}/own", **HANDLING)
async def own_alarm(request: Asked, id: AlarmId, data: JSONBody[ToOwn]) -> AlarmDocument:
    """Give an alarm an owner, who looks after it; an open one is acknowledged with that."""
    site, caller = who(request)
    await site.app.alarms.own(raw(id), data.owner or caller.name, actor=caller.name, reason=data.reason)
    return await _shown(site, raw(id))


@post("/v1/alarms/{id:str}/snooze", **HANDLING)
async def snooze_alarm(request: Asked, id: AlarmId, data: JSONBody[ToSnooze]) -> AlarmDocument:
    """Say nothing of an alarm for a while, unless new evidence comes; then it is told again."""
    site, caller = who(request)
    await site.app.alarms.snooze(raw(id), data.seconds * 1_000_000, actor=caller.name, reason=data.reason)
    return await _shown(site, raw(id))


@post("/v1/alarms/{id:str}/resolve", **{**HANDLING, "responses": {202: RECORDED, **HANDLING["responses"]}})
async def resolve_alarm(request: Asked, id: AlarmId, data: JSONBody[ToResolve]) -> AlarmDocument:
    """Close an alarm; its evidence stays. A conflict is better closed by settling its process.

    Where money may have moved it takes a second person, who asks for the same: until then the answer is 202.
    """
    site, caller = who(request)
    try:
        await site.app.alarms.resolve(raw(id), data.resolution, actor=caller.name, reason=data.reason)
    except ApprovalNeeded as wish:
        return recorded(wish)  # type: ignore[no-any-return]  # Litestar takes either
    return await _shown(site, raw(id))


def raw(id: str) -> bytes:
    """The bytes of an alarm's id; raise `UnknownAlarm` for what cannot be one."""
    return hex_id(id, UnknownAlarm("an alarm's id is 32 hex digits"))


async def _shown(site: Site, alarm: bytes) -> AlarmDocument:
    return detail_document(await site.app.alarms.show(alarm), await site.now())


ROUTES = [list_alarms, get_alarm, acknowledge_alarm, own_alarm, snooze_alarm, resolve_alarm]
