"""Answers of suppliers as arrays: checked whole, so that a garbled one changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tieout.errors import InvalidParams
from tieout.identity import canonical_json, encode_json
from tieout.mirror.calendar import Bools, Layout
from tieout.mirror.fields import Field

MOST_WORDS = (1 << 16) - 1
"""Different values of the dictionary fields of one supplier: what a cell's two bytes can name."""


class Garbled(Exception):
    """An answer that does not fit its question or its fields; nothing of it is used."""


class Words:
    """The values of a supplier's dictionary fields, each named by a number; 0 names none."""

    def __init__(self, known: Mapping[int, str]) -> None:
        self._numbers = {text: number for number, text in known.items()}
        self._written: dict[str, int] = {}
        self.added: dict[int, str] = {}

    def number(self, value: Any) -> int:
        """The number of a value, a new one if it has none yet; raise `Garbled` when it cannot be stored."""
        written = repr(value)
        number = self._written.get(written)
        if number is None:
            number = self._number(value)
            if len(self._written) < MOST_WORDS:
                self._written[written] = number
        return number

    def row(self, values: Sequence[Any]) -> list[int | None]:
        """The numbers of the values of an item's cells, which are mostly one and the same object; None of None."""
        numbers: dict[int, int | None] = {id(None): None}
        for value in values:
            if id(value) not in numbers:
                numbers[id(value)] = self.number(value)
        return [numbers[id(value)] for value in values]

    def _number(self, value: Any) -> int:
        try:
            encode_json(value)
            text = canonical_json(value)
        except InvalidParams as error:
            raise Garbled(f"{value!r:.100} cannot be stored as JSON") from error
        number = self._numbers.get(text)
        if number is None:
            number = len(self._numbers) + 1
            if number > MOST_WORDS:
                raise Garbled(f"more than {MOST_WORDS} different values: this is no field for a dictionary")
            self._numbers[text] = number
            self.added[number] = text
        return number


class Answer:
    """The cells of an answer: arrays of shape (items, cells), in the order of `items`.

    `values` has the fields that were given: those of a whole answer are all, those of a push may be some.
    """

    def __init__(self, items: Sequence[str], present: Bools, values: dict[str, NDArray[Any]]) -> None:
        self.items = items
        self.present = present
        self.values = values


def read_answer(
    layout: Layout,
    words: Words,
    items: Mapping[str, Mapping[str, Sequence[Any]]],
    count: int,
    *,
    partial: bool = False,
) -> Answer:
    """The cells of an answer to a query for `count` cells; raise `Garbled` unless all of it is sound.

    A cell is present when all its fields are given; where one is None it is absent. A `partial` answer may leave
    fields out, the same ones of all its items.
    """
    if not items:
        raise Garbled("no items at all")
    keys = list(items)
    fields = _fields(layout, items[keys[0]], partial=partial)
    for key in keys:
        wrong = items[key].keys() ^ fields.keys()
        if wrong:
            raise Garbled(f"{key!r:.100} has not the fields of this mirror: {sorted(map(str, wrong))}")
    present: Bools = np.ones((len(keys), count), dtype=np.bool_)
    values = {}
    for name, field in fields.items():
        rows = [items[key][name] for key in keys]
        if any(not isinstance(row, Sequence) or isinstance(row, (str, bytes)) or len(row) != count for row in rows):
            raise Garbled(f"{name}: not a list of {count} values for each item")
        values[name] = _column(name, field, words, rows, present)
    return Answer(keys, present, values)


def _fields(layout: Layout, given: Mapping[str, Any], *, partial: bool) -> Mapping[str, Field]:
    if not partial:
        return layout.fields
    known = {name: field for name, field in layout.fields.items() if name in given}
    if not known:
        raise Garbled("none of the fields of this mirror is given")
    return known


def _column(name: str, field: Field, words: Words, rows: Sequence[Sequence[Any]], present: Bools) -> NDArray[Any]:
    """One field of all cells; those that have none are taken out of `present`."""
    filler: bool | int = False if field.kind == "flag" else 0
    if field.kind == "dictionary":
        rows = [words.row(row) for row in rows]
    kinds = set(map(type, chain.from_iterable(rows)))
    if type(None) in kinds:
        present &= np.array([[value is not None for value in row] for row in rows], dtype=np.bool_)
        rows = [[filler if value is None else value for value in row] for row in rows]
    if not kinds <= {type(filler), type(None)}:
        raise Garbled(f"{name}: not all of its values are {'true or false' if filler is False else 'whole numbers'}")
    try:
        column = np.array(rows, dtype=np.int64)
    except OverflowError as error:
        raise Garbled(f"{name}: a value is far too large") from error
    low, high = field.bounds
    if column.size and (column.min() < low or column.max() > high):
        raise Garbled(f"{name}: a value is not between {low} and {high}")
    return column.astype(field.stored)
