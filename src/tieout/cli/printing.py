"""What commands print: JSON for programs, tables for people; times as ISO UTC and as age."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tieout.config import iso

SWITCH = Parameter(negative="", show_default=False)
"""An option that is given or left out."""

Json = Annotated[bool, SWITCH, Parameter(name="--json", help="Print JSON on standard output, and nothing else there.")]
"""The option that every command has."""

READABLE = 12
"""Characters of a cell that a narrow terminal has to have room for beside each other: else rows are lists of facts."""

GAP = 2
"""Blanks between two columns."""

UNBOUNDED = 10_000
"""Columns of an output that is no terminal: nothing is cut or wrapped in a file or a pipe."""

_AGES = ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "m"), (10, 1, "s"))


def ready() -> None:
    """Have standard output take whatever is said: what its encoding has not is escaped, and closed it takes all."""
    if sys.stdout is None:  # a caller may have closed it
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it stays open to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C end what is waited for here, which is no event: the event loop would only note it, and go on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def emit(document: Any) -> None:
    """One JSON document on a line of its own."""
    sys.stdout.flush()
    sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
    sys.stdout.buffer.flush()


def say(line: str = "") -> None:
    """Lines for people, on standard output."""
    _console().print(Text(_lines(line)), soft_wrap=True)


def note(line: str) -> None:
    """One line for people that is no part of the result, on standard error."""
    print(_lines(line), file=sys.stderr)


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table for people. Identifiers in the first column are never cut; what is stored cannot reach the terminal.

    Where a terminal is too narrow for its columns, each row is a list of facts below its identifier.
    """
    cells = [[plain("" if cell is None else str(cell)) for cell in row] for row in rows]
    if _needed(columns, cells) > _console().width:
        for identifier, *others in cells:
            say(identifier)
            facts(zip(columns[1:], others, strict=True))
        return
    grid = _grid(header=True)
    for number, column in enumerate(columns):
        grid.add_column(column, no_wrap=number == 0, overflow="fold")
    _print(grid, cells)


def facts(rows: Iterable[tuple[str, Any]]) -> None:
    """Names and values, indented, without those that are empty."""
    grid = _grid(header=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    _print(grid, ((f"  {name}", value) for name, value in rows if value))


def plain(text: str) -> str:
    """`text` in one line, with everything that could move a terminal's cursor or turn its writing round escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _lines(text: str) -> str:
    return "\n".join(map(plain, text.split("\n")))


def compact(value: Any) -> str:
    """A value as one line of JSON."""
    return msgspec.json.encode(value).decode()


def clock_time(moment: int | None) -> str:
    """A moment as ISO 8601 in UTC, in whole seconds."""
    return "" if moment is None else f"{iso(moment)[:19]}Z"


def age(micros: int) -> str:
    """A duration in the unit that suits it."""
    seconds = micros / 1e6
    for least, unit, name in _AGES:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.1f} s"


def ago(moment: int | None, now: int) -> str:
    """How long ago, or in how long, a moment is."""
    if moment is None:
        return ""
    return f"{age(now - moment)} ago" if moment <= now else f"in {age(moment - now)}"


def when(moment: int | None, now: int) -> str:
    """A moment as ISO 8601 and as age."""
    return "" if moment is None else f"{iso(moment)}  {ago(moment, now)}"


def _needed(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    """The characters that a table needs to be read: the first column whole, a word of each other one."""
    first, *others = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    return first + sum(min(width, READABLE) + GAP for width in others)


def _grid(*, header: bool) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_header=header)


def _print(grid: Table, rows: Iterable[Sequence[Any]]) -> None:
    for row in rows:
        grid.add_row(*(Text(plain("" if cell is None else str(cell))) for cell in row))
    console = _console()
    with console.capture() as drawn:
        console.print(grid)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))


def _console() -> Console:
    wide = None if sys.stdout.isatty() else UNBOUNDED
    return Console(file=sys.stdout, width=wide, highlight=False, markup=False, emoji=False)
