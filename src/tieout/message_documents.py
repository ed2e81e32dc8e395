"""Messages that could not be taken in as documents: what the HTTP API and `--json` tell."""

from __future__ import annotations

from base64 import b64encode

import msgspec

from tieout.config import iso
from tieout.documents import iso_or_none
from tieout.letters.store import Letter


class MessageDocument(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from"}):
    """A message that could not be taken in, and why. `body` is text, or base64 where it is no UTF-8 (`encoding`).

    Where `encoding` is "unreadable", headers and body are empty: a codec wrote them, and this App has not its key.
    `size` is in bytes; where less is kept, `whole` is false.
    """

    id: int
    source: str
    message_id: str
    topic: str
    key: str
    headers: dict[str, str]
    body: str
    encoding: str
    size: int
    whole: bool
    state: str
    attempts: int
    received: str
    due: str | None
    code: str
    note: str


def message_document(letter: Letter) -> MessageDocument:
    """A message as the API and `--json` tell it."""
    came = letter.delivery
    try:
        body, encoding = letter.body.decode(), "utf-8"
    except UnicodeDecodeError:
        body, encoding = b64encode(letter.body).decode(), "base64"
    if letter.unreadable:
        encoding = "unreadable"
    return MessageDocument(
        id=letter.id,
        source=letter.address,
        message_id=came.id,
        topic=came.topic,
        key=came.key,
        headers=dict(came.headers),
        body=body,
        encoding=encoding,
        size=letter.size,
        whole=letter.is_whole,
        state="dead" if letter.due is None else "waiting",
        attempts=letter.attempts,
        received=iso(letter.received),
        due=iso_or_none(letter.due),
        code=letter.code,
        note=letter.note,
    )
