"""The rules of an App: defined, checked against their sources, tried on given rows, compared over periods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tieout.alarm.store import AlarmRaiser
from tieout.audit.store import AuditStore
from tieout.config import zone_of
from tieout.contracts import Clock, Database, Transaction
from tieout.coordination.lease import Leases
from tieout.errors import ConfigError, DefinitionError, InvalidParams, NotAllowed, UnknownRun
from tieout.recon import define
from tieout.recon.deciding import Breaks, Repair, Start
from tieout.recon.define import Agreement, Ignored, Rule, Side, Source
from tieout.recon.fact_store import FactStore
from tieout.recon.health import FeedStatus, RuleStatus, feed_status, rule_status
from tieout.recon.periods import Period
from tieout.recon.rules import Judged, Record, Verdict, judge
from tieout.recon.statement import Statement, stated
from tieout.recon.store import LAST, Break, ReconStore, Run, run_id
from tieout.recon.values import canonical

if TYPE_CHECKING:
    from tieout.recon.opening import FeedOptions
    from tieout.recon.reading import Reading
    from tieout.recon.running import Running
    from tieout.recon.snapshot import Progress
    from tieout.recon.watching import Watching

LEASE = 60.0
"""Seconds after which a comparison that died may be begun again by somebody else."""

Given = Sequence[Mapping[str, Any]]
"""Rows as Python or JSON has them, by column."""


class Recon:
    """Made by an App, as `app.recon`. Rules are defined before the App is opened."""

    def __init__(self, database: Database, clock: Clock, alarms: AlarmRaiser, audit: AuditStore, start: Start) -> None:
        self.rules: dict[str, Rule] = {}
        self.store = ReconStore(database.dialect)
        self.decide = Breaks(database, self.store, audit, self.rules, start)
        self._database, self._alarms, self._clock, self._audit = database, alarms, clock, audit
        self._feeds: dict[Any, FeedOptions] = {}
        self._leases = Leases(database, clock, uuid4().hex, LEASE)

    def rule(
        self,
        name: str,
        *,
        upstream: Side,
        downstream: Side,
        agree: Sequence[Agreement],
        grace: float | str = "30s",
        edge: float | str | None = None,
        owner: str = "",
        zone: str = "UTC",
        sample: float = 1.0,
        ignore: Sequence[Ignored] = (),
        memory: float | str = "7d",
        repair: Repair | None = None,
    ) -> Rule:
        """Two sides and what must agree between them. Raise `DefinitionError` for a rule that cannot work.

        grace   how late the other side may be; a pair further apart is late-tied
        edge    how far around a period both sides are read: the grace, ten minutes at least
        owner   who looks after breaks
        zone    whose days are periods
        sample  the share of keys that is compared, chosen by their hash: the same keys every time
        ignore  times in which breaks are counted and not told
        memory  how long keys that agree are kept while both sides are followed; older ones are asked for
        repair  makes the process that repairs a break, if somebody asks for that; its request key is `repair_key`
        """
        if name in self.rules:
            raise DefinitionError(f"two rules are named {name!r}")
        made = define.rule(
            name,
            upstream=upstream,
            downstream=downstream,
            agree=agree,
            grace=grace,
            edge=edge,
            owner=owner,
            zone=zone,
            sample=sample,
            ignore=ignore,
            memory=memory,
        )
        self.rules[name] = made
        if repair is not None:
            self.decide.repairs[name] = repair
        return made

    def named(self, name: str) -> Rule:
        """The rule of this name; raise `ConfigError`."""
        found = self.rules.get(name)
        if found is None:
            raise ConfigError(f"this App has no rule {name!r:.100}; it has: {', '.join(sorted(self.rules)) or 'none'}")
        return found

    async def check(self, name: str, period: Period | None = None) -> Judged:
        """Hold a rule against its sources; return how its fields are compared. Raise `DefinitionError`."""
        needs_extra()
        from tieout.recon.sources import opened

        async with opened(self.named(name), period) as both:
            return both.judged

    async def test(self, name: str, upstream: Given, downstream: Given, period: Period | None = None) -> list[Tried]:
        """Judge given rows as comparing would, key by key; rows in which the event has not happened are left out.

        Raise `InvalidParams` for a row that lacks a column of the rule's.
        """
        needs_extra()
        from tieout.recon.sources import opened

        rule = self.named(name)
        async with opened(rule, period) as both:
            ours = _records(rule.upstream, both.upstream.reading, upstream)
            theirs = _records(rule.downstream, both.downstream.reading, downstream)
        keys = sorted(ours.keys() | theirs.keys())
        return [(key, judge(both.judged, ours.get(key, []), theirs.get(key, []))) for key in keys]

    async def run(
        self,
        name: str,
        period: Period,
        *,
        folder: Path = Path("recon"),
        progress: Progress | None = None,
        unfinished: bool = False,
        spark: str = "",
    ) -> Run:
        """Compare a rule's sides over a period, and store what came of it; see `tieout recon run`.

        `folder` holds the snapshots meanwhile. What plainly agrees is found by DuckDB in this process, or by the Spark
        Connect server at the address `spark`, whose workers then have to read and write the same folder. Raise
        `NotAllowed` before the period is over, unless `unfinished`, or while the same comparison is under way;
        `EngineFailed` for what Spark cannot do.
        """
        return await self.compare(
            name, period, self.running(progress), folder=folder, unfinished=unfinished, spark=spark
        )

    def running(self, progress: Progress | None = None, *, actor: str = "", reason: str = "") -> Running:
        """What a comparison is watched by, which is to be begun; with an actor, that is audited."""
        needs_extra()
        from tieout.recon.running import Running

        async def audit(tx: Transaction, run: Run) -> None:
            if actor:
                detail = {"period": str(run.period), "run": run.id.hex()}
                await self._audit.add(
                    tx, actor=actor, action="recon-run", target=f"rule:{run.rule}", reason=reason, detail=detail
                )

        return Running(self._database, self.store, self._clock, progress or _silent, audit)

    async def compare(
        self, name: str, period: Period, running: Running, *, folder: Path, unfinished: bool = False, spark: str = ""
    ) -> Run:
        """What `run` does, watched by `running`."""
        from tieout.recon.offline import Offline, World

        world = World(self._database, self.store, self._leases, self._alarms)
        offline = Offline(world, self.named(name), period, folder, running, spark)
        return await running.watched(offline.run(unfinished=unfinished))

    async def abort(self, run: bytes, *, actor: str, reason: str) -> Run:
        """Have a comparison end that is at work, within a second or two, on whichever node.

        Raise `UnknownRun`, or `NotAllowed` when it has ended.
        """

        async def work(tx: Transaction) -> None:
            if not await self.store.abort(tx, run):
                raise NotAllowed("this comparison has ended")
            await self._audit.add(
                tx, actor=actor, action="recon-abort", target=f"run:{run.hex()}", reason=reason, detail={}
            )

        await self.show(run)
        await self._database.transact(work)
        return await self.show(run)

    def feed(self, source: Source, *, slot: str = "", publication: str = "", feed: Any = None) -> None:
        """How a source is followed, where that is not to be chosen by itself.

        slot         the replication slot on PostgreSQL: "tieout_" and the database's name
        publication  the publication there: "tieout"
        feed         what makes a feed of the tables and columns that it has to tell of; `slot` names it then
        """
        needs_extra()
        from tieout.recon.opening import FeedOptions

        self._feeds[source] = FeedOptions(slot, publication, feed)

    def watching(self, names: Sequence[str] = ()) -> Watching:
        """What follows these rules, or all, once `watch_forever` is awaited."""
        needs_extra()
        from tieout.recon.watching import Watching

        rules = [self.named(name) for name in names or sorted(self.rules)]
        if not rules:
            raise ConfigError("this App has no rules: define them in its module, with app.rule(…)")
        return Watching(self._database, self._clock, self._alarms, rules, self._feeds)

    async def status(self) -> tuple[list[FeedStatus], list[RuleStatus]]:
        """How the feeds and the rules stand that are followed, or were."""
        store = FactStore(self._database.dialect)

        async def work(tx: Transaction) -> tuple[list[FeedStatus], list[RuleStatus]]:
            feeds = [feed_status(one) for one in (await store.feeds(tx)).values()]
            rules = await store.rules(tx)
            breaks = [await store.open_by_outcome(tx, name) for name in rules]
            return feeds, [rule_status(one, feeds, open_) for one, open_ in zip(rules.values(), breaks, strict=True)]

        return await self._database.read(work)

    async def read(self, name: str, period: Period) -> Run:
        """The latest comparison of a rule over a period; raise `ConfigError` when there is none."""
        run = await self._database.read(lambda tx: self.store.read(tx, run_id(name, period)))
        if run is None:
            raise ConfigError(f"{name!r:.100} was not compared over {period}: see `tieout recon runs`")
        return run

    async def show(self, run: bytes) -> Run:
        """The comparison with this id; raise `UnknownRun`."""
        found = await self._database.read(lambda tx: self.store.read(tx, run))
        if found is None:
            raise UnknownRun("there is no comparison with this id")
        return found

    async def runs(
        self, name: str = "", *, state: str = "", before: int = LAST, before_id: bytes = b"", limit: int = 50
    ) -> list[Run]:
        """Comparisons, the latest first, from behind the one that began at `before` with the id `before_id`."""
        return await self._database.read(
            lambda tx: self.store.page(tx, rule=name, state=state, before=before, before_id=before_id, limit=limit)
        )

    async def statement(self, name: str, period: Period) -> Statement:
        """What became of a period, as it stands now.

        Raise `ConfigError` for a rule that there is not, `DefinitionError` for one that is not compared by period.
        """
        rule = self.named(name)
        if rule.needs_time:
            raise DefinitionError(f"{name}: {' and '.join(rule.needs_time)} has no at=, so that no period can be told")

        async def work(tx: Transaction) -> Statement:
            return stated(
                rule,
                period,
                await self.store.read(tx, run_id(name, period)),
                await self.store.counts_of_period(tx, name, period),
                opening=await self.store.open_before(tx, name, period),
                unplaced=await self.store.unplaced(tx, name, period),
            )

        return await self._database.read(work)

    async def breaks_of_period(
        self, name: str, period: Period, *, state: str = "", after: bytes = b"", limit: int = 1_000
    ) -> list[Break]:
        """Breaks whose business time lies in a period, from behind the one with the id `after`."""
        return await self._database.read(
            lambda tx: self.store.breaks_of_period(tx, name, period, state=state, after=after, limit=limit)
        )

    async def open_breaks(self) -> dict[str, dict[str, int]]:
        """How many breaks are open of each rule of this App, by kind."""
        store = FactStore(self._database.dialect)

        async def work(tx: Transaction) -> dict[str, dict[str, int]]:
            return {name: await store.open_by_outcome(tx, name) for name in self.rules}

        return await self._database.read(work)

    async def breaks(
        self, run: bytes, *, state: str = "open", outcome: str = "", after: bytes = b"", limit: int = 1_000
    ) -> list[Break]:
        """Breaks that a comparison found, from behind the one with the id `after`."""
        return await self._database.read(
            lambda tx: self.store.breaks(tx, run, state=state, outcome=outcome, after=after, limit=limit)
        )


Tried = tuple[tuple[str, ...], Verdict]
"""A key and what becomes of it."""


def needs_extra() -> None:
    """Raise `ConfigError` unless the extra is installed."""
    try:
        import duckdb
        import pyarrow as pa
    except ModuleNotFoundError as error:
        raise ConfigError(f"comparing needs {error.name}: pip install 'tieout[recon]'") from error
    del duckdb, pa


def _records(side: Side, reading: Reading, rows: Given) -> dict[tuple[str, ...], list[Record]]:
    """Rows as the judge takes them, by key."""
    zone = zone_of(side.zone)
    records: dict[tuple[str, ...], list[Record]] = {}
    columns = [*reading.key, *([reading.at] if reading.at else []), *reading.fields]
    for row in rows:
        missing = [column.name for column in columns if column.name not in row]
        if missing:
            raise InvalidParams(f"a row {reading.name} has no {', '.join(missing)}: {dict(row)!r:.200}")
        if not _happened(side, row):
            continue
        texts = [canonical(column.kind or "text", row[column.name], zone) for column in columns]
        key, rest = texts[: len(reading.key)], texts[len(reading.key) :]
        if None in key:
            raise InvalidParams(f"a row {reading.name} has a key that is null, which nothing can be compared with")
        at = reading.moment(rest.pop(0)) if reading.at else None
        records.setdefault(tuple(part or "" for part in key), []).append(Record(at, tuple(rest)))
    return records


def _happened(side: Side, row: Mapping[str, Any]) -> bool:
    if side.when is None:
        return True
    if side.when.column not in row:
        raise InvalidParams(f"a row has no {side.when.column}, which says whether the event has happened")
    state = row[side.when.column]
    return state is not None if side.when.states is None else state in side.when.states


async def _silent(what: str, count: int) -> None:
    """Nobody is told."""
