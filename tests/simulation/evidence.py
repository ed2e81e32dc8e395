"""What a schedule leaves behind for the auditor: plain data, written by everybody but the engine.

Times are microseconds of virtual time. A process is named by its id in hex, a call by its key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Said = Literal["accepted", "refused", "changed", "retired", "lost", "child"]
"""What a client was told; "child" when no client asked, but a process that runs others."""


@dataclass(slots=True)
class Asked:
    """One request that a client made, and what it was told. `attempt` counts its tries to make this one request."""

    at: int
    process: str
    kind: str
    user: str
    sku: str
    quantity: int
    altered: bool
    said: Said = "lost"
    answered: int = -1
    replayed: bool = False


@dataclass(slots=True)
class Polled:
    """A process as a client saw it, who asked at `asked` and was answered at `at`.

    `moved` counts the commits until it became final, `ended` is when that was.
    """

    asked: int
    at: int
    process: str
    status: str
    state: str
    note: str
    code: str
    price: int
    moved: int
    ended: int = -1


@dataclass(slots=True)
class Sent:
    """A request that a node let go."""

    at: int
    node: str
    service: str
    key: str
    args: dict[str, Any]


@dataclass(slots=True)
class Lease:
    """A time until which a node may work on a process."""

    node: str
    process: str
    until: int


@dataclass(slots=True)
class Effect:
    """Something that a downstream did."""

    at: int
    service: str
    key: str
    code: str
    args: dict[str, Any]


@dataclass(slots=True)
class Claim:
    """What a downstream said became of a call. `heard`: the side that was told has confirmed that it keeps it."""

    at: int
    key: str
    kind: Literal["succeeded", "failed"]
    code: str
    sku: str
    heard: bool


@dataclass(slots=True)
class Act:
    """Something that an operator asked for; `choice` and `key` are those of a settlement; `done`: they were told so."""

    at: int
    process: str
    action: str
    key: str = ""
    choice: str = ""
    done: bool = False


@dataclass(slots=True)
class Raised:
    """An alarm as it stands; `at` is when it was raised first, `pieces` what it rests on."""

    at: int
    kind: str
    about: str
    process: str
    state: str
    pieces: list[str]


@dataclass(slots=True)
class Evidence:
    """All of it."""

    asked: list[Asked] = field(default_factory=list)
    polled: list[Polled] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    alarms: list[Raised] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    points: dict[str, int] = field(default_factory=dict)
    opening: dict[str, int] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    children: dict[str, str] = field(default_factory=dict)
    planted: set[str] = field(default_factory=set)
    faults_ended: int = 0
    rest_by: int = 0
