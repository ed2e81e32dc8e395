"""Where a run keeps things: a folder, and a database for each of the two services."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from tieout import ConfigError

SERVERS = ("postgresql://", "mysql://")
"""How URLs begin of servers where the demo can make its databases."""


class Places(NamedTuple):
    """`mall_db` and `prizes_db` are a file's path or a server's URL; `server` is where to drop databases."""

    folder: Path
    mall_db: str
    prizes_db: str
    server: str = ""

    @property
    def mall_url(self) -> str:
        """The mall's database as tieout names it."""
        return self.mall_db if self.server else f"sqlite:///{self.mall_db}"

    @property
    def client_log(self) -> Path:
        return self.folder / "clients.jsonl"

    @property
    def conflict_log(self) -> Path:
        """Where the prize service writes its contradictions; the mall is not told of it."""
        return self.folder / "prizes" / "conflicts.jsonl"


async def make_places(db: str) -> Places:
    """A new folder, and two new databases: files in it, or on the server of a URL."""
    if db and db != "sqlite" and not db.startswith(SERVERS):
        raise ConfigError(f"--db is sqlite, or {' or '.join(SERVERS)}user@host:port/database, not {db!r}")
    folder = Path(tempfile.mkdtemp(prefix="tieout-demo-"))
    (folder / "prizes").mkdir()
    if not db.startswith(SERVERS):
        return Places(folder, str(folder / "mall.db"), str(folder / "prizes" / "prizes.db"))
    mark = secrets.token_hex(4)
    names = [f"tieout_demo_mall_{mark}", f"tieout_demo_prizes_{mark}"]
    try:
        await _command(db, [f"CREATE DATABASE {name}" for name in names])
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    mall, prizes = (urlunsplit(urlsplit(db)._replace(path=f"/{name}")) for name in names)
    return Places(folder, mall, prizes, db)


async def clear_places(places: Places) -> None:
    """Remove all of it."""
    if places.server:
        names = [urlsplit(url).path[1:] for url in (places.mall_db, places.prizes_db)]
        force = " WITH (FORCE)" if places.server.startswith("postgresql://") else ""
        await _command(places.server, [f"DROP DATABASE IF EXISTS {name}{force}" for name in names])
    shutil.rmtree(places.folder, ignore_errors=True)


async def _command(server: str, statements: list[str]) -> None:
    run = _on_postgres if server.startswith("postgresql://") else _on_mysql
    try:
        await run(server, statements)
    except ImportError as error:
        extra = "postgres" if run is _on_postgres else "mysql"
        raise ConfigError(f"the demo needs {error.name}: pip install 'tieout[demo,{extra}]'") from error


async def _on_postgres(server: str, statements: list[str]) -> None:
    import asyncpg

    try:
        connection = await asyncpg.connect(server, timeout=10)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise _cannot(error) from error


async def _on_mysql(server: str, statements: list[str]) -> None:
    import asyncmy
    from asyncmy.errors import MySQLError

    at = urlsplit(server)
    place = {"host": at.hostname, "port": at.port or 3306, "user": at.username, "password": at.password or ""}
    try:
        connection = await asyncmy.connect(**place, connect_timeout=10)
        try:
            async with connection.cursor() as cursor:
                for statement in statements:
                    await cursor.execute(statement)
        finally:
            await connection.ensure_closed()
    except (OSError, MySQLError, TimeoutError) as error:
        raise _cannot(error) from error


def _cannot(error: Exception) -> ConfigError:
    return ConfigError(f"cannot create the demo's databases: {error}")
