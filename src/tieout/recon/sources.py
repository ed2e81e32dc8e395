"""Sides opened: databases through their drivers, files through DuckDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

import duckdb

from tieout.config import zone_of
from tieout.contracts import Database, Param
from tieout.database import connect
from tieout.database.url import sqlite_path
from tieout.errors import ConfigError, DefinitionError, SourceUnreadable
from tieout.recon.define import File, Rule, Side
from tieout.recon.dialects import DIALECTS, FILES
from tieout.recon.paged import Paged
from tieout.recon.paging import PagedRows
from tieout.recon.periods import Period, iso
from tieout.recon.reading import Reading, Rows
from tieout.recon.rules import Field, Judged, SideName
from tieout.recon.threads import to_its_end
from tieout.recon.values import DOMAINS, EPOCH, MICROSECOND, Domain, finite


class Opened(NamedTuple):
    """A side that can be read. `probes`: it can be asked for single keys, as they are now."""

    reading: Reading
    rows: Rows
    probes: bool


class Both(NamedTuple):
    """Both sides of a rule, and what the judge has to know of it."""

    upstream: Opened
    downstream: Opened
    judged: Judged

    @property
    def numbers(self) -> frozenset[int]:
        """The fields that are kept as numbers on both sides, and compared as such."""
        ours, theirs = self.upstream.reading.numbers, self.downstream.reading.numbers
        plain = {place for place, field in enumerate(self.judged.fields) if field.domain == "number"}
        return frozenset(ours.keys() & theirs.keys() & plain)

    @property
    def sides(self) -> tuple[Opened, Opened]:
        """Upstream, then downstream."""
        return self.upstream, self.downstream


@asynccontextmanager
async def opened(rule: Rule, period: Period | None) -> AsyncIterator[Both]:
    """Both sides, checked against the rule. Without a period, files of one day cannot be named.

    Raise `DefinitionError` for columns that are not there or cannot be compared, `ConfigError` or a `DatabaseError` for
    a source that cannot be reached, `SourceUnreadable` for a file.
    """
    async with AsyncExitStack() as stack:
        ours, theirs = [
            await stack.enter_async_context(
                _opened(name, side, _columns(rule, name), period and period.padded(rule.edge), _date(rule, period))
            )
            for name, side in rule.sides
        ]
        yield Both(ours, theirs, judged(rule, ours.reading, theirs.reading))


def judged(rule: Rule, upstream: Reading, downstream: Reading) -> Judged:
    """What the judge has to know; raise `DefinitionError` for columns that cannot be compared with each other."""
    fields = []
    for number, one in enumerate(rule.agree):
        ours, theirs = upstream.fields[number], downstream.fields[number]
        kinds = [column.kind or "text" for column in (ours, theirs)]
        domains: set[Domain] = {"text"} if one.mapping is not None else {DOMAINS[kind] for kind in kinds}
        if len(domains) > 1:
            raise DefinitionError(
                f"{rule.name}: {ours.name} ({ours.type}) cannot be compared with {theirs.name} ({theirs.type})"
            )
        (domain,) = domains
        tolerance = _tolerance(rule, one.upstream, one.tolerance, domain)
        if "float" in kinds and not tolerance:
            raise DefinitionError(
                f"{rule.name}: {one.upstream} is a floating-point number on one side, which is never exact: "
                "write within(…) with a tolerance"
            )
        fields.append(Field(one.upstream, one.downstream, domain, tolerance, one.mapping, one.summed))
    many: frozenset[SideName] = frozenset(name for name, side in rule.sides if side.many)
    return Judged(tuple(fields), many, rule.grace)


def _tolerance(rule: Rule, column: str, given: str | None, domain: Domain) -> Any:
    if given is None:
        return None
    is_duration = given.startswith("us")
    number = finite(given.removeprefix("us"))
    if domain == "text" or is_duration != (domain == "moment" and number != 0):
        wanted = {"text": "text agrees or does not: write same(…)", "moment": 'write a duration, such as "5s"'}
        raise DefinitionError(f"{rule.name}: {column}: {wanted.get(domain, 'write a number')}")
    return number


def _columns(rule: Rule, name: SideName) -> list[str]:
    return [one.upstream if name == "upstream" else one.downstream for one in rule.agree]


def _date(rule: Rule, period: Period | None) -> str | None:
    """The first day of a period in the rule's zone; None without one, or where no calendar reaches."""
    try:
        if period is not None:
            return (EPOCH + period.since * MICROSECOND).astimezone(zone_of(rule.zone)).date().isoformat()
    except OverflowError:
        pass
    return None


@asynccontextmanager
async def _opened(
    name: SideName, side: Side, fields: Sequence[str], period: Period | None, date: str | None
) -> AsyncIterator[Opened]:
    if isinstance(side.source, Paged):
        with TemporaryDirectory(prefix="tieout-pages-") as folder:
            yield _open_pages(name, side, side.source, fields, (period, date), Path(folder))
        return
    if isinstance(side.source, File):
        yield await asyncio.to_thread(_open_files, name, side, side.source, fields, date)
        return
    database: Database = side.source if not isinstance(side.source, str) else _connected(side.source)
    if isinstance(side.source, str):
        await database.open()
    try:
        dialect = DIALECTS[database.dialect]
        rows = await database.read(lambda tx: tx.fetch(dialect.catalogue, table=side.table))
        columns = {row[0]: dialect.column(*row) for row in rows}
        if not columns:
            raise DefinitionError(f"{name}: there is no table {side.table!r}, or this user may not see it")
        yield Opened(Reading(name, side, dialect, dialect.table(side.table), columns, fields), database, probes=True)
    finally:
        if isinstance(side.source, str):
            await database.close()


def _connected(url: str) -> Database:
    path = sqlite_path(url) if url.startswith("sqlite") else None
    if path is not None and not path.exists():
        raise ConfigError(f"there is no database file {path}")
    return connect(url)


def _open_files(name: SideName, side: Side, files: File, fields: Sequence[str], date: str | None) -> Opened:
    path = files.path
    if "{date}" in path:
        if date is None:
            raise ConfigError(f"{path} is different for each period: name one")
        path = path.replace("{date}", date)
    if not any(file.is_file() for file in Path(path).parent.glob(Path(path).name)):
        raise SourceUnreadable(f"{name}: there is no file {path}")
    quoted = path.replace("'", "''")
    text = f"read_csv('{quoted}', header = true, all_varchar = true, delim = '{files.delimiter}', quote = '\"',"
    text += " strict_mode = true, union_by_name = true, nullstr = '', allow_quoted_nulls = false)"
    table = text if files.format == "csv" else f"read_parquet('{quoted}', union_by_name = true)"
    rows = FileRows(name)
    described = rows.fetch(f"DESCRIBE SELECT * FROM {table}")  # noqa: S608 - a path of the rule's, quoted
    columns = {column: FILES.column(column, kind) for column, kind, *_ in described}
    return Opened(Reading(name, side, FILES, table, columns, fields), rows, probes=False)


def _open_pages(
    name: SideName, side: Side, source: Paged, fields: Sequence[str], when: tuple[Period | None, str | None], to: Path
) -> Opened:
    period, date = when
    told = {} if period is None else {"date": date, "since": iso(period.since), "until": iso(period.until)}
    url = source.url
    for word, value in told.items():
        url = url.replace(f"{{{word}}}", quote(value or ""))
    named = [*side.key, *fields, *([side.at.column] if side.at else []), *([side.when.column] if side.when else [])]
    columns = {column: FILES.column(column, "VARCHAR") for column in named}
    rows = PagedRows(source, url, list(columns), to, FileRows(name))
    table = f"read_parquet('{rows.pattern}')"
    return Opened(Reading(name, side, FILES, table, columns, fields), rows, probes=False)


class FileRows:
    """Statements over files, run by DuckDB in a thread."""

    def __init__(self, name: SideName) -> None:
        self._name = name

    def fetch(self, sql: str) -> list[tuple[Any, ...]]:
        """All rows; raise `SourceUnreadable`."""
        try:
            with duckdb.connect() as connection:
                return connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise self._unreadable(error) from error

    async def stream(self, sql: str, /, *, batch: int, **params: Param) -> AsyncGenerator[Sequence[Any], None]:
        """The rows, batch by batch; raise `SourceUnreadable` for what is no file of this format."""
        connection = duckdb.connect()
        try:
            named = dict(params)
            await to_its_end(connection.execute, _dollars(sql, named), named)
            while rows := await to_its_end(connection.fetchmany, batch):
                yield rows
        except duckdb.Error as error:
            raise self._unreadable(error) from error
        finally:
            connection.close()

    def _unreadable(self, error: duckdb.Error) -> SourceUnreadable:
        return SourceUnreadable(f"{self._name}: {str(error).partition(chr(10) * 2)[0]}"[:1_000])


def _dollars(statement: str, names: dict[str, Param]) -> str:
    """The statement with its parameters as DuckDB spells them."""
    for name in names:
        statement = statement.replace(f":{name}", f"${name}")
    return statement
