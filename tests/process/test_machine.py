"""Compare-and-set on a user's own table."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.process.place import Place
from tieout import App, DefinitionError, Machine, StaleState, Transaction

TABLE = """
CREATE TABLE IF NOT EXISTS prize (
    id BIGINT PRIMARY KEY, state VARCHAR(20) NOT NULL, code VARCHAR(20), version BIGINT NOT NULL,
    mover VARCHAR(40), changed BIGINT NOT NULL
)
"""
MOVES = {"deducted": ("issued", "refunded"), "issued": (), "refunded": ()}

prizes = Machine("prize", moves=MOVES, token="mover", changed="changed")
loop = Machine("prize", moves={"idle": "busy", "busy": "idle"}, version="version", token="mover")


@pytest.fixture
async def app(place: Place) -> App:
    opened = await place.open()

    async def work(tx: Transaction) -> None:
        await tx.execute(TABLE)
        await tx.execute("DELETE FROM prize")
        await tx.execute_many(
            "INSERT INTO prize (id, state, version, changed) VALUES (:id, :state, 0, :id)",
            [{"id": 1, "state": "deducted"}, {"id": 2, "state": "deducted"}, {"id": 3, "state": "idle"}],
        )

    await opened.database.transact(work)
    return opened


async def move(app: App, machine: Machine, *args: Any, **options: Any) -> str:
    return await app.database.transact(lambda tx: machine.move(tx, *args, **options))


async def row(app: App, number: int) -> Any:
    found = await app.database.read(lambda tx: tx.fetch_one("SELECT * FROM prize WHERE id = :id", id=number))
    assert found is not None
    return found


async def test_a_move_writes_state_and_columns_together(app: App) -> None:
    """The state, what is set with it, the mover and the server's time are one statement."""
    assert await move(app, prizes, 1, "deducted", "issued", set={"code": "A1"}, token="t1") == "won"
    found = await row(app, 1)
    assert (found["state"], found["code"], found["mover"]) == ("issued", "A1", "t1")
    assert found["changed"] > 1_600_000_000_000_000


async def test_one_of_two_movers_wins(app: App) -> None:
    """Of many who move one row at the same time exactly one wins; the others learn where it stands."""

    async def attempt(number: int) -> str:
        new = "issued" if number % 2 else "refunded"
        return await move(app, prizes, 1, "deducted", new, token=f"t{number}")

    outcomes = await asyncio.gather(*(attempt(number) for number in range(20)), return_exceptions=True)
    assert [one for one in outcomes if isinstance(one, str)] == ["won"]
    lost = [one for one in outcomes if isinstance(one, StaleState)]
    assert {one.state for one in lost} == {(await row(app, 1))["state"]} and len(lost) == 19


async def test_a_repetition_of_ones_own_move_is_told(app: App) -> None:
    """Whoever repeats a move after a lost answer is told that it won; anybody else that it lost."""
    await move(app, prizes, 1, "deducted", "issued", token="mine")
    assert await move(app, prizes, 1, "deducted", "issued", token="mine") == "won before"
    with pytest.raises(StaleState):
        await move(app, prizes, 1, "deducted", "issued", token="another")
    with pytest.raises(StaleState):
        await move(app, prizes, 1, "deducted", "refunded", token="mine")


async def test_a_lost_move_rolls_back_what_came_with_it(app: App) -> None:
    """The caller's transaction ends with the error, so that its other writes do not stay without the move."""
    await move(app, prizes, 1, "deducted", "issued")

    async def work(tx: Transaction) -> None:
        await tx.execute("UPDATE prize SET code = 'stays' WHERE id = 2")
        await prizes.move(tx, 1, "deducted", "refunded")

    with pytest.raises(StaleState):
        await app.database.transact(work)
    assert (await row(app, 2))["code"] is None


async def test_a_row_that_comes_back_is_told_apart_by_its_version(app: App) -> None:
    """Where rows return to a state, a move names the version that it has seen."""
    assert await move(app, loop, 3, "idle", "busy", version=0, token="a") == "won"
    assert await move(app, loop, 3, "busy", "idle", version=1, token="b") == "won"
    with pytest.raises(StaleState):
        await move(app, loop, 3, "idle", "busy", version=0, token="a")
    assert await move(app, loop, 3, "idle", "busy", version=2, token="a") == "won"


async def test_an_unknown_row_is_stale(app: App) -> None:
    """There is nothing to move; the error says so."""
    with pytest.raises(StaleState, match="no row"):
        await move(app, prizes, 99, "deducted", "issued")


async def test_a_sweep_hands_on_what_is_not_final(app: App) -> None:
    """Old rows at states that are not final go through the handler; one that raises does not stop the others."""
    seen: list[Any] = []

    async def handler(key: Any, state: str) -> None:
        seen.append((key, state))
        if key == 1:
            raise RuntimeError("the downstream is down")
        await move(app, prizes, key, state, "refunded")

    with pytest.raises(RuntimeError):
        await prizes.sweep(app.database, handler)
    assert seen == [(1, "deducted"), (2, "deducted")]
    assert (await row(app, 2))["state"] == "refunded"


async def test_a_sweep_leaves_what_has_just_moved(app: App) -> None:
    """With a column for the time of the last move, rows that moved a moment ago are left alone."""
    await app.database.transact(lambda tx: tx.execute("UPDATE prize SET changed = {now}"))
    seen: list[Any] = []

    async def handler(key: Any, state: str) -> None:
        seen.append(key)

    assert await prizes.sweep(app.database, handler, older_than="1h") == 0
    assert seen == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"moves": {"a": "a"}}, "two different states"),
        ({"moves": {"a": "b", "b": "a"}}, "version column"),
        ({"moves": {"a": "b"}, "state": "state; DROP TABLE prize"}, "SQL identifier"),
    ],
)
def test_a_machine_that_cannot_be_safe_is_refused(options: dict[str, Any], says: str) -> None:
    """What compare-and-set cannot guard is refused when the machine is defined."""
    with pytest.raises(DefinitionError, match=says):
        Machine("prize", **options)


async def test_a_move_that_does_not_exist_is_refused(app: App) -> None:
    """Only declared moves are made, and columns are plain identifiers."""
    with pytest.raises(DefinitionError, match="no move leads"):
        await move(app, prizes, 1, "issued", "deducted")
    with pytest.raises(DefinitionError, match="SQL identifier"):
        await move(app, prizes, 1, "deducted", "issued", set={"code = 'x' --": 1})
