"""The transaction that a route behind the idempotency middleware writes in."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, TypeVar, overload

from tieout.contracts import Transaction
from tieout.errors import NotAllowed

S = TypeVar("S")

running: ContextVar[Any] = ContextVar("tieout.once.tx", default=None)
"""Set for the time of one route."""


@overload
def current_tx() -> Transaction: ...
@overload
def current_tx(kind: type[S]) -> S: ...


def current_tx(kind: type[Any] | None = None) -> Any:
    """The transaction of this request, in which its answer is stored too: write in it, and await nothing slow.

    In an App with sessions it is one of those: name its class, as in `current_tx(AsyncSession)`. Raise `NotAllowed`
    where there is none: the request has no key, or the middleware does not cover its path; or when it is no `kind`.
    """
    tx = running.get()
    if tx is None:
        raise NotAllowed("this request runs in no transaction: it has no Idempotency-Key, or its path is not covered")
    if kind is not None and not isinstance(tx, kind):
        raise NotAllowed(f"the transactions of this App are {type(tx).__name__}, and not {kind.__name__}")
    return tx
