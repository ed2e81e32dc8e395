"""What every store of processes and every raiser of alarms must do: one suite, run on each of them.

A test class takes it over by inheriting `ProcessStoreSuite`, and `InterleavingSuite` where transactions of several
tasks run at the same time, and giving the fixture `site`. The model that the simulation runs on passes it like the
databases do: that is what makes the simulation worth something.
"""

from __future__ import annotations

from functools import partial

import msgspec

from tieout.alarm.rules import EVIDENCE_LIMIT, NewAlarm
from tieout.contracts import Transaction
from tieout.errors import ConstraintViolation
from tieout.process.record import Child, FinalClaim
from tieout.testing.database_site import refused
from tieout.testing.process_store_interleaving import InterleavingSuite
from tieout.testing.process_store_site import HOUR, SECOND, StoreSite, new_process, process_id

__all__ = ["InterleavingSuite", "ProcessStoreSuite"]


class RowRules:
    """One process's row: inserted, read, saved, postponed, hastened."""

    async def test_inserts_and_reads(self, site: StoreSite) -> None:
        """What is inserted is read again, with fence 1 and the server's times."""
        process = new_process("p", due_in=5 * SECOND, deadline_in=HOUR, parent=b"q" * 16)
        created = await site.database.transact(lambda tx: site.store.insert(tx, process))
        record = await site.read("p")
        assert (record.created, record.changed, record.fence) == (created, created, 1)
        assert (record.due, record.deadline) == (record.created + 5 * SECOND, record.created + HOUR)
        assert (record.owner, record.request_key, record.parent) == (b"ann", b"p", b"q" * 16)
        assert (record.attempts, record.errors, record.duplicates, record.trail) == (0, 0, 0, [])
        assert (record.params, record.snapshots) == (process.params, process.snapshots)
        assert [(entry.n, entry.step) for entry in record.calls] == [(1, "issue")]
        assert record.now >= record.created

    async def test_an_id_is_inserted_once(self, site: StoreSite) -> None:
        """A second insert of an id says None and leaves the row as it is."""
        before = await site.insert("p")
        again = new_process("p", state="other", params="{}")
        assert await site.database.transact(lambda tx: site.store.insert(tx, again)) is None
        after = await site.read("p")
        assert (after.state, after.params, after.fence) == (before.state, before.params, 1)

    async def test_nothing_is_read_of_an_unknown_id(self, site: StoreSite) -> None:
        """An id that was never inserted is None."""
        assert await site.database.read(lambda tx: site.store.read(tx, process_id("p"))) is None

    async def test_saves_what_may_change(self, site: StoreSite) -> None:
        """A save stores the new values, raises the fence by one, and counts `due_in` from the statement's now."""
        record = await site.insert("p")
        claim = FinalClaim("failed", "push", "message", 7, code="no")
        entry = msgspec.structs.replace(record.calls[0], final=claim, sent=9)
        changes = {
            "state": "next",
            "lane": "b",
            "note": "n",
            "attempts": 3,
            "errors": 2,
            "calls": [entry],
            "wish": "{}",
        }
        assert await site.save(record, 7 * SECOND, **changes)
        after = await site.read("p")
        assert (after.state, after.lane, after.note, after.attempts, after.errors) == ("next", "b", "n", 3, 2)
        assert (after.calls, after.wish) == ([entry], "{}")
        assert after.fence == record.fence + 1
        assert after.due == after.changed + 7 * SECOND
        assert after.created == record.created

    async def test_a_stale_fence_saves_nothing(self, site: StoreSite) -> None:
        """Whoever read the row before the last change saves nothing, and is told so."""
        record = await site.insert("p")
        assert await site.save(record, note="first")
        assert not await site.save(record, note="second")
        after = await site.read("p")
        assert (after.note, after.fence) == ("first", record.fence + 1)
        assert not await site.save(msgspec.structs.replace(record, id=process_id("nobody")))

    async def test_a_transaction_sees_its_own_writes(self, site: StoreSite) -> None:
        """What a transaction wrote it reads, before anybody else can."""
        record = await site.insert("p")

        async def work(tx: Transaction) -> bool:
            assert await site.store.save(tx, msgspec.structs.replace(record, note="mine"), HOUR)
            seen = await site.store.read(tx, record.id)
            assert seen is not None
            assert (seen.note, seen.fence) == ("mine", 2)
            return await site.store.save(tx, seen, HOUR)

        assert await site.database.transact(work)
        assert (await site.read("p")).fence == 3

    async def test_a_rollback_leaves_no_trace(self, site: StoreSite) -> None:
        """When the transaction's work raises, an insert and a save in it have not happened."""
        record = await site.insert("p")

        async def work(tx: Transaction) -> None:
            await site.store.insert(tx, new_process("q"))
            await site.store.save(tx, msgspec.structs.replace(record, note="mine"), HOUR)
            raise LookupError

        await refused(LookupError, site.database.transact(work))
        assert (await site.read("p")).fence == 1
        assert await site.database.read(lambda tx: site.store.read(tx, process_id("q"))) is None

    async def test_a_process_is_due_exactly_while_it_runs(self, site: StoreSite) -> None:
        """A row that runs without a due time, or rests with one, is refused."""
        record = await site.insert("p")
        await refused(ConstraintViolation, site.save(record, None))
        await refused(ConstraintViolation, site.save(record, HOUR, status="held"))
        await refused(ConstraintViolation, site.insert("q", due_in=None))
        assert await site.save(record, None, status="held", lane=None)
        assert (await site.read("p")).due is None

    async def test_postpones_a_running_process(self, site: StoreSite) -> None:
        """Postponing sets the due time and the note and keeps the fence; another fence, or rest, is left alone."""
        record = await site.insert("p")

        async def postpone(fence: int, due_in: int) -> bool:
            return await site.database.transact(lambda tx: site.store.postpone(tx, record.id, fence, due_in, "pending"))

        assert await postpone(1, 2 * HOUR)
        after = await site.read("p")
        assert (after.note, after.fence) == ("pending", 1)
        assert after.due is not None
        assert record.due is not None
        assert after.due >= record.due + HOUR
        assert not await postpone(2, HOUR)
        assert await site.save(after, None, status="held", lane=None)
        assert not await postpone(2, HOUR)

    async def test_hastens_a_running_process(self, site: StoreSite) -> None:
        """Hastening makes a process due now; one that is due already or does not run is left alone."""
        record = await site.insert("p")

        async def hasten() -> bool:
            return await site.database.transact(lambda tx: site.store.hasten(tx, record.id))

        assert await hasten()
        after = await site.read("p")
        assert after.due is not None
        assert record.created <= after.due <= after.now
        assert after.fence == 1
        assert not await hasten()
        assert await site.save(after, None, status="held", lane=None)
        assert not await hasten()

    async def test_counts_duplicates(self, site: StoreSite) -> None:
        """Each duplicate report counts one; the fence stays."""
        record = await site.insert("p")
        for _ in range(2):
            await site.database.transact(lambda tx: site.store.count_duplicate(tx, record.id))
        after = await site.read("p")
        assert (after.duplicates, after.fence) == (2, 1)


class ClaimRules:
    """Which processes a claim takes."""

    async def test_claims_what_is_due(self, site: StoreSite) -> None:
        """A claim takes due processes, raises fence and attempts, and makes them due after the lease."""
        await site.insert("due", due_in=-SECOND)
        await site.insert("later", due_in=HOUR)
        records = await site.database.transact(lambda tx: site.store.claim(tx, ["a"], {"redeem": 1}, 10, HOUR, 0))
        (claimed,) = records
        assert (claimed.request_key, claimed.fence, claimed.attempts) == (b"due", 2, 1)
        assert claimed.due == claimed.now + HOUR
        stored = await site.read("due")
        assert (stored.fence, stored.attempts, stored.due) == (2, 1, claimed.due)
        assert await site.claim() == []

    async def test_shares_over_lanes(self, site: StoreSite) -> None:
        """Each lane gives at most the share, the longest due first; other lanes give nothing."""
        for number in range(3):
            await site.insert(f"a{number}", due_in=(number - 9) * SECOND)
            await site.insert(f"b{number}", due_in=(number - 9) * SECOND, lane="b")
        await site.insert("c", due_in=-SECOND, lane="c")
        assert await site.claim("ab", share=2) == ["a0", "a1", "b0", "b1"]
        assert await site.claim("b", share=2) == ["b2"]
        assert await site.claim("ab", share=2) == ["a2"]

    async def test_passes_over_what_this_code_does_not_know(self, site: StoreSite) -> None:
        """Other types, and newer versions of known ones, are left to nodes that know them."""
        await site.insert("old", due_in=-SECOND, version=1)
        await site.insert("new", due_in=-SECOND, version=3)
        await site.insert("other", due_in=-SECOND, type="gift")
        assert await site.claim(redeem=2) == ["old"]
        assert await site.claim(redeem=3, gift=1) == ["new", "other"]

    async def test_begins_at_the_low_water_mark(self, site: StoreSite) -> None:
        """What was due before the mark is passed over."""
        early, late = await site.insert("early", due_in=-HOUR), await site.insert("late", due_in=-SECOND)
        assert early.due is not None
        assert late.due is not None
        assert await site.claim(low=early.due + 1) == ["late"]
        assert await site.claim(low=early.due) == ["early"]

    async def test_what_rests_is_not_claimed(self, site: StoreSite) -> None:
        """Held and final processes have no due time, so that no claim finds them."""
        await site.save(await site.insert("held", due_in=-SECOND), None, status="held", lane=None)
        await site.insert("final", due_in=-SECOND)
        await site.finish("final")
        assert await site.claim() == []

    async def test_names_the_lanes_in_use(self, site: StoreSite) -> None:
        """Every lane that a running process waits on is named once; what rests waits on none."""
        for name, lane in (("p", "b"), ("q", "a"), ("r", "b")):
            await site.insert(name, lane=lane)
        assert await site.database.read(site.store.lanes) == ["a", "b"]
        for name in ("p", "r"):
            await site.finish(name)
        assert await site.database.read(site.store.lanes) == ["a"]

    async def test_tells_its_time(self, site: StoreSite) -> None:
        """The time that rows are stamped with; it never goes back."""
        before = await site.database.read(site.store.server_time)
        await site.insert("p")
        record = await site.read("p")
        assert before <= record.created <= await site.database.read(site.store.server_time)

    async def test_finds_what_may_retire(self, site: StoreSite) -> None:
        """Final processes that have not changed for so long, oldest first; running ones never."""
        for name in ("p", "q", "r"):
            await site.insert(name)
        for name in ("p", "q"):
            await site.finish(name)

        async def to_retire(age: int, since: int = 0, limit: int = 9) -> list[bytes]:
            found = await site.database.read(lambda tx: site.store.to_retire(tx, age, since, limit))
            return [record.request_key for record in found.records]

        assert await to_retire(-SECOND) == [b"p", b"q"]
        assert await to_retire(-SECOND, limit=1) == [b"p"]
        assert await to_retire(-SECOND, since=(await site.read("q")).created) == [b"q"]
        assert await to_retire(HOUR) == []


class SideRules:
    """What is kept beside the row: strays, children, recalls."""

    async def test_keeps_strays_within_the_limit(self, site: StoreSite) -> None:
        """Reports of unknown calls are kept once each, and no more than the limit."""

        async def keep(call_key: str, digest: str, limit: int = 3) -> None:
            await site.database.transact(lambda tx: site.store.keep_stray(tx, call_key, digest, "{}", limit))

        for call_key, digest in (("p:1", "x"), ("p:1", "x"), ("p:1", "y"), ("q:1", "x"), ("q:1", "z")):
            await keep(call_key, digest)
        strays = await site.database.read(lambda tx: site.store.strays(tx, "p:1"))
        assert [(stray.digest, stray.body) for stray in strays] == [("x", "{}"), ("y", "{}")]
        assert [stray.digest for stray in await site.database.read(lambda tx: site.store.strays(tx, "q:1"))] == ["x"]

    async def test_children_are_started_and_folded(self, site: StoreSite) -> None:
        """Children come pending, in order; refused and folded ones have ended; the rest is open."""
        parent, store = process_id("parent"), site.store
        children = [Child(process_id(name), "redeem", f'"{name}"') for name in ("x", "y", "z")]
        await site.database.transact(lambda tx: store.add_children(tx, parent, children))
        await site.database.transact(lambda tx: store.add_children(tx, parent, children[:1]))
        assert await site.database.transact(lambda tx: store.pending_children(tx, parent, 2)) == children[:2]
        for name in ("x", "y"):
            await site.database.transact(partial(store.child_started, parent=parent, child=process_id(name)))
            await site.insert(name)
        await site.database.transact(lambda tx: store.child_refused(tx, parent, process_id("z"), '"no"'))
        assert await site.database.transact(lambda tx: store.pending_children(tx, parent, 2)) == []
        assert await site.database.transact(lambda tx: store.fold_children(tx, parent)) == 2
        await site.finish("y", "completed", '"done"')
        assert await site.database.transact(lambda tx: store.fold_children(tx, parent)) == 1
        ended = await site.database.read(lambda tx: store.ended_children(tx, parent))
        assert [(one.child, one.final, one.result) for one in ended] == [
            (process_id("y"), "completed", '"done"'),
            (process_id("z"), "refused", '"no"'),
        ]
        await site.database.transact(lambda tx: store.forget_children(tx, parent))
        assert await site.database.transact(lambda tx: store.fold_children(tx, parent)) == 0

    async def test_a_recall_keeps_its_first_value(self, site: StoreSite) -> None:
        """The first value under a name is kept, whatever comes later; forgotten ones are gone."""
        process = process_id("p")

        async def keep(value: str) -> bool:
            return await site.database.transact(lambda tx: site.store.keep_recall(tx, process, "rate", value))

        async def recall() -> str | None:
            return await site.database.read(lambda tx: site.store.recall(tx, process, "rate"))

        assert await recall() is None
        assert (await keep("1"), await keep("2")) == (True, False)
        assert await recall() == "1"
        await site.database.transact(lambda tx: site.store.forget_recalls(tx, process))
        assert await recall() is None


class AlarmRules:
    """Alarms are raised once, and again only for news."""

    async def test_an_alarm_is_new_once(self, site: StoreSite) -> None:
        """The same kind and object is one alarm, whose count rises; evidence that it has is no news."""
        alarm = NewAlarm("conflict", "p:1", "s", process_id("p"), ({"kind": "failed"},))
        assert await site.raise_alarm(alarm)
        assert not await site.raise_alarm(alarm)
        stored = await site.database.read(lambda tx: site.alarms.read(tx, alarm.id))
        assert stored is not None
        assert (stored.count, stored.state, stored.process) == (2, "open", process_id("p"))
        assert stored.last_at >= stored.first_at
        (evidence,) = await site.database.read(lambda tx: site.alarms.evidence(tx, alarm.id))
        assert evidence.count == 2

    async def test_news_reopens(self, site: StoreSite) -> None:
        """New evidence says something new and opens a resolved alarm again; known evidence does neither."""
        alarm = NewAlarm("conflict", "p:1", "s", None, ({"kind": "failed"},))
        await site.raise_alarm(alarm)
        assert await site.database.transact(lambda tx: site.alarms.record_wish(tx, alarm.id, "{}"))
        assert await site.database.transact(lambda tx: site.alarms.resolve(tx, alarm.id, "accepted", "n", "ann"))
        assert not await site.database.transact(lambda tx: site.alarms.resolve(tx, alarm.id, "accepted", "n", "bob"))
        assert not await site.raise_alarm(alarm)
        stored = await site.database.read(lambda tx: site.alarms.read(tx, alarm.id))
        assert stored is not None
        assert (stored.state, stored.resolved_by, stored.wish) == ("resolved", "ann", None)
        assert await site.raise_alarm(msgspec.structs.replace(alarm, evidence=({"kind": "succeeded"},)))
        stored = await site.database.read(lambda tx: site.alarms.read(tx, alarm.id))
        assert stored is not None
        assert (stored.state, stored.count) == ("open", 3)

    async def test_evidence_is_limited(self, site: StoreSite) -> None:
        """The first pieces of evidence are kept; what is new beyond the limit is news, what is known is not."""
        alarm = NewAlarm("conflict", "p:1", "s", None, tuple({"n": n} for n in range(EVIDENCE_LIMIT)))
        assert await site.raise_alarm(alarm)
        assert await site.raise_alarm(msgspec.structs.replace(alarm, evidence=({"n": -1},)))
        assert not await site.raise_alarm(msgspec.structs.replace(alarm, evidence=({"n": 1},)))
        assert len(await site.database.read(lambda tx: site.alarms.evidence(tx, alarm.id))) == EVIDENCE_LIMIT


class ProcessStoreSuite(RowRules, ClaimRules, SideRules, AlarmRules):
    """The whole of it, for one transaction at a time."""
