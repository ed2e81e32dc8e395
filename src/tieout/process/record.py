"""What a process's row holds, and how its JSON columns are read and written."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import msgspec

from tieout.identity import call_key

Source: TypeAlias = Literal["immediate", "query", "push", "sweep", "operator"]
"""Who began what led to a report."""

SOURCES: tuple[str, ...] = get_args(Source)
"""Every source: a row with another one could not be read again."""

By: TypeAlias = Literal["call", "query", "message", "operator", "timer", "children"]
"""What moved a process: a call's own answer, a query's, a message, a person, time, or its children."""

Status: TypeAlias = Literal["running", "held", "final", "retired"]

TRAIL_LIMIT = 20
"""Transitions kept in a row: the latest; a process of more steps than this keeps the last ones."""


class FinalClaim(msgspec.Struct, frozen=True, omit_defaults=True):
    """A final outcome that somebody claimed for a call. `at` is in the server's microseconds.

    `identity` holds a digest for each identity field that the value has, which is what later claims are compared
    with; `value` is gone once the process is retired.
    """

    kind: Literal["succeeded", "failed"]
    source: Source
    by: By
    at: int
    value: Any = None
    code: str = ""
    detail: str = ""
    identity: dict[str, str] = {}
    mismatch: tuple[str, ...] = ()


class Entry(msgspec.Struct, omit_defaults=True):
    """One call of a process: its number, step, arguments, and the first final claim. A timer's wait is kept as one too.

    `sent` is the server's time of the last marked send; None for a first send, which needs no mark unless the call
    is not idempotent. `closed` once the process has moved on by `final`. `trace` is the `traceparent` of what opened
    it.
    """

    n: int
    step: str
    args: msgspec.Raw
    opened: int = 0
    sent: int | None = None
    final: FinalClaim | None = None
    closed: bool = False
    trace: str = ""


class Child(msgspec.Struct, frozen=True):
    """A child to be started: its id, type, and params (JSON)."""

    id: bytes
    type: str
    params: str


class Transition(msgspec.Struct, frozen=True, omit_defaults=True):
    """One move of a process: to which state, when, who began it, what brought it, from which call."""

    to: str
    at: int
    source: Source
    by: By
    n: int = 0
    actor: str = ""


_calls = msgspec.json.Decoder(list[Entry])
_trail = msgspec.json.Decoder(list[Transition])
_encode = msgspec.json.Encoder().encode


class Record(msgspec.Struct):
    """A process's row. Times are the server's, in microseconds; `now` is when this copy was read.

    `read_at` is this machine's monotonic time of that moment, so that `now` can be carried on without asking again;
    `revived` is what its steps see, once it has been read from the JSON columns; `unreadable` names the columns that
    could not be read, and are empty: of a row that is only looked at.
    """

    id: bytes
    type: str
    owner: bytes
    request_key: bytes
    version: int
    state: str
    status: Status
    fence: int
    due: int | None
    lane: str | None
    params: str
    snapshots: str
    calls: list[Entry]
    trail: list[Transition]
    result: str | None
    note: str | None
    attempts: int
    errors: int
    duplicates: int
    deadline: int | None
    wish: str | None
    parent: bytes | None
    created: int
    changed: int
    now: int
    read_at: float = 0.0
    revived: dict[str, Any] | None = None
    unreadable: tuple[str, ...] = ()

    @property
    def open_entry(self) -> Entry | None:
        """The latest call that the process waits on, if it waits on one."""
        return next((entry for entry in reversed(self.calls) if not entry.closed), None)

    @property
    def open_entries(self) -> list[Entry]:
        """Every call that the process waits on: several only at a join."""
        return [entry for entry in self.calls if not entry.closed]

    @property
    def trace(self) -> str:
        """The `traceparent` of what it did last, "" where nobody collected traces."""
        return self.calls[-1].trace if self.calls else ""

    def entry(self, n: int) -> Entry | None:
        """Call `n`, or None."""
        return self.calls[n - 1] if 1 <= n <= len(self.calls) else None

    def call_key(self, entry: Entry) -> str:
        """The idempotency key of one of its calls."""
        return call_key(self.id, entry.n)

    def server_time(self, monotonic: float) -> int:
        """The server's time now, carried on from `now` by this machine's monotonic clock."""
        return self.now + round((monotonic - self.read_at) * 1_000_000)


def encode_calls(calls: list[Entry]) -> str:
    """The calls column."""
    return _encode(calls).decode()


def decode_calls(text: str) -> list[Entry]:
    """The calls of a calls column."""
    return _calls.decode(text)


def encode_trail(trail: list[Transition]) -> str:
    """The trail column, cut to the latest transitions."""
    return _encode(trail[-TRAIL_LIMIT:]).decode()


def decode_trail(text: str) -> list[Transition]:
    """The transitions of a trail column."""
    return _trail.decode(text)
