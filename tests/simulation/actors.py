"""Those who act from outside: clients, the downstreams that push, forgers, operators, and what breaks on a plan."""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from tests.simulation.business import ACCOUNT, HOUSE, SHOP, Prize, Reply, answer
from tests.simulation.business_waits import guests
from tests.simulation.downstream import Downstream, Order
from tests.simulation.evidence import Act as Acted
from tests.simulation.evidence import Asked
from tests.simulation.kinds import DRAWN, KINDS, SERVICES
from tests.simulation.model_statements import PROCESS
from tests.simulation.scheduler import SECOND
from tests.simulation.storm import LONGEST_JUMP
from tieout.errors import (
    ApprovalNeeded,
    DatabaseError,
    DefinitionError,
    KeyRetired,
    NewerVersion,
    NotAllowed,
    Overloaded,
    ParamsChanged,
    Refused,
    UnknownCall,
    UnknownProcess,
)
from tieout.process.operating import Act
from tieout.process.outcomes import Pending, Succeeded

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

Work = Coroutine[Any, Any, None]

TRIES = 40


def open_shop(simulation: Simulation) -> None:
    """Accounts with points for one or two exchanges, and an open door."""
    database, chance = simulation.database, simulation.chance
    for user in ("ann", "bob"):
        simulation.evidence.opening[user] = chance.choice((15, 30, 100, 100))
    simulation.evidence.opening[HOUSE] = 0
    for user, points in simulation.evidence.opening.items():
        database.put(ACCOUNT, user, {"points": points})
    database.put(SHOP, "door", {"open": True})


def cast(simulation: Simulation) -> Iterator[Work]:
    """Everybody who takes part in this schedule."""
    chance, rates = simulation.chance, simulation.rates
    for number in range(rates.requests):
        kind = chance.choice(DRAWN)
        request = Request(simulation, kind, f"r{number}", chance.choice(("ann", "bob")))
        if chance.random() < rates.doubles:
            simulation.storm.saw("double start")
            yield client(simulation, request)
        yield client(simulation, request)
    for _ in range(rates.outages):
        yield outage(simulation)
    for _ in range(rates.forged):
        yield forger(simulation)
    for _ in range(rates.operates):
        yield operator(simulation)
    if rates.downstream_outage:
        yield downstream_outage(simulation)
    if rates.closes:
        yield close_door(simulation)
    if rates.retires:
        yield retire(simulation)


class Request:
    """What one client wants, once."""

    def __init__(self, simulation: Simulation, kind: str, key: str, user: str) -> None:
        chance = simulation.chance
        self.kind = kind
        self.params = {
            "request_id": key,
            "user": user,
            "sku": chance.choice(("mug", "pen")),
            "quantity": chance.choice((1, 1, 2)),
            "house_first": chance.random() < 0.5,
        }
        self.start = round(chance.random() * 8 * SECOND)
        self.process = KINDS[kind](**self.params).id
        simulation.kinds[self.process] = kind
        if kind == "party":
            self._invite(simulation)

    def _invite(self, simulation: Simulation) -> None:
        user, sku = self.params["user"], self.params["sku"]
        for guest in guests(self.process, user, sku):
            simulation.kinds[guest.id] = "message"
            simulation.evidence.children[guest.id] = self.process
            asked = Asked(0, guest.id, "message", user, sku, 1, altered=False, said="child")
            simulation.evidence.asked.append(asked)

    def make(self, *, altered: bool) -> Any:
        """The request as it is sent."""
        return KINDS[self.kind](**{**self.params, **({"quantity": 7} if altered else {})})


async def client(simulation: Simulation, request: Request) -> None:
    """Ask until there is an answer; then ask again, look, and perhaps try to change what was asked."""
    scheduler, chance, rates = simulation.scheduler, simulation.chance, simulation.rates
    await scheduler.sleep(request.start)
    for attempt in range(TRIES):
        said = await ask(simulation, request, altered=False)
        if said != "lost":
            break
        simulation.storm.saw("retry after a lost answer") if attempt == 0 else None
        await scheduler.sleep(simulation.storm.duration(0.3, 6))
    if said != "accepted":
        return
    await look(simulation, request.process)
    if chance.random() < rates.changes:
        simulation.storm.saw("changed params")
        await ask(simulation, request, altered=True)
    if chance.random() < rates.replays:
        await scheduler.sleep(simulation.storm.duration(0, 40))
        simulation.storm.saw("replay")
        await ask(simulation, request, altered=False)
    await look(simulation, request.process)


async def ask(simulation: Simulation, request: Request, *, altered: bool) -> str:
    """Ask once, and write down what was said."""
    params = request.params
    asked = Asked(
        simulation.scheduler.now,
        request.process,
        request.kind,
        params["user"],
        params["sku"],
        7 if altered else params["quantity"],
        altered,
    )
    simulation.evidence.asked.append(asked)
    got = await simulation.ask(lambda node: node.start(request.make(altered=altered)))
    if got is not None:
        _understand(simulation, asked, *got)
    return asked.said


def _understand(simulation: Simulation, asked: Asked, started: Any, error: Exception | None) -> None:
    asked.answered = simulation.scheduler.now
    match error:
        case None:
            asked.said, asked.replayed = "accepted", started.replayed
            if started.replayed:
                simulation.storm.saw("started again and found it")
            if started.record.id.hex() != asked.process:
                simulation.surprise(AssertionError("another process was returned"))
        case Refused():
            asked.said = "refused"
            simulation.storm.saw("shop closed" if error.reason == "closed" else "refused")
        case ParamsChanged():
            asked.said = "changed"
            simulation.storm.saw("refused a changed retry")
        case KeyRetired():
            asked.said = "retired"
            simulation.storm.saw("key retired")
        case DefinitionError() | NewerVersion():
            simulation.storm.saw("sent away to newer code")
        case DatabaseError():
            pass
        case _:
            simulation.surprise(error)


async def look(simulation: Simulation, process: str) -> bool:
    """Read a process, as anybody may; whether that worked."""
    asked = simulation.scheduler.now
    got = await simulation.ask(lambda node: node.engine.read(bytes.fromhex(process)))
    if got is None or isinstance(got[1], DatabaseError):
        return False
    if got[1] is None:
        simulation.saw_process(got[0], asked)
    elif not isinstance(got[1], UnknownProcess):
        simulation.surprise(got[1])
    return True


async def look_at_all(simulation: Simulation) -> None:
    """Read every process that a client ever asked for."""
    for process in simulation.kinds:
        while not await look(simulation, process):
            await simulation.scheduler.sleep(SECOND)


async def push(simulation: Simulation, downstream: Downstream, order: Order, reply: Reply) -> None:
    """Tell some node what became of a call, until one confirms it."""
    downstream.claim(order, reply, simulation.scheduler.now, heard=False)
    while True:
        got = await simulation.ask(lambda node: node.report(order.key, answer(reply)))
        if got is not None and got[1] is None:
            downstream.claim(order, reply, simulation.scheduler.now, heard=True)
            return
        if got is not None and not isinstance(got[1], (DatabaseError, NewerVersion, UnknownCall, Overloaded)):
            simulation.surprise(got[1] or AssertionError())
            return
        await simulation.scheduler.sleep(simulation.storm.duration(0.5, 8))


async def forger(simulation: Simulation) -> None:
    """Report on calls that do not exist, or not yet."""
    chance = simulation.chance
    await simulation.scheduler.sleep(simulation.storm.duration(0, 30))
    process = chance.choice(list(simulation.kinds))
    early = chance.random() < 0.4
    simulation.storm.saw("early report" if early else "forged report")
    made_up = (f"{chance.getrandbits(128):032x}:1", f"{process}:9", f"{process}:0", "nonsense", f"{process}:x")
    key = f"{process}:1" if early else chance.choice(made_up)
    outcome: Any = Pending() if early else Succeeded(Prize("forged", "mug"))
    got = await simulation.ask(lambda node: node.report(key, outcome))
    if got is not None and isinstance(got[1], UnknownCall):
        simulation.storm.saw("stray report")
    elif got is not None and not early and not isinstance(got[1], (DatabaseError, NewerVersion)):
        simulation.surprise(AssertionError(f"a forged report of {key} was not refused: {got}"))


async def outage(simulation: Simulation) -> None:
    """The database goes away for a while."""
    chance, rates, storm = simulation.chance, simulation.rates, simulation.storm
    await simulation.scheduler.sleep(round(chance.random() * rates.until * 0.7))
    jump = round((2 * chance.random() - 1) * LONGEST_JUMP) if rates.jumps else 0
    await storm.outage(storm.duration(0.05, 40), jump)


async def downstream_outage(simulation: Simulation) -> None:
    """The downstreams go away for a while."""
    await simulation.scheduler.sleep(round(simulation.chance.random() * 6 * SECOND))
    simulation.network.down_until = simulation.scheduler.now + simulation.rates.downstream_outage
    await simulation.scheduler.sleep(simulation.rates.downstream_outage)


async def close_door(simulation: Simulation) -> None:
    """The shop refuses new exchanges again and again, between one moment and the next."""
    while simulation.scheduler.now < 9 * SECOND:
        for is_open in (False, True):
            simulation.database.put(SHOP, "door", {"open": is_open})
            await simulation.scheduler.sleep(simulation.storm.duration(0.02, 1.5))


async def retire(simulation: Simulation) -> None:
    """Retention comes by, with a short horizon."""
    for _ in range(3):
        await simulation.scheduler.sleep(simulation.storm.duration(2, 40))
        got = await simulation.ask(lambda node: node.retention.retire(3 * SECOND))
        if got is not None and not isinstance(got[1], DatabaseError | None):
            simulation.surprise(got[1])


async def operator(simulation: Simulation) -> None:
    """Somebody holds, resumes, hurries, asks or settles, whatever comes to mind."""
    chance, storm = simulation.chance, simulation.storm
    await simulation.scheduler.sleep(storm.duration(0.5, 40))
    process = chance.choice(list(simulation.kinds))
    row = simulation.database.tables[PROCESS].get(bytes.fromhex(process))
    if row is None or row.committed is None:
        return
    if row.committed["status"] == "held":
        await settle(simulation, process) if chance.random() < 0.5 else await command(simulation, process, "resume")
        return
    cancels = simulation.kinds[process] == "trip" and chance.random() < 0.5
    action = "cancel" if cancels else chance.choice(("hold", "hold", "retry", "query"))
    if not await command(simulation, process, action) or action != "hold":
        return
    await simulation.scheduler.sleep(storm.duration(0.1, 40))
    if chance.random() < 0.7:
        await command(simulation, process, "resume")


SEEN = {
    "hold": "operator held",
    "resume": "operator resumed",
    "retry": "operator hurried",
    "query": "operator asked",
    "cancel": "operator cancelled",
}


async def command(simulation: Simulation, process: str, action: str) -> bool:
    """Give one command; whether it was obeyed."""
    raw, act = bytes.fromhex(process), Act("olga", "it looks odd")
    simulation.evidence.acts.append(Acted(simulation.scheduler.now, process, action))
    got = await simulation.ask(lambda node: getattr(node.operating, action)(raw, act))
    if got is None or isinstance(got[1], (NotAllowed, UnknownProcess, NewerVersion, DatabaseError)):
        return False
    if got[1] is not None:
        simulation.surprise(got[1])
        return False
    simulation.storm.saw(SEEN[action])
    return True


async def settle_some(simulation: Simulation) -> None:
    """At the end of the day, somebody decides some of what is held."""
    for process in simulation.kinds:
        row = simulation.database.tables[PROCESS].get(bytes.fromhex(process))
        held = row is not None and row.committed is not None and row.committed["status"] == "held"
        if held and simulation.chance.random() < 0.6:
            await settle(simulation, process)


async def settle(simulation: Simulation, process: str) -> None:
    """Ask the downstream what is true, and settle the open call so; a second person helps where one is needed."""
    got = await simulation.ask(lambda node: node.engine.read(bytes.fromhex(process)))
    if got is None or got[0] is None or got[0].status != "held":
        return
    kind = simulation.kinds[process]
    calls = [entry for entry in got[0].open_entries if (kind, entry.n) in SERVICES]
    if not calls:
        return
    entry = simulation.chance.choice(calls)
    key = f"{process}:{entry.n}"
    downstream = simulation.network.downstreams[SERVICES[kind, entry.n]]
    order = downstream.orders.get(key)
    if order is None and (simulation.busy > 1 or simulation.network.under_way):
        return
    truth = order.truth if order is not None else Reply("failed", "never-came")
    choice = "succeeded" if truth.word == "succeeded" else "failed"
    value = Prize(truth.code, truth.sku) if choice == "succeeded" else None
    arguments = (bytes.fromhex(process), entry.n, choice)
    for person in ("olga", "pete"):
        asked = Acted(simulation.scheduler.now, process, "settle", key, choice)
        simulation.evidence.acts.append(asked)
        act = Act(person, "the downstream says so")
        got = await simulation.ask(lambda node, act=act: node.operating.settle(*arguments, act, value, truth.code))
        if got is not None and got[1] is None:
            asked.done = True
            simulation.storm.saw("operator settled")
            if person == "pete":
                simulation.storm.saw("settled by two")
            return
        if got is None or not isinstance(got[1], ApprovalNeeded):
            if got is not None and not isinstance(got[1], (DatabaseError, NewerVersion, NotAllowed)):
                simulation.surprise(got[1] or AssertionError())
            return
