"""`connect`: the database that a URL names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tieout.contracts import Database
from tieout.database.blocking_sqlite import SqliteInThreads
from tieout.database.sqlite import InlineDatabase, SqliteDatabase, microseconds
from tieout.database.sqlite_session import Hook
from tieout.errors import ConfigError

SCHEMES = (
    "sqlite:///relative.db, sqlite:////absolute.db, sqlite://, postgresql://user@host:port/name,"
    " mysql://user@host:port/name"
)


def connect(
    url: str,
    *,
    blocking: bool = False,
    inline: bool = False,
    clock: Callable[[], int] = microseconds,
    hook: Hook | None = None,
) -> Database:
    """The database at `url`, not yet open; raise `ConfigError` when the URL is wrong or an extra is not installed.

    `blocking` gives one for threads, whose awaits never suspend: see `tieout.database.driving`.
    `inline`, `clock` (microseconds since 1970) and `hook` are for tests on SQLite: no threads, other time, crashes.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        kind = InlineDatabase if inline else SqliteInThreads if blocking else SqliteDatabase
        return kind(sqlite_path(url), clock, hook)
    if scheme in {"postgresql", "postgres"}:
        return _blocking_postgres(url) if blocking else _postgres(url)
    if scheme in {"mysql", "mariadb"}:
        return _blocking_mysql(url) if blocking else _mysql(url)
    raise ConfigError(f"a database URL is one of {SCHEMES}; not {scheme}:…")


def sqlite_path(url: str) -> Path | None:
    """The file that a SQLite URL names; None for a database in memory."""
    parts = urlsplit(url)
    if not url.startswith("sqlite://") or parts.netloc or parts.query or parts.fragment:
        raise ConfigError("a SQLite URL is sqlite:///relative.db or sqlite:////absolute.db, without host or options")
    path = unquote(parts.path)[1:]
    return Path(path) if path not in {"", ":memory:"} else None


def _postgres(url: str) -> Database:
    try:
        from tieout.database.postgres_wire import PostgresOnLoop
    except ModuleNotFoundError as error:
        raise ConfigError("PostgreSQL needs its driver: pip install tieout[postgres]") from error
    return PostgresOnLoop(url)


def _blocking_postgres(url: str) -> Database:
    try:
        from tieout.database.blocking_postgres import PostgresInThreads
    except ModuleNotFoundError as error:
        raise ConfigError("PostgreSQL without an event loop needs psycopg: pip install tieout[psycopg]") from error
    return PostgresInThreads(url)


def _mysql(url: str) -> Database:
    try:
        from tieout.database.mysql_wire import MySqlOnLoop
    except ModuleNotFoundError as error:
        raise ConfigError("MySQL and MariaDB need their driver: pip install tieout[mysql]") from error
    return MySqlOnLoop(url)


def _blocking_mysql(url: str) -> Database:
    try:
        from tieout.database.blocking_mysql import MySqlInThreads
    except ModuleNotFoundError as error:
        raise ConfigError("MySQL and MariaDB need their driver: pip install tieout[mysql]") from error
    return MySqlInThreads(url)
