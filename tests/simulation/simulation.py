"""One schedule: the world that a seed makes, from the first request to the last audit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from tests.simulation import actors, business, model_alarms, model_mysql, model_statements
from tests.simulation.business import Reply
from tests.simulation.downstream import Downstream, Order
from tests.simulation.evidence import Evidence, Lease, Polled, Raised
from tests.simulation.faults import draw
from tests.simulation.kinds import PROCESS_TYPES
from tests.simulation.model_database import ModelDatabase
from tests.simulation.network import Network
from tests.simulation.node import Node, was_lost
from tests.simulation.scheduler import SECOND, CrashedError, Scheduler, Task
from tests.simulation.storm import Storm
from tests.simulation.watch import Watch

REST = 300 * SECOND
"""How long after the last fault everything has to be at rest."""

LONGEST_RETRY_AFTER = 3_700 * SECOND
"""The same, when a downstream asked to be left alone for absurdly long."""

Change = Callable[[Any], None]

DIALECTS = ("postgres", "mysql")
"""Whose statements the nodes run, and whose locks they meet: of one on even seeds, of the other on odd ones."""


class Simulation:
    """The parts of one schedule."""

    def __init__(
        self, seed: int, change: Change, statements: dict[str, Any], trace: Callable[[str], None] | None
    ) -> None:
        self.chance = Random(seed)
        self.rates = draw(self.chance)
        self.counts: Counter[str] = Counter()
        self.evidence = Evidence()
        self.scheduler = Scheduler(self.chance)
        self.storm = Storm(self.scheduler, self.rates, self.counts)
        self.change = change
        dialect = DIALECTS[seed % len(DIALECTS)]
        self.counts[f"on {dialect}"] += 1
        known = model_statements.STATEMENTS | (model_mysql.STATEMENTS if dialect == "mysql" else {})
        statements = {**known, **model_alarms.STATEMENTS, **business.STATEMENTS, **statements}
        tables = (*model_statements.TABLES, *model_alarms.TABLES, *business.TABLES)
        self.database = ModelDatabase(
            self.scheduler, lambda: self.scheduler.now, statements, tables, self.storm, dialect
        )
        self.database.owner = lambda: self.scheduler.current.owner
        self.storm.database = self.database
        self.storm.crashed = self.crashed
        if trace is not None:
            self.storm.trace = lambda text: trace(f"{self.scheduler.now / SECOND:10.4f}  {text}")
        self.watch = Watch(self)
        self.network = Network(self)
        self.kinds: dict[str, str] = {}
        self.missed: set[str] = set()
        self.late: set[Any] = set()
        self.stumbles = self.chance.choice((1, 3, 8))
        self.busy = 0
        self.nodes: list[Node] = []
        self._made = 0
        for _ in range(self.rates.nodes):
            self.add_node()

    def add_node(self) -> None:
        """Start a node."""
        self._made += 1
        self.nodes.append(Node(self, f"node{self._made}"))

    def crashed(self, node: Node) -> None:
        """A node has died: the server rolls back what it left open, sooner or later; another one is started."""
        self.nodes.remove(node)
        wait = 0 if self.chance.random() < 0.5 else self.storm.duration(0.01, 20)
        self.scheduler.at(wait, lambda: self.database.abandon(node))
        self.scheduler.at(self.storm.duration(0.1, 20), self.add_node)

    def surprise(self, error: Exception) -> None:
        """Something raised what it must not."""
        self.evidence.surprises.append(f"{type(error).__name__}: {error}")
        if self.storm.trace is not None:
            self.storm.trace(f"!! {error!r}")

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Let something from outside happen, and wait for its end before the schedule ends."""
        self.busy += 1
        self.scheduler.spawn(work).then = self._ended

    def _ended(self, task: Task) -> None:
        self.busy -= 1
        if task.error is not None and not isinstance(task.error, CrashedError):
            raise task.error

    async def a_node(self) -> Node:
        """Some node that lives; waits while there is none."""
        while not self.nodes:
            await self.scheduler.sleep(SECOND)
        return self.nodes[int(self.chance.random() * len(self.nodes))]

    async def ask(
        self, work: Callable[[Node], Any], patience: int = 10 * SECOND
    ) -> tuple[Any, Exception | None] | None:
        """What some node answers; None when no answer came."""
        node = await self.a_node()
        task = self.scheduler.spawn(node.serve(work), node)
        await self.scheduler.join(task, patience)
        if was_lost(task):
            return None
        answer: tuple[Any, Exception | None] = task.result
        return answer

    async def pushing(self, downstream: Downstream, order: Order, reply: Reply, delay: int) -> None:
        """Tell some node what became of a call, until one confirms it."""
        await self.scheduler.sleep(delay)
        await actors.push(self, downstream, order, reply)

    async def until_due(self) -> None:
        """Sleep until something is due, or may be."""
        await self.watch.until_due()

    async def play(self) -> None:
        """From the first request to the last look at every process."""
        actors.open_shop(self)
        for actor in actors.cast(self):
            self.begin(actor)
        await self._until_quiet(self.rates.until)
        self.storm.calm()
        self._replace_old_code()
        self._clear_sky()
        self.evidence.faults_ended = self.scheduler.now
        bound = LONGEST_RETRY_AFTER if self.counts["absurd retry-after"] else REST
        await self._until_quiet(self.scheduler.now + bound)
        await actors.settle_some(self)
        await self._until_quiet(self.scheduler.now + bound)
        self.evidence.rest_by = self.scheduler.now
        await actors.look_at_all(self)
        self._write_down()

    async def _until_quiet(self, end: int) -> None:
        while self.scheduler.now < end:
            under_way = self.busy or self.network.under_way or self.watch.running()
            if not under_way and not any(node.serving or node.frozen is not None for node in self.nodes):
                return
            await self.scheduler.sleep(SECOND)

    def _replace_old_code(self) -> None:
        """The deployment ends: nodes that do not know all types are stopped."""
        self.rates.old_code = 0.0
        for node in [node for node in self.nodes if len(node.engine.world.types) < len(PROCESS_TYPES)]:
            self.scheduler.crash(node)
            self.crashed(node)

    def _clear_sky(self) -> None:
        rates = self.rates
        rates.not_sent = rates.lost_request = rates.lost_answer = rates.late_request = rates.late_answer = 0.0
        rates.error = rates.garbage = rates.absurd_after = rates.stumbles = 0.0
        self.network.down_until = 0

    def _write_down(self) -> None:
        evidence, database = self.evidence, self.database
        evidence.changes = database.committed(business.CHANGE)
        evidence.points = {
            slot.key: slot.committed["points"]
            for slot in database.tables[business.ACCOUNT].values()
            if slot.committed is not None
        }
        pieces: dict[bytes, list[str]] = {}
        for row in database.committed(model_alarms.EVIDENCE):
            pieces.setdefault(row["alarm"], []).append(row["body"])
        for row in database.committed(model_alarms.ALARM):
            process = row["process"].hex() if row["process"] else ""
            at = self.watch.raised.get(row["id"], 0)
            raised = Raised(at, row["kind"], row["object"], process, row["state"], pieces.get(row["id"], []))
            evidence.alarms.append(raised)

    def saw_process(self, record: Any, asked: int) -> None:
        """Write down what a client reads of a process."""
        result = json.loads(record.result) if record.result else None
        code = result.get("code", "") if isinstance(result, dict) else result or ""
        price = json.loads(record.snapshots).get("price", 0)
        moved, ended = self.watch.ended.get(record.id, (0, -1))
        self.evidence.polled.append(
            Polled(
                asked,
                self.scheduler.now,
                record.id.hex(),
                record.status,
                record.state,
                record.note or "",
                code,
                price,
                moved,
                ended,
            )
        )

    def lease(self, node: str, process: bytes, until: int) -> None:
        """Write down until when a node may work on a process."""
        self.evidence.leases.append(Lease(node, process.hex(), until))
