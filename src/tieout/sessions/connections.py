"""An App's own transactions on plain connections, from a pool of psycopg's or a function of the user's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, get_type_hints

from tieout.errors import ConfigError, DatabaseUnavailable
from tieout.sessions.dbapi import DbapiTransaction
from tieout.sessions.failures import from_commit
from tieout.sessions.standby import Standby


class ConnectionSessions:
    """Takes a connection for each transaction; steps are given the connection.

    `adapt` makes a connection the transaction that its driver needs. What a pool gave goes back to it, every other
    connection is closed.
    """

    blocking = True

    def __init__(self, source: Any, given: type, adapt: Callable[[Any], DbapiTransaction]) -> None:
        self.given: type = given
        self._adapt = adapt
        self._take: Callable[[], Any] = getattr(source, "getconn", source)
        self._give_back: Callable[[Any], Any] = getattr(source, "putconn", _close)

    async def begin(self) -> ConnectionTransaction:
        """A transaction that has begun; raise a `DatabaseError`, or `ConfigError` for what is no such connection."""
        try:
            connection = self._take()
        except Exception as error:
            raise DatabaseUnavailable(f"begin: {error or type(error).__name__}") from error
        if not isinstance(connection, self.given):
            raise ConfigError(f"session= has given a {type(connection).__name__}, and not a {self.given.__name__}")
        own = ConnectionTransaction(self._adapt(connection), self._give_back)
        try:
            own.begin()
        except Exception as error:
            await own.roll_back(interrupted=True)
            raise own.tx.failure(error, "begin") from error
        return own


class ConnectionTransaction:
    """A connection's transaction, begun and ended by us."""

    def __init__(self, tx: DbapiTransaction, give_back: Callable[[Any], Any]) -> None:
        self.tx = tx
        self._give_back = give_back
        self._standby = Standby()

    def begin(self) -> None:
        """Begin; raise what the driver raises."""
        self.tx.begin()
        self._standby.listen(self.tx.user)

    async def settle(self) -> None:
        """Raise what stands against a commit."""
        self.tx.check()
        await self.tx.flush()

    async def commit(self) -> None:
        """Commit and give the connection back; raise `CommitUnknown` when nobody knows whether that was done."""
        try:
            self.tx.commit()
        except BaseException as error:
            await self.roll_back(interrupted=True)
            if not isinstance(error, Exception):
                raise
            raise from_commit(self.tx.dialect, error) from error
        self._end(clean=True)
        self._standby.check()

    async def roll_back(self, *, interrupted: bool) -> None:
        """Undo all, and give the connection back; close it when it may be in the middle of something."""
        if not interrupted:
            try:
                self.tx.roll_back()
            except Exception:  # noqa: BLE001 - the server rolls back when it sees that the connection is gone
                interrupted = True
        self._end(clean=not interrupted)

    def _end(self, *, clean: bool) -> None:
        self._standby.stop()
        self.tx.end()
        try:
            if clean:
                self.tx.free()
            else:
                _close(self.tx.user)
            self._give_back(self.tx.user)
        except Exception:  # noqa: BLE001 - it was closed already, or is now
            _close(self.tx.user)


def given_by(source: Any) -> type | None:
    """What a pool or a function gives, as far as it says so: by its class, its owner, or its return annotation."""
    pooled = getattr(source, "connection_class", None)
    if isinstance(pooled, type):
        return pooled
    function = getattr(source, "func", source)
    for kind in (function, getattr(function, "__self__", None)):
        if isinstance(kind, type):
            return kind
    try:
        hint = get_type_hints(function).get("return")
    except (NameError, TypeError):
        return None
    return hint if isinstance(hint, type) else None


def _close(connection: Any) -> None:
    with suppress(Exception):  # there was nothing left to close
        connection.close()
