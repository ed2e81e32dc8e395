"""`/v1/bulk`: commands for all processes that a filter matches: counted first, watched, aborted."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.params import JSONBody, PathParameter

from tieout.config import iso
from tieout.errors import UnknownJob
from tieout.identity import hex_id
from tieout.process.bulk import BulkCommand
from tieout.process.jobs import Job
from tieout.process.store import Filter
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.pages import MOST, Cursor, Limit, cursor_after, read_cursor
from tieout.server.routes.commands import Reason, Why, act_of
from tieout.server.site import Asked, who

Text = Annotated[str, msgspec.Meta(max_length=255, pattern=r"^[^\x00]*$")]
Moment = Annotated[int, msgspec.Meta(ge=0, le=MOST)]


class Which(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which processes are meant: empty means any. `since` and `before` are of their creation, in µs since 1970."""

    type: Text = ""
    state: Text = ""
    status: Literal["", "running", "held", "final", "retired"] = ""
    lane: Text = ""
    note: Text = ""
    client: Text = ""
    since: Moment = 0
    before: Moment = MOST

    @property
    def filter(self) -> Filter:
        """The same for the store."""
        return Filter(**msgspec.structs.asdict(self))


class ToCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command, and which processes it would be given."""

    command: BulkCommand
    filter: Which = Which()


class ToDo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A command for all processes that the filter matches, the newest first; `limit` of them at the most."""

    command: BulkCommand
    reason: Reason
    filter: Which = Which()
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None


class Count(msgspec.Struct, frozen=True):
    """How many processes a command is for."""

    command: str
    matched: int


class JobDocument(msgspec.Struct, frozen=True):
    """A bulk command: how far it has come, and at its end what it came to.

    `state` is lost when its node has gone. `tally` counts matched, done, skipped and failed processes.
    """

    id: str
    command: str
    filter: dict[str, Any]
    actor: str
    reason: str
    state: Literal["running", "ended", "lost"]
    is_aborted: bool
    tally: dict[str, Any]
    created: str
    changed: str


class JobPage(msgspec.Struct, frozen=True):
    """Some bulk commands, newest first."""

    items: list[JobDocument]
    next: str | None


JobId = Annotated[str, PathParameter(description="The bulk command's id, 32 hex digits.", pattern="^[0-9a-f]{32}$")]


def job_document(job: Job) -> JobDocument:
    """A bulk command as it is told."""
    return JobDocument(
        job.id.hex(),
        job.command,
        msgspec.json.decode(job.filter),
        job.actor,
        job.reason,
        job.state,
        job.is_aborted,
        msgspec.json.decode(job.tally),
        iso(job.created),
        iso(job.changed),
    )


@post(
    "/v1/bulk/count",
    status_code=200,
    tags=["commands"],
    responses=refusals(*WITH_BODY),
    **permits("process:command"),
)
async def count_bulk(request: Asked, data: JSONBody[ToCount]) -> Count:
    """How many processes a bulk command would be given to; changes nothing."""
    site, _ = who(request)
    return Count(data.command, await site.app.operate.count(data.filter.filter, data.command))


@post(
    "/v1/bulk",
    status_code=202,
    tags=["commands"],
    responses=refusals(*WITH_BODY),
    response_headers=[ResponseHeader(name="Location", description="Where it is watched.", documentation_only=True)],
    **permits("process:command"),
)
async def begin_bulk(request: Asked, data: JSONBody[ToDo]) -> Response[JobDocument]:
    """Begin a command for all processes that a filter matches; it goes on by itself."""
    site, caller = who(request)
    job = await site.jobs.begin(data.command, data.filter.filter, act_of(caller, data.reason), data.limit)
    where = f"{request.scope.get('tieout.prefix', '')}/v1/bulk/{job.id.hex()}"
    return Response(job_document(job), status_code=202, headers={"Location": where})


@get("/v1/bulk", tags=["commands"], responses=refusals(), **permits("process:command"))
async def list_bulk(request: Asked, limit: Limit = 50, cursor: Cursor = "") -> JobPage:
    """Bulk commands, newest first."""
    site, _ = who(request)
    before, before_id = read_cursor(cursor)
    found = await site.jobs.list(before=before, before_id=before_id, limit=limit + 1)
    page = found[:limit]
    following = cursor_after(page[-1].created, page[-1].id) if len(found) > limit else None
    return JobPage([job_document(job) for job in page], following)


@get("/v1/bulk/{id:str}", tags=["commands"], responses=refusals(), **permits("process:command"))
async def get_bulk(request: Asked, id: JobId) -> JobDocument:
    """How far a bulk command has come."""
    site, _ = who(request)
    return job_document(await site.jobs.show(_raw(id)))


@post(
    "/v1/bulk/{id:str}/abort",
    status_code=200,
    tags=["commands"],
    responses=refusals(*WITH_BODY),
    **permits("process:command"),
)
async def abort_bulk(request: Asked, id: JobId, data: JSONBody[Why]) -> JobDocument:
    """Let a bulk command end before its next process; what it has done stays done."""
    site, caller = who(request)
    return job_document(await site.jobs.abort(_raw(id), act_of(caller, data.reason)))


def _raw(id: str) -> bytes:
    return hex_id(id, UnknownJob("a bulk command's id is 32 hex digits"))


ROUTES = [count_bulk, begin_bulk, list_bulk, get_bulk, abort_bulk]
