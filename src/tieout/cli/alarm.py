"""`tieout alarm`: what machines could not decide."""

from __future__ import annotations

from typing import Annotated, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from tieout.alarm.engine import AlarmDetail
from tieout.alarm.store import LAST, Alarm
from tieout.app import App
from tieout.cli.alarm_page import alarm_rows, show_alarm
from tieout.cli.printing import Json, emit, note, say, table
from tieout.cli.where import ANYWHERE, Where, opened, server_now
from tieout.cli.who import Who
from tieout.config import microseconds
from tieout.documents import alarm_document, detail_document
from tieout.errors import UnknownAlarm
from tieout.identity import hex_id

commands = cyclopts.App(
    name="alarm", help="What machines could not decide: list, show, acknowledge, own, snooze, resolve."
)

Id = Annotated[str, Parameter(help="The alarm's id, 32 hex digits.")]
Resolution = Literal["followed-first", "followed-other", "settled-outside", "false-alarm", "accepted"]


@commands.command(name="list")
async def list_alarms(
    *,
    kind: Annotated[str, Parameter(help="Only alarms of this kind, for instance conflict.")] = "",
    state: Annotated[Literal["open", "acknowledged", "resolved"] | None, Parameter(help="Only in this state.")] = None,
    owned_by: Annotated[str, Parameter(help="Only those that this person looks after.")] = "",
    under: Annotated[str | None, Parameter(help="Only those that are folded under the alarm with this id.")] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1_000), help="How many, 1 to 1000.")] = 50,
    after: Annotated[str | None, Parameter(help="Go on behind the alarm with this id.")] = None,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """List alarms, the latest first; with --json, one document a line."""
    async with opened(where) as app:
        before, before_id = LAST, b""
        if after is not None:
            last = (await app.alarms.show(alarm_id(after))).alarm
            before, before_id = last.last_at, last.id
        page = await app.alarms.list(
            kind=kind,
            state=state or "",
            owner=owned_by,
            parent=b"" if under is None else alarm_id(under),
            before=before,
            before_id=before_id,
            limit=limit,
        )
        now = await server_now(app)
    if json:
        for alarm in page:
            emit(alarm_document(alarm, None, now))
        return
    table(*alarm_rows(page, now))
    if len(page) == limit:
        note(f"more: --after {page[-1].id.hex()}")


@commands.command
async def show(id: Id, /, *, where: Where = ANYWHERE, json: Json = False) -> None:
    """Show one alarm with its evidence, claims beside each other."""
    async with opened(where) as app:
        detail, now = await app.alarms.show(alarm_id(id)), await server_now(app)
    if json:
        emit(detail_document(detail, now))
    else:
        show_alarm(detail, now)


@commands.command
async def acknowledge(id: Id, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Say that you look after an open alarm."""
    async with opened(where) as app:
        alarm = await app.alarms.acknowledge(alarm_id(id), actor=who.act.actor, reason=who.reason)
        await _tell(app, alarm, "acknowledged", as_json=json)


@commands.command
async def own(
    id: Id,
    /,
    *,
    owner: Annotated[str | None, Parameter(name="--to", help="Who looks after it. Default: the actor.")] = None,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Give an alarm an owner, who looks after it; an open one is acknowledged with that."""
    async with opened(where) as app:
        name = who.name if owner is None else owner
        alarm = await app.alarms.own(alarm_id(id), name, actor=who.act.actor, reason=who.reason)
        await _tell(app, alarm, f"owned by {name}", as_json=json)


@commands.command
async def snooze(
    id: Id,
    /,
    *,
    for_: Annotated[str, Parameter(name="--for", help="For how long, for instance 2h; at most 30d.")],
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Say nothing of an alarm for a while, unless new evidence comes; then it is told again."""
    async with opened(where) as app:
        alarm = await app.alarms.snooze(alarm_id(id), microseconds(for_), actor=who.act.actor, reason=who.reason)
        await _tell(app, alarm, f"snoozed for {for_}", as_json=json)


@commands.command
async def resolve(
    id: Id,
    /,
    *,
    resolution: Annotated[Resolution, Parameter(name="--as", help="How it was resolved.")],
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Close an alarm; its evidence stays. A conflict is better closed by `tieout process settle`.

    Where money may have moved it takes two persons: the first one's wish is recorded, and the status is 1.
    """
    async with opened(where) as app:
        alarm = await app.alarms.resolve(alarm_id(id), resolution, actor=who.act.actor, reason=who.reason)
        await _tell(app, alarm, f"resolved: {resolution}", as_json=json)


def alarm_id(text: str) -> bytes:
    """The 16 bytes of an alarm's id; raise `UnknownAlarm` for what cannot be one."""
    return hex_id(text, UnknownAlarm("an alarm's id is 32 hex digits: see `tieout alarm list`"))


async def _tell(app: App, alarm: Alarm, done: str, *, as_json: bool) -> None:
    if as_json:
        detail: AlarmDetail = await app.alarms.show(alarm.id)
        emit(detail_document(detail, await server_now(app)))
    else:
        say(f"{alarm.id.hex()} {done}")
