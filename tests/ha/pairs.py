"""A primary and a synchronous replica, real ones, and how the one takes over from the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from tests.servers.mariadb import MariaDB
from tests.servers.mariadb import binary as mariadb_binary
from tests.servers.postgres import Postgres
from tests.servers.process import START_SECONDS

DURABLE = {"fsync": "off", "full_page_writes": "off"}
"""A commit survives the death of a server, though not of the machine, which stays alive here."""

SHORT = "connect_timeout=0.5&deadline=2&pool=4"


class Pair(Protocol):
    """The server that is the primary at first, and the one that follows it."""

    old: Postgres | MariaDB
    new: Postgres | MariaDB
    url: str

    def promote(self) -> None:
        """Make the replica the primary, with all that the old one acknowledged."""
        ...

    def remove(self) -> None: ...


class PostgresPair:
    """A standby that has each commit before it is acknowledged."""

    def __init__(self) -> None:
        self.old = Postgres(**DURABLE)
        self.old.create()
        self.old.database()
        self.new = self.old.standby("second")
        self.old.psql("ALTER SYSTEM SET synchronous_standby_names = 'second'")
        self.old.psql("SELECT pg_reload_conf()")
        self.old.wait_for("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1")
        self.url = f"postgresql://u@127.0.0.1:{self.old.port},127.0.0.1:{self.new.port}/test_1?{SHORT}"

    def promote(self) -> None:
        self.new.promote()

    def remove(self) -> None:
        self.new.remove()
        self.old.remove()


class MariaPair:
    """A replica that has each commit before others see it; the primary waits for it without an end."""

    def __init__(self) -> None:
        flush = {"innodb_flush_log_at_trx_commit": "2", "innodb_flush_method": "nosync"}
        log = {"log_bin": "log", "log_slave_updates": "1", "gtid_strict_mode": "1"}
        self.old = MariaDB(server_id="1", **flush, **log)
        self.new = MariaDB(server_id="2", **flush, **log)
        self.old.create()
        self.new.create()
        self._follow()
        self.old.database()
        self._until(self.new, "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'test_1'", "1")
        self.url = f"mysql://u@127.0.0.1:{self.old.port},127.0.0.1:{self.new.port}/test_1?{SHORT}"

    def _follow(self) -> None:
        self.old.sql("RESET MASTER; CREATE USER r@'%' IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO r@'%'")
        self.new.sql(
            "RESET MASTER; SET GLOBAL read_only = 1; SET GLOBAL rpl_semi_sync_slave_enabled = 1;"
            f" CHANGE MASTER TO master_host = '127.0.0.1', master_port = {self.old.port}, master_user = 'r',"
            " master_password = 'r', master_use_gtid = slave_pos; START SLAVE"
        )
        self.old.sql(
            "SET GLOBAL rpl_semi_sync_master_timeout = 4294967295;"
            " SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC;"
            " SET GLOBAL rpl_semi_sync_master_enabled = 1"
        )
        clients = "SELECT variable_value FROM information_schema.global_status WHERE variable_name ="
        self._until(self.old, f"{clients} 'rpl_semi_sync_master_clients'", "1")

    def _until(self, server: MariaDB, sql: str, answer: str) -> None:
        until(lambda: server.sql(sql) == answer, sql)

    def promote(self) -> None:
        # What was received is acknowledged, also where it is not applied yet.
        self.new.sql("STOP SLAVE IO_THREAD")
        received = self._status("Gtid_IO_Pos")
        self.new.sql(f"SELECT MASTER_GTID_WAIT('{received}', 20)")
        self.new.sql("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0")

    def _status(self, name: str) -> str:
        where = ["--no-defaults", f"--socket={self.new.folder}/socket", "-u", "root", "-e", "SHOW SLAVE STATUS\\G"]
        lines = self.new.run(mariadb_binary("mariadb"), *where).splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.strip().startswith(f"{name}:"))

    def remove(self) -> None:
        self.new.remove()
        self.old.remove()


def until(holds: Callable[[], bool], what: str) -> None:
    """Ask again until it holds."""
    ends = time.monotonic() + START_SECONDS
    while not holds():
        if time.monotonic() > ends:
            raise RuntimeError(f"never: {what}")
        time.sleep(0.02)


PAIRS: dict[str, Callable[[], Pair]] = {"postgres": PostgresPair, "mariadb": MariaPair}
