"""Engines with a guard taken out, each under a story in which some kill has to show it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.kill.business import Order
from tests.kill.campaign import Share, tallies
from tests.kill.stories import STORIES
from tests.kill.troupe import opened
from tieout.process.calls import Calls
from tieout.process.moving import Moving
from tieout.process.process import type_of


class Break(NamedTuple):
    """What is broken, and the story that shows it."""

    story: str
    change: Callable[[], None]


def apart() -> None:
    """The step that follows an answer is run in a transaction of its own, before the process moves."""
    run_next = Moving._run_next  # noqa: SLF001 - the mutation is about what stands inside

    async def run(self: Moving, tx: Any, process_type: Any, record: Any, cause: Any) -> Any:
        given, self.world.run_step = self.world.run_step, alone(tx)
        try:
            return await run_next(self, tx, process_type, record, cause)
        finally:
            self.world.run_step = given

    Moving._run_next = run  # noqa: SLF001 - as above


def alone(tx: Any) -> Any:
    async def step(_: Any, run: Any) -> Any:
        moved = await run(tx)
        connection = tx.inner._session.connection  # noqa: SLF001 - no transaction offers to end early
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        return moved

    return step


def unmarked() -> None:
    """A call to whom knows no keys is sent without a mark that says so."""

    async def mark_sent(self: Calls, record: Any, entry: Any, call: Any) -> Any:
        return record, entry

    Calls.mark_sent = mark_sent


def looked_up_again() -> None:
    """A snapshot is looked up whenever it is needed, instead of being kept."""
    give_back = type_of(Order).calls["give_back"]
    send = give_back.method

    async def method(self: Any, sending: Any, sku: str, price: int) -> Any:
        return await send(self, sending, sku, await self.deps.price("order"))

    give_back.method = method


def unkept() -> None:
    """What was recalled is not committed before it is used."""

    async def recall(self: Calls, process: bytes, over: float, name: str, look_up: Any) -> Any:
        return await look_up()

    Calls._recall = recall  # noqa: SLF001 - the mutation is about what stands inside


BREAKS = {
    "two transactions": Break("immediate", apart),
    "no mark": Break("sent once", unmarked),
    "no snapshot": Break("parallel calls, undone", looked_up_again),
    "no recall": Break("parallel calls, undone", unkept),
}


def play_broken(name: str, folder: Path) -> list[str]:
    """What is violated when the story is played with the broken engine, in a process of its own."""
    broken = BREAKS[name]
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        found: list[str] = []
        try:
            broken.change()
            found = _violations(broken.story, folder)
        finally:
            os.write(writing, "\n".join(found)[:4_000].encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told.splitlines()


def _violations(name: str, folder: Path) -> list[str]:
    story = next(story for story in STORIES if story.name == name)
    with opened("sqlite", "", folder) as theatre:
        for tally in tallies(theatre, story, Share(None, 1)):
            if tally.violations:
                return tally.violations
    return []
