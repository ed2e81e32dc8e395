"""`tieout process`: look at processes, and command them."""

from __future__ import annotations

from typing import Annotated, Any

import cyclopts
import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec.structs import replace

from tieout.app import App
from tieout.cli import exits
from tieout.cli.bulk import in_bulk
from tieout.cli.printing import Json, compact, emit, note, say
from tieout.cli.process_page import show_list, show_process
from tieout.cli.where import ANYWHERE, Where, opened, server_now
from tieout.cli.which import BY_ID, ONE, Id, Many, RequestKey, moment
from tieout.cli.who import Who
from tieout.documents import inspection_document, process_document
from tieout.errors import PayloadUnreadable
from tieout.identity import raw_id
from tieout.process.outcomes import Failed, Succeeded
from tieout.process.record import Status
from tieout.process.rules import note_of
from tieout.process.store import Filter

commands = cyclopts.App(name="process", help="Look at processes, and command them.")


@commands.command(name="list")
async def list_processes(
    *,
    type: Annotated[str, Parameter(help="Only processes of this type.")] = "",
    state: Annotated[str, Parameter(help="Only processes at this state.")] = "",
    status: Annotated[Status | None, Parameter(help="Only processes of this status.")] = None,
    since: Annotated[str | None, Parameter(help="Created since: 24h, or 2030-01-31T12:00 (UTC).")] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1_000), help="How many, 1 to 1000.")] = 50,
    after: Annotated[str | None, Parameter(help="Go on behind the process with this id.")] = None,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """List processes, newest first; with --json, one document a line."""
    async with opened(where) as app:
        wanted = Filter(type=type, state=state, status=status or "", limit=limit)
        if since is not None:
            wanted = replace(wanted, since=moment(since, await server_now(app)))
        if after is not None:
            last = await app.engine.look(raw_id(after))
            wanted = replace(wanted, before=last.created, before_id=last.id)
        page = await app.database.read(lambda tx: app.store.page(tx, wanted))
    if json:
        for record in page:
            emit(process_document(record))
        return
    show_list(page)
    if any(record.unreadable for record in page):
        note(f"of those marked [{PayloadUnreadable.code}] the App that is given here cannot read all that is stored")
    if len(page) == limit:
        note(f"more: --after {page[-1].id.hex()}")


@commands.command
async def show(id: Id = None, /, *, by: RequestKey = BY_ID, where: Where = ANYWHERE, json: Json = False) -> None:
    """Show one process: who advanced it and when, its calls and claims, params, alarms, and what persons did."""
    async with opened(where) as app:
        inspection = await app.inspect(by.id_or(id))
    if json:
        emit(inspection_document(inspection))
    else:
        show_process(inspection)


@commands.command
async def retry(
    id: Id = None,
    /,
    *,
    by: RequestKey = BY_ID,
    many: Many = ONE,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Make a running process due now: a worker takes it over within a second or so."""
    if many.are_meant(id, by):
        return await in_bulk("retry", by, many, who, where, as_json=json)
    async with opened(where) as app:
        process = raw_id(by.id_or(id))
        await app.operate.retry(process, who.act)
        await tell(app, process, "due now: a worker takes it over", as_json=json)
    return exits.OK


@commands.command
async def hold(
    id: Id = None,
    /,
    *,
    by: RequestKey = BY_ID,
    many: Many = ONE,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Stop a running process: it sends and runs nothing; reports are judged, and applied when it resumes."""
    if many.are_meant(id, by):
        return await in_bulk("hold", by, many, who, where, as_json=json)
    async with opened(where) as app:
        process = raw_id(by.id_or(id))
        await app.operate.hold(process, who.act)
        await tell(app, process, "held", as_json=json)
    return exits.OK


@commands.command
async def resume(
    id: Id = None,
    /,
    *,
    by: RequestKey = BY_ID,
    many: Many = ONE,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Let a held process go on; a worker takes it over. Needs the App."""
    if many.are_meant(id, by):
        return await in_bulk("resume", by, many, who, where, as_json=json)
    async with opened(where, code=True) as app:
        process = raw_id(by.id_or(id))
        await app.operate.resume(process, who.act)
        await tell(app, process, "resumed: a worker takes it over", as_json=json)
    return exits.OK


@commands.command
async def cancel(
    id: Id = None,
    /,
    *,
    by: RequestKey = BY_ID,
    many: Many = ONE,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Wish that a process be cancelled: its type's own step does so once no call is open. Needs the App."""
    if many.are_meant(id, by):
        return await in_bulk("cancel", by, many, who, where, as_json=json)
    async with opened(where, code=True) as app:
        process = raw_id(by.id_or(id))
        await app.operate.cancel(process, who.act)
        await tell(app, process, "to be cancelled as soon as no call of it is open", as_json=json)
    return exits.OK


@commands.command
async def query(
    id: Id = None,
    /,
    *,
    by: RequestKey = BY_ID,
    many: Many = ONE,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Ask the downstream now what became of the latest call; exit 1 when it gave no final answer. Needs the App."""
    if many.are_meant(id, by):
        return await in_bulk("query", by, many, who, where, as_json=json)
    async with opened(where, code=True) as app:
        process = raw_id(by.id_or(id))
        outcome = (await app.operate.query(process, who.act)).outcome
        final = isinstance(outcome, (Succeeded, Failed))
        kind = type(outcome).__name__
        answer = f"{kind.lower()} {compact(outcome)}" if final else note_of(outcome)
        await tell(app, process, f"the downstream says: {answer}", as_json=json, answer=kind.lower(), told=outcome)
    return exits.OK if final else exits.NO


@commands.command
async def recheck(
    id: Id = None,
    /,
    *,
    by: RequestKey = BY_ID,
    many: Many = ONE,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Ask the downstreams about every call again, also where the process has ended. Needs the App."""
    if many.are_meant(id, by):
        return await in_bulk("recheck", by, many, who, where, as_json=json)
    async with opened(where, code=True) as app:
        process = raw_id(by.id_or(id))
        outcomes = await app.operate.recheck(process, who.act)
        kinds = [type(outcome).__name__.lower() for outcome in outcomes]
        await tell(app, process, f"the downstreams say: {', '.join(kinds)}", as_json=json, answers=kinds)
    return exits.OK


async def tell(app: App, process: bytes, done: str, *, as_json: bool, **more: Any) -> None:
    """Say what was done, and how the process stands now."""
    record = await app.engine.read(process)
    if as_json:
        emit(msgspec.to_builtins(process_document(record)) | more)
    else:
        say(f"{process.hex()} {done}")
        say(f"  {record.type} is at {record.state} ({record.status})")
