"""What a person sees while it runs: a live table in a terminal, plain lines elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

EVENTS_SHOWN = 5
LINE_EVERY_SECONDS = 2.0
STYLES = {"final": "green", "held": "yellow", "running": "cyan"}


@dataclass
class Recent:
    """A process that has just moved: its request key, where it stands, and who moved it there."""

    key: str
    state: str
    status: str
    moved_by: str


@dataclass
class Picture:
    """Everything that is shown at one moment."""

    phase: str = "starting"
    seconds: float = 0.0
    accepted: int = 0
    refused: int = 0
    repeated: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    ways: dict[str, int] = field(default_factory=dict)
    kills: dict[str, int] = field(default_factory=dict)
    down: list[str] = field(default_factory=list)
    planted: int = 0  # told for certain; lags behind the alarms, as both claims must have been acknowledged
    alarmed: int = 0
    recent: list[Recent] = field(default_factory=list)

    def line(self) -> str:
        """All figures on one line."""
        status, ways = _pairs(self.statuses), _pairs(self.ways)
        figures = f"accepted {self.accepted} ({status}; by {ways}), repeated {self.repeated}, refused {self.refused}"
        return f"{self.seconds:5.1f} s  {self.phase}: {figures}, conflicts alarmed {self.alarmed}, told {self.planted}"


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
            self._live.update(self._drawn(picture), refresh=True)
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

    def result(self, summary: dict[str, Any]) -> None:
        """The table at the end."""
        table = Table(title="points for a prize: do both sides agree?", show_header=False)
        for name, value in summary.items():
            shown = _pairs(value) if isinstance(value, dict) else str(value).lower()
            table.add_row(name.replace("_", " "), shown, style=_verdict_style(name, value))
        self._console.print(table)

    def _drawn(self, picture: Picture) -> Group:
        figures = Table(title=f"points for a prize: {picture.phase}, {picture.seconds:.0f} s", min_width=60)
        for name in ("accepted", "final", "running", "held", "repeated", "refused", "alarmed", "told", "kills"):
            figures.add_column(name, justify="right")
        counts = [str(picture.statuses.get(name, 0)) for name in ("final", "running", "held")]
        rest = (picture.repeated, picture.refused, picture.alarmed, picture.planted, sum(picture.kills.values()))
        figures.add_row(str(picture.accepted), *counts, *(str(count) for count in rest))
        recent = Table("request", "state", "moved there by", min_width=60)
        for process in picture.recent:
            recent.add_row(process.key, process.state, process.moved_by, style=STYLES.get(process.status, ""))
        down = Text(f"down: {', '.join(picture.down)}" if picture.down else "both services are up", "dim")
        return Group(figures, Text(f"finished by: {_pairs(picture.ways)}"), recent, down, Text("\n".join(self._events)))


def _pairs(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "nothing yet"


def _verdict_style(name: str, value: Any) -> str:
    if name == "agreement":
        return "bold green" if value else "bold red"
    return "red" if name in ("unexplained", "lost", "double") and value else ""
