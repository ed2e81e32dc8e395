"""The outbox: messages written in the transaction of what they tell, and kept until the other side has them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from tieout import tracing
from tieout.contracts import Transaction
from tieout.database.query import load
from tieout.errors import InvalidParams, PayloadUnreadable
from tieout.identity import canonical_json, key_bytes, storable_text
from tieout.messages.rules import BODY_BYTES, HEADERS, Waiting, address, pause_after
from tieout.payloads import PLAIN, Payloads

_COLUMNS = len(Waiting.__struct_fields__) - 1
"""All but `unreadable` are columns."""

NOTE_LENGTH = 500
"""Longest reason of a refusal that is kept, in characters."""


class Waits(msgspec.Struct, frozen=True):
    """What waits for one channel: how many, since when (the server's microseconds), most refusals of one."""

    channel: str
    messages: int
    oldest: int
    attempts: int


class Outbox:
    """Takes messages in with the transaction that they belong to; a `Relay` sends them."""

    def __init__(self, dialect: str, payloads: Payloads = PLAIN) -> None:
        self.sql = load("tieout.messages", dialect)
        self._payloads = payloads

    async def add(
        self,
        tx: Transaction,
        to: str,
        body: bytes,
        *,
        key: str = "",
        headers: Mapping[str, str] | None = None,
        message_id: bytes | None = None,
    ) -> str:
        """Send `body` to `to`, written `channel/topic`, once `tx` is committed; not at all when it rolls back.

        It is sent at least once, always with the id that this returns (32 hex digits). Messages of one channel with
        the same `key` arrive in the order in which they were written, when the transactions that wrote them exclude
        each other, as those that change the same row do; without a key in any order. Raise `InvalidParams` for a
        body of more than `BODY_BYTES` or headers that are not short text, `ConfigError` for `to`, `InvalidKey`.
        """
        where = address(to)
        number = secrets.token_bytes(16) if message_id is None else message_id
        stored_headers, stored_body = self._payloads.stored_message(_header_text(headers or {}), _checked_body(body))
        await tx.execute(
            self.sql.add_message,
            message_id=number,
            channel=where.channel,
            topic=where.topic,
            message_key=key_bytes(key, "message key") if key else b"",
            headers=stored_headers,
            body=stored_body,
        )
        return number.hex()

    async def due(self, tx: Transaction, channel: str, limit: int) -> list[Waiting]:
        """Messages whose time has come, at most `limit`, each key's in order; none behind one of its key that waits."""
        rows = await tx.fetch(self.sql.due_messages, channel=channel, limit=limit)
        found = {row["id"]: self._waiting(row) for row in rows}
        torn = {
            bytes(row["message_key"]) for row in rows if row["previous"] is not None and row["previous"] not in found
        }
        batch = [message for message in found.values() if message.key not in torn]
        for key in torn:
            last = max(message.id for message in found.values() if message.key == key)
            first = await tx.fetch(self.sql.first_messages, channel=channel, message_key=key, last=last, limit=limit)
            batch += [self._waiting(row) for row in first]
        return sorted(batch, key=lambda message: message.id)

    async def forget(self, tx: Transaction, sent: Iterable[Waiting]) -> None:
        """Forget messages that the other side has."""
        await tx.execute_many(self.sql.delete_message, [{"id": message.id} for message in sent])

    async def postpone(self, tx: Transaction, channel: str, refused: Sequence[tuple[Waiting, str]]) -> None:
        """Send messages later that were refused, each with why, and what stands behind them under their keys too."""
        for message, why in refused:
            pause = pause_after(message.attempts)
            note = storable_text(why, NOTE_LENGTH)
            await tx.execute(self.sql.postpone_message, id=message.id, pause=pause, note=note)
            if message.key:
                await tx.execute(
                    self.sql.postpone_followers, channel=channel, message_key=message.key, id=message.id, pause=pause
                )

    async def waiting(self, tx: Transaction) -> list[Waits]:
        """What waits, for each channel that something waits for."""
        return [Waits(*row) for row in await tx.fetch(self.sql.count_waiting)]

    def _waiting(self, row: Iterable[Any]) -> Waiting:
        message = Waiting(*islice(row, _COLUMNS))
        try:
            headers, body = self._payloads.read_message(message.headers, message.body)
        except PayloadUnreadable as error:  # one that cannot be read keeps no other key's back
            return msgspec.structs.replace(message, headers="{}", body=b"", unreadable=str(error))
        return msgspec.structs.replace(message, headers=headers, body=body)


def _checked_body(body: bytes) -> bytes:
    if not isinstance(body, bytes) or len(body) > BODY_BYTES:
        raise InvalidParams(f"the body of a message is bytes, at most {BODY_BYTES} of them")
    return body


def _header_text(headers: Mapping[str, str]) -> str:
    texts = [*headers, *headers.values()]
    if len(headers) > HEADERS or not all(isinstance(text, str) and len(text) <= 255 for text in texts):
        raise InvalidParams(f"the headers of a message are at most {HEADERS}, of text of at most 255 characters")
    if not all(text.isascii() and text.isprintable() for text in texts):
        raise InvalidParams("the headers of a message are printable ASCII")
    return canonical_json(dict(tracing.carried(headers) if len(headers) < HEADERS else headers))
