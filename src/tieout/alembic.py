"""tieout's tables in a project that keeps its own with Alembic. Needs SQLAlchemy.

In `env.py`, so that autogenerate leaves tieout's tables alone:

    context.configure(..., include_name=tieout.alembic.include_name)

In a revision, so that they come with yours; a later release of tieout that has more of them gets another one:

    def upgrade():
        tieout.alembic.upgrade(op.get_bind(), to=2)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from tieout.contracts import Transaction
from tieout.database.driving import drive
from tieout.database.migrate import migrate
from tieout.database.stepwise import STEPWISE, UNLOCK

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

T = TypeVar("T")

PREFIX = "tieout_"
"""How the names of all of tieout's tables begin."""


def include_name(name: str | None, type_: str, _: Mapping[str, Any]) -> bool:
    """Whether autogenerate may look at this: not at tieout's tables, which are not in your metadata."""
    return not (type_ == "table" and name is not None and name.startswith(PREFIX))


def upgrade(connection: Connection, *, to: int | None = None) -> list[str]:
    """Bring tieout's tables up to its migration number `to`, or to the last; the names of those applied now.

    It goes on from whatever there is, also when `tieout migrate` has been at work; done again, it does nothing. On
    SQLite and PostgreSQL it is part of the transaction that Alembic has open; MySQL commits each change of tables.
    Raise `SchemaMismatch` when the tables are not those of this version, or a `DatabaseError`.
    """
    from tieout.sessions.sqlalchemy import SqlalchemyTransaction, begin_at_server

    tx = SqlalchemyTransaction(connection, connection)
    tx.learn()
    if tx.dialect == "sqlite":
        begin_at_server(connection, "BEGIN IMMEDIATE")
    try:
        return [str(migration) for migration in drive(migrate(_Open(tx), to=to))]
    finally:
        if tx.dialect in STEPWISE and not connection.invalidated:
            while drive(tx.fetch(UNLOCK))[0]["released"]:
                continue


class _Open:
    """A database as far as migrations ask for one: all of it happens in one transaction, which is open."""

    def __init__(self, tx: Any) -> None:
        self.dialect: str = tx.dialect
        self._tx = tx

    async def open(self) -> None:
        return None

    async def close(self) -> None:
        return None

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await work(self._tx)

    async def read(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        return await work(self._tx)

    def stream(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("migrations stream nothing")
