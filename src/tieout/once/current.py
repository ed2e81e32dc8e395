"""The transaction that a route behind the idempotency middleware writes in."""

from __future__ import annotations

from contextvars import ContextVar

from tieout.contracts import Transaction
from tieout.errors import NotAllowed

running: ContextVar[Transaction | None] = ContextVar("tieout.once.tx", default=None)
"""Set for the time of one route."""


def current_tx() -> Transaction:
    """The transaction of this request, in which its answer is stored too: write in it, and await nothing slow.

    Raise `NotAllowed` where there is none: the request has no key, or the middleware does not cover its path.
    """
    tx = running.get()
    if tx is None:
        raise NotAllowed("this request runs in no transaction: it has no Idempotency-Key, or its path is not covered")
    return tx
