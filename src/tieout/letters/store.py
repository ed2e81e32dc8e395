"""Letters: messages whose effect failed, kept until it succeeds or a person drops them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from tieout.contracts import Delivery, Row, Transaction
from tieout.database.query import load
from tieout.errors import PayloadUnreadable
from tieout.identity import canonical_json, storable_text
from tieout.letters.rules import NOTE_LENGTH, WHOLE_BYTES, Fate
from tieout.payloads import PLAIN, Payloads

LAST = 1 << 62
"""Above every number of a letter."""

State = Literal["any", "waiting", "dead"]


class Letter(msgspec.Struct, frozen=True):
    """A message whose effect failed; times are the server's microseconds. Without `due` it is dead.

    `size` is that of the message; where less than that is kept of it, it cannot be tried. `unreadable` says why headers
    and body are empty that are stored: a codec wrote them, and this App has not its key.
    """

    id: int
    source: bytes
    message_id: bytes
    message_key: bytes
    topic: str
    headers: str
    body: bytes
    size: int
    received: int
    due: int | None
    attempts: int
    code: str
    note: str
    unreadable: str = ""

    @property
    def is_whole(self) -> bool:
        return self.size <= WHOLE_BYTES

    @property
    def address(self) -> str:
        """Where it came from, as `channel/topic`."""
        return self.source.decode(errors="replace")

    @property
    def delivery(self) -> Delivery:
        """The message as it came."""
        headers = msgspec.json.decode(self.headers, type=dict[str, str])
        key = self.message_key.decode(errors="replace")
        return Delivery(self.message_id.decode(errors="replace"), self.topic, key, headers, self.body)


class Came(msgspec.Struct, frozen=True):
    """A message as a letter keeps it."""

    source: bytes
    message_id: bytes
    message_key: bytes
    topic: str
    headers: Mapping[str, str]
    body: bytes
    size: int


class Count(msgspec.Struct, frozen=True):
    """The letters of one source: how many there are, how many of them wait, and since when (microseconds)."""

    source: bytes
    letters: int
    waiting: int
    oldest: int


class LetterStore:
    """Letters over named SQL."""

    def __init__(self, dialect: str, payloads: Payloads = PLAIN) -> None:
        self.sql = load("tieout.letters", dialect)
        self._payloads = payloads

    async def add(self, tx: Transaction, came: Came, fate: Fate) -> bool:
        """Keep a message; False when it is kept already."""
        headers, body = self._payloads.stored_message(canonical_json(came.headers), came.body)
        added = await tx.execute(
            self.sql.add_letter,
            source=came.source,
            message_id=came.message_id,
            message_key=came.message_key,
            topic=came.topic,
            headers=headers,
            body=body,
            size=came.size,
            pause=fate.pause,
            code=fate.code,
            note=storable_text(fate.note, NOTE_LENGTH),
        )
        return added == 1

    async def due(self, tx: Transaction, source: bytes, limit: int) -> list[Letter]:
        """Letters of a source whose next try has come, the longest due first."""
        return [self._letter(row) for row in await tx.fetch(self.sql.due_letters, source=source, limit=limit)]

    async def claim(self, tx: Transaction, letter: Letter, pause: int) -> bool:
        """Take a due letter for `pause` microseconds; False when somebody else has."""
        return await tx.execute(self.sql.claim_letter, id=letter.id, due=letter.due, pause=pause) == 1

    async def fail(self, tx: Transaction, letter: Letter, fate: Fate) -> bool:
        """Note a try that failed; False when the letter has changed since it was read."""
        noted = await tx.execute(
            self.sql.fail_letter,
            id=letter.id,
            attempts=letter.attempts,
            pause=fate.pause,
            code=fate.code,
            note=storable_text(fate.note, NOTE_LENGTH),
        )
        return noted == 1

    async def delete(self, tx: Transaction, letter: int) -> bool:
        """Forget it; False when it is not there."""
        return await tx.execute(self.sql.delete_letter, id=letter) == 1

    async def replay(self, tx: Transaction, letter: int) -> bool:
        """Make its next try due now, with all tries before it; False when it is not there."""
        return await tx.execute(self.sql.replay_letter, id=letter) == 1

    async def read(self, tx: Transaction, letter: int) -> Letter | None:
        """One letter."""
        row = await tx.fetch_one(self.sql.read_letter, id=letter)
        return None if row is None else self._letter(row)

    async def page(self, tx: Transaction, *, source: bytes, state: State, before: int, limit: int) -> list[Letter]:
        """Letters with a number below `before`, the latest first; no source means any."""
        rows = await tx.fetch(self.sql.list_letters, source=source, state=state, before=before, limit=limit)
        return [self._letter(row) for row in rows]

    async def counts(self, tx: Transaction) -> list[Count]:
        """How many letters each source has."""
        return [Count(*row) for row in await tx.fetch(self.sql.count_letters)]

    def _letter(self, row: Row) -> Letter:
        letter = Letter(*row)
        try:
            headers, body = self._payloads.read_message(letter.headers, letter.body)
        except PayloadUnreadable as error:  # one that cannot be read keeps none of the others back
            return msgspec.structs.replace(letter, headers="{}", body=b"", unreadable=str(error))
        return msgspec.structs.replace(letter, headers=headers, body=body)
