"""A statement as CSV for programs, and as one HTML page for people, which loads nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from tieout.recon.periods import iso
from tieout.recon.report import STYLE, csv_line, shown_key
from tieout.recon.rules import BREAKS
from tieout.recon.statement import Counts, Statement
from tieout.recon.store import Break

COLUMNS = ("key", "outcome", "state", "decided by", "because", "found first", "closed", "id")
"""The columns of the CSV, a line for each break of the period; what differs stands in the report's CSV."""


def statement_lines(breaks: Iterable[Break]) -> Iterator[str]:
    """CSV, line by line, the header first; made harmless as the report's."""
    yield csv_line(COLUMNS)
    for one in breaks:
        closed = "" if one.closed_at is None else iso(one.closed_at)
        told = [one.actor or "", one.note or ""] if one.state in ("settled", "ignored") else ["", ""]
        yield csv_line([shown_key(one), one.outcome, one.state, *told, iso(one.first_at), closed, one.id.hex()])


def statement_page(said: Statement, breaks: Iterable[Break], shown: int) -> Iterator[str]:
    """The statement, in pieces; of the breaks that are open or decided, the first `shown`."""
    title = escape(f"{said.rule.name}: statement of {iso(said.period.since)} to {iso(said.period.until)}")
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    verdict = {"balanced": "agreed"}.get(said.state, "broken")
    yield f"<h1>{title}</h1><p>The period is <strong class={verdict}>{said.state}</strong>.</p>"
    if said.why:
        yield f"<ul>{''.join(f'<li>{escape(one)}' for one in said.why)}</ul>"
    yield from _counts(said)
    yield from _made(said)
    yield "<h2>Breaks that are open or decided</h2>"
    yield "<table><tr><th>Key<th>Outcome<th>State<th>By<th>Because<th>Found first</tr>"
    count = 0
    for count, one in enumerate(breaks, 1):
        if count > shown:
            break
        yield _row(one)
    more = f"The first {shown:,} are shown; the CSV has all." if count > shown else f"{count:,} in all."
    yield f"</table><p>{more}</p></html>\n"


def _counts(said: Statement) -> Iterator[str]:
    yield "<h2>Account</h2><table><tr><th><th>Keys" + "".join(f"<th>{name}" for name in BREAKS) + "</tr>"
    matched = sum(said.matched.values())
    yield from (
        _line("Open from earlier periods", said.opening),
        f"<tr><td>Matched<td class=number>{matched:,}{'<td>' * len(BREAKS)}</tr>",
        _line("Found in this period", said.found),
        _line("agree again", said.breaks["closed"]),
        _line("settled", said.breaks["settled"]),
        _line("ignored", said.breaks["ignored"]),
        _line("open", said.breaks["open"]),
        f"<tr><th>Open at its end<th class=number>{said.closing:,}{'<th>' * len(BREAKS)}</tr>",
    )
    yield "</table>"


def _line(name: str, counts: Counts) -> str:
    cells = "".join(f"<td class=number>{counts.get(outcome, 0):,}" for outcome in BREAKS)
    return f"<tr><td>{name}<td class=number>{sum(counts.values()):,}{cells}</tr>"


def _made(said: Statement) -> Iterator[str]:
    """How it came about: coverage, versions, what was left out and why."""
    coverage = "nothing was compared" if said.coverage is None else f"{said.coverage:.2%} of keys were judged"
    run = "" if said.run is None else f", compared {said.run.attempt} times, last begun {iso(said.run.started)}"
    yield f"<p>Rule version <code>{escape(said.rule.version)}</code>{run}; {coverage}.</p>"
    if said.versions:
        yield f"<p>Breaks were judged by {', '.join(f'<code>{escape(one)}</code>' for one in said.versions)}.</p>"
    left = [f"{count:,} {name}" for name, count in said.excluded.items() if count]
    if left:
        yield f"<p>Left out: {', '.join(left)}.</p>"
    for one in said.ignores:
        yield f"<p>Not told of from {iso(one.period.since)} to {iso(one.period.until)}: {escape(one.reason)}</p>"


def _row(one: Break) -> str:
    decided = one.state in ("settled", "ignored")
    by, because = (escape(one.actor or ""), escape(one.note or "")) if decided else ("", "")
    key = escape(shown_key(one))
    return (
        f"<tr><td><code>{key}</code><td>{one.outcome}<td>{one.state}<td>{by}<td>{because}<td>{iso(one.first_at)}</tr>"
    )
