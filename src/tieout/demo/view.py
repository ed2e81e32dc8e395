"""What a person sees while a demo runs: a live picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.table import Table

EVENTS_SHOWN = 5
LINE_EVERY_SECONDS = 2.0


class Picture(Protocol):
    """Everything that is shown at one moment."""

    seconds: float

    def line(self) -> str:
        """All figures on one line."""
        ...

    def drawn(self, events: Sequence[str], /) -> RenderableType:
        """As it is drawn in a terminal, with the latest events."""
        ...


class View:
    """Shows pictures and events on a console, which is standard error when the result is printed as JSON."""

    def __init__(self, *, on_stderr: bool) -> None:
        self._console = Console(stderr=on_stderr, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._events: list[str] = []
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, picture: Picture) -> None:
        """Draw it, or print its figures from time to time."""
        if self._console.is_terminal:
            self._live.update(picture.drawn(self._events), refresh=True)
        elif picture.seconds >= self._next_line:
            self._next_line = picture.seconds + LINE_EVERY_SECONDS
            self._console.print(picture.line(), soft_wrap=True)

    def event(self, seconds: float, what: str) -> None:
        """Something that a person wants to know happened."""
        line = f"{seconds:5.1f} s  {what}"
        self._events = [*self._events, line][-EVENTS_SHOWN:]
        if not self._console.is_terminal:
            self._console.print(line, soft_wrap=True)

    def say(self, what: str) -> None:
        """Print a line that stays."""
        self._console.print(what, soft_wrap=True, markup=False)

    def table(self, table: Table) -> None:
        """Print a table that stays."""
        self._console.print(table)

    def result(self, title: str, summary: Mapping[str, Any], style_of: Callable[[str, Any], str]) -> None:
        """The figures at the end."""
        table = Table(title=title, show_header=False)
        for name, value in summary.items():
            shown = pairs(value) if isinstance(value, dict) else str(value).lower()
            table.add_row(name.replace("_", " "), shown, style=style_of(name, value))
        self.table(table)


def pairs(counts: Mapping[str, Any]) -> str:
    """Names and figures on one line."""
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing yet"
