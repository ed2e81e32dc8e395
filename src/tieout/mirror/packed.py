"""Answers that wait to be stored, each as one piece of bytes.

As lists they take ten times the room, and the collector of garbage goes through them again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import msgspec

from tieout.mirror.observed import Observed

Items: TypeAlias = Mapping[str, Mapping[str, Sequence[Any]]]

encoded = msgspec.msgpack.Encoder(order="deterministic").encode
"""The bytes of a value, the same for all that are equal; raise one of `UNENCODABLE` for what has none."""

UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError)

_decode = msgspec.msgpack.Decoder(dict[str, dict[str, list[Any]]]).decode


class Packed(msgspec.Struct, frozen=True, gc=False):
    """The items of an answer, made anew of its bytes whenever somebody looks at them; `count` of them."""

    body: bytes
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[str]:
        return iter(_decode(self.body))

    def __getitem__(self, item: str) -> Mapping[str, Sequence[Any]]:
        return _decode(self.body)[item]

    def keys(self) -> Any:
        return _decode(self.body).keys()

    def values(self) -> Any:
        return _decode(self.body).values()

    def items(self) -> Any:
        return _decode(self.body).items()


Mapping.register(Packed)


def packed(observed: Observed) -> Observed:
    """The same observation, to be kept for a while: packed unless that would hide what is wrong with it."""
    items = observed.items
    if not (type(items) is dict and all(map(_is_plain, items.values()))):
        return observed
    try:
        kept = Packed(encoded(items), len(items))
    except UNENCODABLE:
        return observed
    return msgspec.structs.replace(observed, items=cast("Items", kept))


def _is_plain(given: Any) -> bool:
    return type(given) is dict and all(type(row) is list for row in given.values())
