"""An App's own transactions in sessions of SQLAlchemy's, made by the user's `sessionmaker` or `async_sessionmaker`."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy.orm import Session

from tieout.errors import UsageError
from tieout.sessions.failures import from_commit
from tieout.sessions.sqlalchemy import AsyncSqlalchemyTransaction, SqlalchemyTransaction, begin_at_server
from tieout.sessions.sqlalchemy_locks import free_with
from tieout.sessions.standby import Standby


class SqlalchemySessions:
    """Makes a session for each transaction; steps are given the session."""

    def __init__(self, maker: Any) -> None:
        self.given: type = maker.class_
        self.blocking = issubclass(self.given, Session)
        self._maker = maker

    async def begin(self) -> SessionTransaction:
        """A transaction that has begun, here and at the server."""
        own = SessionTransaction(self._maker())
        try:
            await own.tx.call(own.begin)
        except BaseException as error:
            await own.roll_back(interrupted=not isinstance(error, Exception))
            if isinstance(error, Exception) and not isinstance(error, UsageError):
                raise own.tx.failure(error, "begin") from error
            raise
        return own


class SessionTransaction:
    """A session's transaction, begun and ended by us."""

    def __init__(self, session: Any) -> None:
        self._session: Session = session if isinstance(session, Session) else session.sync_session
        kind = SqlalchemyTransaction if self._session is session else AsyncSqlalchemyTransaction
        self.tx = kind(session, self._session)
        self._root: Any = None
        self._standby = Standby()

    def begin(self) -> None:
        """Begin; in SQLite with the write lock, since who asks for it later may wait in vain."""
        self._root = self._session.begin()
        self.tx.learn()
        connection = self.tx.connection()
        begin_at_server(connection, "BEGIN IMMEDIATE")
        if self.tx.dialect == "mysql":
            free_with(connection)
        self._standby.listen(connection.connection.driver_connection)

    async def settle(self) -> None:
        """Send what is left to be sent; raise what stands against a commit."""
        self.tx.check()
        await self.tx.flush()
        if self._session.get_transaction() is not self._root:
            raise UsageError("a step has committed or rolled back its session: that is the App's to do")

    async def commit(self) -> None:
        """Commit and give the connection back; raise `CommitUnknown` when nobody knows whether that was done."""
        try:
            await self.tx.call(self._session.commit)
        except BaseException as error:
            await self.roll_back(interrupted=True)
            if not isinstance(error, Exception):
                raise
            raise from_commit(self.tx.dialect, getattr(error, "orig", None) or error) from error
        await self.roll_back(interrupted=False)
        self._standby.check()

    async def roll_back(self, *, interrupted: bool) -> None:
        """Undo what is not committed and give the connection back, also on behalf of who is cancelled meanwhile."""
        self._standby.stop()
        self.tx.end()
        closing = self.tx.call(self._close)
        await (closing if self.tx.blocking else asyncio.shield(asyncio.ensure_future(closing)))

    def _close(self) -> None:
        try:
            self._session.close()
        except Exception:  # noqa: BLE001 - the server rolls back when it sees that the connection is gone
            self._session.invalidate()
