"""Compare-and-set on a user's own table: the state machine of the simple case, without a process row."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal

from tieout.config import microseconds
from tieout.contracts import Database, Param, Transaction
from tieout.errors import DefinitionError, StaleState

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?", re.ASCII)

BATCH = 100
"""Rows that a sweep looks at in one statement."""


class Machine:
    """The states of the rows of one table, and the moves between them.

    table, key, state  the table, its key column, and the column that holds the state
    moves              {state: the states that it may move to}; a state that leads nowhere is final
    version            a whole-number column, raised by every move: needed when a row can come back to a state
    token              a text column that remembers who made the last move, so that a repetition of it is recognised
    changed            a 64-bit column for the server's time of the last move, in microseconds; `sweep` goes by it

    Raise `DefinitionError` when names are no plain SQL identifiers, or when the moves need what is not given.
    """

    def __init__(
        self,
        table: str,
        *,
        key: str = "id",
        state: str = "state",
        moves: Mapping[str, str | tuple[str, ...]],
        version: str | None = None,
        token: str | None = None,
        changed: str | None = None,
    ) -> None:
        for name in (table, key, state, version, token, changed):
            _check_identifier(name)
        self.table, self.key, self.state = table, key, state
        self.version, self.token, self.changed = version, token, changed
        self.moves = {old: (new,) if isinstance(new, str) else tuple(new) for old, new in moves.items()}
        self._check_moves()

    @property
    def open_states(self) -> list[str]:
        """The states that are not final."""
        return sorted(old for old, new in self.moves.items() if new)

    async def move(
        self,
        tx: Transaction,
        row: Any,
        old: str,
        new: str,
        *,
        set: Mapping[str, Param] | None = None,
        token: str | None = None,
        version: int | None = None,
    ) -> Literal["won", "won before"]:
        """Move one row, and write `set` with it: "won", or "won before" when `token` made this move already.

        One guarded UPDATE in the caller's transaction; a read only when it matched nothing. Raise `StaleState` when
        somebody else has moved the row, or there is none.
        """
        if new not in self.moves.get(old, ()):
            raise DefinitionError(f"{self.table}: no move leads from {old!r} to {new!r}")
        if (self.version is None) != (version is None) or (token is not None and self.token is None):
            raise DefinitionError(f"{self.table}: give version= and token= for the columns that the machine names")
        written = dict(set or {})
        for column in written:
            _check_identifier(column)
        params = {f"set_{column}": value for column, value in written.items()}
        guard = {} if version is None else {"version": version}
        keep = {} if token is None else {"token": token}
        sql = self._update(tuple(written), with_token=token is not None)
        if await tx.execute(sql, row=row, old=old, new=new, **params, **guard, **keep) == 1:
            return "won"
        return await self._lost(tx, row, new, token, version)

    async def sweep(
        self,
        database: Database,
        handler: Callable[[Any, str], Awaitable[None]],
        *,
        older_than: float | str = "30s",
        limit: int = 1_000,
    ) -> int:
        """Call `handler(key, state)` for rows that stand at a state that is not final; how many.

        With a `changed` column only for those that have not moved for `older_than`, oldest first. A handler that
        raises does not keep the others from their turn; the first error is raised at the end.
        """
        age = microseconds(older_than)
        errors: list[Exception] = []
        seen = 0
        for state in self.open_states:
            rows = await database.read(partial(self._standing, state=state, age=age, limit=min(limit - seen, BATCH)))
            for row in rows:
                try:
                    await handler(row, state)
                except Exception as error:  # noqa: BLE001 - raised below
                    errors.append(error)
            seen += len(rows)
            if seen >= limit:
                break
        if errors:
            raise errors[0]
        return seen

    async def _standing(self, tx: Transaction, state: str, age: int, limit: int) -> list[Any]:
        since = f" AND {self.changed} <= {{now}} - :age ORDER BY {self.changed}" if self.changed else ""
        sql = f"SELECT {self.key} FROM {self.table} WHERE {self.state} = :state{since} LIMIT :limit"  # noqa: S608 - identifiers were checked
        known = {"age": age} if self.changed else {}
        return [row[0] for row in await tx.fetch(sql, state=state, limit=limit, **known)]

    def _update(self, columns: tuple[str, ...], *, with_token: bool) -> str:
        changes = [f"{self.state} = :new", *(f"{column} = :set_{column}" for column in columns)]
        if self.version:
            changes.append(f"{self.version} = {self.version} + 1")
        if self.token:
            changes.append(f"{self.token} = :token" if with_token else f"{self.token} = NULL")
        if self.changed:
            changes.append(f"{self.changed} = {{now}}")
        guard = f" AND {self.version} = :version" if self.version else ""
        where = f"{self.key} = :row AND {self.state} = :old{guard}"
        return f"UPDATE {self.table} SET {', '.join(changes)} WHERE {where}"  # noqa: S608 - identifiers were checked

    async def _lost(
        self, tx: Transaction, row: Any, new: str, token: str | None, version: int | None
    ) -> Literal["won before"]:
        columns = ", ".join([self.state, self.token or "NULL", self.version or "NULL"])
        sql = f"SELECT {columns} FROM {self.table} WHERE {self.key} = :row {{for_update}}"  # noqa: S608 - identifiers were checked
        found = await tx.fetch_one(sql, row=row)
        if found is None:
            raise StaleState(f"{self.table}: there is no row {row!r}", None)
        state, by, now_version = found
        same_version = version is None or now_version == version + 1
        if state == new and token is not None and by == token and same_version:
            return "won before"
        raise StaleState(f"{self.table}: row {row!r} stands at {state!r} by now", state)

    def _check_moves(self) -> None:
        for old, news in self.moves.items():
            if old in news:
                raise DefinitionError(f"{self.table}: a move joins two different states, not {old!r} with itself")
        if self.version is None and any(self._comes_back(state) for state in self.moves):
            raise DefinitionError(f"{self.table}: rows can come back to a state: name a version column")

    def _comes_back(self, start: str) -> bool:
        return start in set(self._reached(start))

    def _reached(self, start: str) -> Iterator[str]:
        waiting = list(self.moves.get(start, ()))
        seen: set[str] = set()
        while waiting:
            state = waiting.pop()
            if state not in seen:
                seen.add(state)
                yield state
                waiting.extend(self.moves.get(state, ()))


def _check_identifier(name: str | None) -> None:
    if name is not None and not _IDENTIFIER.fullmatch(name):
        raise DefinitionError(f"{name!r} is not a plain SQL identifier")
