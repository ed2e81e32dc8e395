"""What a bare reader of `bench.live` has to tell of to be one: what `tests/feeds/test_conformance.py` asks of feeds.

Statements are run on one side, and the reader tells what it has read of them, transaction by transaction, in two goes:
the second one begins where the first one ended, in a process of its own. After all that is measured the table is
emptied by TRUNCATE, which no row tells: a reader has to end with an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

Telling: TypeAlias = Sequence[tuple[str, Sequence[Sequence[Any]]]]
"""Transactions: a position each, and changes: rows before and after, texts by column."""

LONG = "(SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n)"
"""A text that PostgreSQL keeps apart from its row, and does not log again when the row's other columns change."""

CHANGES, FIRST = 7, 4
"""Changes in all, and of the first go."""


def statements(dialect: str) -> list[str]:
    """What is done, each in a session of its own. Its rows are none that a rule counts, and none of them stays."""
    long = LONG if dialect == "postgres" else "repeat('x', 40)"
    insert = "INSERT INTO points (id, state, sku, quantity, cost, done) VALUES"
    return [
        (
            f"BEGIN; {insert} (-1, 'new', NULL, NULL, 12345678.9012, NULL);"
            " UPDATE points SET sku = '' WHERE id = -1; COMMIT"
        ),
        f"BEGIN; {insert} (-2, 'new', 'x', 1, 1, NULL); ROLLBACK",
        "UPDATE points SET id = -3 WHERE id = -1",
        f"{insert} (-4, 'new', {long}, 1, 0.5, NULL)",
        "UPDATE points SET quantity = 2 WHERE id = -4",
        "BEGIN; DELETE FROM points WHERE id = -3; DELETE FROM points WHERE id = -4; COMMIT",
    ]


def lacking(told: Telling, dialect: str) -> str:
    """What is wrong with what a reader has told, "" for nothing."""
    places = [str(place) for place, _ in told]
    if len(set(places)) < len(places):
        return "two transactions have one position"
    found = [[[_plain(before), _plain(after)] for before, after in changes] for _, changes in told]
    long = next((after["sku"] for one in found for _, after in one if after and after["id"] == "-4"), "")
    if len(long or "") != (9_600 if dialect == "postgres" else 40):
        return "a long text is not told"
    wanted = _wanted(long, "0.5" if dialect == "postgres" else "0.5000")
    wrong = next((n for n, (one, other) in enumerate(zip(found, wanted, strict=False)) if one != other), None)
    if wrong is not None:
        return f"transaction {wrong} is told as {found[wrong]!r:.300}"
    return "" if len(found) == len(wanted) else f"{len(found)} transactions are told, and there were {len(wanted)}"


def _plain(row: dict[str, Any] | None) -> dict[str, str | None] | None:
    return None if row is None else {name: None if value is None else str(value) for name, value in row.items()}


def _wanted(long: str | None, cost: str) -> list[list[list[dict[str, str | None] | None]]]:
    def row(key: str, sku: str | None, quantity: str | None, cost: str) -> dict[str, str | None]:
        return {"id": key, "state": "new", "sku": sku, "quantity": quantity, "cost": cost, "done": None}

    first, money = "-1", "12345678.9012"
    moved, kept = row("-3", "", None, money), row("-4", long, "2", cost)
    return [
        [[None, row(first, None, None, money)], [row(first, None, None, money), row(first, "", None, money)]],
        [[row(first, "", None, money), moved]],
        [[None, row("-4", long, "1", cost)]],
        [[row("-4", long, "1", cost), kept]],
        [[moved, None], [kept, None]],
    ]
