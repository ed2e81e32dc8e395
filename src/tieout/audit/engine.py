"""Checks the whole audit, or what came behind a row that somebody noted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tieout.audit.rules import Anchor, Checking, Fault, Head
from tieout.audit.store import AuditStore
from tieout.contracts import Database

BATCH = 1_000
"""Rows read at a time."""


class Verified(NamedTuple):
    """What a check has found.

    chained, early   rows of the chain that were looked at, and rows from before there was one
    faults           the first ones; `fault_count` counts all
    end              the last row that was looked at: note it, and check only what comes behind it the next time
    complete         whether all rows were looked at that were there when it began
    """

    chained: int
    early: int
    faults: list[Fault]
    fault_count: int
    end: Anchor
    complete: bool


async def verify(
    database: Database,
    store: AuditStore,
    since: Anchor | None = None,
    *,
    limit: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Check every row behind `since`, or every row; stop after about `limit` of them.

    `progress` is told how many rows of the chain were checked, of how many. Rows that are added meanwhile are left to
    the next check.
    """
    head = await database.read(store.head)
    checking, after = await _begin(database, store, head, since)
    seen = 0
    while limit is None or seen < limit:
        rows = await database.read(partial(store.following, after=after, last=head.number, limit=BATCH))
        checking.take(rows)
        seen += len(rows)
        if len(rows) < BATCH:
            checking.reach(head)
            return _verified(checking, complete=True)
        after = rows[-1].seq
        if progress:
            progress(checking.chained, head.number - (since.number if since else 0))
    checking.tell_missing()
    return _verified(checking, complete=False)


async def _begin(database: Database, store: AuditStore, head: Head, since: Anchor | None) -> tuple[Checking, int]:
    """What checks, and behind which `seq`; a noted row that is not there as it was noted is its first fault."""
    if since is None:
        return Checking(head.since), 0
    row = await database.read(lambda tx: store.numbered(tx, since.number))
    checking = Checking(head.since, since)
    if row is None:
        checking.lacks(since)
        return checking, 0
    checking.compare(since, row)
    return checking, row.seq


def _verified(checking: Checking, *, complete: bool) -> Verified:
    return Verified(checking.chained, checking.early, checking.faults, checking.fault_count, checking.last, complete)
