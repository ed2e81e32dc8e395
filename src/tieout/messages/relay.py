"""The relay: sends what waits in the outbox, in order for each key, until the other side has confirmed it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any, Literal, TypeAlias

import msgspec

from tieout import tracing
from tieout.contracts import Caller, Channel, Clock, Database, Message, Transaction
from tieout.coordination.lease import Lease, Leases, LostLease
from tieout.messages.outbox import Outbox
from tieout.messages.rules import Waiting, waves
from tieout.payloads import PLAIN, Payloads

log = logging.getLogger("tieout.messages")

BATCH = 200
"""Messages that are read at a time: with the longest bodies, 50 MiB."""

PUBLISH_SECONDS = 10.0
"""Longest that a channel may take for a part of a batch; what it has not confirmed by then is sent again."""

LEASE_SECONDS = 30.0
"""For how long a node alone sends for a channel; another takes over that much later when it dies."""

Came: TypeAlias = Literal["sent", "idle", "elsewhere", "broken"]
"""What a round came to; "elsewhere": another node sends for this channel; "broken": the channel did not answer."""


class Tally(msgspec.Struct):
    """What a round has come to so far."""

    sent: list[Waiting] = msgspec.field(default_factory=list)
    refused: list[tuple[Waiting, str]] = msgspec.field(default_factory=list)
    fault: str = ""


class Relay:
    """Sends for one channel, while its node holds the channel's lease.

    A message is forgotten only in a transaction of the lease's holder. A node that lost the lease while it sent leaves
    its messages to the next one, which sends them again: at least once, and in order for whoever drops repetitions.
    """

    def __init__(
        self,
        name: str,
        channel: Channel,
        database: Database,
        clock: Clock,
        caller: Caller,
        chance: Random,
        node: str,
        *,
        payloads: Payloads = PLAIN,
    ) -> None:
        self.name = name
        self.channel = channel
        self.outbox = Outbox(database.dialect, payloads)
        self.leases = Leases(database, clock, node, LEASE_SECONDS)
        self.chance = chance
        self._database = database
        self._caller = caller
        self._lease: Lease | None = None

    async def round(self) -> Came:
        """Send one batch; a `DatabaseError` means that what was sent may be sent again."""
        lease = await self._hold()
        if lease is None:
            return "elsewhere"
        batch = await self._database.read(partial(self.outbox.due, channel=self.name, limit=BATCH))
        if not batch:
            return "idle"
        tally = Tally()
        await self._send(lease, batch, tally)
        try:
            self._lease = await self._database.transact(partial(self._settle, lease=lease, tally=tally))
        except LostLease:
            self._lease = None
            return "elsewhere"
        return "broken" if tally.fault else "sent"

    async def release(self) -> None:
        """Let another node send at once."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await self.leases.release(lease)

    async def _hold(self) -> Lease | None:
        if self._lease is not None and not self.leases.may_begin(self._lease, PUBLISH_SECONDS):
            try:
                self._lease = await self.leases.renew(self._lease)
            except LostLease:
                self._lease = None
        if self._lease is None:
            self._lease = await self.leases.take(f"outbox:{self.name}")
        return self._lease

    async def _send(self, lease: Lease, batch: Sequence[Waiting], tally: Tally) -> None:
        held_back: set[bytes] = set()
        for wave in waves(batch):
            came = [message for message in wave if not message.key or message.key not in held_back]
            part = [message for message in came if not message.unreadable]
            self._pass_over([message for message in came if message.unreadable], tally, held_back)
            if not part:
                continue
            if not self.leases.may_begin(lease, PUBLISH_SECONDS):
                return
            try:
                verdicts = await self._publish(part)
            except Exception as error:  # noqa: BLE001 - whatever a channel raises: nothing of this part is confirmed
                tally.fault = f"{type(error).__name__}: {error}"
                log.warning("channel %s: nothing was confirmed, it is sent again: %s", self.name, tally.fault)
                return
            for message, why in zip(part, verdicts, strict=True):
                if why is None:
                    tally.sent.append(message)
                else:
                    tally.refused.append((message, why))
                    held_back.add(message.key)

    def _pass_over(self, unreadable: Sequence[Waiting], tally: Tally, held_back: set[bytes]) -> None:
        """What cannot be read waits, and what is behind it under its key; it goes when the codec has its key again."""
        for message in unreadable:
            number = message.message_id.hex()
            log.warning("channel %s: message %s cannot be sent now: %s", self.name, number, message.unreadable)
            tally.refused.append((message, message.unreadable))
            held_back.add(message.key)

    async def _publish(self, part: Sequence[Waiting]) -> Sequence[str | None]:
        messages = [_message(waiting) for waiting in part]
        spans = [self._span(message) for message in messages] if tracing.is_on() else []
        try:
            return await self._handed_over(part, messages)
        finally:
            for span in spans:
                if span is not None:
                    span.end()

    def _span(self, message: Message) -> Any:
        """The sending of a message, in the trace that wrote it."""
        stored = message.headers.get(tracing.HEADER, "")
        return tracing.begun(f"send {self.name}", stored, "producer", {"messaging.message.id": message.id})

    async def _handed_over(self, part: Sequence[Waiting], messages: Sequence[Message]) -> Sequence[str | None]:
        verdicts = await self._caller.attempt(self.channel.publish, (messages,), {}, PUBLISH_SECONDS, _forget)
        if len(verdicts) != len(part):
            raise ValueError(f"{len(verdicts)} answers for {len(part)} messages")
        return list(verdicts)

    async def _settle(self, tx: Transaction, lease: Lease, tally: Tally) -> Lease:
        guarded = await self.leases.guard(tx, lease)
        await self.outbox.forget(tx, tally.sent)
        await self.outbox.postpone(tx, self.name, tally.refused)
        return guarded


def _message(waiting: Waiting) -> Message:
    headers = msgspec.json.decode(waiting.headers, type=dict[str, str])
    return Message(
        waiting.message_id.hex(), waiting.topic, waiting.key.decode(), headers, waiting.body, waiting.created
    )


async def _forget(verdicts: Any) -> None:
    """What is confirmed too late is sent again: its receivers know it by its id."""
