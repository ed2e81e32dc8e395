"""Finding the primary: each host of the URL in turn, each with its own deadline, none that was abandoned."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeAlias

from tieout.database.mysql_epoch import Succession
from tieout.database.mysql_errors import from_mysql, is_wrong_address
from tieout.database.mysql_server import Address, Server, Settings, flavour_of, server_of, set_up, who_are_you
from tieout.errors import ConfigError, DatabaseError, DatabaseReadOnly, DatabaseUnavailable, StaleEpoch, TieoutError


class Wire(Protocol):
    """A driver's connection, as we use it. Errors are the driver's. `is_busy` while a statement has no answer yet."""

    @property
    def version(self) -> str: ...
    @property
    def is_busy(self) -> bool: ...

    async def query(self, text: bytes) -> Any:
        """Run statements, separated by semicolons; the result of the first. All have run when it returns.

        Raise `StatementError`, and send nothing, while it is busy.
        """
        ...

    def stream(self, text: bytes, batch: int) -> AsyncIterator[tuple[Sequence[str], Sequence[Any]]]:
        """The names of the columns and at most `batch` rows at a time; reads no further than asked."""
        ...

    def is_open(self) -> bool:
        """Whether it is open, as far as is known here."""
        ...

    def is_alive(self) -> bool:
        """Whether its server has not closed it while nobody used it; this may ask the kernel."""
        ...

    def cut(self) -> None: ...

    def interrupt(self) -> None: ...


class Link:
    """A connection to a primary, and what its pool and its transactions note on it."""

    __slots__ = (
        "abandoned",
        "database",
        "deadline",
        "generation",
        "has_locks",
        "idle_since",
        "leave",
        "prepared",
        "query",
        "retire_at",
        "server",
        "wire",
    )

    def __init__(self, wire: Wire, server: Server, abandoned: set[str], database: str) -> None:
        self.wire = wire
        self.query = wire.query
        self.server = server
        self.database = database
        self.abandoned = abandoned
        self.deadline = math.inf
        self.retire_at = math.inf
        self.idle_since = math.inf
        self.generation = 0
        self.has_locks = False
        self.prepared: dict[str, int] = {}
        self.leave: Callable[[], None] = lambda: None

    def is_stale(self) -> bool:
        """Whether this process has since gone over to another server."""
        return self.server.identity in self.abandoned

    def is_good(self) -> bool:
        """Whether it is open, and still leads to the primary."""
        return self.wire.is_open() and not self.is_stale()

    def is_alive(self) -> bool:
        """Whether its server has not closed it while it was idle."""
        return self.wire.is_alive()

    def cut(self) -> None:
        """Close it at once, without a word to the server."""
        self.wire.cut()

    def interrupt(self) -> None:
        """Make whoever waits for an answer get an error, from any thread; it is still to be cut."""
        self.wire.interrupt()


Prepare: TypeAlias = Callable[[Wire, Address], Awaitable[Link]]
Dial: TypeAlias = Callable[[Settings, Address, Prepare], Awaitable[Link]]
"""Connects, prepares, and cuts the connection where that fails or takes longer than `connect_timeout`."""


class Hosts:
    """Opens connections to whichever host is the primary; `Succession` says which are not any more."""

    def __init__(self, settings: Settings, dial: Dial) -> None:
        self._settings = settings
        self._dial = dial
        self._preferred = 0
        self.primary = ""
        self._succession = Succession()

    async def connect(self) -> Link:
        """A link to the primary; raise what says best why there is none."""
        failures: list[TieoutError] = []
        count = len(self._settings.hosts)
        for index in [(self._preferred + step) % count for step in range(count)]:
            host = self._settings.hosts[index]
            try:
                link = await self._connect_one(host)
            except TieoutError as failure:
                failures.append(failure)
            else:
                self._preferred, self.primary = index, link.server.identity
                link.leave = partial(self._leave, index)
                return link
        raise _combined(failures)

    def _leave(self, index: int) -> None:
        """Begin with another host than this one next time."""
        if index == self._preferred:
            self._preferred = (index + 1) % len(self._settings.hosts)

    async def _connect_one(self, host: Address) -> Link:
        try:
            return await self._dial(self._settings, host, self._prepare)
        except TieoutError:
            raise
        except TimeoutError as error:
            raise DatabaseUnavailable(f"{host}: no answer in {self._settings.connect_timeout:g} s") from error
        except Exception as error:
            raise _refusal(error, host) from error

    async def _prepare(self, wire: Wire, host: Address) -> Link:
        flavour = flavour_of(wire.version)
        await wire.query(set_up(flavour, self._settings.deadline))
        *row, database = (await wire.query(who_are_you(flavour))).rows[0]
        server = server_of(flavour, row)
        if server.read_only:
            self._succession.demote(server)
            raise DatabaseReadOnly(f"{host} is read-only", "1290")
        await self._succession.admit(wire, server, host)
        return Link(wire, server, self._succession.abandoned, database or "")


def _refusal(error: Exception, host: Address) -> TieoutError:
    return ConfigError(f"{host}: {error}") if is_wrong_address(error) else from_mysql(error, str(host))


def _combined(failures: Sequence[TieoutError]) -> TieoutError:
    """The failure that says most, with what every host said."""
    message = "; ".join(str(failure) for failure in failures)
    for kind in (StaleEpoch, DatabaseReadOnly, DatabaseUnavailable):
        for failure in failures:
            if isinstance(failure, kind):
                return kind(message, failure.sqlstate)
    first = failures[0]
    return type(first)(message, first.sqlstate) if isinstance(first, DatabaseError) else ConfigError(message)
