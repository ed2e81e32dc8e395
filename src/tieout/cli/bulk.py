"""`tieout process COMMAND --all`: the count first, a yes, how far it has come, and what it came to."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tieout.cli import exits
from tieout.cli.printing import emit, interruptible, note, say, table
from tieout.cli.where import Where, opened
from tieout.cli.which import Many, RequestKey
from tieout.cli.who import Who
from tieout.config import iso
from tieout.errors import ConfigError
from tieout.process.bulk import BulkCommand, Tally, counted, said
from tieout.process.operating import Act
from tieout.process.store import Filter

NEEDS_CODE = ("query", "recheck", "resume", "cancel")
"""Commands that run the code of process types."""

DONE: dict[BulkCommand, str] = {
    "retry": "retried",
    "query": "queried",
    "recheck": "rechecked",
    "hold": "held",
    "resume": "resumed",
    "cancel": "to be cancelled",
}

LINE_EVERY = 5.0
"""Seconds between two lines of progress where there is no terminal."""


async def in_bulk(command: BulkCommand, by: RequestKey, many: Many, who: Who, where: Where, *, as_json: bool) -> int:
    """Give a command to all that match; the exit status."""
    act = who.act
    async with opened(where, code=command in NEEDS_CODE) as app:
        wanted = await many.filter(app, by.type)
        matched = await app.operate.count(wanted, command)
        tally = Tally(command, matched, wanted)
        _show_count(tally, many.limit)
        if matched:
            if not (many.yes or _agreed(tally, as_json=as_json)):
                note("nothing was done")
                return exits.NO
            tally = await _run(app.operate.bulk, tally, wanted, act, many.limit)
    _report(tally, wanted, as_json=as_json)
    return _status(tally)


async def _run(bulk: Callable[..., Any], tally: Tally, wanted: Filter, act: Act, limit: int | None) -> Tally:
    """Run it until its end or Ctrl-C; how far it came."""
    latest = tally

    with shown(tally.command) as show, interrupted() as told:

        def progress(now: Tally) -> None:
            nonlocal latest
            latest = now
            show(now)

        try:
            done: Tally = await bulk(
                tally.command, wanted, act, progress=progress, should_stop=lambda: bool(told), limit=limit
            )
        except asyncio.CancelledError:
            if not told:
                raise
            return latest
    return done


@contextmanager
def interrupted() -> Iterator[list[None]]:
    """Filled by the first Ctrl-C; the second one cancels what runs."""
    told: list[None] = []
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def tell() -> None:
        if told and task is not None:
            task.cancel()
        told.append(None)
        note("stopping after this process; Ctrl-C again stops at once")

    loop.add_signal_handler(signal.SIGINT, tell)
    try:
        yield told
    finally:
        loop.remove_signal_handler(signal.SIGINT)


@contextmanager
def shown(command: BulkCommand) -> Iterator[Callable[[Tally], None]]:
    """Shows progress on standard error: a bar on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(command)
        yield lambda tally: bar.update(task, total=tally.matched, completed=tally.visited)


class Lines:
    """Progress where nobody watches: a line every few seconds."""

    def __init__(self) -> None:
        self._next = time.monotonic() + LINE_EVERY

    def __call__(self, tally: Tally) -> None:
        if time.monotonic() >= self._next:
            note(f"{tally.visited} of {tally.matched}: {_counts(tally)}")
            self._next = time.monotonic() + LINE_EVERY


def _show_count(tally: Tally, limit: int | None) -> None:
    most = "" if limit is None or limit >= tally.matched else f", and the newest {limit} have their turn"
    asked = ", ".join(f"{name} {value}" for name, value in _said(tally.rest).items()) or "no filter"
    note(f"{tally.command}: {_processes(tally.matched)} ({asked}){most}")


def _agreed(tally: Tally, *, as_json: bool) -> bool:
    """Whether somebody at the terminal says yes; raise `ConfigError` where nobody can be asked."""
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError(f"nothing was done: say --yes to {tally.command} {_processes(tally.matched)}")
    with interruptible():
        print(f"{tally.command} them? [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")


def _report(tally: Tally, wanted: Filter, *, as_json: bool) -> None:
    if as_json:
        failures = msgspec.to_builtins(tally.failures)
        emit({"command": tally.command, "filter": _said(wanted), **counted(tally), "failures": failures})
        return
    say(f"{_counts(tally)}, of {tally.matched}")
    if tally.answers:
        say("answers: " + ", ".join(f"{count} {answer}" for answer, count in sorted(tally.answers.items())))
    if tally.failures:
        table(("PROCESS", "CODE", "MESSAGE"), [(one.process, one.code, one.message) for one in tally.failures])
    if tally.stopped is not None:
        again = f": to go on behind the last one, add --after {tally.latest}" if tally.latest else ""
        note(f"stopped before the end ({tally.stopped}){again}")


def _processes(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _counts(tally: Tally) -> str:
    return f"{tally.done} {DONE[tally.command]}, {tally.skipped} skipped, {tally.failed} failed"


def _said(wanted: Filter) -> dict[str, Any]:
    times = ("since", "before")
    return {name: iso(value) if name in times else value for name, value in said(wanted).items()}


def _status(tally: Tally) -> int:
    match tally.stopped:
        case "asked" | "cancelled":
            return exits.SIGNALLED + signal.SIGINT
        case "database":
            return exits.DATABASE
        case _:
            return exits.NO if tally.failed else exits.OK
