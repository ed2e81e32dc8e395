"""What commands print: JSON for programs, tables for people; times as ISO UTC and as age."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tieout.config import iso

SWITCH = Parameter(negative="", show_default=False)
"""An option that is given or left out."""

Json = Annotated[bool, SWITCH, Parameter(name="--json", help="Print JSON on standard output, and nothing else there.")]
"""The option that every command has."""

UNBOUNDED = 10_000
"""Columns of an output that is no terminal: nothing is cut or wrapped in a file or a pipe."""

_AGES = ((172_800, 86_400, "d"), (7_200, 3_600, "h"), (120, 60, "m"), (10, 1, "s"))


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
    """A table for people. Identifiers in the first column are never cut; what is stored cannot reach the terminal."""
    grid = _grid(header=True)
    for number, column in enumerate(columns):
        grid.add_column(column, no_wrap=number == 0, overflow="fold")
    _print(grid, rows)


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


def _grid(*, header: bool) -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=header)


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
