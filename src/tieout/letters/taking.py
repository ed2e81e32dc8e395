"""Taking in one message: its effect, or a letter that keeps it; either is committed before it is acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from tieout import tracing
from tieout.contracts import Delivery, Transaction
from tieout.errors import DatabaseError, PayloadUnreadable, TooLarge
from tieout.identity import KEY_BYTES, storable_text
from tieout.letters.rules import CUT_BYTES, DEAD, WHOLE_BYTES, Fate, fate
from tieout.letters.store import Came, Letter, LetterStore
from tieout.messages.rules import pause_after
from tieout.messages.store import First, Inbox

log = logging.getLogger("tieout.letters")

EFFECT_SECONDS = 60.0
"""Longest that the effect of one message may take: what hangs does not hold up what came behind it."""

CLAIM = 120_000_000
"""Microseconds for which whoever tries a letter again has it alone."""

TOPIC_LENGTH = 255

Effect: TypeAlias = Callable[[Delivery, First], Awaitable[Any]]
"""What a message causes: nothing where `First`, called in the same transaction, says that it was taken in before."""

Transact: TypeAlias = Callable[[Callable[[Transaction], Awaitable[Any]]], Awaitable[Any]]

OnDead: TypeAlias = Callable[[Transaction, str, Fate], Awaitable[Any]]
"""Told in the transaction in which a message of a source becomes dead."""


Within: TypeAlias = Callable[[float], AbstractAsyncContextManager[Any]]
"""Ends what takes longer than so many seconds, where that can be ended."""


class Means(NamedTuple):
    """What messages are taken in with, wherever they come from."""

    transact: Transact
    inbox: Inbox
    store: LetterStore
    on_dead: OnDead
    within: Within = asyncio.timeout


class Taking:
    """Takes in what comes from one source."""

    def __init__(self, source: str, effect: Effect, means: Means) -> None:
        self.source = source
        self.effect = effect
        self._means = means

    async def take(self, delivery: Delivery) -> None:
        """Do what a message is to cause, or keep it; raise a `DatabaseError` when neither can be done now."""
        try:
            check_size(delivery)
            await self._run(delivery)
        except DatabaseError as error:
            if error.retryable:
                raise
            await self._keep(delivery, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not keep back what comes behind it
            await self._keep(delivery, error)

    async def retry(self, letter: Letter) -> None:
        """Try a letter again, unless somebody else does."""
        if not await self._means.transact(partial(self._means.store.claim, letter=letter, pause=CLAIM)):
            return
        try:
            check_legible(letter)
            await self._run(letter.delivery)
        except DatabaseError as error:
            if error.retryable:
                raise
            await self._fail(letter, error)
        except Exception as error:  # noqa: BLE001 - it is noted with the letter
            await self._fail(letter, error)
        else:
            await self._means.transact(partial(self._means.store.delete, letter=letter.id))

    async def _run(self, delivery: Delivery) -> None:
        first = partial(self._means.inbox.once, source=self.source, message_id=number_of(delivery).decode())
        stored = delivery.headers.get(tracing.HEADER, "")
        with tracing.span(f"take {self.source}", stored, "consumer"):
            async with self._means.within(EFFECT_SECONDS):
                await self.effect(delivery, first)

    async def _keep(self, delivery: Delivery, error: Exception) -> None:
        came, verdict = as_kept(self.source, delivery), fate(error, 0, pause_after(0))

        async def work(tx: Transaction) -> None:
            if await self._means.store.add(tx, came, verdict) and verdict.pause == DEAD:
                await self._means.on_dead(tx, self.source, verdict)

        await self._means.transact(work)
        self._tell(came.message_id, verdict)

    async def _fail(self, letter: Letter, error: Exception) -> None:
        verdict = fate(error, letter.attempts, pause_after(letter.attempts))

        async def work(tx: Transaction) -> None:
            if await self._means.store.fail(tx, letter, verdict) and verdict.pause == DEAD:
                await self._means.on_dead(tx, self.source, verdict)

        await self._means.transact(work)
        self._tell(letter.message_id, verdict)

    def _tell(self, number: bytes, verdict: Fate) -> None:
        then = "dead" if verdict.pause == DEAD else f"tried again in {verdict.pause / 1e6:g} s"
        log.warning("%s: message %s is %s: [%s] %s", self.source, number.decode(), then, verdict.code, verdict.note)


def check_size(delivery: Delivery) -> None:
    """Raise `TooLarge` for a message that is longer than any that is taken in."""
    if (size := size_of(delivery)) > WHOLE_BYTES:
        raise TooLarge(f"a message of {size} bytes is longer than {WHOLE_BYTES}")


def check_legible(letter: Letter) -> None:
    """Raise `PayloadUnreadable` for a letter whose body cannot be read here."""
    if letter.unreadable:
        raise PayloadUnreadable(letter.unreadable)


def size_of(delivery: Delivery) -> int:
    """The bytes of a message, headers included."""
    return len(delivery.body) + sum(len(name) + len(value) for name, value in delivery.headers.items())


def number_of(delivery: Delivery) -> bytes:
    """What tells a message from others of its source: its id, else a digest of what it says."""
    number = storable_text(delivery.id, KEY_BYTES + 1).encode()
    if 1 <= len(number) <= KEY_BYTES:
        return number
    said = f"{delivery.id}\n{delivery.topic}\n{delivery.key}\n".encode(errors="replace") + delivery.body
    return f"sha256:{hashlib.sha256(said).hexdigest()}".encode()


def as_kept(source: str, delivery: Delivery) -> Came:
    """A message as a letter keeps it: whole, or, when it is longer than any that is taken in, cut."""
    size = size_of(delivery)
    is_whole = size <= WHOLE_BYTES
    return Came(
        source.encode(),
        number_of(delivery),
        storable_text(delivery.key, KEY_BYTES).encode()[:KEY_BYTES],
        storable_text(delivery.topic, TOPIC_LENGTH),
        {storable_text(k, size): storable_text(v, size) for k, v in delivery.headers.items()} if is_whole else {},
        delivery.body if is_whole else delivery.body[:CUT_BYTES],
        len(delivery.body) if is_whole else size,
    )
