"""What messages about a database's changes say, whoever has read its log and written them. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from tieout.contracts import Delivery
from tieout.errors import FeedGap
from tieout.feeds.changes import Change, Tables

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Written: TypeAlias = Literal["text", "number", "bytes", "days", "s", "ms", "us", "ns", "iso"]
"""How a column is written where messages do not say: text, a decimal number, base64, a time since 1970, or ISO 8601."""

MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""Microseconds in the units of times that are counted."""


class Fraction(str):
    """A number with a fraction, letter by letter as it was written."""

    __slots__ = ()


class Said(msgspec.Struct, frozen=True):
    """What one message says.

    `at` is when it was committed, no earlier, and all that was committed before `watermark` stands before it; 0: not
    told. `source` is who has written it, `place` where in that one's log: it rises. `transaction` is what it belongs
    to; one that `begins` is told whole when it `ends`, with as many changes of each table as that says.
    """

    at: int = 0
    watermark: int = 0
    changes: tuple[Change, ...] = ()
    source: str = ""
    place: tuple[int, ...] = ()
    transaction: str = ""
    begins: bool = False
    ends: dict[str, int] | None = None


class Reader(Protocol):
    """Takes messages of one format apart."""

    name: str

    def read(self, delivery: Delivery) -> Said | None:
        """What a message says; None for one that is about nothing. Raise `FeedGap` for what cannot be told whole."""
        ...


def document(delivery: Delivery) -> dict[str, Any] | None:
    """A message's JSON, with fractions as they were written; None for a tombstone. Raise `FeedGap` for what is none."""
    if not delivery.body or delivery.body == b"null":
        return None
    try:
        found = json.loads(delivery.body, parse_float=Fraction, parse_constant=_refuse)
    except ValueError as error:
        raise FeedGap(f"a message of {delivery.topic} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise FeedGap(f"a message of {delivery.topic} is no JSON object")
    return found


@contextmanager
def taken_apart(delivery: Delivery) -> Iterator[None]:
    """Take a message apart in here: what is not built as its format says is a gap, which says where it came."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        why = f"{type(error).__name__}: {error}"[:200]
        raise FeedGap(f"a message of {delivery.topic} is not built as its format says: {why}") from error


def without_public(tables: Tables) -> Tables:
    """The same, with those of PostgreSQL's schema "public" by their bare names, as its own feed calls them."""
    if isinstance(tables, Mapping):
        return {name.removeprefix("public."): columns for name, columns in tables.items()}
    return [name.removeprefix("public.") for name in tables]


def named(tables: Tables, space: str, table: str) -> str | None:
    """What a feed calls a table of a schema or database; None when it does not tell of it."""
    return next((name for name in (f"{space}.{table}", table) if name in tables), None)


def wanted_of(tables: Tables, table: str) -> Sequence[str] | None:
    """The columns that are told of a table; None for all."""
    return tables[table] if isinstance(tables, Mapping) else None


def lacking(table: str, columns: Collection[str], wanted: Sequence[str] | None) -> None:
    """Raise `FeedGap` for a column that is to be told and is not there."""
    missing = [name for name in wanted or () if name not in columns]
    if missing:
        raise FeedGap(f"{table} has no column {', '.join(missing)} in a message: it does not tell whole rows")


def moment(micros: int, zone: str = "") -> str:
    """A time as databases write it; one that no calendar reaches is infinite."""
    try:
        text = (EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat(" ")
    except OverflowError:
        return "infinity" if micros > 0 else "-infinity"
    return text + zone


def instant(text: str) -> str:
    """ISO 8601 with a zone, in UTC; what no calendar reaches is infinite. Raise `ValueError` where it names no zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return "-infinity" if text.startswith("-") else "infinity"
    if at.tzinfo is None:
        raise ValueError(f"{text[:60]!r} names no zone")
    try:
        return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ") + "+00"
    except OverflowError:
        return "-infinity" if at.year == 1 else "infinity"


def span(micros: int) -> str:
    """A time of day, or how long something takes: MySQL's TIME may be negative, and longer than a day."""
    seconds, fraction = divmod(abs(micros), 1_000_000)
    minutes, second = divmod(seconds, 60)
    text = f"{'-' if micros < 0 else ''}{minutes // 60:02}:{minutes % 60:02}:{second:02}"
    return f"{text}.{fraction:06}" if fraction else text


def day(days: int) -> str:
    """A date that is counted since 1970; one that no calendar reaches is infinite."""
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return "infinity" if days > 0 else "-infinity"


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")
