"""Whether a MariaDB or MySQL server logs whole changes of a feed's tables; if not, the setting is named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

from tieout.errors import ConfigError
from tieout.feeds.binlog.tables import CODECS

Ask: TypeAlias = Callable[[str], Awaitable[Sequence[Any]]]

WANTED = {
    "log_bin": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL",
    "mysql56_temporal_format": "ON",
    "binlog_transaction_compression": "OFF",
    "binlog_row_value_options": "",
}
"""What the settings have to be, where the server knows them."""

WHY = {
    "log_bin": "nothing is logged",
    "binlog_format": "statements are logged in place of rows",
    "binlog_row_image": "rows are logged without the columns that did not change",
    "binlog_row_metadata": "the names of columns are not logged",
    "mysql56_temporal_format": "times are kept in a format whose length is not logged",
    "binlog_transaction_compression": "transactions are logged compressed",
    "binlog_row_value_options": "rows are logged in parts",
}

OPAQUE = {"uuid", "inet4", "inet6"}
"""Types of MariaDB whose values are logged in an order of their own, which the log does not name."""

COLUMNS = """
SELECT table_name, column_name, data_type, column_type
FROM information_schema.columns
WHERE table_schema = '{database}' AND table_name = '{table}'
"""

CASCADES = """
SELECT constraint_name
FROM information_schema.referential_constraints
WHERE constraint_schema = '{database}' AND table_name = '{table}'
  AND (update_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT') OR delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))
"""

APPLICABLE = "SELECT id, character_set_name FROM information_schema.collation_character_set_applicability"
COLLATIONS = "SELECT id, character_set_name FROM information_schema.collations"
NUMBERED = """
SELECT count(*)
FROM information_schema.columns
WHERE table_schema = 'information_schema' AND column_name = 'ID'
  AND table_name = 'COLLATION_CHARACTER_SET_APPLICABILITY'
"""


async def check(ask: Ask, tables: Mapping[tuple[str, str], tuple[str, Sequence[str] | None]]) -> dict[str, str]:
    """Refuse a server or tables that would not be told whole; return the server's settings."""
    settings = {str(name).lower(): str(value) for name, value in await ask("SHOW GLOBAL VARIABLES")}
    for name, wanted in WANTED.items():
        found = settings.get(name, wanted)
        if found.upper() != wanted:
            raise ConfigError(f"{name} is {found or 'empty'}: SET GLOBAL {name} = '{wanted}', since {WHY[name]}")
    if settings.get("log_slave_updates", settings.get("log_replica_updates")) == "OFF" and settings.get(
        "gtid_slave_pos"
    ):
        raise ConfigError("log_slave_updates is OFF: what this server replicates is not logged")
    for row in await ask(status(settings)):
        _check_filters(row, {database for database, _ in tables})
    for (database, table), (told, columns) in tables.items():
        await _check_table(ask, database, table, told, columns)
    return settings


async def charsets(ask: Ask) -> dict[int, str]:
    """The character set of each collation, by the number that the log has of it."""
    numbered = (await ask(NUMBERED))[0][0]
    rows = await ask(APPLICABLE if int(numbered) else COLLATIONS)
    return {int(number): str(name) for number, name in rows if number is not None and str(name) in {*CODECS, "binary"}}


def status(settings: Mapping[str, str]) -> str:
    """Asks where the log is now. MySQL has renamed the statement."""
    version = settings["version"]
    renamed = "mariadb" not in version.lower() and tuple(map(int, version.split(".")[:2])) >= (8, 4)
    return "SHOW BINARY LOG STATUS" if renamed else "SHOW MASTER STATUS"


def _check_filters(row: Sequence[Any], databases: Collection[str]) -> None:
    """The server may be told to log some databases only."""
    logged, ignored = (set(filter(None, str(row[n] or "").split(","))) for n in (2, 3))
    missing = {one for one in databases if one in ignored or (logged and one not in logged)}
    if missing:
        raise ConfigError(f"binlog_do_db or binlog_ignore_db leave out {', '.join(sorted(missing))}: it is not logged")


async def _check_table(ask: Ask, database: str, table: str, told: str, wanted: Sequence[str] | None) -> None:
    found = {
        str(row[1]): (str(row[2]), str(row[3])) for row in await ask(COLUMNS.format(database=database, table=table))
    }
    if not found:
        raise ConfigError(f"there is no table {told}, or this user may not see it")
    missing = [column for column in wanted or () if column not in found]
    if missing:
        raise ConfigError(f"{told} has no column {', '.join(missing)}")
    for column in found if wanted is None else wanted:
        kind, full = found[column]
        if kind in OPAQUE or "compressed" in full.lower() or (kind == "json"):
            raise ConfigError(f"{told}.{column} is of type {kind}, which the log does not tell: name the others only")
    cascading = await ask(CASCADES.format(database=database, table=table))
    if cascading:
        raise ConfigError(f"{told}: the foreign key {cascading[0][0]} changes rows by itself, which is not logged")
