"""Stories: what a process does until it is killed, and what whoever comes after it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from tests.kill.business import NOTE, Bought, Message, Order, Redeem, Reminder, Trip, buy
from tests.kill.node import Node
from tieout import AlreadyStarted, App, InFlight, Succeeded

SWEEPS = 3
"""Rounds of the sweep in one life."""

REQUEST = "r1"

Act = Callable[[Node], Awaitable[None]]


class Story(NamedTuple):
    """`act` is what is killed, `prepare` what has been done before; `later`: an hour lies in between.

    `client` is what a client does that was told nothing: after everything else, or before it when `hurries`.
    """

    name: str
    act: Act
    client: Act
    prepare: Act | None = None
    later: bool = False
    hurries: bool = False


async def rest(app: App, *, follow_ups: bool = True) -> None:
    """Wait until the App is at work on nothing, and waits for nothing that it has to ask."""
    for _ in range(10):
        await asyncio.sleep(0)
    worker = app.worker
    while worker.in_flight or (follow_ups and worker._waiting):  # noqa: ASYNC110, SLF001 - nobody tells of it
        await asyncio.sleep(0.001)


async def recover(node: Node, story: Story) -> None:
    """What a process does that finds whatever the killed one has left."""
    if story.hurries:
        await story.client(node)
    await sweep(node)
    await story.client(node)
    await rest(node.app)
    await node.read(REQUEST)


async def sweep(node: Node) -> None:
    """Some rounds of the sweep, each to its end, as long as they find something."""
    for _ in range(SWEEPS):
        claimed = await node.app.worker.sweep()
        await rest(node.app)
        if not claimed:
            break


def asks(kind: Any, sku: str) -> Act:
    """A client asks, and is told that it was accepted."""

    async def act(node: Node) -> None:
        node.log("asked", request=REQUEST)
        process = await node.app.start(kind(request_id=REQUEST, sku=sku))
        node.accepted(REQUEST, process)

    return act


def runs(kind: Any, sku: str) -> Act:
    """A client asks, and all runs to its end in the same life."""

    async def act(node: Node) -> None:
        await asks(kind, sku)(node)
        await rest(node.app)
        await node.read(REQUEST)

    return act


def left_alone(kind: Any, sku: str, *, sent: bool) -> Act:
    """A client asks, and nobody goes on with it: neither behind the first try, nor, unless it is `sent`, with that."""

    async def act(node: Node) -> None:
        node.app.worker.draining = not sent
        await asks(kind, sku)(node)
        await rest(node.app, follow_ups=False)

    return act


async def raises_children(node: Node) -> None:
    await asks(Trip, "mug")(node)
    await rest(node.app)
    await sweep(node)
    await node.read(REQUEST)


async def pushes(node: Node) -> None:
    """The company tells what became of the call."""
    (key, code) = next((key, code) for _, key, _, code in node.downstream.rows("effect"))
    await node.app.report(key, Succeeded(code), source="push")
    await rest(node.app)
    await node.read(REQUEST)


async def cancels(node: Node) -> None:
    """An operator calls it off, and is told that this was noted."""
    await node.app.cancel(Reminder(request_id=REQUEST, sku="mug").id, actor="ann", reason="changed her mind")
    node.points.at("before the operator is told")
    node.log("cancel noted", request=REQUEST)
    await sweep(node)
    await node.read(REQUEST)


async def buys(node: Node) -> None:
    """A client calls the receiving side, which answers otherwise each time that it really runs."""

    async def handler(tx: Any, request_id: str) -> Bought:
        return await buy(tx, request_id, f"bought-{node.downstream.price('once')}")

    once = node.app.once("buy")(handler)
    node.log("asked", request=REQUEST)
    answered = await once.run(REQUEST, request_id=REQUEST)
    node.points.at("before the client is told")
    node.log("told", request=REQUEST, state="bought", result=answered.value.code)
    found = await once.find(REQUEST)
    assert not isinstance(found, InFlight)


async def joins(node: Node) -> None:
    """A client's own transaction: a write of its own, and a start that commits with it."""
    node.log("asked", request=REQUEST)
    try:
        async with AsyncSession(node.engine()) as session:
            # Told by the session: behind the block, what goes on with the process may have come past points of its own.
            event.listen(session.sync_session, "after_commit", lambda _: node.points.at("after the user's COMMIT"))
            async with session.begin():
                await node.execute(session, NOTE, request=REQUEST, process="user", what="own", points=0, code="")
                process = await node.app.start(Redeem(request_id=REQUEST, sku="mug"), tx=session)
    except AlreadyStarted as already:
        process = already.process
    node.accepted(REQUEST, process)
    await rest(node.app)
    await node.read(REQUEST)


STORIES = (
    Story("immediate", runs(Redeem, "mug"), asks(Redeem, "mug")),
    Story("refund", runs(Redeem, "none"), asks(Redeem, "none")),
    Story("query", runs(Redeem, "lost"), asks(Redeem, "lost")),
    Story("push", pushes, asks(Redeem, "slow"), left_alone(Redeem, "slow", sent=True)),
    Story("sweep", sweep, asks(Redeem, "lost"), left_alone(Redeem, "lost", sent=True), later=True),
    Story("sweep that sends", sweep, asks(Redeem, "mug"), left_alone(Redeem, "mug", sent=False), later=True),
    Story("impatient client", runs(Redeem, "lost"), asks(Redeem, "lost"), hurries=True),
    Story("sent once", runs(Message, "mug"), asks(Message, "mug")),
    Story("parallel calls", runs(Order, "mug"), asks(Order, "mug")),
    Story("parallel calls, undone", runs(Order, "none"), asks(Order, "none")),
    Story("children", raises_children, asks(Trip, "mug")),
    Story("timer", sweep, asks(Reminder, "mug"), left_alone(Reminder, "mug", sent=True), later=True),
    Story("cancel", cancels, asks(Reminder, "mug"), left_alone(Reminder, "mug", sent=True)),
    Story("once", buys, buys),
    Story("joined start", joins, joins),
)
