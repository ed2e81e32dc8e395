"""A binlog's events, version 4, as MariaDB and MySQL send them to a replica, made into transactions. Pure.

Sources: MariaDB knowledge base, "Replication Protocol"; MySQL internals, "Binary Log Event". Every event is known, may
be ignored by its own word, or is a gap: one that was passed over might be a change that nobody has seen.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import NamedTuple

from tieout.errors import FeedGap
from tieout.feeds.binlog import statements
from tieout.feeds.binlog.progress import Place, Progress
from tieout.feeds.binlog.tables import Map, Table, image, packed, unzipped
from tieout.feeds.changes import LARGEST, Change, Committed, Heartbeat, Position, Told
from tieout.feeds.shapes import Shapes

HEADER = Struct("<IBIIIH")
GTID = Struct("<QIB")
LISTED = Struct("<IIQ")
QUERY = Struct("<IIBHH")

QUERIES, ROTATE, FORMAT, XID, TABLE_MAP, INCIDENT, HEARTBEAT, XA_PREPARE = 2, 4, 15, 16, 19, 26, 27, 38
MARIADB_GTID, GTID_LIST, QUERY_COMPRESSED = 162, 163, 165
MYSQL_GTID, MYSQL_ANONYMOUS, MYSQL_PARTIAL, MYSQL_PAYLOAD, HEARTBEAT_2 = 33, 34, 39, 40, 41
WRITE, UPDATE, DELETE = 1, 2, 3
ROWS = {
    23: WRITE,
    24: UPDATE,
    25: DELETE,
    30: WRITE,
    31: UPDATE,
    32: DELETE,
    166: WRITE,
    167: UPDATE,
    168: DELETE,
    169: WRITE,
    170: UPDATE,
    171: DELETE,
}
"""Events of rows; those from 30 to 32 and from 169 on have more in front, those from 166 on are compressed."""

LONGER, COMPRESSED = {30, 31, 32, 169, 170, 171}, 166
PASSED = {
    5: "the value of an AUTO_INCREMENT",
    13: "a seed of RAND",
    14: "a variable",
    3: "the server's stop",
    35: "earlier GTIDs",
    36: "a transaction's context",
    37: "a change of the group",
    160: "a statement's text",
    161: "how far recovery goes back",
    164: "that the file is encrypted, which what is sent is not",
}
"""Events that change nothing. What belongs to a statement is judged with the statement."""

MAY_BE_IGNORED, ARTIFICIAL = 0x80, 0x20
STANDALONE = 1
SECOND = 1_000_000


class Expected(NamedTuple):
    """A heartbeat that is told at a place of the log; all that was committed before `at` stands before it."""

    place: Place
    at: int


class Decoder:
    """Turns events into transactions of `tables`; raises `FeedGap` at whatever it cannot tell whole.

    `tables` (database, table) have what they are called, and the columns to tell, or None for all. `position` makes
    what is kept of where the log was read to. `latest` is at or behind the server's time, `beats` are heartbeats to
    come, in order; both are set from outside.
    """

    def __init__(
        self,
        tables: Mapping[tuple[str, str], tuple[str, Sequence[str] | None]],
        charsets: Mapping[int, str],
        shapes: Shapes,
        progress: Progress,
        *,
        checked: bool,
    ) -> None:
        """`checked` says whether events have checksums as long as no file has said it."""
        self._wanted, self._charsets, self._shapes, self._progress = tables, charsets, shapes, progress
        self._known: dict[bytes, Table | None] = {}
        self._tables: dict[int, Table | None] = {}
        self._changes: list[Change] = []
        self._standalone, self._checked = False, checked
        self._watermark = 0
        self.latest = 0
        self.beats: deque[Expected] = deque()
        self._handlers: dict[int, Callable[[bytes, int], Told | None]] = {
            TABLE_MAP: self._describe,
            MARIADB_GTID: self._begin,
            GTID_LIST: self._listed,
            ROTATE: self._rotate,
            FORMAT: self._format,
            HEARTBEAT: self._heartbeat,
            HEARTBEAT_2: self._heartbeat,
            XID: self._commit,
            QUERIES: self._query,
            QUERY_COMPRESSED: self._query,
            XA_PREPARE: self._prepared,
        }

    def feed(self, event: bytes) -> Told | None:
        """Take one event; return what it ends: a transaction that changed something, or a heartbeat."""
        try:
            return self._fed(event)
        except (struct.error, IndexError, KeyError, ValueError) as error:
            raise FeedGap(f"an event came that cannot be read: {event[:60].hex()}") from error

    def due(self) -> Heartbeat | None:
        """A heartbeat whose place the log has been read up to."""
        beats, reached = self.beats, None
        while beats and beats[0].place <= self._progress.place:
            reached = beats.popleft()
        if reached is None or self._changes:
            return None
        self._watermark = max(self._watermark, reached.at)
        return Heartbeat(self._position(), reached.at)

    def _fed(self, event: bytes) -> Told | None:
        at, kind, _, size, ends, flags = HEADER.unpack_from(event)
        if size != len(event):
            raise FeedGap("an event came that is not as long as it says")
        if self._checked and kind != FORMAT:
            if zlib.crc32(event[:-4]) != int.from_bytes(event[-4:], "little"):
                raise FeedGap("an event came damaged: its checksum is not that of what it says")
            event = event[:-4]
        if ends and kind != FORMAT and not flags & ARTIFICIAL:
            self._progress.moved(ends)
        if kind in ROWS:
            self._rows(event, kind)
            return None
        handler = self._handlers.get(kind)
        if handler is not None:
            return handler(event, at)
        if kind in {MYSQL_GTID, MYSQL_ANONYMOUS}:
            self._changes, self._standalone = [], False
        elif kind not in PASSED and not (flags & MAY_BE_IGNORED and kind != MYSQL_PAYLOAD):
            raise FeedGap(UNKNOWN.get(kind, f"an event of the unknown kind {kind} came, which may be a change"))
        return None

    def _position(self) -> Position:
        return self._progress.position(self._shapes.text())

    def _rotate(self, event: bytes, at: int) -> None:
        self._progress.rotated(event[27:].decode(), int.from_bytes(event[19:27], "little"))

    def _format(self, event: bytes, at: int) -> None:
        """What the file's events look like: their checksums, and that their headers are as this decoder reads them."""
        if event[75] != HEADER.size:
            raise FeedGap("the log is of another version: its headers are of another length")
        self._checked = event[-5] == 1
        self._known, self._tables = {}, {}
        self._progress.created(at)

    def _heartbeat(self, event: bytes, at: int) -> Told | None:
        self._progress.idle()
        return self.due()

    def _begin(self, event: bytes, at: int) -> None:
        sequence, domain, flags = GTID.unpack_from(event, 19)
        self._progress.began(domain, int.from_bytes(event[5:9], "little"), sequence)
        self._changes, self._standalone = [], bool(flags & STANDALONE)

    def _listed(self, event: bytes, at: int) -> None:
        count = int.from_bytes(event[19:23], "little") & 0x0FFF_FFFF
        for n in range(count):
            domain, _, sequence = LISTED.unpack_from(event, 23 + n * LISTED.size)
            self._progress.listed(domain, sequence)

    def _describe(self, event: bytes, at: int) -> None:
        """Take in a table; the same description, which comes with each transaction, is read once."""
        body = event[19:]
        if body not in self._known:
            found = Map(body)
            called, columns = self._wanted.get((found.database, found.name), ("", None))
            table = found.table(called, columns, self._charsets) if called else None
            if table is not None:
                self._shapes.seen(called, table.shapes, columns)
            self._known[body] = table
        self._tables[int.from_bytes(body[:6], "little")] = self._known[body]

    def _rows(self, event: bytes, kind: int) -> None:
        table = self._tables[int.from_bytes(event[19:25], "little")]
        if table is None:
            return
        place = 27 + (int.from_bytes(event[27:29], "little") if kind in LONGER else 0)
        count, place = packed(event, place)
        action, width = ROWS[kind], (count + 7) // 8
        whole = (1 << count) - 1
        for _ in range(2 if action == UPDATE else 1):
            if int.from_bytes(event[place : place + width], "little") & whole != whole:
                raise FeedGap(f"{table.name}: rows came without all their columns: binlog_row_image was not FULL")
            place += width
        if count != len(table.columns):
            raise FeedGap(f"{table.name}: a row has other columns than the table was said to have")
        if kind >= COMPRESSED:
            event, place = unzipped(event[place:]), 0
        self._images(table, action, event, place)

    def _images(self, table: Table, action: int, data: bytes, place: int) -> None:
        name, changes = table.name, self._changes
        while place < len(data):
            row, place = image(table, data, place)
            if action == WRITE:
                changes.append(Change(name, None, row))
            elif action == DELETE:
                changes.append(Change(name, row, None))
            else:
                after, place = image(table, data, place)
                changes.append(Change(name, row, after))
        if place != len(data):
            raise FeedGap(f"{name}: a row came that is not as long as it says")
        if len(changes) > LARGEST:
            raise FeedGap(f"{name}: a transaction changes more than {LARGEST} rows")

    def _query(self, event: bytes, at: int) -> Told | None:
        _, _, length, _, status = QUERY.unpack_from(event, 19)
        place = 19 + QUERY.size + status
        database = event[place : place + length].decode()
        place += length + 1
        raw = unzipped(event[place:]) if event[4] == QUERY_COMPRESSED else event[place:]
        statement = raw.decode(errors="replace").strip()
        match statement[:12].upper().split(maxsplit=1)[:1]:
            case ["BEGIN"]:
                self._changes = []
                return None
            case ["COMMIT"]:
                return self._commit(event, at)
            case ["SAVEPOINT"] | ["RELEASE"]:
                return None
            case ["XA"]:
                return self._two_phases(event, at, statement)
            case ["ROLLBACK"]:
                self._rolled_back(whole=not statement.upper().startswith("ROLLBACK TO"))
                return None
        statements.check(statement, database, self._wanted)
        return self._commit(event, at) if self._standalone else None

    def _commit(self, event: bytes, at: int) -> Told | None:
        self._progress.ended()
        if not self._changes:
            return self.due() if self.beats else None
        changes, self._changes = tuple(self._changes), []
        # The log tells whole seconds, of when the last statement began; and a session may set them as it likes.
        told = max(min((at + 1) * SECOND - 1, self.latest), self._watermark)
        return Committed(self._position(), told, changes, self._watermark)

    def _rolled_back(self, *, whole: bool) -> None:
        """Only where tables without transactions took part is this logged, and it undoes some of the rows."""
        if self._changes:
            raise FeedGap("a transaction was rolled back in part: which of its rows stay is not told")
        if whole:
            self._progress.ended()

    def _prepared(self, event: bytes, at: int) -> None:
        self._progress.ended()
        if self._changes:
            raise FeedGap("a transaction in two phases (XA) came: whether its rows stay is decided later")

    def _two_phases(self, event: bytes, at: int, statement: str) -> Told | None:
        """XA START begins and XA END ends what is prepared; its commit or rollback is a group of its own."""
        if statement[:12].upper().split()[1:2] in (["START"], ["BEGIN"], ["END"]):
            return None
        return self._commit(event, at)


UNKNOWN = {
    INCIDENT: "the server says that its log lacks something (an incident)",
    MYSQL_PARTIAL: "rows came in parts: binlog_row_value_options was not empty",
    MYSQL_PAYLOAD: "a compressed transaction came: binlog_transaction_compression was not OFF",
    9: "LOAD DATA was logged as a statement, in place of its rows",
    17: "LOAD DATA was logged as a statement, in place of its rows",
    18: "LOAD DATA was logged as a statement, in place of its rows",
}
