"""Pages of an HTTP API, fetched one after the other and kept as files of texts that DuckDB reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tieout.contracts import Param, Row
from tieout.errors import SourceUnreadable
from tieout.recon.paged import Paged
from tieout.recon.threads import to_its_end

ATTEMPTS = 6
"""Times that a page is asked for, before its side cannot be read."""

SECONDS = 60.0
"""Longest that one answer may take, and that the API may have us wait before we ask again."""

LARGEST = 64 << 20
"""Bytes that an answer has at most."""

Sleep = Callable[[float], Awaitable[None]]


class PagedRows:
    """Statements over an API's rows: all pages are fetched when the first statement is run."""

    def __init__(self, source: Paged, url: str, columns: Sequence[str], folder: Path, files: Any) -> None:
        self._source, self._url, self._columns, self._folder = source, url, columns, folder
        self._files, self._fetched = files, False

    @property
    def pattern(self) -> str:
        """The files that hold the pages."""
        return str(self._folder / "page-*.parquet")

    async def stream(self, sql: str, /, *, batch: int, **params: Param) -> AsyncGenerator[Sequence[Row], None]:
        """The rows, batch by batch; raise `SourceUnreadable`."""
        if not self._fetched:
            await self._fetch()
        async with aclosing(self._files.stream(sql, batch=batch, **params)) as batches:
            async for rows in batches:
                yield rows

    async def _fetch(self) -> None:
        count, seen = 0, set[str]()
        async with aclosing(pages(self._source, self._url)) as answers:
            async for rows in answers:
                seen.update(*rows)
                await to_its_end(self._keep, rows, self._folder / f"page-{count:09}.parquet")
                count += 1
        lacking = [column for column in self._columns if column not in seen]
        if seen and lacking:
            raise SourceUnreadable(f"{self._url}: no row has {', '.join(lacking)}")
        if not count:
            self._keep([], self._folder / "page-none.parquet")
        self._fetched = True

    def _keep(self, rows: list[dict[str, str | None]], file: Path) -> None:
        columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in self._columns}
        pq.write_table(pa.table(columns), file)


async def pages(
    source: Paged, url: str, sleep: Sleep = asyncio.sleep
) -> AsyncGenerator[list[dict[str, str | None]], None]:
    """The rows of each page, as texts: numbers as they were sent, to the last digit. Raise `SourceUnreadable`."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, headers=source.headers) as session:
        number, asked, told, before = source.first, set[str](), "", list[dict[str, str | None]]()
        while True:
            parameters = {source.page: str(number)} if source.page else {}
            if source.cursor is not None and told:
                parameters = {source.cursor.parameter: told}
            answer = await _answer(session, url, parameters, sleep)
            rows = _rows(url, answer, source.rows)
            if rows and rows == before:
                raise SourceUnreadable(
                    f"{url}: page {number} has the same rows as the one before it: the API gives its last page again, "
                    f"or does not know {source.page!r}"
                )
            if rows or not source.page:
                yield rows
            told = "" if source.cursor is None else _at(url, answer, source.cursor.path, str) or ""
            if not (rows if source.page else told):
                return
            if told in asked and told:
                raise SourceUnreadable(f"{url}: the API names {told!r} as what follows for the second time")
            asked.add(told)
            before = rows if source.page else []
            number += 1
            await sleep(1 / source.per_second)


async def _answer(session: aiohttp.ClientSession, url: str, parameters: dict[str, str], sleep: Sleep) -> bytes:
    """The body of one page; what may pass is tried again, as late as the API wants."""
    why = ""
    for attempt in range(ATTEMPTS):
        wait = min(2.0**attempt, SECONDS)
        try:
            async with session.get(url, params=parameters, allow_redirects=False) as response:
                if response.status == 200:
                    return await _body(url, response)
                why = f"it answers {response.status}"
                if response.status != 429 and response.status < 500:
                    break
                asked = response.headers.get("Retry-After", "")
                wait = min(float(asked), SECONDS) if asked.isdigit() else wait
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"{type(error).__name__} {error}".strip()
        if attempt + 1 < ATTEMPTS:
            await sleep(wait)
    raise SourceUnreadable(f"{url}: {why}")


async def _body(url: str, response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_chunked(1 << 16):
        body += part
        if len(body) > LARGEST:
            raise SourceUnreadable(f"{url}: an answer has more than {LARGEST >> 20} MB: ask for smaller pages")
    return bytes(body)


def _rows(url: str, answer: bytes, path: str) -> list[dict[str, str | None]]:
    rows: list[dict[str, msgspec.Raw]] = _at(url, answer, path, list[dict[str, msgspec.Raw]])
    if rows is None:
        raise SourceUnreadable(f"{url}: an answer has no list at {path!r}")
    return [{name: _text(bytes(value)) for name, value in row.items()} for row in rows]


def _at(url: str, answer: bytes, path: str, kind: Any) -> Any:
    """What stands at a path such as "meta.next" in an answer; None where nothing does."""
    found = answer
    try:
        for name in filter(None, path.split(".")):
            found = bytes(msgspec.json.decode(found, type=dict[str, msgspec.Raw]).get(name, b"null"))
        if kind is str:
            return _text(found)
        return msgspec.json.decode(found, type=kind | None)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SourceUnreadable(f"{url}: {error}") from error


def _text(value: bytes) -> str | None:
    """A value as text: a number as it was sent, a flag as 1 or 0, None for null."""
    raw = value.decode()
    if raw.startswith('"'):
        return str(msgspec.json.decode(raw))
    return {"null": None, "true": "1", "false": "0"}.get(raw, raw)
