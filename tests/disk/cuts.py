"""Power cuts at a recorded load: what must be there when the machine is up again, and whether it is."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from tests.disk.disk import Disk
from tests.disk.recording import Mark, Operation, Sync, record
from tests.disk.shop import ACCOUNTS, COST, POINTS, Prizes, Redeem
from tests.disk.workload import FILE, Load
from tests.process.place import rest
from tieout import App
from tieout.database.sqlite import SqliteDatabase, microseconds

HOUR = 3_600_000_000
"""Microseconds that pass before each round of the sweep: everything is due."""

SWEEPS = 50
"""Rounds of the sweep within which everything must end."""

REACHED = (
    "cut before the tables were there",
    "cut with nothing unflushed",
    "cut with the log unflushed",
    "cut with the database file unflushed",
    "cut with an entry of the folder unflushed",
    "request accepted before the cut",
    "process final before the cut",
    "process unfinished at the cut",
    "effect at the downstream whose answer was not stored",
    "process that nobody was told of",
)
"""What a run of some length must have met."""

EARLIER = (
    "flush of the log failed",
    "flush of the database file failed",
    "cut after a failed flush",
    "cut after a cut",
)
"""What a proof must have met besides."""


@dataclass
class Tally:
    """What a number of power cuts came to; `violations` say where they were."""

    cuts: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.cuts += other.cuts
        self.counts += other.counts
        self.violations += other.violations


@dataclass
class World:
    """What the world outside has seen."""

    opened: bool = False
    accepted: set[str] = field(default_factory=set)
    final: dict[str, str] = field(default_factory=dict)
    effects: dict[str, str] = field(default_factory=dict)

    def see(self, one: Operation) -> None:
        """Notice what an operation tells, if it is a mark."""
        match one:
            case Mark(("accepted", process)):
                self.accepted.add(process)
            case Mark(("final", process, state)):
                self.final[process] = state
            case Mark(("effect", key, outcome)):
                self.effects[key] = outcome
            case Mark(("opened",)):
                self.opened = True


@dataclass(frozen=True)
class Plan:
    """One recorded load, and how often the power is cut during it.

    `before` is what happened to the machine earlier: nothing, a flush that failed ("fault", one of strace's), after
    which the process was started anew, or a power cut during another load.
    """

    seed: int
    cuts: int
    load: Load
    before: Literal["nothing", "fault", "cut"] = "nothing"
    fault: str = ""


async def run(plan: Plan) -> Tally:
    """Record the load, cut the power at moments of it, and tell what was found."""
    tally, chance = Tally(), Random(plan.seed)
    with tempfile.TemporaryDirectory(prefix="tieout-disk-") as place:
        folder = Path(place) / "data"
        folder.mkdir()
        disk, world = Disk(chance), World()
        if plan.before != "nothing":
            disk = live_through(plan, folder, disk, world, tally, chance)
        operations = record(folder, plan.load)
        wanted = Counter(moments(deepcopy(disk), operations, plan.cuts, chance))
        for moment, one in enumerate(operations, 1):
            disk.do(one)
            world.see(one)
            for number in range(wanted[moment]):
                found = await cut(disk, world, Random(f"{plan.seed} {moment} {number}"), tally)
                tally.violations += [f"seed {plan.seed}, {moment} of {len(operations)}: {text}" for text in found]
                tally.counts["cut after a failed flush"] += plan.before == "fault"
                tally.counts["cut after a cut"] += plan.before == "cut"
        check_model(disk, folder)
    return tally


def live_through(plan: Plan, folder: Path, disk: Disk, world: World, tally: Tally, chance: Random) -> Disk:
    """Let happen what the plan says comes before its load, and return the disk as it is then."""
    earlier = Load(f"earlier-{plan.load.name}", plan.load.requests, pages=plan.load.pages)
    operations = record(folder, earlier, plan.fault)
    if plan.before == "cut":
        operations = operations[: chance.randint(1, len(operations))]
    for one in operations:
        disk.do(one)
        world.see(one)
        if isinstance(one, Sync) and not one.ok:
            tally.counts[f"flush of the {'log' if one.name.endswith('-wal') else 'database file'} failed"] += 1
    if plan.before == "fault":
        return disk
    shutil.rmtree(folder)
    folder.mkdir()
    disk.cut(folder, chance)
    (folder.parent / "marks").write_text("".join(f"effect {key} {what}\n" for key, what in world.effects.items()))
    return Disk(chance, folder)


def moments(disk: Disk, operations: Sequence[Operation], cuts: int, chance: Random) -> list[int]:
    """When to cut: half of the moments anywhere, half where something rare is not on the disk yet."""
    rare = []
    for moment, one in enumerate(operations, 1):
        disk.do(one)
        if disk.unflushed & {FILE, "."}:
            rare.append(moment)
    return [chance.randint(1, len(operations)), *chance.choices(rare, k=cuts // 2)] + [
        chance.randint(1, len(operations)) for _ in range(cuts - cuts // 2 - 1)
    ]


def check_model(disk: Disk, folder: Path) -> None:
    """The model has seen everything: what it takes for the system's memory is what the files read."""
    for name, file in disk.cached.items():
        if (folder / name).read_bytes() != file.cached:
            raise RuntimeError(f"the recording of {name} is not complete")


async def cut(disk: Disk, world: World, chance: Random, tally: Tally) -> list[str]:
    """Cut the power now, start again on what is left, and tell what is wrong."""
    tally.cuts += 1
    count_moment(disk, world, tally.counts)
    folder = Path(tempfile.mkdtemp(prefix="tieout-cut-"))
    try:
        disk.cut(folder, chance)
        return await recover(folder / FILE, world, tally.counts)
    finally:
        shutil.rmtree(folder)


def count_moment(disk: Disk, world: World, counts: Counter[str]) -> None:
    """Note what kind of moment this is."""
    unflushed = disk.unflushed
    counts["cut before the tables were there"] += not world.opened
    counts["cut with nothing unflushed"] += not unflushed
    counts["cut with the log unflushed"] += f"{FILE}-wal" in unflushed
    counts["cut with the database file unflushed"] += FILE in unflushed
    counts["cut with an entry of the folder unflushed"] += "." in unflushed
    counts["request accepted before the cut"] += len(world.accepted)
    counts["process final before the cut"] += len(world.final)


class Later:
    """A clock in which an hour passes whenever that is said."""

    def __init__(self) -> None:
        self.hours = 0

    def __call__(self) -> int:
        return microseconds() + self.hours * HOUR


async def recover(file: Path, world: World, counts: Counter[str]) -> list[str]:
    """Open what a power cut has left, check it, let everything end, and check again."""
    prizes, clock = Prizes(lambda _: None, dict(world.effects), lost=0), Later()
    app = App("sqlite://", deps=prizes, sweep=False, database=SqliteDatabase(file, clock))
    app.register(Redeem)
    try:
        await app.__aenter__()
    except Exception as error:  # noqa: BLE001 - whatever it is: it does not open
        return [f"it does not open: {type(error).__name__}: {error}"]
    try:
        with closing(sqlite3.connect(file)) as looking:
            found = check_stored(looking, world, counts)
            if found or not has_tables(looking):
                return found
            while None in states_of(looking).values() and clock.hours < SWEEPS:
                clock.hours += 1
                await app.worker.sweep()
                await rest(app)
            return check_ended(looking, prizes)
    finally:
        await app.close()


def check_stored(looking: sqlite3.Connection, world: World, counts: Counter[str]) -> list[str]:
    """What is wrong with what is there before anything goes on."""
    if told := damage(looking):
        return [f"damaged: {told}"]
    if not has_tables(looking):
        return ["the tables that were there are not"] if world.opened else []
    states = states_of(looking)
    sent = {key.partition(":")[0] for key in world.effects}
    counts["process unfinished at the cut"] += sum(state is None for state in states.values())
    counts["effect at the downstream whose answer was not stored"] += sum(not states.get(one) for one in sent)
    counts["process that nobody was told of"] += len(states.keys() - world.accepted)
    wrong = [f"accepted and lost: {one}" for one in world.accepted - states.keys()]
    wrong += [f"sent and forgotten: {one}" for one in sent - states.keys()]
    wrong += [
        f"told {state} and now {states[one]}: {one}"
        for one, state in world.final.items()
        if one in states and states[one] != state
    ]
    return wrong + check_together(looking, states)


def damage(looking: sqlite3.Connection) -> str:
    """What SQLite finds damaged, or ""."""
    try:
        told = str(looking.execute("PRAGMA integrity_check").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if told == "ok" else told


def check_together(looking: sqlite3.Connection, states: dict[str, str | None]) -> list[str]:
    """What is wrong with processes and business rows together."""
    postings: dict[str, list[str]] = {}
    for process, what in looking.execute("SELECT process, what FROM posting ORDER BY rowid"):
        postings.setdefault(process, []).append(what)
    ends = {None: [], "completed": ["complete"], "refunded": ["refund"]}
    expected = {process: ["deduct", *ends[state]] for process, state in states.items()}
    wrong = [
        f"{process} is {states.get(process)} and has {postings.get(process)}"
        for process in {*expected, *postings}
        if expected.get(process) != postings.get(process)
    ]
    taken = COST * sum(state != "refunded" for state in states.values())
    (points,) = looking.execute("SELECT coalesce(sum(points), 0) FROM account").fetchone()
    if postings and points != ACCOUNTS * POINTS - taken:
        wrong.append(f"{taken} points were taken and {points} are left")
    return wrong


def check_ended(looking: sqlite3.Connection, prizes: Prizes) -> list[str]:
    """What is wrong when everything should have ended."""
    states = states_of(looking)
    wrong = [f"not ended: {one}" for one, state in states.items() if state is None] + check_together(looking, states)
    told = {"succeeded": "completed", "failed": "refunded"}
    ends = {key.partition(":")[0]: told[outcome] for key, outcome in prizes.known.items()}
    if len(ends) != len(prizes.known):
        wrong.append("a process has two effects")
    return wrong + [
        f"{one} is {states.get(one)} here and {end} there" for one, end in ends.items() if states.get(one) != end
    ]


def states_of(looking: sqlite3.Connection) -> dict[str, str | None]:
    """How each process has ended, or None."""
    return dict(looking.execute("SELECT lower(hex(id)), CASE status WHEN 'final' THEN state END FROM tieout_process"))


def has_tables(looking: sqlite3.Connection) -> bool:
    """Whether the load had begun when the power went."""
    return looking.execute("SELECT count(*) FROM sqlite_master WHERE name = 'posting'").fetchone() == (1,)
