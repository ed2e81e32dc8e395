"""Which of several servers is the primary, as far as one process can tell: the logs of those it left are compared."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from tieout.database.mysql_server import Address, Server
from tieout.errors import StaleEpoch

log = logging.getLogger("tieout.database")


class Asking(Protocol):
    """A connection that can be asked."""

    async def query(self, text: bytes) -> Any: ...


class Succession:
    """The primaries that this process has used, one after the other.

    A server that was left for another one is refused until it has what the other wrote: an abandoned primary that
    comes back has not. That can be told only where servers keep a log with GTIDs.
    """

    def __init__(self) -> None:
        self.abandoned: set[str] = set()
        self._primary: Server | None = None
        self._begin = ""
        self._demoted = False

    def demote(self, server: Server) -> None:
        """Note how far the log of a server that takes no writes has come, if it was the primary."""
        if self._primary is not None and self._primary.identity == server.identity:
            self._primary, self._demoted = server, True

    async def admit(self, wire: Asking, server: Server, host: Address) -> None:
        """Note the primary; raise `StaleEpoch` for one that was left and lacks what its successor wrote."""
        before = self._primary
        if before is not None and before.identity != server.identity:
            if server.identity in self.abandoned and not await self._has_all(wire, server, before):
                raise StaleEpoch(f"{host} is an abandoned primary: it lacks what {before.identity} had")
            log.warning("%s (%s) is the primary now, and no longer %s", host, server.identity, before.identity)
            self.abandoned.add(before.identity)
            self._begin = server.position
        self.abandoned.discard(server.identity)
        self._primary, self._demoted = server, False

    async def _has_all(self, wire: Asking, server: Server, before: Server) -> bool:
        """Whether the server has what `before` is known to have had; True where that cannot be told.

        A position that is still the one at which `before` became the primary holds nothing that it wrote, and the
        server that it replaced has come as far: then something of its own has to be there besides, unless it was seen
        to write nothing more.
        """
        if not before.position or not server.position:
            return True
        more = before.position == self._begin and not self._demoted
        if server.flavour == "MySQL":
            return await _mysql_has(wire, before, more=more)
        return mariadb_has(server.history, before, more=more)


async def _mysql_has(wire: Asking, before: Server, *, more: bool) -> bool:
    own = f" AND LOCATE('{before.identity}', GTID_SUBTRACT(@@global.gtid_executed, '{before.position}')) > 0"
    question = f"SELECT GTID_SUBSET('{before.position}', @@global.gtid_executed){own if more else ''}"
    answer = await wire.query(question.encode())
    return bool(int(answer.rows[0][0]))


def mariadb_has(history: str, before: Server, *, more: bool) -> bool:
    """Whether a log contains the position of `before`, and with `more` also something that `before` wrote after it.

    Numbers alone do not tell: an abandoned primary goes on counting. They are compared for each domain and server.
    """
    has = _last(history)
    had = _last(before.position)
    if not all(has.get(origin, 0) >= number for origin, number in had.items()):
        return False
    _, _, own = before.identity.rpartition("/")
    furthest = {domain: number for (domain, _), number in had.items()}
    return not more or any(
        origin == own and number > furthest.get(domain, 0) for (domain, origin), number in has.items()
    )


def _last(gtids: str) -> dict[tuple[str, str], int]:
    """`domain-server-sequence` with commas between, as the last sequence of each domain and server."""
    found: dict[tuple[str, str], int] = {}
    for gtid in filter(None, gtids.split(",")):
        domain, origin, number = gtid.strip().split("-")
        found[domain, origin] = max(found.get((domain, origin), 0), int(number))
    return found
