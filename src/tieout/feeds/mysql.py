"""A feed from MariaDB's or MySQL's binlog, read as a replica reads it."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tieout.database.mysql_errors import from_mysql
from tieout.database.mysql_errors import number_of as number_of_error
from tieout.database.mysql_hosts import Hosts, Link
from tieout.database.mysql_server import be_patient, parse
from tieout.errors import ConfigError, DatabaseUnavailable, FeedGap
from tieout.feeds.binlog import settings as server
from tieout.feeds.binlog.events import Decoder, Expected
from tieout.feeds.binlog.progress import Place, Progress, gtid_text, gtids_of, number_of
from tieout.feeds.binlog.wire import Packets
from tieout.feeds.changes import Committed, Position, Tables, Told
from tieout.feeds.shapes import Shapes
from tieout.feeds.taking import Taking

NOW = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)"

NOT_ALLOWED = 1227

IDLE_BEAT = 250_000_000
"""Nanoseconds after which a server with nothing to send says so, and where its log is."""

HEADER = 4
"""The first byte of a file that belongs to an event."""

PLAIN = re.compile(r"[\w$ -]{1,64}")

PASSED = 1_000
"""Events without anything to tell after which others on the event loop have their turn."""


class MySqlFeed(Taking):
    """The feed of `tables` ("t", or "database.t") of a MariaDB or MySQL server, from its binlog.

    The user needs REPLICATION SLAVE, BINLOG MONITOR (on MySQL: REPLICATION CLIENT), and SELECT on the tables. What a
    session does with `sql_log_bin = 0`, or a foreign key by cascading, is not logged, and no reader of the log sees it.
    A log that was begun anew (`RESET MASTER`) is known by the second in which its file was begun.

    by         "gtid" goes on behind the GTIDs that were read, on whichever server is the primary now; "file" behind a
               place in this server's files. MySQL is read by file.
    server_id  under which the server knows this reader; two readers with the same cut each other off. Without it, one
               is made from the URL and the tables.
    """

    def __init__(
        self, url: str, *, tables: Tables, by: Literal["gtid", "file"] | None = None, server_id: int | None = None
    ) -> None:
        self._settings = parse(url)
        self._by = by
        self._tables: dict[tuple[str, str], tuple[str, Sequence[str] | None]] = {}
        for told in tables:
            database, _, table = told.rpartition(".")
            if not (PLAIN.fullmatch(table) and PLAIN.fullmatch(database or "_")):
                raise ConfigError(f"{told!r} cannot be the name of a table")
            columns = tables[told] if isinstance(tables, Mapping) else None
            self._tables[database or self._settings.database, table] = (told, columns)
        made = zlib.crc32(f"{self._settings.hosts} {sorted(self._tables)}".encode())
        self._server_id = server_id or 1_000_000_000 + made % 3_000_000_000
        self._plain: Link | None = None
        self._asking = asyncio.Lock()
        self._packets: Packets | None = None
        self._decoder: Decoder | None = None
        self._ahead = 0.0
        self._status = ""

    async def open(self, after: Position | None = None) -> Position:
        """Begin behind `after`, or, without one, with what is committed from now on; return where it begins.

        Raise `ConfigError`, naming the setting, for a server or table that does not tell whole changes, and `FeedGap`
        when what comes behind `after` was purged, or is on no server of the URL.
        """
        try:
            self._plain = await self._connect()
            return await self._begin(self._plain, after)
        except BaseException:
            await self.close()
            raise

    async def beat(self) -> None:
        """Ask the server for its time and then where its log is, and tell it once that was read."""
        decoder, packets, link = self._decoder, self._packets, self._plain
        if decoder is None or packets is None or link is None:
            raise ConfigError("open the feed before it beats")
        at, place, _ = await self._now(link)
        decoder.beats.append(Expected(place, at))
        packets.wake()

    async def confirm(self, position: Position) -> None:
        """Nothing: a server purges its log by its age, whoever has read it (`binlog_expire_logs_seconds`)."""

    async def here(self) -> Position:
        """Where the log is now: all that was committed before stands at or before it."""
        if self._plain is not None:
            return await self._end_of(self._plain)
        link = await self._connect()
        try:
            return await self._end_of(link)
        finally:
            link.cut()

    async def close(self) -> None:
        """Let go of both connections."""
        if self._packets is not None:
            self._packets.close()
        if self._plain is not None:
            self._plain.cut()
        self._packets = self._plain = self._decoder = self._failure = None
        await asyncio.sleep(0)  # until then the connections are not cut

    async def _gather(self, told: list[Told], most: int) -> None:
        """Fill `told` with what is there, at least with something."""
        rows = passed = 0
        while rows < most:
            decoder, packets = self._decoder, self._packets
            if decoder is None or packets is None:
                raise DatabaseUnavailable("the feed is not open")
            event = packets.next()
            if event is not None:
                one = decoder.feed(event)
                passed += 1
                if passed % PASSED == 0 and not told:
                    await asyncio.sleep(0)
            elif packets.fill():
                decoder.latest = self._source_time()
                continue
            else:
                one = decoder.due()
                if one is None and told:
                    return
                if one is None:
                    await packets.more()
            if one is not None:
                told.append(one)
                rows += len(one.changes) if isinstance(one, Committed) else 1

    def _source_time(self) -> int:
        """The server's time, or a little later, by how far it was ahead of this event loop's."""
        return int((asyncio.get_running_loop().time() + self._ahead) * 1_000_000)

    async def _connect(self) -> Link:
        from tieout.database.mysql_wire import dial

        return await Hosts(self._settings, dial).connect()

    async def _ask(self, link: Link, statement: str) -> Sequence[Any]:
        async with self._asking:
            try:
                result = await link.query(statement.encode())
            except Exception as error:
                if number_of_error(error) == NOT_ALLOWED:
                    raise ConfigError(f"this user lacks a right: {error.args[-1]}") from error
                raise from_mysql(error, "feed", statement) from error
        return list(result.rows or ())

    async def _now(self, link: Link) -> tuple[int, Place, str]:
        """The server's time; and, asked after it, where its log is, and in which file."""
        before = asyncio.get_running_loop().time()
        at = int((await self._ask(link, NOW))[0][0])
        self._ahead = at / 1_000_000 - before
        file, byte = (await self._ask(link, self._status))[0][:2]
        return at, Place(number_of(str(file)), int(byte)), str(file)

    async def _begin(self, link: Link, after: Position | None) -> Position:
        async def ask(statement: str) -> Sequence[Any]:
            return await self._ask(link, statement)

        settings = await server.check(ask, self._tables)
        self._status = server.status(settings)
        by_gtid = self._is_by_gtid(settings)
        begin = after or await self._end_of(link)
        self._check_history(begin, self._history(settings, by_gtid=by_gtid))
        gtids, server_name, where, shapes = begin.resume.split(" ", 3)
        name, created = where.split(":", 1)[0], int(where.rsplit(":", 1)[1])
        wire = await self._connect()
        packets = self._packets = Packets(wire.wire.connection)  # type: ignore[attr-defined]  # dialled by asyncmy
        progress = Progress(begin.history, gtids=gtids_of(gtids) if by_gtid else None, server=_server_of(settings))
        progress.expect(server_name, name, created)
        file, byte = "", HEADER
        asked = [f"@master_heartbeat_period = {IDLE_BEAT}", "@master_binlog_checksum = @@global.binlog_checksum"]
        if by_gtid:
            asked += ["@mariadb_slave_capability = 4", f"@slave_connect_state = '{gtid_text(gtids_of(gtids))}'"]
            asked += ["@slave_gtid_strict_mode = 1", "@slave_gtid_ignore_duplicates = 0"]
        else:
            asked += ["@mariadb_slave_capability = 4"]
            file, byte = name, int(where.split(":")[1])
            await self._check_file(ask, file, byte)
        await self._ask(wire, be_patient(wire.server.flavour).decode())
        await self._ask(wire, f"SET {', '.join(asked)}")
        checked = settings.get("binlog_checksum", "NONE") != "NONE"
        known = Shapes(shapes if after is not None else "")
        self._decoder = Decoder(self._tables, await server.charsets(ask), known, progress, checked=checked)
        packets.begin(self._server_id, file, byte)
        await packets.begun()
        await self._now(link)
        # What has come by now is read before more is, and was committed before now.
        self._decoder.latest = self._source_time()
        return begin

    def _is_by_gtid(self, settings: Mapping[str, str]) -> bool:
        mariadb = "mariadb" in settings["version"].lower()
        if self._by == "gtid" and not mariadb:
            raise ConfigError("MySQL is read by file: MySqlFeed(…, by='file')")
        return mariadb and self._by != "file"

    def _history(self, settings: Mapping[str, str], *, by_gtid: bool) -> str:
        """What positions are of: the GTIDs of all servers, or the files of this one."""
        return "gtid" if by_gtid else f"file/{_server_of(settings)}"

    def _check_history(self, begin: Position, history: str) -> None:
        if begin.history != history:
            raise FeedGap(f"the log is another one: it was {begin.history}, and now it is {history}")

    async def _check_file(self, ask: server.Ask, file: str, byte: int) -> None:
        """The file that is gone on with has to be there, and to be as long."""
        found = {str(row[0]): int(row[1]) for row in await ask("SHOW BINARY LOGS")}
        if file not in found:
            raise FeedGap(f"{file}, which was being read, was purged")
        if byte > found[file]:
            raise FeedGap(f"{file} is shorter than what was read of it: the log was begun anew")

    async def _end_of(self, link: Link) -> Position:
        variables = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version','server_uuid','server_uid','server_id')"
        settings = {str(row[0]).lower(): str(row[1]) for row in await self._ask(link, variables)}
        self._status = server.status(settings)
        by_gtid = self._is_by_gtid(settings)
        history = self._history(settings, by_gtid=by_gtid)
        _, (number, byte), file = await self._now(link)
        where = f"{_server_of(settings)} {file}:{byte}:0 "
        if not by_gtid:
            return Position(history, (number << 40) + byte, f" {where}")
        gtids = gtids_of(str((await self._ask(link, "SELECT @@global.gtid_binlog_pos"))[0][0] or ""))
        return Position(history, sum(sequence for _, sequence in gtids.values()), f"{gtid_text(gtids)} {where}")


def _server_of(settings: Mapping[str, str]) -> str:
    """One server, as it names itself."""
    return f"{settings.get('server_uuid') or settings.get('server_uid') or ''}/{settings['server_id']}"
