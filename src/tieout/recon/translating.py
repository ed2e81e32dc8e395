"""Changes of a feed translated to facts: rows as a feed writes them, to records as the judge reads them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import md5
from operator import itemgetter
from typing import TypeAlias

import msgspec

from tieout.errors import FeedGap
from tieout.feeds.changes import Change, Row
from tieout.recon.facts import SIDES, Fact, Seen
from tieout.recon.reading import Fed, Reading
from tieout.recon.rules import Record

KEY_LENGTH = 700
"""Longest key that is followed, in characters of its JSON: what every database can index."""

Texts: TypeAlias = tuple[str | None, ...]
"""Canonical texts of some columns of a row."""

_encode = msgspec.json.encode


class Translation:
    """The facts of one side of one rule. `table` is how the feed calls the side's table."""

    def __init__(self, rule: int, reading: Reading, sample: float) -> None:
        self.rule, self.side = rule, SIDES.index(reading.name)
        self.table = reading.side.table.removeprefix("public.")
        self._key, self._values = _reader(reading.fed_key), _reader(reading.fed_fields)
        (name, convert), *more = reading.fed_key
        self._plain_key = "" if more or convert is not None or sample < 1 else name
        self._at = reading.fed_time
        self._when, self._event, self._states = "", None, None
        if reading.fed_event is not None:
            (self._when, self._event), self._states = reading.fed_event
        self._share = None if sample >= 1 else f"{int(sample * 2**32):08x}"
        self.overlong = 0
        """Rows whose key is too long to be followed."""

    def facts(self, change: Change, at: int, seen: Seen, facts: list[Fact]) -> None:
        """Add what a change does to keys; nothing where no named column is different.

        Raise `FeedGap` when the table lacks a column that the rule reads.
        """
        try:
            before = None if change.before is None else self._read(change.before)
            after = None if change.after is None else self._read(change.after)
        except KeyError as error:
            raise FeedGap(f"{self.table} has no column {error.args[0]} any more, which a rule reads") from error
        if before is None:
            if after is not None:
                facts.append(Fact(self.rule, after[0], self.side, None, after[1], at, seen))
        elif after is None:
            facts.append(Fact(self.rule, before[0], self.side, before[1], None, at, seen))
        elif before[0] != after[0]:
            facts.append(Fact(self.rule, before[0], self.side, before[1], None, at, seen))
            facts.append(Fact(self.rule, after[0], self.side, None, after[1], at, seen))
        elif before[1] != after[1]:
            facts.append(Fact(self.rule, before[0], self.side, before[1], after[1], at, seen))

    def _read(self, row: Row) -> tuple[str, Record] | None:
        """The key and record that a row asserts; None when its event has not happened, or it is not in the sample."""
        if self._when:
            state = row[self._when]
            if state is None:
                return None
            if self._states is not None and (state if self._event is None else self._event(state)) not in self._states:
                return None
        part = row[self._plain_key] if self._plain_key else None
        if part is not None and part.isascii() and part.isalnum():
            text = f'["{part}"]'  # as `key_text` writes it, without a tuple in between
        else:
            key = self._key(row)
            if self._share is not None and not _is_sampled(key, self._share):
                return None
            text = key_text(key, self.side)
        if len(text) > KEY_LENGTH:
            self.overlong += 1
            return None
        at = None
        if self._at is not None:
            name, convert = self._at
            if (written := row[name]) is not None:
                at = convert(written)
        return text, Record(at, self._values(row))


def key_text(key: Sequence[str | None], side: int) -> str:
    """How a key is kept. One that is NULL in part has no partner: its side keeps it apart."""
    if len(key) == 1 and (part := key[0]) is not None and part.isascii() and part.isalnum():
        return f'["{part}"]'  # as below, and several times faster
    return _encode([*key, SIDES[side]] if None in key else key).decode()


def key_parts(text: str) -> list[str | None]:
    """The columns of a key that is kept; those of one that is NULL in part are followed by its side."""
    parts: list[str | None] = msgspec.json.decode(text)
    return parts


def can_be_asked(text: str) -> bool:
    """Whether a source can be asked for a key: not for NULL."""
    return None not in key_parts(text)


def _reader(fed: Sequence[Fed]) -> Callable[[Row], Texts]:
    """What takes the canonical texts of columns off a row."""
    names = [name for name, _ in fed]
    converted = [(place, convert) for place, (_, convert) in enumerate(fed) if convert is not None]
    taken = _taker(names)
    if not converted:
        return taken

    def read(row: Row) -> Texts:
        texts = taken(row)
        for place, convert in converted:
            text = texts[place]
            if text is not None and (canonical := convert(text)) is not text:
                texts = (*texts[:place], canonical, *texts[place + 1 :])
        return texts

    return read


def _taker(names: Sequence[str]) -> Callable[[Row], Texts]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: tuple([row[name] for name in names])


def _is_sampled(key: Sequence[str | None], share: str) -> bool:
    """As comparing offline draws its sample: the first 32 bits of a digest; a key that is NULL is always looked at."""
    if None in key:
        return True
    told = "".join(f"{len(part or '')}:{part}" for part in key)
    return md5(told.encode(), usedforsecurity=False).hexdigest()[:8] < share
