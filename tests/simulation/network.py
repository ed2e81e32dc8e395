"""The way between nodes and downstreams: requests and answers that are lost, late, garbled, and pushes besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.simulation.business import BROKEN_STEP, Reply
from tests.simulation.downstream import KEY_VALID, Downstream, Order
from tests.simulation.evidence import Sent
from tests.simulation.scheduler import SECOND
from tests.simulation.storm import LONGEST_JUMP
from tieout.errors import NotSent

if TYPE_CHECKING:
    from tests.simulation.node import Node
    from tests.simulation.simulation import Simulation

GARBAGE = ("login page", "wrong type", "no outcome", "WHO KNOWS")


class StepBrokenError(Exception):
    """A step of the business raises it now and then."""


class NodeWire:
    """What the handlers on one node find as `self.deps`."""

    def __init__(self, simulation: Simulation, node: Node) -> None:
        self.simulation = simulation
        self.node = node

    async def price(self, sku: str) -> int:
        """The price now; it goes up all the time."""
        return 10 + self.simulation.scheduler.now // (10 * SECOND)

    async def rate(self) -> int:
        """The rate now: it changes all the time, being the time."""
        return self.simulation.scheduler.now

    def stumble(self, step: str) -> None:
        """Raise, now and then."""
        simulation = self.simulation
        if simulation.stumbles and simulation.chance.random() < simulation.rates.stumbles:
            simulation.stumbles -= 1
            simulation.storm.saw("step raised")
            raise StepBrokenError(BROKEN_STEP)

    async def send(self, service: str, key: str, args: dict[str, Any], timeout: float) -> Reply:
        """Send a request, and wait for its answer for as long as it takes."""
        network, now = self.simulation.network, self.simulation.scheduler.now
        if network.refuses():
            raise self.simulation.chance.choice((NotSent, ConnectionRefusedError))("refused")
        self._count_again(key)
        self.simulation.evidence.sent.append(Sent(now, self.node.name, service, key, args))
        return await network.exchange(lambda: network.arrive(service, key, args), timeout, service)

    def _count_again(self, key: str) -> None:
        simulation = self.simulation
        if key in simulation.missed:
            simulation.storm.saw("sent again after not found")
        elif any(sent.key == key for sent in simulation.evidence.sent):
            simulation.storm.saw("sent again without a query")

    async def ask(self, service: str, key: str) -> Reply:
        """Ask what became of a request."""
        network = self.simulation.network
        if network.refuses():
            raise NotSent("refused")
        reply = await network.exchange(lambda: network.downstreams[service].find(key, network.now), 2.0, "")
        if reply.word == "missing":
            self.simulation.missed.add(key)
        return reply


class Network:
    """Everything between the nodes and the downstreams."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.scheduler = simulation.scheduler
        self.chance = simulation.chance
        self.rates = simulation.rates
        self.storm = simulation.storm
        self.under_way = 0
        self.down_until = 0
        common = (self.chance, self.rates, simulation.evidence, simulation.counts)
        self.downstreams = {
            "prizes": Downstream("prizes", *common, idempotent=True),
            "parcels": Downstream("parcels", *common, idempotent=False),
            "messages": Downstream("messages", *common, idempotent=False),
        }

    @property
    def now(self) -> int:
        """Virtual time."""
        return self.scheduler.now

    def refuses(self) -> bool:
        """Whether a connection is refused now."""
        if self.now < self.down_until:
            self.storm.saw("downstream down")
            return self.chance.random() < 0.7
        if self.chance.random() < self.rates.not_sent:
            self.storm.saw("not sent")
            return True
        return False

    async def exchange(self, act: Callable[[], Reply], timeout: float, service: str) -> Reply:
        """A request goes out, is acted on, and its answer comes back: or one of these does not happen."""
        ticket = self.scheduler.ticket()
        if self._strikes(self.rates.lost_request, "request lost") or self.now < self.down_until:
            return await self._hang(ticket)
        delay = self._delay(self.rates.late_request, "request late", timeout, service)
        self.under_way += 1
        self.scheduler.at(delay, lambda: self._act(act, ticket, timeout))
        reply: Reply = await self.scheduler.park()
        return reply

    def arrive(self, service: str, key: str, args: dict[str, Any]) -> Reply:
        """A request has come to a downstream."""
        downstream = self.downstreams[service]
        order, fresh = downstream.receive(key, args, self.now, self._remembers(service, key))
        if fresh:
            self._plan_pushes(downstream, order)
        return downstream.answer(order, self.now)

    def _remembers(self, service: str, key: str) -> int | None:
        if service != "prizes":
            return None
        kind = self.simulation.kinds[key.partition(":")[0]]
        return KEY_VALID[kind] + (self.rates.outages * LONGEST_JUMP if self.rates.jumps else 0)

    def _act(self, act: Callable[[], Reply], ticket: Any, timeout: float) -> None:
        self.under_way -= 1
        if self._strikes(self.rates.error / 2, "error before acting"):
            self.scheduler.wake(ticket, Reply("error"))
            return
        reply = act()
        if self._strikes(self.rates.lost_answer, "answer lost"):
            if self.chance.random() < 0.3:
                self.scheduler.wake(ticket, Reply("error"))
            return
        if self._strikes(self.rates.error, "error after acting"):
            reply = Reply("error")
        elif self._strikes(self.rates.garbage, "garbage"):
            reply = Reply(self.chance.choice(GARBAGE))
            if reply.word in ("wrong type", "no outcome"):
                self.storm.saw("answer that fits no type")
        delay = self._delay(self.rates.late_answer, "answer late", timeout, "")
        self.scheduler.at(delay, lambda: self.scheduler.wake(ticket, reply))

    def _strikes(self, rate: float, name: str) -> bool:
        if rate and self.chance.random() < rate:
            self.storm.saw(name)
            return True
        return False

    def _delay(self, rate: float, name: str, timeout: float, service: str) -> int:
        """A moment, or longer than the time-out; a request to a service that forgets is dropped by then instead."""
        if self._strikes(rate, name):
            least, most = (timeout * 0.5, timeout) if service == "prizes" else (timeout * 0.9, timeout + 40)
            return self.storm.duration(least, most)
        return self.storm.duration(0.0005, 0.3)

    async def _hang(self, ticket: Any) -> Reply:
        if self.chance.random() < 0.3:
            self.scheduler.wake_after(ticket, self.storm.duration(0.01, 3))
            await self.scheduler.park()
            return Reply("error")
        reply: Reply = await self.scheduler.park()
        return reply

    def _plan_pushes(self, downstream: Downstream, order: Order) -> None:
        truthful = self.chance.random() < self.rates.push
        if truthful and self._strikes(self.rates.push_lost, "push lost"):
            truthful = False
        for reply, wanted in ((order.truth, truthful or order.lie is not None), (order.lie, order.lie is not None)):
            if wanted and reply is not None:
                self._push(downstream, order, reply)
                if self._strikes(self.rates.push_twice, "push twice"):
                    self._push(downstream, order, reply)

    def _push(self, downstream: Downstream, order: Order, reply: Reply) -> None:
        late = self._strikes(self.rates.push_late, "push late")
        wait = self.storm.duration(2, 60) if late else self.storm.duration(0, 1)
        delay = order.final_at - self.now + wait
        if delay == 0 or wait < SECOND // 10:
            self.storm.saw("push before the answer")
        self.simulation.begin(self.simulation.pushing(downstream, order, reply, delay))
