"""Two nodes on one server, one of them with a clock that is an hour wrong and jumps: what became of everything."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from tests.clock.node import PACE, SETTLE
from tests.servers.mariadb import FAST as MARIADB_FAST
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import FAST, Postgres
from tieout.contracts import Database
from tieout.database import connect
from tieout.database.migrate import migrate

LIBRARY = Path(f"/usr/lib/{os.uname().machine}-linux-gnu/faketime/libfaketimeMT.so.1")
HOUR = 3_600
ENDED_SECONDS = {False: 90.0, True: 6.0}
"""Longest that is waited until everything has ended; of a wrong engine, much may never end."""

MINUTE = 60_000_000
"""Microseconds by which a moment of a row may be off and still be the server's."""

UNTOUCHED = 2
"""The fence of a process that was written by its start and by its end, and claimed by nobody."""

REACHED = ("a clock an hour ahead", "a clock an hour behind", "sent again", "answered", "sent once")


class Outcome(NamedTuple):
    """What a run came to."""

    counts: Counter[str]
    violations: list[str]


@contextmanager
def postgres() -> Iterator[str]:
    server = Postgres(**FAST)
    try:
        server.create()
        yield server.url(server.database())
    finally:
        server.remove()


@contextmanager
def mariadb() -> Iterator[str]:
    server = MariaDB(**MARIADB_FAST)
    try:
        server.create()
        yield server.url(server.database())
    finally:
        server.remove()


SERVERS = {"postgres": postgres, "mariadb": mariadb}


async def run(url: str, seed: int, requests: int, *, wrong: bool = False) -> Outcome:
    """Let both nodes work on `requests` each while the clock of one jumps; then look."""
    database = connect(url)
    await database.open()
    try:
        await migrate(database)
        create = "CREATE TABLE sent (call_key VARCHAR(80), node VARCHAR(20), at BIGINT)"
        await database.transact(lambda tx: tx.execute(create))
        (began,) = (await database.read(lambda tx: tx.fetch("SELECT {now}")))[0]
        skews = await live(url, database, Random(seed), requests, wrong=wrong)
        return await audited(database, began, 2 * requests, skews)
    finally:
        await database.close()


async def live(url: str, database: Database, chance: Random, requests: int, *, wrong: bool) -> set[int]:
    """The skews that the second node said it had, in seconds."""
    check_installed()
    with tempfile.TemporaryDirectory(prefix="tieout-clock-") as folder:
        clock = Path(folder) / "time"
        set_clock(clock, HOUR)
        faked = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        right = await node(url, "right", requests, {}, wrong=wrong)
        skewed = await node(url, "skewed", requests, faked, wrong=wrong)
        jumps = asyncio.create_task(jump(clock, chance, requests * PACE))
        try:
            with suppress(TimeoutError):
                await until_ended(database, 2 * requests, ENDED_SECONDS[wrong])
        finally:
            jumps.cancel()
            told = [(await one.communicate(b""))[0] for one in (right, skewed)]
        return {int(line) for line in told[1].split()}


def check_installed() -> None:
    """Say what is missing."""
    if not LIBRARY.exists():
        raise RuntimeError("libfaketime is not installed: apt-get install faketime")


async def node(
    url: str, name: str, requests: int, variables: dict[str, str], *, wrong: bool
) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "tests.clock.node", url, name, str(requests), *(["wrong"] if wrong else []))
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=os.environ | variables)


async def jump(clock: Path, chance: Random, seconds: float) -> None:
    """Move the clock an hour forth and back while requests come, and a little between."""
    skews = [-HOUR, HOUR, 0, -HOUR, HOUR, *(chance.randint(-HOUR, HOUR) for _ in range(5))]
    while True:
        for skew in skews:
            await asyncio.sleep(seconds * chance.uniform(0.1, 0.3))
            set_clock(clock, skew)


def set_clock(clock: Path, skew: int) -> None:
    """Let time be so many seconds ahead; at once, so that nobody reads half of it."""
    new = clock.with_suffix(".new")
    new.write_text(f"{skew:+d}s\n")
    new.replace(clock)


async def until_ended(database: Database, processes: int, seconds: float) -> None:
    ended = "SELECT count(*) FROM tieout_process WHERE status IN ('final', 'held')"
    async with asyncio.timeout(seconds):
        while (await database.read(lambda tx: tx.fetch(ended)))[0][0] < processes:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.2)


async def audited(database: Database, began: int, processes: int, skews: set[int]) -> Outcome:
    """What became of everything."""
    select = "SELECT id, type, status, fence, created, changed FROM tieout_process"
    rows = await database.read(lambda tx: tx.fetch(select))
    sent: dict[str, list[int]] = {}
    for key, at in await database.read(lambda tx: tx.fetch("SELECT call_key, at FROM sent ORDER BY at")):
        sent.setdefault(key.partition(":")[0], []).append(at)
    (now,) = (await database.read(lambda tx: tx.fetch("SELECT {now}")))[0]
    counts: Counter[str] = Counter(dict.fromkeys(REACHED, 0))
    counts["a clock an hour ahead"] = sum(skew > HOUR - 60 for skew in skews)
    counts["a clock an hour behind"] = sum(skew < 60 - HOUR for skew in skews)
    violations = [] if len(rows) == processes else [f"{len(rows)} processes, not {processes}"]
    for row in rows:
        violations += judged(row, sent.get(bytes(row[0]).hex(), []), counts)
        if not began - MINUTE < row[4] <= row[5] < now + MINUTE:
            violations.append(f"{bytes(row[0]).hex()}: created at {row[4]}, changed at {row[5]}")
    alarms = (await database.read(lambda tx: tx.fetch("SELECT count(*) FROM tieout_alarm")))[0][0]
    return Outcome(counts, [*violations, *([f"{alarms} alarms"] if alarms else [])])


def judged(row: Any, sent: list[int], counts: Counter[str]) -> Iterator[str]:
    """What is wrong with one process, which was sent at these moments."""
    process, kind, status, fence = bytes(row[0]).hex(), row[1], row[2], row[3]
    if status != "final":
        yield f"{process} is {status}"
    if kind == "steady":
        counts["answered"] += 1
        if fence != UNTOUCHED or len(sent) != 1:
            yield f"{process} was at work and was taken over: fence {fence}, {len(sent)} sends"
    elif kind == "once":
        counts["sent once"] += 1
        if len(sent) != 1:
            yield f"{process} was sent {len(sent)} times"
    else:
        counts["sent again"] += len(sent) == 2
        gaps = [(later - earlier) / 1e6 for earlier, later in itertools.pairwise(sent)]
        if len(sent) != 2 or min(gaps) < SETTLE:
            yield f"{process} was sent {len(sent)} times, {gaps} s apart, before its settle time"
