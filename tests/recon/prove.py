"""Precision and recall: differences planted among many rows, found live by a worker that is killed, and offline.

`python -m tests.recon.prove` plants each of 23 kinds at 50 places among a million rows of each side, and kills the
worker 20 times. What is found, live and offline, there in DuckDB and in Spark, has to be exactly what was planted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from tests.prove.telling import Told, tell
from tests.recon.planting import DOWN, HARMLESS, KINDS, UP, Planted
from tests.servers.postgres import FAST, Postgres
from tests.servers.spark import SparkCluster

ROOT = Path(__file__).parents[2]
CHUNK = 1_000
"""Rows of the crowd in one transaction."""

FILL = {
    "up": "INSERT INTO change SELECT 's', 'f' || n, 'done', 'mug', 1, 12.5, 1, '2030-01-31 12:00', 'a', now()"
    " FROM generate_series({first}, {last}) n",
    "down": "INSERT INTO prize SELECT 's', 'f' || n, 'issued', 'mug', 1, 12.5, 1, '2030-01-31 12:00', 'A', now()"
    " FROM generate_series({first}, {last}) n",
}
PATIENCE = 600.0
GRACE = 2.0

SMALL = {"rows": 20_000, "each": 5, "kills": 5}
"""What a small run is given."""


class Sides:
    """A server with both sources and the App's database, and the App."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.urls = {name: server.url(server.database()) for name in ("up", "down", "app")}
        os.environ.update({f"PROVED_{name.upper()}": url for name, url in self.urls.items()})
        sys.modules.pop("tests.recon.proved", None)
        from tests.recon.proved import app

        self.app = app

    async def make(self) -> None:
        """Both tables, published."""
        for name, table, create in (("up", "change", UP), ("down", "prize", DOWN)):
            await self.run(
                name,
                create,
                f"CREATE INDEX ON {table} ({'id' if name == 'up' else 'change_id'})",
                f"ALTER TABLE {table} REPLICA IDENTITY FULL",
                f"CREATE PUBLICATION tieout FOR TABLE {table}",
            )
        await self.app.migrate()
        await self.app.database.close()

    async def run(self, name: str, *statements: str) -> None:
        """Run statements on a side, each in a transaction of its own."""
        connection = await asyncpg.connect(self.urls[name], server_settings={"timezone": "UTC"})
        for statement in statements:
            await connection.execute(statement)
        await connection.close()


class Worker:
    """`tieout recon worker`, killed and begun again."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.kills = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = "import sys; from tieout.cli import main; sys.exit(main(sys.argv[1:]))"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, "recon", "worker", "tests.recon.proved:app"],
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    def kill(self) -> None:
        self.check()
        self._process.kill()
        self._process.wait()
        self.kills += 1

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def check(self) -> None:
        """Raise unless it is at work."""
        if self._process.poll() is not None:
            raise RuntimeError(self._log.read_text()[-3_000:])


class Proof:
    """One run."""

    def __init__(
        self,
        sides: Sides,
        worker: Worker,
        *,
        rows: int,
        each: int,
        kills: int,
        seed: int,
        cluster: SparkCluster | None = None,
    ) -> None:
        self._sides, self._worker, self._cluster = sides, worker, cluster
        self._rows, self._kills = rows, kills
        self._chance = Random(seed)
        kinds = [kind for kind in (*KINDS, *HARMLESS) for _ in range(each)]
        self._chance.shuffle(kinds)
        self.planted = [Planted(kind, f"p{number}") for number, kind in enumerate(kinds)]
        self._began = self._last = time.time()

    async def prove(self) -> dict[str, Any]:
        """Plant, kill, wait, compare; the figures."""
        self._worker.start()
        killing = asyncio.create_task(self._kill_now_and_then())
        await self.fill()
        async with self._sides.app as app:
            await self._until(app, self._ties)
            for one in self.planted:
                await self.do(one, "then_up", "then_down")
            await asyncio.sleep(GRACE + 1)
            for one in self.planted:
                await self.do(one, "late")
            self._last = time.time()
            await killing
            found = {"live": await self._until(app, self._settles)}
            self._worker.stop()
            found["offline"] = await self.offline(app)
            if self._cluster is not None:
                self._cluster.start()
                found["spark"] = await self.offline(app, self._cluster.url)
        return self._figures(found)

    @property
    def expected(self) -> dict[str, str]:
        return {key: outcome for one in self.planted for key, outcome in one.outcomes.items()}

    async def fill(self) -> None:
        """The crowd, with what is planted among it."""
        chunks = range(0, self._rows, CHUNK)
        places = [(self._chance.randrange(len(chunks)), one) for one in self.planted]
        for number, first in enumerate(chunks):
            last = min(first + CHUNK, self._rows) - 1
            await asyncio.gather(
                *(self._sides.run(name, FILL[name].format(first=first, last=last)) for name in ("up", "down"))
            )
            for place, one in places:
                if place == number:
                    await self.do(one, "up", "down")

    async def do(self, one: Planted, *names: str) -> None:
        for name in names:
            statements = one.statement(name)
            if statements:
                side = "up" if name.endswith("up") else "down"
                await self._sides.run(side, statements)

    async def _kill_now_and_then(self) -> None:
        for _ in range(self._kills):
            await asyncio.sleep(self._chance.uniform(1.0, 4.0))
            self._worker.kill()
            self._worker.start()

    async def _until(self, app: Any, done: Any) -> dict[str, str]:
        ends = time.monotonic() + PATIENCE
        while not await done(app):
            self._worker.check()
            if time.monotonic() > ends:
                return await self._breaks(app)
            await asyncio.sleep(0.5)
        return await self._breaks(app)

    async def _ties(self, app: Any) -> bool:
        """Whether everything was judged once: what waits then does so for its other side."""
        rules = (await app.recon.status())[1]
        return bool(rules) and rules[0].totals.get("tied", 0) >= self._rows and await self._is_past(app)

    async def _settles(self, app: Any) -> bool:
        (rule,) = (await app.recon.status())[1]
        found = await self._breaks(app)
        return (
            not rule.waiting
            and rule.health == "broken"
            and found.keys() >= self.expected.keys()
            and await self._is_past(app)
        )

    async def _is_past(self, app: Any) -> bool:
        """Whether both feeds were read beyond what was done last, and its grace."""
        feeds = (await app.recon.status())[0]
        now = time.time()
        return all(feed.lag is not None and now - feed.lag / 1e6 > self._last + GRACE for feed in feeds)

    async def _breaks(self, app: Any) -> dict[str, str]:
        found = await app.recon.decide.list(limit=100_000)
        return {"/".join(map(str, one.key)): one.outcome for one in found}

    async def offline(self, app: Any, spark: str = "") -> dict[str, str]:
        """The breaks of a comparison over all that was done, by key."""
        from tieout.recon import Period

        period = Period(int((self._began - 60) * 1e6), int((time.time() + 60) * 1e6))
        with tempfile.TemporaryDirectory() as folder:
            run = await app.recon.run("proved", period, folder=Path(folder), unfinished=True, spark=spark)
        found = await app.recon.breaks(run.id, limit=100_000)
        return {"/".join(map(str, one.key)): one.outcome for one in found}

    def _figures(self, found: dict[str, dict[str, str]]) -> dict[str, Any]:
        expected = self.expected
        kinds = Counter(one.kind.name for one in self.planted)
        keys = expected.keys() | {key for breaks in found.values() for key in breaks}
        return {
            "rows": self._rows,
            "kinds": len(KINDS),
            "each": min(kinds.values()),
            "kills": self._worker.kills,
            "expected": len(expected),
            **{f"{name}_recall": share(expected, breaks) for name, breaks in found.items()},
            **{f"{name}_precision": share(breaks, expected) for name, breaks in found.items()},
            "equal": all(breaks == found["live"] for breaks in found.values()),
            "wrong": sorted(
                f"{key}: {expected.get(key)}, { {name: breaks.get(key) for name, breaks in found.items()} }"
                for key in keys
                if any(breaks.get(key) != expected.get(key) for breaks in found.values())
            )[:20],
        }


def share(wanted: dict[str, str], there: dict[str, str]) -> float:
    """The share of what is wanted that is there, with the same verdict."""
    return sum(there.get(key) == outcome for key, outcome in wanted.items()) / len(wanted) if wanted else 0.0


async def proved(*, rows: int, each: int, kills: int, seed: int = 1, spark: bool = False) -> dict[str, Any]:
    """Prove on a server of its own, offline in DuckDB and, if wanted, in a Spark cluster of its own too."""
    cluster = SparkCluster() if spark else None
    server = Postgres(**FAST, wal_level="logical")
    server.create()
    try:
        sides = Sides(server)
        await sides.make()
        with tempfile.TemporaryDirectory() as folder:
            worker = Worker(Path(folder) / "worker.log")
            try:
                return await Proof(sides, worker, rows=rows, each=each, kills=kills, seed=seed, cluster=cluster).prove()
            finally:
                worker.stop()
    finally:
        server.remove()
        if cluster is not None:
            cluster.remove()


def is_proved(figures: dict[str, Any]) -> bool:
    """Whether exactly what was planted was found."""
    shares = {value for name, value in figures.items() if name.endswith(("_recall", "_precision"))}
    return shares == {1.0} and figures["equal"] and not figures["wrong"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove it; the exit status."""
    options = parse(arguments)
    began = time.monotonic()
    given = SMALL if options.small else {"rows": options.rows, "each": options.each, "kills": options.kills}
    figures = asyncio.run(proved(**given, seed=options.seed, spark=not options.small))
    return tell(told(figures, options.seed, time.monotonic() - began))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each side; default %(default)s")
    parser.add_argument("--each", type=int, default=50, help="places of each kind; default %(default)s")
    parser.add_argument("--kills", type=int, default=20, help="of the worker; default %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="draws where and when; default %(default)s")
    parser.add_argument("--small", action="store_true", help=", ".join(f"{n} {name}" for name, n in SMALL.items()))
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    return parser.parse_args(arguments)


def told(figures: dict[str, Any], seed: int, seconds: float) -> Told:
    """The last line: what was planted and found, and what the two of them do not share."""
    counts = {name: figures[name] for name in ("rows", "kinds", "each", "kills", "expected")}
    more = {name: value for name, value in figures.items() if name not in {*counts, "wrong"}}
    wrong = figures["wrong"] or ([] if is_proved(figures) else ["what was found is not what was planted"])
    never = [] if figures["kills"] else ["a worker that was killed"]
    return Told("recon", counts, never, wrong, [seed], seconds, more=more)


if __name__ == "__main__":
    sys.exit(main())
