"""`POST /v1/processes/{id}/{command}`: what an operator may do with one process."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from tieout.access import Caller
from tieout.documents import ProcessDocument, process_document
from tieout.errors import ApprovalNeeded, InvalidRequest
from tieout.identity import raw_id
from tieout.process.operating import Act, Choice
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.routes.processes import Id
from tieout.server.site import Asked, who

VISIBLE = r"^[^\x00]*[^\s\x00\x1c-\x1f\x85\ufeff][^\x00]*$"
"""Something else than blanks, and the same to Python as to whoever reads the description and has blanks of his own.

No NUL, which PostgreSQL stores nowhere.
"""

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000, pattern=VISIBLE, description="Kept in the audit.")]


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why somebody does something; who it is, the token says."""

    reason: Reason


class Settlement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"choice": "as"}):
    """What became of a call: `succeeded`, with its `value` unless a kept claim is followed; `failed`, with a `code`."""

    call: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    choice: Choice
    reason: Reason
    value: Any = None
    code: Annotated[str, msgspec.Meta(max_length=255)] = ""


class Queried(msgspec.Struct, frozen=True):
    """What the downstream answered, and the process after that."""

    answer: str
    process: ProcessDocument


class Recorded(msgspec.Struct, frozen=True):
    """The wish is recorded: it takes effect when a second person asks for the same."""

    code: str
    detail: str


RECORDED = ResponseSpec(Recorded, generate_examples=False, description="Recorded: a second person has to agree.")


def recorded(wish: ApprovalNeeded) -> Any:
    """The answer to a wish that was recorded."""
    return Response(Recorded(wish.code, str(wish)), status_code=202)


COMMAND: dict[str, Any] = {
    "status_code": 200,
    "tags": ["commands"],
    "responses": refusals(*WITH_BODY),
    **permits("process:command"),
}


def act_of(caller: Caller, reason: str) -> Act:
    """The act of a caller."""
    return Act(caller.name, reason)


@post("/v1/processes/{id:str}/retry", **COMMAND)
async def retry(request: Asked, id: Id, data: JSONBody[Why]) -> ProcessDocument:
    """Make a process due now: a worker takes it over within a second."""
    site, caller = who(request)
    return process_document(await site.app.operate.retry(raw_id(id), act_of(caller, data.reason)))


@post("/v1/processes/{id:str}/query", **COMMAND)
async def query(request: Asked, id: Id, data: JSONBody[Why]) -> Queried:
    """Ask the downstream now, whatever is due when, and go on if the answer moves the process."""
    site, caller = who(request)
    process = raw_id(id)
    asked = await site.app.operate.query(process, act_of(caller, data.reason))
    record = await site.app.engine.read(process)
    return Queried(type(asked.outcome).__name__.lower(), process_document(record))


@post("/v1/processes/{id:str}/hold", **COMMAND)
async def hold(request: Asked, id: Id, data: JSONBody[Why]) -> ProcessDocument:
    """Stop a process: it sends and runs nothing; reports are still judged, and applied when it resumes."""
    site, caller = who(request)
    return process_document(await site.app.operate.hold(raw_id(id), act_of(caller, data.reason)))


@post("/v1/processes/{id:str}/resume", **COMMAND)
async def resume(request: Asked, id: Id, data: JSONBody[Why]) -> ProcessDocument:
    """Let a held process go on: it is due now, and a claim that was kept is applied."""
    site, caller = who(request)
    return process_document(await site.app.operate.resume(raw_id(id), act_of(caller, data.reason)))


@post("/v1/processes/{id:str}/cancel", **COMMAND)
async def cancel(request: Asked, id: Id, data: JSONBody[Why]) -> ProcessDocument:
    """Store the wish to cancel a process: it takes effect as soon as no call of it is open any more."""
    site, caller = who(request)
    return process_document(await site.app.operate.cancel(raw_id(id), act_of(caller, data.reason)))


@post(
    "/v1/processes/{id:str}/settle",
    status_code=200,
    tags=["commands"],
    responses={
        202: RECORDED,
        **refusals(*WITH_BODY),
    },
    **permits("process:settle"),
)
async def settle(request: Asked, id: Id, data: JSONBody[Settlement]) -> ProcessDocument:
    """Decide a call of a held process, or record how a conflict about a final one was resolved.

    Where a claim says otherwise, a second person has to ask for the same: until then the answer is 202.
    """
    site, caller = who(request)
    if data.choice == "failed" and data.value is not None:
        raise InvalidRequest("value belongs to succeeded; a failure has a code")
    if data.choice == "succeeded" and data.code:
        raise InvalidRequest("code belongs to failed; a success has a value")
    act = act_of(caller, data.reason)
    try:
        settled = await site.app.operate.settle(raw_id(id), data.call, data.choice, act, data.value, data.code)
    except ApprovalNeeded as wish:
        return recorded(wish)  # type: ignore[no-any-return]  # Litestar takes either
    return process_document(settled)


ROUTES = [retry, query, hold, resume, cancel, settle]
