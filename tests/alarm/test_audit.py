"""The audit is a chain: whatever is changed, removed or moved in it is found, and told."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tieout.audit.engine import verify
from tieout.audit.rules import Anchor
from tieout.audit.store import AuditStore


async def act(database, n, action="hold"):
    store = AuditStore(database.dialect)
    await database.transact(
        lambda tx: store.add(tx, actor="ann", action=action, target=f"{n}", reason="réason", detail={"n": n})
    )


async def acts(database, count):
    for n in range(1, count + 1):
        await act(database, n)


async def forge(database, *statements, **params):
    async def work(tx):
        for statement in statements:
            await tx.execute(statement, **params)

    await database.transact(work)


async def check(database, since=None, **more):
    return await verify(database, AuditStore(database.dialect), since, **more)


async def faults(database, since=None):
    found = await check(database, since)
    assert found.fault_count == len(found.faults)
    return [(fault.wrong, fault.first, fault.last) for fault in found.faults]


async def rows(database):
    store = AuditStore(database.dialect)
    return await database.read(lambda tx: store.following(tx, after=0, last=1 << 60, limit=1_000))


async def test_a_chain_that_nobody_touched_is_intact(database):
    """Every row is counted, and the end that is told is that of the last row."""
    await acts(database, 5)
    found = await check(database)
    last = (await rows(database))[-1]
    assert (found.chained, found.early, found.faults, found.complete) == (5, 0, [], True)
    assert found.end == Anchor(5, last.digest)


async def test_digests_are_those_that_are_documented(database):
    """SHA-256 of the digest before and of each field behind its length, so that anybody can compute them."""
    await acts(database, 2)
    previous = bytes(32)
    for row in await rows(database):
        hashed = hashlib.sha256(previous)
        for field in (row.number, row.at, row.actor, row.action, row.object, row.reason, row.detail):
            text = str(field).encode()
            hashed.update(len(text).to_bytes(8, "big") + text)
        assert (row.previous, row.digest) == (previous, hashed.digest())
        previous = row.digest


@pytest.mark.parametrize(
    ("column", "value"),
    [("actor", "'bob'"), ("action", "'x'"), ("object", "'x'"), ("reason", "'x'"), ("detail", "'{}'"), ("at", "at + 1")],
)
async def test_a_changed_row_is_told(database, column, value):
    """Whichever of its fields was changed, it alone is told."""
    await acts(database, 4)
    await forge(database, f"UPDATE tieout_audit SET {column} = {value} WHERE number = 2")
    assert await faults(database) == [("changed", 2, 2)]


@pytest.mark.parametrize("column", ["digest", "previous"])
async def test_a_changed_link_is_told(database, column):
    """A digest that was written over is found like any other field, and accuses no neighbour."""
    await acts(database, 4)
    await forge(database, f"UPDATE tieout_audit SET {column} = :x WHERE number = 2", x=b"x" * 32)
    assert await faults(database) == [("changed", 2, 2)]


@pytest.mark.parametrize("number", [1, 2, 4])
async def test_a_row_with_a_new_digest_is_told_by_its_neighbour(database, number):
    """Who changes a row and computes its digest anew is betrayed by the row behind it, or by the head."""
    await acts(database, 4)
    row = (await rows(database))[number - 1]
    hashed = hashlib.sha256(row.previous)
    for field in (row.number, row.at, "bob", row.action, row.object, row.reason, row.detail):
        text = str(field).encode()
        hashed.update(len(text).to_bytes(8, "big") + text)
    await forge(
        database,
        "UPDATE tieout_audit SET actor = 'bob', digest = :digest WHERE number = :number",
        digest=hashed.digest(),
        number=number,
    )
    assert await faults(database) == [("changed", number, number)]


@pytest.mark.parametrize(("first", "last"), [(1, 1), (2, 3), (4, 5), (1, 5)])
async def test_removed_rows_are_told(database, first, last):
    """At the beginning, in between and at the end; all of them as one."""
    await acts(database, 5)
    await forge(database, "DELETE FROM tieout_audit WHERE number BETWEEN :first AND :last", first=first, last=last)
    assert await faults(database) == [("removed", first, last)]


async def test_reordered_rows_are_told(database):
    """Two rows that changed places."""
    await acts(database, 5)
    where = {row.number: row.seq for row in await rows(database)}
    texts = (
        "SET seq = -1 WHERE number = 2",
        f"SET seq = {where[2]} WHERE number = 4",
        f"SET seq = {where[4]} WHERE number = 2",
    )
    if database.dialect == "postgres":
        texts = ("ALTER COLUMN seq DROP IDENTITY", *texts)
    statements = [f"{'ALTER TABLE' if one.startswith('ALTER') else 'UPDATE'} tieout_audit {one}" for one in texts]
    await forge(database, *statements)
    assert await faults(database) == [("reordered", 3, 3), ("reordered", 2, 2)]


async def test_rows_beside_the_chain_are_told(database):
    """A row that somebody has inserted by hand is in no chain; those from before the chain began are only counted."""
    insert = "INSERT INTO tieout_audit (at, actor, action, object, reason, detail) VALUES (1, 'x', 'x', 'x', 'x', '{}')"
    await forge(database, insert, "UPDATE tieout_audit_head SET since = (SELECT max(seq) FROM tieout_audit)")
    await acts(database, 2)
    assert await faults(database) == []
    assert (await check(database)).early == 1
    await forge(database, insert)
    found = await check(database)
    assert [(fault.wrong, fault.seq) for fault in found.faults] == [("unchained", (await rows(database))[-1].seq)]


async def test_an_anchor_betrays_a_chain_that_was_cut(database):
    """Rows that are removed at the end together with the head's memory of them are missed by who noted one of them."""
    await acts(database, 3)
    noted = (await check(database)).end
    row = (await rows(database))[1]
    await forge(database, "DELETE FROM tieout_audit WHERE number > 2")
    await forge(database, "UPDATE tieout_audit_head SET number = 2, digest = :digest", digest=row.digest)
    assert await faults(database) == []
    assert await faults(database, noted) == [("removed", 3, 3)]
    await act(database, 4)
    assert await faults(database, noted) == [("changed", 3, 3)]


async def test_only_what_comes_behind_an_anchor_is_checked(database):
    """What is wrong before it is not told again, what is wrong behind it is."""
    await acts(database, 6)
    noted = Anchor(3, (await rows(database))[2].digest)
    await forge(database, "UPDATE tieout_audit SET actor = 'bob' WHERE number IN (2, 5)")
    assert await faults(database, noted) == [("changed", 5, 5)]
    assert (await check(database, noted)).chained == 3


async def test_a_long_chain_is_checked_in_parts(database, monkeypatch):
    """A part ends with the anchor that the next one begins with, and together they find what one check would."""
    monkeypatch.setattr("tieout.audit.engine.BATCH", 2)
    await acts(database, 7)
    await forge(database, "UPDATE tieout_audit SET actor = 'bob' WHERE number = 4")
    found, since, parts = [], None, 0
    while True:
        part = await check(database, since, limit=2)
        found += [fault.first for fault in part.faults]
        since, parts = part.end, parts + 1
        if part.complete:
            break
    assert (set(found), parts, since.number) == ({4}, 4, 7)


async def test_concurrent_writers_make_one_chain(database):
    """Of many that act at once, and some that roll back, those that committed stand in one unbroken chain."""
    store = AuditStore(database.dialect)

    async def one(n):
        async def work(tx):
            await store.add(tx, actor="ann", action="hold", target=f"{n}", reason="r", detail={})
            if n % 5 == 0:
                raise LookupError

        try:
            await database.transact(work)
        except LookupError:
            return 0
        return 1

    done = sum(await asyncio.gather(*map(one, range(40))))
    found = await check(database)
    assert (done, found.chained, found.faults) == (32, 32, [])
