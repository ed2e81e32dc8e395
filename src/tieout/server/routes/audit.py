"""`/v1/audit`: what persons did, and whether that is still as it was written."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from tieout.audit.engine import verify
from tieout.audit.rules import ANCHOR, parse_anchor
from tieout.documents import AuditEntry, VerifiedDocument, audit_entry, verified_document
from tieout.server.describing import permits, refusals
from tieout.server.pages import MOST, Limit
from tieout.server.site import Asked, who

Before = Annotated[int, QueryParameter(ge=0, le=MOST, description="`next` of the page before; the newest without.")]
Text = Annotated[str, QueryParameter(max_length=190)]
Since = Annotated[
    str,
    QueryParameter(
        pattern=f"^({ANCHOR})?$", description="Check what comes behind this row: `end` of an earlier check."
    ),
]
Rows = Annotated[int, QueryParameter(ge=1, le=100_000, description="About how many rows to check, 1 to 100000.")]


class AuditPage(msgspec.Struct, frozen=True):
    """Some acts, the newest first; `next` is where the page behind them begins, null at the end."""

    items: list[AuditEntry]
    next: int | None


@get("/v1/audit", tags=["audit"], responses=refusals(), **permits("audit:read"))
async def list_audit(
    request: Asked, object: Text = "", actor: Text = "", action: Text = "", before: Before = MOST, limit: Limit = 50
) -> AuditPage:
    """What persons did, the newest first."""
    site, _ = who(request)
    store = site.app.operate.audit
    found = await site.app.database.read(
        lambda tx: store.page(tx, target=object, actor=actor, action=action, before=before, limit=limit + 1)
    )
    page = found[:limit]
    return AuditPage([audit_entry(row) for row in page], page[-1].seq if len(found) > limit else None)


@get("/v1/audit/verify", tags=["audit"], responses=refusals(), **permits("audit:read"))
async def verify_audit(request: Asked, since: Since = "", limit: Rows = 10_000) -> VerifiedDocument:
    """Whether the audit is as it was written, from its beginning or behind a row that was noted.

    When `complete` is false, ask again with `end` as `since`.
    """
    site, _ = who(request)
    anchor = parse_anchor(since) if since else None
    return verified_document(await verify(site.app.database, site.app.operate.audit, anchor, limit=limit))


ROUTES = [list_audit, verify_audit]
