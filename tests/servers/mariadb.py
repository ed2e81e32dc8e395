"""A private MariaDB server."""

from __future__ import annotations

import itertools
import pwd
import shutil
import subprocess

from tests.servers.process import ServerProcess, wait_for

FAST = {"innodb_flush_log_at_trx_commit": "0", "innodb_doublewrite": "0", "innodb_flush_method": "nosync"}
"""Settings for tests in which no machine loses power; a benchmark leaves them out."""


def binary(name: str) -> str:
    """The path of one of MariaDB's programs, also where they are not on the PATH."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if not found:
        raise RuntimeError(f"MariaDB's {name} is not installed: apt-get install mariadb-server")
    return found


def _account() -> str:
    try:
        return pwd.getpwnam("mysql").pw_name
    except KeyError:
        return "nobody"


class MariaDB(ServerProcess):
    """A server with the superuser `root` and the plain user `u`, neither with a password.

    `settings` are options of its command line.
    """

    user = _account()

    def __init__(self, **settings: str) -> None:
        super().__init__()
        self.data = self.folder / "data"
        self.settings = settings
        self._numbers = itertools.count(1)

    def create(self) -> None:
        """Make an empty server and start it."""
        install = ["--no-defaults", f"--datadir={self.data}", f"--tmpdir={self.folder}", "--skip-test-db"]
        self.run(binary("mariadb-install-db"), *install, "--auth-root-authentication-method=normal")
        self.start()
        self.sql("CREATE USER u@'%'; GRANT ALL ON *.* TO u@'%'; REVOKE SUPER, READ_ONLY ADMIN ON *.* FROM u@'%'")

    def command(self) -> list[str]:
        settings = {
            "bind-address": "127.0.0.1",
            "max_connections": "120",
            "innodb_buffer_pool_size": "64M",
            "innodb_log_file_size": "64M",
            "performance_schema": "off",
            "skip_name_resolve": "1",
        } | self.settings
        options = [f"--{name}={value}" for name, value in settings.items()]
        where = [f"--datadir={self.data}", f"--port={self.port}", f"--socket={self.folder}/socket"]
        # A folder of its own: temporary tables are named by process ids, which other containers have as well.
        where.append(f"--tmpdir={self.folder}")
        return [binary("mariadbd"), "--no-defaults", *where, f"--pid-file={self.folder}/pid", *options]

    def answers(self) -> bool:
        ping = [binary("mariadb-admin"), "--no-defaults", f"--socket={self.folder}/socket", "-u", "root", "ping"]
        return subprocess.run(ping, check=False, timeout=60, capture_output=True).returncode == 0

    def url(self, database: str = "mysql", **options: object) -> str:
        """The URL of one of its databases, with tieout's options."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"mysql://u@127.0.0.1:{self.port}/{database}{'?' if query else ''}{query}"

    def database(self) -> str:
        """Create an empty database; return its name."""
        name = f"test_{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def copy_of(self, database: str) -> str:
        """Create a database with what another one held at the first copy of it; return its name."""
        dump = self.folder / f"{database}.sql"
        if not dump.exists():
            where = ["--no-defaults", f"--socket={self.folder}/socket", "-u", "root"]
            dump.write_text(self.run(binary("mariadb-dump"), *where, "--skip-lock-tables", database))
        name = self.database()
        self.sql(f"source {dump}", name)
        return name

    def sql(self, sql: str, database: str = "mysql") -> str:
        """Run statements as an operator would; return the rows, one a line."""
        where = ["--no-defaults", f"--socket={self.folder}/socket", "-u", "root", "-D", database]
        return self.run(binary("mariadb"), *where, "-BN", "-e", sql).strip()

    def wait_for(self, sql: str, answer: str) -> None:
        """Ask again until this is the answer."""
        wait_for(self.sql, sql, answer)
