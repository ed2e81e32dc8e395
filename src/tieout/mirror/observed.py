"""Observations: what somebody was told of some cells, and between which two moments it was true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import msgspec

from tieout.errors import InvalidJson

Cause: TypeAlias = Literal["sync", "browse", "order", "push", "audit"]
"""Why somebody asked, or was told."""


class Observed(msgspec.Struct, frozen=True, gc=False):
    """Cells of items of one group, `count` of them from `first` on; `start` and `end` are the server's microseconds.

    When it is `whole`, the answer spoke of the whole group; when it is `complete`, what it did not have is absent.
    """

    group: str
    first: int
    count: int
    start: int
    end: int
    items: Mapping[str, Mapping[str, Sequence[Any]]]
    cause: Cause
    complete: bool
    whole: bool


_decoder = msgspec.json.Decoder(Observed)


def encode(observed: Observed) -> bytes:
    """An observation as it is left for the writer of a copy."""
    return msgspec.json.encode(observed)


def decode(body: bytes) -> Observed:
    """What `encode` made; raise `InvalidJson` for anything else."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidJson(f"this is no observation: {error}") from error
