"""A feed from PostgreSQL's write-ahead log: logical replication through `pgoutput`, spoken by psycopg's libpq."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, NoReturn

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap
from tieout.feeds.changes import Committed, Position, Tables, Told
from tieout.feeds.pgoutput import BEAT, Decoder
from tieout.feeds.shapes import Shapes
from tieout.feeds.taking import Taking

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
KEEPALIVE, STATUS = Struct(">QqB"), Struct(">cQQQqB")
CHANGED, ALIVE = b"wk"
XLOG = 25
"""Bytes in front of a message of the log: its kind, where it begins, where the log ends, when it was sent."""

IDENTITIES = """
SELECT n.nspname || '.' || c.relname, c.relreplident, to_jsonb(p) ->> 'rowfilter',
       coalesce((
           SELECT count(*) FROM pg_attribute AS a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
       ) - jsonb_array_length(to_jsonb(p) -> 'attnames'), 0)
FROM pg_publication_tables AS p
JOIN pg_namespace AS n ON n.nspname = p.schemaname
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename
WHERE p.pubname = {publication}
"""

COLUMNS = """
SELECT n.nspname || '.' || c.relname, a.attname
FROM pg_publication_tables AS p
JOIN pg_namespace AS n ON n.nspname = p.schemaname
JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.tablename
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE p.pubname = {publication}
"""

SLOT = """
SELECT plugin, active, coalesce(wal_status, ''), confirmed_flush_lsn - '0/0'::pg_lsn
FROM pg_replication_slots
WHERE slot_name = {slot}
"""

ENDS = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"

PUBLICATION = """
SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate
FROM pg_publication
WHERE pubname = {publication}
"""


SPOKEN = "-c datestyle=ISO -c timezone=UTC -c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=1"
"""How the server writes values, whatever it is configured to: as offline comparisons read them."""

PASSED = 1_000
"""Messages without anything to tell after which others on the event loop have their turn."""


class PostgresFeed(Taking):
    """The feed of `tables` ("t", or "schema.t") of a PostgreSQL database, from a replication slot.

    `confirm` lets the server remove its log. The user needs the attribute REPLICATION, and a publication of these
    tables has to be there. A slot belongs to one feed. Needs the extra `psycopg`.
    """

    def __init__(self, url: str, *, tables: Tables, slot: str = BEAT, publication: str = BEAT) -> None:
        for name in (slot, publication):
            if not NAME.fullmatch(name):
                raise ConfigError(f"{name!r} cannot name a slot or publication: small letters, digits and _")
        self._url, self._slot, self._publication = url, slot, publication
        self._tables: dict[str, Sequence[str] | None] = {
            table if "." in table else f"public.{table}": tables[table] if isinstance(tables, Mapping) else None
            for table in tables
        }
        self._wire: psycopg.AsyncConnection[Any] | None = None
        self._plain: psycopg.AsyncConnection[Any] | None = None
        self._confirmed = 0
        self._decoder: Decoder | None = None

    async def open(self, after: Position | None = None) -> Position:
        """Begin behind `after`, or, without one, with what is committed from now on; return where it begins.

        Raise `ConfigError`, naming the setting, for a server or table that does not tell whole changes, and `FeedGap`
        when what comes behind `after` cannot be had any more: the slot is gone, or the server is another one, or on
        another timeline since a standby was promoted.
        """
        self._wire = await self._connect(replication="database", options=self._spoken())
        try:
            self._plain = await self._connect()
            return await self._begin(after)
        except BaseException:
            await self.close()
            raise

    async def confirm(self, position: Position) -> None:
        """Say that everything up to a position is kept: after a failure the feed can begin behind it."""
        self._confirmed = max(self._confirmed, position.place)
        self._send_status()

    async def beat(self) -> None:
        """Write a heartbeat into the log, which comes back behind all that was committed before."""
        if self._plain is None:
            raise ConfigError("open the feed before it beats")
        try:
            await self._plain.execute("SELECT pg_logical_emit_message(true, %s, '')", (BEAT,))
        except psycopg.Error as error:
            raise DatabaseUnavailable(f"the feed cannot beat: {error}".strip(), error.sqlstate or "") from error

    async def here(self) -> Position:
        """Where the log ends now: all that was committed before stands at or before it.

        A feed that is not open takes a connection for that, one of those that `max_wal_senders` counts.
        """
        if self._plain is not None and self._decoder is not None:
            return Position(self._decoder.history, await self._ends(self._plain))
        wire = await self._connect(replication="database")
        try:
            history = await self._history(wire)
            return Position(history, await _end(wire))
        finally:
            await wire.close()

    async def _ends(self, plain: psycopg.AsyncConnection[Any]) -> int:
        try:
            row = await (await plain.execute(ENDS)).fetchone()
        except psycopg.Error as error:
            raise DatabaseUnavailable(
                f"the feed's connection is lost: {error}".strip(), error.sqlstate or ""
            ) from error
        return int(str(row[0])) if row is not None else 0

    async def close(self) -> None:
        """Let go of both connections; the slot keeps what comes meanwhile."""
        for connection in (self._wire, self._plain):
            if connection is not None:
                await connection.close()
        self._wire = self._plain = self._decoder = self._failure = None

    async def _gather(self, told: list[Told], most: int) -> None:
        """Fill `told` with what is there, at least with something."""
        rows, exhausted = 0, False
        while rows < most:
            came, more = self._taken(told, most - rows)
            rows += more
            if came == PASSED:
                if not told:  # else it would be lost if this is cancelled
                    await asyncio.sleep(0)
            elif not came and exhausted and told:
                return
            elif rows < most:
                exhausted = await self._receive(wait=exhausted and not came)

    def _taken(self, told: list[Told], most: int) -> tuple[int, int]:
        """Take what is here, up to so many rows; return how many messages and rows it had."""
        wire, decoder = self._wire, self._decoder
        if wire is None or wire.closed or decoder is None:
            raise DatabaseUnavailable("the feed was closed")
        next_message, came, rows = wire.pgconn.get_copy_data, 0, 0
        while rows < most and came < PASSED:
            length, view = next_message(1)
            if length <= 0:
                if length < 0:
                    self._end(wire.pgconn)
                break
            data, came = view.tobytes(), came + 1
            if data[0] == CHANGED:
                one = decoder.feed(data, XLOG)
                if one is not None:
                    told.append(one)
                    rows += len(one.changes) if isinstance(one, Committed) else 1
            elif data[0] == ALIVE and KEEPALIVE.unpack_from(data, 1)[2]:
                self._send_status()
        return came, rows

    async def _connect(self, **settings: str) -> psycopg.AsyncConnection[Any]:
        try:
            return await psycopg.AsyncConnection.connect(make_conninfo(self._url, **settings), autocommit=True)
        except psycopg.ProgrammingError as error:
            raise ConfigError(f"this is not a PostgreSQL URL as libpq takes it: {error}".strip()) from error
        except psycopg.Error as error:
            raise DatabaseUnavailable(f"the feed cannot connect: {error}".strip(), error.sqlstate or "") from error

    def _spoken(self) -> str:
        """The options of a session, with those that the URL asks for."""
        try:
            return f"{conninfo_to_dict(self._url).get('options') or ''} {SPOKEN}".strip()
        except psycopg.ProgrammingError as error:
            raise ConfigError(f"this is not a PostgreSQL URL as libpq takes it: {error}".strip()) from error

    async def _history(self, wire: psycopg.AsyncConnection[Any]) -> str:
        """Which log this is: of one cluster, on one timeline."""
        system, timeline, *_ = (await _asked(wire, "IDENTIFY_SYSTEM"))[0]
        return f"{system}/{timeline}"

    async def _begin(self, after: Position | None) -> Position:
        assert self._wire is not None  # noqa: S101 - it is begun only while it is open
        await self._check_settings()
        history = await self._history(self._wire)
        if after is not None and after.history != history:
            raise FeedGap(
                f"the log is another one: system and timeline were {after.history}, and now they are {history}; a "
                "standby that was promoted may not have had all"
            )
        begin = await self._slot_begin(after)
        self._confirmed = begin
        shapes = Shapes(after.resume if after is not None else "")
        self._decoder = Decoder(history, self._tables, shapes)
        options = f"proto_version '1', publication_names '{self._publication}', messages 'true'"
        await self._start(
            f"START_REPLICATION SLOT {self._slot} LOGICAL {begin >> 32:X}/{begin & 0xFFFFFFFF:X} ({options})"
        )
        return Position(history, begin, shapes.text())

    async def _slot_begin(self, after: Position | None) -> int:
        """Where to begin: behind `after` if the slot still has it; without it now."""
        rows = await self._ask(SLOT.format(slot=f"'{self._slot}'"))
        if not rows and after is not None:
            raise FeedGap(f"the replication slot {self._slot} is gone, and with it what came behind {after.place}")
        if not rows:
            return await self._create_slot()
        plugin, active, status, confirmed = rows[0]
        if plugin != "pgoutput":
            raise ConfigError(
                f"the replication slot {self._slot} is for {plugin}, not for pgoutput: name another slot="
            )
        if active == "t":
            raise ConfigError(f"the replication slot {self._slot} is being read by somebody else")
        if after is None:
            return await self._renew_slot(lost=status == "lost")
        if status == "lost":
            raise FeedGap(f"the server has removed what the slot {self._slot} had to keep (max_slot_wal_keep_size)")
        kept = int(str(confirmed))
        if after.place < kept:
            raise FeedGap(f"the slot {self._slot} begins at {kept}, behind {after.place}, which was read last")
        return after.place

    async def _create_slot(self) -> int:
        made = await self._ask(f"CREATE_REPLICATION_SLOT {self._slot} LOGICAL pgoutput NOEXPORT_SNAPSHOT")
        return _place(made[0][1])

    async def _renew_slot(self, *, lost: bool) -> int:
        """Where to begin now with a slot that is there; what it has kept so far was not asked for."""
        if lost:
            await self._ask(f"DROP_REPLICATION_SLOT {self._slot}")
            return await self._create_slot()
        assert self._wire is not None  # noqa: S101 - it is asked only while it is open
        return await _end(self._wire)

    async def _check_settings(self) -> None:
        """Refuse what could not be told whole, naming the setting."""
        level = (await self._ask("SHOW wal_level"))[0][0]
        if level != "logical":
            raise ConfigError(f"wal_level is {level}: a feed needs wal_level = logical, and a restart of the server")
        named = f"'{self._publication}'"
        published = await self._ask(PUBLICATION.format(publication=named))
        wanted = ", ".join(self._tables)
        if not published:
            raise ConfigError(f"there is no publication: CREATE PUBLICATION {self._publication} FOR TABLE {wanted}")
        if published[0][0] != "t":
            raise ConfigError(
                f"the publication {self._publication} leaves out some kinds of changes: "
                f"ALTER PUBLICATION {self._publication} SET (publish = 'insert, update, delete, truncate')"
            )
        found = {row[0]: row[1:] for row in await self._ask(IDENTITIES.format(publication=named))}
        for table in self._tables:
            if table not in found:
                raise ConfigError(f"ALTER PUBLICATION {self._publication} ADD TABLE {table}: it is not published")
            identity, rows, columns = found[table]
            if identity != "f":
                raise ConfigError(f"ALTER TABLE {table} REPLICA IDENTITY FULL: what a row was before is not logged")
            if rows is not None or int(columns or 0) > 0:
                raise ConfigError(f"the publication {self._publication} leaves out rows or columns of {table}")
        there = set(await self._ask(COLUMNS.format(publication=named)))
        for table, wanted_columns in self._tables.items():
            missing = [column for column in wanted_columns or () if (table, column) not in there]
            if missing:
                raise ConfigError(f"{table} has no column {', '.join(missing)}")

    async def _ask(self, statement: str) -> list[tuple[str | None, ...]]:
        assert self._wire is not None  # noqa: S101 - it is asked only while it is open
        return await _asked(self._wire, statement)

    async def _start(self, statement: str) -> None:
        assert self._wire is not None  # noqa: S101 - it is started only while it is open
        result = await asyncio.to_thread(self._wire.pgconn.exec_, statement.encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise FeedGap(f"the server does not begin: {result.error_message.decode(errors='replace').strip()}")
        self._wire.pgconn.nonblocking = 1

    def _end(self, connection: pq.abc.PGconn) -> NoReturn:
        """Say why the stream has ended."""
        said = connection.get_result()
        why = "" if said is None else said.error_message.decode(errors="replace").strip()
        raise DatabaseUnavailable(f"the server has ended the feed: {why or 'without a word'}")

    async def _receive(self, *, wait: bool) -> bool:
        """Take in what the server has sent, once there is something if it is to `wait`; return True."""
        assert self._wire is not None  # noqa: S101 - it is received only while it is open
        connection = self._wire.pgconn
        if wait:
            await _readable(connection.socket)
        try:
            connection.consume_input()
        except psycopg.Error as error:
            raise DatabaseUnavailable(f"the feed's connection is lost: {error}".strip()) from error
        return not wait

    def _send_status(self) -> None:
        """Tell how far everything is kept; it also keeps the connection alive."""
        if self._wire is None or self._wire.closed:
            raise DatabaseUnavailable("the feed is not open")
        place = self._confirmed
        try:
            self._wire.pgconn.put_copy_data(STATUS.pack(b"r", place, place, place, 0, 0))
            self._wire.pgconn.flush()
        except psycopg.Error as error:
            raise DatabaseUnavailable(f"the feed's connection is lost: {error}".strip()) from error


def _place(lsn: str | None) -> int:
    """A place in the log, written as X/X, as a number of bytes."""
    high, low = str(lsn).split("/")
    return (int(high, 16) << 32) + int(low, 16)


async def _end(wire: psycopg.AsyncConnection[Any]) -> int:
    """Where the log ends, also where that is not on the disk yet."""
    return int(str((await _asked(wire, ENDS))[0][0]))


async def _asked(wire: psycopg.AsyncConnection[Any], statement: str) -> list[tuple[str | None, ...]]:
    """The rows of one statement on a replication connection, which knows no parameters."""
    result = await asyncio.to_thread(wire.pgconn.exec_, statement.encode())
    if result.status not in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
        message = result.error_message.decode(errors="replace").strip()
        raise ConfigError(f"the server refuses {statement.split(maxsplit=1)[0]}: {message}")
    return [
        tuple(None if (value := result.get_value(row, n)) is None else value.decode() for n in range(result.nfields))
        for row in range(result.ntuples)
    ]


async def _readable(socket: int) -> None:
    """Wait until a socket has something to read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(socket, wake)
    try:
        await ready
    finally:
        loop.remove_reader(socket)
