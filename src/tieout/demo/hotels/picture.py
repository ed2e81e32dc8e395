"""What a person sees of a run at one moment, and of its result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tieout.demo.hotels.demand import CLASSES
from tieout.demo.hotels.travellers import Tally
from tieout.demo.view import pairs

SUPPLIERS_SHOWN = 10


@dataclass
class Picture:
    """Everything that is shown at one moment."""

    phase: str = "starting"
    seconds: float = 0.0
    queries: int = 0
    observed: int = 0
    cells: int = 0
    changes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)

    def line(self) -> str:
        """All figures on one line."""
        tally = self.tally
        load = f"{self.observed:,} of {self.cells:,} cells copied" if self.observed < self.cells else "all cells copied"
        orders = f"orders checked {tally.checked.total()}, failed {pairs(tally.failures)}"
        right = share(tally.right.total(), tally.inspected.total())
        return (
            f"{self.seconds:5.1f} s  {self.phase}: {load}, queries {self.queries:,}, changes {self.changes:,}, "
            f"visits {tally.visits}, {orders}, right for readers {right}"
        )

    def drawn(self, events: Sequence[str]) -> Group:
        """As it is drawn in a terminal, with the latest events."""
        tally = self.tally
        figures = Table(title=f"hotels: {self.phase}, {self.seconds:.0f} s", min_width=60)
        for name in ("cells copied", "queries", "changes", "visits", "orders checked", "right for readers"):
            figures.add_column(name, justify="right")
        counts = (self.observed, self.queries, self.changes, tally.visits, tally.checked.total())
        figures.add_row(*(f"{count:,}" for count in counts), share(tally.right.total(), tally.inspected.total()))
        failed = Text(f"order checks that differed: {pairs(tally.failures)}; not to be had: {pairs(tally.unavailable)}")
        return Group(figures, failed, Text(f"faults: {pairs(self.faults)}", "dim"), Text("\n".join(events)))


def share(part: float, whole: float) -> str:
    """A share in per cent."""
    return f"{100 * part / whole:.1f} %" if whole else "none yet"


def freshness_table(summary: Mapping[str, Any]) -> Table:
    """How true the copy is, for whom."""
    table = Table(
        "demand", "cells right", "weighted by demand", "right for readers", "orders as shown", title="freshness"
    )
    for name in CLASSES:
        row = summary["freshness"][name]
        counts = (row["cells_right"], row["wanted_right"], row["right_for_readers"], row["orders_as_shown"])
        table.add_row(name, *("-" if count is None else share(count, 1) for count in counts))
    return table


def suppliers_table(summary: Mapping[str, Any]) -> Table:
    """What the suppliers saw: the busiest ones."""
    suppliers = sorted(summary["suppliers"].items(), key=lambda one: (-one[1]["highest"], one[0]))
    table = Table("supplier", "queries", "of its quota", "most in a window", "allowed", title="seen by the suppliers")
    for name, seen in suppliers[:SUPPLIERS_SHOWN]:
        quota = share(seen["queries"], seen["quota"])
        style = "red" if seen["highest"] > seen["limit"] else ""
        table.add_row(name, str(seen["queries"]), quota, str(seen["highest"]), str(seen["limit"]), style=style)
    if len(suppliers) > SUPPLIERS_SHOWN:
        table.add_row(f"and {len(suppliers) - SUPPLIERS_SHOWN} more", "", "", "", "")
    return table


def style_of(name: str, value: Any) -> str:
    """How a figure of the result is shown."""
    if name == "kept":
        return "bold green" if value else "bold red"
    return ""
