"""Finding the primary: each host of the URL in turn, each with its own deadline, none older than one already seen."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from tieout.database.options import Bounds, number
from tieout.database.postgres_errors import from_postgres, is_wrong_address, state_of
from tieout.errors import ConfigError, DatabaseError, DatabaseReadOnly, DatabaseUnavailable, StaleEpoch, TieoutError

log = logging.getLogger("tieout.database")

CACHED_STATEMENTS = 500
"""Prepared statements kept by each connection: all of tieout's and a service's own."""

_CHECK = """
SELECT pg_is_in_recovery() AS standby,
       current_setting('transaction_read_only') = 'on' AS read_only,
       system_identifier AS system,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END AS wal_file
  FROM pg_control_system()
"""

_CHECK_WITHOUT_EPOCH = "SELECT false AS standby, current_setting('transaction_read_only') = 'on' AS read_only"

_NO_EPOCH = {"42883", "42501", "0A000", "42601"}
"""What servers that only speak PostgreSQL's protocol answer to a question about its log."""

_newest: dict[int, int] = {}
"""The highest timeline seen in this process, for each system identifier."""


@dataclass(frozen=True)
class Settings:
    """What a URL says: one DSN for each host, and our own options, whose times are in seconds."""

    dsns: Sequence[str]
    hosts: Sequence[str]
    pool: int = 8
    connect_timeout: float = 5.0
    deadline: float = 30.0
    statement_cache: int = CACHED_STATEMENTS


_OPTIONS: Mapping[str, Bounds] = {
    "pool": (int, 1, 1_000),
    "connect_timeout": (float, 0.05, 600),
    "deadline": (float, 0.05, 86_400),
    "statement_cache": (int, 0, 100_000),
}


def parse(url: str) -> Settings:
    """The settings in a URL; raise `ConfigError`, which never repeats the URL: it may hold a password."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ConfigError(f"this is not a PostgreSQL URL: {error}") from error
    own = {name: number(name, value, _OPTIONS) for name, value in query if name in _OPTIONS}
    rest = urlencode(
        [(name, value) for name, value in query if name not in _OPTIONS and name != "target_session_attrs"]
    )
    user, at, addresses = parts.netloc.rpartition("@")
    hosts = [host.strip() for host in addresses.split(",")]
    dsns = [f"postgresql://{user}{at}{host}{parts.path}{'?' if rest else ''}{rest}" for host in hosts]
    return Settings(dsns=dsns, hosts=[host or "the default host" for host in hosts], **own)


class Link:
    """A connection to a primary, and what its pool and its transactions note on it."""

    __slots__ = ("connection", "deadline", "doubt", "generation", "leave", "retire_at", "system", "timeline")

    def __init__(self, connection: Any, system: int, timeline: int) -> None:
        self.connection = connection
        self.system = system
        self.timeline = timeline
        self.doubt = ""
        self.deadline = math.inf
        self.retire_at = math.inf
        self.generation = 0
        self.leave: Callable[[], None] = lambda: None
        connection.add_log_listener(self._listen)

    def is_good(self) -> bool:
        """Whether it is open, and still leads to the newest primary."""
        return not (self.connection.is_closed() or self.is_stale())

    def is_alive(self) -> bool:
        """True: BEGIN, which every transaction sends, finds out."""
        return True

    def cut(self) -> None:
        """Close it at once, without a word to the server."""
        self.connection.terminate()

    def interrupt(self) -> None:
        """Make whoever waits for an answer get an error, from any thread; it is still to be cut."""
        self.connection.interrupt()

    def is_stale(self) -> bool:
        """Whether this process has since seen a server that was promoted later."""
        return _newest.get(self.system, 0) > self.timeline

    def _listen(self, _: Any, message: Any) -> None:
        # A cancelled wait for the standby is reported as success with this warning; the routine's name, unlike the
        # warning's text, is in no language, and its code is that of all warnings.
        if (message.server_source_function or "").startswith("SyncRep"):
            self.doubt = str(message)


Check: TypeAlias = Callable[[Any], Awaitable[Link]]
Dial: TypeAlias = Callable[[Settings, str, Check], Awaitable[Link]]
"""Connects to a DSN, checks, and cuts the connection where that fails or takes longer than `connect_timeout`."""


class Hosts:
    """Opens connections to whichever host is the primary."""

    def __init__(self, settings: Settings, dial: Dial) -> None:
        self._settings = settings
        self._dial = dial
        self._preferred = 0
        self.primary = ""

    async def connect(self) -> Link:
        """A link to the primary; raise what says best why there is none."""
        failures: list[TieoutError] = []
        count = len(self._settings.dsns)
        for index in [(self._preferred + step) % count for step in range(count)]:
            try:
                link = await self._connect_one(index)
            except TieoutError as failure:
                failures.append(failure)
            else:
                self._preferred, self.primary = index, f"{link.system}/{link.timeline}"
                link.leave = partial(self._leave, index)
                return link
        raise _combined(failures)

    def _leave(self, index: int) -> None:
        """Begin with another host than this one next time."""
        if index == self._preferred:
            self._preferred = (index + 1) % len(self._settings.dsns)

    async def _connect_one(self, index: int) -> Link:
        host = self._settings.hosts[index]
        try:
            return await self._dial(self._settings, self._settings.dsns[index], partial(_checked, host))
        except TieoutError:
            raise
        except TimeoutError as error:
            raise DatabaseUnavailable(f"{host}: no answer in {self._settings.connect_timeout:g} s") from error
        except Exception as error:
            raise _refusal(error, host) from error


def server_settings(settings: Settings) -> dict[str, str]:
    """How every session is set up."""
    milliseconds = str(math.ceil(settings.deadline * 1_000))
    return {
        "application_name": "tieout",
        "default_transaction_isolation": "read committed",
        # What we have given up on must not hold its locks for longer than we waited.
        "statement_timeout": milliseconds,
        "idle_in_transaction_session_timeout": milliseconds,
        # Nor must what a machine held that has vanished without a word; the default is two hours.
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "4",
    }


def _refusal(error: Exception, host: str) -> TieoutError:
    return ConfigError(f"{host}: {error}") if is_wrong_address(error) else from_postgres(error, host)


async def _checked(host: str, connection: Any) -> Link:
    try:
        row = await connection.fetchrow(_CHECK)
    except Exception as error:
        if state_of(error) not in _NO_EPOCH:
            raise
        log.warning("%s does not tell its epoch: an abandoned primary would not be noticed", host)
        row = await connection.fetchrow(_CHECK_WITHOUT_EPOCH)
    if row["standby"] or row["read_only"]:
        raise DatabaseReadOnly(f"{host} is {'a standby' if row['standby'] else 'read-only'}", "25006")
    if "system" not in row.keys():  # noqa: SIM118 - a Record's `in` looks at values
        return Link(connection, 0, 0)
    return _newest_only(Link(connection, row["system"], int(row["wal_file"][:8], 16)), host)


def _newest_only(link: Link, host: str) -> Link:
    """Note the link's epoch; raise `StaleEpoch` when a newer one has been seen."""
    if link.is_stale():
        raise StaleEpoch(
            f"{host} is an abandoned primary: timeline {link.timeline}, {_newest[link.system]} has been seen"
        )
    _newest[link.system] = link.timeline
    return link


def _combined(failures: Sequence[TieoutError]) -> TieoutError:
    """The failure that says most, with what every host said."""
    message = "; ".join(str(failure) for failure in failures)
    for kind in (StaleEpoch, DatabaseReadOnly, DatabaseUnavailable):
        for failure in failures:
            if isinstance(failure, kind):
                return kind(message, failure.sqlstate)
    first = failures[0]
    return type(first)(message, first.sqlstate) if isinstance(first, DatabaseError) else ConfigError(message)
