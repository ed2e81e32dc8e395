"""What suppliers push: changes of some cells, told in full, in part, or only as having changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec

from tieout.errors import InvalidParams
from tieout.identity import parse_json
from tieout.mirror.axis import LONGEST

Telling: TypeAlias = Literal["full", "delta", "thin"]
"""full: the whole group, what is absent is closed; delta: some cells of some items; thin: only that it has changed."""

MOST_CHANGES = 1_000
"""Changes that one message may hold."""

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=LONGEST)]
Key: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`count` cells of a group from `first` on, and what they are now: as in `Fetched`, unless it is thin.

    `first` is as for reading, or in JSON its text by ISO 8601.

    A delta may leave fields out, the same ones of all its items.
    """

    kind: Telling
    group: Key
    first: Any = None
    count: Count = 1
    items: Mapping[Key, Mapping[str, Sequence[Any]]] = {}


class Pushed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message: its changes, and when they happened by the sender's clock.

    Without `at` the changes may be of any time: they only make cells doubtful that say otherwise. `sequence` counts the
    messages of a `stream` without gaps: a number that is left out makes all cells doubtful of the group that the stream
    is named after, or of all groups. A sender that counts anew names another stream.
    """

    changes: Annotated[Sequence[Change], msgspec.Meta(min_length=1, max_length=MOST_CHANGES)]
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    stream: Annotated[str, msgspec.Meta(max_length=255)] = ""
    sequence: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)] | None = None


class Received(msgspec.Struct, frozen=True):
    """What became of a message.

    Of an `accepted` one `changes` are taken in, and `ignored` are of groups that the catalogue does not have; after a
    `gap` everything that the stream speaks of is asked for.
    """

    effect: Literal["accepted", "duplicate"]
    changes: int = 0
    ignored: int = 0
    gap: bool = False


def read_json(body: bytes) -> Pushed:
    """A message in JSON; raise `InvalidJson` or `InvalidParams`."""
    try:
        return msgspec.convert(parse_json(body), Pushed)
    except msgspec.ValidationError as error:
        raise InvalidParams(f"push: {error}") from error
