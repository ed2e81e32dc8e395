"""The demo with `--recon`: differences are planted behind honest services' backs, and a rule has to find each.

A worker follows both databases through their logs, in a process of its own; a planter, in another, changes rows and
writes down what it did. At the end each planted difference must have been found live within the grace and a few
seconds, and again by comparing the whole run offline, with the same verdicts, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from tieout import ConfigError
from tieout.demo.ground import command
from tieout.demo.points.places import Places
from tieout.demo.points.planter import KINDS, LATE
from tieout.demo.points.reconciled import RULE, make
from tieout.demo.services import ServiceFailed
from tieout.demo.view import View
from tieout.recon import Break, Period

GRACE_SECONDS = 30.0
"""More than a redemption takes from its prize to its completion, kills and slow restarts included."""

WITHIN_SECONDS = 5.0
"""How long after the grace a difference may take to be found."""

LIVE_SECONDS = 30.0
"""How long the worker may take until it follows."""

PATIENCE_SECONDS = 20.0
"""How long everything may take to be found behind the last grace."""

FOUND_EVERY_SECONDS = 0.25

PUBLISH = {
    "mall": ("ALTER TABLE redemption REPLICA IDENTITY FULL", "CREATE PUBLICATION tieout FOR TABLE redemption"),
    "prizes": ("ALTER TABLE prize REPLICA IDENTITY FULL", "CREATE PUBLICATION tieout FOR TABLE prize"),
}
"""What PostgreSQL needs to be told before a table is followed."""

DROP_SLOTS = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()"

WORKER = "import sys; from tieout.cli import main; sys.exit(main(sys.argv[1:]))"


class Planted(NamedTuple):
    """A difference that was planted: when, in seconds since 1970, and what it has to be called."""

    kind: str
    key: str
    outcome: str
    at: float


class Found(NamedTuple):
    """Breaks by key: those that are open, all that were ever told, and those that comparing offline has found."""

    open: dict[str, Break]
    told: dict[str, Break]
    offline: dict[str, Break]
    moved: int


class Reconciling:
    """What runs beside the services."""

    def __init__(self, places: Places, view: View, seed: int, each: int) -> None:
        self._places, self._view, self._seed, self._each = places, view, seed, each
        self._log = places.folder / "planted.jsonl"
        self._began = time.time()
        self._worker: asyncio.subprocess.Process | None = None
        self._planter: asyncio.subprocess.Process | None = None
        databases = places.ground.databases
        os.environ.update(
            DEMO_MALL=databases["mall"],
            DEMO_PRIZES=databases["prizes"],
            DEMO_RECON=databases["recon"],
            DEMO_GRACE=f"{GRACE_SECONDS}s",
        )
        self._app = make()

    async def begin(self) -> None:
        """Follow both databases, and begin to plant."""
        if self._places.ground.server.startswith("postgresql://"):
            for name, statements in PUBLISH.items():
                await command(self._places.ground.databases[name], list(statements))
        await self._app.migrate()
        await self._app.database.close()
        self._worker = await self._spawn("worker", "-c", WORKER, "recon", "worker", f"{make.__module__}:tied")
        await self._until_live()
        places = self._places
        said = ["--mall", places.mall_db, "--prizes", places.prizes_db, "--log", str(self._log)]
        said += ["--each", str(self._each), "--seed", str(self._seed), "--grace", str(GRACE_SECONDS)]
        self._planter = await self._spawn("planter", "-m", "tieout.demo.points.planter", *said)

    async def finish(self) -> dict[str, Any]:
        """Wait until all was planted and found, compare offline, and say what came of it."""
        assert self._planter is not None  # noqa: S101 - it is finished only after it was begun
        if await self._planter.wait():
            raise ServiceFailed(f"the planter failed:\n{self._tail('planter')}")
        planted = self._planted()
        async with self._app:
            found = await self._found(planted)
        self._show(planted, found)
        return summary(planted, found)

    async def end(self) -> None:
        """End what runs beside, and let the servers forget that they were followed."""
        for process in (self._planter, self._worker):
            if process is not None and process.returncode is None:
                process.terminate()
                await process.wait()
        if self._places.ground.server.startswith("postgresql://"):
            for name in PUBLISH:
                await command(self._places.ground.databases[name], [DROP_SLOTS])

    async def _found(self, planted: list[Planted]) -> Found:
        last = max(one.at for one in planted) + GRACE_SECONDS + WITHIN_SECONDS + PATIENCE_SECONDS
        lasting = {one.key for one in planted if one.kind != LATE}
        while True:
            still = await self._breaks("open")
            (rule,) = (await self._app.recon.status())[1]
            if (still.keys() >= lasting and len(still) == len(lasting) and not rule.waiting) or time.time() > last:
                break
            await asyncio.sleep(FOUND_EVERY_SECONDS)
        told = await self._breaks("")
        period = Period(int((self._began - 60) * 1e6), int((time.time() + 60) * 1e6))
        self._view.say("comparing the whole run offline")
        run = await self._app.recon.run(RULE, period, folder=self._places.folder / "recon", unfinished=True)
        offline = {_key(one): one for one in await self._app.recon.breaks(run.id, limit=10_000)}
        return Found(still, told, offline, rule.waiting)

    async def _breaks(self, state: str) -> dict[str, Break]:
        return {_key(one): one for one in await self._app.recon.decide.list(rule=RULE, state=state, limit=10_000)}

    async def _until_live(self) -> None:
        ends = time.monotonic() + LIVE_SECONDS
        async with self._app:
            while not any(one.health in {"empty", "agreed"} for one in (await self._app.recon.status())[1]):
                if time.monotonic() > ends or (self._worker is not None and self._worker.returncode is not None):
                    raise ServiceFailed(f"the worker does not follow:\n{self._tail('worker')}")
                await asyncio.sleep(FOUND_EVERY_SECONDS)

    async def _spawn(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        with self._file(name).open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the director
            )

    def _planted(self) -> list[Planted]:
        lines = [json.loads(line) for line in self._log.read_text().splitlines()]
        return [Planted(**line) for line in lines if line["kind"] != "arrived"]

    def _file(self, name: str) -> Path:
        return self._places.folder / f"{name}.log"

    def _tail(self, name: str) -> str:
        return self._file(name).read_text(errors="replace")[-2_000:]

    def _show(self, planted: list[Planted], found: Found) -> None:
        table = Table("planted", "of them", "found live", "seconds after the grace", "found offline")
        for kind in KINDS:
            mine = [one for one in planted if one.kind == kind.name]
            live = [one for one in mine if is_found(one, found.told)]
            worst = max((after_grace(one, found.told) for one in live), default=0.0)
            offline = "late-tied" if kind.name == LATE else str(sum(is_found(one, found.offline) for one in mine))
            table.add_row(kind.name, str(len(mine)), str(len(live)), f"{worst:.1f}", offline)
        self._view.table(table)


def is_found(one: Planted, breaks: dict[str, Break]) -> bool:
    """Whether it was called what it is."""
    return one.key in breaks and breaks[one.key].outcome == one.outcome


def after_grace(one: Planted, breaks: dict[str, Break]) -> float:
    """Seconds from the end of its grace until it was told."""
    return breaks[one.key].first_at / 1e6 - one.at - GRACE_SECONDS


def summary(planted: list[Planted], found: Found) -> dict[str, Any]:
    """The figures; `agreement`: each was found in time, live and offline, with equal verdicts, and nothing else."""
    keys = {one.key for one in planted}
    lasting = [one for one in planted if one.kind != LATE]
    live = [one for one in planted if is_found(one, found.told)]
    slow = [one for one in live if after_grace(one, found.told) > WITHIN_SECONDS]
    outcomes = [{key: one.outcome for key, one in breaks.items()} for breaks in (found.open, found.offline)]
    figures: dict[str, Any] = {
        "planted": Counter(one.kind for one in planted),
        "found_live": len(live),
        "too_late": len(slow),
        "worst_after_grace": round(max((after_grace(one, found.told) for one in live), default=0.0), 2),
        "found_offline": sum(is_found(one, found.offline) for one in lasting),
        "false_live": len(found.told.keys() - keys),
        "false_offline": len(found.offline.keys() - {one.key for one in lasting}),
        "moved": found.moved,
        "equal": outcomes[0] == outcomes[1],
    }
    complete = figures["found_live"] == len(planted) and figures["found_offline"] == len(lasting)
    wrong = figures["too_late"] + figures["false_live"] + figures["false_offline"] + figures["moved"]
    return {**figures, "agreement": bool(planted) and complete and not wrong and figures["equal"]}


def check_db(db: str) -> None:
    """Raise `ConfigError` for a database whose log cannot be followed."""
    if not db.startswith(("postgresql://", "mysql://")):
        raise ConfigError(
            "--recon follows the log of a server: give --db postgresql://…, with wal_level = logical, or mysql://…, "
            "with binlog_format = ROW, binlog_row_image = FULL and binlog_row_metadata = FULL"
        )


def _key(one: Break) -> str:
    return "/".join(map(str, one.key))
