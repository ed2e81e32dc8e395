"""`tieout doctor`: finds what would lose data or stall, names it, and says how to mend it."""

from __future__ import annotations

import sqlite3

import pytest

from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST, Postgres
from tieout.cli.doctor.machine import judge_clock
from tieout.cli.doctor.mysql import judge_replication
from tieout.cli.doctor.postgres import (
    Connections,
    judge_commit,
    judge_connections,
    judge_standbys,
    judge_transactions,
    must_be_on,
)
from tieout.cli.doctor.sqlite import judge_filesystem, judge_space
from tieout.database import connect

ON_ANY_MACHINE = {"sqlite-filesystem", "sqlite-space"}
"""Checks whose outcome is the machine's that runs the tests."""


def wrong(shop, *place: str) -> set[str]:
    """The checks that found something wrong; each of them says how to mend it, and the status agrees."""
    result = shop.run("doctor", *place, "--json")
    found = [one for one in result.document["findings"] if one["level"] == "wrong"]
    assert all(one["mend"] for one in found)
    assert result.status == int(bool(found))
    assert result.document["healthy"] is not found
    return {one["name"] for one in found} - ON_ANY_MACHINE


def change(shop, statement: str, *parameters: object) -> None:
    with sqlite3.connect(shop.file) as database:
        database.execute(statement, parameters)
    database.close()


def test_all_is_well(shop):
    """On a database in good order every check is named, and none is wrong."""
    shop.start()
    names = [one["name"] for one in shop.run("doctor", "--json").document["findings"]]
    assert names == [
        "connection",
        "sqlite-journal",
        "sqlite-synchronous",
        "sqlite-filesystem",
        "sqlite-space",
        "clock",
        "migrations",
        "code",
        "overdue",
        "held",
        "alarms",
    ]
    assert wrong(shop) == set()


def test_missing_tables(bare):
    """Without tables only that is told about them, and what to run."""
    bare.file.touch()
    assert wrong(bare, bare.url) == {"migrations"}
    page = bare.run("doctor", bare.url)
    assert "tieout migrate" in page.out
    assert "overdue" not in page.out


def test_what_waits_for_a_person(shop):
    """Held processes and open alarms are wrong until somebody has taken care of them."""
    process = shop.conflict()
    assert wrong(shop) == {"held", "alarms"}
    alarm = shop.run("alarm", "list", "--json").document["id"]
    shop.run("alarm", "acknowledge", alarm, "--reason", "mine")
    assert wrong(shop) == {"held"}
    shop.run("process", "resume", process, "--reason", "seen")
    assert wrong(shop) == set()


def test_overdue_processes(shop):
    """Processes that no worker claims are told by their lane; code is not needed to see them."""
    shop.start()
    change(shop, "UPDATE tieout_process SET due = due - 600000000")
    assert wrong(shop) == {"overdue"}
    assert wrong(shop, shop.url) == {"overdue"}
    page = shop.run("doctor").out
    assert "1 in prizes" in page
    assert "tieout worker" in page


def test_code_that_lacks_what_is_stored(shop):
    """A type, version or state that stored processes have and this App has not is told; a URL compares nothing."""
    shop.start()
    for column, value in (("type", "gone"), ("version", 9), ("state", "gone")):
        change(shop, f"UPDATE tieout_process SET {column} = ?", value)
        assert "code" in wrong(shop)
        assert "code" not in wrong(shop, shop.url)


def test_a_database_that_is_down(shop):
    """A server that does not answer is what was found: status 1, with the error's code."""
    place = "postgresql://u@127.0.0.1:1/x?connect_timeout=2"
    assert wrong(shop, place) == {"connection"}
    assert "[database-unavailable]" in shop.run("doctor", place).out


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (judge_filesystem("ext4"), "ok"),
        (judge_filesystem("nfs4"), "wrong"),
        (judge_filesystem("cifs"), "wrong"),
        (judge_filesystem("tmpfs"), "wrong"),
        (judge_filesystem("overlay"), "note"),
        (judge_filesystem(""), "note"),
        (judge_space(10**6), "wrong"),
        (judge_space(10**12), "ok"),
        (judge_clock(0.2, 0.1), "ok"),
        (judge_clock(-3, 0.1), "wrong"),
        (judge_clock(3, 2.5), "ok"),
        (must_be_on("fsync", "on", "x"), "ok"),
        (must_be_on("fsync", "off", "x"), "wrong"),
        (judge_commit("on", has_names=True), "ok"),
        (judge_commit("remote_apply", has_names=True), "ok"),
        (judge_commit("off", has_names=False), "wrong"),
        (judge_commit("local", has_names=True), "wrong"),
        (judge_commit("local", has_names=False), "ok"),
        (judge_commit("remote_write", has_names=True), "wrong"),
        (judge_standbys("", []), "note"),
        (judge_standbys("", ["async"]), "wrong"),
        (judge_standbys("a", ["async"]), "wrong"),
        (judge_standbys("a", []), "wrong"),
        (judge_standbys("a", ["async", "sync"]), "ok"),
        (judge_standbys("ANY 1 (a)", ["quorum"]), "ok"),
        (judge_standbys("a", [None]), "note"),
        (judge_connections(Connections(10, 97, -1, -1), 8), "ok"),
        (judge_connections(Connections(90, 97, -1, -1), 8), "wrong"),
        (judge_connections(Connections(10, 97, 12, -1), 8), "wrong"),
        (judge_connections(Connections(10, 97, -1, 12), 8), "wrong"),
        (judge_transactions(0, 0, 0), "ok"),
        (judge_transactions(0, 1, 0), "note"),
        (judge_transactions(1, 0, 0), "wrong"),
        (judge_transactions(0, 0, 1), "wrong"),
    ],
)
def test_verdicts(finding, level):
    """Each state that a set-up can be in has its verdict; what is wrong can be mended."""
    assert finding.level == level
    assert bool(finding.mend) is (level == "wrong") or level == "note"


@pytest.fixture(scope="module")
def server():
    """A PostgreSQL server, which each test sets up as it wants it."""
    server = Postgres(**FAST)
    try:
        server.create()
        yield server
    finally:
        server.remove()


def restart(server: Postgres, **settings: str) -> None:
    server.stop()
    server.settings |= settings
    server.start()


def test_postgres_settings_that_lose_data(bare, server):
    """Settings that lose data in a crash, a pool that does not fit, and missing tables are found on a real server."""
    restart(server, **FAST)
    lost = {"postgres-fsync", "postgres-full-page-writes", "postgres-synchronous-commit"}
    assert wrong(bare, server.url()) == {*lost, "migrations"}
    assert bare.run("migrate", server.url()).status == 0
    assert wrong(bare, server.url(pool=500)) == {*lost, "postgres-connections"}
    server.psql("CREATE ROLE limited LOGIN; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    place = server.url().replace("u@", "limited@")
    levels = {one["name"]: one["level"] for one in bare.run("doctor", place, "--json").document["findings"]}
    assert levels["postgres-epoch"] == "note"
    assert levels["postgres-standby"] == "note"
    assert levels["postgres-fsync"] == "wrong"


def test_postgres_standbys(bare, server):
    """A standby that may miss commits is wrong; a synchronous one is right; one that is asked for and gone stalls."""
    restart(server, fsync="on", synchronous_commit="on", full_page_writes="on", synchronous_standby_names="")
    assert bare.run("migrate", server.url()).status == 0
    assert wrong(bare, server.url()) == set()
    standby = server.standby("second")
    try:
        bare.wait_for(lambda: server.psql("SELECT count(*) FROM pg_stat_replication") == "1", "the standby")
        assert wrong(bare, server.url()) == {"postgres-standby"}
        restart(server, synchronous_standby_names="second")
        sync = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        bare.wait_for(lambda: server.psql(sync) == "1", "the standby")
        assert wrong(bare, server.url()) == set()
        assert wrong(bare, standby.url()) == {"connection"}
        standby.kill()
        bare.wait_for(lambda: server.psql(sync) == "0", "the standby to go")
        assert wrong(bare, server.url()) == {"postgres-standby"}
    finally:
        standby.remove()
        restart(server, synchronous_standby_names="")


def test_the_pool_tells_its_limit():
    """A PostgreSQL database says how many connections it opens at most, before it is opened."""
    assert connect("postgresql://u@h/x?pool=3").pool_limit == 3


SEMI_SYNC = {
    "rpl_semi_sync_master_enabled": "ON",
    "rpl_semi_sync_master_status": "ON",
    "rpl_semi_sync_master_wait_point": "AFTER_SYNC",
    "rpl_semi_sync_master_timeout": "4294967295",
}


@pytest.mark.parametrize(
    ("change", "level"),
    [
        ({}, "ok"),
        ({"rpl_semi_sync_master_enabled": "OFF"}, "note"),
        ({"rpl_semi_sync_master_status": "OFF"}, "wrong"),
        ({"rpl_semi_sync_master_wait_point": "AFTER_COMMIT"}, "wrong"),
        ({"rpl_semi_sync_master_timeout": "10000"}, "wrong"),
    ],
)
def test_verdicts_on_semi_synchronous_replication(change, level):
    """Only a primary that waits for a replica, before others see a commit and without an end, is in order."""
    assert judge_replication(SEMI_SYNC | change).level == level


def test_mariadb_settings_that_lose_data(bare):
    """A log that is not flushed and semi-synchronous replication that loses commits are found on a real server."""
    server = MariaDB(server_id="1", log_bin="log")
    try:
        server.create()
        assert wrong(bare, server.url()) == {"mysql-binlog", "migrations"}
        server.sql("SET GLOBAL sync_binlog = 1; SET GLOBAL innodb_flush_log_at_trx_commit = 2")
        assert wrong(bare, server.url()) == {"mysql-flush", "migrations"}
        server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
        semi = "SET GLOBAL rpl_semi_sync_master_"
        server.sql(
            f"{semi}wait_no_slave = 1; {semi}timeout = 4294967295; {semi}enabled = 1; {semi}wait_point = AFTER_COMMIT"
        )
        assert wrong(bare, server.url()) == {"mysql-replication", "migrations"}
        server.sql(f"{semi}wait_point = AFTER_SYNC")
        assert wrong(bare, server.url()) == {"migrations"}
        server.sql(f"{semi}timeout = 100; CREATE DATABASE fallen")
        assert "fallen back" in bare.run("doctor", server.url()).out
    finally:
        server.remove()
