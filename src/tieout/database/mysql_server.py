"""What a URL says of a MySQL or MariaDB server, how a session there is set up, and which server it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from tieout.database.options import Bounds, number
from tieout.errors import ConfigError

PORT = 3_306

LEAST = {"MySQL": (8, 0, 16), "MariaDB": (10, 6, 0)}
"""The first versions with SKIP LOCKED, JSON_TABLE and CHECK constraints."""

SQL_MODE = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_ENGINE_SUBSTITUTION"
"""Values that do not fit are refused, not made to fit; a backslash escapes."""

LONGEST_LOCK_WAIT = 50
"""Seconds that a statement waits for a row, at the most; less where the deadline is shorter."""

_NUMBERS: Mapping[str, Bounds] = {
    "pool": (int, 1, 1_000),
    "connect_timeout": (float, 0.05, 600),
    "deadline": (float, 0.05, 86_400),
}
_TEXTS = {"unix_socket", "ssl_ca"}


class Address(NamedTuple):
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Settings(msgspec.Struct, frozen=True):
    """What a URL says; times are in seconds. `ssl` asks for TLS, `ssl_ca` also checks the server against a file."""

    hosts: tuple[Address, ...]
    user: str
    password: str
    database: str
    pool: int = 8
    connect_timeout: float = 5.0
    deadline: float = 30.0
    unix_socket: str | None = None
    ssl: bool = False
    ssl_ca: str | None = None

    @property
    def tls(self) -> dict[str, str] | None:
        """What both drivers take as `ssl`."""
        return {"ca": self.ssl_ca} if self.ssl_ca else ({"check_hostname": ""} if self.ssl else None)


def parse(url: str) -> Settings:
    """The settings in a URL; raise `ConfigError`, which never repeats the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ConfigError(f"this is not a MySQL URL: {error}") from error
    who, _, addresses = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise ConfigError("a MySQL URL names its database: mysql://user@host:3306/database")
    return Settings(
        hosts=tuple(_address(text) for text in addresses.split(",")),
        user=unquote(user),
        password=unquote(password),
        database=database,
        **_options(query),
    )


def _options(query: Iterable[tuple[str, str]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in query:
        if name in _NUMBERS:
            found[name] = number(name, value, _NUMBERS)
        elif name in _TEXTS:
            found[name] = value
        elif name == "ssl":
            found[name] = value.lower() in {"1", "true", "yes"}
        else:
            raise ConfigError(f"?{name}= is no option of a MySQL URL")
    return found


def _address(text: str) -> Address:
    match = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:\[\]]*)(?::(\d+))?", text.strip())
    if match is None or not 0 < int(match[2] or match[4] or PORT) < 65_536:
        raise ConfigError("the hosts of a MySQL URL are host:port, with commas between several")
    return Address(match[1] or match[3] or "127.0.0.1", int(match[2] or match[4] or PORT))


class Server(NamedTuple):
    """One server as it was when a session began.

    `position` is how far its log had come, "" where it keeps none; `history` is that and, on MariaDB,
    the last GTID that it has of each server.
    """

    flavour: str
    identity: str
    read_only: bool
    position: str
    history: str


def flavour_of(version: str) -> str:
    """Whether a version is MariaDB's or MySQL's; raise `ConfigError` when it is too old."""
    flavour = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    # MariaDB used to put 5.5.5- in front, so that old replicas would talk to it.
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", version.removeprefix("5.5.5-"))
    if found is None or tuple(map(int, found.groups())) < LEAST[flavour]:
        least = ".".join(map(str, LEAST[flavour]))
        raise ConfigError(f"{flavour} {version} is too old: tieout needs {least} or newer")
    return flavour


def set_up(flavour: str, deadline: float) -> bytes:
    """What every session begins with. A transaction begins with its first statement, and not before."""
    seconds = max(1, math.ceil(deadline))
    settings = {
        "autocommit": "0",
        "sql_mode": f"'{SQL_MODE}'",
        "time_zone": "'+00:00'",
        "innodb_lock_wait_timeout": str(min(LONGEST_LOCK_WAIT, seconds)),
        "lock_wait_timeout": str(seconds),
        # What we have given up on must not hold its locks for longer than we waited; nor must a machine that is gone.
        **_deadlines(flavour, deadline, seconds),
    }
    assignments = ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())
    return (
        f"SET NAMES utf8mb4 COLLATE utf8mb4_bin; SET {assignments};"
        " SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    ).encode()


def _deadlines(flavour: str, deadline: float, seconds: int) -> dict[str, str]:
    if flavour == "MariaDB":
        return {"max_statement_time": f"{deadline:.3f}", "idle_transaction_timeout": str(seconds)}
    # MySQL can end only what reads, and a session that is idle, in a transaction or not.
    return {"max_execution_time": str(math.ceil(deadline * 1_000)), "wait_timeout": str(max(60, 2 * seconds))}


def be_patient(flavour: str) -> bytes:
    """Lift the deadlines of a session, for migrations and streams."""
    lifted = ["lock_wait_timeout = 86400", "net_write_timeout = 600"]
    lifted += ["max_statement_time = 0", "idle_transaction_timeout = 0"] if flavour == "MariaDB" else []
    lifted += ["max_execution_time = 0", "wait_timeout = 28800"] if flavour == "MySQL" else []
    return f"SET {', '.join(f'SESSION {setting}' for setting in lifted)}".encode()


def who_are_you(flavour: str) -> bytes:
    """Asks a server for what `Server` holds of it, and which database the session is in."""
    if flavour == "MariaDB":
        return (
            b"SELECT CONCAT(@@hostname, ':', @@port, '/', @@server_id), @@global.read_only, @@global.gtid_current_pos,"
            b" @@global.gtid_binlog_state, DATABASE()"
        )
    return (
        b"SELECT @@server_uuid, @@global.read_only OR @@global.innodb_read_only, @@global.gtid_executed, '', DATABASE()"
    )


def server_of(flavour: str, row: Iterable[Any]) -> Server:
    """The answer."""
    identity, read_only, position, state = row
    is_read_only = str(read_only).upper() not in {"0", "OFF", "NONE"}
    return Server(flavour, str(identity), is_read_only, *_positions(position, state))


def _positions(position: Any, state: Any) -> tuple[str, str]:
    now = str(position or "").replace("\n", "")
    return now, ",".join(filter(None, (now, str(state or ""))))
