"""Where a demo keeps things: a folder, and databases that are files in it or stand on a server."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from tieout import ConfigError

SERVERS = ("postgresql://", "mysql://")
"""How URLs begin of servers where a demo can make its databases."""


class Ground(NamedTuple):
    """`databases` are files' paths or a server's URLs, by name; `server` is where to drop them."""

    folder: Path
    databases: dict[str, str]
    server: str = ""

    def url(self, name: str) -> str:
        """A database as tieout names it."""
        return self.databases[name] if self.server else f"sqlite:///{self.databases[name]}"


async def make_ground(db: str, files: Mapping[str, str]) -> Ground:
    """A new folder, and a new database for each name: its file in that folder, or one on the server of a URL."""
    if db and db != "sqlite" and not db.startswith(SERVERS):
        raise ConfigError(f"--db is sqlite, or {' or '.join(SERVERS)}user@host:port/database, not {db!r}")
    folder = Path(tempfile.mkdtemp(prefix="tieout-demo-"))
    for file in files.values():
        (folder / file).parent.mkdir(exist_ok=True)
    if not db.startswith(SERVERS):
        return Ground(folder, {name: str(folder / file) for name, file in files.items()})
    mark, at = secrets.token_hex(4), urlsplit(db)
    databases = {name: f"tieout_demo_{name}_{mark}" for name in files}
    try:
        await command(db, [f"CREATE DATABASE {database}" for database in databases.values()])
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Ground(folder, {name: urlunsplit(at._replace(path=f"/{made}")) for name, made in databases.items()}, db)


async def clear_ground(ground: Ground) -> None:
    """Remove all of it."""
    if ground.server:
        names = [urlsplit(url).path[1:] for url in ground.databases.values()]
        force = " WITH (FORCE)" if ground.server.startswith("postgresql://") else ""
        await command(ground.server, [f"DROP DATABASE IF EXISTS {name}{force}" for name in names])
    shutil.rmtree(ground.folder, ignore_errors=True)


async def command(server: str, statements: list[str]) -> None:
    """Run statements on the server or database of a URL, each in a transaction of its own."""
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
