"""`tieout process missing`: what a downstream has done, and no process stands for."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, TextIO

import msgspec
from cyclopts import Parameter

from tieout.app import App
from tieout.cli import exits
from tieout.cli.bulk import LINE_EVERY
from tieout.cli.printing import Json, emit, interruptible, note, say
from tieout.cli.where import ANYWHERE, Where, opened
from tieout.errors import ConfigError, UnknownCall
from tieout.identity import parse_call_key

PAGE = 500
"""Lines that are compared in one transaction."""

LINE_LENGTH = 1_000
"""Characters of a line that are read; the rest counts as another line. A call key has 34 to 42."""

Keys = Annotated[
    str,
    Parameter(
        help="A file of call keys, as the downstream has them: the first field of each line; - is standard input.",
        allow_leading_hyphen=True,
    ),
]


class Counts(msgspec.Struct):
    """Call keys that were read, those of them that no process stands for, and lines that are no call keys."""

    keys: int = 0
    missing: int = 0
    foreign: int = 0


async def missing(keys: Keys, /, *, where: Where = ANYWHERE, json: Json = False) -> int:
    """Compare call keys that a downstream has with the processes; print those of no process, exit 1 if there are any.

    What is printed was done by the downstream and is not known here, as after a failover that has lost commits.
    """
    counts, told_at = Counts(), time.monotonic()
    with ExitStack() as files:
        lines = sys.stdin if keys == "-" else files.enter_context(_open(keys))
        async with opened(where) as app:
            for page in _pages(lines):
                await _compare(app, page, counts, as_json=json)
                if time.monotonic() >= told_at + LINE_EVERY:
                    note(f"{counts.keys} call keys, {counts.missing} of no process")
                    told_at = time.monotonic()
    if json:
        emit(counts)
    else:
        note(f"{counts.keys} call keys, {counts.missing} of no process; {counts.foreign} other lines")
    return exits.NO if counts.missing else exits.OK


async def _compare(app: App, page: list[str], counts: Counts, *, as_json: bool) -> None:
    keys = [text for text in page if _is_call_key(text)]
    absent = await app.operate.missing(keys)
    counts.keys += len(keys)
    counts.foreign += len(page) - len(keys)
    counts.missing += len(absent)
    for key in absent:
        if as_json:
            emit({"missing": key})
        else:
            say(key)


def _open(path: str) -> TextIO:
    try:
        return Path(path).open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _pages(lines: TextIO) -> Iterator[list[str]]:
    """The first fields of lines, some hundreds at a time, without empty ones."""
    read = iter(partial(lines.readline, LINE_LENGTH), "")
    fields = filter(None, map(_first_field, read))
    while page := _next_page(fields):
        yield page


def _next_page(fields: Iterator[str]) -> list[str]:
    with interruptible():
        return list(islice(fields, PAGE))


def _first_field(line: str) -> str:
    for separator in ",;\t":
        line = line.partition(separator)[0]
    return line.strip().strip('"')


def _is_call_key(text: str) -> bool:
    try:
        parse_call_key(text)
    except UnknownCall:
        return False
    return True
