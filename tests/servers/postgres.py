"""A private PostgreSQL server, and standbys of it."""

from __future__ import annotations

import itertools
import pwd
import shutil
import signal
import subprocess
from functools import cache
from pathlib import Path

from tests.servers.process import ServerProcess, wait_for

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings for tests in which no machine loses power; a benchmark leaves them out."""


@cache
def binary(name: str) -> str:
    """The path of one of PostgreSQL's programs: Debian's newest, past the slow wrappers on the PATH, or another."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    if shutil.which("pg_config"):
        told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True).stdout.strip()
        folders.append(Path(told))
    found = next((str(folder / name) for folder in folders if (folder / name).exists()), None) or shutil.which(name)
    if not found:
        raise RuntimeError(f"PostgreSQL's {name} is not installed: apt-get install postgresql")
    return found


def _account() -> str:
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


class Postgres(ServerProcess):
    """A server with the superuser `u`, trusted from this machine; `settings` go into its configuration."""

    user = _account()
    stop_signal = signal.SIGINT  # fast: open transactions are rolled back

    def __init__(self, **settings: str) -> None:
        super().__init__()
        self.data = self.folder / "data"
        self.settings = settings
        self._numbers = itertools.count(1)

    def create(self) -> None:
        """Make an empty cluster and start it."""
        self.run(binary("initdb"), "-D", str(self.data), "-U", "u", "-A", "trust", "-N", "--no-instructions")
        self.start()

    def command(self) -> list[str]:
        settings = {"listen_addresses": "127.0.0.1", "max_connections": "100"} | self.settings
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [binary("postgres"), "-D", str(self.data), "-p", str(self.port), "-k", str(self.folder), *options]

    def answers(self) -> bool:
        ready = [binary("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "u", "-d", "postgres"]
        return subprocess.run(ready, check=False, timeout=60).returncode == 0

    def url(self, database: str = "postgres", **options: object) -> str:
        """The URL of one of its databases, with tieout's options."""
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://u@127.0.0.1:{self.port}/{database}{'?' if query else ''}{query}"

    def database(self) -> str:
        """Create an empty database; return its name."""
        name = f"test_{next(self._numbers)}"
        self.psql(f"CREATE DATABASE {name}")
        return name

    def copy_of(self, database: str) -> str:
        """Create a database with all that another one holds, to which nobody is connected; return its name."""
        name = f"test_{next(self._numbers)}"
        self.psql(f"CREATE DATABASE {name} TEMPLATE {database}")
        return name

    def psql(self, sql: str, database: str = "postgres") -> str:
        """Run statements as an operator would; return the rows, one a line."""
        where = ["-h", str(self.folder), "-p", str(self.port), "-U", "u", "-d", database]
        return self.run(binary("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", *where, "-c", sql).strip()

    def wait_for(self, sql: str, answer: str) -> None:
        """Ask again until this is the answer."""
        wait_for(self.psql, sql, answer)

    def standby(self, name: str) -> Postgres:
        """A started standby of this server, called `name` in `synchronous_standby_names`."""
        standby = Postgres(**self.settings)
        source = f"host={self.folder} port={self.port} user=u application_name={name}"
        standby.run(binary("pg_basebackup"), "-D", str(standby.data), "-d", source, "-R", "-X", "stream", "-c", "fast")
        standby.start()
        return standby

    def promote(self) -> None:
        """Make a standby the primary, on a new timeline."""
        self.psql("SELECT pg_promote(true, 30)")
