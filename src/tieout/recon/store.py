"""Runs and breaks in the user's database: one typed function for each statement. Times are in microseconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.identity import encode_json, fingerprint, fingerprints, parse_json
from tieout.recon.define import Rule
from tieout.recon.periods import Period
from tieout.recon.rules import Outcome

StoredState: TypeAlias = Literal["running", "agreed", "broken", "empty", "failed", "aborted"]

RunState: TypeAlias = Literal["running", "lost", "agreed", "broken", "empty", "failed", "aborted"]
"""How a comparison stands: *agreed* without a break, *broken* with some, *empty* when there was nothing to compare.

*lost*: its program has gone. *aborted*: by a person. What these or a failed one have read is taken up by the next.
"""

LOST_AFTER = 60_000_000
"""Microseconds after which a comparison that nothing was heard of has ended with its program."""

BreakState: TypeAlias = Literal["open", "closed", "settled", "ignored"]
"""*closed*: it agrees again. *settled* or *ignored* by a person, which holds as long as the same is found."""

_written = msgspec.json.Encoder().encode
"""JSON of evidence, which is texts and whole numbers: nothing else has to be looked for in each of many breaks."""

STATEMENT_BYTES = 4_000_000
"""Breaks of more bytes are stored by several statements: the least that a server takes by default is 16 MB."""

LAST = 1 << 62
"""Later than every time: where a newest-first listing begins."""


class Run(msgspec.Struct, frozen=True):
    """The latest comparison of one rule over one period; `attempt` counts them. `note` says why one failed."""

    id: bytes
    rule: str
    version: str
    since: int
    until: int
    stored_state: StoredState
    attempt: int
    totals: dict[str, Any] | None
    started: int
    ended: int | None
    progress: dict[str, int] = {}
    note: str | None = None
    seen_at: int | None = None
    is_aborted: bool = False
    asked_at: int = 0

    @property
    def state(self) -> RunState:
        """How it stands, as of when it was asked for."""
        seen_at = self.started if self.seen_at is None else self.seen_at
        is_silent = self.asked_at - seen_at > LOST_AFTER
        return "lost" if self.stored_state == "running" and is_silent else self.stored_state

    @property
    def period(self) -> Period:
        """What was compared."""
        return Period(self.since, self.until)


class Shown(msgspec.Struct, frozen=True, gc=False):
    """A record of a side as evidence: its time, which JSON has in ISO 8601, and its fields by name."""

    at: datetime | str | None
    values: dict[str, str | None]


class Told(msgspec.Struct, frozen=True, gc=False):
    """How many records a side has of a key, and the first of them."""

    count: int
    records: tuple[Shown, ...]


class Differs(msgspec.Struct, frozen=True, gc=False):
    """A field that does not agree, what each side says, and why that is not the same."""

    field: str
    upstream: str | None
    downstream: str | None
    why: str


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a break: the sides that lack the key or have it twice, what differs, what each side has.

    Its JSON is the break's `detail`. It is no dictionary, since so many would keep the collector of garbage busy.
    """

    sides: tuple[str, ...]
    differences: tuple[Differs, ...]
    upstream: Told
    downstream: Told
    causes: tuple[str, ...]


class NewBreak(msgspec.Struct, frozen=True, gc=False):
    """A key that does not agree. `detail` is JSON: both sides' records, what differs, possible causes.

    Keys with a NULL are no keys: `apart` keeps those of one side from those of the other. `at` is its business time, in
    microseconds, which says to which period it belongs.
    """

    key: tuple[str | None, ...]
    outcome: Outcome
    detail: Evidence | dict[str, Any]
    apart: str = ""
    at: int | None = None

    @property
    def finding(self) -> bytes:
        """What stands for what was found, wherever and whenever: the outcome and both sides' records."""
        return fingerprint(self.outcome, found_text(self.detail))


class Break(msgspec.Struct, frozen=True):
    """A stored one: when it was found first and last, since when it is closed, and who has decided that, and why."""

    id: bytes
    key: list[str | None]
    outcome: Outcome
    detail: dict[str, Any]
    state: BreakState
    first_at: int
    last_at: int
    closed_at: int | None
    rule: str
    actor: str | None
    note: str | None
    process: bytes | None

    @property
    def repair_key(self) -> str:
        """The request key of what repairs it: the same as long as the same is found."""
        return f"{self.id.hex()}-{fingerprint(self.outcome, found_text(self.detail)).hex()}"


def run_id(rule: str, period: Period) -> bytes:
    """What identifies the comparison of a rule over a period."""
    return fingerprint("recon", rule, str(period.since), str(period.until))


def break_id(rule: str, key: Sequence[str | None], apart: str = "") -> bytes:
    """What identifies a break, whether it was found live or offline."""
    return fingerprint(rule, _written(key).decode(), apart)


class WrittenBreak(msgspec.Struct, frozen=True, order=True, gc=False):
    """A break on its way into the store. `row` is JSON: its key, its outcome, its detail, its time."""

    id: bytes
    finding: bytes
    row: bytes


def written(rule: str, one: NewBreak) -> WrittenBreak:
    """A break of a rule as it is stored."""
    key = _written(one.key).decode()
    row = _written((key, one.outcome, _written(one.detail).decode(), one.at))
    return WrittenBreak(fingerprint(rule, key, one.apart), one.finding, row)


def written_many(
    rule: str,
    outcome: Outcome,
    keys: Sequence[Sequence[str | None]],
    texts: Sequence[tuple[str, str]],
    times: Sequence[int | None],
) -> list[WrittenBreak]:
    """The same of many with one outcome, whose details and findings are JSON already, and which all have a key."""
    told = list(map(_written, keys))
    ids = fingerprints(rule, told, "")
    findings = fingerprints(outcome, [finding.encode() for _, finding in texts])
    return [
        WrittenBreak(one, finding, _written((key.decode(), outcome, detail, at)))
        for one, finding, key, (detail, _), at in zip(ids, findings, told, texts, times, strict=True)
    ]


def _statements(breaks: Iterable[WrittenBreak]) -> Iterator[list[WrittenBreak]]:
    part, size = list[WrittenBreak](), 0
    for one in breaks:
        if part and size + len(one.row) > STATEMENT_BYTES:
            yield part
            part, size = [], 0
        part.append(one)
        size += len(one.row)
    if part:
        yield part


def found_text(detail: Evidence | dict[str, Any]) -> str:
    """What was found, as JSON: both sides' records, and what differs."""
    if isinstance(detail, Evidence):
        found = [detail.upstream, detail.downstream, detail.differences]
    else:
        found = [detail.get(name) for name in ("upstream", "downstream", "differences")]
    return _written(found).decode()


def live_run(rule: Rule) -> Run:
    """What breaks belong to that are found while both sides are followed: no period, and no comparison."""
    return Run(fingerprint("recon-live", rule.name), rule.name, rule.version, 0, LAST, "running", 0, None, 0, None)


class ReconStore:
    """Runs and breaks over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.recon", dialect)

    async def begin(self, tx: Transaction, rule: Rule, period: Period) -> Run:
        """Note that a comparison begins, the first or once more."""
        key = run_id(rule.name, period)
        await tx.execute(
            self.sql.begin_run, id=key, rule=rule.name, version=rule.version, since=period.since, until=period.until
        )
        begun = await self.read(tx, key)
        assert begun is not None  # noqa: S101 - it was written in this transaction
        return begun

    async def read(self, tx: Transaction, run: bytes) -> Run | None:
        """One run, or None."""
        row = await tx.fetch_one(self.sql.read_run, id=run)
        return None if row is None else _run(*row)

    async def page(
        self,
        tx: Transaction,
        *,
        rule: str = "",
        state: str = "",
        before: int = LAST,
        before_id: bytes = b"",
        limit: int = 50,
    ) -> list[Run]:
        """Runs, the latest first, from behind the one that began at `before` with the id `before_id`."""
        rows = await tx.fetch(
            self.sql.list_runs, rule=rule, state=state, before=before, before_id=before_id, limit=limit
        )
        return [_run(*row) for row in rows]

    async def tell(self, tx: Transaction, run: Run, progress: dict[str, int]) -> bool:
        """Note how far it has come; False when it is not at work any more, or somebody has begun it again."""
        told = encode_json(progress)
        return await tx.execute(self.sql.tell_run, id=run.id, attempt=run.attempt, progress=told) == 1

    async def abort(self, tx: Transaction, run: bytes) -> bool:
        """Wish that one that is at work ends; False when none is."""
        return await tx.execute(self.sql.abort_run, id=run) == 1

    async def end(
        self, tx: Transaction, run: Run, state: StoredState, totals: dict[str, Any] | None, note: str = ""
    ) -> bool:
        """Note how it ended; False when it is not at work any more, or somebody has begun it again.

        One that failed since somebody wanted its end is aborted.
        """
        if state == "failed" and await tx.execute(self.sql.end_aborted_run, id=run.id, attempt=run.attempt):
            return True
        text = None if totals is None else encode_json(totals)
        return (
            await tx.execute(
                self.sql.end_run, id=run.id, attempt=run.attempt, state=state, totals=text, note=note or None
            )
            == 1
        )

    async def note(self, tx: Transaction, run: Run, breaks: Iterable[NewBreak]) -> None:
        """Store breaks as open; one that is there keeps when it was found first."""
        await self.write(tx, run, [written(run.rule, one) for one in breaks])

    async def write(self, tx: Transaction, run: Run, breaks: Iterable[WrittenBreak]) -> None:
        """The same of breaks that are written already: the more at a time, the fewer pages each of them changes."""
        for part in _statements(sorted({one.id: one for one in breaks}.values())):
            await tx.execute(
                self.sql.note_breaks,
                run=run.id,
                attempt=run.attempt,
                rule=run.rule,
                version=run.version,
                ids=b"".join([one.id for one in part]),
                findings=b"".join([one.finding for one in part]),
                rows=(b"[%s]" % b",".join([one.row for one in part])).decode(),
            )

    async def close(self, tx: Transaction, run: Run, *, is_whole: bool) -> int:
        """Close the breaks that earlier attempts found and this one did not; return how many.

        One that is not of the whole has looked at a sample, which is the same each time for one version of its rule.
        """
        return await tx.execute(
            self.sql.close_breaks, run=run.id, attempt=run.attempt, version=run.version, is_whole=int(is_whole)
        )

    async def breaks(
        self, tx: Transaction, run: bytes, *, state: str = "", outcome: str = "", after: bytes = b"", limit: int = 100
    ) -> list[Break]:
        """Breaks of a run, from behind the one with the id `after`."""
        rows = await tx.fetch(self.sql.breaks_of, run=run, after=after, state=state, outcome=outcome, limit=limit)
        return [_break(*row) for row in rows]

    async def breaks_of_period(
        self, tx: Transaction, rule: str, period: Period, *, state: str = "", after: bytes = b"", limit: int = 100
    ) -> list[Break]:
        """Breaks whose business time lies in a period, from behind the one with the id `after`."""
        rows = await tx.fetch(
            self.sql.breaks_of_period,
            rule=rule,
            since=period.since,
            until=period.until,
            run=run_id(rule, period),
            after=after,
            state=state,
            limit=limit,
        )
        return [_break(*row) for row in rows]

    async def counts_of_period(
        self, tx: Transaction, rule: str, period: Period
    ) -> list[tuple[BreakState, Outcome, str, int]]:
        """How many breaks of a period there are of each state, outcome and version of the rule."""
        rows = await tx.fetch(
            self.sql.count_period, rule=rule, since=period.since, until=period.until, run=run_id(rule, period)
        )
        return [(state, outcome, version, int(count)) for state, outcome, version, count in rows]

    async def open_before(self, tx: Transaction, rule: str, period: Period) -> dict[str, int]:
        """How many breaks are open whose business time lies before a period, by outcome."""
        rows = await tx.fetch(self.sql.count_earlier, rule=rule, since=period.since)
        return {outcome: int(count) for outcome, count in rows}

    async def unplaced(self, tx: Transaction, rule: str, period: Period) -> int:
        """How many breaks are open of no known time, but for those that the comparison of a period has found."""
        row = await tx.fetch_one(self.sql.count_unplaced, rule=rule, run=run_id(rule, period))
        return 0 if row is None else int(row[0])

    async def breaks_of_rule(
        self,
        tx: Transaction,
        *,
        rule: str = "",
        state: str = "",
        outcome: str = "",
        after: bytes = b"",
        limit: int = 50,
    ) -> list[Break]:
        """Breaks of a rule, or of all, found live or offline, from behind the one with the id `after`."""
        rows = await tx.fetch(
            self.sql.breaks_of_rule, rule=rule, after=after, state=state, outcome=outcome, limit=limit
        )
        return [_break(*row) for row in rows]

    async def read_break(self, tx: Transaction, number: bytes) -> Break | None:
        """One break, or None."""
        row = await tx.fetch_one(self.sql.read_break, id=number)
        return None if row is None else _break(*row)

    async def repair(self, tx: Transaction, number: bytes, process: bytes) -> bool:
        """Note which process repairs an open break; False when it is not open."""
        return await tx.execute(self.sql.repair_break, id=number, process=process) == 1

    async def decide(self, tx: Transaction, number: bytes, state: BreakState, actor: str, note: str) -> bool:
        """Close a break by somebody's word; False when it is closed."""
        return await tx.execute(self.sql.decide_break, id=number, state=state, actor=actor, note=note) == 1


def _break(id: bytes, key: str, outcome: Outcome, detail: str, *rest: Any) -> Break:
    state, first_at, last_at, closed_at, rule, actor, note, process = rest
    repaired = None if process is None else bytes(process)
    told = parse_json(key), outcome, parse_json(detail), state
    return Break(bytes(id), *told, first_at, last_at, closed_at, rule, actor, note, repaired)


def _run(id: bytes, rule: str, version: str, since: int, until: int, state: StoredState, *rest: Any) -> Run:
    attempt, totals, started, ended, progress, note, seen_at, aborted, asked_at = rest
    told = None if totals is None else parse_json(totals)
    far = {} if progress is None else parse_json(progress)
    times = started, ended, far, note, seen_at, bool(aborted), asked_at
    return Run(bytes(id), rule, version, since, until, state, attempt, told, *times)
