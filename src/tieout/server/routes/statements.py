"""`/v1/rules/{rule}/statement`: what became of a period."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from tieout.recon_documents import StatementDocument, statement_document
from tieout.server.describing import permits, refusals
from tieout.server.pages import Limit
from tieout.server.routes.comparisons import RuleName, over, rule_of
from tieout.server.site import Asked, site_of

OneDay = Annotated[str, QueryParameter(max_length=40, description="One day in the rule's zone.")]
Since = Annotated[str, QueryParameter(max_length=40, description="The first day or time, in the rule's zone.")]
Until = Annotated[str, QueryParameter(max_length=40, description="The day or time before which it ends.")]


@get("/v1/rules/{rule:str}/statement", tags=["recon"], responses=refusals(422), **permits("recon:read"))
async def get_statement(
    request: Asked, rule: RuleName, period: OneDay = "", since: Since = "", until: Until = "", limit: Limit = 50
) -> StatementDocument:
    """What became of a period: matched, found, decided and why, open; the first decisions of each kind are listed."""
    site = site_of(request)
    found = rule_of(site, rule)
    wanted = over(found, period, since, until)
    said = await site.app.recon.statement(rule, wanted)
    decided = [
        one
        for state in ("settled", "ignored")
        for one in await site.app.recon.breaks_of_period(rule, wanted, state=state, limit=limit)
    ]
    return statement_document(said, decided)


ROUTES = [get_statement]
