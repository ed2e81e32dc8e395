"""What a comparison came to: CSV for programs, and one HTML page for people, which loads nothing. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from tieout.recon.periods import iso
from tieout.recon.rules import BREAKS
from tieout.recon.store import Break, Run

COLUMNS = (
    "key",
    "outcome",
    "field",
    "upstream",
    "downstream",
    "why",
    "upstream at",
    "downstream at",
    "causes",
    "since",
)
"""The columns of the CSV: one line for each difference, one for a break without any."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula."""

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8884; }
td.number { text-align: right; font-variant-numeric: tabular-nums; width: 8rem; }
.bar { height: .8rem; background: #2a7; } .bar.break { background: #c43; }
.agreed { color: #2a7; } .broken, .empty, .failed { color: #c43; }
code { font-family: ui-monospace, monospace; word-break: break-all; }
"""


def csv_lines(breaks: Iterable[Break]) -> Iterator[str]:
    """CSV, line by line, the header first. What a spreadsheet would take for a formula has an apostrophe in front."""
    yield csv_line(COLUMNS)
    for found in breaks:
        at = [_first_at(found.detail.get(side, {})) for side in ("upstream", "downstream")]
        tail = [*at, "; ".join(found.detail["causes"]), iso(found.first_at)]
        differences = found.detail["differences"] or [{"field": "", "upstream": "", "downstream": "", "why": ""}]
        for one in differences:
            said = [one["field"], one["upstream"], one["downstream"], one["why"]]
            yield csv_line([shown_key(found), found.outcome, *said, *tail])


def html_page(run: Run, breaks: Iterable[Break], shown: int) -> Iterator[str]:
    """The report of one comparison, in pieces; of its breaks, the first `shown`."""
    title = escape(f"{run.rule}: {iso(run.since)} to {iso(run.until)}")
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    yield f"<h1>{title}</h1>"
    yield f"<p>Verdict: <strong class={escape(run.state)}>{escape(run.state)}</strong>. "
    yield f"Rule version <code>{escape(run.version)}</code>, comparison {run.attempt}, begun {iso(run.started)}.</p>"
    yield from _bars(run.totals or {})
    yield "<h2>Breaks</h2><table><tr><th>Key<th>Outcome<th>What differs<th>Possible causes<th>Since</tr>"
    count = 0
    for count, found in enumerate(breaks, 1):
        if count > shown:
            break
        yield _row(found)
    more = f"The first {shown:,} are shown; the CSV has all." if count > shown else f"{count:,} in all."
    yield f"</table><p>{more}</p></html>\n"


def shown_key(found: Break) -> str:
    """A key in one line."""
    return "/".join("NULL" if part is None else part for part in found.key)


def _bars(totals: dict[str, Any]) -> Iterator[str]:
    counts = {name: count for name, count in totals.items() if isinstance(count, int)}
    largest = max([*counts.values(), 1])
    yield "<h2>Totals</h2><table>"
    for name, count in counts.items():
        kind = "bar break" if name in BREAKS else "bar"
        bar = f'<svg width="100%" height="12" role="img" aria-label="{count}"><rect class="{kind}" '
        bar += f'width="{100 * count / largest:.2f}%" height="12" fill="{"#c43" if name in BREAKS else "#2a7"}"/></svg>'
        yield f"<tr><td>{escape(name)}<td class=number>{count:,}<td>{bar}</tr>"
    undated = totals.get("undated", {})
    yield from (
        f"<tr><td>without a time, {escape(side)}<td class=number>{count:,}<td></tr>" for side, count in undated.items()
    )
    yield "</table>"


def _row(found: Break) -> str:
    differences = "<br>".join(
        f"{escape(one['field'])}: <code>{escape(str(one['upstream']))}</code> / "
        f"<code>{escape(str(one['downstream']))}</code> {escape(one['why'])}"
        for one in found.detail["differences"]
    )
    causes = "<br>".join(map(escape, found.detail["causes"]))
    where = differences or escape(", ".join(found.detail["sides"]))
    key = escape(shown_key(found))
    return f"<tr><td><code>{key}</code><td>{found.outcome}<td>{where}<td>{causes}<td>{iso(found.first_at)}</tr>"


def _first_at(side: dict[str, Any]) -> str:
    records = side.get("records") or [{}]
    return records[0].get("at") or ""


def csv_line(cells: Iterable[Any]) -> str:
    """One line of CSV; what a spreadsheet would take for a formula has an apostrophe in front."""
    written = io.StringIO()
    csv.writer(written).writerow([_harmless("" if cell is None else str(cell)) for cell in cells])
    return written.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    return cell[1:].replace(".", "", 1).isdigit()
