"""`tieout recon worker` and `status`: both sides followed, and how that stands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from tieout.cli import exits
from tieout.cli.lasting import settled
from tieout.cli.printing import Json, age, emit, table
from tieout.cli.where import ANYWHERE, Place, Where, found, opened
from tieout.cli.worker import LOG_FORMAT, Level, Stop
from tieout.recon.health import FeedStatus, RuleStatus

if TYPE_CHECKING:
    from tieout.recon.watching import Watching

log = logging.getLogger("tieout.recon")


async def worker(
    place: Annotated[Place, Parameter(help="module:app, the same as --app.")] = None,
    /,
    *,
    rule: Annotated[list[str] | None, Parameter(help="Only this rule; may be repeated.", negative="")] = None,
    log_level: Annotated[Level, Parameter(help="What is logged to standard error.")] = "info",
    where: Where = ANYWHERE,
    json: Json = False,
) -> None:
    """Follow both sides of an App's rules until SIGTERM or SIGINT, and tell what does not agree once it stays.

    One worker follows at a time; others stand by. Killing it at any moment loses nothing.
    """
    async with found(where.at(place), code=True) as app:
        logging.basicConfig(stream=sys.stderr, level=log_level.upper(), format=LOG_FORMAT)
        watching = app.recon.watching(rule or ())
        app.sweeps = False
        async with app:
            settled()
            stop = Stop()
            following = asyncio.create_task(watching.watch_forever())
            settling = asyncio.create_task(_settle(watching))
            names = rule or sorted(app.recon.rules)
            log.info("following %s; SIGTERM stops", ", ".join(names))
            if json:
                emit({"event": "following", "pid": os.getpid(), "rules": names})
            following.add_done_callback(lambda _: stop.told.cancel())
            await asyncio.wait([stop.told])
            settling.cancel()
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following
    if json:
        emit({"event": "stopped"})


async def _settle(watching: Watching) -> None:
    """It has begun once it follows; its feeds are read by then, and are not to be held up."""
    await watching.watched.wait()
    settled(at_once=True)


async def status(*, where: Where = ANYWHERE, json: Json = False) -> int:
    """Tell how rules and feeds stand that are followed; exit 1 unless every rule agrees, and was seen lately."""
    async with opened(where) as app:
        feeds, rules = await app.recon.status()
        is_green = bool(rules) and all(one.health == "agreed" for one in rules)
        if json:
            emit({"rules": [one._asdict() for one in rules], "feeds": [one._asdict() for one in feeds]})
        else:
            _show(feeds, rules)
    return exits.OK if is_green else exits.NO


def _show(feeds: list[FeedStatus], rules: list[RuleStatus]) -> None:
    table(
        ("RULE", "STANDS", "OPEN", "TIED", "WAITING", "COVERAGE"),
        [
            (
                one.name,
                one.health,
                f"{one.open:,}",
                f"{one.totals.get('tied', 0) + one.totals.get('late-tied', 0):,}",
                f"{one.waiting:,}",
                "" if one.coverage is None else f"{one.coverage:.2%}",
            )
            for one in rules
        ],
    )
    table(
        ("FEED", "IS", "BEHIND", "GAP"),
        [(one.name, one.health, "" if one.lag is None else age(max(0, one.lag)), one.gap or "") for one in feeds],
    )
