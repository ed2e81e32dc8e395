"""`/v1/audit`: what persons did."""

from __future__ import annotations

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from tieout.audit.store import AuditRow
from tieout.documents import ActDocument, act_document
from tieout.server.describing import permits, refusals
from tieout.server.pages import Limit
from tieout.server.site import Asked, who

Before = Annotated[int, QueryParameter(ge=0, le=1 << 62, description="`next` of the page before; the newest without.")]
Text = Annotated[str, QueryParameter(max_length=190)]


class AuditEntry(ActDocument, frozen=True):
    """One act: its number, and what it was done to."""

    seq: int
    object: str


class AuditPage(msgspec.Struct, frozen=True):
    """Some acts, the newest first; `next` is where the page behind them begins, null at the end."""

    items: list[AuditEntry]
    next: int | None


@get("/v1/audit", tags=["audit"], responses=refusals(), **permits("audit:read"))
async def list_audit(
    request: Asked, object: Text = "", actor: Text = "", action: Text = "", before: Before = 1 << 62, limit: Limit = 50
) -> AuditPage:
    """What persons did, the newest first."""
    site, _ = who(request)
    store = site.app.operate.audit
    found = await site.app.database.read(
        lambda tx: store.page(tx, target=object, actor=actor, action=action, before=before, limit=limit + 1)
    )
    page = found[:limit]
    return AuditPage([_entry(row) for row in page], page[-1].seq if len(found) > limit else None)


def _entry(row: AuditRow) -> AuditEntry:
    act = act_document(row)
    return AuditEntry(act.at, act.actor, act.action, act.reason, act.detail, row.seq, row.object)


ROUTES = [list_audit]
