"""Each message has its effect once, is acknowledged after that, and holds up nobody when it cannot have one."""

from __future__ import annotations

import asyncio

import pytest

from tests.messages.belt import Belt, delivery, letters, make_due, until
from tests.process.cipher import Cipher
from tieout import App, ConfigError, DefinitionError, InvalidParams, NotAllowed
from tieout.errors import DatabaseUnavailable
from tieout.letters import consuming
from tieout.letters.consuming import BATCH
from tieout.letters.rules import CUT_BYTES, TRIES, WHOLE_BYTES

STOCK = "stock_of_tests"


@pytest.fixture
async def stock(database):
    """A table of the user's, to which handlers add a row for each message."""
    kind = {"mysql": "VARCHAR(255)"}.get(database.dialect, "TEXT")
    await database.transact(lambda tx: tx.execute(f"CREATE TABLE {STOCK} (item {kind})"))
    yield
    await database.transact(lambda tx: tx.execute(f"DROP TABLE {STOCK}"))


@pytest.fixture
def belt():
    return Belt()


@pytest.fixture
def codec():
    """What writes payloads: nothing, unless a test says so."""
    return


@pytest.fixture
def app(database, url, stock, belt, codec, monkeypatch):
    """An App that notes each message, except those whose body says that it cannot; letters are looked for often."""
    monkeypatch.setattr(consuming, "LETTERS_EVERY", 0.05)
    app = App(url, channels={"belt": belt}, codec=codec)
    app.failing = {}

    @app.consume("belt/t")
    async def note(tx, message):
        await tx.execute(f"INSERT INTO {STOCK} VALUES (:item)", item=message.body.decode())
        if app.failing.get(message.body, 0):
            app.failing[message.body] -= 1
            raise LookupError("no such item")
        if message.body == b"poison":
            raise InvalidParams("poison")

    return app


async def noted(app):
    rows = await app.database.read(lambda tx: tx.fetch(f"SELECT item FROM {STOCK}"))
    return [row[0] for row in rows]


async def test_a_message_has_its_effect_and_is_acknowledged_then(app, belt):
    """Each of a thousand messages is noted once, and all of them are acknowledged."""
    belt.put(*(delivery(n, b"%d" % n) for n in range(1000)))
    async with app:
        await belt.until_acknowledged(1000)
        assert sorted(map(int, await noted(app))) == list(range(1000))


async def test_a_message_that_comes_again_has_no_second_effect(app, belt):
    """What is sent twice, or delivered again because its acknowledgement was lost, is acknowledged and does nothing."""
    belt.loses_acknowledgements = 1
    belt.put(delivery(1, b"a"), delivery(2, b"b"), delivery(1, b"a"))
    async with app:
        await belt.until_acknowledged(3)
        assert sorted(await noted(app)) == ["a", "b"]


async def test_messages_of_one_key_are_handled_in_order(app, belt):
    """Whatever is worked on at the same time, one key's messages are not."""
    belt.put(*(delivery(n, b"%d" % n, key=f"k{n % 3}") for n in range(2 * BATCH)))
    async with app:
        await belt.until_acknowledged(2 * BATCH)
        found = [int(item) for item in await noted(app)]
    for key in range(3):
        of_key = [number for number in found if number % 3 == key]
        assert of_key == sorted(of_key) and len(of_key) > 100


async def test_a_message_that_fails_is_kept_and_done_later(app, belt):
    """What its handler wrote is rolled back, it is acknowledged and kept, and the next try of it is its only effect."""
    app.failing[b"a"] = 2
    belt.put(delivery(1, b"a", key="k"), delivery(2, b"b", key="k"))
    async with app:
        await belt.until_acknowledged(2)
        assert await noted(app) == ["b"]
        (letter,) = await letters(app)
        assert (letter.address, letter.message_id, letter.body) == ("belt/t", b"1", b"a")
        assert (letter.attempts, letter.code, letter.note) == (1, "LookupError", "no such item")
        assert letter.due > letter.received

        async def done():
            await make_due(app)
            return not await letters(app)

        await until(done)
        assert await noted(app) == ["b", "a"]


@pytest.mark.parametrize("codec", [Cipher()])
async def test_what_is_kept_is_written_by_the_codec(app, belt):
    """In the table its body cannot be read; who looks at it can, and its next try is given what came."""
    app.failing[b"secret"] = 1
    belt.put(delivery(1, b"secret", headers={"h": "v"}))
    async with app:
        await belt.until_acknowledged(1)
        (row,) = await app.database.read(lambda tx: tx.fetch("SELECT headers, body FROM tieout_letter"))
        assert (row["headers"], bytes(row["body"])) == ('~{"h":"v"}', Cipher().encode(b"secret"))
        (letter,) = await letters(app)
        assert (letter.headers, letter.body, letter.is_whole) == ('{"h":"v"}', b"secret", True)
        assert (await app.letters.show(letter.id)).body == b"secret"

        async def done():
            await make_due(app)
            return not await letters(app)

        await until(done)
        assert await noted(app) == ["secret"]


async def test_poison_is_dead_at_once_and_told(app, belt):
    """A message that can never be taken in is not tried again; a person gets one alarm for all of one source."""
    belt.put(delivery(1, b"poison"), delivery(2, b"a"), delivery(3, b"poison"))
    async with app:
        await belt.until_acknowledged(3)
        assert await noted(app) == ["a"]
        assert [(one.due, one.code) for one in await letters(app)] == [(None, "invalid-params")] * 2
        (alarm,) = await app.alarms.list()
        assert (alarm.kind, alarm.object, alarm.count) == ("dead-message", "belt/t", 2)


async def test_what_always_fails_is_dead_in_the_end(app, belt):
    """After the last try it waits for a person, and for nobody else."""
    app.failing[b"a"] = 10**6
    belt.put(delivery(1, b"a"))
    async with app:
        await belt.until_acknowledged(1)

        async def dead():
            await make_due(app)
            return [one for one in await letters(app) if one.due is None]

        (letter,) = await until(dead)
        assert letter.attempts == TRIES == 10**6 - app.failing[b"a"]
        assert [alarm.kind for alarm in await app.alarms.list()] == ["dead-message"]
        assert await noted(app) == []


async def test_a_person_has_it_tried_again_or_drops_it(app, belt):
    """Replayed it is done, dropped it is gone; who did so, and why, is in the audit."""
    belt.put(delivery(1, b"poison"), delivery(2, b"x"))
    app.failing[b"x"] = 1
    async with app:
        await belt.until_acknowledged(2)
        first, second = await letters(app)
        await app.letters.drop(first.id, actor="ann", reason="a test message")
        await app.letters.replay(second.id, actor="bob", reason="mended")

        async def none_left():
            return not await letters(app)

        await until(none_left)
        assert await noted(app) == ["x"]
        acts = await app.database.read(lambda tx: app.operate.audit.page(tx, before=1 << 62, limit=10))
    assert [(act.action, act.actor, act.object) for act in acts] == [
        ("message-replay", "bob", f"message:{second.id}"),
        ("message-drop", "ann", f"message:{first.id}"),
    ]


async def test_a_message_that_is_too_long_is_kept_for_people(app, belt):
    """It is dead at once, cut, and cannot be replayed, whether its body or its headers are too long."""
    belt.put(delivery(1, b"x" * (WHOLE_BYTES + 1)), delivery(2, b"z", headers={"h": "v" * WHOLE_BYTES}))
    async with app:
        await belt.until_acknowledged(2)
        first, second = await letters(app)
        assert (first.code, first.due, len(first.body), first.size) == ("too-large", None, CUT_BYTES, WHOLE_BYTES + 1)
        assert (second.headers, second.is_whole) == ("{}", False)
        with pytest.raises(NotAllowed, match="bytes are kept"):
            await app.letters.replay(first.id, actor="ann", reason="why")


async def test_without_an_id_it_is_told_and_not_done(app, belt):
    """What could not be told from its repetition has no effect."""
    belt.put(delivery("", b"a"))
    async with app:
        await belt.until_acknowledged(1)
        (letter,) = await letters(app)
        assert (letter.code, letter.due) == ("invalid-request", None)
        assert letter.message_id.startswith(b"sha256:")
        assert await noted(app) == []


@pytest.mark.parametrize("odd", ["\0", "\ud800", "ü" * 300, "a\nb"], ids=["nul", "surrogate", "long", "control"])
async def test_whatever_an_id_key_or_header_holds_it_is_taken_in(app, belt, odd):
    """A broker hands out what others have sent: it is done, or kept as it can be, and holds up nothing."""
    message = delivery(odd, b"poison", key=odd, headers={odd: odd})
    belt.put(message._replace(topic=odd), message._replace(body=b"a", id=odd + "2"), delivery(3, b"c"))
    async with app:
        await belt.until_acknowledged(3)
        assert set(await noted(app)) >= {"c"}
        assert "invalid-params" in [one.code for one in await letters(app)]


async def test_while_the_database_is_away_nothing_is_acknowledged(app, belt, monkeypatch):
    """A message that could be neither done nor kept waits, and is done once the database is back."""
    away = asyncio.Event()
    (taking,) = app.consuming.sources.values()
    effect, tries = taking.effect, []

    async def refuse(message, first):
        tries.append(message.id)
        if not away.is_set():
            raise DatabaseUnavailable("away")
        await effect(message, first)

    monkeypatch.setattr(taking, "effect", refuse)
    belt.put(delivery(1, b"a"))
    async with app:

        async def tried():
            return len(tries) >= 3

        await until(tried)
        assert belt.acknowledged == [] and await noted(app) == [] and await letters(app) == []
        away.set()
        await belt.until_acknowledged(1)
        assert await noted(app) == ["a"]


async def test_a_channel_that_cannot_be_reached_is_asked_again(app, belt):
    """An App opens without it, and consumes once it is there."""
    belt.refuses_to_subscribe = 2
    belt.put(delivery(1, b"a"))
    async with app:
        await belt.until_acknowledged(1)
        assert await noted(app) == ["a"]


async def test_an_app_that_does_not_sweep_consumes_nothing(app, belt):
    """Only workers take part."""
    app.sweeps = False
    belt.put(delivery(1, b"a"))
    async with app:
        await asyncio.sleep(0)
        assert len(belt.waiting) == 1


async def _handler(tx, message):
    """Does nothing."""


def test_what_cannot_work_is_refused_when_it_is_declared():
    """An address that is none, a second consumer of one source, and a plain function."""
    app = App("sqlite://")
    with pytest.raises(ConfigError, match="channel/topic"):
        app.consume("belt")(_handler)
    app.consume("belt/t")(_handler)
    with pytest.raises(DefinitionError, match="already"):
        app.consume("belt/t")(_handler)
    with pytest.raises(DefinitionError, match="async def"):
        app.consume("belt/u")(print)


@pytest.mark.parametrize(("channels", "why"), [({}, "no such channel"), ({"belt": object()}, "nothing comes in")])
async def test_a_source_whose_channel_is_not_there_keeps_the_app_closed(tmp_path, channels, why):
    """The App says so before it opens anything."""
    app = App(f"sqlite:///{tmp_path}/a.db", channels=channels)
    app.consume("belt/t")(_handler)
    with pytest.raises(ConfigError, match=why):
        await app.__aenter__()
