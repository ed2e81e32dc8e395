"""The second request with a key gets the first answer, and nothing happens twice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import msgspec
import pytest

import tieout
from tests.once.place import Counter, Place, Prize, SoldOut, answers, effects, give, rows
from tests.process.cipher import Cipher
from tieout import Answered, App, PayloadUnreadable, Transaction


async def test_a_repetition_gets_the_first_answer(place: Place, counter: Counter) -> None:
    """The first answer is given again, marked as such, and the handler is not run a second time."""
    app = await place.open()
    issue = counter.prizes(app)
    first = await issue.run("k1", sku="mug", quantity=2)
    again = await issue.run("k1", sku="mug", quantity=2)
    assert (first.replayed, again) == (False, Answered(first.value, replayed=True))
    assert (counter.runs, await effects(app), await answers(app)) == (1, 1, 1)


async def test_another_process_gives_the_same_answer(place: Place, counter: Counter) -> None:
    """The answer is in the database: another App, which never saw the first request, gives it too."""
    first = await counter.prizes(await place.open()).run("k1", sku="mug")
    other = await place.open()
    assert await counter.prizes(other).run("k1", sku="mug") == Answered(first.value, replayed=True)
    assert await effects(other) == 1


async def test_an_answer_is_written_by_the_codec(place: Place, counter: Counter) -> None:
    """Each App that has it gives the answer; one that has not raises, and has no effect."""
    app = await place.open(codec=Cipher())
    first = await counter.prizes(app).run("k1", sku="mug")
    ((stored,),) = await rows(app, "SELECT answer FROM tieout_once")
    assert stored.startswith("~") and first.value.code not in stored
    other = counter.prizes(await place.open(codec=Cipher()))
    assert await other.run("k1", sku="mug") == await other.find("k1") == Answered(first.value, replayed=True)
    with pytest.raises(PayloadUnreadable):
        await counter.prizes(await place.open()).run("k1", sku="mug")
    assert await effects(app) == 1


async def test_other_params_are_refused(place: Place, counter: Counter) -> None:
    """A key that was used for another request does nothing, and the first answer is untouched."""
    app = await place.open()
    issue = counter.prizes(app)
    first = await issue.run("k1", sku="mug", quantity=2)
    with pytest.raises(tieout.ParamsChanged):
        await issue.run("k1", sku="mug", quantity=3)
    assert (await effects(app), await issue.run("k1", sku="mug", quantity=2)) == (1, Answered(first.value, True))


async def test_a_default_is_the_same_as_its_value(place: Place, counter: Counter) -> None:
    """Leaving a param out and giving its default are one request: a param added later breaks no retry."""
    app = await place.open()
    issue = counter.prizes(app)
    await issue.run("k1", sku="mug")
    assert (await issue.run("k1", sku="mug", quantity=1)).replayed


async def test_owners_have_keys_of_their_own(place: Place, counter: Counter) -> None:
    """The same key of two owners, or in two scopes, is two requests; owner and key are told apart."""
    app = await place.open()
    issue, other = counter.prizes(app), counter.prizes(app, "issue-gift")
    given = [
        await issue.run("k1", owner="mall", sku="mug"),
        await issue.run("k1", owner="shop", sku="mug"),
        await issue.run("k1", sku="mug"),
        await issue.run("lk1", owner="mal", sku="mug"),
        await other.run("k1", owner="mall", sku="mug"),
    ]
    assert [answer.replayed for answer in given] == [False] * 5
    assert await effects(app) == 5


async def test_an_exception_stores_nothing(place: Place, counter: Counter) -> None:
    """What the handler raises rolls its writes back, keeps no answer, and leaves the key free."""
    app = await place.open()
    issue = counter.prizes(app)
    counter.raises = [tieout.Refused("closed"), ZeroDivisionError()]
    for error in (tieout.Refused, ZeroDivisionError):
        with pytest.raises(error):
            await issue.run("k1", sku="mug")
        assert (await effects(app), await answers(app)) == (0, 0)
    assert not (await issue.run("k1", sku="mug")).replayed
    assert await effects(app) == 1


async def test_a_refusal_that_is_returned_is_kept(place: Place) -> None:
    """A refusal is an answer: it is given again, even after the reason for it has gone."""
    app = await place.open()
    sold_out = True

    class Issued(msgspec.Struct, frozen=True, tag=True):
        code: str

    async def issue(tx: Transaction, sku: str) -> object:
        if sold_out:
            return SoldOut(sku)
        await give(tx, "", sku, 1)
        return Issued("A1")

    issue.__annotations__["return"] = Issued | SoldOut
    prizes = app.once("issue")(issue)
    assert await prizes.run("k1", sku="mug") == Answered(SoldOut("mug"), replayed=False)
    sold_out = False
    assert await prizes.run("k1", sku="mug") == Answered(SoldOut("mug"), replayed=True)
    assert await prizes.run("k2", sku="mug") == Answered(Issued("A1"), replayed=False)
    assert await effects(app) == 1


class Quote(msgspec.Struct, frozen=True):
    """An answer whose fields JSON spells as text."""

    amount: Decimal
    at: dt.datetime


async def test_values_come_back_as_their_types(place: Place) -> None:
    """Params reach the handler, and answers the caller, as the types that are annotated, first time and later."""
    app = await place.open()
    moment = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)

    @app.once("price")
    async def price(tx: Transaction, day: dt.date, stay: Prize, amount: Decimal) -> Quote:
        assert (day, stay, amount) == (dt.date(2024, 2, 29), Prize("x"), Decimal("1.10"))
        return Quote(amount * 2, moment)

    typed = {"day": dt.date(2024, 2, 29), "stay": Prize("x"), "amount": Decimal("1.10")}
    plain = {"day": "2024-02-29", "stay": {"code": "x"}, "amount": "1.10"}
    assert await price.run("k1", **typed) == Answered(Quote(Decimal("2.20"), moment), replayed=False)
    assert await price.run("k1", **typed) == Answered(Quote(Decimal("2.20"), moment), replayed=True)
    assert (await price.run("k1", **plain)).replayed


@pytest.mark.parametrize("value", [None, 0, "", [], {"a": {"b": [1.5, None, True]}}, "\u0000 \U0001f381 ü", 10**15, -1])
async def test_any_json_is_an_answer(place: Place, value: object) -> None:
    """Empty, false and unusual answers are answers."""
    app = await place.open()

    @app.once("echo")
    async def echo(tx: Transaction) -> object:
        return value

    assert await echo.run("k1") == Answered(value, replayed=False)
    assert await echo.run("k1") == Answered(value, replayed=True)


@pytest.mark.parametrize("value", [object(), float("nan"), {"x": float("inf")}, b"\xff", "\ud800", Prize])
async def test_an_answer_that_cannot_be_kept_is_refused(place: Place, value: object) -> None:
    """An answer that JSON cannot hold rolls the effect back: it could not be given again."""
    app = await place.open()

    @app.once("echo")
    async def echo(tx: Transaction) -> dict[str, object]:
        await give(tx, "", "mug", 1)
        return {"value": value} if not isinstance(value, bytes) else value

    with pytest.raises(tieout.InvalidParams):
        await echo.run("k1")
    assert (await effects(app), await answers(app)) == (0, 0)


async def test_an_answer_of_another_type_is_refused(place: Place) -> None:
    """What does not fit the annotation is not kept, since it could not be read again."""
    app = await place.open()

    @app.once("issue")
    async def issue(tx: Transaction) -> Prize:
        await give(tx, "", "mug", 1)
        return {"cod": 1}

    with pytest.raises(tieout.InvalidParams, match="answer of issue"):
        await issue.run("k1")
    assert await effects(app) == 0


@pytest.mark.parametrize("params", [{}, {"sku": 1}, {"sku": "mug", "size": 2}, {"sku": "mug", "quantity": "2"}])
async def test_params_that_do_not_fit_are_refused(sqlite_place: Place, counter: Counter, params: dict) -> None:
    """A param that is missing, unknown or of another type is refused before anything is done."""
    app = await sqlite_place.open()
    with pytest.raises(tieout.InvalidParams, match="params of issue-prize"):
        await counter.prizes(app).run("k1", **params)
    assert counter.runs == 0


async def test_a_handler_whose_own_key_is_taken_fails_once(place: Place) -> None:
    """A row of the handler's own that exists is its own error: nothing is kept, and the row decides every time."""
    app = await place.open()
    await rows(app, "DROP TABLE IF EXISTS ticket")
    await rows(app, "CREATE TABLE ticket (number BIGINT PRIMARY KEY)")

    @app.once("ticket")
    async def ticket(tx: Transaction, number: int) -> int:
        await tx.execute("INSERT INTO ticket (number) VALUES (:number)", number=number)
        return number

    assert (await ticket.run("k1", number=1)).value == 1
    assert (await ticket.run("k1", number=1)).replayed
    with pytest.raises(tieout.UniqueViolation):
        await ticket.run("k2", number=1)
    assert await answers(app) == 1


async def test_an_app_that_is_not_open_says_so(sqlite_place: Place, counter: Counter) -> None:
    """Outside `async with app:` a request is refused, and so is a query."""
    issue = counter.prizes(App(sqlite_place.url))
    with pytest.raises(tieout.AppClosed):
        await issue.run("k1", sku="mug")
    with pytest.raises(tieout.AppClosed):
        await issue.find("k1")
