"""Changes of a feed translated to facts: rows as a feed writes them, to records as the judge reads them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import md5

import msgspec

from tieout.errors import FeedGap
from tieout.feeds.changes import Change, Row
from tieout.recon.facts import SIDES, Fact, Seen
from tieout.recon.reading import Fed, Reading, micros
from tieout.recon.rules import Record

KEY_LENGTH = 700
"""Longest key that is followed, in characters of its JSON: what every database can index."""

_encode = msgspec.json.encode


class Translation:
    """The facts of one side of one rule. `table` is how the feed calls the side's table."""

    def __init__(self, rule: int, reading: Reading, sample: float) -> None:
        self.rule, self.side = rule, SIDES.index(reading.name)
        self.table = reading.side.table.removeprefix("public.")
        self._key, self._values = reading.fed_key, reading.fed_fields
        self._at, self._when = reading.fed_time, reading.fed_event
        self._share = None if sample >= 1 else f"{int(sample * 2**32):08x}"
        self.overlong = 0
        """Rows whose key is too long to be followed."""

    def facts(self, change: Change, at: int, seen: Seen) -> Iterator[Fact]:
        """What a change does to keys; nothing where no named column is different.

        Raise `FeedGap` when the table lacks a column that the rule reads.
        """
        try:
            before = None if change.before is None else self._read(change.before)
            after = None if change.after is None else self._read(change.after)
        except KeyError as error:
            raise FeedGap(f"{self.table} has no column {error.args[0]} any more, which a rule reads") from error
        if before == after:
            return
        if before is not None and after is not None and before[0] == after[0]:
            yield Fact(self.rule, before[0], self.side, before[1], after[1], at, seen)
            return
        if before is not None:
            yield Fact(self.rule, before[0], self.side, before[1], None, at, seen)
        if after is not None:
            yield Fact(self.rule, after[0], self.side, None, after[1], at, seen)

    def _read(self, row: Row) -> tuple[str, Record] | None:
        """The key and record that a row asserts; None when its event has not happened, or it is not in the sample."""
        if self._when is not None and not _has_happened(self._when, row):
            return None
        key = [_text(fed, row) for fed in self._key]
        if self._share is not None and not _is_sampled(key, self._share):
            return None
        at = None if self._at is None else micros(_text(self._at, row))
        text = key_text(key, self.side)
        if len(text) > KEY_LENGTH:
            self.overlong += 1
            return None
        return text, Record(at, tuple([_text(fed, row) for fed in self._values]))


def key_text(key: Sequence[str | None], side: int) -> str:
    """How a key is kept. One that is NULL in part has no partner: its side keeps it apart."""
    return _encode([*key, SIDES[side]] if None in key else key).decode()


def key_parts(text: str) -> list[str | None]:
    """The columns of a key that is kept; those of one that is NULL in part are followed by its side."""
    parts: list[str | None] = msgspec.json.decode(text)
    return parts


def can_be_asked(text: str) -> bool:
    """Whether a source can be asked for a key: not for NULL."""
    return None not in key_parts(text)


def _has_happened(event: tuple[Fed, frozenset[str] | None], row: Row) -> bool:
    fed, states = event
    state = _text(fed, row)
    return state is not None if states is None else state in states


def _text(fed: Fed, row: Row) -> str | None:
    name, convert = fed
    value = row[name]
    return value if value is None or convert is None else convert(value)


def _is_sampled(key: Sequence[str | None], share: str) -> bool:
    """As comparing offline draws its sample: the first 32 bits of a digest; a key that is NULL is always looked at."""
    if None in key:
        return True
    told = "".join(f"{len(part or '')}:{part}" for part in key)
    return md5(told.encode(), usedforsecurity=False).hexdigest()[:8] < share
