"""What is asked of the store of processes, and what goes in and out of it.

`SqlProcessStore` keeps the contract over named SQL, the simulation over a model; one conformance suite holds both to
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from tieout.contracts import Transaction
from tieout.process.record import Child, Record

LAST = 1 << 62
"""Later than every time: where a newest-first listing begins."""


class NewProcess(msgspec.Struct, frozen=True):
    """A row to insert; `due_in` and `deadline_in` are microseconds from the server's now."""

    id: bytes
    type: str
    owner: bytes
    request_key: bytes
    version: int
    state: str
    status: str
    due_in: int | None
    lane: str | None
    params: str
    snapshots: str
    calls: str
    result: str | None
    deadline_in: int | None
    parent: bytes | None = None


class Filter(msgspec.Struct, frozen=True):
    """Which processes are meant; empty means any. `note` is how their note begins; `limit` is for listings.

    `client` means those that it has started over HTTP.

    Created at or after `since` and before `before`, in the server's microseconds; with `before_id`, a newest-first
    listing continues behind the process of that moment and id.
    """

    type: str = ""
    state: str = ""
    status: str = ""
    since: int = 0
    before: int = LAST
    before_id: bytes = b""
    limit: int = 50
    lane: str = ""
    note: str = ""
    client: str = ""


class Match(msgspec.Struct, frozen=True):
    """A process that a filter matches: its id, when it was created, and whether somebody wishes it cancelled."""

    id: bytes
    created: int
    is_wished: bool


class StateCount(msgspec.Struct, frozen=True):
    """How many processes of a type stand at a state."""

    type: str
    state: str
    status: str
    processes: int


class StoredState(msgspec.Struct, frozen=True):
    """A state that stored processes stand at, and the newest version of them."""

    type: str
    state: str
    status: str
    version: int
    processes: int


class Overdue(msgspec.Struct, frozen=True):
    """How many processes of a lane are overdue, and since when (the server's microseconds)."""

    lane: str
    processes: int
    oldest: int


class Stray(msgspec.Struct, frozen=True):
    """A report that belonged to no call when it came."""

    call_key: str
    digest: str
    at: int
    body: str


class Aged(msgspec.Struct, frozen=True):
    """Final processes that have been kept for their time and can be read; `more` were created at that time or later."""

    records: list[Record]
    more: int | None


class EndedChild(msgspec.Struct, frozen=True):
    """How a child ended: its final state, or "refused", and the result (JSON)."""

    child: bytes
    type: str
    final: str
    result: str | None


class ProcessStore(Protocol):
    """What the engine's ways on ask of the store: each function is one statement of the given transaction."""

    async def insert(self, tx: Transaction, process: NewProcess) -> int | None:
        """Insert it with fence 1; the server's time, or None when the id exists (then nothing was written)."""
        ...

    async def read(self, tx: Transaction, process: bytes) -> Record | None:
        """The row as committed before this statement, or changed by this transaction; None when there is none."""
        ...

    async def look(self, tx: Transaction, process: bytes) -> Record | None:
        """The same for whoever only looks: what of it cannot be read is empty, and it says so."""
        ...

    async def save(self, tx: Transaction, record: Record, due_in: int | None) -> bool:
        """Write what may change of it and raise the fence; False when the row's fence is not the record's."""
        ...

    async def postpone(self, tx: Transaction, process: bytes, fence: int, due_in: int, note: str) -> bool:
        """Set when a running process is due; False when its fence is another or it does not run."""
        ...

    async def hasten(self, tx: Transaction, process: bytes) -> bool:
        """Make a running process due now; False when it does not run or is due already."""
        ...

    async def count_duplicate(self, tx: Transaction, process: bytes) -> None:
        """Count one more report of a final that was known."""
        ...

    async def claim(
        self, tx: Transaction, lanes: list[str], types: dict[str, int], share: int, lease: int, low: int
    ) -> list[Record]:
        """Due processes of these types, at most `share` of each lane, made due only after `lease` microseconds.

        Their fences and attempts are raised. `types` gives the newest version that this code understands; rows of
        newer versions, rows due before `low` and, where the server can tell, rows locked by others are passed over.
        """
        ...

    async def lanes(self, tx: Transaction) -> list[str]:
        """Every lane that a running process of any type waits on, by name."""
        ...

    async def server_time(self, tx: Transaction) -> int:
        """The server's time, in microseconds."""
        ...

    async def keep_stray(self, tx: Transaction, call_key: str, digest: str, body: str, limit: int) -> None:
        """Keep a report of an unknown call, unless `limit` of them are kept already."""
        ...

    async def add_children(self, tx: Transaction, parent: bytes, children: Sequence[Child]) -> None:
        """Store the requests of children that are to be started; one that is there already is left as it is."""
        ...

    async def pending_children(self, tx: Transaction, parent: bytes, limit: int) -> list[Child]:
        """Children that are not started yet, in their order."""
        ...

    async def child_started(self, tx: Transaction, parent: bytes, child: bytes) -> bool:
        """Note that a child has been started; False when its parent does not wait for it to be."""
        ...

    async def child_refused(self, tx: Transaction, parent: bytes, child: bytes, result: str) -> None:
        """Note that a child will never start, and why (JSON)."""
        ...

    async def fold_children(self, tx: Transaction, parent: bytes) -> int:
        """Note of all started children that are final how they ended; how many are still open."""
        ...

    async def ended_children(self, tx: Transaction, parent: bytes) -> list[EndedChild]:
        """How the children ended, in their order."""
        ...

    async def forget_children(self, tx: Transaction, parent: bytes) -> None:
        """Forget the children of a state that the parent leaves."""
        ...

    async def recall(self, tx: Transaction, process: bytes, name: str) -> str | None:
        """The value (JSON) kept under a name, or None."""
        ...

    async def keep_recall(self, tx: Transaction, process: bytes, name: str, value: str) -> bool:
        """Keep a value (JSON) under a name; False when there is one."""
        ...
