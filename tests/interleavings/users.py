"""Users' own transactions, through SQLAlchemy, whose statements pass a gate too."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.util import await_only

from tests.interleavings.gates import Actor, Wish, changes
from tests.interleavings.trade import Trade
from tieout import App, RetryTransaction
from tieout.sessions import join

DRIVERS = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}

NOTE = text("INSERT INTO note (process, what) VALUES ('t1', 'earlier')")

TRIES = 4
"""How often a user repeats a transaction that the database asks to be repeated."""

SETS_A_MARK = ("SAVEPOINT", "RELEASE")
"""What neither waits for anybody nor lets anybody go on."""


class User:
    """Somebody with an engine and sessions of their own, who acts for one actor at a time."""

    def __init__(self, url: str, isolation: str) -> None:
        scheme, _, rest = url.partition(":")
        self.isolation = isolation
        self.engine = create_async_engine(f"{DRIVERS[scheme]}:{rest}", isolation_level=isolation, pool_size=1)
        self.actor: Actor | None = None
        self._wrote = False
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._statement)
        event.listen(self.engine.sync_engine, "commit", lambda _: self._end(Wish("commit", "COMMIT")))
        event.listen(self.engine.sync_engine, "rollback", lambda _: self._end(Wish("rollback", "ROLLBACK")))

    async def connect(self) -> None:
        """Connect before anybody is watched."""
        async with self.engine.begin() as connection:
            assert await connection.run_sync(lambda opened: opened.get_isolation_level()) == self.isolation

    async def close(self) -> None:
        await self.engine.dispose()

    async def start(self, app: App) -> Any:
        """Write something of one's own, and start a process, in one transaction; again while that is asked for."""
        self.actor = app.database.actor
        try:
            for _ in range(TRIES):
                try:
                    return await self._start(app)
                except RetryTransaction:
                    continue
        finally:
            self.actor = None
        raise AssertionError(f"asked to repeat the transaction more than {TRIES} times")

    async def _start(self, app: App) -> Any:
        async with AsyncSession(self.engine) as session, session.begin():
            await session.execute(NOTE)
            tx = await join(session, app.database.dialect, None, blocking=False)
            return await app.joining.start(Trade(number="t1"), tx)

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(SETS_A_MARK):
            return
        if statement.startswith("ROLLBACK TO"):
            self._pass(Wish("rollback", "ROLLBACK TO"))
            return
        writes = changes(statement)
        self._wrote = self._wrote or writes
        self._pass(Wish("write" if writes else "read", " ".join(statement.split()[:3])))

    def _end(self, wish: Wish) -> None:
        wrote, self._wrote = self._wrote, False
        if wrote:
            self._pass(wish)

    def _pass(self, wish: Wish) -> None:
        if self.actor is not None:
            await_only(self.actor.gate(wish))
