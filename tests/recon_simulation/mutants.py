"""Engines that are wrong on purpose: each must be caught, or the simulation is too kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import msgspec

from tieout.coordination.lease import Lease, Leases
from tieout.recon.fact_store import FactStore
from tieout.recon.facts import AT_ONCE, Fact, Kept
from tieout.recon.following import Batch, Follower, Intake
from tieout.recon.live import Followed, Live
from tieout.recon.rules import Judged, Record, Verdict
from tieout.recon.watching import Watching

_take, _stand, _settle, _kept_in = Kept.take, Kept.stand, Kept.settle, Live._kept_in  # noqa: SLF001 - what is mutated
_taken = Intake.take


def _first_watermark(live: Live, rule: Followed) -> int:
    return max(live.passed(name) for name in rule.feeds)


def _never(*_: Any) -> bool:
    return False


def _always(follower: Follower, position: Any) -> bool:
    return follower._after is not None  # noqa: SLF001 - what is mutated


def _no_grace(kept: Kept, judged: Judged, plain: Any) -> None:
    _stand(kept, judged, plain)
    if kept.outcome == "waiting":
        kept.due = AT_ONCE


def _at_once(kept: Kept, judged: Judged, upstream: Sequence[Record], downstream: Sequence[Record], _: int) -> Verdict:
    return _settle(kept, judged, upstream, downstream, 1 << 62)


def _nothing(*_: Any) -> None:
    return None


async def _ahead(live: Live, tx: Any, work: Any) -> Any:
    """The position is committed first, and the facts only with what comes next."""
    held = live.__dict__.setdefault("_held", [])
    held.append(work)
    facts = held.pop(0) if len(held) > 1 else work._replace(facts={}, settled={})
    return await _kept_in(live, tx, work._replace(facts=facts.facts, settled=facts.settled))


def _once_only(kept: Kept, fact: Fact) -> None:
    if fact.come is not None and fact.come in kept.records[fact.side]:
        fact = msgspec.structs.replace(fact, come=None)
    _take(kept, fact)


def _no_duplicates(kept: Kept, fact: Fact) -> None:
    """A second record of a key takes the place of the first one."""
    _take(kept, fact)
    del kept.records[fact.side][:-1]


def _never_withdrawn(kept: Kept, fact: Fact) -> None:
    if fact.come is not None:
        _take(kept, fact)


async def _guarded_always(leases: Leases, tx: Any, lease: Lease) -> Lease:
    await leases.store.renew_lease(tx, lease.name, lease.fence, leases._micros)  # noqa: SLF001 - what is mutated
    return lease


async def _passed_always(store: FactStore, tx: Any, feed: Any) -> bool:
    await tx.execute(
        "UPDATE tieout_recon_feed SET checkpoint = :at, fence = :fence, watermark = :mark WHERE name = :name",
        at=feed.checkpoint,
        fence=feed.fence,
        mark=feed.watermark,
        name=feed.name,
    )
    return True


async def _gap_unnoticed(watching: Watching, missed: Any) -> None:
    """A feed that has missed something begins anew, and nothing is loaded."""
    sql = "UPDATE tieout_recon_feed SET checkpoint = :at WHERE name = :name"
    source = next(one for one in watching._options if watching._options[one].slot == missed.feed)  # noqa: SLF001 - what is mutated
    end = source.world.ends(missed.feed)
    await watching._database.transact(lambda tx: tx.execute(sql, at=end, name=missed.feed))  # noqa: SLF001 - what is mutated


def _taken_in_part(intake: Intake, *, whole: bool = False) -> Batch:
    """Some of what was read stays, though sources were asked since, and have answered."""
    return _taken(intake)


PATCHES: dict[str, tuple[Any, str, Any]] = {
    "first-watermark": (Live, "watermark", _first_watermark),
    "kept-never": (Follower, "_was_kept", _never),
    "kept-always": (Follower, "_was_kept", _always),
    "no-grace": (Kept, "stand", _no_grace),
    "asked-at-once": (Kept, "settle", _at_once),
    "no-doubt": (Kept, "doubt", _nothing),
    "position-ahead": (Live, "_kept_in", _ahead),
    "equal-ones-are-one": (Kept, "take", _once_only),
    "no-duplicates": (Kept, "take", _no_duplicates),
    "never-withdrawn": (Kept, "take", _never_withdrawn),
    "no-fence": (Leases, "guard", _guarded_always),
    "answered-before-all-is-taken": (Intake, "take", _taken_in_part),
    "gap-unnoticed": (Watching, "_note_gap", _gap_unnoticed),
}
"""What stands in the place of what."""

ALSO: dict[str, Sequence[tuple[Any, str, Any]]] = {
    "no-grace": [(Kept, "settle", _at_once)],
    "no-fence": [(FactStore, "pass_feed", _passed_always)],
}
"""What is guarded twice is wrong in both places."""

MUTANTS = ("", *PATCHES)


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """While this lasts, the engine is wrong."""
    if not name:
        yield
        return
    where, attribute, wrong = PATCHES[name]
    with ExitStack() as stack:
        for one in ((where, attribute, wrong), *ALSO.get(name, ())):
            stack.enter_context(mock.patch.object(*one))
        yield
