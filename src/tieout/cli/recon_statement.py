"""`tieout recon statement`: what became of a period of a rule."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from tieout.app import App
from tieout.cli import exits
from tieout.cli.printing import Json, clock_time, emit, facts, say, table
from tieout.cli.recon import IN_HTML, PAGE, Day, Name, Since, Until, period_of, write
from tieout.cli.where import ANYWHERE, Where, opened
from tieout.recon.periods import Period
from tieout.recon.report import shown_key
from tieout.recon.statement import Counts, Statement
from tieout.recon.statement_report import statement_lines, statement_page
from tieout.recon.store import Break
from tieout.recon_documents import statement_document

DECIDED = ("settled", "ignored")


async def statement(
    name: Name,
    /,
    *,
    period: Day = None,
    since: Since = None,
    until: Until = None,
    csv: Annotated[Path | None, Parameter(help="Write all breaks of the period to this file, as CSV.")] = None,
    html: Annotated[Path | None, Parameter(help="Write a page for people to this file.")] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=0, lte=100_000), help="How many decisions are listed.")] = 100,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """State what became of a period: matched, found, mended, decided and why, open. Exit 1 unless balanced.

    Needs the App, and not its sources.
    """
    async with opened(where, code=True) as app:
        over = period_of(app.recon.named(name), period, since, until)
        said = await app.recon.statement(name, over)
        decided = [one async for one in _breaks(app, name, over, DECIDED, limit)]
        if csv is not None:
            write(csv, statement_lines([one async for one in _breaks(app, name, over)]))
        if html is not None:
            shown = [one async for one in _breaks(app, name, over, ("open", *DECIDED), IN_HTML + 1)]
            write(html, statement_page(said, shown, IN_HTML))
        if json:
            emit(statement_document(said, decided))
        else:
            _show(said, decided)
    return exits.OK if said.state == "balanced" else exits.NO


async def _breaks(
    app: App, name: str, period: Period, states: tuple[str, ...] = ("",), limit: int = sys.maxsize
) -> AsyncIterator[Break]:
    """Breaks of a period in these states, one state after the other."""
    for state in states:
        after = b""
        while limit > 0 and (
            page := await app.recon.breaks_of_period(name, period, state=state, after=after, limit=min(limit, PAGE))
        ):
            for one in page:
                yield one
            after, limit = page[-1].id, limit - len(page)


def _show(said: Statement, decided: list[Break]) -> None:
    say(f"{said.rule.name}, {said.period}: {said.state}")
    for one in said.why:
        say(f"  {one}")
    lines = [
        ("open from before", said.opening),
        ("matched", said.matched),
        ("found", said.found),
        ("agree again", said.breaks["closed"]),
        ("settled", said.breaks["settled"]),
        ("ignored", said.breaks["ignored"]),
        ("open", said.breaks["open"]),
        ("left out", said.excluded),
    ]
    facts((name, _told(counts)) for name, counts in lines)
    facts(
        (
            ("open at its end", f"{said.closing:,}"),
            ("coverage", "" if said.coverage is None else f"{said.coverage:.2%}"),
            ("version", said.rule.version),
            ("compared", "never" if said.run is None else clock_time(said.run.started)),
        )
    )
    if decided:
        rows = [(shown_key(one), one.outcome, one.state, one.actor or "", one.note or "") for one in decided]
        table(("KEY", "OUTCOME", "DECIDED", "BY", "BECAUSE"), rows)


def _told(counts: Counts) -> str:
    some = [f"{count:,} {name}" for name, count in counts.items() if count]
    return f"{sum(counts.values()):,}" + (f" ({', '.join(some)})" if some else "")
