"""Answers of suppliers as arrays: checked whole, so that a garbled one changes nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate, chain, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tieout.mirror.calendar import Bools, Layout
from tieout.mirror.fields import Field
from tieout.mirror.words import Garbled, Words

_FALSE, _TRUE = 0xC2, 0xC3
"""In MessagePack."""

_LISTS = frozenset({list, tuple})

_SOME_FLAGS, _SOME_NUMBERS = list[list[bool | None]], list[list[int | None]]


class Table(NamedTuple):
    """The cells of items below each other: arrays of shape (items, cells)."""

    items: Sequence[str]
    present: Bools
    values: dict[str, NDArray[Any]]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The cells of an answer: those of the items `begin` to before `end` of a table, in which others may stand too.

    `fields` are those that were given: of a whole answer all, of a push maybe some.
    """

    table: Table
    begin: int
    end: int

    def __len__(self) -> int:
        return self.end - self.begin

    @property
    def items(self) -> Sequence[str]:
        """Its items."""
        return self.table.items[self.begin : self.end]

    @property
    def fields(self) -> AbstractSet[str]:
        """The names of its fields."""
        return self.table.values.keys()

    @property
    def present(self) -> Bools:
        """Which cells are there."""
        return self.table.present[self.begin : self.end]

    @property
    def values(self) -> dict[str, NDArray[Any]]:
        """The cells of each field."""
        return {name: column[self.begin : self.end] for name, column in self.table.values.items()}


def below_each_other(answers: Iterable[Answer]) -> Iterator[Answer]:
    """The same items in the same order, those as one answer that stand in a row in one table."""
    table, begin, end = None, 0, 0
    for one in answers:
        if one.table is not table or one.begin != end:
            if table is not None:
                yield Answer(table, begin, end)
            table, begin = one.table, one.begin
        end = one.end
    if table is not None:
        yield Answer(table, begin, end)


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
    fields = _fields(layout, next(iter(items.values())), partial=partial)
    return Answer(_read(fields, words, list(items.items()), count), 0, len(items))


def read_answers(
    layout: Layout,
    words: Words,
    answers: Sequence[Mapping[str, Mapping[str, Sequence[Any]]]],
    count: int,
    *,
    is_plain: bool = False,
) -> list[Answer]:
    """Many answers to queries for as many cells, at once; raise `Garbled` unless all of all of them is sound.

    In `is_plain` ones there is nothing that MessagePack does not have, such as the numbers of other libraries.
    """
    if not all(answers):
        raise Garbled("no items at all")
    items = list(chain.from_iterable(items.items() for items in answers))
    table = _read(layout.fields, words, items, count, is_plain=is_plain)
    ends = list(accumulate(map(len, answers), initial=0))
    return [Answer(table, begin, end) for begin, end in pairwise(ends)]


def _read(
    fields: Mapping[str, Field],
    words: Words,
    items: Sequence[tuple[str, Mapping[str, Sequence[Any]]]],
    count: int,
    *,
    is_plain: bool = False,
) -> Table:
    present: Bools = np.ones((len(items), count), dtype=np.bool_)
    values = {}
    for name, told in _told(fields, items).items():
        are_lists = set(map(type, told)) <= _LISTS and set(map(len, told)) == {count}
        rows = told if are_lists else [_row(name, row, count) for row in told]
        values[name] = _column(name, fields[name], words, rows, present, is_plain=is_plain)
    return Table([key for key, _ in items], present, values)


def _told(
    fields: Iterable[str], items: Sequence[tuple[str, Mapping[str, Sequence[Any]]]]
) -> dict[str, list[Sequence[Any]]]:
    """Of each field what all items have; raise `Garbled` unless they have these fields, and no others."""
    names, told = set(fields), [given for _, given in items]
    try:
        if set(map(len, told)) == {len(names)}:
            return {name: list(map(itemgetter(name), told)) for name in fields}
    except KeyError:
        pass  # Whose they are is found one by one.
    key, wrong = next((key, given.keys() ^ names) for key, given in items if given.keys() != names)
    raise Garbled(f"{key!r:.100} has not the fields of this mirror: {sorted(map(str, wrong))}")


def _row(name: str, values: Any, count: int) -> Sequence[Any]:
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)) or len(values) != count:
        raise Garbled(f"{name}: not a list of {count} values for each item")
    return list(values)


def _fields(layout: Layout, given: Mapping[str, Any], *, partial: bool) -> Mapping[str, Field]:
    if not partial:
        return layout.fields
    known = {name: field for name, field in layout.fields.items() if name in given}
    if not known:
        raise Garbled("none of the fields of this mirror is given")
    return known


def _column(
    name: str, field: Field, words: Words, rows: Sequence[Sequence[Any]], present: Bools, *, is_plain: bool
) -> NDArray[Any]:
    """One field of all cells; those that have none are taken out of `present`."""
    if field.kind == "dictionary":
        rows = [words.row(row) for row in rows]
    column = _flags(rows) if field.kind == "flag" else _numbers(rows, is_plain=is_plain)
    if column is None:
        column = _some(name, field, rows, present)
    low, high = field.bounds
    if field.kind != "flag" and column.size and (column.min() < low or column.max() > high):
        raise Garbled(f"{name}: a value is not between {low} and {high}")
    return column.astype(field.stored)


def _flags(rows: Sequence[Sequence[Any]]) -> NDArray[Any] | None:
    """Rows of nothing but truth values; None for others.

    Each value takes a byte at least in MessagePack, and has one of these two only when it is true or false.
    """
    head, count = msgspec.msgpack.encode(rows[0]), len(rows[0])
    packed = np.frombuffer(b"".join(map(msgspec.msgpack.encode, rows)), dtype=np.uint8)
    if packed.size != len(rows) * len(head):
        return None
    values = packed.reshape(len(rows), len(head))[:, len(head) - count :]
    column: NDArray[Any] = values == _TRUE
    return column if (column | (values == _FALSE)).all() else None


def _numbers(rows: Sequence[Sequence[Any]], *, is_plain: bool) -> NDArray[Any] | None:
    """Rows of nothing but whole numbers of 64 bits; None for others."""
    pack = struct.Struct(f"<{len(rows[0])}q").pack
    try:
        packed = b"".join([pack(*row) for row in rows])
        column = np.frombuffer(packed, dtype="<i8").reshape(len(rows), -1)
        # To pack, true and false are numbers: 1 and 0. Only rows that have these can have a flag, where all is plain.
        doubtful = np.flatnonzero((column.view("<u8") < 2).any(axis=1)).tolist() if is_plain else range(len(rows))
        has_flags = b"e" in msgspec.json.encode([rows[at] for at in doubtful])
    except (struct.error, TypeError):
        return None
    return None if has_flags else column


def _some(name: str, field: Field, rows: Sequence[Sequence[Any]], present: Bools) -> NDArray[Any]:
    """Rows in which some values are missing, or wrong."""
    is_flag = field.kind == "flag"
    try:
        given: list[list[int | None]] = msgspec.convert(rows, _SOME_FLAGS if is_flag else _SOME_NUMBERS)
        present &= np.array([[value is not None for value in row] for row in given], dtype=np.bool_)
        return np.array([[0 if value is None else value for value in row] for row in given], dtype=np.int64)
    except msgspec.ValidationError as error:
        what = "true or false" if is_flag else "whole numbers"
        raise Garbled(f"{name}: not all of its values are {what}") from error
    except OverflowError as error:
        raise Garbled(f"{name}: a value is far too large") from error
