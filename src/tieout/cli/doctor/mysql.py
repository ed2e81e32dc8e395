"""What makes a MySQL or MariaDB server lose data or stall: its settings, its log, its old transactions."""

from __future__ import annotations

from collections.abc import Mapping

from tieout.app import App
from tieout.cli.doctor.finding import Check, Finding
from tieout.contracts import Param, Row
from tieout.database.replication import semi_sync

PATIENT = 86_400_000
"""Milliseconds that a commit has to wait for a replica at least, before the primary goes on alone."""

OLD = 600
"""Seconds after which a transaction that is open keeps old rows from being removed long enough to slow the sweep."""


async def mysql_flush(app: App) -> Finding:
    """Whether a commit is on the disk before it is acknowledged."""
    value = await _setting(app, "innodb_flush_log_at_trx_commit")
    if value in {"1", "3"}:
        return Finding("mysql-flush", "ok", f"innodb_flush_log_at_trx_commit = {value}")
    mend = "set innodb_flush_log_at_trx_commit = 1: a crash loses transactions that were acknowledged"
    return Finding("mysql-flush", "wrong", f"innodb_flush_log_at_trx_commit = {value}", mend)


async def mysql_binlog(app: App) -> Finding:
    """Whether the binary log is as durable as the tables, and can tell an abandoned primary."""
    if await _setting(app, "log_bin") not in {"ON", "1"}:
        return Finding("mysql-binlog", "note", "no binary log: an abandoned primary would be told by read_only alone")
    sync = await _setting(app, "sync_binlog")
    if sync == "1":
        return Finding("mysql-binlog", "ok", "sync_binlog = 1")
    mend = "set sync_binlog = 1: after a crash a replica may lack, or have, what the primary has not"
    return Finding("mysql-binlog", "wrong", f"sync_binlog = {sync}", mend)


async def mysql_replication(app: App) -> Finding:
    """Whether a replica has every commit before it is acknowledged."""
    return judge_replication(await app.database.read(semi_sync))


async def mysql_doublewrite(app: App) -> Finding:
    """Whether pages that were half written in a crash can be repaired."""
    value = await _setting(app, "innodb_doublewrite")
    if value not in {"OFF", "0"}:
        return Finding("mysql-doublewrite", "ok", f"innodb_doublewrite = {value}")
    mend = "set innodb_doublewrite = ON, unless the file system never writes half a page"
    return Finding("mysql-doublewrite", "note", "innodb_doublewrite = OFF", mend)


async def mysql_old_transactions(app: App) -> Finding:
    """Whether transactions are open for so long that they slow everything down."""
    sql = (
        "SELECT count(*) AS old FROM information_schema.innodb_trx"
        " WHERE trx_started < NOW() - INTERVAL :age SECOND AND trx_mysql_thread_id <> CONNECTION_ID()"
    )
    row = await _row(app, sql, age=OLD)
    old = 0 if row is None else int(row["old"])
    if not old:
        return Finding("mysql-old-transactions", "ok", f"none is open for longer than {OLD} s")
    mend = "end them: they keep old row versions from being purged, and their locks"
    return Finding("mysql-old-transactions", "wrong", f"{old} open for longer than {OLD} s", mend)


def judge_replication(told: Mapping[str, str]) -> Finding:
    """The verdict on the variables and the status of semi-synchronous replication, by MariaDB's names."""
    name = "mysql-replication"
    if told.get("rpl_semi_sync_master_enabled") not in {"ON", "1"}:
        mend = "where a replica may take over, set rpl_semi_sync_master_enabled = ON: it may lack accepted requests"
        return Finding(name, "note", "replication, if any, is asynchronous", mend)
    if told.get("rpl_semi_sync_master_status", "ON") not in {"ON", "1"}:
        mend = "bring a replica back: until then a failover loses accepted requests"
        return Finding(name, "wrong", "semi-synchronous replication has fallen back to asynchronous", mend)
    if told.get("rpl_semi_sync_master_wait_point", "AFTER_SYNC") != "AFTER_SYNC":
        mend = "set rpl_semi_sync_master_wait_point = AFTER_SYNC: others see commits that a failover then loses"
        return Finding(name, "wrong", "rpl_semi_sync_master_wait_point = AFTER_COMMIT", mend)
    wait = int(told.get("rpl_semi_sync_master_timeout", "0"))
    if wait < PATIENT:
        mend = (
            "set rpl_semi_sync_master_timeout = 4294967295: after that time commits are acknowledged without a replica"
        )
        return Finding(name, "wrong", f"rpl_semi_sync_master_timeout = {wait} ms", mend)
    return Finding(name, "ok", "semi-synchronous: a replica has each commit before others see it")


CHECKS: tuple[Check, ...] = (
    mysql_flush,
    mysql_binlog,
    mysql_replication,
    mysql_doublewrite,
    mysql_old_transactions,
)


async def _setting(app: App, name: str) -> str:
    row = await _row(app, f"SHOW GLOBAL VARIABLES WHERE variable_name = '{name}'")
    return "" if row is None else str(row[1]).upper()


async def _row(app: App, sql: str, **params: Param) -> Row | None:
    return await app.database.read(lambda tx: tx.fetch_one(sql, **params))
