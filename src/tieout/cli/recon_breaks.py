"""`tieout recon breaks`, and what a person may do with one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from tieout.cli import exits
from tieout.cli.printing import Json, clock_time, emit, facts, note, say, table
from tieout.cli.recon import Outcome, said
from tieout.cli.where import ANYWHERE, Where, opened
from tieout.cli.who import Who
from tieout.errors import UnknownBreak
from tieout.identity import hex_id
from tieout.recon.facts import SIDES
from tieout.recon.report import shown_key
from tieout.recon.store import Break
from tieout.recon_documents import break_detail, break_document

Numbers = Annotated[list[str], Parameter(help="Their ids: see `tieout recon breaks`.", negative="")]


async def breaks(
    name: Annotated[str, Parameter(help="Only of this rule.")] = "",
    /,
    *,
    state: Annotated[
        Literal["open", "closed", "settled", "ignored", "any"], Parameter(help="Only in this state.")
    ] = "open",
    outcome: Annotated[Outcome | None, Parameter(help="Only breaks of this kind.")] = None,
    limit: Annotated[int, Parameter(validator=Number(gte=1, lte=10_000), help="How many, 1 to 10000.")] = 100,
    after: Annotated[str, Parameter(help="Go on behind the break with this id.")] = "",
    where: Where = ANYWHERE,
    json: Json = False,
) -> int:
    """List breaks, found live or offline; with --json, one document a line. Exit 1 if there are any."""
    behind = number_of(after) if after else b""
    async with opened(where) as app:
        page = await app.recon.decide.list(
            rule=name, state="" if state == "any" else state, outcome=outcome or "", after=behind, limit=limit
        )
    if json:
        for one in page:
            emit(break_document(one))
        return exits.NO if page else exits.OK
    rows = [(one.id.hex(), one.rule, shown_key(one), one.outcome, one.state, said(one)) for one in page]
    table(("ID", "RULE", "KEY", "OUTCOME", "STATE", "WHAT DIFFERS"), rows)
    if len(page) == limit:
        note(f"more: --after {page[-1].id.hex()}")
    return exits.NO if page else exits.OK


async def show(
    number: Annotated[str, Parameter(help="Its id: see `tieout recon breaks`.")],
    /,
    *,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Show a break: both sides' records, where they came from, possible causes, and what was done with it."""
    async with opened(where) as app:
        found, acts = await app.recon.decide.history(number_of(number))
    if json:
        emit(break_detail(found, acts))
        return
    say(f"{found.rule}, {shown_key(found)}: {found.outcome}, {found.state}")
    facts(
        (name, value)
        for name, value in (
            ("found first", clock_time(found.first_at)),
            ("found last", clock_time(found.last_at)),
            ("possible causes", "; ".join(found.detail["causes"])),
            *((side, _records(found.detail.get(side, {}))) for side in SIDES),
            *((f"{side} came from", _origin(found, side)) for side in SIDES),
            ("what differs", said(found)),
            ("decided by", found.actor or ""),
            ("because", found.note or ""),
        )
        if value
    )
    if acts:
        table(("WHEN", "WHO", "DID", "WHY"), [(clock_time(one.at), one.actor, one.action, one.reason) for one in acts])


async def settle(numbers: Numbers, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Say that breaks were put right elsewhere; they open again when something else is found of their keys."""
    async with opened(where) as app:
        await _each(app.recon.decide.settle, numbers, who, as_json=json)


async def ignore(numbers: Numbers, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Say that breaks may stay as they are; they open again when something else is found of their keys."""
    async with opened(where) as app:
        await _each(app.recon.decide.ignore, numbers, who, as_json=json)


async def repair(numbers: Numbers, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Start the processes that repair breaks, each once for what was found. Needs the App."""
    async with opened(where, code=True) as app:
        for one in await _each(app.recon.decide.repair, numbers, who, as_json=json):
            if not json and one.process is not None:
                say(f"process {one.process.hex()} repairs it")


async def judge(numbers: Numbers, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> int:
    """Ask both sources for breaks' keys as they are now, and judge them. Exit 1 if some are open. Needs the App."""
    async with opened(where, code=True) as app:
        judged = await _each(app.recon.decide.judge_again, numbers, who, as_json=json)
    return exits.NO if any(one.state == "open" for one in judged) else exits.OK


async def _each(act: Callable[..., Awaitable[Break]], numbers: list[str], who: Who, *, as_json: bool) -> list[Break]:
    acted = []
    for number in numbers:
        one = await act(number_of(number), actor=who.act.actor, reason=who.reason)
        acted.append(one)
        if as_json:
            emit(break_document(one))
        else:
            say(f"{shown_key(one)} is {one.state}")
    return acted


def number_of(text: str) -> bytes:
    """A break's id; raise `UnknownBreak` for what cannot be one."""
    return hex_id(text, UnknownBreak(f"{text[:100]!r} is no break's id: 32 hex digits"))


def _records(side: dict[str, Any]) -> str:
    """A side's records in one line; the first ones where there are many."""
    shown = [
        ", ".join([f"{name}={value}" for name, value in one["values"].items()] + ([one["at"]] if one["at"] else []))
        for one in side.get("records", ())
    ]
    more = side.get("count", 0) - len(shown)
    return "; ".join(shown) + (f"; and {more:,} more" if more > 0 else "") if shown else "has none"


def _origin(found: Break, side: str) -> str:
    told = found.detail.get("provenance", {}).get(side)
    return f"{told['position']}, committed {told['committed']}" if told else ""
