"""Statements for MySQL as text with their values in it, and rows: the same for every driver."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tieout.contracts import Row
from tieout.database.query import Compiled
from tieout.database.rows import row_kind
from tieout.errors import StatementError

WAS_THERE = 2**63 - 1
"""What the macro `{was_there}` makes the server answer: nothing was written."""


def render(statement: Compiled, values: Mapping[str, Any]) -> bytes:
    """The statement with its values as literals; raise `StatementError` for a value that cannot be one.

    Right in the sessions that `mysql_server` opens: utf8mb4, and a backslash escapes.
    """
    return encoded(statement, statement.text % tuple(literals(statement, values)))


def encoded(statement: Compiled, text: str) -> bytes:
    """The text of a statement as it is sent; raise `StatementError` for what is not valid Unicode."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise StatementError(f"{statement.name}: {error}") from error


def literals(statement: Compiled, values: Mapping[str, Any]) -> list[str]:
    """The values of a statement, in order; raise `StatementError`."""
    return [_LITERALS.get(type(value), _other)(value) for value in statement.bind(values)]


def literal(value: str) -> str:
    """A text, as it stands in a statement."""
    return _text(value)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _bytes(value: bytes) -> str:
    return f"x'{value.hex()}'"


def _float(value: float) -> str:
    if not math.isfinite(value):
        raise StatementError(f"{value} cannot be stored")
    return f"{value!r}e0" if "e" not in repr(value) else repr(value)


def _moment(value: datetime) -> str:
    # The session's time zone is UTC.
    naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return f"'{naive.isoformat(sep=' ')}'"


def _list(value: Sequence[Any]) -> str:
    return _text(json.dumps(value))


def _other(value: Any) -> str:
    for kind, literal in _LITERALS.items():
        if isinstance(value, kind):
            return literal(value)
    raise StatementError(f"a {type(value).__name__} cannot be bound to a statement")


_LITERALS: Mapping[type, Callable[[Any], str]] = {
    str: _text,
    bool: lambda value: "1" if value else "0",
    int: lambda value: f"{value:d}",
    bytes: _bytes,
    type(None): lambda _: "NULL",
    float: _float,
    list: _list,
    tuple: _list,
    datetime: _moment,
    date: lambda value: f"'{value.isoformat()}'",
    Decimal: lambda value: f"{value:f}",
}


def rows_of(result: Any) -> Sequence[Row]:
    """The rows of a result. Of a write: the one value that it handed to LAST_INSERT_ID, MySQL's kind of RETURNING."""
    if result.rows is not None:
        kind = row_kind(tuple([column[0] for column in result.description]))
        return [kind(row) for row in result.rows]
    if result.affected_rows and result.insert_id not in (0, WAS_THERE):
        return [row_kind(("last_insert_id",))((result.insert_id,))]
    return []


def count_of(result: Any) -> int:
    """How many rows a statement matched; an upsert counts as one, whatever it did, unless it `{was_there}`."""
    if result.rows is not None:
        return len(result.rows)
    return 0 if result.insert_id == WAS_THERE else int(result.affected_rows)
