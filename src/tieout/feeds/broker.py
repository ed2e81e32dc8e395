"""A feed from messages that somebody else's reader of a log has sent to a broker: Debezium, Canal."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from tieout.contracts import Database, Delivery, Inlet, NumberedSubscription, Transaction
from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap, TieoutError
from tieout.feeds.changes import LARGEST, TAKEN, Change, Committed, Heartbeat, Position, Told
from tieout.feeds.messages import Reader, Said

RECEIVED = 500
"""Messages that are asked of the broker at a time, or fewer whose rows are as many."""

WAITING = TAKEN // 2
"""Messages' changes that wait to be taken; beyond that the broker is not asked, and keeps the rest."""

BACK = 60_000_000
"""Microseconds by which times may go back where messages do not say their place in the log."""

AGAIN = 0.5
"""Seconds between two heartbeats while somebody waits for one."""


class Resume(msgspec.Struct):
    """What is needed to go on: who wrote last, where in its log, when; the watermark; the broker's own number.

    What was committed before `since`, and what stood in the topic's logs below `ends`, was there before it began.
    """

    source: str = ""
    place: tuple[int, ...] = ()
    at: int = 0
    watermark: int = 0
    number: int = -1
    since: int = 0
    ends: dict[str, int] = {}


class Open:
    """A transaction whose end has not come: what it has told, and how many changes of each table came, again or not."""

    def __init__(self, name: str) -> None:
        self.name, self.at = name, 0
        self.changes: list[Change] = []
        self.came: Counter[str] = Counter()


class BrokerFeed:
    """What messages of one topic of Kafka say that are in the order of the source's log: it has one partition.

    inlet      a `KafkaChannel`, whose group nobody else uses; other brokers do not number messages, and are refused
    reader     takes the messages apart: `Debezium(tables)` or `Canal(tables)`
    database   the source, not opened: it is asked for its time
    heartbeat  its table of one row that is written so that a quiet source is heard: `beat` adds to its column `beat`.
               Without it somebody else has to write there; Debezium's `heartbeat.action.query` does

    Messages that are delivered again are known by Kafka's numbers, those that are sent again by their place in the
    source's log, where they tell it. A number that is left out is a gap: the topic is not compacted, nor written in
    Kafka's transactions. Messages are acknowledged once what they said is kept. Transactions are told whole where their
    bounds are in the topic, else each message by itself.
    """

    def __init__(self, inlet: Inlet, topic: str, reader: Reader, *, database: Database, heartbeat: str = "") -> None:
        self._inlet, self._topic, self._reader = inlet, topic, reader
        self._database, self._heartbeat = database, heartbeat
        self._history = f"{reader.name} {topic}"
        self._subscription: NumberedSubscription | None = None
        self._pump: asyncio.Task[None] | None = None
        self._came, self._room = asyncio.Event(), asyncio.Event()
        self._forget(Position(self._history, 0), Resume())

    def _forget(self, position: Position, resume: Resume) -> None:
        self._position, self._resume = position, resume
        self._told: deque[Told] = deque()
        self._waiting, self._failure = 0, TieoutError("")
        self._rows = RECEIVED
        self._received: deque[tuple[int, Delivery]] = deque()
        self._open: Open | None = None
        self._log = ""

    async def open(self, after: Position | None = None) -> Position:
        """Begin behind `after`, or with what the source commits from now on; what waits from before is passed over."""
        await self.close()
        if not getattr(self._inlet, "is_log", False):
            raise ConfigError(
                f"{self._topic}: this broker gives what was not acknowledged behind what is new, without a number: "
                "changes would be taken for repetitions; send them through Kafka"
            )
        if after is not None and after.history != self._history:
            raise FeedGap(f"the position is of {after.history}, and not of {self._history}")
        await self._database.open()
        try:
            now = await self._now()
            subscription: Any = await self._inlet.subscribe(self._topic)
            self._subscription = subscription
            if after is None:
                ends = await subscription.ends(self._topic)
                self._forget(Position(self._history, now), Resume(since=now, ends=dict(ends)))
                self._here()
            else:
                self._forget(after, _resumed(after))
        except BaseException as error:
            await self.close()
            await self._database.close()
            if isinstance(error, (TieoutError, asyncio.CancelledError)):
                raise
            raise DatabaseUnavailable(f"{self._topic} cannot be consumed: {error}") from error
        self._pump = asyncio.create_task(self._receive(subscription))
        return self._position

    async def take(self, most: int = TAKEN) -> Sequence[Told]:
        """What messages have said, in their order."""
        while not self._told:
            pump = self._opened()
            if pump.done():
                raise self._failure
            self._came.clear()
            await self._came.wait()
        taken: list[Told] = []
        count = 0
        while self._told and count < most:
            one = self._told.popleft()
            taken.append(one)
            count += len(one.changes) if isinstance(one, Committed) else 1
        self._waiting = max(0, self._waiting - count)
        self._room.set()
        return taken

    async def beat(self) -> None:
        """Write to the table of heartbeats, if there is one: its message comes behind all that was committed before."""
        self._opened()
        if self._heartbeat:
            quoted = ".".join(self._quoted(part) for part in self._heartbeat.split("."))
            await self._database.transact(lambda tx: tx.execute(f"UPDATE {quoted} SET beat = beat + 1"))  # noqa: S608 - the name is quoted

    async def confirm(self, position: Position) -> None:
        """Acknowledge the messages that were told up to a position."""
        while self._received and self._received[0][0] <= position.place and self._subscription is not None:
            _, last = self._received[0]
            try:
                await self._subscription.acknowledge([last])
            except Exception as error:
                raise DatabaseUnavailable(f"{self._topic} cannot be acknowledged: {error}") from error
            self._received.popleft()

    async def here(self) -> Position:
        """Behind all that was committed before now, once messages have come so far; only of a feed that is open."""
        self._opened()
        now = await self._now()
        while self._resume.watermark < now:
            if self._opened().done():
                raise self._failure
            await self.beat()
            await asyncio.sleep(AGAIN)
        return self._position

    async def close(self) -> None:
        """Let go of the broker, which delivers again what was not acknowledged."""
        pump, self._pump = self._pump, None
        subscription, self._subscription = self._subscription, None
        if pump is not None:
            pump.cancel()
            with suppress(asyncio.CancelledError):
                await pump
            await self._database.close()
        if subscription is not None:
            with suppress(Exception):
                await subscription.close()
        self._came.set()

    def _opened(self) -> asyncio.Task[None]:
        if self._pump is None:
            raise ConfigError("open the feed before it is read")
        return self._pump

    def _quoted(self, name: str) -> str:
        mark = "`" if self._database.dialect == "mysql" else '"'
        return mark + name.replace(mark, mark * 2) + mark

    async def _now(self) -> int:
        async def now(tx: Transaction) -> int:
            row = await tx.fetch_one("SELECT {now} AS now")
            return 0 if row is None else int(row[0])

        return await self._database.read(now)

    async def _receive(self, subscription: NumberedSubscription) -> None:
        """Take messages in while there is room; what ends that is told by `take`, behind what came before."""
        try:
            while True:
                while self._waiting >= WAITING:
                    self._room.clear()
                    await self._room.wait()
                deliveries = await subscription.receive(max(1, RECEIVED // self._rows))
                self._rows = max(1, sum(map(self._take_in, deliveries)) // len(deliveries))
                # With the last one all are acknowledged; what it said is told, or was passed over, and is not kept.
                last = deliveries[-1]._replace(body=b"", headers={})
                self._received.append((self._position.place, last))
                self._came.set()
        except FeedGap as gap:
            self._failure = gap
        except Exception as error:  # noqa: BLE001 - each client has its own errors
            self._failure = DatabaseUnavailable(f"{self._topic} is lost: {error}")
        finally:
            self._came.set()

    def _take_in(self, delivery: Delivery) -> int:
        """Take what a message says; return how many rows it told of."""
        if self._was_delivered(delivery):
            return 0
        said = self._reader.read(delivery)
        self._position = Position(self._history, self._position.place + 1)
        if said is not None:
            self._note(said)
        return 0 if said is None else len(said.changes)

    def _note(self, said: Said) -> None:
        was_said = self._was_said(said)
        if self._open is not None and said.transaction == self._open.name:
            self._open.came.update(change.table for change in said.changes)
        if was_said:
            return
        self._resume.watermark = max(self._resume.watermark, said.watermark)
        if not said.at or said.at >= self._resume.since:
            self._sort(said)

    def _was_delivered(self, delivery: Delivery) -> bool:
        """Whether the broker gives it once more, by the number that it has there, or had it before this feed began.

        Raise `FeedGap` for a second partition, or when the broker has lost what comes behind the kept position.
        """
        if delivery.place is None:
            raise FeedGap(f"{self._topic}: a message has no number, by which it would be known when it comes again")
        log, number = delivery.place
        begin = self._resume.ends.get(log, 0)
        if number < begin:
            return True
        if self._log not in ("", log):
            raise FeedGap(f"{self._topic} has several partitions, which have no order among them: give it one")
        last = max(self._resume.number, begin - 1)
        if last < number - 1 and (last >= 0 or self._resume.ends):
            raise FeedGap(f"{self._topic}: messages {last + 1} to {number - 1} are gone")
        self._log = log
        self._resume.number = max(number, last)
        return number <= last

    def _was_said(self, said: Said) -> bool:
        """Whether it is said once more; raise `FeedGap` where another history begins."""
        last = self._resume
        if said.source and last.source and said.source != last.source:
            raise FeedGap(f"{self._topic}: {said.source} writes where {last.source} wrote before")
        last.source = said.source or last.source
        if not said.place:
            if said.watermark and said.watermark < last.watermark - BACK:
                raise FeedGap(f"{self._topic}: times go back: is said again what was said, or is it new?")
            return False
        if last.place and len(said.place) == len(last.place) and said.place <= last.place:
            if said.at > last.at:
                raise FeedGap(f"{self._topic}: places in the source's log go back: it has begun another history")
            return True
        last.place, last.at = said.place, max(last.at, said.at)
        return False

    def _sort(self, said: Said) -> None:
        """Tell what was said, or keep it until its transaction ends."""
        inside = self._open
        if inside is not None and said.transaction == inside.name:
            inside.changes.extend(said.changes)
            inside.at = max(inside.at, said.at)
            if len(inside.changes) > LARGEST:
                raise FeedGap(f"{self._topic}: transaction {inside.name} has more than {LARGEST:,} changes")
            if said.ends is not None:
                self._end(inside, said.ends)
        elif inside is not None and (said.changes or said.begins):
            raise FeedGap(f"{self._topic}: transaction {inside.name} has no end")
        elif said.begins:
            self._open = Open(said.transaction)
        elif said.changes:
            self._tell(said.at, said.changes)
        elif said.watermark and inside is None:
            self._tell_time()

    def _end(self, inside: Open, counts: dict[str, int]) -> None:
        self._open = None
        if any(inside.came[table] < count for table, count in counts.items()):
            raise FeedGap(f"{self._topic}: of transaction {inside.name} some messages are missing")
        if inside.changes:
            self._tell(inside.at, tuple(inside.changes))
        elif inside.at:
            self._tell_time()

    def _tell(self, at: int, changes: tuple[Change, ...]) -> None:
        self._told.append(Committed(self._here(), at, changes, self._resume.watermark))
        self._waiting += len(changes)

    def _tell_time(self) -> None:
        """A heartbeat, in place of one that nobody has taken."""
        if self._told and isinstance(self._told[-1], Heartbeat):
            self._told.pop()
            self._waiting -= 1
        self._told.append(Heartbeat(self._here(), self._resume.watermark))
        self._waiting += 1

    def _here(self) -> Position:
        self._position = Position(self._history, self._position.place, msgspec.json.encode(self._resume).decode())
        return self._position


def _resumed(after: Position) -> Resume:
    try:
        return msgspec.json.decode(after.resume, type=Resume) if after.resume else Resume()
    except msgspec.MsgspecError as error:
        raise FeedGap(f"the position {after.resume[:100]!r} is none of this feed") from error
