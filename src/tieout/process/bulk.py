"""The operator's commands on all processes that a filter matches: counted first, each by itself, audited as a whole."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tieout.alarm.store import AlarmStore
from tieout.contracts import Transaction
from tieout.errors import DatabaseError, NotAllowed, TieoutError, UnknownProcess
from tieout.identity import parse_call_key
from tieout.process.calls import Calls
from tieout.process.driving import Driving
from tieout.process.gate import Gate
from tieout.process.operating import Act, Asked, Operating
from tieout.process.outcomes import Reported
from tieout.process.record import Record
from tieout.process.sql_store import SqlProcessStore
from tieout.process.store import LAST, Filter, Match
from tieout.process.world import World, log

BulkCommand: TypeAlias = Literal["retry", "query", "recheck", "hold", "resume", "cancel"]

Stop: TypeAlias = Literal["asked", "limit", "cancelled", "database"]
"""What ended a bulk command before its end: `should_stop`, `limit`, a cancellation, or a database that is gone."""

APPLIES: dict[BulkCommand, tuple[str, str]] = {
    "retry": ("running", ""),
    "query": ("running", "held"),
    "recheck": ("", ""),
    "hold": ("running", ""),
    "resume": ("held", ""),
    "cancel": ("running", "held"),
}
"""The statuses that a command is for, unless its filter names one: nobody wants to be told what final ones refuse."""

PAGE = 500
"""Processes found at a time: ids only, a few milliseconds of the server's."""

FAILURES = 100
"""Failures that are told one by one; all are counted."""

OBJECT = "bulk"
"""What the audit files a bulk command as a whole under."""


class Failure(Struct, frozen=True):
    """A process that a command failed for: the error's code and message."""

    process: str
    code: str
    message: str


class Tally(Struct):
    """How far a bulk command has come, and at its end what it came to.

    Skipped are processes that the command no longer fitted when their turn came. `answers` counts what downstreams
    said to queries; `failures` are the first hundred. `latest` is the id of the last process that had its turn, and
    `rest` the filter for those behind it. `stopped` is None when all had their turn.
    """

    command: BulkCommand
    matched: int
    rest: Filter
    done: int = 0
    skipped: int = 0
    failed: int = 0
    failures: list[Failure] = []
    answers: dict[str, int] = {}
    latest: str | None = None
    stopped: Stop | None = None

    @property
    def visited(self) -> int:
        """How many have had their turn."""
        return self.done + self.skipped + self.failed


class Plan(Struct, frozen=True):
    """A bulk command as it was given."""

    command: BulkCommand
    wanted: Filter
    act: Act
    limit: int | None
    should_stop: Callable[[], bool]
    progress: Callable[[Tally], None]

    @property
    def statuses(self) -> tuple[str, str]:
        """The status that is looked for, and another one or ""."""
        return statuses(self.wanted, self.command)

    def stop(self, tally: Tally) -> Stop | None:
        """Why the next process shall not have its turn."""
        if self.should_stop():
            return "asked"
        return "limit" if self.limit is not None and tally.visited >= self.limit else None


class Operator(Operating):
    """The operator's commands, for one process or in bulk."""

    def __init__(
        self, world: World, gate: Gate, calls: Calls, driving: Driving, alarms: AlarmStore, store: SqlProcessStore
    ) -> None:
        super().__init__(world, gate, calls, driving, alarms)
        self.store = store
        self._commands: dict[BulkCommand, Callable[[bytes, Act], Awaitable[Record | Asked | tuple[Reported, ...]]]] = {
            "retry": self.retry,
            "query": self.query,
            "recheck": self.recheck,
            "hold": self.hold,
            "resume": self.resume,
            "cancel": self.cancel,
        }

    async def count(self, wanted: Filter, command: BulkCommand | None = None) -> int:
        """How many processes a filter matches; with a command, how many of those it is for."""
        chosen = statuses(wanted, command)
        return await self.world.transact(lambda tx: self.store.count_matching(tx, wanted, chosen))

    async def missing(self, keys: Sequence[str]) -> list[str]:
        """Of call keys that a downstream has done something for, those that are of no call of any process here.

        Where a failover or a restored backup has lost processes, they are what nobody stands for any more. Read in one
        transaction: a few hundred at a time. Raise `UnknownCall` for what is no call key at all.
        """
        calls = [(key, *parse_call_key(key)) for key in keys]

        async def work(tx: Transaction) -> list[str]:
            found = {process: await self.world.store.read(tx, process) for process in {one[1] for one in calls}}
            there = {(process, entry.n) for process, record in found.items() if record for entry in record.calls}
            return [key for key, process, n in calls if (process, n) not in there]

        return await self.world.database.read(work)

    async def bulk(
        self,
        command: BulkCommand,
        wanted: Filter,
        act: Act,
        *,
        progress: Callable[[Tally], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        limit: int | None = None,
    ) -> Tally:
        """Give a command to every process that the filter matches, the newest first, one after another.

        Each has a transaction and an audit row of its own, and all together have one more with filter and counts. What
        no longer fits is skipped, what fails is counted, and neither stops the others. Without a status in the filter,
        only processes are matched that the command is for; the filter's `limit` does not count here.

        `progress` is told before the first process and after each; `should_stop` is asked before each. A cancelled one
        leaves its audit row too. What was done stays done: the same command again goes on with what still matches, and
        with the tally's `rest` behind the last one that had its turn.
        """
        asked, told = should_stop or (lambda: False), progress or (lambda _: None)
        plan = Plan(command, wanted, act, limit, asked, told)
        tally = Tally(command, await self.count(wanted, command), wanted)
        try:
            await self._go_through(plan, tally)
        except DatabaseError as error:
            _failed(tally, "", error)
            tally.stopped = "database"
        except (CancelledError, KeyboardInterrupt):
            tally.stopped = "cancelled"
            await self._sign(plan, tally)
            raise
        await self._sign(plan, tally)
        return tally

    async def _go_through(self, plan: Plan, tally: Tally) -> None:
        plan.progress(tally)
        is_last = False
        while not is_last:
            page = replace(tally.rest, limit=PAGE)
            found = await self.world.transact(partial(self.store.matching, wanted=page, statuses=plan.statuses))
            for match in found:
                tally.stopped = plan.stop(tally)
                if tally.stopped is not None:
                    return
                await self._give(plan, tally, match)
                tally.latest = match.id.hex()
                tally.rest = replace(plan.wanted, before=match.created, before_id=match.id)
                plan.progress(tally)
            is_last = len(found) < PAGE

    async def _give(self, plan: Plan, tally: Tally, match: Match) -> None:
        """One process its command, and what came of it into the tally; raise when the database is gone."""
        if plan.command == "cancel" and match.is_wished:
            tally.skipped += 1
            return
        try:
            came_to = await self._commands[plan.command](match.id, plan.act)
        except (NotAllowed, UnknownProcess):
            tally.skipped += 1
        except Exception as error:
            if isinstance(error, DatabaseError) and error.retryable:
                raise
            if not isinstance(error, TieoutError):
                log.warning("process %s: %s failed", match.id.hex(), plan.command, exc_info=error)
            tally.failed += 1
            _failed(tally, match.id.hex(), error)
        else:
            tally.done += 1
            for outcome in _outcomes(came_to):
                answer = type(outcome).__name__.lower()
                tally.answers[answer] = tally.answers.get(answer, 0) + 1

    async def _sign(self, plan: Plan, tally: Tally) -> None:
        """Write the audit row of the whole."""
        detail = {"filter": said(plan.wanted), "limit": plan.limit, **counted(tally)}

        async def work(tx: Transaction) -> None:
            await self.audit.add(
                tx,
                actor=plan.act.actor,
                action=f"bulk-{plan.command}",
                target=OBJECT,
                reason=plan.act.reason,
                detail=detail,
            )

        try:
            await self.world.transact(work)
        except DatabaseError as error:
            log.warning("the audit row of a bulk %s could not be written: %s", plan.command, error)
            _failed(tally, "", error)
            tally.stopped = "database"


def _outcomes(came_to: Record | Asked | tuple[Reported, ...]) -> Sequence[Reported]:
    if isinstance(came_to, Asked):
        return (came_to.outcome,)
    return () if isinstance(came_to, Record) else came_to


def statuses(wanted: Filter, command: BulkCommand | None) -> tuple[str, str]:
    """The status that processes have to have, and another one that will do; "" for none."""
    return (wanted.status, "") if wanted.status or command is None else APPLIES[command]


def said(wanted: Filter) -> dict[str, Any]:
    """What a filter asks for, as plain values."""
    asked = {
        name: getattr(wanted, name)
        for name in ("type", "state", "status", "lane", "note", "client", "since")
        if getattr(wanted, name)
    }
    return asked if wanted.before == LAST else {**asked, "before": wanted.before}


def counted(tally: Tally) -> dict[str, Any]:
    """The counts of a tally, and why it stopped."""
    names = ("matched", "done", "skipped", "failed", "answers", "latest", "stopped")
    return {name: getattr(tally, name) for name in names}


def _failed(tally: Tally, process: str, error: Exception) -> None:
    if len(tally.failures) < FAILURES:
        code = error.code if isinstance(error, TieoutError) else type(error).__name__
        tally.failures.append(Failure(process, code, str(error)))
