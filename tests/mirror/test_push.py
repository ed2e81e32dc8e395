"""Pushes: what a supplier tells is in the copy, once, and never over what is newer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.mirror.hotels import RARELY, Hotels, today
from tests.mirror.test_following import mirror_of, price
from tests.mirror.waiting import until
from tieout.errors import InvalidJson, InvalidParams, UnknownItem
from tieout.mirror import Change, Pushed


def message(*changes, **more):
    """A message in JSON, of now unless told otherwise."""
    at = {"at": datetime.now(UTC).isoformat()}
    return json.dumps({"changes": changes, **at, **more}, default=str).encode()


def delta(item="h0-a", first=None, count=1, group="h0", **fields):
    whole = {"price": [90] * count, "stock": [2] * count, "open": [True] * count, "rules": [None] * count}
    told = fields or {**whole, "rules": [{"cancel": "none"}] * count}
    return {"kind": "delta", "group": group, "first": first or today(), "count": count, "items": {item: told}}


async def loaded(rooms):
    """All is known, and what is pushed from now on is newer for certain: to read the server's time may take long."""
    await until(lambda: price(rooms, "h0-b", 19), 100)
    await until(lambda: price(rooms, "h0-a", 19), 100)
    await until(lambda: is_past(rooms))


async def is_past(rooms):
    """Whether what was observed so far had ended before now, by more than the sender's clock is off."""
    sql = "SELECT max(start + 1000 * (took + 2)), {now} FROM tieout_mirror_sighting"
    ended, now = await rooms._world.database.read(lambda tx: tx.fetch_one(sql))  # noqa: SLF001 - no user needs it
    return now > ended


async def suspect(rooms, day=0, item="h0-a"):
    return (await rooms.read("acme", item, today() + timedelta(days=day), refresh=False)).suspect


async def test_a_pushed_change_is_in_the_copy_without_a_query(url):
    """What a delta tells in full becomes the copy's word for those cells, and nothing is asked."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY, skew="1ms")
    async with app:
        await loaded(rooms)
        asked = len(hotels.asked)
        received = await rooms.push("acme", message(delta(count=2)), message="m1")
        assert (received.effect, received.changes, received.ignored, received.gap) == ("accepted", 1, 0, False)
        await until(lambda: price(rooms, nights=2), 180)
        assert await price(rooms, day=2) == 100 and await price(rooms, "h0-b") == 100
        assert len(hotels.asked) == asked and not await suspect(rooms)


async def test_a_full_push_closes_what_it_does_not_have(url):
    """Of a whole group told in full, the items that are not there are closed."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY, skew="1ms")
    async with app:
        await loaded(rooms)
        await rooms.push("acme", message({**delta(), "kind": "full"}), message="m1")
        await until(lambda: price(rooms), 90)
        await until(lambda: price(rooms, "h0-b"), "closed")


async def test_the_same_message_again_does_nothing(url):
    """A message that was taken in is a duplicate from then on, also on another node."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY)
    other, rooms_of_other = mirror_of(url, Hotels(hotels=1), RARELY)
    async with app, other:
        await loaded(rooms)
        body = message(delta())
        assert (await rooms.push("acme", body, message="m1")).effect == "accepted"
        assert (await rooms.push("acme", body, message="m1")).effect == "duplicate"
        assert (await rooms_of_other.push("acme", body, message="m1")).effect == "duplicate"
        assert (await rooms.push("acme", body, message="m2")).effect == "accepted"


async def test_an_old_push_does_not_overwrite_what_is_newer(url):
    """A change that happened before the copy was checked is no news; nor is one before a newer push."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY, skew="1ms")
    async with app:
        await loaded(rooms)
        before = datetime.now(UTC)
        await rooms.push("acme", message(delta()), message="newer")
        await until(lambda: price(rooms), 90)
        hotels.prices["h0-a", today()] = 90
        old = delta(price=[50], stock=[9], open=[True], rules=[None])
        await rooms.push("acme", message(old, at=(before - timedelta(hours=3)).isoformat()), message="older")
        await rooms.push("acme", message(delta("h0-b")), message="last")
        await until(lambda: price(rooms, "h0-b"), 90)
        assert await price(rooms) == 90


@pytest.mark.parametrize("at", [None, "2100-01-01T00:00:00Z"])
async def test_a_push_of_no_known_time_is_asked_about(url, at):
    """What happened nobody knows when, or in times to come, changes nothing: the supplier is asked, and believed."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await loaded(rooms)
        asked = len(hotels.asked)
        hotels.prices["h0-a", today()] = 70
        await rooms.push("acme", message(delta(), at=at), message="m1")
        await until(lambda: price(rooms), 70)
        assert len(hotels.asked) > asked


async def test_a_thin_push_is_a_hint_to_ask(url):
    """Cells that are said to have changed are doubtful for every reader at once, and are asked for."""
    hotels = Hotels(hotels=2)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await loaded(rooms)
        hotels.prices["h0-a", today()] = 70
        thin = {"kind": "thin", "group": "h0", "first": today(), "count": 2}
        asked = len(hotels.asked)
        await rooms.pause("acme")
        await rooms.push("acme", message(thin), message="m1")
        assert await suspect(rooms) and await suspect(rooms, 1) and not await suspect(rooms, 2)
        assert not await suspect(rooms, item="h1-a") and await price(rooms) == 100
        await rooms.pause("acme", paused=False)
        await until(lambda: price(rooms), 70)
        await until(lambda: suspect(rooms), wanted=False)
        assert {group for group, _, _ in hotels.asked[asked:]} == {"h0"}


async def test_a_gap_in_the_sequence_has_everything_asked_for(url):
    """When a number is left out, everything that the stream speaks of is asked for: its group, or all of them."""
    hotels = Hotels(hotels=2)
    app, rooms = mirror_of(url, hotels, RARELY)
    async with app:
        await loaded(rooms)
        await until(lambda: price(rooms, "h1-a", 19), 100)

        async def push(sequence, stream=""):
            received = await rooms.push(
                "acme", message(delta(day), sequence=sequence, stream=stream), message=f"{stream}{sequence}"
            )
            return received.gap

        day = "h0-b"
        assert [await push(7), await push(8), await push(3)] == [False, False, False]
        asked = len(hotels.asked)
        hotels.prices = {(item, today() + timedelta(days=11)): 70 for item in ("h0-a", "h1-a")}
        assert [await push(1, "h0"), await push(4, "h0")] == [False, True]
        await until(lambda: price(rooms, "h0-a", 11), 70)
        assert {group for group, _, _ in hotels.asked[asked:]} == {"h0"}
        assert await push(10)
        await until(lambda: price(rooms, "h1-a", 11), 70)
        await until(lambda: suspect(rooms, 11, "h1-a"), wanted=False)


async def test_a_push_of_some_fields(url):
    """What is told is taken; the rest of those cells is doubtful until it is asked for."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY, skew="1ms")
    async with app:
        await loaded(rooms)
        asked = len(hotels.asked)
        hotels.prices["h0-a", today()] = 70
        await rooms.push("acme", message(delta(open=[True], price=[80])), message="m1")
        await until(lambda: price(rooms), 70)
        assert len(hotels.asked) > asked


async def test_a_push_of_some_fields_by_who_tells_of_all_changes(url):
    """Where the rest is known to hold nothing is doubtful, and nothing is asked."""
    hotels = Hotels(hotels=1)
    app, rooms = mirror_of(url, hotels, RARELY, skew="1ms", rest_holds=True)
    async with app:
        await loaded(rooms)
        asked = len(hotels.asked)
        await rooms.push("acme", message(delta(price=[80])), message="m1")
        await until(lambda: price(rooms), 80)
        offer = await rooms.read("acme", "h0-a", today(), refresh=False)
        assert (offer.values["stock"], offer.suspect, len(hotels.asked)) == (3, False, asked)


async def test_changes_of_unknown_groups_are_told_apart(url):
    """A group that the catalogue does not have is ignored, and said so; the others count."""
    app, rooms = mirror_of(url, Hotels(hotels=1), RARELY)
    async with app:
        await loaded(rooms)
        received = await rooms.push("acme", message(delta(group="h9"), delta()), message="m1")
        assert (received.changes, received.ignored) == (1, 1)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", InvalidJson),
        (b"\xff\xfe", InvalidJson),
        (b'{"changes": []', InvalidJson),
        (b"[]", InvalidParams),
        (message(), InvalidParams),
        (message(delta(), colour="red"), InvalidParams),
        (message(delta(), at="yesterday"), InvalidParams),
        (message(delta(), at="2026-01-01T00:00:00"), InvalidParams),
        (message(delta(), sequence=-1), InvalidParams),
        (message({**delta(), "kind": "some"}), InvalidParams),
        (message({**delta(), "kind": "thin"}), InvalidParams),
        (message({**delta(), "first": "9999-12-31T00:00:00Z"}), InvalidParams),
        (message({**delta(), "first": None}), InvalidParams),
        (message({**delta(), "count": 2}), InvalidParams),
        (message({**delta(), "count": 1 << 40}), InvalidParams),
        (message({**delta(price=[1]), "kind": "full"}), InvalidParams),
        (message(delta(price=[1.5])), InvalidParams),
        (message(delta(stock=[1 << 20])), InvalidParams),
        (message(delta(colour=["red"])), InvalidParams),
        (message({**delta(), "items": {"h0-a": {"price": [1]}, "h0-b": {"stock": [1]}}}), InvalidParams),
        (message(*[delta()] * 1_001), InvalidParams),
    ],
)
async def test_a_message_that_makes_no_sense_is_refused(here, body, error):
    """Nothing of it is used, and the sender is told what is wrong with it."""
    app, rooms = mirror_of(here, Hotels(hotels=1), RARELY)
    async with app:
        with pytest.raises(error):
            await rooms.push("acme", body, message="m1")
        with pytest.raises(UnknownItem):
            await rooms.push("nobody", message(delta()), message="m1")


async def test_a_supplier_reads_its_own_messages(here):
    """A class that has `pushed` reads the body itself; when it cannot, the message is refused."""

    class Own(Hotels):
        def pushed(self, body):
            group, cents = body.decode().split("=")
            night = {"price": [int(cents)], "open": [True]}
            return Pushed([Change("delta", group, today(), 1, {f"{group}-a": night})], at=datetime.now(UTC))

    app, rooms = mirror_of(here, Own(hotels=1), RARELY, skew="1ms", rest_holds=True)
    async with app:
        await loaded(rooms)
        await rooms.push("acme", b"h0=55", message="m1")
        await until(lambda: price(rooms), 55)
        for body in (b"h0", b"h0=a", b"\xff"):
            with pytest.raises(InvalidParams):
                await rooms.push("acme", body, message="m2")
