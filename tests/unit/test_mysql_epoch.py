"""Which MariaDB and MySQL servers count as primaries, told from what they say of their logs alone."""

from __future__ import annotations

import asyncio

import pytest

from tieout.database.mysql_epoch import Succession
from tieout.database.mysql_server import Address, Server
from tieout.errors import StaleEpoch

HOST = Address("h", 1)


class Silent:
    """A connection that nothing is asked on: MariaDB's logs are compared here."""

    async def query(self, text: bytes) -> None:
        raise AssertionError(text)


def server(number: int, position: str, log: str = "") -> Server:
    return Server("MariaDB", f"h:1/{number}", read_only=False, position=position, history=f"{position},{log}")


def admit(succession: Succession, *servers: Server) -> None:
    for one in servers:
        asyncio.run(succession.admit(Silent(), one, HOST))


@pytest.mark.parametrize(
    ("position", "log"),
    [
        ("0-1-10", ""),
        ("0-1-10", "0-1-10"),
        ("0-1-40", "0-1-40"),
        ("0-1-9", ""),
    ],
    ids=["as it was left", "the same, logged", "with writes of its own", "behind"],
)
def test_a_primary_that_comes_back_without_its_successors_writes_is_refused(position, log):
    """It is refused also where the successor's position was last read before the successor had written anything."""
    succession = Succession()
    admit(succession, server(1, "0-1-10"), server(2, "0-1-10"))
    with pytest.raises(StaleEpoch):
        admit(succession, server(1, position, log))
    assert "h:1/1" in succession.abandoned


def test_numbers_of_its_own_do_not_stand_for_the_successors():
    """A primary that went on counting by itself lacks what its successor wrote under the same numbers."""
    succession = Succession()
    admit(succession, server(1, "0-1-10"), server(2, "0-1-10"), server(2, "0-2-12"))
    with pytest.raises(StaleEpoch):
        admit(succession, server(1, "0-1-14", "0-1-14"))


def test_a_primary_that_followed_its_successor_is_taken_back():
    """With what the successor wrote it is the primary again, whether or not it has written since."""
    succession = Succession()
    admit(succession, server(1, "0-1-10"), server(2, "0-1-10"), server(2, "0-2-12"))
    admit(succession, server(1, "0-1-15", "0-1-15,0-2-13"))
    assert succession.abandoned == {"h:1/2"}


def test_a_successor_that_was_demoted_without_writes_is_no_obstacle():
    """There and back in good order, with nothing written in between, is accepted."""
    succession = Succession()
    admit(succession, server(1, "0-1-10"), server(2, "0-1-10"))
    succession.demote(server(2, "0-1-10"))
    admit(succession, server(1, "0-1-10"))
    assert succession.abandoned == {"h:1/2"}


def test_servers_without_a_log_are_not_told_apart():
    """Where no position is known nothing is refused."""
    succession = Succession()
    admit(succession, server(1, ""), server(2, ""), server(1, ""))
