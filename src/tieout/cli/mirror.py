"""`tieout mirror`: copies of suppliers' data: how they stand, and what people ask of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from tieout.cli.printing import SWITCH, Json, ago, clock_time, compact, emit, facts, say, table
from tieout.cli.where import ANYWHERE, Where, opened, server_now
from tieout.cli.who import Who
from tieout.errors import ConfigError, UnknownItem

if TYPE_CHECKING:
    from tieout.mirror import By, ItemCells, Mirror, Status

commands = cyclopts.App(
    name="mirror", help="Copies of suppliers' data: status, item, refresh, pause, resume, boost, exclude, restore."
)

Of = Annotated[str, Parameter(help="The copy, as mirror/supplier.")]
Group = Annotated[str, Parameter(help="The group's key, such as a hotel's.")]
Lasts = Annotated[str | None, Parameter(name="--for", help="For how long, such as 2h; else until it is restored.")]


@commands.command
async def status(
    of: Annotated[str | None, Parameter(help="One copy, as mirror/supplier; else all.")] = None,
    /,
    *,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Show how copies stand: how true, how old, what is excluded; with --json, one document a line."""
    async with opened(where, code=True) as app:
        now = await server_now(app)
        copies = [(mirror, supplier) for mirror in app.mirrors.values() for supplier in mirror.suppliers]
        meant = [(mirror, name) for mirror, name in copies if of in {None, f"{mirror.name}/{name}"}]
        found = [await mirror.status(name) for mirror, name in meant]
    if of is not None and not found:
        raise UnknownItem(f"no mirror of this App has a copy {of!r:.100}: they are named mirror/supplier")
    for one in found:
        if json:
            emit(one)
        else:
            _show(one, now)


@commands.command
async def item(
    of: Of,
    key: Annotated[str, Parameter(help="The item's key.")],
    /,
    *,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Show all cells of an item, as the copy has them."""
    async with _copy(where, of) as (mirror, supplier):
        found = await mirror.item(supplier, key)
    if json:
        emit(found)
    else:
        _show_item(found)


@commands.command
async def refresh(
    of: Of,
    group: Annotated[str | None, Parameter(help="The group's key, such as a hotel's.")] = None,
    /,
    *,
    all_groups: Annotated[bool, SWITCH, Parameter(name="--everything", help="All groups, instead of one.")] = False,
    who: Who,
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Have a group, or everything, asked for before its time; its cells are suspect until then."""
    if (group is None) is not all_groups:
        raise ConfigError("name a group, or say --everything")
    async with _copy(where, of) as (mirror, supplier):
        await mirror.refresh(supplier, group, by=_by(who))
    _done(of, "refresh", group, as_json=json)


@commands.command
async def pause(of: Of, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Stop asking a supplier for what is due. Orders are still checked."""
    async with _copy(where, of) as (mirror, supplier):
        await mirror.pause(supplier, by=_by(who))
    _done(of, "pause", None, as_json=json)


@commands.command
async def resume(of: Of, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Go on asking a supplier for what is due."""
    async with _copy(where, of) as (mirror, supplier):
        await mirror.pause(supplier, paused=False, by=_by(who))
    _done(of, "resume", None, as_json=json)


@commands.command
async def boost(
    of: Of, group: Group, /, *, lasts: Lasts = None, who: Who, where: Where = ANYWHERE, json: Json = False
) -> None:
    """Ask for a group four times as often as planned."""
    async with _copy(where, of) as (mirror, supplier):
        await mirror.boost(supplier, group, lasts, by=_by(who))
    _done(of, "boost", group, as_json=json)


@commands.command
async def exclude(
    of: Of, group: Group, /, *, lasts: Lasts = None, who: Who, where: Where = ANYWHERE, json: Json = False
) -> None:
    """Ask for a group no more, but for readers and orders."""
    async with _copy(where, of) as (mirror, supplier):
        await mirror.exclude(supplier, group, lasts, by=_by(who))
    _done(of, "exclude", group, as_json=json)


@commands.command
async def restore(of: Of, group: Group, /, *, who: Who, where: Where = ANYWHERE, json: Json = False) -> None:
    """Ask for a group as planned, after it was boosted or excluded."""
    async with _copy(where, of) as (mirror, supplier):
        await mirror.restore(supplier, group, by=_by(who))
    _done(of, "restore", group, as_json=json)


@asynccontextmanager
async def _copy(where: Where, of: str) -> AsyncIterator[tuple[Mirror, str]]:
    """The mirror and the supplier's name of `mirror/supplier`; raise `UnknownItem`."""
    name, _, supplier = of.partition("/")
    async with opened(where, code=True) as app:
        mirror = app.mirrors.get(name)
        if mirror is None or supplier not in mirror.suppliers:
            raise UnknownItem(f"no mirror of this App has a copy {of!r:.100}: they are named mirror/supplier")
        yield mirror, supplier


def _by(who: Who) -> By:
    from tieout.mirror import By

    return By(who.name, who.reason)


def _done(of: str, action: str, group: str | None, *, as_json: bool) -> None:
    if as_json:
        emit({"copy": of, "action": action, "group": group})
    else:
        say(f"{of}{f' {group}' if group else ''}: {action}")


def _show(status: Status, now: int) -> None:
    measured, ages = status.measured, status.measured.ages
    say(f"{status.mirror}/{status.supplier}{'  paused' if status.paused else ''}")
    read = f"{clock_time(status.catalogued)}  {ago(status.catalogued, now)}" if status.catalogued else "never read"
    old = "half {:.0f} s, 95 of 100 {:.0f} s, 99 of 100 {:.0f} s".format(*ages) if ages else ""
    causes = sorted(measured.causes.items())
    facts(
        [
            ("catalogue", read),
            ("groups", str(status.groups)),
            ("items", str(status.items)),
            ("true", "" if measured.accuracy is None else f"{measured.accuracy:.2%} of the cells audited in a day"),
            ("age", old),
            ("unknown", f"{measured.unknown:.2%}"),
            ("suspect", str(measured.suspects)),
            ("in a day", ", ".join(f"{cause} {one.queries} ({one.changed} changed)" for cause, one in causes)),
            *((kind, group) for group, kind in sorted(status.choices.items())),
        ]
    )


def _show_item(found: ItemCells) -> None:
    say(f"{found.item} of {found.group} at {found.supplier}")
    names = sorted({name for cell in found.cells for name in cell.values or ()})
    rows = [
        (
            "" if cell.at is None else cell.at.isoformat(),
            *(compact((cell.values or {}).get(name)) if cell.values else "?" for name in names),
            "" if cell.age is None else f"{cell.age:.0f} s",
            "suspect" if cell.suspect else "",
        )
        for cell in found.cells
    ]
    table(("at", *names, "age", ""), rows)
