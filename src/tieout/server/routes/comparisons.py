"""`/v1/rules`, `/v1/feeds`, `/v1/runs`: what is compared, how it stands, and what comparisons came to."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import Response, get, post
from litestar.datastructures import ResponseHeader
from litestar.params import JSONBody, PathParameter, QueryParameter

from tieout.config import zone_of
from tieout.errors import ConfigError, InvalidParams, UnknownRule, UnknownRun
from tieout.identity import hex_id
from tieout.recon.define import Rule
from tieout.recon.health import RuleStatus
from tieout.recon.periods import Period, between, day
from tieout.recon.store import StoredState
from tieout.recon_documents import (
    FollowedFeedDocument,
    RuleDocument,
    RunDocument,
    feed_document,
    rule_document,
    run_document,
)
from tieout.server.describing import WITH_BODY, permits, refusals
from tieout.server.pages import Cursor, Limit, cursor_after, read_cursor
from tieout.server.routes.commands import Reason, Why
from tieout.server.site import Asked, Site, site_of, who

RuleName = Annotated[str, PathParameter(description="The rule's name.", max_length=255)]
OfRule = Annotated[str, QueryParameter(max_length=255, description="Only those of this rule.")]
Standing = Annotated[StoredState | None, QueryParameter(name="state", required=False)]
RunId = Annotated[str, PathParameter(description="The comparison's id, 32 hex digits.", pattern="^[0-9a-f]{32}$")]

Text = Annotated[str, msgspec.Meta(max_length=40)]

READING = permits("recon:read")


class Rules(msgspec.Struct, frozen=True):
    """All rules of the App."""

    items: list[RuleDocument]


class Feeds(msgspec.Struct, frozen=True):
    """All feeds that rules are followed by, or were."""

    items: list[FollowedFeedDocument]


class RunPage(msgspec.Struct, frozen=True):
    """Some comparisons, the latest first; `next` is the cursor of the page behind them, null at the end."""

    items: list[RunDocument]
    next: str | None


class ToCompare(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One day in the rule's zone, or `since` and `until`: days or times, in that zone unless they name one."""

    reason: Reason
    period: Text = ""
    since: Text = ""
    until: Text = ""
    unfinished: bool = False


def over(rule: Rule, period: str, since: str, until: str) -> Period:
    """The period that is meant; raise `InvalidParams` for what is no period, or a rule that has none."""
    if rule.needs_time:
        raise InvalidParams(f"{' and '.join(rule.needs_time)} has no at=: this rule is compared live only")
    zone = zone_of(rule.zone)
    try:
        if period and not (since or until):
            return day(period, zone)
        if since and until and not period:
            return between(since, until, zone)
    except ConfigError as error:
        raise InvalidParams(str(error)) from error
    raise InvalidParams("name the period, a day, or since and until")


@get("/v1/rules", tags=["recon"], responses=refusals(), **READING)
async def list_rules(request: Asked) -> Rules:
    """The rules of this App, with their open breaks, and how those stand that are followed."""
    site = site_of(request)
    return Rules(await _documents(site, list(site.app.recon.rules.values())))


@get("/v1/rules/{rule:str}", tags=["recon"], responses=refusals(), **READING)
async def get_rule(request: Asked, rule: RuleName) -> RuleDocument:
    """A rule, and how it stands."""
    site = site_of(request)
    (document,) = await _documents(site, [rule_of(site, rule)])
    return document


@get("/v1/feeds", tags=["recon"], responses=refusals(), **READING)
async def list_feeds(request: Asked) -> Feeds:
    """What both sides of followed rules are read by: how far behind, since when silent, and what was missed."""
    feeds, _ = await site_of(request).app.recon.status()
    return Feeds([feed_document(one) for one in feeds])


@get("/v1/runs", tags=["recon"], responses=refusals(), **READING)
async def list_runs(
    request: Asked, rule: OfRule = "", standing: Standing = None, limit: Limit = 50, cursor: Cursor = ""
) -> RunPage:
    """The latest comparison of each rule and period, the last begun first."""
    before, before_id = read_cursor(cursor)
    found = await site_of(request).app.recon.runs(
        rule, state=standing or "", before=before, before_id=before_id, limit=limit + 1
    )
    page = found[:limit]
    following = cursor_after(page[-1].started, page[-1].id) if len(found) > limit else None
    return RunPage([run_document(one) for one in page], following)


@get("/v1/runs/{id:str}", tags=["recon"], responses=refusals(), **READING)
async def get_run(request: Asked, id: RunId) -> RunDocument:
    """A comparison: how far it is, or what it came to. Its breaks are at `/v1/breaks?run=…`."""
    return run_document(await site_of(request).app.recon.show(raw_run(id)))


@post(
    "/v1/rules/{rule:str}/runs",
    status_code=202,
    tags=["recon"],
    responses=refusals(*WITH_BODY),
    response_headers=[ResponseHeader(name="Location", description="Where it is watched.", documentation_only=True)],
    **permits("recon:command"),
)
async def begin_run(request: Asked, rule: RuleName, data: JSONBody[ToCompare]) -> Response[RunDocument]:
    """Begin to compare a rule's sides over a period; it goes on by itself."""
    site, caller = who(request)
    period = over(rule_of(site, rule), data.period, data.since, data.until)
    begun = await site.comparisons.begin(
        rule, period, actor=caller.name, reason=data.reason, unfinished=data.unfinished
    )
    where = f"{request.scope.get('tieout.prefix', '')}/v1/runs/{begun.id.hex()}"
    return Response(run_document(begun), status_code=202, headers={"Location": where})


@post(
    "/v1/runs/{id:str}/abort",
    status_code=200,
    tags=["recon"],
    responses=refusals(*WITH_BODY),
    **permits("recon:command"),
)
async def abort_run(request: Asked, id: RunId, data: JSONBody[Why]) -> RunDocument:
    """Have a comparison end, within a second or two; what it has read whole is taken up by the next."""
    site, caller = who(request)
    return run_document(await site.app.recon.abort(raw_run(id), actor=caller.name, reason=data.reason))


def rule_of(site: Site, name: str) -> Rule:
    """The App's rule of this name; raise `UnknownRule`."""
    found = site.app.recon.rules.get(name)
    if found is None:
        raise UnknownRule("this App has no rule of this name")
    return found


def raw_run(id: str) -> bytes:
    """The bytes of a comparison's id; raise `UnknownRun` for what cannot be one."""
    return hex_id(id, UnknownRun("a comparison's id is 32 hex digits"))


async def _documents(site: Site, rules: list[Rule]) -> list[RuleDocument]:
    breaks = await site.app.recon.open_breaks()
    _, statuses = await site.app.recon.status()
    followed: dict[str, RuleStatus] = {one.name: one for one in statuses}
    return [rule_document(rule, breaks[rule.name], followed.get(rule.name)) for rule in rules]


ROUTES = [list_rules, get_rule, list_feeds, list_runs, get_run, begin_run, abort_run]
