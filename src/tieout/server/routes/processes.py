"""`/v1/processes`: one process, its trail, and listings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import get
from litestar.params import PathParameter, QueryParameter

from tieout.access import Caller
from tieout.documents import InspectionDocument, MoveDocument, ProcessDocument, inspection_document, process_document
from tieout.errors import UnknownProcess
from tieout.identity import raw_id, split_owner
from tieout.process.record import Record
from tieout.process.store import Filter
from tieout.server.describing import permits, refusals
from tieout.server.pages import MOST, Cursor, Limit, cursor_after, read_cursor
from tieout.server.routes.starting import Prefer, wait_of
from tieout.server.site import Asked, who

Status = Annotated[Literal["running", "held", "final", "retired"] | None, QueryParameter()]

Text = Annotated[str, QueryParameter(max_length=255)]
Id = Annotated[str, PathParameter(description="The process's id, 32 hex digits.", pattern="^[0-9a-f]{32}$")]

AtState = Annotated[str, QueryParameter(name="state", max_length=255)]

BEFORE = Annotated[int, QueryParameter(ge=0, le=MOST, description="Created before, in µs since 1970.")]
SINCE = Annotated[int, QueryParameter(ge=0, le=MOST, description="Created at or after, in µs since 1970.")]


class ProcessPage(msgspec.Struct, frozen=True):
    """Some processes, newest first; `next` is the cursor of the page behind them, null at the end."""

    items: list[ProcessDocument]
    next: str | None


class Trail(msgspec.Struct, frozen=True):
    """Who advanced a process, when, and by which way; the latest twenty moves."""

    id: str
    state: str
    status: str
    trail: list[MoveDocument]


def check_sees(caller: Caller, record: Record) -> Record:
    """The record; raise `UnknownProcess` when it is not for this caller, as if it were not there."""
    if caller.sees and split_owner(record.owner)[0] != caller.sees:
        raise UnknownProcess(f"there is no process {record.id.hex()}")
    return record


@get("/v1/processes", tags=["processes"], responses=refusals(), **permits("process:read", "process:read-own"))
async def list_processes(
    request: Asked,
    *,
    type: Text = "",
    at: AtState = "",
    status: Status = None,
    lane: Text = "",
    note: Text = "",
    client: Text = "",
    since: SINCE = 0,
    before: BEFORE = MOST,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> ProcessPage:
    """Processes, newest first. Filters that are left out mean any; a client sees its own."""
    site, caller = who(request)
    moment, behind = read_cursor(cursor)
    wanted = Filter(
        type=type,
        state=at,
        status=status or "",
        lane=lane,
        note=note,
        client=caller.sees or client,
        since=since,
        before=min(moment, before),
        before_id=behind if moment <= before else b"",
        limit=limit + 1,
    )
    found = await site.app.database.read(lambda tx: site.app.store.page(tx, wanted))
    page = found[:limit]
    following = cursor_after(page[-1].created, page[-1].id) if len(found) > limit else None
    items: Any = [site.for_caller(process_document(record), caller) for record in page]
    return ProcessPage(items, following)


@get("/v1/processes/{id:str}", tags=["processes"], responses=refusals(), **permits("process:read", "process:read-own"))
async def get_process(request: Asked, id: Id, prefer: Prefer = None) -> ProcessDocument:
    """A process; with `Prefer: wait=`, once it is final or held, or after so long."""
    site, caller = who(request)
    record = check_sees(caller, await site.app.engine.read(raw_id(id)))
    if record.status == "running" and (seconds := wait_of(prefer, site.settings.max_wait)):
        record = await site.app.until_rest(record, seconds)
    document: ProcessDocument = site.for_caller(process_document(record), caller)
    return document


@get(
    "/v1/processes/{id:str}/trail",
    tags=["processes"],
    responses=refusals(),
    **permits("process:read", "process:read-own"),
)
async def get_trail(request: Asked, id: Id) -> Trail:
    """Who advanced a process, when, and by which way."""
    site, caller = who(request)
    record = check_sees(caller, await site.app.engine.read(raw_id(id)))
    return Trail(id, record.state, record.status, process_document(record).trail)


@get("/v1/processes/{id:str}/inspection", tags=["processes"], responses=refusals(), **permits("process:read"))
async def inspect_process(request: Asked, id: Id) -> InspectionDocument:
    """A process with its alarms and their evidence, what persons did, and reports that came too early."""
    site, caller = who(request)
    inspection = await site.app.inspect(id)
    document: InspectionDocument = site.for_caller(inspection_document(inspection), caller)
    return document


ROUTES = [list_processes, get_process, get_trail, inspect_process]
