"""What happens to alarms reaches people: nothing is lost, and each alarm's story arrives in order."""

from __future__ import annotations

import asyncio
import email
import time
from email import policy
from functools import partial
from random import Random

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from msgspec.structs import replace

from tests.alarm.receivers import KEY, LOOPBACK, SECRET, Hooks, Post
from tests.messages.shelf import make_due, waiting
from tieout.alarm.engine import Alarms
from tieout.alarm.notify.notifying import Notifying
from tieout.alarm.notify.routing import AlarmSettings, Route
from tieout.alarm.rules import NewAlarm
from tieout.alarm.store import AlarmStore
from tieout.audit.store import AuditStore
from tieout.eventloop import LoopCaller, LoopClock

ANN = {"actor": "ann", "reason": "as agreed"}
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Looks and pauses that a test need not wait for."""
    monkeypatch.setattr("tieout.alarm.notify.notifying.POLL", 0.05)
    monkeypatch.setattr("tieout.messages.relaying.POLL", 0.05)
    monkeypatch.setattr("tieout.messages.relaying.LONGEST_PAUSE", 0.2)


@pytest.fixture
async def hooks():
    server = Hooks()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def post():
    server = Post()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def notifying(database):
    """Starts nodes that tell of alarms by these routes."""
    nodes, caller = [], LoopCaller()

    async def start(**routes):
        settings = AlarmSettings(routes=routes, link="https://console/alarms/{id}")
        nodes.append(Notifying(settings, database, LoopClock(), caller, Random(7)))
        await nodes[-1].start()
        return nodes[-1]

    yield start
    for node in nodes:
        await node.close()
    await caller.close()


@pytest.fixture
def alarms(database):
    return Alarms(database, AlarmStore(database.dialect), AuditStore(database.dialect))


def hook(hooks, **more):
    return Route(to="webhook", url=hooks.url("hook"), secret=KEY, networks=LOOPBACK, **more)


async def raise_all(alarms, *raised):
    for one in raised:
        await alarms.database.transact(lambda tx, one=one: alarms.store.raise_alarm(tx, one))


async def until(condition, database):
    """Wait until it holds, and let what was postponed be due at once."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends, "waited too long"
        await make_due(database)
        await asyncio.sleep(0.02)


async def settled(database):
    """Wait until all was told and nothing waits to be sent."""
    store, ends = AlarmStore(database.dialect), time.monotonic() + PATIENCE
    while await database.read(lambda tx: store.untold(tx, 1)) or await waiting(database):
        assert time.monotonic() < ends, "waited too long"
        await make_due(database)
        await asyncio.sleep(0.02)


def stories(hooks):
    """What each alarm was told to have gone through, repetitions of one message left out."""
    seen, told = set(), {}
    for number, body in hooks.taken:
        if number not in seen:
            seen.add(number)
            told.setdefault(body["data"]["object"], []).append(body["data"]["happening"])
    return told


async def test_nothing_is_lost_and_each_alarm_is_told_in_order(database, alarms, hooks, notifying):
    """A webhook that answers with errors, cuts connections before and after, is gone for a while, and comes back."""
    chance = Random(11)
    await notifying(team=hook(hooks))
    hooks.moods = [chance.choice([500, 429, "drop", "forget", None, 302]) for _ in range(40)]
    objects = [f"p-{n}" for n in range(8)]
    for step in range(3):
        for name in objects:
            alarm = NewAlarm("step-failing", name, "it raises", evidence=({"n": step},))
            await raise_all(alarms, alarm)
            await alarms.resolve(alarm.id, "accepted", **ANN)
        if step == 0:
            await until(lambda: hooks.requests > 3, database)
            await hooks.stop()
        if step == 1:
            await asyncio.sleep(0.3)
            await hooks.start()
    await settled(database)
    assert stories(hooks) == {name: ["opened", "resolved", *["reopened", "resolved"] * 2] for name in objects}
    assert not hooks.moods, "a failure that was planned did not strike"
    assert {body["type"] for _, body in hooks.taken} == {"alarm.opened", "alarm.resolved", "alarm.reopened"}
    assert all(body["data"]["link"].endswith(body["data"]["id"]) for _, body in hooks.taken)


async def test_a_receiver_that_is_dead_holds_up_no_other(database, alarms, hooks, notifying):
    """Its messages wait for it, in order; when it is back it has them all."""
    dead = Hooks()
    await dead.start()
    await dead.stop()
    await notifying(alive=hook(hooks), dead=hook(dead))
    alarm = NewAlarm("deadline", "p-1", "too late")
    await raise_all(alarms, alarm)
    await alarms.resolve(alarm.id, "accepted", **ANN)
    await until(lambda: len(hooks.taken) == 2, database)
    assert (await waiting(database))["alarms:dead"] == 2
    await dead.start()
    await settled(database)
    assert stories(dead) == stories(hooks) == {"p-1": ["opened", "resolved"]}
    await dead.stop()


@pytest.mark.parametrize("robot", ["dingtalk", "feishu", "wecom", "slack"])
async def test_robots_are_spoken_to_in_their_way(database, alarms, hooks, notifying, robot):
    """Signed where the service has a signature; what it refuses with 200 is said again until it is taken."""
    query = {"dingtalk": "?access_token=t", "wecom": "?key=k"}.get(robot, "")
    secret = SECRET if robot in ("dingtalk", "feishu") else ""
    hooks.moods = [429 if robot == "slack" else "refuse", "drop", 500]
    await notifying(chat=Route(to=robot, url=hooks.url(robot) + query, secret=secret, networks=LOOPBACK))
    alarm = NewAlarm("deadline", "p-1", "<!channel> <at user_id=all> late & lost\nagain")
    await raise_all(alarms, alarm)
    await alarms.resolve(alarm.id, "accepted", **ANN)
    await settled(database)
    assert ["opened" in text.splitlines()[0] for text in hooks.taken] == [True, False]
    assert hooks.taken[0].startswith("[serious] deadline opened: ")
    assert not any(mark in text for text in hooks.taken for mark in ("<!", "<at"))
    assert f"https://console/alarms/{alarm.id.hex()}" in hooks.taken[1]


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # of a plug-in of apprise's
async def test_apprise_is_handed_alarms_until_it_delivers(database, alarms, notifying):
    """What its service did not take is handed to it again; nothing is lost, and an alarm's story keeps its order."""
    taken, moods = [], [500, 503]

    async def take(request):
        told = await request.json()
        status = moods.pop(0) if moods else 200
        if status == 200:
            taken.append(told)
        return web.Response(status=status)

    site = web.Application()
    site.router.add_post("/", take)
    async with TestServer(site) as server:
        await notifying(rest=Route(to="apprise", url=f"json://127.0.0.1:{server.port}/"))
        alarm = NewAlarm("deadline", "p-1", "too late")
        await raise_all(alarms, alarm)
        await alarms.resolve(alarm.id, "accepted", **ANN)
        await settled(database)
    assert [told["title"].split(":")[0] for told in taken] == [
        "[serious] deadline opened",
        "[serious] deadline resolved",
    ]
    assert f"https://console/alarms/{alarm.id.hex()}" in taken[0]["message"]
    assert not moods


async def test_many_at_a_time_are_told_to_people_as_one(database, alarms, hooks, notifying):
    """Forty alarms at once are a few messages, each with how many it tells of; none is left out."""
    await raise_all(alarms, *(NewAlarm("deadline", f"p-{n}", f"late {n}.") for n in range(40)))
    await notifying(chat=Route(to="slack", url=hooks.url("slack"), networks=LOOPBACK))
    await settled(database)
    assert len(hooks.taken) <= 6
    counted = sum(int(text.split()[0]) if text[0].isdigit() else 1 for text in hooks.taken)
    assert counted == 40


async def test_mail_is_sent_until_the_server_takes_it(database, alarms, post, notifying):
    """With a subject of one line, and the messages of one alarm in one thread."""
    post.moods = ["451 later", "drop", "554 no"]
    route = Route(
        to="email",
        url=f"smtp://127.0.0.1:{post.port}",
        sender="tieout@example.org",
        recipients=("ann@example.org", "bob@example.org"),
        networks=LOOPBACK,
    )
    await notifying(mail=route)
    alarm = NewAlarm("deadline", "p-1", "too late\nBcc: eve@example.org")
    await raise_all(alarms, alarm)
    await alarms.resolve(alarm.id, "accepted", **ANN)
    await settled(database)
    letters = [email.message_from_string(text, policy=policy.default) for text in post.taken]
    assert [letter["Subject"] for letter in letters] == [
        "[serious] deadline opened: too late Bcc: eve@example.org",
        "[serious] deadline resolved: too late Bcc: eve@example.org",
    ]
    assert {letter["To"] for letter in letters} == {"ann@example.org, bob@example.org"}
    assert not any("Bcc" in letter for letter in letters)
    assert len({letter["References"] for letter in letters}) == 1
    assert len({letter["Message-ID"] for letter in letters}) == 2


async def test_routes_take_what_they_are_for(database, alarms, hooks, notifying):
    """By kind, severity, owner, what happened, and how often an alarm has escalated; several may take the same."""
    await notifying(
        conflicts=hook(hooks, kinds=("conflict",)),
        critical=hook(hooks, severities=("critical",), happenings=("opened",)),
        bobs=hook(hooks, owners=("bob",), happenings=("owned",)),
        boss=hook(hooks, escalation=1),
    )
    conflict, late = NewAlarm("conflict", "p-1:1", "two claims"), NewAlarm("deadline", "p-2", "too late")
    await raise_all(alarms, conflict, late)
    await alarms.own(late.id, "bob", **ANN)
    await settled(database)
    told = sorted((body["data"]["kind"], body["data"]["happening"]) for _, body in hooks.taken)
    assert told == [("conflict", "opened"), ("conflict", "opened"), ("deadline", "owned")]


async def test_an_alarm_that_nobody_looks_after_escalates(database, alarms, hooks, notifying):
    """It is told again, also to the route for those; once it is acknowledged, no more."""
    await notifying(team=hook(hooks), boss=hook(hooks, escalation=2))
    late = NewAlarm("deadline", "p-1", "too late")
    await raise_all(alarms, late)
    for level in (1, 2):
        await settled(database)
        await database.transact(_an_hour_passes)
        await until(partial(has_escalated, hooks, level), database)
    await settled(database)
    await alarms.acknowledge(late.id, **ANN)
    await database.transact(_an_hour_passes)
    await asyncio.sleep(0.2)
    await settled(database)
    told = [(body["data"]["happening"], body["data"]["escalation"]) for _, body in hooks.taken]
    assert sorted(told) == [("escalated", 1), ("escalated", 2), ("escalated", 2), ("opened", 0)]


def has_escalated(hooks, level):
    """Whether somebody was told that nobody had looked after an alarm for so many turns."""
    return any(body["data"]["escalation"] == level for _, body in hooks.taken)


async def _an_hour_passes(tx):
    await tx.execute(
        "UPDATE tieout_alarm SET opened_at = opened_at - 3600000000, snoozed_until = snoozed_until - 3600000000,"
        " attention = CASE WHEN attention > 3600000000 THEN attention - 3600000000 ELSE attention END"
    )


async def test_a_snoozed_alarm_is_told_when_its_time_is_over(database, alarms, hooks, notifying):
    """Nothing before that."""
    await notifying(team=hook(hooks))
    late = NewAlarm("deadline", "p-1", "too late")
    await raise_all(alarms, late)
    await settled(database)
    await alarms.snooze(late.id, 3_000_000_000, **ANN)
    await settled(database)
    assert stories(hooks) == {"p-1": ["opened"]}
    await database.transact(_an_hour_passes)
    await until(lambda: len(hooks.taken) == 2, database)
    assert stories(hooks) == {"p-1": ["opened", "woken"]}


async def test_what_an_outage_explains_is_not_told_while_it_lasts(database, alarms, hooks, notifying):
    """The deadlines of one lane are one alarm; what is open when it is over is told then. Conflicts do not fold."""
    await notifying(team=hook(hooks))
    breaker = NewAlarm("breaker", "prizes", "prizes is down", lane="prizes", reopens=True)
    late = NewAlarm("deadline", "p-1", "too late", lane="prizes")
    elsewhere, conflict = replace(late, object="p-2", lane="points"), NewAlarm("conflict", "p-3:1", "two claims")
    await raise_all(alarms, breaker, late, elsewhere, replace(conflict, lane="prizes"))
    await settled(database)
    assert stories(hooks) == {"prizes": ["opened"], "p-2": ["opened"], "p-3:1": ["opened"]}
    assert [one.object for one in await alarms.list(parent=breaker.id)] == ["p-1"]
    await database.transact(lambda tx: alarms.store.clear(tx, breaker.id, "prizes answers again"))
    await until(lambda: "p-1" in stories(hooks), database)
    assert stories(hooks)["prizes"] == ["opened", "resolved"]
    assert stories(hooks)["p-1"] == ["unfolded"]
    assert await alarms.list(parent=breaker.id) == []


async def test_two_nodes_tell_once(database, alarms, hooks, notifying):
    """However many nodes look after the alarms, each message is written once, and sent by one at a time."""
    for _ in range(3):
        await notifying(team=hook(hooks))
    for n in range(20):
        await raise_all(alarms, NewAlarm("deadline", f"p-{n}", "too late"))
    await settled(database)
    assert len(hooks.taken) == 20


async def test_the_next_node_goes_on(database, alarms, hooks, notifying):
    """What one node has told and not sent, or not told yet, the next one sends."""
    hooks.moods = ["drop"] * 3
    first = await notifying(team=hook(hooks))
    await raise_all(alarms, NewAlarm("deadline", "p-1", "too late"))
    await until(lambda: not hooks.moods, database)
    await first.close()
    await raise_all(alarms, NewAlarm("deadline", "p-2", "too late"))
    await notifying(team=hook(hooks))
    await settled(database)
    assert stories(hooks) == {"p-1": ["opened"], "p-2": ["opened"]}
