"""`/v1/breaks`: keys that do not agree, found live or offline, and what a person may do with one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter, QueryParameter

from tieout.access import Caller
from tieout.errors import UnknownBreak
from tieout.identity import hex_id
from tieout.recon.rules import BREAKS, Outcome
from tieout.recon.store import Break, BreakState
from tieout.recon_documents import BreakDetailDocument, BreakDocument, break_detail, break_document
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.pages import Limit
from tieout.server.routes.commands import Why
from tieout.server.routes.comparisons import OfRule, raw_run
from tieout.server.site import Asked, Site, who

HEX = "^([0-9a-f]{32})?$"
BreakId = Annotated[str, PathParameter(description="The break's id, 32 hex digits.", pattern="^[0-9a-f]{32}$")]
OfRun = Annotated[str, QueryParameter(pattern=HEX, description="Only those that this comparison found last.")]
Standing = Annotated[BreakState | None, QueryParameter(name="state", required=False)]
Kind = Annotated[Outcome | None, QueryParameter(required=False, description=f"One of {', '.join(BREAKS)}.")]
Behind = Annotated[str, QueryParameter(pattern=HEX, description="`next` of the page before.")]

DECIDING: dict[str, Any] = {
    "status_code": 200,
    "tags": ["recon"],
    "responses": refusals(*WITH_BODY),
    **permits("recon:command"),
}


class BreakPage(msgspec.Struct, frozen=True):
    """Some breaks, by id; `next` is the cursor of the page behind them, null at the end."""

    items: list[BreakDocument]
    next: str | None


@get("/v1/breaks", tags=["recon"], responses=refusals(), **permits("recon:read"))
async def list_breaks(
    request: Asked,
    rule: OfRule = "",
    run: OfRun = "",
    standing: Standing = None,
    outcome: Kind = None,
    limit: Limit = 50,
    cursor: Behind = "",
) -> BreakPage:
    """Breaks, found live or offline. Filters that are left out mean any."""
    site, caller = who(request)
    wanted: dict[str, Any] = {"state": standing or "", "outcome": outcome or "", "after": bytes.fromhex(cursor)}
    if run:
        of_run = await site.app.recon.breaks(raw_run(run), limit=limit + 1, **wanted)
        found = [one for one in of_run if rule in ("", one.rule)]
    else:
        found = list(await site.app.recon.decide.list(rule=rule, limit=limit + 1, **wanted))
    page = found[:limit]
    items: Any = [site.for_caller(break_document(one), caller) for one in page]
    return BreakPage(items, page[-1].id.hex() if len(found) > limit else None)


@get("/v1/breaks/{id:str}", tags=["recon"], responses=refusals(), **permits("recon:read"))
async def get_break(request: Asked, id: BreakId) -> BreakDetailDocument:
    """A break: both sides' records, where they came from, possible causes, and what persons did with it."""
    site, caller = who(request)
    return await _shown(site, caller, raw_break(id))


@post("/v1/breaks/{id:str}/settle", **DECIDING)
async def settle_break(request: Asked, id: BreakId, data: JSONBody[Why]) -> BreakDetailDocument:
    """Say that a break was put right elsewhere; it opens again when something else is found of its key."""
    site, _ = who(request)
    return await _decided(request, id, data, site.app.recon.decide.settle)


@post("/v1/breaks/{id:str}/ignore", **DECIDING)
async def ignore_break(request: Asked, id: BreakId, data: JSONBody[Why]) -> BreakDetailDocument:
    """Say that a break may stay as it is; it opens again when something else is found of its key."""
    site, _ = who(request)
    return await _decided(request, id, data, site.app.recon.decide.ignore)


@post("/v1/breaks/{id:str}/judge", **DECIDING)
async def judge_break(request: Asked, id: BreakId, data: JSONBody[Why]) -> BreakDetailDocument:
    """Ask both sources for a break's key as it is now, and judge that: what agrees is closed, else it is open."""
    site, _ = who(request)
    return await _decided(request, id, data, site.app.recon.decide.judge_again)


@post("/v1/breaks/{id:str}/repair", **{**DECIDING, **permits("recon:repair")})
async def repair_break(request: Asked, id: BreakId, data: JSONBody[Why]) -> BreakDetailDocument:
    """Start the process that repairs an open break, once for what was found; `process` is its id."""
    site, _ = who(request)
    return await _decided(request, id, data, site.app.recon.decide.repair)


def raw_break(id: str) -> bytes:
    """The bytes of a break's id; raise `UnknownBreak` for what cannot be one."""
    return hex_id(id, UnknownBreak("a break's id is 32 hex digits"))


async def _decided(request: Asked, id: str, data: Why, act: Callable[..., Awaitable[Break]]) -> BreakDetailDocument:
    site, caller = who(request)
    await act(raw_break(id), actor=caller.name, reason=data.reason)
    return await _shown(site, caller, raw_break(id))


async def _shown(site: Site, caller: Caller, number: bytes) -> BreakDetailDocument:
    document: BreakDetailDocument = site.for_caller(break_detail(*await site.app.recon.decide.history(number)), caller)
    return document


ROUTES = [list_breaks, get_break, settle_break, ignore_break, judge_break, repair_break]
