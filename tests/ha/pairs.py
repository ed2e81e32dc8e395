"""A primary and a replica that has each commit before it is acknowledged, real ones: the one takes over from the other.

Both are made once, with the tables of the business, and copied for each failover.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Protocol

from tests.servers.mariadb import MariaDB
from tests.servers.mariadb import binary as mariadb_binary
from tests.servers.postgres import Postgres
from tests.servers.process import START_SECONDS

DATABASE = "test_1"

DEADLINE = 2.0
"""Seconds after which a transaction is given up that a frozen server does not answer."""

SHORT = f"connect_timeout=0.5&deadline={DEADLINE:g}&pool=4"


class Pair(Protocol):
    """The server that is the primary at first, and the one that follows it."""

    old: Postgres | MariaDB
    new: Postgres | MariaDB
    url: str

    def start(self) -> None:
        """Start both, and wait until the one follows the other."""
        ...

    def promote(self) -> None:
        """Make the replica the primary, with all that the old one acknowledged."""
        ...

    def stop_waiting(self) -> None:
        """Let commits no longer wait for the replica, which follows all the same."""
        ...

    def wait_again(self) -> None:
        """Let commits wait for the replica as they did at first."""
        ...

    def cut_off(self) -> None:
        """Let the replica get nothing more, and commits not wait for it."""
        ...

    def remove(self) -> None: ...


class PostgresPair:
    """A standby that has each commit before it is acknowledged."""

    SETTINGS: ClassVar = {"fsync": "off", "full_page_writes": "off"}
    """A commit survives the death of a server, though not of the machine, which stays alive here."""

    def __init__(self) -> None:
        self.old = Postgres(**self.SETTINGS)
        source = f"host={self.old.folder} port={self.old.port} user=u application_name=second"
        self.new = Postgres(**self.SETTINGS, primary_conninfo=source)
        self.url = f"postgresql://u@127.0.0.1:{self.old.port},127.0.0.1:{self.new.port}/{DATABASE}?{SHORT}"

    def start(self) -> None:
        _start_both(self.old, self.new)
        self.old.wait_for("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1")

    def promote(self) -> None:
        self.new.promote()

    def stop_waiting(self) -> None:
        self._wait_for("")

    def wait_again(self) -> None:
        self._wait_for("second")

    def _wait_for(self, names: str) -> None:
        self.old.psql(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
        self.old.psql("SELECT pg_reload_conf()")
        self.old.wait_for("SHOW synchronous_standby_names", names)

    def cut_off(self) -> None:
        self.stop_waiting()
        os.kill(int(self.old.psql("SELECT pid FROM pg_stat_replication")), signal.SIGSTOP)

    def remove(self) -> None:
        self.new.remove()
        self.old.remove()


class MariaPair:
    """A replica that has each commit before others see it; the primary waits for it without an end."""

    SETTINGS: ClassVar = {
        "innodb_flush_log_at_trx_commit": "2",
        "innodb_flush_method": "nosync",
        "innodb_log_file_size": "16M",
        "log_bin": "log",
        "relay_log": "relay",
        "log_slave_updates": "1",
        "gtid_strict_mode": "1",
    }
    """Files of few bytes, since they are copied; and what makes a commit survive the death of a server."""

    def __init__(self) -> None:
        primary = {"rpl_semi_sync_master_enabled": "1", "rpl_semi_sync_master_wait_point": "AFTER_SYNC"}
        patience = {"rpl_semi_sync_master_timeout": "4294967295"}
        replica = {"read_only": "1", "skip_slave_start": "1", "rpl_semi_sync_slave_enabled": "1"}
        self.old = MariaDB(server_id="1", **self.SETTINGS, **primary, **patience)
        self.new = MariaDB(server_id="2", **self.SETTINGS, **replica)
        self.url = f"mysql://u@127.0.0.1:{self.old.port},127.0.0.1:{self.new.port}/{DATABASE}?{SHORT}"

    def start(self) -> None:
        _start_both(self.old, self.new)
        self.new.sql(
            f"CHANGE MASTER TO master_host = '127.0.0.1', master_port = {self.old.port}, master_user = 'r',"
            " master_password = 'r', master_use_gtid = slave_pos; START SLAVE"
        )
        clients = "SELECT variable_value FROM information_schema.global_status WHERE variable_name ="
        until(lambda: self.old.sql(f"{clients} 'rpl_semi_sync_master_clients'") == "1", "the replica follows")

    def promote(self) -> None:
        # What was received is acknowledged, also where it is not applied yet.
        self.new.sql("STOP SLAVE IO_THREAD")
        received = self._status("Gtid_IO_Pos")
        self.new.sql(f"SELECT MASTER_GTID_WAIT('{received}', 20); STOP SLAVE; SET GLOBAL read_only = 0")

    def stop_waiting(self) -> None:
        self.old.sql("SET GLOBAL rpl_semi_sync_master_enabled = 0")

    def wait_again(self) -> None:
        self.old.sql("SET GLOBAL rpl_semi_sync_master_enabled = 1")

    def cut_off(self) -> None:
        self.stop_waiting()
        self.new.sql("STOP SLAVE IO_THREAD")

    def _status(self, name: str) -> str:
        where = ["--no-defaults", f"--socket={self.new.folder}/socket", "-u", "root", "-e", "SHOW SLAVE STATUS\\G"]
        lines = self.new.run(mariadb_binary("mariadb"), *where).splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.strip().startswith(f"{name}:"))

    def remove(self) -> None:
        self.new.remove()
        self.old.remove()


class PostgresPairs:
    """Copies of a primary that was made once and of the standby that followed it."""

    def __init__(self, fill: Callable[[str], None]) -> None:
        self._old = Postgres(**PostgresPair.SETTINGS)
        self._old.create()
        self._old.database()
        fill(self._old.url(DATABASE))
        self._new = self._old.standby("second")
        self._old.psql("ALTER SYSTEM SET synchronous_standby_names = 'second'")
        self._old.stop()
        self._new.stop()

    def make(self) -> Pair:
        """A pair that runs."""
        pair = PostgresPair()
        _copy(self._old.data, pair.old.folder)
        _copy(self._new.data, pair.new.folder)
        return _started(pair)

    def restore(self, server: Postgres) -> None:
        """Put a primary back to what it was made with, as from a backup."""
        _replace(self._old.data, server)

    def remove(self) -> None:
        self._new.remove()
        self._old.remove()


class MariaPairs:
    """Copies of a server that was made once: the copies begin with the same, and an empty log."""

    def __init__(self, fill: Callable[[str], None]) -> None:
        self._both = MariaDB(**MariaPair.SETTINGS)
        self._both.create()
        self._both.database()
        fill(self._both.url(DATABASE))
        self._both.sql("CREATE USER r@'%' IDENTIFIED BY 'r'; GRANT REPLICATION SLAVE ON *.* TO r@'%'; RESET MASTER")
        self._both.stop()

    def make(self) -> Pair:
        """A pair that runs."""
        pair = MariaPair()
        _copy(self._both.data, pair.old.folder)
        _copy(self._both.data, pair.new.folder)
        return _started(pair)

    def restore(self, server: MariaDB) -> None:
        """Put a primary back to what it was made with, as from a backup."""
        _replace(self._both.data, server)

    def remove(self) -> None:
        self._both.remove()


class Pairs(Protocol):
    """What makes pairs of one database, all alike."""

    def make(self) -> Pair: ...

    def restore(self, server: Any) -> None: ...

    def remove(self) -> None: ...


PAIRS: dict[str, Callable[[Callable[[str], None]], Pairs]] = {"postgres": PostgresPairs, "mariadb": MariaPairs}
"""Makers of pairs; each is given what fills a new database, whose URL it is called with."""


def until(holds: Callable[[], bool], what: str) -> None:
    """Ask again until it holds."""
    ends = time.monotonic() + START_SECONDS
    while not holds():
        if time.monotonic() > ends:
            raise RuntimeError(f"never: {what}")
        time.sleep(0.02)


def _started(pair: Pair) -> Pair:
    try:
        pair.start()
    except BaseException:
        pair.remove()
        raise
    return pair


def _start_both(old: Postgres | MariaDB, new: Postgres | MariaDB) -> None:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda server: server.start(), (old, new)))


def _copy(data: Path, folder: Path) -> None:
    """Copy a data folder with its owners, which Python's own copying would not keep."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(data), str(folder)], check=True)


def _replace(data: Path, server: Postgres | MariaDB) -> None:
    server.stop()
    shutil.rmtree(server.data)
    _copy(data, server.folder)
    server.start()
