"""What the tables of a feed look like, kept in its checkpoints: a change of a table that rewrote rows is noticed. Pure.

A database that changes a column's type rewrites every row, and tells no change of any. What it tells is the new shape,
with the next row; also when the reader was away in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tieout.errors import FeedGap


class Shapes:
    """The columns of each table, with whatever must stay as it is for values to stay comparable."""

    def __init__(self, text: str = "") -> None:
        """What `text` had written, or nothing."""
        self._tables = msgspec.json.decode(text, type=dict[str, dict[str, str]]) if text else {}
        self._text = text

    def text(self) -> str:
        """All that was seen, as one text."""
        return self._text

    def seen(self, table: str, columns: Mapping[str, str], wanted: Sequence[str] | None) -> None:
        """Take in a table's columns; raise `FeedGap` when rows were changed by changing the table.

        A column may come; it may go when it is not among the `wanted`, or all are told. The column "" is the table.
        """
        missing = [column for column in wanted or () if column not in columns]
        if missing:
            raise FeedGap(f"{table} has no column {', '.join(missing)} any more")
        for column, kind in self._tables.get(table, {}).items():
            if column == "" and columns.get("", kind) != kind:
                raise FeedGap(f"{table} is another table than before: what became of its rows is not told")
            if columns.get(column, kind) != kind:
                raise FeedGap(f"{table}: the type of {column} was changed, and with it rows, which is not told")
        told = {name: kind for name, kind in columns.items() if wanted is None or not name or name in wanted}
        if self._tables.get(table) != told:
            self._tables[table] = told
            self._text = msgspec.json.encode(self._tables, order="deterministic").decode()
