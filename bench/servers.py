"""Private servers for benchmarks, as durable as in production, which can count the statements and commits of a side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres

COUNTED = 200
"""Requests of the run in which the server counts."""

_WRITES = "query ~* '^\\s*(insert|update)'"


class CountingPostgres:
    """PostgreSQL with fsync on; it counts through pg_stat_statements, which is off while rates are measured."""

    name = dialect = "postgres"

    def __init__(self) -> None:
        self.server = Postgres(shared_preload_libraries="pg_stat_statements")

    def url(self, **options: object) -> str:
        return self.server.url(**options)

    @property
    def address(self) -> tuple[object, ...]:
        """Host, port, user and database, as the floors are given them."""
        return ("127.0.0.1", self.server.port, "u", "postgres")

    def settle(self) -> None:
        """Let no work of what came before fall into what is measured next."""
        self.server.psql("VACUUM ANALYZE")
        self.server.psql("CHECKPOINT")

    def count(self, side: Callable[[int], object]) -> dict[str, float]:
        """The writes and commits of one request, over a short run of a side."""
        self.server.psql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        self.server.psql("ALTER SYSTEM SET pg_stat_statements.track = 'top'")
        self.server.psql("SELECT pg_reload_conf()")
        self.server.psql("SELECT pg_stat_statements_reset()")
        side(COUNTED)
        total = "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements WHERE"
        written = float(self.server.psql(f"{total} {_WRITES}"))
        commits = float(self.server.psql(f"{total} query = 'COMMIT'"))
        self.server.psql("ALTER SYSTEM SET pg_stat_statements.track = 'none'")
        self.server.psql("SELECT pg_reload_conf()")
        return {"statements": written / COUNTED, "commits": commits / COUNTED}


class CountingMariaDB:
    """MariaDB that flushes at every commit; it counts with its status variables, which are always on."""

    name, dialect = "mariadb", "mysql"

    def __init__(self) -> None:
        self.server = MariaDB(innodb_flush_log_at_trx_commit="1", innodb_buffer_pool_size="256M")

    def url(self, **options: object) -> str:
        return self.server.url("bench", **options)

    @property
    def address(self) -> tuple[object, ...]:
        """Host, port, user and database, as the floors are given them."""
        return ("127.0.0.1", self.server.port, "u", "bench")

    def settle(self) -> None:
        """Let no work of what came before fall into what is measured next."""
        self.server.sql("FLUSH TABLES")

    def count(self, side: Callable[[int], object]) -> dict[str, float]:
        """The writes and commits of one request, over a short run of a side."""
        before = self._counters()
        side(COUNTED)
        after = self._counters()
        seen = {name: after[name] - before[name] for name in after}
        return {"statements": (seen["insert"] + seen["update"]) / COUNTED, "commits": seen["commit"] / COUNTED}

    def _counters(self) -> dict[str, int]:
        rows = self.server.sql("SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_insert', 'Com_update', 'Com_commit')")
        return {name.removeprefix("Com_").lower(): int(value) for name, value in map(str.split, rows.splitlines())}


Counting = CountingPostgres | CountingMariaDB


@contextmanager
def running(counting: Counting) -> Iterator[Counting]:
    """The server, created and removed."""
    counting.server.create()
    try:
        if isinstance(counting, CountingMariaDB):
            counting.server.sql("CREATE DATABASE bench")
        yield counting
    finally:
        counting.server.remove()
