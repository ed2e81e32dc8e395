"""The servers that statements are interleaved on, each with one empty database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.servers import mariadb, postgres
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres

SERVERS: Mapping[str, Callable[[], Postgres | MariaDB]] = {
    "postgres": lambda: Postgres(**postgres.FAST, deadlock_timeout="20ms"),
    "mysql": lambda: MariaDB(**mariadb.FAST),
}


@contextmanager
def a_database(dialect: str) -> Iterator[str]:
    """The URL of an empty database on a server of its own."""
    server = SERVERS[dialect]()
    try:
        server.create()
        yield server.url(server.database())
    finally:
        server.remove()
