"""Differences planted behind the services' backs: through their databases, and written down in a log of its own.

It takes nothing of tieout's. Run it as `python -m tieout.demo.points.planter --help`; it ends once all are planted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from tieout.demo.tables import execute, rows

CALM_SECONDS = 2.0
"""How long a redemption must have been complete before it is touched."""

PAUSE_SECONDS = 0.15
LATE_SECONDS = 3.0
"""How long after the grace a late prize arrives."""

COMPLETE = "SELECT order_key FROM redemption WHERE state = 'completed' AND completed_at < {before} ORDER BY order_key"


TOLD = "SELECT order_key FROM prize WHERE order_key NOT IN (SELECT order_key FROM callback WHERE state = 'waiting')"
"""Prizes of which nothing is left to be told to the mall: it would see a planted difference itself."""


class Kind(NamedTuple):
    """A kind of difference: what is done to which database, and what a comparison has to say of it.

    `takes`: it needs a redemption that both sides have. In statements, `{key}` is the key and `{now}` the time.
    """

    name: str
    outcome: str
    takes: bool
    mall: str = ""
    prizes: str = ""


REDEEMED = "INSERT INTO redemption VALUES ('{key}', 'user-00001', 'mug', 2, 'completed', {now})"
ISSUED = "INSERT INTO prize VALUES ('{key}', 'mug', {quantity}, 'PLANTED', 'SUCCEEDED', 'issued', 0, 0, 0, {now})"
DOUBLED = (
    "INSERT INTO prize SELECT order_key, sku, quantity, 'PLANTED', status, result, created, ready_at, turns_at, {now}"
    " FROM prize WHERE order_key = '{key}'"
)
LATE = "late arrival"

KINDS = (
    Kind("lost prize", "missing", takes=False, mall=REDEEMED),
    Kind("orphan prize", "orphan", takes=False, prizes=ISSUED.replace("{quantity}", "2")),
    Kind("wrong quantity", "differs", takes=False, mall=REDEEMED, prizes=ISSUED.replace("{quantity}", "3")),
    Kind("doubled prize", "duplicate", takes=True, prizes=DOUBLED),
    Kind(LATE, "missing", takes=False, mall=REDEEMED),
    Kind(
        "changed after the tie",
        "differs",
        takes=True,
        prizes="UPDATE prize SET quantity = quantity + 1 WHERE order_key = '{key}'",
    ),
    Kind("deleted row", "missing", takes=True, prizes="DELETE FROM prize WHERE order_key = '{key}'"),
)


class Planter:
    """Plants so many of each kind, in an order that the seed draws."""

    def __init__(self, said: argparse.Namespace) -> None:
        self._mall, self._prizes, self._grace = said.mall, said.prizes, said.grace
        self._log = said.log.open("a", encoding="utf-8")
        self._chance = Random(f"planted {said.seed}")
        self._wanted = [kind for kind in KINDS for _ in range(said.each)]
        self._used: set[str] = set()

    async def plant(self) -> None:
        """Plant all, and let what is late arrive."""
        self._chance.shuffle(self._wanted)
        late = []
        for kind in self._wanted:
            key = await self._victim() if kind.takes else f"{secrets.token_hex(16)}:1"
            self._used.add(key)
            at = time.time()
            await self._do(kind, key)
            self._note(kind=kind.name, key=key, outcome=kind.outcome, at=at)
            if kind.name == LATE:
                late.append((at, key))
            await asyncio.sleep(PAUSE_SECONDS)
        for at, key in late:
            await asyncio.sleep(max(0.0, at + self._grace + LATE_SECONDS - time.time()))
            await self._run(self._prizes, ISSUED.replace("{quantity}", "2"), key)
            self._note(kind="arrived", key=key, outcome="late-tied", at=time.time())

    async def _do(self, kind: Kind, key: str) -> None:
        for url, statement in ((self._mall, kind.mall), (self._prizes, kind.prizes)):
            if statement:
                await self._run(url, statement, key)

    async def _run(self, url: str, statement: str, key: str) -> None:
        await execute(url, statement.replace("{key}", key).replace("{now}", str(time.time_ns() // 1_000)))

    async def _victim(self) -> str:
        """A redemption that is complete for a while, and that nothing was done to yet."""
        while True:
            before = int((time.time() - CALM_SECONDS) * 1e6)
            complete = {row["order_key"] for row in await rows(self._mall, COMPLETE.format(before=before))}
            issued = {row["order_key"] for row in await rows(self._prizes, TOLD)}
            free = sorted((complete & issued) - self._used)
            if free:
                victim: str = self._chance.choice(free)
                return victim
            await asyncio.sleep(PAUSE_SECONDS)

    def _note(self, **line: object) -> None:
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()


def main() -> None:
    """Plant, and end."""
    parser = argparse.ArgumentParser(description="Plants differences behind both services' backs.")
    parser.add_argument("--mall", required=True, help="postgresql://… or mysql://…")
    parser.add_argument("--prizes", required=True, help="postgresql://… or mysql://…")
    parser.add_argument("--log", required=True, type=Path, help="where each difference is written down")
    parser.add_argument("--each", type=_positive(int), default=3, help="how many of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--grace", type=_positive(float), default=20.0, help="the rule's, in seconds")
    asyncio.run(Planter(parser.parse_args()).plant())


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        number = kind(text)
        if not number > 0:
            raise argparse.ArgumentTypeError(f"{text} is not above 0")
        return number

    return read


if __name__ == "__main__":
    main()
