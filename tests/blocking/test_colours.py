"""Steps are plain functions or coroutines, all of them, and go with the App of their colour."""

from __future__ import annotations

from typing import Any

import pytest

import tieout
from tests.blocking.shop import redeem
from tieout import Answer, Failed, Next, Sending, Succeeded, blocking
from tieout.errors import DefinitionError


def test_colours_do_not_mix():
    """A type has steps of one colour, and goes with the App of that colour; each mistake is told when registering."""
    with pytest.raises(DefinitionError, match="no event loop"):
        blocking.App("sqlite://").register(_asynchronous())
    with pytest.raises(DefinitionError, match=r"tieout\.blocking\.App"):
        tieout.App("sqlite://").register(redeem())

    class Mixed(tieout.Process[Any], name="mixed", key="request_id"):
        request_id: str
        done = tieout.Final[int]()

        @tieout.start(to="ask")
        def begin(self, tx: blocking.Transaction) -> Next:
            return self.ask.next()

        @tieout.call(timeout=2)
        async def ask(self, send: Sending) -> Answer[int]:
            return Succeeded(1)

        @ask.succeeded(to="done")
        def end(self, tx: blocking.Transaction, n: int) -> Next:
            return self.done(n)

        @ask.failed(to="done")
        def no(self, tx: blocking.Transaction, why: Failed) -> Next:
            return self.done(0)

    with pytest.raises(DefinitionError, match=r"ask is `async def`"):
        blocking.App("sqlite://").register(Mixed)


def _asynchronous() -> Any:
    class Small(tieout.Process[Any], name="small", key="request_id"):
        request_id: str
        done = tieout.Final[int]()

        @tieout.start(to="done")
        async def begin(self, tx: tieout.Transaction) -> Next:
            return self.done(1)

    return Small


def test_an_asynchronous_handler_of_once_is_refused():
    """`async def` is refused when it is declared."""
    app = blocking.App("sqlite://")
    with pytest.raises(DefinitionError, match="no event loop"):

        @app.once("gift")
        async def gift(tx: blocking.Transaction) -> int:
            return 1
