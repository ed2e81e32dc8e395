"""Engines that are wrong on purpose: each must be caught, or the simulation is too kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec
import numpy as np

from tieout.coordination.budget import Budget
from tieout.coordination.lease import Lease, Leases
from tieout.coordination.slots import Slots
from tieout.messages import Inbox
from tieout.mirror import merging
from tieout.mirror.calendar import NEVER
from tieout.mirror.doubts import Doubts
from tieout.mirror.pushing import Pushing
from tieout.mirror.rules import merge
from tieout.mirror.store import MirrorStore

if TYPE_CHECKING:
    from tests.mirror_simulation.node import Node

Patches = Iterator[tuple[Any, str, Any]]


def _merge_whatever_comes_last(fields: Any, kept: Any, checks: Any, group: Any, sighting: Any, **more: Any) -> Any:
    kept.start[:] = NEVER
    never = np.full_like(checks.start, NEVER)
    blind = type(checks)(checks.base, never, never)
    return merge(fields, kept, blind, group, sighting, **more)


def _merge_without_doubts(*args: Any, **more: Any) -> Any:
    merged = merge(*args, **more)
    return merged._replace(suspect=np.zeros_like(merged.suspect))


def _now(pushing: Pushing, _: Any) -> tuple[int, int]:
    end = pushing.following.moments.latest()
    return end, end


async def _guarded_always(leases: Leases, tx: Any, lease: Lease) -> Lease:
    await leases.store.renew_lease(tx, lease.name, lease.fence, leases._micros)  # noqa: SLF001 - what is mutated
    return lease._replace(ends=leases._clock.monotonic() + leases._ttl)  # noqa: SLF001 - what is mutated


async def _use_late(budget: Budget, token: Any) -> bool:
    wait = token.at - budget._clock.monotonic()  # noqa: SLF001 - what is mutated
    if wait > 0:
        await budget._clock.sleep(wait)  # noqa: SLF001 - what is mutated
    return True


async def _nothing(*_: Any, **__: Any) -> None:
    return None


async def _no_gap(*_: Any) -> bool:
    return False


async def _first_always(*_: Any, **__: Any) -> bool:
    return True


async def _some_slot(slots: Slots, numbers: Any, *_: float) -> Lease:
    return Lease(b"slot", numbers[0], 1e9)


async def _forget_all(store: MirrorStore, tx: Any, copy: int, suspects: Any) -> None:
    list(suspects)
    await tx.execute("DELETE FROM tieout_mirror_suspect WHERE copy = :copy", copy=copy)


PATCHES: dict[str, tuple[Any, str, Any]] = {
    "last-come-wins": (merging, "merge", _merge_whatever_comes_last),
    "never-doubts": (merging, "merge", _merge_without_doubts),
    "pushes-are-of-now": (Pushing, "_interval", _now),
    "no-fence": (Leases, "guard", _guarded_always),
    "late-tokens": (Budget, "use", _use_late),
    "forgets-pushes": (MirrorStore, "post", _nothing),
    "sees-no-gap": (Doubts, "advance", _no_gap),
    "takes-in-twice": (Inbox, "once", _first_always),
    "thin-is-nothing": (Doubts, "add", _nothing),
    "slots-apart": (Slots, "take", _some_slot),
    "doubts-end-at-once": (MirrorStore, "clear_suspects", _forget_all),
}
"""What stands in the place of what."""


def _at_its_end(node: Node) -> None:
    """An answer is taken for one of the moment at which it came."""
    _observed_as(node, lambda one: msgspec.structs.replace(one, start=one.end))


def _at_its_beginning(node: Node) -> None:
    """An answer is taken for one of the moment at which it was asked for."""
    _observed_as(node, lambda one: msgspec.structs.replace(one, end=one.start))


def _always_complete(node: Node) -> None:
    """What an incomplete answer does not have is taken to be closed."""
    _observed_as(node, lambda one: msgspec.structs.replace(one, complete=True))


def _observed_as(node: Node, change: Callable[[Any], Any]) -> None:
    ask = node.following.ask

    async def asking(group: str, first: int, count: int, why: Any, late: Any, slot: Any = None) -> Any:
        async def came_late(one: Any) -> None:
            await late(change(one))

        observed = await ask(group, first, count, why, came_late, slot)
        return None if observed is None else change(observed)

    node.following.ask = asking  # type: ignore[method-assign]  # what is mutated


def _budget_apart(node: Node) -> None:
    """Each node has a budget of its own."""
    budget = node.following.budget
    budget._names = {kind: name + node.name.encode() for kind, name in budget._names.items()}  # noqa: SLF001 - what is mutated


def _sound(_: Node) -> None:
    """The node as it is."""


CHANGES: dict[str, Callable[[Node], None]] = {
    "answers-are-of-their-end": _at_its_end,
    "answers-are-of-their-beginning": _at_its_beginning,
    "always-complete": _always_complete,
    "budget-apart": _budget_apart,
}
"""What is done to each node."""

MUTANTS = ("", *PATCHES, *CHANGES)


@contextmanager
def mutated(name: str) -> Iterator[Callable[[Node], None]]:
    """While this lasts, the engine is wrong; what is to be done to each node."""
    if name in PATCHES:
        where, attribute, wrong = PATCHES[name]
        with mock.patch.object(where, attribute, wrong):
            yield _sound
    else:
        yield CHANGES.get(name, _sound)
