"""One story told again and again, with something in the way at each point, and what has to be the same afterwards."""

from __future__ import annotations

import inspect
from asyncio import Task
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from tieout.contracts import Row
from tieout.errors import RequestError
from tieout.process.process import Process
from tieout.process.view import ProcessView
from tieout.testing.script import PlayFailed
from tieout.testing.timeline import named, standing
from tieout.testing.virtual import EPOCH

if TYPE_CHECKING:
    from tieout.testing.play import Play

Facts: TypeAlias = dict[str, list[Any]]
"""What is compared, under headings; the order of values does not count."""

Story: TypeAlias = "Callable[[Play[Any]], Awaitable[Facts]]"
Plan: TypeAlias = "Callable[[Play[Any]], None]"

PATIENCE = "90d"
"""How long a story may take until all is at rest."""

SHOWN = 10
"""Values of a difference that are shown on each side."""

KEYS = "keys and arguments sent"

BETWEEN = ("after-commit", "call", "after-call", "query", "after-query")
"""Kinds of points at which another client's transaction can come in between."""


class Comparison(msgspec.Struct, frozen=True):
    """What is compared beside processes, tables and keys; columns left out; what the test asserts itself."""

    ignore: frozenset[str]
    effects: Callable[[Any], Any] | None
    check: Callable[[Any], Any] | None = None


async def crash_everywhere(
    origin: Play[Any], story: Callable[[Play[Any]], Awaitable[Any]], comparison: Comparison, limit: int
) -> list[str]:
    """As `Play.crash_everywhere` says."""

    async def told(run: Play[Any]) -> Facts:
        await story(run)
        return {}

    course = _Course(origin, told, comparison)
    points = await course.alone(limit)
    for point in points:
        await course.disturbed(f"a crash at {point}", partial(_crash, point))
    return points


async def assert_idempotent(origin: Play[Any], request: Process[Any], comparison: Comparison, limit: int) -> list[str]:
    """As `Play.assert_idempotent` says."""
    clients = _Clients(request)
    course = _Course(origin, clients.story, comparison)
    points = await course.alone(limit)
    clients.times = 2
    await course.disturbed("the same request twice", lambda _: None)
    for point in points:
        await course.disturbed(f"the same request twice and a crash at {point}", partial(_crash, point))
    clients.times = 1
    for point in points:
        if point.partition(":")[0] in BETWEEN:
            await course.disturbed(f"the same request again at {point}", partial(clients.come_between, point))
    return points


class _Clients:
    """Clients with one and the same request, one after the other or in between, who are told one and the same."""

    def __init__(self, request: Process[Any]) -> None:
        self.request = request
        self.times = 1
        self._between: list[Task[ProcessView]] = []

    async def story(self, run: Play[Any]) -> Facts:
        """What they were told, without repetitions."""
        self._between.clear()
        told = {await self._ask(run) for _ in range(self.times)}
        await run.rest(PATIENCE)
        return {"what clients were told": sorted(told | set(map(_told, self._between)))}

    def come_between(self, point: str, run: Play[Any]) -> None:
        """Let one more ask when the run is at `point`."""
        run.at(point, lambda run: self._between.append(run.stage.life.begin(run.app.start(self.request))))

    async def _ask(self, run: Play[Any]) -> str:
        try:
            return f"process {(await run.start(self.request, within=PATIENCE)).id}"
        except RequestError as error:
            return f"{error.code}: {error}"


def _told(task: Task[ProcessView]) -> str:
    error = task.exception()
    if error is not None and not isinstance(error, RequestError):
        raise error
    return f"process {task.result().id}" if error is None else f"{error.code}: {error}"


def _crash(point: str, run: Play[Any]) -> None:
    run.crash_at(point)


class _Course:
    """The course of a story with nothing in the way, to which every other run of it is held."""

    def __init__(self, origin: Play[Any], story: Story, comparison: Comparison) -> None:
        self.origin = origin
        self.story = story
        self.comparison = comparison
        self.facts: Facts | None = None

    async def alone(self, limit: int) -> list[str]:
        """Run it with nothing in the way, and once more to see chance at work; return the points that it passes."""
        points, self.facts = await self._run("nothing in the way", lambda _: None)
        if len(points) > limit:
            raise PlayFailed(f"this has {len(points)} points: tell a shorter story, or give limit={len(points)}")
        await self.disturbed("nothing in the way, a second time", lambda _: None)
        return points

    async def disturbed(self, label: str, plan: Plan) -> None:
        """Run it with something in the way; raise `PlayFailed` when that made a difference."""
        await self._run(label, plan)

    async def _run(self, label: str, plan: Plan) -> tuple[list[str], Facts]:
        run = self.origin.fresh()
        try:
            plan(run)
            told = await self.story(run)
            await _at_rest(run)
            points, facts = run.points, {**told, **await self._facts(run)}
            self._compare(run, facts)
            if self.comparison.check is not None:
                await _maybe_awaited(self.comparison.check(run))
        except Exception as error:
            what = str(error) if isinstance(error, PlayFailed) else f"{type(error).__name__}: {error}"
            raise PlayFailed(f"with {label}:\n{what}\n\n{run.timeline()}") from error
        else:
            return points, facts
        finally:
            run.close()

    async def _facts(self, run: Play[Any]) -> Facts:
        facts: Facts = {
            "processes": [_ended(process) for process in await run.processes()],
            KEYS: sorted({f"{one.step} {one.key} {one.args!r}" for one in run.sent()}),
        }
        for name, rows in (await run.tables()).items():
            facts[f"table {name}"] = [self._row(row, run.now) for row in rows]
        if self.comparison.effects is not None:
            facts["effects"] = [await _maybe_awaited(self.comparison.effects(run))]
        return facts

    def _row(self, row: Row, now: float) -> dict[str, Any]:
        ignore = self.comparison.ignore
        return {name: _timeless(row[name], now) for name in row.keys() if name not in ignore}  # noqa: SIM118 - a row iterates over its values

    def _compare(self, run: Play[Any], facts: Facts) -> None:
        different = [] if self.facts is None else list(_differences(self.facts, facts))
        different += run.left_over(script=False)
        if different:
            raise PlayFailed("\n".join(different))


def _ended(process: ProcessView) -> str:
    return f"{named(process)}: {process.state} ({process.status}), result {process.result!r}"


def _timeless(value: Any, now: float) -> Any:
    """The value, unless it is a time of the database's clock in this play."""
    is_time = type(value) is int and EPOCH <= value <= EPOCH + (now + 1) * 1_000_000
    return "(a time)" if is_time else value


def _differences(wanted: Facts, found: Facts) -> Iterator[str]:
    for heading in {**wanted, **found}:
        lacking, extra = _apart(wanted.get(heading, []), found.get(heading, []))
        if heading == KEYS:
            lacking = []  # a query may have found out before anything was sent
        if lacking or extra:
            yield f"{heading}:"
            yield from (f"  - {value!r}" for value in lacking[:SHOWN])
            yield from (f"  + {value!r}" for value in extra[:SHOWN])


def _apart(wanted: list[Any], found: list[Any]) -> tuple[list[Any], list[Any]]:
    """The values that only one of them has."""
    lacking, extra = [], list(found)
    for value in wanted:
        if value in extra:
            extra.remove(value)
        else:
            lacking.append(value)
    return lacking, extra


async def _at_rest(run: Play[Any]) -> None:
    await run.rest(PATIENCE)
    busy = [process for process in await run.processes() if process.status == "running"]
    if busy:
        raise PlayFailed(f"this cannot be compared: after {PATIENCE} it still runs, {standing(busy[0])}")


async def _maybe_awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
