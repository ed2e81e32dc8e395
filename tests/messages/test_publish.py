"""The result of a process is told by a message that is written in the transaction of its last step."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

import tieout
from tests.messages.shelf import Shelf, waiting
from tieout import Answer, App, DefinitionError, Failed, Next, Sending, Succeeded, Transaction
from tieout.database.sqlite import SqliteDatabase


class Gift(tieout.Process, name="gift", key="number", owner="user"):
    """Given at once, or by a call that may fail; a process that is refused tells nobody."""

    number: str
    user: str
    how: str
    given = tieout.Final[str](publish="shelf/gift.given")
    refused = tieout.Final[str]()

    @tieout.start(to=("given", "send"))
    async def begin(self, tx: Transaction) -> Next:
        return self.given("at once") if self.how == "at once" else self.send.next()

    @tieout.call(timeout=5)
    async def send(self, send: Sending) -> Answer[str]:
        return Failed("sold out") if self.how == "refused" else Succeeded("by call")

    @send.succeeded(to="given")
    async def sent(self, tx: Transaction, value: str) -> Next:
        if self.how == "raises":
            raise LookupError(value)
        return self.given(value)

    @send.failed(to="refused")
    async def failed(self, tx: Transaction, why: Failed) -> Next:
        return self.refused(why.code)


async def finished(app, how):
    return await app.start(Gift(number=how, user="ann", how=how), wait=20)


@pytest.mark.parametrize(
    ("sweeps", "relays", "is_sent"), [(True, False, False), (False, True, True), (True, None, True)]
)
async def test_a_node_may_sweep_without_sending_and_send_without_sweeping(database, url, sweeps, relays, is_sent):
    """What waits is sent by nodes that relay, which are those that sweep unless they are told."""
    await finished_elsewhere(url)
    shelf = Shelf()
    app = App(url, sweep=sweeps, channels={"shelf": shelf})
    app.relays = relays
    async with app:
        assert shelf.is_open
        async with asyncio.timeout(60):
            while is_sent and await waiting(database):  # noqa: ASYNC110 - a database tells nobody
                await asyncio.sleep(0.02)
    assert len(shelf.messages) == is_sent
    assert not shelf.is_open


async def finished_elsewhere(url):
    app = App(url, sweep=False)
    app.register(Gift)
    async with app:
        await finished(app, "at once")


@pytest.mark.parametrize("how", ["at once", "by call"])
async def test_a_result_is_told_once(database, url, how):
    """The message of a final waits when the process has ended, one of it, whoever asks again."""
    app = App(url, sweep=False)
    app.register(Gift)
    async with app:
        process = await finished(app, how)
        await finished(app, how)
        assert process.state == "given"
        (message,) = await database.read(lambda tx: app.outbox.due(tx, "shelf", 10))
    told = msgspec.json.decode(message.body)
    assert (message.topic, message.key.decode()) == ("gift.given", process.id)
    assert told["data"] == {
        "process": process.id,
        "type": "gift",
        "owner": "ann",
        "request_key": how,
        "state": "given",
        "result": how,
    }
    assert (told["specversion"], told["type"], told["subject"]) == ("1.0", "gift.given", process.id)
    assert told["id"] == message.message_id.hex() and told["time"].endswith("Z")


@pytest.mark.parametrize("how", ["refused", "raises"])
async def test_nothing_is_told_of_what_is_not_declared_or_rolled_back(database, url, how):
    """A final without `publish=` writes no message, nor does a step that raised."""
    app = App(url, sweep=False)
    app.register(Gift)
    async with app:
        process = await app.start(Gift(number=how, user="ann", how=how), wait=20 if how == "refused" else 0.3)
        assert process.state == ("refused" if how == "refused" else "send")
    assert await waiting(database) == {}


async def test_an_app_with_a_channel_sends_what_waits(database, url):
    """An App that sweeps sends the results of its processes, and closes the channel with itself."""
    shelf = Shelf()
    app = App(url, channels={"shelf": shelf})
    app.register(Gift)
    async with app:
        await finished(app, "by call")
        async with asyncio.timeout(60):
            while await waiting(database):  # noqa: ASYNC110 - a database tells nobody
                await asyncio.sleep(0.02)
    assert [message.topic for message in shelf.messages] == ["gift.given"]
    assert not shelf.is_open


async def test_with_the_channel_dead_every_process_still_ends(database, url):
    """A message is a hint: what cannot be sent keeps nobody waiting, and waits itself."""
    shelf = Shelf()
    shelf.fails_before = 10**6
    app = App(url, channels={"shelf": shelf})
    app.register(Gift)
    async with app:
        ended = [await app.start(Gift(number=str(n), user="ann", how="by call"), wait=20) for n in range(5)]
        assert {process.state for process in ended} == {"given"}
    assert await waiting(database) == {"shelf": 5}


async def test_a_channel_that_cannot_open_keeps_the_app_closed(tmp_path):
    """The App raises what the channel raised, and can be opened again when that is mended."""
    shelf = Shelf()
    opened = shelf.open

    async def refuse():
        raise ConnectionError("no such host")

    shelf.open = refuse
    app = App(f"sqlite:///{tmp_path}/a.db", channels={"shelf": shelf})
    assert isinstance(app.database, SqliteDatabase)
    with pytest.raises(ConnectionError):
        await app.__aenter__()
    shelf.open = opened
    async with app:
        assert shelf.is_open


def test_an_address_that_is_none_is_refused_when_the_type_is_registered():
    """`publish=` without a topic is a `DefinitionError`."""

    class Wrong(tieout.Process, name="wrong", key="number"):
        number: str
        done = tieout.Final[str](publish="shelf")

        @tieout.start(to="done")
        async def begin(self, tx: Transaction) -> Next:
            return self.done("")

    with pytest.raises(DefinitionError, match="channel/topic"):
        App("sqlite://").register(Wrong)


def test_a_blocking_app_writes_messages_too(url, tmp_path):
    """Code without an event loop writes into the outbox with its transaction; an App with channels sends it."""
    from tieout.blocking import App as BlockingApp

    app = BlockingApp(url, migrate=True, sweep=False)
    with app:
        app.database.transact(lambda tx: tx.execute("DELETE FROM tieout_outbox"))
        number = app.database.transact(lambda tx: app.outbox.add(tx, "shelf/t", b"1", key="k"))
        rows = app.database.read(lambda tx: tx.fetch("SELECT message_id, message_key FROM tieout_outbox"))
    assert [(bytes(row[0]).hex(), bytes(row[1])) for row in rows] == [(number, b"k")]
