"""`tieout process`: look at processes, and command them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number
from msgspec.structs import replace

from tieout.app import App, raw_id
from tieout.cli import exits
from tieout.cli.documents import inspection_document, process_document
from tieout.cli.printing import Json, compact, emit, note, say
from tieout.cli.process_page import show_list, show_process
from tieout.cli.where import ANYWHERE, Where, opened, server_now
from tieout.cli.who import Who
from tieout.config import microseconds
from tieout.errors import ConfigError
from tieout.identity import key_bytes, process_id
from tieout.process.outcomes import Failed, Succeeded
from tieout.process.record import Status
from tieout.process.rules import note_of
from tieout.process.store import Filter

commands = cyclopts.App(name="process", help="Look at processes, and command them.")

Id = Annotated[str | None, Parameter(help="The process's id, 32 hex digits; or give --type, --owner and --key.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RequestKey:
    """A process by what its client sent."""

    type: Annotated[str | None, Parameter(help="With --key: the process type.")] = None
    owner: Annotated[str | None, Parameter(help="With --key: the owner, if the type has one.")] = None
    key: Annotated[str | None, Parameter(help="The request key.", allow_leading_hyphen=True)] = None

    def id_or(self, id: str | None) -> str:
        """The process's id; raise `ConfigError` unless exactly one process is named."""
        if (id is None) == (self.key is None) or (self.key is None) != (self.type is None):
            raise ConfigError("name the process: by its id, or by --type, --key and, if the type has one, --owner")
        if id is not None or self.key is None or self.type is None:
            return id or ""
        owner = b"" if self.owner is None else key_bytes(self.owner, "owner")
        return process_id(self.type, owner, key_bytes(self.key)).hex()


BY_ID = RequestKey()


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
            last = await app.engine.read(raw_id(after))
            wanted = replace(wanted, before=last.created, before_id=last.id)
        page = await app.database.read(lambda tx: app.store.page(tx, wanted))
    if json:
        for record in page:
            emit(process_document(record))
        return
    show_list(page)
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
    id: Id = None, /, *, by: RequestKey = BY_ID, who: Who, where: Where = ANYWHERE, json: Json = False
) -> None:
    """Make a running process due now: a worker takes it over within a second or so."""
    async with opened(where) as app:
        process = raw_id(by.id_or(id))
        await app.operate.retry(process, who.act)
        await tell(app, process, "due now: a worker takes it over", as_json=json)


@commands.command
async def hold(
    id: Id = None, /, *, by: RequestKey = BY_ID, who: Who, where: Where = ANYWHERE, json: Json = False
) -> None:
    """Stop a running process: it sends and runs nothing; reports are judged, and applied when it resumes."""
    async with opened(where) as app:
        process = raw_id(by.id_or(id))
        await app.operate.hold(process, who.act)
        await tell(app, process, "held", as_json=json)


@commands.command
async def resume(
    id: Id = None, /, *, by: RequestKey = BY_ID, who: Who, where: Where = ANYWHERE, json: Json = False
) -> None:
    """Let a held process go on; a worker takes it over. Needs the App."""
    async with opened(where, code=True) as app:
        process = raw_id(by.id_or(id))
        await app.operate.resume(process, who.act)
        await tell(app, process, "resumed: a worker takes it over", as_json=json)


@commands.command
async def cancel(
    id: Id = None, /, *, by: RequestKey = BY_ID, who: Who, where: Where = ANYWHERE, json: Json = False
) -> None:
    """Wish that a process be cancelled: its type's own step does so once no call is open. Needs the App."""
    async with opened(where, code=True) as app:
        process = raw_id(by.id_or(id))
        await app.operate.cancel(process, who.act)
        await tell(app, process, "to be cancelled as soon as no call of it is open", as_json=json)


@commands.command
async def query(
    id: Id = None, /, *, by: RequestKey = BY_ID, who: Who, where: Where = ANYWHERE, json: Json = False
) -> int:
    """Ask the downstream now what became of the latest call; exit 1 when it gave no final answer. Needs the App."""
    async with opened(where, code=True) as app:
        process = raw_id(by.id_or(id))
        outcome = (await app.operate.query(process, who.act)).outcome
        final = isinstance(outcome, (Succeeded, Failed))
        kind = type(outcome).__name__
        answer = f"{kind.lower()} {compact(outcome)}" if final else note_of(outcome)
        await tell(app, process, f"the downstream says: {answer}", as_json=json, answer=kind.lower(), told=outcome)
    return exits.OK if final else exits.NO


def moment(text: str, now: int) -> int:
    """A time in microseconds, from ISO 8601 (UTC unless it says otherwise) or from how long ago it was."""
    try:
        return now - microseconds(text)
    except ConfigError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is neither a duration such as 24h nor a time such as 2030-01-31T12:00") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(at.timestamp() * 1_000_000)


async def tell(app: App, process: bytes, done: str, *, as_json: bool, **more: Any) -> None:
    """Say what was done, and how the process stands now."""
    record = await app.engine.read(process)
    if as_json:
        emit(process_document(record) | more)
    else:
        say(f"{process.hex()} {done}")
        say(f"  {record.type} is at {record.state} ({record.status})")
