"""How far a binlog was read, by GTIDs or by file and byte, and whether anything was left out in between. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tieout.errors import FeedGap
from tieout.feeds.changes import Position


class Place(NamedTuple):
    """A place in a server's binlog: the number of its file, and the byte."""

    file: int
    byte: int


class Progress:
    """How far a log was read, by GTIDs or by file and byte; raises `FeedGap` where something is left out in between."""

    def __init__(self, history: str, *, gtids: Mapping[int, tuple[int, int]] | None, server: str = "") -> None:
        """`gtids` are the server and the sequence number of each domain; None where files count.

        `server` is whose files these are.
        """
        self._history, self._by_gtid = history, gtids is not None
        self._gtids = dict(gtids or {})
        self._sum = sum(sequence for _, sequence in self._gtids.values())
        self._current: tuple[int, int, int] | None = None
        self._server, self._file, self._created = server, "", 0
        self.place = Place(0, 0)
        self._ended = Place(0, 0)

    def expect(self, server: str, file: str, created: int) -> None:
        """In which file it was read last, and when that was begun, in seconds since 1970; 0 where that is not known."""
        if server == self._server:
            self._file, self._created = file, created

    def rotated(self, file: str, byte: int) -> None:
        """The log goes on in a file, behind a byte."""
        number = number_of(file)
        if self._file and number < number_of(self._file):
            raise FeedGap(f"the log goes on in {file}, before {self._file}: it was begun anew")
        if file != self._file:
            self._created = 0
        self._file, self.place = file, Place(number, byte)
        self._ended = self.place

    def created(self, at: int) -> None:
        """The file says when it was begun."""
        if self._created and at and at != self._created:
            raise FeedGap(f"{self._file} is another file than the one that was read: the log was begun anew")
        self._created = at or self._created

    def moved(self, ends: int) -> None:
        """An event ends at a byte; of a file beyond four GiB, its lower part is told."""
        file, byte = self.place
        told = (byte & ~0xFFFF_FFFF) + ends
        self.place = Place(file, told + (1 << 32 if byte - told > 1 << 31 else 0))

    def began(self, domain: int, server: int, sequence: int) -> None:
        """A transaction begins; its number is the next of its domain."""
        if self._by_gtid or domain in self._gtids:
            last = self._gtids.get(domain, (0, 0))[1]
            if sequence != last + 1:
                raise FeedGap(f"behind the GTID {domain}-*-{last} comes {domain}-{server}-{sequence}")
        self._current = (domain, server, sequence)

    def ended(self) -> None:
        """What began has ended."""
        self._ended = self.place
        if self._current is not None:
            domain, server, sequence = self._current
            self._gtids[domain] = (server, sequence)
            self._sum += 1
            self._current = None

    def idle(self) -> None:
        """The server has nothing more."""
        if self._current is None:
            self._ended = self.place

    def listed(self, domain: int, sequence: int) -> None:
        """A file says what came before it."""
        last = self._gtids.get(domain, (0, 0))[1]
        if self._by_gtid and sequence > last:
            raise FeedGap(
                f"behind the GTID {domain}-*-{last} a file goes on with what comes behind {domain}-*-{sequence}"
            )

    def position(self, shapes: str) -> Position:
        """What is kept of where the last transaction ended."""
        if self._by_gtid:
            where = f"{gtid_text(self._gtids)} {self._server} {self._file}:0:{self._created}"
            return Position(self._history, self._sum, f"{where} {shapes}")
        file, byte = self._ended
        where = f" {self._server} {self._file}:{byte}:{self._created}"
        return Position(self._history, (file << 40) + byte, f"{where} {shapes}")


def number_of(file: str) -> int:
    """The number of a file of the log, which stands behind its last dot."""
    return int(file.rpartition(".")[2])


def gtid_text(gtids: Mapping[int, tuple[int, int]]) -> str:
    """GTIDs as MariaDB writes them."""
    return ",".join(f"{domain}-{server}-{sequence}" for domain, (server, sequence) in gtids.items())


def gtids_of(text: str) -> dict[int, tuple[int, int]]:
    """What `gtid_text` wrote, or the server."""
    found = {}
    for one in filter(None, text.strip().split(",")):
        domain, server, sequence = map(int, one.split("-"))
        found[domain] = (server, sequence)
    return found
