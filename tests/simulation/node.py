"""A node: one real engine, with a clock and a caller of virtual time, and the loops that a worker runs around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from tests.simulation.kinds import PROCESS_TYPES
from tests.simulation.network import NodeWire
from tests.simulation.scheduler import SECOND, CrashedError, Owner, Task
from tieout.alarm.store import AlarmStore
from tieout.coordination.breaker import Breakers
from tieout.errors import DatabaseError, NewerVersion
from tieout.process.driving import FollowUp, Fork
from tieout.process.engine import Engine
from tieout.process.gate import Report
from tieout.process.moving import Receipt
from tieout.process.mysql_store import process_store
from tieout.process.operating import Operating
from tieout.process.outcomes import Reported
from tieout.process.process_type import ProcessType
from tieout.process.record import Record
from tieout.process.retention import Retention
from tieout.process.world import World

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

BATCH = 100


class NodeClock:
    """Virtual time, counted from a moment that is another on each node."""

    def __init__(self, simulation: Simulation) -> None:
        self.scheduler = simulation.scheduler
        self.ahead = simulation.chance.random() * 1e6

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return self.scheduler.now / SECOND + self.ahead

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await self.scheduler.sleep(round(seconds * SECOND))


class NodeCaller:
    """Runs handlers as tasks of the node; one that is late runs on, and its answer is reported."""

    def __init__(self, simulation: Simulation, node: Node) -> None:
        self.simulation = simulation
        self.node = node

    async def attempt(
        self,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        timeout: float,
        late: Callable[[Any], Awaitable[None]],
    ) -> Any:
        """What `method` returns; raise `TimeoutError` after `timeout` seconds, and then let it run on."""
        scheduler, storm = self.simulation.scheduler, self.simulation.storm
        child = scheduler.begin(method(*args, **kwargs), self.node)
        if not await scheduler.join(child, round(timeout * SECOND)):
            child.then = lambda task: self._ended_late(task, late)
            raise TimeoutError
        await storm.boundary()
        if child.error is not None:
            raise child.error
        return child.result

    def _ended_late(self, task: Task, late: Callable[[Any], Awaitable[None]]) -> None:
        if task.error is None:
            self.simulation.scheduler.spawn(self.node.reporting_late(task.result, late), self.node)


class Node(Owner):
    """One process of the operating system that runs an App. It may die; then another takes its place."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        super().__init__(name)
        self.simulation = simulation
        self.serving = 0
        database = simulation.database
        clock = NodeClock(simulation)
        self.store = process_store(database.dialect, clock)
        alarms = AlarmStore(database.dialect)
        self.engine = Engine(
            World(
                database,
                self.store,
                alarms,
                clock,
                Random(simulation.chance.random()),
                NodeCaller(simulation, self),
                Breakers(),
                NodeWire(simulation, self),
                self._types(),
            )
        )
        simulation.change(self.engine)
        engine = self.engine
        self._judge, engine.gate.report = engine.gate.report, self._watched
        self.operating = Operating(engine.world, engine.gate, engine.calls, engine.driving, alarms)
        self.retention = Retention(engine.world, self.store)
        simulation.scheduler.spawn(self.sweep_forever(), self)

    def _types(self) -> dict[str, ProcessType]:
        """Those that the code on this node knows: older code does not know all."""
        simulation = self.simulation
        if simulation.chance.random() >= simulation.rates.old_code:
            return PROCESS_TYPES
        simulation.storm.saw("node with older code")
        unknown = simulation.chance.sample(sorted(PROCESS_TYPES), 2)
        return {name: known for name, known in PROCESS_TYPES.items() if name not in unknown}

    def drive(self, record: Record) -> None:
        """Go on with a process that was just written here."""
        self.begin(self.run(partial(self.engine.driving.at_once, record)))

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something beside everything else."""
        self.simulation.scheduler.spawn(work, self)

    async def run(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Work on one process, as the worker's tasks do."""
        try:
            came_to = await work()
        except (DatabaseError, NewerVersion):
            self.simulation.storm.saw("left to the sweep")
        except Exception as error:  # noqa: BLE001 - the auditor is told
            self.simulation.surprise(error)
        else:
            if isinstance(came_to, FollowUp):
                self.begin(self.follow_up_later(came_to))
            elif isinstance(came_to, Fork):
                for branch in came_to.branches:
                    self.begin(self.run(branch))

    async def follow_up_later(self, follow_up: FollowUp) -> None:
        """Query a call that is unknown, when it is time."""
        await self.simulation.scheduler.sleep(round(follow_up.wait * SECOND))
        await self.run(partial(self.engine.driving.follow_up, follow_up))

    async def sweep_forever(self) -> None:
        """Claim what is due and work on it; sleep while nothing can be due."""
        simulation = self.simulation
        while True:
            self._look_at_breakers()
            try:
                claimed = await self.engine.claiming.claim(BATCH, lambda _: BATCH)
            except DatabaseError:
                await simulation.scheduler.sleep(simulation.storm.duration(1, 4))
                continue
            for record in claimed:
                self.begin(self.run(partial(self.engine.driving.take_over, record)))
            await simulation.until_due()

    async def start(self, request: Any) -> Any:
        """What the App does for `start`."""
        started = await self.engine.start(request)
        if not started.replayed:
            self.drive(started.record)
        return started

    async def report(self, key: str, outcome: Reported) -> str:
        """What the App does for `report`."""
        receipt = await self.engine.report(key, outcome, "push")
        if receipt.effect == "advanced":
            self.begin(self.run(partial(self.engine.driving.after, receipt)))
        return receipt.effect

    async def reporting_late(self, answer: Any, late: Callable[[Any], Awaitable[None]]) -> None:
        """Bring a late answer to the gate."""
        self.simulation.late.add(self.simulation.scheduler.current)
        try:
            await late(answer)
        except (DatabaseError, NewerVersion):
            self.simulation.storm.saw("late answer could not be kept")
        except Exception as error:  # noqa: BLE001 - the auditor is told
            self.simulation.surprise(error)

    async def serve(self, work: Callable[[Node], Awaitable[Any]]) -> tuple[Any, Exception | None]:
        """Answer a request from outside: a value, or the error that it came to."""
        self.serving += 1
        try:
            return await work(self), None
        except Exception as error:  # noqa: BLE001 - it is the client's to judge
            return None, error
        finally:
            self.serving -= 1

    async def _watched(self, report: Report, hint: Record | None = None) -> Receipt:
        receipt = await self._judge(report, hint)
        if receipt.effect == "advanced" and self.simulation.scheduler.current in self.simulation.late:
            self.simulation.storm.saw("late answer moved it")
        if receipt.record.status == "retired":
            self.simulation.storm.saw("report of a retired one")
        return receipt

    def _look_at_breakers(self) -> None:
        world = self.engine.world
        if any(world.breakers.is_open(lane, world.clock.monotonic()) for lane in self.engine.claiming.lanes()):
            self.simulation.storm.saw("breaker opened")


def was_lost(task: Task) -> bool:
    """Whether a request to a node got no answer, because the node died or took too long."""
    return not task.done or isinstance(task.error, CrashedError)
