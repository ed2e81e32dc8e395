"""What the stores do when two transactions are open at the same time, at READ COMMITTED.

The engine's safety rests on these answers: a writer that had to wait looks at the row again, and an insert waits until
it is known whether its key is taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from tieout.alarm.rules import NewAlarm
from tieout.contracts import Transaction
from tieout.errors import RetryTransaction
from tieout.process.record import Record
from tieout.testing.process_store_site import HOUR, SECOND, StoreSite, new_process, process_id, two_open

ENDS = pytest.mark.parametrize("keeps", [True, False], ids=["committed", "rolled back"])


class InterleavingSuite:
    """Two open transactions that meet."""

    async def test_a_reader_sees_what_is_committed(self, site: StoreSite) -> None:
        """What another transaction has written is seen once it has committed, by the next statement, and not before."""
        record = await site.insert("p")
        async with two_open(site) as (writer, reader):
            await writer.do(saving(site, record, note="new"))
            assert (await reader.do(reading(site, "p"))).note is None
            await writer.commit()
            assert (await reader.do(reading(site, "p"))).note == "new"

    @ENDS
    async def test_a_blocked_save_looks_again(self, site: StoreSite, *, keeps: bool) -> None:
        """A save that waited for another finds the fence raised, and loses; after a rollback it wins."""
        record = await site.insert("p")
        async with two_open(site) as (first, second):
            await first.do(saving(site, record, note="first"))
            saved = await second.blocked(saving(site, record, note="second"))
            await (first.commit() if keeps else first.roll_back())
            assert await ended(saved) is not keeps
            await second.commit()
        after = await site.read("p")
        assert (after.note, after.fence) == ("first" if keeps else "second", 2)

    async def test_a_save_that_cannot_match_does_not_wait(self, site: StoreSite) -> None:
        """A fence that is not the committed one loses at once, even if the other transaction is about to set it."""
        record = await site.insert("p")
        async with two_open(site) as (first, second):
            await first.do(saving(site, record))
            ahead = msgspec.structs.replace(record, fence=record.fence + 1)
            assert not await second.do(saving(site, ahead))

    @ENDS
    async def test_an_insert_waits_for_the_same_id(self, site: StoreSite, *, keeps: bool) -> None:
        """Whether an id is taken is known when the other transaction has ended."""
        async with two_open(site) as (first, second):
            assert await first.do(inserting(site, "p", state="first")) is not None
            inserted = await second.blocked(inserting(site, "p", state="second"))
            await (first.commit() if keeps else first.roll_back())
            assert (await ended(inserted) is None) is keeps
            if keeps:
                assert (await second.do(reading(site, "p"))).state == "first"
            await second.commit()
        assert (await site.read("p")).state == ("first" if keeps else "second")

    @ENDS
    async def test_an_insert_waits_for_whoever_changes_the_row(self, site: StoreSite, *, keeps: bool) -> None:
        """An insert of an id that is there waits while somebody changes that row, and then finds it taken."""
        record = await site.insert("p")
        async with two_open(site) as (first, second):
            await first.do(saving(site, record))
            inserted = await second.blocked(inserting(site, "p"))
            await (first.commit() if keeps else first.roll_back())
            assert await ended(inserted) is None

    async def test_claims_pass_over_what_is_locked(self, site: StoreSite) -> None:
        """Two claims at a time never take the same process, and neither waits for the other."""
        for number in range(3):
            await site.insert(f"p{number}", due_in=(number - 9) * SECOND)
        async with two_open(site) as (first, second):
            assert await first.do(lambda tx: site.claimed(tx, share=2)) == ["p0", "p1"]
            assert await second.do(lambda tx: site.claimed(tx, share=2)) == ["p2"]
            await first.commit()
            await second.commit()
        assert await site.claim() == []

    async def test_a_claim_passes_over_what_is_being_saved(self, site: StoreSite) -> None:
        """A process that somebody is saving is not claimed; nor afterwards, when it is due later."""
        record = await site.insert("p", due_in=-SECOND)
        async with two_open(site) as (first, second):
            await first.do(saving(site, record))
            assert await second.do(site.claimed) == []
            await first.commit()
            assert await second.do(site.claimed) == []

    async def test_a_claim_is_undone_by_a_rollback(self, site: StoreSite) -> None:
        """What a transaction claimed and did not commit is there to be claimed again, as it was."""
        await site.insert("p", due_in=-SECOND)
        async with two_open(site) as (first, second):
            await first.do(site.claimed)
            await first.roll_back()
            assert await second.do(site.claimed) == ["p"]
            await second.commit()
        assert (await site.read("p")).attempts == 1

    @ENDS
    async def test_a_blocked_postponement_looks_again(self, site: StoreSite, *, keeps: bool) -> None:
        """A worker that postpones what another has just claimed is told that it is no longer his."""
        record = await site.insert("p", due_in=-SECOND)
        async with two_open(site) as (first, second):
            await first.do(site.claimed)
            postponed = await second.blocked(
                lambda tx: site.store.postpone(tx, record.id, record.fence, HOUR, "pending")
            )
            await (first.commit() if keeps else first.roll_back())
            assert await ended(postponed) is not keeps

    @ENDS
    async def test_a_blocked_hastening_looks_again(self, site: StoreSite, *, keeps: bool) -> None:
        """A process that was held meanwhile is not made due."""
        record = await site.insert("p")
        async with two_open(site) as (first, second):
            await first.do(saving(site, record, None, status="held", lane=None))
            hastened = await second.blocked(lambda tx: site.store.hasten(tx, record.id))
            await (first.commit() if keeps else first.roll_back())
            assert await ended(hastened) is not keeps
            await second.commit()
        assert ((await site.read("p")).due is None) is keeps

    async def test_blocked_counts_add_up(self, site: StoreSite) -> None:
        """Two duplicates counted at the same time count two."""
        record = await site.insert("p")
        async with two_open(site) as (first, second):
            await first.do(lambda tx: site.store.count_duplicate(tx, record.id))
            counted = await second.blocked(lambda tx: site.store.count_duplicate(tx, record.id))
            await first.commit()
            await ended(counted)
            await second.commit()
        assert (await site.read("p")).duplicates == 2

    @ENDS
    async def test_an_alarm_is_new_to_one(self, site: StoreSite, *, keeps: bool) -> None:
        """Of two transactions that raise the same alarm, the second waits, and is told whether it was the first."""
        alarm = NewAlarm("conflict", "p:1", "s", None, ({"kind": "failed"},))
        async with two_open(site) as (first, second):
            assert await first.do(lambda tx: site.alarms.raise_alarm(tx, alarm))
            raised = await second.blocked(lambda tx: site.alarms.raise_alarm(tx, alarm))
            await (first.commit() if keeps else first.roll_back())
            assert await ended(raised) is not keeps
            await second.commit()
        stored = await site.database.read(lambda tx: site.alarms.read(tx, alarm.id))
        assert stored is not None
        assert stored.count == (2 if keeps else 1)

    @ENDS
    async def test_a_recall_has_one_first_value(self, site: StoreSite, *, keeps: bool) -> None:
        """Of two values kept at the same time one is the first, and both sides learn which."""
        process = process_id("p")
        async with two_open(site) as (first, second):
            assert await first.do(lambda tx: site.store.keep_recall(tx, process, "rate", "1"))
            kept = await second.blocked(lambda tx: site.store.keep_recall(tx, process, "rate", "2"))
            await (first.commit() if keeps else first.roll_back())
            assert await ended(kept) is not keeps
            assert await second.do(lambda tx: site.store.recall(tx, process, "rate")) == ("1" if keeps else "2")

    @ENDS
    async def test_a_stray_is_kept_once(self, site: StoreSite, *, keeps: bool) -> None:
        """The same report of an unknown call, kept by two at a time, is kept once."""

        def keeping(body: str) -> Callable[[Transaction], Awaitable[None]]:
            return lambda tx: site.store.keep_stray(tx, "p:1", "x", body, 9)

        async with two_open(site) as (first, second):
            await first.do(keeping("1"))
            kept = await second.blocked(keeping("2"))
            await (first.commit() if keeps else first.roll_back())
            await ended(kept)
            await second.commit()
        strays = await site.database.read(lambda tx: site.store.strays(tx, "p:1"))
        assert [stray.body for stray in strays] == ["1" if keeps else "2"]

    async def test_a_deadlock_ends(self, site: StoreSite) -> None:
        """Of two transactions that wait for each other one is refused, and may be tried again; the other goes on."""
        p, q = await site.insert("p"), await site.insert("q")
        async with two_open(site) as (first, second):
            await first.do(saving(site, p))
            await second.do(saving(site, q))
            waiting = await first.blocked(saving(site, q))
            meeting = second.begin(saving(site, p))
            came_to = await asyncio.wait_for(asyncio.gather(waiting, meeting, return_exceptions=True), 20)
            refused = [error for error in came_to if isinstance(error, BaseException)]
            assert [type(error) for error in refused] == [RetryTransaction]
            assert True in came_to


async def ended(came_to: asyncio.Future[Any]) -> Any:
    """What a statement came to that had to wait."""
    return await asyncio.wait_for(came_to, 20)


def saving(
    site: StoreSite, record: Record, due_in: int | None = HOUR, **changes: Any
) -> Callable[[Transaction], Awaitable[bool]]:
    """Work that saves a changed copy of a row."""
    return lambda tx: site.store.save(tx, msgspec.structs.replace(record, **changes), due_in)


def inserting(site: StoreSite, name: str, **changes: Any) -> Callable[[Transaction], Awaitable[int | None]]:
    """Work that inserts a process."""
    return lambda tx: site.store.insert(tx, new_process(name, **changes))


def reading(site: StoreSite, name: str) -> Callable[[Transaction], Awaitable[Record]]:
    """Work that reads a process that is there."""

    async def work(tx: Transaction) -> Record:
        record = await site.store.read(tx, process_id(name))
        assert record is not None
        return record

    return work
