"""A handler that cannot work is refused when it is defined."""

from __future__ import annotations

from typing import Any

import pytest

import tieout
from tieout import App, Transaction
from tieout.once.define import Once


class Plain:
    """A type that JSON cannot hold."""


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


async def no_tx() -> int: ...
async def other_first(sku: str) -> int: ...
async def star(tx: Transaction, *skus: str) -> int: ...
async def stars(tx: Transaction, **skus: str) -> int: ...
async def positional(tx: Transaction, sku: str, /) -> int: ...
async def owner(tx: Transaction, owner: str) -> int: ...
async def key(tx: Transaction, key: str) -> int: ...
async def unknown(tx: Transaction, sku: Missing) -> int: ...  # noqa: F821 - that is what it shows
async def plain_answer(tx: Transaction) -> Plain | int: ...
async def plain_param(tx: Transaction, sku: Plain | int) -> int: ...
async def plain_default(tx: Transaction, sku: Any = Plain()) -> int: ...  # noqa: B008 - that is what it shows
def not_async(tx: Transaction) -> int: ...


HANDLERS = [
    *(no_tx, other_first, star, stars, positional, owner, key, unknown),
    *(plain_answer, plain_param, plain_default, not_async),
]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
def test_a_handler_that_cannot_work_is_refused(handler: Any) -> None:
    """What is missing, misplaced or cannot be stored is said with the scope's name, before any request."""
    with pytest.raises(tieout.DefinitionError, match="issue"):
        App("sqlite://").once("issue")(handler)


@pytest.mark.parametrize("scope", ["", "a" * 64, "a b", "é", "a/b"])
def test_a_scope_is_a_name(scope: str) -> None:
    """A scope is a short ASCII name."""
    with pytest.raises(tieout.DefinitionError, match="scope"):
        App("sqlite://").once(scope)(fine)


@pytest.mark.parametrize("options", [{"wait": -1}, {"wait": "soon"}, {"keep": "30 days"}, {"keep": None}])
def test_options_are_checked(options: dict) -> None:
    """A duration that is none is refused when the handler is defined."""
    with pytest.raises(tieout.DefinitionError, match="duration"):
        App("sqlite://").once("issue", **options)


def test_a_scope_belongs_to_one_handler() -> None:
    """Two handlers of one scope would answer each other's keys."""
    app = App("sqlite://")
    app.once("issue")(fine)
    with pytest.raises(tieout.DefinitionError, match="two handlers"):
        app.once("issue")(fine)
    with pytest.raises(tieout.DefinitionError, match="two handlers"):
        app.http_once(owner=None, scope="issue")


async def fine(tx: Transaction, sku: str = "mug", sizes: list[int] = []) -> int:  # noqa: B006 - defaults are copied
    """A handler with a mutable default."""
    sizes.append(1)
    return len(sizes)


class Service:
    """Its methods are handlers too."""

    async def issue(self, tx: Transaction, sku: str) -> str:
        return sku


async def test_defaults_are_fresh_for_each_request() -> None:
    """What one request does to a default, no other sees; and its key is that of a request without it."""
    app = App("sqlite://", sweep=False)
    once = app.once("issue")(fine)
    async with app:
        assert [(await once.run(str(n))).value for n in range(3)] == [1, 1, 1]
        assert (await once.run("0", sizes=[])).replayed
        with pytest.raises(tieout.ParamsChanged):
            await once.run("0", sizes=[1])


async def test_a_method_is_a_handler() -> None:
    """A bound method of a service is as good as a function."""
    app = App("sqlite://", sweep=False)
    once: Once[str] = app.once("issue")(Service().issue)
    async with app:
        assert (await once.run("k1", sku="mug")).value == "mug"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), Plain(), nested(2_000)], ids=["nan", "inf", "object", "deep"]
)
async def test_params_that_cannot_be_kept_are_refused(value: Any) -> None:
    """What JSON cannot hold is the caller's mistake, with its code, before anything is done."""
    app = App("sqlite://")
    runs: list[Any] = []

    @app.once("any")
    async def handler(tx: Transaction, what: Any) -> int:
        runs.append(what)
        return 1

    async with app:
        with pytest.raises(tieout.InvalidParams, match="params of any"):
            await handler.run("k1", what=value)
    assert runs == []
