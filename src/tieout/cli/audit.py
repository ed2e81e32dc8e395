"""`tieout audit`: what persons did, and whether that is still as it was written."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from tieout.audit.engine import Verified, verify
from tieout.audit.rules import AuditRow, parse_anchor
from tieout.cli import exits
from tieout.cli.printing import Json, clock_time, compact, emit, note, say, table
from tieout.cli.where import ANYWHERE, Where, opened
from tieout.documents import audit_entry, verified_document

commands = cyclopts.App(name="audit", help="What persons did, and whether that is still as it was written.")

COLUMNS = ("SEQ", "AT", "ACTOR", "ACTION", "OBJECT", "REASON", "DETAIL")

PROGRESS_EVERY = 50_000
"""Rows after which a check tells again how far it is."""


@commands.command(name="list")
async def list_audit(
    *,
    object: Annotated[str, Parameter(help="Only what was done to this id, or to `bulk`.")] = "",
    actor: Annotated[str, Parameter(name="--by", help="Only what this person did.")] = "",
    action: Annotated[str, Parameter(help="Only acts of this kind, for instance settle.")] = "",
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1_000), help="How many, 1 to 1000.")] = 50,
    before: Annotated[int, Parameter(validator=Number(gte=1), help="Go on behind the row with this seq.")] = 1 << 62,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """List what persons did, the newest first; with --json, one document a line."""
    async with opened(where) as app:
        store = app.operate.audit
        page = await app.database.read(
            lambda tx: store.page(tx, target=object, actor=actor, action=action, before=before, limit=limit)
        )
    if json:
        for row in page:
            emit(audit_entry(row))
        return
    table(COLUMNS, map(_cells, page))
    if len(page) == limit:
        note(f"more: --before {page[-1].seq}")


@commands.command(name="verify")
async def verify_audit(
    *,
    since: Annotated[
        str | None, Parameter(help="Check what comes behind this row, as an earlier check told it.")
    ] = None,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Check that no row of the audit was changed, removed or moved; exit with 1 if one was.

    Keep what it prints as `end` where whoever writes to the database cannot: a later check that is given it
    with --since also finds an audit that was written anew as a whole, or cut off at its end.
    """
    anchor = None if since is None else parse_anchor(since)
    async with opened(where) as app:
        found = await verify(app.database, app.operate.audit, anchor, progress=_Progress())
    if json:
        emit(verified_document(found))
    else:
        _tell(found)
    return exits.NO if found.fault_count else exits.OK


class _Progress:
    """Tells now and then how far a check is, on standard error."""

    def __init__(self) -> None:
        self._next = PROGRESS_EVERY

    def __call__(self, checked: int, total: int) -> None:
        if checked >= self._next:
            self._next = checked + PROGRESS_EVERY
            note(f"{checked} of {total} rows checked")


def _tell(found: Verified) -> None:
    for fault in found.faults:
        say(f"{fault.wrong}: {fault.told}")
    if found.fault_count > len(found.faults):
        say(f"and {found.fault_count - len(found.faults)} more")
    say(f"{found.chained} rows of the chain checked, {found.fault_count or 'nothing'} wrong")
    if found.early:
        say(f"{found.early} rows are older than the chain: nothing tells whether they were changed")
    if found.end.number:
        say(f"end {found.end}")


def _cells(row: AuditRow) -> tuple[object, ...]:
    detail = audit_entry(row).detail
    return row.seq, clock_time(row.at), row.actor, row.action, row.object, row.reason, compact(detail) if detail else ""
