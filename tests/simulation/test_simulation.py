"""Ten thousand schedules of the real engine, and engines that are wrong on purpose."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from tests.simulation import prove
from tests.simulation.mutants import MUTANTS, REQUIRED
from tests.simulation.schedule import Tally, run
from tests.simulation.scheduler import SECOND, ForeignAwaitError, NeverEndsError, Owner, Scheduler

SEEDS = range(10_000)
OFTEN = 100
"""How many seeds have to catch a wrong engine before no more are run."""

JOBS = max(2, os.cpu_count() or 1)


@pytest.fixture(scope="module")
def sound() -> Tally:
    *_, whole = prove.KIND.shared_out(SEEDS, JOBS)
    return whole


def caught(mutant: str, enough: int, capsys: pytest.CaptureFixture[str]) -> int:
    """How many seeds catch a wrong engine, of as many as are needed until `enough` have."""
    for whole in prove.KIND.shared_out(SEEDS, JOBS, mutant):
        if len(whole.violations) >= enough:
            break
    with capsys.disabled():
        print(f"\n{mutant}: caught by {len(whole.violations)} of the first {whole.schedules} seeds")
    return len(whole.violations)


def test_every_schedule_ties_out(sound, capsys):
    """Whatever fails and whoever comes first: the auditor finds nothing, with any of the seeds."""
    with capsys.disabled():
        ok = sound.final - sound.counts["final by an operator"]
        print(
            f"\n{sound.schedules} schedules, {sound.counts['processes']} processes, {ok} final without a person's help"
        )
    assert sound.schedules == len(SEEDS)
    assert sound.violations == {}


def test_no_fault_stays_away(sound):
    """Each fault struck and each rare state was reached: a run that was too kind shows nothing."""
    assert sound.missing() == []


@pytest.mark.parametrize("mutant", REQUIRED)
def test_a_wrong_engine_is_caught(mutant, capsys):
    """On the same seeds, an engine that trusts a time-out and one without fences are caught again and again."""
    assert caught(mutant, OFTEN, capsys) >= OFTEN


@pytest.mark.parametrize("mutant", sorted(MUTANTS.keys() - {"", *REQUIRED}))
def test_a_slightly_wrong_engine_is_caught(mutant, capsys):
    """Each single precaution of the engine is needed: without it, some seed is violated."""
    assert caught(mutant, 1, capsys)


def test_a_seed_replays():
    """The same seed gives the same schedule, to the last statement, whatever ran before."""
    first: list[str] = []
    run(4, trace=first.append)
    run(5)
    again: list[str] = []
    run(4, trace=again.append)
    assert len(first) > 100
    assert first == again


def test_prove_fails_when_it_was_too_kind(capsys):
    """A few schedules cannot show everything, and say so, on the last line and by the exit status."""
    assert prove.main(["--schedules", "2", "--jobs", "1", "--json"]) == 1
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["counts"]["schedules"], told["violations"], told["held"]) == (2, [], False)
    assert "failover" not in told["never"] or "deadlock" in told["never"]


def test_prove_replays_a_violation(capsys):
    """A violated schedule names its seed, and that seed replayed is violated again."""
    assert prove.main(["--schedules", "200", "--jobs", "1", "--json", "--mutant", "no-fence"]) == 1
    lines = capsys.readouterr().out.splitlines()
    seed = json.loads(lines[-1])["seeds"][0]
    assert lines[0] == f"seed {seed}: python -m tests.simulation.prove --mutant no-fence --replay {seed}"
    assert prove.main(["--replay", str(seed), "--mutant", "no-fence"]) == 1
    assert "VIOLATED" in capsys.readouterr().out


def scheduler() -> Scheduler:
    from random import Random

    return Scheduler(Random(1))


def test_time_passes_only_when_nobody_can_run():
    """Sleeping costs no time of ours, and whoever sleeps less wakes first."""
    told: list[tuple[str, int]] = []
    virtual = scheduler()

    async def sleeper(name: str, seconds: int) -> None:
        await virtual.sleep(seconds * SECOND)
        told.append((name, virtual.now))

    async def main() -> None:
        tasks = [virtual.spawn(sleeper("long", 86_400)), virtual.spawn(sleeper("short", 1))]
        for task in tasks:
            await virtual.join(task)

    virtual.run(main())
    assert told == [("short", SECOND), ("long", 86_400 * SECOND)]


def test_a_crash_ends_every_task_of_its_owner():
    """Nothing of a crashed node runs on, nor what it was to do later."""
    told: list[str] = []
    virtual, node = scheduler(), Owner("node")

    async def part(seconds: int) -> None:
        await virtual.sleep(seconds * SECOND)
        told.append(f"after {seconds}")

    async def main() -> None:
        virtual.spawn(part(1), node)
        doomed = virtual.spawn(part(3), node)
        await virtual.sleep(2 * SECOND)
        virtual.crash(node)
        await virtual.join(doomed)
        await virtual.sleep(5 * SECOND)

    virtual.run(main())
    assert told == ["after 1"]


def test_a_frozen_node_goes_on_later():
    """A node that stands still does nothing meanwhile, and all of it afterwards."""
    told: list[int] = []
    virtual, node = scheduler(), Owner("node")

    async def part() -> None:
        await virtual.sleep(SECOND)
        told.append(virtual.now)

    async def main() -> None:
        task = virtual.spawn(part(), node)
        await virtual.sleep(1)
        virtual.freeze(node, 9 * SECOND)
        await virtual.join(task)

    virtual.run(main())
    assert told == [9 * SECOND + 1]


def test_only_contracts_may_be_awaited():
    """Code that awaits an event loop instead of a contract is found out at once."""

    async def main() -> None:
        await asyncio.sleep(0)

    with pytest.raises(ForeignAwaitError):
        scheduler().run(main())


def test_a_schedule_in_which_everybody_waits_ends():
    """A deadlock of tasks is an error, not an endless run."""
    virtual = scheduler()

    async def main() -> None:
        virtual.ticket()
        await virtual.park()

    with pytest.raises(NeverEndsError):
        virtual.run(main())
