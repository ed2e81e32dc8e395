"""Which adapter a user's transaction needs: found by the modules that its class comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tieout.contracts import Database, Transaction
from tieout.errors import ConfigError, UsageError
from tieout.sessions.connections import ConnectionSessions, given_by
from tieout.sessions.database import SessionDatabase, Sessions
from tieout.sessions.dbapi import DbapiTransaction
from tieout.sessions.joined import Joined

_ACCEPTED = (
    "a session or connection of SQLAlchemy's, a connection of asyncpg, psycopg 3, PyMySQL or sqlite3, or Django's "
    "connection inside `atomic`"
)


async def join(tx: Any, dialect: str, given: type | None, *, blocking: bool) -> Transaction:
    """A user's open transaction as tieout's; one of tieout's own as it is.

    `dialect` is that of the App's database, `given` what its steps are given where that is not tieout's own, and
    `blocking` its colour. Raise `UsageError` for what does not fit them or is no open transaction.
    """
    if isinstance(tx, Joined) or type(tx).__module__.startswith("tieout."):
        return _own(tx, given)
    joined = _adapted(tx)
    if joined.blocking is not blocking:
        wanted, colour = ("tieout.blocking.App", "blocks") if joined.blocking else ("tieout.App", "needs an event loop")
        raise UsageError(f"a {type(tx).__name__} {colour}: join it with {wanted}")
    if given is not None and not isinstance(joined.user, given):
        raise UsageError(f"the steps of this App are given a {given.__name__}: give one, not a {type(tx).__name__}")
    await joined.check_open()
    if joined.dialect != dialect:
        raise UsageError(f"this App's database is {dialect}: a process cannot join a transaction on {joined.dialect}")
    return joined


def in_sessions(native: Database, session: Any, *, blocking: bool) -> SessionDatabase:
    """The database whose transactions run in sessions of `session`; raise `ConfigError` for one that does not fit.

    `session` is SQLAlchemy's `async_sessionmaker` or `sessionmaker`, Django's `transaction.atomic`, psycopg's
    `ConnectionPool`, or a function that returns a new connection of psycopg's, PyMySQL's or sqlite3's.
    """
    try:
        sessions = _sessions(session)
    except ModuleNotFoundError as error:
        raise ConfigError(f"session= needs the module {error.name}") from error
    if sessions.blocking is not blocking:
        wanted = "tieout.blocking.App" if sessions.blocking else "tieout.App"
        raise ConfigError(f"the sessions of session= are those of {wanted}")
    return SessionDatabase(native, sessions)


def _sessions(session: Any) -> Sessions:
    function = getattr(session, "func", session)
    if "sqlalchemy" in _homes(session) and hasattr(session, "class_"):
        from tieout.sessions.sqlalchemy_sessions import SqlalchemySessions

        return SqlalchemySessions(session)
    if getattr(function, "__module__", "") == "django.db.transaction" and callable(session):
        from tieout.sessions.django import DjangoSessions

        return DjangoSessions(session)
    if adapter := _connection_adapter(given := given_by(session)):
        return ConnectionSessions(session, given or object, adapter)
    raise ConfigError(
        "session= takes SQLAlchemy's async_sessionmaker or sessionmaker, Django's transaction.atomic, psycopg's "
        "ConnectionPool, or a function such as partial(psycopg.connect, …), whose return annotation says what it gives"
    )


def _connection_adapter(given: type | None) -> Callable[[Any], DbapiTransaction] | None:
    """What makes connections of this class transactions, if it is a class of a blocking driver's."""
    homes = _homes_of(given) if given else set()
    if "psycopg" in homes:
        import psycopg

        from tieout.sessions.psycopg import PsycopgTransaction

        return PsycopgTransaction if issubclass(given or object, psycopg.Connection) else None
    if "pymysql" in homes:
        from tieout.sessions.mysql import MysqlTransaction

        return MysqlTransaction
    if "sqlite3" in homes:
        from tieout.sessions.sqlite import SqliteTransaction

        return SqliteTransaction
    return None


def _homes(thing: Any) -> set[str]:
    """The top-level modules that a thing's class and what it inherits from are defined in."""
    return _homes_of(type(thing))


def _homes_of(given: type) -> set[str]:
    return {kind.__module__.partition(".")[0] for kind in given.__mro__}


def _own(tx: Any, given: type | None) -> Transaction:
    if given is not None and not isinstance(getattr(tx, "user", None), given):
        raise UsageError(f"the steps of this App are given a {given.__name__}: give one as tx")
    transaction: Transaction = tx
    return transaction


def _adapted(tx: Any) -> Joined:
    """The adapter over it, for its class or for one that this inherits from."""
    try:
        return _from(_homes(tx), tx)
    except ModuleNotFoundError as error:
        raise ConfigError(f"joining a {type(tx).__name__} needs the module {error.name}") from error


def _from(homes: set[str], tx: Any) -> Joined:
    if "sqlalchemy" in homes:
        from tieout.sessions.sqlalchemy import transaction_of

        return transaction_of(tx)
    if "django" in homes:
        from tieout.sessions.django import DjangoTransaction

        return DjangoTransaction(tx)
    if "asyncpg" in homes and hasattr(tx, "is_in_transaction"):
        from tieout.sessions.asyncpg import AsyncpgTransaction

        return AsyncpgTransaction(tx)
    if "psycopg" in homes:
        from tieout.sessions.psycopg import transaction_of as of_psycopg

        return of_psycopg(tx)
    if "pymysql" in homes and hasattr(tx, "server_status"):
        from tieout.sessions.mysql import MysqlTransaction

        return MysqlTransaction(tx)
    if "sqlite3" in homes and hasattr(tx, "in_transaction"):
        from tieout.sessions.sqlite import SqliteTransaction

        return SqliteTransaction(tx)
    raise UsageError(f"tx= takes {_ACCEPTED}; not a {type(tx).__name__}")
