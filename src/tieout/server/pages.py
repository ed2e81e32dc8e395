"""Pages of a listing, newest first: where the next one begins is a text that only we read."""

from __future__ import annotations

import base64
from typing import Annotated, TypeAlias

from litestar.params import QueryParameter

MOST = 10**18
"""Above every number and time that a request may name, and a floating point number too: so descriptions tell it."""

LAST = 1 << 62
"""Later than every time: where a newest-first listing begins."""

CURSOR = "^(|[A-P][A-Za-z0-9_-]{31})$"
"""A time of 8 bytes, below `LAST`, and an id of 16, in base64 for URLs."""

Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=500, description="How many, 1 to 500.")]
Cursor: TypeAlias = Annotated[str, QueryParameter(pattern=CURSOR, description="`next` of the page before.")]


def cursor_after(at: int, id: bytes) -> str:
    """The text that the page behind this row is asked for with."""
    return base64.urlsafe_b64encode(at.to_bytes(8, "big") + id).decode()


def read_cursor(text: str) -> tuple[int, bytes]:
    """The time and id of the row before the page, from a text of that form."""
    if not text:
        return LAST, b""
    raw = base64.urlsafe_b64decode(text)
    return int.from_bytes(raw[:8], "big"), raw[8:]
