"""One plan carried out: an App that works, another process that plants, and then what is found."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from tests.conflicts.auditor import audited
from tests.conflicts.plan import REPORTED, Case, plan
from tests.conflicts.planter import side_by_side
from tests.conflicts.shop import Redeem, Script
from tests.process.place import WAITED, rest, rows
from tieout import App, Limits

LULL = 0.2
"""Seconds between two looks at what is still open."""

QUICK = Limits(in_flight=512, batch=500, sweep_every=0.05)


@dataclass
class Tally:
    """What a number of plans came to; `counts` also say which kinds of pair, moments and ways there were."""

    planted: int = 0
    clean: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.planted += other.planted
        self.clean += other.clean
        self.counts += other.counts
        self.violations += other.violations


async def carried_out(seed: int, planted: int, clean: int) -> Tally:
    """Carry a plan out on a database of its own, and compare what was alarmed with what was planted."""
    cases = plan(seed, planted, clean)
    with tempfile.TemporaryDirectory(prefix="tieout-conflicts-") as place:
        file, written = Path(place) / "shop.db", Path(place) / "plan.json"
        written.write_bytes(msgspec.json.encode(cases))
        await live(f"sqlite:///{file}", cases, written)
        with closing(sqlite3.connect(file)) as looking:
            violations = [f"seed {seed}: {text}" for text in audited(looking, written.read_bytes())]
    counts: Counter[str] = Counter()
    for case in cases:
        counts[case.what] += 1
        if case.second is not None:
            counts[f"second claim {case.moment}"] += 1
            counts[f"{case.first_way} and {case.second_way}"] += 1
    return Tally(planted, clean, counts, violations)


async def live(url: str, cases: list[Case], written: Path) -> None:
    """Start the processes, let the planter say what it says, and retire them meanwhile."""
    script = Script({case.key: (case.first_way, case.first) for case in cases if case.first_way not in REPORTED})
    script.first |= {case.key: ("nobody", case.first) for case in cases if case.first_way in REPORTED}
    app = App(url, deps=script, limits=QUICK)
    app.register(Redeem)
    async with app:
        command = (sys.executable, "-m", "tests.conflicts.planter", url, str(written))
        pipe = asyncio.subprocess.PIPE
        planter = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        try:
            await said(planter, "before the start")
            await side_by_side(start(app, case) for case in cases)
            await until_only_the_planter_speaks(app, sum(case.first_way in REPORTED for case in cases))
            await said(planter, "first")
            await said(planter, "after the final")
            await asyncio.gather(said(planter, "at the edge of retention"), app.retention.retire(0))
            await app.retention.retire(0)
            await said(planter, "after the tombstone")
        finally:
            planter.stdin.close()
            await planter.wait()


async def start(app: App, case: Case) -> None:
    await app.start(Redeem(request_id=case.key), wait=WAITED if case.first_way == "immediate" else None)


async def until_only_the_planter_speaks(app: App, left: int) -> None:
    """Wait until all first claims have come that the downstream itself brings; what is due later is due now."""
    while True:
        await rest(app)
        ((running,),) = await rows(app, "SELECT count(*) FROM tieout_process WHERE status = 'running'")
        if running == left:
            return
        await asyncio.sleep(LULL)  # the queries that follow a first answer come by themselves
        await rows(app, "UPDATE tieout_process SET due = {now} - 1 WHERE status = 'running'")


async def said(planter: asyncio.subprocess.Process, moment: str) -> None:
    """Let the planter say what belongs to a moment, to the end."""
    planter.stdin.write(f"{moment}\n".encode())
    await planter.stdin.drain()
    if await planter.stdout.readline() != b"done\n":
        raise RuntimeError(f"the planter did not come through {moment!r}")
