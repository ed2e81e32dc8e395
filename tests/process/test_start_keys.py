"""Which requests are one request: keys, owners and types, with the same verdict on every database."""

from __future__ import annotations

import datetime as dt
import enum
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import tieout
from tests.process.place import rows
from tests.process.shop import redeem
from tieout import Answer, Failed, InvalidKey, InvalidParams, Next, ParamsChanged, Sending, Succeeded, Transaction

REDEEM, GRANT = redeem(), redeem(name="grant")

TELLING = [
    "k",
    "K",
    "k ",
    " k",
    "k\0",
    "\0k",
    "\0",
    "\uff4b",
    "é",
    "e\u0301",
    "ß",
    "ss",
    "İ",
    "i",
    "👍",
    "'",
    '"; --',
    "%",
    "_",
    "\\",
]
"""Keys that some collation, some driver or some quoting would take for each other."""


class Colour(enum.Enum):
    """A param of a closed set."""

    RED = "red"
    BLUE = "blue"


class Line(msgspec.Struct):
    """A nested param."""

    sku: str
    worth: Decimal
    by: dt.date | None = None


class Order(tieout.Process[Any], name="order", key="request_id"):
    """A type whose params are of many kinds."""

    request_id: str
    total: Decimal = Decimal(0)
    at: dt.datetime | None = None
    colour: Colour = Colour.RED
    lines: list[Line] = []  # noqa: RUF012 - a param: each request gets a list of its own
    ratio: float = 0.0
    more: dict[str, Any] = {}  # noqa: RUF012 - a param: each request gets a dict of its own

    booked = tieout.Final[Line]()

    @tieout.start(to="book")
    async def begin(self, tx: Transaction) -> Next:
        return self.book.next(total=self.total, at=self.at, lines=self.lines)

    @tieout.call(timeout=0.5, query_after=60)
    async def book(self, send: Sending, total: Decimal, at: dt.datetime | None, lines: list[Line]) -> Answer[Line]:
        self.deps.append((total, at, lines))
        return Succeeded(lines[0])

    @book.succeeded(to="booked")
    async def done(self, tx: Transaction, line: Line) -> Next:
        return self.booked(line)

    @book.failed(to="booked")
    async def undone(self, tx: Transaction, why: Failed) -> Next:
        return self.booked(self.lines[0])


async def test_keys_are_told_apart_byte_by_byte(place, shop):
    """Case, spaces, NUL, accents and look-alikes make different keys, on every database."""
    app = await place.open(REDEEM, shop=shop)
    ids = {key: (await app.start(REDEEM(request_id=key, user="ann"), wait=60)).id for key in TELLING}
    assert len(set(ids.values())) == len(TELLING)
    for key, known in ids.items():
        again = await app.start(REDEEM(request_id=key, user="ann"))
        assert (again.id, again.replayed, again.key) == (known, True, key)


@pytest.mark.parametrize("key", ["k" * 255, "é" * 127, "\0" * 255])
async def test_the_longest_keys_are_taken(place, shop, key):
    """255 bytes of UTF-8 are stored and found again."""
    app = await place.open(REDEEM, shop=shop)
    first = await app.start(REDEEM(request_id=key, user="ann"), wait=60)
    assert (await app.start(REDEEM(request_id=key, user="ann"))).id == first.id


@pytest.mark.parametrize("key", ["", "k" * 256, "é" * 128, "\ud800", "x" * 10_000_000], ids=range(5))
@pytest.mark.parametrize("field", ["request_id", "user"])
async def test_what_is_no_key_is_refused(place, shop, field, key):
    """Empty, huge and broken keys and owners raise `InvalidKey`, and nothing is stored."""
    app = await place.open(REDEEM, shop=shop)
    with pytest.raises(InvalidKey):
        await app.start(REDEEM(**({"request_id": "r1", "user": "ann"} | {field: key})))
    assert await rows(app, "SELECT count(*) FROM tieout_process") == [(0,)]


async def test_an_owner_has_keys_of_its_own(place, shop):
    """The same key of two owners is two requests: one cannot read or block the other's."""
    app = await place.open(REDEEM, shop=shop)
    await rows(app, "INSERT INTO account (name, points) VALUES ('bob', 100)")
    first = await app.start(REDEEM(request_id="r1", user="ann"), wait=60)
    second = await app.start(REDEEM(request_id="r1", user="bob", quantity=2), wait=60)
    assert first.id != second.id
    assert not second.replayed


async def test_a_type_has_keys_of_its_own(place, shop):
    """The same owner and key in two types is two requests."""
    app = await place.open(REDEEM, GRANT, shop=shop)
    first = await app.start(REDEEM(request_id="r1", user="ann"), wait=60)
    second = await app.start(GRANT(request_id="r1", user="ann", quantity=2), wait=60)
    assert first.id != second.id
    assert (first.type, second.type) == ("redeem", "grant")


async def test_an_id_taken_by_another_key_is_not_taken_for_a_repetition(place, shop):
    """All three parts are compared on a hit: a collision of hashes is refused, and neither read nor overwritten."""
    app = await place.open(REDEEM, shop=shop)
    await app.start(REDEEM(request_id="r1", user="ann"), wait=60)
    await rows(app, "UPDATE tieout_process SET request_key = :key", key=b"another")
    with pytest.raises(InvalidKey, match="taken by another key"):
        await app.start(REDEEM(request_id="r1", user="ann"))


NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=dt.UTC)
EAST = dt.timezone(dt.timedelta(hours=8))
RICH = {
    "request_id": "r1",
    "total": Decimal("1234567890123456789.000000000000000001"),
    "at": NOON,
    "colour": Colour.BLUE,
    "lines": [Line("\0 ✓", Decimal("2.50"), dt.date(2026, 2, 28))],
    "ratio": 0.1,
    "more": {"nested": [{"deep": [1, 2.5, None, True, "x"]}], "big": 2**63},
}


async def test_rich_params_reach_the_call_as_they_were(place):
    """Decimals, moments, enumerations and nested structs come out of the database as they went in."""
    sent = []
    app = await place.open(Order, shop=sent)
    process = await app.start(Order(**RICH), wait=60)
    assert sent == [(RICH["total"], RICH["at"], RICH["lines"])]
    assert str(sent[0][0]) == "1234567890123456789.000000000000000001"
    assert process.result == RICH["lines"][0]
    later = app.engine.world.revive(app.types["order"], await app.engine.read(bytes.fromhex(process.id)))
    assert {name: getattr(later, name) for name in RICH} == RICH


@pytest.mark.parametrize(
    "spelled",
    [
        {"total": Decimal("1234567890123456789.0000000000000000010")},
        {"at": NOON.astimezone(EAST)},
        {"at": "2026-01-02T12:00:00.123456+00:00"},
        {"colour": "blue"},
        {"lines": [{"worth": "2.50", "by": "2026-02-28", "sku": "\0 ✓"}]},
        {"more": {"big": 2**63, "nested": [{"deep": [1.0, 2.5, None, True, "x"]}]}},
    ],
)
async def test_another_spelling_is_the_same_request(place, spelled):
    """A retry may write an equal value in another way."""
    app = await place.open(Order, shop=[])
    first = await app.start(Order(**RICH), wait=60)
    assert (await app.start(Order(**(RICH | spelled)))).id == first.id


@pytest.mark.parametrize(
    "changed",
    [
        {"total": Decimal("1234567890123456789.000000000000000002")},
        {"at": NOON + dt.timedelta(microseconds=1)},
        {"at": None},
        {"colour": Colour.RED},
        {"lines": []},
        {"lines": [Line("\0 ✓ ", Decimal("2.50"), dt.date(2026, 2, 28))]},
        {"ratio": 0.1000000000000001},
        {"more": {"nested": [{"deep": [1, 2.5, None, True, "x"]}], "big": 2**63 + 1}},
        {"more": {"nested": [{"deep": [1, 2.5, None, 1, "x"]}], "big": 2**63}},
    ],
)
async def test_another_value_is_another_request(place, changed):
    """However small the difference, it is refused and named."""
    app = await place.open(Order, shop=[])
    await app.start(Order(**RICH), wait=60)
    with pytest.raises(ParamsChanged) as refused:
        await app.start(Order(**(RICH | changed)))
    assert refused.value.fields == tuple(changed)


def deep(levels):
    return {"a": deep(levels - 1)} if levels else 1


WRONG = {
    "NaN": {"ratio": float("nan")},
    "infinity": {"ratio": float("-inf")},
    "Decimal infinity": {"total": Decimal("Infinity")},
    "NaN inside": {"more": {"a": [float("nan")]}},
    "broken text": {"more": {"a": "\ud800"}},
    "broken name": {"more": {"\udfff": 1}},
    "deep": {"more": deep(80)},
    "bottomless": {"more": deep(900)},
    "object": {"more": {"a": object()}},
    "iterator": {"more": {"a": iter([1])}},
    "text for a list": {"lines": "many"},
    "number for a moment": {"at": 5j},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("again", [False, True], ids=["first", "repeated"])
async def test_params_that_cannot_be_stored_are_refused(place, wrong, again):
    """NaN, broken Unicode, bottomless nesting and wrong types raise `InvalidParams`, also in a repetition."""
    app = await place.open(Order, shop=[])
    if again:
        await app.start(Order(request_id="r1"))
    with pytest.raises(InvalidParams):
        await app.start(Order(**({"request_id": "r1"} | wrong)))
    assert await rows(app, "SELECT count(*) FROM tieout_process") == [(int(again),)]
