"""The values of dictionary fields: in cells they stand as numbers, of which a supplier has as many as fit two bytes.

A number may get another value once no cell has named it for `GRACE`. Nobody takes the one for the other: whoever reads
cells reads `VERSION` too, and reads both again where it is not that of the words.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import uuid4

from tieout.errors import InvalidParams
from tieout.identity import canonical_json, encode_json

MOST_WORDS = (1 << 16) - 1
"""Different values of the dictionary fields of one supplier: what a cell's two bytes can name."""

FEW = 1 << 14
"""Numbers that are left for new values when those are looked for that no cell names."""

GRACE = 600.0
"""Seconds from when no cell names a number until it may get another value."""

VERSION = 0
"""The number, which no cell names, of the word that is another one whenever a number gets another value."""


class Garbled(Exception):
    """An answer that does not fit its question or its fields; nothing of it is used."""


class Words:
    """The values of a supplier's dictionary fields, each named by a number; 0 names none.

    `added` are those that are not stored yet. No cell has named any of the `unused` since `unused_since`, by the clock
    of whoever looked; `reuse` lets new values have their numbers.
    """

    def __init__(self, known: Mapping[int, str]) -> None:
        self._texts = {number: text for number, text in known.items() if number != VERSION}
        self._numbers = {text: number for number, text in self._texts.items()}
        self._written: dict[str, int] = {}
        self.added: dict[int, str] = {}
        self.unused: set[int] = set()
        self.unused_since: float | None = None
        self._may_reuse = False

    @property
    def left(self) -> int:
        """How many new values there are numbers for."""
        return MOST_WORDS - len(self._texts) + (len(self.unused) if self._may_reuse else 0)

    def note_used(self, numbers: Collection[int], now: float) -> None:
        """Know which numbers the stored cells name; the others are unused until they are told again."""
        self.unused, self.unused_since, self._may_reuse = self._texts.keys() - set(numbers), now, False
        self._written = {written: number for written, number in self._written.items() if number not in self.unused}

    def reuse(self, now: float) -> None:
        """Let unused numbers get other values, if they have been unused for long enough."""
        self._may_reuse = self.unused_since is not None and now - self.unused_since >= GRACE

    def number(self, value: Any) -> int:
        """The number of a value, a new one if it has none yet; raise `Garbled` when it cannot be stored."""
        try:
            written = repr(value)
            number = self._written.get(written)
            if number is None:
                number = self._number(value)
                if len(self._written) < MOST_WORDS:
                    self._written[written] = number
        except RecursionError as error:
            raise Garbled("a value is nested too deeply") from error
        return number

    def row(self, values: Sequence[Any]) -> list[int | None]:
        """The numbers of the values of an item's cells, which are mostly one and the same object; None of None."""
        objects = list(map(id, values))
        numbers = {
            at: None if value is None else self.number(value)
            for at, value in dict(zip(objects, values, strict=True)).items()
        }
        return [numbers[at] for at in objects]

    def _number(self, value: Any) -> int:
        try:
            encode_json(value)
            text = canonical_json(value)
        except InvalidParams as error:
            raise Garbled(f"{value!r:.100} cannot be stored as JSON") from error
        number = self._numbers.get(text)
        if number is None:
            number = self._new_number()
            self._numbers[text] = number
            self._texts[number] = self.added[number] = text
        self.unused.discard(number)
        return number

    def _new_number(self) -> int:
        if len(self._texts) < MOST_WORDS:
            return len(self._texts) + 1
        if not (self._may_reuse and self.unused):
            raise Garbled(f"more than {MOST_WORDS} different values: this is no field for a dictionary")
        number = self.unused.pop()
        del self._numbers[self._texts[number]]
        self.added[VERSION] = uuid4().hex  # no count: a server that takes over may lack the last ones
        return number
