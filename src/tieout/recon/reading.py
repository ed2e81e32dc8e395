"""Reading a side: its columns checked against the rule, its rows from one snapshot, its rows of single keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from itertools import repeat
from typing import Any, NamedTuple, Protocol, TypeAlias

import pyarrow as pa

from tieout.config import zone_of
from tieout.contracts import Copying, Param, Row
from tieout.errors import DefinitionError
from tieout.recon.columns import Columns, Key, columns_of, joined
from tieout.recon.copied import parsed
from tieout.recon.define import Side
from tieout.recon.dialects import LARGEST, Column, Dialect, can_hold, surely_holds
from tieout.recon.feed_texts import written_micros, written_moment
from tieout.recon.periods import UNITS, Period
from tieout.recon.rules import Record, SideName
from tieout.recon.values import Kind, finite, local_converter, micros, moment_text, number_text

Texts: TypeAlias = Sequence[Any] | pa.Array
"""A column's texts, None where it is NULL; what was copied may have come as numbers."""

Converter: TypeAlias = Callable[[str], str]

Fed: TypeAlias = tuple[str, Converter | None]
"""A column, and what makes its canonical text of what a feed tells of it."""

BATCH = 5_000
"""Rows that are fetched at a time: a few megabytes."""

KEPT = (18, 9)
"""Most digits of a number that is kept as one, and most of them behind its point: sums and distances stay exact."""


class Rows(Protocol):
    """Where statements of a side are run."""

    def stream(self, sql: str, /, *, batch: int, **params: Param) -> AsyncGenerator[Sequence[Row], None]:
        """The rows of one statement, from one consistent snapshot."""
        ...


class Found(NamedTuple):
    """A row as it was read: its key (None where it is NULL), its time, its fields."""

    key: tuple[str | None, ...]
    at: int | None
    values: tuple[str | None, ...]


class Reading:
    """A side whose columns are known to fit: `key`, `at` and `fields` are columns as the source has them."""

    def __init__(
        self,
        name: SideName,
        side: Side,
        dialect: Dialect,
        table: str,
        columns: Mapping[str, Column],
        fields: Sequence[str],
    ) -> None:
        self.name, self.side = name, side
        self._dialect, self._table = dialect, table
        self._columns: Mapping[str, Column] = columns
        self._columns = {**columns, **{column: self._told(column, kind) for column, kind in side.types.items()}}
        self._zone = zone_of(side.zone)
        self.key = [self._key_column(column) for column in side.key]
        self.fields = [self._comparable(column) for column in fields]
        self.at = None if side.at is None else self._time_column(side.at.column, side.at.unit)
        if side.when is not None:
            self._column(side.when.column)

    @property
    def width(self) -> int:
        """How many columns a row has: the key's, the time, the fields."""
        return len(self.key) + 1 + len(self.fields)

    @property
    def whole_keys(self) -> list[bool]:
        """For each column of the key, whether all its texts are whole numbers of 64 bits."""
        return [self._is_whole(column) for column in self.key]

    @property
    def numbers(self) -> dict[int, pa.DataType]:
        """The fields whose values fit into numbers that DuckDB compares as such, by place; but for NaN."""
        kinds = {place: self._number(column) for place, column in enumerate(self.fields)}
        return {place: kind for place, kind in kinds.items() if kind is not None}

    def _number(self, column: Column) -> pa.DataType | None:
        if self._is_whole(column):
            return pa.int64()
        digits, behind = column.digits or (LARGEST, 0)
        fits = digits <= KEPT[0] and behind <= min(digits, KEPT[1]) and not column.told
        return pa.decimal128(digits, behind) if fits else None

    @property
    def written_numbers(self) -> frozenset[int]:
        """The fields whose texts are numbers as the source itself writes them: digits, or NaN, or infinite."""
        return frozenset(
            place
            for place, column in enumerate(self.fields)
            if self._is_whole(column) or (column.kind == "number" and not column.told and self._dialect.writes_numbers)
        )

    def _is_whole(self, column: Column) -> bool:
        return not column.told and column.type in self._dialect.whole

    async def snapshot(
        self, rows: Rows, period: Period, kept: Collection[int] = frozenset()
    ) -> AsyncGenerator[list[Texts], None]:
        """Columns of texts, batch by batch: all rows of a padded period, perhaps more, and those without a time.

        What is copied comes as numbers where that is all it can be, and so do the fields that are `kept` as such; if a
        batch has anything else, it comes as texts.
        """
        where, params = self._within(period)
        params.update(self._states())
        if isinstance(rows, Copying):
            types = self._types(kept)
            async with aclosing(rows.copied(self._select(where, self._copied(kept)), **params)) as pieces:
                async for piece in pieces:
                    yield self.converted(await asyncio.to_thread(parsed, piece, types))
            return
        async with aclosing(rows.stream(self._select(where), batch=BATCH, **params)) as batches:
            async for batch in batches:
                yield self.converted(list(zip(*batch, strict=True)))

    async def find(self, rows: Rows, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        """What the source has now for these keys, whenever it happened."""
        return (await self.found(rows, keys)).records

    async def found(self, rows: Rows, keys: Sequence[Key]) -> Columns:
        """The same by column."""
        parts = []
        possible = self._possible(keys)
        for first in range(0, len(possible), self._dialect.asks):
            asked = set(possible[first : first + self._dialect.asks])
            where, params = self._dialect.asked(self.key, list(asked))
            sql = self._select([where])
            async for batch in rows.stream(sql, batch=self._dialect.asks, **params, **self._states()):
                texts = self.converted(list(zip(*batch, strict=True)))
                parts.append(columns_of(texts, len(self.key)).among(asked))
        return joined(parts, len(self.fields))

    async def states(self, rows: Rows, keys: Sequence[Key]) -> dict[Key, str]:
        """What keys that are there, but in which the event has not happened, have instead."""
        when = self.side.when
        if when is None:
            return {}
        found: dict[Key, str] = {}
        possible = self._possible(keys)
        texts = ", ".join(f"{self._text(column)} AS c{n}" for n, column in enumerate(self.key))
        state = self._dialect.text(self._column(when.column)._replace(kind="text"))
        for first in range(0, len(possible), self._dialect.asks):
            asked = set(possible[first : first + self._dialect.asks])
            where, params = self._dialect.asked(self.key, list(asked))
            sql = f"SELECT {texts}, {state} AS state FROM {self._table} WHERE {where}"  # noqa: S608 - names are quoted, values bound
            async for batch in rows.stream(sql, batch=BATCH, **params):
                keyed = zip(*self.converted(list(zip(*batch, strict=True))[:-1]), strict=True)
                for key, (*_, told) in zip(keyed, batch, strict=True):
                    if key in asked:
                        found[key] = f"{when.column} = {'NULL' if told is None else told}"
        return found

    @property
    def fed_key(self) -> list[Fed]:
        """How a feed's rows are read: their key."""
        return [self._fed(place, column) for place, column in enumerate(self.key)]

    @property
    def fed_fields(self) -> list[Fed]:
        """How a feed's rows are read: their fields."""
        return [self._fed(len(self.key) + 1 + place, column) for place, column in enumerate(self.fields)]

    @property
    def fed_time(self) -> tuple[str, Callable[[str], int | None]] | None:
        """How a feed's rows are read: their business time in microseconds, if the side has one."""
        if self.at is None:
            return None
        name, convert = self._fed(len(self.key), self.at)
        if convert is None:
            return name, micros
        return name, written_micros if convert is written_moment else lambda value: micros(convert(value))

    @property
    def fed_event(self) -> tuple[Fed, frozenset[str] | None] | None:
        """Which of a feed's rows count: those whose column has one of these texts, or any at all; None: every row."""
        when = self.side.when
        if when is None:
            return None
        column = self._column(when.column)
        read = (column.name, self._dialect.fed(column))
        return read, None if when.states is None else frozenset(map(str, when.states))

    def moment(self, text: str | None) -> int | None:
        """The business time that a canonical text of `at` says."""
        if text is None or self.at is None:
            return None
        convert = self._converter(len(self.key), self.at)
        is_done = self.at.kind == "moment"
        return micros(text if convert is None or is_done else convert(text))

    def converted(self, columns: Sequence[Texts]) -> list[Texts]:
        """Columns whose texts are canonical, from those that the source sent."""
        plan = [*self.key, self.at, *self.fields]
        return [
            texts if column is None or (convert := self._converter(place, column)) is None else _each(convert, texts)
            for place, (column, texts) in enumerate(zip(plan, columns, strict=False))
        ]

    def _possible(self, keys: Sequence[Key]) -> Sequence[Key]:
        """The keys that can be there; most sides hold whole numbers, which are looked at together."""
        if all(surely_holds(column, [key[place] for key in keys]) for place, column in enumerate(self.key)):
            return keys
        return [key for key in keys if all(map(can_hold, self.key, key))]

    def _fed(self, place: int, column: Column) -> Fed:
        written = self._dialect.fed(column._replace(kind="text") if column.told else column)
        convert = self._converter(place, column)
        if written is None or convert is None:
            return column.name, written or convert
        return column.name, lambda value: convert(written(value))

    def _converter(self, place: int, column: Column) -> Converter | None:
        """What the source cannot do itself, or not in one way on all databases."""
        if place == len(self.key) and self.side.at is not None and self.side.at.unit is not None:
            return _scaled(UNITS[self.side.at.unit])
        if column.kind == "number" and not column.told and self._dialect.writes_numbers:
            return None
        if column.kind in {"number", "float"} or (column.kind == "integer" and column.told):
            return number_text
        is_time = column.kind == "moment" or place == len(self.key)
        if not is_time or not column.local:
            return None
        if self._dialect.is_written_out(column):
            return lambda value: moment_text(value, self._zone)
        return local_converter(self._zone) if self.side.zone != "UTC" else None

    def _types(self, kept: Collection[int]) -> list[pa.DataType]:
        """What columns that are copied are parsed as."""
        numbers = self.numbers
        keys = [pa.int64() if whole else pa.string() for whole in self.whole_keys]
        plain = self.at is None or self._converter(len(self.key), self.at) is None
        fields = [numbers[place] if place in kept else pa.string() for place in range(len(self.fields))]
        return [*keys, pa.int64() if plain else pa.string(), *fields]

    def _copied(self, kept: Collection[int]) -> list[str]:
        texts = [self._dialect.copied(column, is_kept=False) for column in self.key]
        texts.append("NULL" if self.at is None else self._text(self.at))
        told = [column._replace(kind="text") if column.told else column for column in self.fields]
        return texts + [self._dialect.copied(column, is_kept=place in kept) for place, column in enumerate(told)]

    def _select(self, where: Sequence[str], texts: Sequence[str] = ()) -> str:
        if not texts:
            texts = [self._text(column) for column in self.key]
            texts.append("NULL" if self.at is None else self._text(self.at))
            texts += [self._text(column) for column in self.fields]
        listed = ", ".join(f"{text} AS c{number}" for number, text in enumerate(texts))
        conditions = " AND ".join([*self._happened(), *where]) or "1 = 1"
        return f"SELECT {listed} FROM {self._table} WHERE {conditions}"  # noqa: S608 - names are quoted, values bound

    def _happened(self) -> list[str]:
        when = self.side.when
        if when is None:
            return []
        column = self._dialect.name(when.column)
        if when.states is None:
            return [f"{column} IS NOT NULL"]
        return [f"{column} IN ({', '.join(f':{name}' for name in self._states())})"]

    def _states(self) -> dict[str, Param]:
        states = () if self.side.when is None else self.side.when.states or ()
        return {f"state{number}": state for number, state in enumerate(states)}

    def _within(self, period: Period) -> tuple[list[str], dict[str, Param]]:
        """Conditions for a period and for rows without a time, as far as the source can tell."""
        if self.at is None or self.side.at is None:
            return [], {}
        if self.side.at.unit is not None:
            name, unit = self._dialect.name(self.at.name), UNITS[self.side.at.unit]
            inside = f"({name} >= :since AND {name} < :until) OR {name} IS NULL"
            return [f"({inside})"], {"since": period.since // unit, "until": -(-period.until // unit)}
        bounds = None if self.at.told else self._dialect.bounds(self.at)
        if bounds is None:
            return [], {}
        # A zone is never further than this from UTC; the exact bounds are drawn once the moments are known.
        read = period.padded(DAY if self.at.local and self.side.zone != "UTC" else 0)
        return [f"({' OR '.join(bounds)})"], {"since": read.since, "until": read.until}

    def _text(self, column: Column) -> str:
        return self._dialect.text(column._replace(kind="text") if column.told else column)

    def _told(self, name: str, kind: Kind) -> Column:
        column = self._column(name)
        if column.kind != "text":
            raise DefinitionError(f"{self.name}: types= is for columns of text; {name} is of the type {column.type}")
        return column._replace(kind=kind, local=True, told=True)

    def _column(self, name: str) -> Column:
        found = self._columns.get(name)
        if found is None:
            raise DefinitionError(
                f"{self.name}: {self.side.table or 'the file'} has no column {name!r}, only {', '.join(self._columns)}"
            )
        return found

    def _comparable(self, name: str) -> Column:
        column = self._column(name)
        if column.kind is None:
            raise DefinitionError(f"{self.name}: {name} is of the type {column.type}, which cannot be compared")
        return column

    def _key_column(self, name: str) -> Column:
        column = self._comparable(name)
        if column.kind in {"float", "moment"}:
            raise DefinitionError(f"{self.name}: {name} cannot be a key, since a {column.type} is not exact")
        return column

    def _time_column(self, name: str, unit: str | None) -> Column:
        column = self._column(name)
        fits = {"integer", "number"} if unit else {"moment"}
        if column.kind not in fits:
            wanted = "a number, for epoch(…)" if unit else "a time; see epoch(…) and types="
            raise DefinitionError(f"{self.name}: at={name!r} is of the type {column.type}, and has to be {wanted}")
        return column


DAY = 26 * 3_600_000_000
"""Microseconds by which local time may be off: the widest zones, and a change of summer time."""


def unpacked(rows: Sequence[Sequence[str | None]], keys: int) -> list[Found]:
    """Rows of canonical texts, of which the first `keys` are the key's, as what they say."""
    return [Found(*row) for row in rows_in(list(zip(*rows, strict=True)), keys)] if rows else []


def rows_in(columns: Sequence[Texts], keys: int) -> Iterator[tuple[Any, int | None, tuple[Any, ...]]]:
    """The rows that columns of canonical texts make: the key, which has `keys` of them, the time, the fields."""
    fields = columns[keys + 1 :]
    values = zip(*fields, strict=True) if fields else repeat(())
    return zip(zip(*columns[:keys], strict=True), map(micros, columns[keys]), values)  # noqa: B905 - what is repeated has no end


def _each(convert: Converter, texts: Texts) -> list[str | None]:
    given = texts.to_pylist() if isinstance(texts, pa.Array) else texts
    return [None if text is None else convert(text) for text in given]


def _scaled(unit: int) -> Converter:
    def convert(value: str) -> str:
        number = finite(value)
        return value if number is None else str(int(number * Decimal(unit)))

    return convert
