"""A feed from PostgreSQL's write-ahead log: logical replication through `pgoutput`, spoken by psycopg's libpq."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from struct import Struct
from typing import Any

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap
from tieout.feeds.changes import Committed, Heartbeat, Position
from tieout.feeds.pgoutput import BEAT, Decoder

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
KEEPALIVE, STATUS = Struct(">QqB"), Struct(">cQQQqB")
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

SLOT = """
SELECT plugin, active, coalesce(wal_status, ''), confirmed_flush_lsn - '0/0'::pg_lsn
FROM pg_replication_slots
WHERE slot_name = {slot}
"""

PUBLICATION = """
SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate
FROM pg_publication
WHERE pubname = {publication}
"""


class PostgresFeed:
    """What was committed to `tables` (schema.table), in order, from a replication slot.

    `open` says from where; `read` tells; `confirm` lets the server forget. The user needs the attribute REPLICATION,
    and a publication of these tables has to be there. Needs the extra `psycopg`.
    """

    def __init__(self, url: str, *, tables: Sequence[str], slot: str = BEAT, publication: str = BEAT) -> None:
        for name in (slot, publication):
            if not NAME.fullmatch(name):
                raise ConfigError(f"{name!r} cannot name a slot or publication: small letters, digits and _")
        self._url, self._slot, self._publication = url, slot, publication
        self._tables = [table if "." in table else f"public.{table}" for table in tables]
        self._wire: psycopg.AsyncConnection[Any] | None = None
        self._plain: psycopg.AsyncConnection[Any] | None = None
        self._confirmed = 0
        self._decoder: Decoder | None = None

    async def open(self, after: Position | None = None) -> Position:
        """Begin behind `after`, or, without one, with what is committed from now on; return where it begins.

        Raise `ConfigError`, naming the setting, for a server or table that does not tell whole changes, and `FeedGap`
        when what comes behind `after` cannot be had any more.
        """
        try:
            self._wire = await psycopg.AsyncConnection.connect(
                make_conninfo(self._url, replication="database"), autocommit=True
            )
            self._plain = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        except psycopg.ProgrammingError as error:
            raise ConfigError(f"this is not a PostgreSQL URL as libpq takes it: {error}".strip()) from error
        except psycopg.Error as error:
            await self.close()
            raise DatabaseUnavailable(f"the feed cannot connect: {error}".strip(), error.sqlstate or "") from error
        try:
            return await self._begin(after)
        except BaseException:
            await self.close()
            raise

    async def read(self) -> AsyncIterator[Committed | Heartbeat]:
        """Transactions in the order of their commits, and heartbeats; it waits for more without an end.

        Raise `FeedGap` for what cannot be told whole, `DatabaseUnavailable` when the connection is lost: open it again
        behind the last position that was taken in.
        """
        if self._decoder is None:
            raise ConfigError("open the feed before it is read")
        while True:
            data = await self._message()
            if data[:1] == b"w":
                told = self._decoder.feed(data[XLOG:])
                if told is not None:
                    yield told
            elif data[:1] == b"k" and KEEPALIVE.unpack_from(data, 1)[2]:
                self._send_status()

    async def confirm(self, position: Position) -> None:
        """Say that everything up to a position is kept: after a failure the feed begins behind it."""
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

    async def close(self) -> None:
        """Let go of both connections; the slot keeps what comes meanwhile."""
        for connection in (self._wire, self._plain):
            if connection is not None:
                await connection.close()
        self._wire = self._plain = self._decoder = None

    async def _begin(self, after: Position | None) -> Position:
        await self._check_settings()
        system, timeline, *_ = (await self._ask("IDENTIFY_SYSTEM"))[0]
        here = Position(str(system), int(str(timeline)), 0)
        if after is not None and (after.system, after.timeline) != (here.system, here.timeline):
            raise FeedGap(
                f"the log is another one: it was read from system {after.system}, timeline {after.timeline}, and "
                f"this is system {here.system}, timeline {here.timeline}"
            )
        begin = await self._slot_begin(after)
        self._confirmed = begin
        self._decoder = Decoder(here.system, here.timeline)
        options = f"proto_version '1', publication_names '{self._publication}', messages 'true'"
        await self._start(
            f"START_REPLICATION SLOT {self._slot} LOGICAL {begin >> 32:X}/{begin & 0xFFFFFFFF:X} ({options})"
        )
        return Position(here.system, here.timeline, begin)

    async def _slot_begin(self, after: Position | None) -> int:
        """Where to begin: behind `after` if the slot still has it; a new slot begins now."""
        rows = await self._ask(SLOT.format(slot=f"'{self._slot}'"))
        if not rows and after is not None:
            raise FeedGap(f"the replication slot {self._slot} is gone, and with it what came behind {after.place}")
        if not rows:
            made = await self._ask(f"CREATE_REPLICATION_SLOT {self._slot} LOGICAL pgoutput NOEXPORT_SNAPSHOT")
            high, low = str(made[0][1]).split("/")
            return (int(high, 16) << 32) + int(low, 16)
        plugin, active, status, confirmed = rows[0]
        if plugin != "pgoutput":
            raise ConfigError(
                f"the replication slot {self._slot} is for {plugin}, not for pgoutput: name another slot="
            )
        if active == "t":
            raise ConfigError(f"the replication slot {self._slot} is being read by somebody else")
        if status == "lost":
            raise FeedGap(f"the server has removed what the slot {self._slot} had to keep (max_slot_wal_keep_size)")
        kept = int(str(confirmed))
        if after is not None and after.place < kept:
            raise FeedGap(f"the slot {self._slot} begins at {kept}, behind {after.place}, which was read last")
        return kept if after is None else after.place

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

    async def _ask(self, statement: str) -> list[tuple[str | None, ...]]:
        """The rows of one statement on the replication connection, which knows no parameters."""
        assert self._wire is not None  # noqa: S101 - it is asked only while it is open
        result = await asyncio.to_thread(self._wire.pgconn.exec_, statement.encode())
        if result.status not in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
            message = result.error_message.decode(errors="replace").strip()
            raise ConfigError(f"the server refuses {statement.split(maxsplit=1)[0]}: {message}")
        return [
            tuple(
                None if (value := result.get_value(row, n)) is None else value.decode() for n in range(result.nfields)
            )
            for row in range(result.ntuples)
        ]

    async def _start(self, statement: str) -> None:
        assert self._wire is not None  # noqa: S101 - it is started only while it is open
        result = await asyncio.to_thread(self._wire.pgconn.exec_, statement.encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise FeedGap(f"the server does not begin: {result.error_message.decode(errors='replace').strip()}")
        self._wire.pgconn.nonblocking = 1

    async def _message(self) -> bytes:
        """The next message of the stream; raise `DatabaseUnavailable` when it ends."""
        while True:
            if self._wire is None or self._wire.closed:
                raise DatabaseUnavailable("the feed was closed")
            connection = self._wire.pgconn
            length, data = connection.get_copy_data(1)
            if length > 0:
                return bytes(data)
            if length < 0:
                said = connection.get_result()
                why = "" if said is None else said.error_message.decode(errors="replace").strip()
                raise DatabaseUnavailable(f"the server has ended the feed: {why or 'without a word'}")
            await _readable(connection.socket)
            try:
                connection.consume_input()
            except psycopg.Error as error:
                raise DatabaseUnavailable(f"the feed's connection is lost: {error}".strip()) from error

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
