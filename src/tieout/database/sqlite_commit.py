"""Group commit on one SQLite connection: many transactions, each undone alone if it fails, and one COMMIT for all."""

from __future__ import annotations

import contextvars
import sqlite3
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tieout.database.sqlite_errors import from_sqlite
from tieout.database.sqlite_session import Hook, Session, SqliteTransaction, drive
from tieout.errors import CommitUnknown, DatabaseError, DatabaseUnavailable, RetryTransaction

BATCH_MEMBERS = 256
"""Most transactions that share one commit: bounds how much one failed commit takes back."""

BATCH_SECONDS = 0.05
"""Longest time that transactions are added to a commit: bounds how long the first of them waits for it."""

_CERTAIN = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_READONLY}
"""Codes of a failed COMMIT after which nothing can come to light later: its last page was never written."""


class Member:
    """One transaction of a batch: its work, then its value or its error."""

    __slots__ = ("context", "error", "reading", "value", "work")

    def __init__(
        self, work: Callable[[Any], Any], context: contextvars.Context | None = None, *, reading: bool = False
    ) -> None:
        self.work = work
        self.reading = reading
        self.context = context
        self.value: Any = None
        self.error: BaseException | None = None

    def run(self, tx: SqliteTransaction) -> None:
        """Run the work to its end, as in its caller's context; what it raises becomes its error."""
        try:
            if self.context is None:
                self.value = drive(self.work, tx)
            else:
                self.value = self.context.run(drive, self.work, tx)
            self.error = tx.error
        except BaseException as error:  # noqa: BLE001 - also an exit raised by user code is its caller's
            self.error = error
        tx.end()


M = TypeVar("M", bound=Member)


class Committer:
    """Commits batches on a session that it alone uses."""

    def __init__(self, session: Session, hook: Hook | None = None) -> None:
        self.commits = 0
        self._session = session
        self._run = session.run
        self._hook = hook
        self._alone = 0
        self._broken: str = ""

    def serve(self, following: Callable[[], M | None]) -> list[M]:
        """Run the members that `following` gives until it has none or the batch is full, and commit them.

        Returns the members, each with its value, then durable, or its error.
        """
        try:
            self._begin()
        except (sqlite3.Error, DatabaseError) as error:
            return self._refused(following, error)
        members: list[M] = []
        done: list[M] = []
        try:
            self._run_members(following, members, done)
            self._commit(done)
        except BaseException as error:  # noqa: BLE001 - members must hear of it: nobody else would
            self._roll_back()
            _fail([member for member in members if member.error is None], error)
        return members

    def _run_members(self, following: Callable[[], M | None], members: list[M], done: list[M]) -> None:
        most = self._size()
        ends = time.monotonic() + BATCH_SECONDS
        while (member := following()) is not None:
            members.append(member)
            if self._add(member, shared=bool(done)):
                done.append(member)
            elif not self._session.connection.in_transaction:
                _fail(done, member.error)
                done.clear()
                return
            if len(members) >= most or time.monotonic() >= ends:
                return

    def _begin(self) -> None:
        if self._broken:
            raise DatabaseUnavailable(self._broken)
        self._session.begin()

    def _size(self) -> int:
        if not self._alone:
            return BATCH_MEMBERS
        self._alone -= 1
        return 1

    def _refused(self, following: Callable[[], M | None], error: Exception) -> list[M]:
        members: list[M] = []
        while (member := following()) is not None:
            member.error = from_sqlite(error, "begin") if isinstance(error, sqlite3.Error) else error
            members.append(member)
        return members

    def _add(self, member: Member, *, shared: bool) -> bool:
        # The first of a batch needs no savepoint: nothing else is undone with it.
        if shared:
            self._run("SAVEPOINT member")
        if member.reading:
            self._run("PRAGMA query_only = ON")
        member.run(SqliteTransaction(self._session, self._hook, reading=member.reading))
        if member.reading:
            self._run("PRAGMA query_only = OFF")
        if member.error is not None:
            self._undo(shared=shared)
            return False
        if shared:
            self._run("RELEASE member")
        return True

    def _undo(self, *, shared: bool) -> None:
        # Some errors make SQLite end the whole transaction: then there is nothing to go back to.
        if not self._session.connection.in_transaction:
            return
        try:
            if shared:
                self._run("ROLLBACK TO member")
                self._run("RELEASE member")
            else:
                self._run("ROLLBACK")
        except sqlite3.Error:
            self._roll_back()

    def _commit(self, done: Sequence[Member]) -> None:
        if not done:
            self._roll_back()
            return
        if self._hook:
            self._hook("commit")
        try:
            self._run("COMMIT")
        except sqlite3.Error as error:
            self._commit_failed(done, error)
            return
        self.commits += 1
        if self._hook:
            self._hook("committed")

    def _commit_failed(self, done: Sequence[Member], error: sqlite3.Error) -> None:
        self._roll_back()
        code = error.sqlite_errorcode & 0xFF
        if code not in _CERTAIN:
            # After a failed flush nobody knows what the disk holds, and a second one may lie.
            self._broken = f"the database file failed: {error}; open it again"
            _fail(done, CommitUnknown(f"the commit failed: {error}", error.sqlite_errorname))
        elif code == sqlite3.SQLITE_CONSTRAINT and len(done) > 1:
            # A deferred constraint does not say whose it is: run alone, the next ones find out.
            self._alone = 2 * len(done)
            _fail(done, RetryTransaction("a transaction in the same commit broke a deferred constraint"))
        else:
            _fail(done, from_sqlite(error, "commit"))

    def _roll_back(self) -> None:
        if not self._session.connection.in_transaction:
            return
        try:
            self._run("ROLLBACK")
        except sqlite3.Error as error:
            self._broken = f"the database file failed: {error}; open it again"


def _fail(members: Sequence[Member], error: BaseException | None) -> None:
    """Give members that had succeeded the error, each its own copy where it is of the database."""
    if isinstance(error, sqlite3.Error):
        error = from_sqlite(error)
    for member in members:
        member.error = type(error)(str(error), error.sqlstate) if isinstance(error, DatabaseError) else error
