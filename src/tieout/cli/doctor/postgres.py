"""What makes a PostgreSQL server lose data or stall: its settings, its standbys, its connections."""

from __future__ import annotations

from typing import NamedTuple

from tieout.app import App
from tieout.cli.doctor.finding import Check, Finding
from tieout.cli.printing import age
from tieout.contracts import Row, Transaction
from tieout.errors import DatabaseError

_SETTING = "SELECT setting FROM pg_settings WHERE name = :name"

# Who receives the log for something else than a copy of the whole server, such as change capture, is no standby.
_STANDBYS = """
SELECT application_name AS name, sync_state AS state
FROM pg_stat_replication
WHERE state IS DISTINCT FROM 'backup'
    AND pid NOT IN (SELECT active_pid FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid IS NOT NULL)
"""

_CONNECTIONS = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS server,
    (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role,
    (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database
"""

_OLD_TRANSACTIONS = """
SELECT count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle,
    count(*) FILTER (WHERE state = 'active') AS active,
    (SELECT count(*) FROM pg_prepared_xacts WHERE prepared < statement_timestamp() - :age * interval '1 second')
        AS prepared
FROM pg_stat_activity
WHERE backend_type = 'client backend' AND xact_start < statement_timestamp() - :age * interval '1 second'
"""

_NO_EPOCH = {"42501", "42883", "42601", "0A000"}
"""What a server answers that does not let this user know, or only speaks PostgreSQL's protocol."""

_EPOCH = "SELECT system_identifier FROM pg_control_system()"

OLD = 600
"""Seconds after which a transaction that is open keeps dead rows from being removed long enough to slow the sweep."""


class Connections(NamedTuple):
    """Connections: those in use, and the limits of server, role and database (-1: none)."""

    used: int
    server: int
    role: int
    database: int

    @property
    def free(self) -> int:
        """How many more may be opened, as far as these limits go."""
        limits = [limit for limit in (self.server, self.role, self.database) if limit >= 0]
        return max(0, min(limits) - self.used)


async def postgres_fsync(app: App) -> Finding:
    """Whether what is written reaches the disk."""
    return must_be_on("fsync", await _setting(app, "fsync"), "a crash of the machine loses or corrupts the database")


async def postgres_full_page_writes(app: App) -> Finding:
    """Whether pages that were half written in a crash can be repaired."""
    return must_be_on(
        "full_page_writes", await _setting(app, "full_page_writes"), "a crash in the middle of a write corrupts pages"
    )


async def postgres_synchronous_commit(app: App) -> Finding:
    """Whether a commit that was acknowledged survives."""
    names = await _setting(app, "synchronous_standby_names")
    return judge_commit(await _setting(app, "synchronous_commit"), has_names=bool(names))


async def postgres_standby(app: App) -> Finding:
    """Whether another server has every commit before it is acknowledged."""

    async def work(tx: Transaction) -> list[Row]:
        return list(await tx.fetch(_STANDBYS))

    names = await _setting(app, "synchronous_standby_names")
    return judge_standbys(names, [row["state"] for row in await app.database.read(work)])


async def postgres_connections(app: App) -> Finding:
    """Whether this pool fits into what the server grants."""

    async def work(tx: Transaction) -> Connections:
        row = await tx.fetch_one(_CONNECTIONS)
        return Connections(0, 0, 0, 0) if row is None else Connections(*row)

    from tieout.database.postgres import PostgresDatabase

    connections = await app.database.read(work)
    pool = app.database.pool_limit if isinstance(app.database, PostgresDatabase) else 0
    return judge_connections(connections, pool)


async def postgres_transactions(app: App) -> Finding:
    """Whether somebody has a transaction open for so long that the sweep gets slow."""

    async def work(tx: Transaction) -> tuple[int, int, int]:
        row = await tx.fetch_one(_OLD_TRANSACTIONS, age=OLD)
        return (0, 0, 0) if row is None else (row["idle"], row["active"], row["prepared"])

    return judge_transactions(*await app.database.read(work))


async def postgres_encoding(app: App) -> Finding:
    """Whether the database can store every key and param."""
    encoding = await _setting(app, "server_encoding")
    if encoding == "UTF8":
        return Finding("postgres-encoding", "ok", "UTF8")
    mend = "make the database anew with ENCODING 'UTF8': others refuse some keys and params"
    return Finding("postgres-encoding", "wrong", encoding, mend)


async def postgres_epoch(app: App) -> Finding:
    """Whether an abandoned primary would be noticed."""

    async def work(tx: Transaction) -> bool:
        return await tx.fetch_one(_EPOCH) is not None

    try:
        await app.database.read(work)
    except DatabaseError as error:
        if error.sqlstate not in _NO_EPOCH:
            raise
        mend = "GRANT EXECUTE ON FUNCTION pg_control_system() TO the user of the URL"
        return Finding("postgres-epoch", "note", "this server does not tell its epoch", mend)
    return Finding("postgres-epoch", "ok", "an abandoned primary would be refused")


def must_be_on(name: str, value: str, otherwise: str) -> Finding:
    """The verdict on a setting that has to be on."""
    check = f"postgres-{name.replace('_', '-')}"
    if value == "on":
        return Finding(check, "ok", f"{name} is on")
    return Finding(check, "wrong", f"{name} is {value}: {otherwise}", f"ALTER SYSTEM SET {name} = on; then reload")


def judge_commit(value: str, *, has_names: bool) -> Finding:
    """The verdict on synchronous_commit, on a server with or without names of synchronous standbys."""
    name, found = "postgres-synchronous-commit", f"synchronous_commit is {value}"
    mend = "set it to on, for the server (ALTER SYSTEM), the database or the user"
    if value == "off":
        return Finding(name, "wrong", f"{found}: accepted requests are lost in a crash", mend)
    if value in {"local", "remote_write"} and has_names:
        return Finding(name, "wrong", f"{found}: a failover may lose accepted requests", mend)
    return Finding(name, "ok", found)


def judge_standbys(names: str, states: list[str | None]) -> Finding:
    """The verdict on synchronous_standby_names and the states of the standbys that are connected."""
    name = "postgres-standby"
    follow = f"{len(states)} follow" if states else "none follows"
    if None in states:
        mend = "GRANT pg_monitor TO the user of the URL, to see their state"
        return Finding(name, "note", f"standbys: {follow}, in what way is not shown to this user", mend)
    if any(state in {"sync", "quorum"} for state in states):
        return Finding(name, "ok", f"standbys: {follow}, synchronously as {names!r} says")
    if names:
        mend = "start a standby that synchronous_standby_names names: until then every commit waits"
        return Finding(name, "wrong", f"standbys: {follow}, and {names!r} asks for a synchronous one", mend)
    if states:
        mend = "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (name, …)'; then reload"
        return Finding(
            name, "wrong", f"standbys: {follow}, none synchronously: a failover loses the last commits", mend
        )
    return Finding(name, "note", "standbys: none; this server's disk holds the only copy")


def judge_connections(connections: Connections, pool: int) -> Finding:
    """The verdict on a pool of so many connections on this server."""
    free = connections.free
    found = f"a pool takes up to {pool}; {connections.used} in use, {free} free"
    if pool <= free:
        return Finding("postgres-connections", "ok", f"{found}: {free // max(pool, 1)} more such workers fit")
    mend = "lower ?pool= in the URL, close what is not needed, or raise max_connections"
    return Finding("postgres-connections", "wrong", found, mend)


def judge_transactions(idle: int, active: int, prepared: int) -> Finding:
    """The verdict on transactions that have been open for long."""
    name, old = "postgres-transactions", age(OLD * 1_000_000)
    if idle or prepared:
        found = f"open for more than {old}: {idle} idle, {active} active, {prepared} prepared"
        mend = "end them (pg_stat_activity, pg_prepared_xacts): they keep locks, and dead rows that slow the sweep"
        return Finding(name, "wrong", found, mend)
    if active:
        return Finding(name, "note", f"{active} active for more than {old}: dead rows stay until they end")
    return Finding(name, "ok", f"none is open for more than {old}")


async def _setting(app: App, name: str) -> str:
    async def work(tx: Transaction) -> str:
        row = await tx.fetch_one(_SETTING, name=name)
        return "" if row is None else str(row[0])

    return await app.database.read(work)


CHECKS: tuple[Check, ...] = (
    postgres_fsync,
    postgres_full_page_writes,
    postgres_synchronous_commit,
    postgres_standby,
    postgres_connections,
    postgres_transactions,
    postgres_encoding,
    postgres_epoch,
)
"""What is looked at on PostgreSQL."""
