"""Whether commits wait for another server to have them, and since when it runs: what the primary says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from msgspec import Struct

from tieout.contracts import Database, Row, Transaction

_POSTGRES = """
SELECT current_setting('synchronous_standby_names') AS names, current_setting('synchronous_commit') AS commits,
    extract(epoch FROM pg_postmaster_start_time())::bigint AS started
"""

# MySQL says source where MariaDB, and MySQL of old, say master.
_MYSQL_STATUS = """
SHOW GLOBAL STATUS WHERE variable_name IN ('rpl_semi_sync_master_status', 'rpl_semi_sync_source_status')
"""
_MYSQL_UPTIME = "SHOW GLOBAL STATUS WHERE variable_name = 'Uptime'"
_MYSQL_VARIABLES = "SHOW GLOBAL VARIABLES WHERE variable_name LIKE 'rpl_semi_sync_%'"


@runtime_checkable
class Replaceable(Protocol):
    """A database whose server another one may take over from."""

    @property
    def primary(self) -> str:
        """Which server it is now, and which life of it: another text after another server has taken over."""
        ...


class Replication(Struct, frozen=True):
    """Whether the server is set up to wait for another one before it acknowledges a commit, and whether it does."""

    is_wanted: bool
    waits: bool
    found: str


class Primary(Struct, frozen=True):
    """What the primary says of itself. `started` is when its program was, in its own time, in seconds since 1970."""

    replication: Replication
    started: int


async def ask(database: Database) -> Primary:
    """Ask the primary; raise a `DatabaseError` where there is none, or it does not say."""
    return await database.read(_of_postgres if database.dialect == "postgres" else _of_mysql)


async def _of_postgres(tx: Transaction) -> Primary:
    row = await tx.fetch_one(_POSTGRES)
    return Primary(of_postgres(row), 0 if row is None else int(row["started"]))


async def _of_mysql(tx: Transaction) -> Primary:
    uptime, now = await tx.fetch_one(_MYSQL_UPTIME), await tx.fetch_one("SELECT unix_timestamp() AS now")
    started = 0 if uptime is None or now is None else int(now["now"]) - int(uptime[1])
    return Primary(of_semi_sync(await semi_sync(tx)), started)


async def semi_sync(tx: Transaction) -> dict[str, str]:
    """The variables and the status of semi-synchronous replication, by MariaDB's names, in capitals."""
    answers = [*await tx.fetch(_MYSQL_STATUS), *await tx.fetch(_MYSQL_VARIABLES)]
    return {str(row[0]).lower().replace("_source_", "_master_"): str(row[1]).upper() for row in answers}


def of_postgres(row: Row | None) -> Replication:
    """The verdict on synchronous_standby_names and synchronous_commit."""
    names, commits = ("", "") if row is None else (str(row["names"]), str(row["commits"]))
    if not names:
        return Replication(is_wanted=False, waits=False, found="synchronous_standby_names is empty")
    waits = commits in {"on", "remote_apply"}
    return Replication(is_wanted=True, waits=waits, found=f"synchronous_commit is {commits}")


def of_semi_sync(told: Mapping[str, str]) -> Replication:
    """The verdict on the variables and the status of semi-synchronous replication, by MariaDB's names."""
    if told.get("rpl_semi_sync_master_enabled") not in {"ON", "1"}:
        return Replication(is_wanted=False, waits=False, found="semi-synchronous replication is off")
    if told.get("rpl_semi_sync_master_status", "ON") in {"ON", "1"}:
        return Replication(is_wanted=True, waits=True, found="semi-synchronous replication is on")
    found = "semi-synchronous replication has fallen back to asynchronous"
    return Replication(is_wanted=True, waits=False, found=found)


def lapse(before: Replication | None, now: Replication) -> str | None:
    """What is wrong, if commits do not wait for another server though they should, or no longer do; else None."""
    if now.waits or not (now.is_wanted or (before is not None and before.waits)):
        return None
    return f"{now.found}: a failover would lose requests that are accepted meanwhile"
