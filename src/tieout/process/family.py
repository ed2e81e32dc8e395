"""Children of a process: started one by one under their own keys, and folded into the parent in batches."""

from __future__ import annotations

from typing import Any

from tieout.contracts import Transaction
from tieout.errors import NewerVersion, Overloaded, RequestError
from tieout.identity import encode_json
from tieout.process.process_type import ProcessType
from tieout.process.record import Child, Record
from tieout.process.rules import back_off
from tieout.process.starting import Starting
from tieout.process.world import World

BATCH = 100
"""Children that a worker starts beside each other; the next batch follows when the parent is due again."""

FIRST_PAUSE = 500_000
"""Microseconds until a parent looks at its children again; doubled each time that it finds nothing to start."""

LONGEST_PAUSE = 60_000_000
"""The longest such pause, in microseconds. The child that ends last makes its parent due at once."""


class Family:
    """What parents and children ask of each other."""

    def __init__(self, world: World, starting: Starting) -> None:
        self.world = world
        self.starting = starting

    async def pending(self, parent: Record) -> list[Child]:
        """The next batch of children to start."""
        return await self.world.transact(lambda tx: self.world.store.pending_children(tx, parent.id, BATCH))

    async def start(self, parent: Record, child: Child) -> Record | None:
        """Start a child; None when somebody else has, who works on it, or when its own start refuses it.

        Refused is how it then ended. A start and a refusal by two workers exclude each other: each is noted by the
        parent in its own transaction. Raise `NewerVersion` when another node has to start it.
        """
        try:
            request = self._request(child)
            started = await self.starting.start(request, parent.id)
        except (NewerVersion, Overloaded):
            raise
        except RequestError as error:
            reason = encode_json({"code": error.code, "reason": str(error)})
            await self.world.transact(lambda tx: self.world.store.child_refused(tx, parent.id, child.id, reason))
            return None
        if not started.replayed:
            return started.record
        await self.world.transact(lambda tx: self.world.store.child_started(tx, parent.id, child.id))
        return None

    async def fold(self, parent: bytes) -> int:
        """Note how started children ended; how many are still open."""
        return await self.world.transact(lambda tx: self.world.store.fold_children(tx, parent))

    async def tell_parent(self, parent: bytes) -> None:
        """Make a parent due now if the child that has just ended was its last: a hint, its own look finds it too."""

        async def work(tx: Transaction) -> None:
            if await self.world.store.fold_children(tx, parent) == 0:
                await self.world.store.hasten(tx, parent)

        await self.world.transact(work)

    def pause(self, parent: Record, pending: list[Child]) -> int:
        """Microseconds until the parent looks again."""
        return FIRST_PAUSE if pending else back_off(parent.attempts, FIRST_PAUSE, LONGEST_PAUSE)

    def _request(self, child: Child) -> Any:
        process_type: ProcessType | None = self.world.types.get(child.type)
        if process_type is None:
            raise NewerVersion(f"this node has no process type {child.type!r}: retry on one that has")
        return process_type.cls(**process_type.read_params(child.params))
