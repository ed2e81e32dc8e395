"""What is kept of keys, feeds and rules that are followed: one typed function for each statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeAlias

import msgspec

from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.identity import encode_json, parse_json
from tieout.recon.facts import Body, Kept

Phase: TypeAlias = Literal["baseline", "live"]
"""*baseline*: what there was before is still being loaded, and each key that changes meanwhile is asked for."""

EMPTY = Body()

PARTED = "\x1e"
"""What stands between two values of a column: no JSON has it, nor has the name of an outcome, nor a number."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Body).decode


class FeedState(msgspec.Struct, frozen=True):
    """How far a feed was taken in. Times are microseconds: `watermark` on the source's clock, the others on ours.

    `offset` is how far the source's clock is ahead of ours. `gap` says since when what was missed, None for nothing.
    """

    name: str
    checkpoint: str | None
    fence: int
    watermark: int
    offset: int
    heard_at: int
    gap: str | None
    asked_at: int


class RuleState(msgspec.Struct, frozen=True):
    """A rule that is followed: since when, by which feeds, and what its keys have come to."""

    name: str
    number: int
    version: str
    phase: Phase
    feeds: list[str]
    activated_at: int
    totals: dict[str, int]


class FactRow(msgspec.Struct, gc=False):
    """A key as statements take it that read JSON."""

    record_key: str
    outcome: str
    due: int | None
    changed_at: int
    told: int
    body: Body | str


def _as_texts(keys: Mapping[str, Kept]) -> list[str]:
    """A text for each column, with its values in the order of the keys; nothing for NULL."""
    ordered = sorted(keys)
    kept = [keys[key] for key in ordered]
    return [
        PARTED.join(ordered),
        PARTED.join([one.outcome for one in kept]),
        PARTED.join(["" if one.due is None else str(one.due) for one in kept]),
        PARTED.join([str(one.changed) for one in kept]),
        PARTED.join(["1" if one.told else "0" for one in kept]),
        PARTED.join([_encode(one.body).decode() for one in kept]),
    ]


def _as_json(keys: Mapping[str, Kept], body: Callable[[Kept], Body | str]) -> str:
    """An object for each key, in their order."""
    rows = [
        FactRow(key, one.outcome, one.due, one.changed, int(one.told), body(one)) for key, one in sorted(keys.items())
    ]
    return _encode(rows).decode()


_ROWS: Mapping[str, Callable[[Mapping[str, Kept]], str | list[str]]] = {
    "postgres": _as_texts,
    "mysql": partial(_as_json, body=lambda one: _encode(one.body).decode()),
    "sqlite": partial(_as_json, body=lambda one: one.body),
}


class FactStore:
    """Facts, feeds and rules over named SQL."""

    def __init__(self, dialect: str) -> None:
        self.sql = load("tieout.recon", dialect)
        self._rows = _ROWS[dialect]

    async def kept(self, tx: Transaction, rule: int, keys: Sequence[str]) -> dict[str, Kept]:
        """What is kept of these keys."""
        rows = await tx.fetch(self.sql.kept_facts, rule=rule, keys=_encode(keys).decode())
        return {
            key: Kept(outcome, due, changed, bool(told), _decode(body))
            for key, outcome, due, changed, told, body in rows
        }

    async def write(self, tx: Transaction, rule: int, keys: Mapping[str, Kept]) -> None:
        """Keep these, in the order of their keys."""
        await tx.execute(self.sql.write_facts, rule=rule, rows=self._rows(keys))

    async def begin(self, tx: Transaction, rule: int, keys: Mapping[str, Kept]) -> None:
        """Keep these, of which nothing is kept: nobody else begins to meanwhile."""
        await tx.execute(self.sql.begin_facts, rule=rule, rows=self._rows(keys))

    async def add(self, tx: Transaction, rule: int, keys: Mapping[str, Kept]) -> None:
        """Keep these where nothing is kept yet."""
        await tx.execute(self.sql.add_facts, rule=rule, rows=self._rows(keys))

    async def due(self, tx: Transaction, rule: int, until: int, limit: int) -> list[str]:
        """Keys whose time has come, the earliest first."""
        return [row[0] for row in await tx.fetch(self.sql.due_facts, rule=rule, until=until, limit=limit)]

    async def count(self, tx: Transaction, rule: int) -> Counter[str]:
        """How many keys stand how."""
        return Counter({outcome: int(count) for outcome, count in await tx.fetch(self.sql.count_facts, rule=rule)})

    async def doubt(self, tx: Transaction, rule: int, key: Sequence[str | None]) -> bool:
        """Have one key asked for; False when nothing is kept of it."""
        return await tx.execute(self.sql.doubt_fact, rule=rule, record_key=_encode(key).decode()) == 1

    async def forget(self, tx: Transaction, rule: int, after: str, before: int, limit: int) -> str:
        """Forget what agrees since before a moment, among the next keys; where to go on, "" at the end."""
        row = await tx.fetch_one(self.sql.old_facts, rule=rule, after=after, limit=limit)
        if row is None or row[0] is None:
            return ""
        await tx.execute(self.sql.forget_facts, rule=rule, after=after, last=row[0], before=before)
        return str(row[0]) if row[1] == limit else ""

    async def feeds(self, tx: Transaction) -> dict[str, FeedState]:
        """All feeds, by name."""
        rows = await tx.fetch(self.sql.read_feeds)
        return {row[0]: FeedState(*row) for row in rows}

    async def add_feed(self, tx: Transaction, name: str) -> None:
        """Have a feed, which begins with what is committed from now on."""
        await tx.execute(self.sql.add_feed, name=name)

    async def pass_feed(self, tx: Transaction, feed: FeedState) -> bool:
        """Note how far a feed was taken in, with the next fence; False when somebody else has done so since."""
        matched = await tx.execute(
            self.sql.pass_feed,
            name=feed.name,
            checkpoint=feed.checkpoint,
            watermark=feed.watermark,
            clock_offset=feed.offset,
            fence=feed.fence - 1,
        )
        return matched == 1

    async def note_gap(self, tx: Transaction, name: str, gap: str | None) -> None:
        """Note that a feed has missed something, or that it was found since."""
        await tx.execute(self.sql.note_gap, name=name, gap=gap)

    async def rules(self, tx: Transaction) -> dict[str, RuleState]:
        """All rules that were ever followed, by name."""
        rows = await tx.fetch(self.sql.read_rules)
        return {
            name: RuleState(name, number, version, phase, parse_json(feeds), since, parse_json(totals))
            for name, number, version, phase, feeds, since, totals in rows
        }

    async def activate(self, tx: Transaction, name: str, number: int, version: str, feeds: Sequence[str]) -> None:
        """Begin to follow a rule, the first or once more: what it knew is forgotten, and what was open is asked for."""
        await tx.execute(
            self.sql.activate_rule,
            name=name,
            number=number,
            version=version,
            feeds=encode_json(list(feeds)),
            totals=encode_json({}),
        )
        await tx.execute(self.sql.drop_facts, rule=number)
        await tx.execute(self.sql.doubt_facts, rule=number, body=_encode(EMPTY).decode())

    async def go_live(self, tx: Transaction, name: str, version: str) -> None:
        """Note that what there was before is loaded."""
        await tx.execute(self.sql.go_live, name=name, version=version)

    async def count_rule(self, tx: Transaction, name: str, totals: Mapping[str, int]) -> None:
        """Keep what a rule's keys have come to."""
        await tx.execute(self.sql.count_rule, name=name, totals=encode_json(dict(totals)))

    async def mend(self, tx: Transaction, breaks: Sequence[bytes]) -> None:
        """Close breaks that agree again."""
        await tx.execute_many(self.sql.mend_break, [{"id": one} for one in breaks])

    async def open_by_outcome(self, tx: Transaction, rule: str) -> dict[str, int]:
        """How many breaks of a rule are open, by kind, found live or offline."""
        return {outcome: int(count) for outcome, count in await tx.fetch(self.sql.open_by_outcome, rule=rule)}

    async def open_breaks(self, tx: Transaction, rule: str, outcome: str) -> int:
        """How many breaks of a kind are open."""
        row = await tx.fetch_one(self.sql.count_breaks, rule=rule, outcome=outcome)
        return 0 if row is None else int(row[0])
