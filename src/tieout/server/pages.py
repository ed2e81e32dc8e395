"""Pages of a listing, newest first: where the next one begins is a text that only we read."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, TypeAlias

from litestar.params import QueryParameter

from tieout.errors import InvalidRequest

LAST = 1 << 62
"""Later than every time: where a newest-first listing begins."""

Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=500, description="How many, 1 to 500.")]
Cursor: TypeAlias = Annotated[str, QueryParameter(max_length=100, description="`next` of the page before.")]


def cursor_after(at: int, id: bytes) -> str:
    """The text that the page behind this row is asked for with."""
    return base64.urlsafe_b64encode(at.to_bytes(8, "big") + id).decode().rstrip("=")


def read_cursor(text: str) -> tuple[int, bytes]:
    """The time and id of the row before the page; raise `InvalidRequest`."""
    if not text:
        return LAST, b""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("cursor: give `next` of the page before") from error
    if not 8 < len(raw) <= 40 or raw[0] > 63:
        raise InvalidRequest("cursor: give `next` of the page before")
    return int.from_bytes(raw[:8], "big"), raw[8:]
