"""What a person sees of a run at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tieout.demo.view import pairs

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
        status, ways = pairs(self.statuses), pairs(self.ways)
        figures = f"accepted {self.accepted} ({status}; by {ways}), repeated {self.repeated}, refused {self.refused}"
        return f"{self.seconds:5.1f} s  {self.phase}: {figures}, conflicts alarmed {self.alarmed}, told {self.planted}"

    def drawn(self, events: Sequence[str]) -> Group:
        figures = Table(title=f"points for a prize: {self.phase}, {self.seconds:.0f} s", min_width=60)
        for name in ("accepted", "final", "running", "held", "repeated", "refused", "alarmed", "told", "kills"):
            figures.add_column(name, justify="right")
        counts = [str(self.statuses.get(name, 0)) for name in ("final", "running", "held")]
        rest = (self.repeated, self.refused, self.alarmed, self.planted, sum(self.kills.values()))
        figures.add_row(str(self.accepted), *counts, *(str(count) for count in rest))
        recent = Table("request", "state", "moved there by", min_width=60)
        for process in self.recent:
            recent.add_row(process.key, process.state, process.moved_by, style=STYLES.get(process.status, ""))
        down = Text(f"down: {', '.join(self.down)}" if self.down else "both services are up", "dim")
        return Group(figures, Text(f"finished by: {pairs(self.ways)}"), recent, down, Text("\n".join(events)))


def style_of(name: str, value: Any) -> str:
    """How a figure of the result is shown."""
    if name == "agreement":
        return "bold green" if value else "bold red"
    return "red" if name in ("unexplained", "lost", "double") and value else ""
