"""`tieout recon`: both sides of a rule compared."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from tieout.app import App
from tieout.cli import exits
from tieout.cli.lasting import settled
from tieout.cli.printing import SWITCH, Json, clock_time, emit, facts, note, say, table
from tieout.cli.where import ANYWHERE, Where, found, opened
from tieout.cli.who import Who
from tieout.config import zone_of
from tieout.errors import ConfigError, UnknownRun
from tieout.identity import hex_id, parse_json
from tieout.recon.define import Rule
from tieout.recon.periods import Period, between, day
from tieout.recon.report import csv_lines, html_page, shown_key
from tieout.recon.store import Break, Run
from tieout.recon_documents import report_document, run_document

commands = cyclopts.App(
    name="recon",
    help="Both sides of a rule compared, over a period and live: run, report, worker, status, breaks, and more.",
)

Name = Annotated[str, Parameter(help="The rule's name.")]
Day = Annotated[str | None, Parameter(name="--period", help="One day in the rule's zone: 2030-01-31.")]
Since = Annotated[str | None, Parameter(name="--from", help="The first day or time that is compared.")]
Until = Annotated[str | None, Parameter(name="--to", help="The day or time before which it ends.")]
Engine = Literal["duckdb", "spark"]
Outcome = Literal["missing", "orphan", "differs", "duplicate"]

PAGE = 1_000
"""Breaks that are read at a time."""

IN_HTML = 5_000
"""Breaks that a page for people shows."""

EVERY = 2.0
"""Seconds between two lines of progress."""


@commands.command(name="list")
async def list_rules(*, where: Where = ANYWHERE, json: Json = False) -> None:
    """List the App's rules. Needs the App, and no database."""
    async with found(where, code=True) as app:
        rules = list(app.recon.rules.values())
    if json:
        for rule in rules:
            emit({"rule": rule.name, "version": rule.version, "owner": rule.owner, "offline": not rule.needs_time})
        return
    table(("RULE", "VERSION", "OWNER", "OFFLINE"), [_listed(rule) for rule in rules])


@commands.command
async def check(
    name: Name,
    /,
    *,
    period: Day = None,
    since: Since = None,
    until: Until = None,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Hold a rule against its sources, and say how each field is compared. Needs the App.

    A period is needed only for files that are named by their date.
    """
    async with found(where, code=True) as app:
        rule = _named(app, name)
        judged = await app.recon.check(
            name, None if period is None and since is None else period_of(rule, period, since, until)
        )
    fields = [
        {
            "field": field.name,
            "as": field.domain,
            "within": None if field.tolerance is None else str(field.tolerance),
            "summed": field.summed,
        }
        for field in judged.fields
    ]
    if json:
        emit({"rule": name, "version": rule.version, "anchor": judged.anchor, "fields": fields})
        return
    table(("FIELD", "COMPARED AS", "WITHIN"), [(one["field"], one["as"], one["within"] or "") for one in fields])


@commands.command(name="test")
async def try_rows(
    name: Name,
    /,
    *,
    upstream: Annotated[Path, Parameter(help="A file with a JSON list of rows, each an object by column.")],
    downstream: Annotated[Path, Parameter(help="The same of the other side.")],
    period: Day = None,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Judge given rows as comparing would. Exit 1 if some do not agree. Needs the App."""
    async with found(where, code=True) as app:
        rule = _named(app, name)
        over = None if period is None else period_of(rule, period, None, None)
        verdicts = await app.recon.test(name, _rows(upstream), _rows(downstream), over)
    documents: list[dict[str, Any]] = [
        {
            "key": key,
            "outcome": verdict.outcome,
            "sides": verdict.sides,
            "differences": [one._asdict() for one in verdict.differences],
        }
        for key, verdict in verdicts
    ]
    if json:
        for document in documents:
            emit(document)
    else:
        told = [("/".join(key), verdict.outcome, _told(verdict.differences)) for key, verdict in verdicts]
        table(("KEY", "OUTCOME", "WHAT DIFFERS"), told)
    return exits.NO if any(verdict.is_break for _, verdict in verdicts) else exits.OK


@commands.command
async def run(
    name: Name,
    /,
    *,
    period: Day = None,
    since: Since = None,
    until: Until = None,
    folder: Annotated[Path, Parameter(help="Where snapshots lie until the comparison has ended.")] = Path("recon"),
    unfinished: Annotated[bool, SWITCH, Parameter(help="Compare a period that has not passed yet.")] = False,
    engine: Annotated[Engine, Parameter(help="What finds the pairs that plainly agree.")] = "duckdb",
    spark: Annotated[str, Parameter(env_var="TIEOUT_SPARK", help="The Spark Connect server: sc://host:15002.")] = "",
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Compare both sides over a period; exit 1 if breaks are open, or nothing was compared. Needs the App.

    With --engine spark, the cluster's workers read and write --folder, at the same path as this program.
    """
    if engine == "spark" and not spark:
        raise ConfigError("--engine spark needs to know where: --spark sc://host:15002, or TIEOUT_SPARK")
    async with opened(where, code=True) as app:
        rule = _named(app, name)
        ended = await app.recon.run(
            name,
            period_of(rule, period, since, until),
            folder=folder,
            progress=Progress(),
            unfinished=unfinished,
            spark=spark if engine == "spark" else "",
        )
        await _show(app, ended, limit=20, as_json=json)
    return exits.OK if ended.state == "agreed" else exits.NO


@commands.command
async def report(
    name: Name,
    /,
    *,
    period: Day = None,
    since: Since = None,
    until: Until = None,
    csv: Annotated[Path | None, Parameter(help="Write all open breaks to this file, as CSV.")] = None,
    html: Annotated[Path | None, Parameter(help="Write a page for people to this file.")] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=0, lte=100_000), help="How many breaks are listed.")] = 100,
    outcome: Annotated[Outcome | None, Parameter(help="Only breaks of this kind.")] = None,
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """Tell what the latest comparison over a period came to; exit 1 if breaks are open. Needs the App."""
    async with opened(where, code=True) as app:
        latest = await app.recon.read(name, period_of(_named(app, name), period, since, until))
        if csv is not None:
            write(csv, csv_lines([one async for one in _breaks(app, latest, outcome or "")]))
        if html is not None:
            shown = [one async for one in _breaks(app, latest, outcome or "", IN_HTML + 1)]
            write(html, html_page(latest, shown, IN_HTML))
        await _show(app, latest, limit=limit, as_json=json, outcome=outcome or "")
    return exits.OK if latest.state == "agreed" else exits.NO


@commands.command
async def runs(
    name: Annotated[str, Parameter(help="Only comparisons by this rule.")] = "",
    /,
    *,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=1_000), help="How many, 1 to 1000.")] = 50,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """List comparisons, the latest first; with --json, one document a line."""
    async with opened(where) as app:
        page = await app.recon.runs(name, limit=limit)
    if json:
        for one in page:
            emit(run_document(one))
        return
    rows = [
        (one.rule, clock_time(one.since), clock_time(one.until), one.state, clock_time(one.started)) for one in page
    ]
    table(("RULE", "FROM", "TO", "STATE", "BEGUN"), rows)


@commands.command
async def abort(
    number: Annotated[str, Parameter(help="The comparison's id: see `tieout recon runs --json`.")],
    /,
    *,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Have a comparison end that is at work, here or elsewhere; what it has read whole is taken up by the next."""
    run = hex_id(number, UnknownRun(f"{number[:100]!r} is no comparison's id: 32 hex digits"))
    async with opened(where) as app:
        found = await app.recon.abort(run, actor=who.act.actor, reason=who.reason)
    if json:
        emit(run_document(found))
    else:
        say(f"{found.rule}, {found.period}: ends within a second or two")


class Progress:
    """How far a comparison is, a line every few seconds on standard error.

    Once both sides are read, what the program is made of stays: the collector of garbage need not look at it again and
    again while breaks are judged.
    """

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    async def __call__(self, what: str, count: int) -> None:
        now = time.monotonic()
        if what == "comparing" and what not in self._last:
            settled()
        if now - self._last.get(what, 0.0) >= EVERY:
            self._last[what] = now
            note(f"{what}: {count:,}" if count else what)


def _named(app: App, name: str) -> Rule:
    return app.recon.named(name)


def period_of(rule: Rule, one: str | None, since: str | None, until: str | None) -> Period:
    """The period that options name, in the rule's zone; raise `ConfigError`."""
    zone = zone_of(rule.zone)
    if one is not None and since is None and until is None:
        return day(one, zone)
    if one is None and since is not None and until is not None:
        return between(since, until, zone)
    raise ConfigError("name the period: --period with a day, or --from and --to")


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        rows = parse_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{file} has to hold a JSON list of objects, a row each")
    return rows


async def _breaks(app: App, of: Run, outcome: str, limit: int = sys.maxsize) -> AsyncIterator[Break]:
    after = b""
    while limit > 0 and (page := await app.recon.breaks(of.id, outcome=outcome, after=after, limit=min(limit, PAGE))):
        for one in page:
            yield one
        after, limit = page[-1].id, limit - len(page)


async def _show(app: App, of: Run, *, limit: int, as_json: bool, outcome: str = "") -> None:
    breaks = [one async for one in _breaks(app, of, outcome, limit)]
    if as_json:
        emit(report_document(of, breaks))
        return
    say(f"{of.rule}, {of.period}: {of.state}")
    facts((name, f"{count:,}") for name, count in (of.totals or {}).items() if isinstance(count, int) and count)
    facts((f"without a time, {side}", count) for side, count in (of.totals or {}).get("undated", {}).items())
    if breaks:
        table(
            ("KEY", "OUTCOME", "WHAT DIFFERS", "POSSIBLE CAUSES"),
            [(shown_key(one), one.outcome, said(one), "; ".join(one.detail["causes"])) for one in breaks],
        )


def said(one: Break) -> str:
    """What differs, in one line."""
    return "; ".join(f"{d['field']}: {d['upstream']} / {d['downstream']}" for d in one.detail["differences"])


def _told(differences: Any) -> str:
    return "; ".join(f"{one.field}: {one.upstream} / {one.downstream} ({one.why})" for one in differences)


def _listed(rule: Rule) -> tuple[str, ...]:
    return rule.name, rule.version, rule.owner, "yes" if not rule.needs_time else f"no: {rule.needs_time[0]} has no at="


def write(file: Path, pieces: Any) -> None:
    """Write a file, piece by piece; raise `ConfigError` when it cannot be written."""
    try:
        with file.open("w", encoding="utf-8", newline="") as output:
            output.writelines(pieces)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
