"""What is published next: digested, read and merged as far as it can be while the database stores what comes before."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence

from tieout.mirror.batch import Batch, Portion, Read, read, sort
from tieout.mirror.copying import Copy
from tieout.mirror.digests import Told, digest_of
from tieout.mirror.merging import Outcome, blank_rows, merged
from tieout.mirror.observed import Observed

ITEMS = 1_500
"""Most items whose rows are read and written in one transaction: short enough that nobody waits for it."""

PIECE = 25
"""Answers that are read at a time: about a millisecond, in which nothing else runs."""

DIGESTED = 4 * PIECE
"""Answers that are digested at a time: as long, for that is a quarter of the work."""

TURNS = 3
"""Turns of the event loop that an answer of the database's takes to be met by the next statement."""

AHEAD = 2
"""Portions that may wait for the database: it has the next one at once, and they take a few megabytes."""


async def portions(copy: Copy, observed: Sequence[Observed]) -> AsyncGenerator[Portion, None]:
    """Observations for transactions of at most `ITEMS` items that have to be compared; others may run in between.

    All of a group is in one of them. What a group says as before is compared all the same where it says something else
    too; what is compared with nothing is in the next that comes.
    """
    of_groups: dict[str, list[Observed]] = {}
    for one in observed:
        of_groups.setdefault(one.group, []).append(one)
    known, news, items, digested = list[Told](), list[Told](), 0, 0
    for group, some in of_groups.items():
        told, is_known = copy.digests.look_up(group, some)
        if is_known:
            known += told
        else:
            at = copy.index.get(group)
            size = 0 if at is None else copy.sizes[copy.groups[at].n]
            if items and items + size > ITEMS:
                yield Portion(known, news, is_last=False)
                known, news, items = [], [], 0
            news += told
            items += size
        digested += len(told)
        if digested >= DIGESTED:
            digested = 0
            await _give_way()
    yield Portion(known, news, is_last=True)


async def _give_way() -> None:
    """Let everybody else run before the next piece; above all the transaction, for which the database waits."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def _sorted(copy: Copy, portion: Portion) -> Batch:
    """A portion as a batch, the digests of its news made and their answers read; others may run in between."""
    whole, news = Read({}, []), list[Told]()
    for at in range(0, len(portion.news), PIECE):
        told = [(one, digest_of(one) if digest is None else digest) for one, digest in portion.news[at : at + PIECE]]
        answers, garbled = read(copy.layout, copy.words, [one for one in told if one[0].group in copy.index])
        whole.answers.update(answers)
        whole.garbled.extend(garbled)
        news += told
        await _give_way()
    return sort(copy, portion._replace(news=news), whole)


class Coming:
    """A portion that comes next, as a batch. Its `outcome` is there at once, unless rows have to be read first.

    Those are the rows of the groups `to_read`, given by number. There is none where all of its groups are unknown.
    """

    def __init__(self, copy: Copy, batch: Batch, *, is_last: bool) -> None:
        self.batch = batch
        self.is_last = is_last
        self.outcome: Outcome | None = None
        self.to_read: list[int] = []
        self._copy = copy
        self._loop = asyncio.get_running_loop()
        rows = blank_rows(copy, batch)
        if rows is None:
            self.to_read = sorted({batch.numbers[one.group] for one, _ in batch.seen})
        elif batch.groups:
            self.outcome = merged(copy, batch, rows, copy.layout.empty(len(rows), 0))

    def merge(self, found: Sequence[tuple[int, int, bytes]]) -> None:
        """Merge it into the rows that had to be read, each given with the numbers of its group and its item."""
        rows, cells = [row[:2] for row in found], self._copy.layout.unpack([cells for *_, cells in found])
        self.outcome, self.to_read = merged(self._copy, self.batch, rows, cells), []

    def merge_soon(self, found: Sequence[tuple[int, int, bytes]]) -> None:
        """The same when the event loop has time for it: a transaction may say so, on a thread too.

        Where that fails its rows are still `to_read`.
        """
        self._loop.call_soon_threadsafe(self.merge, found)


class Line:
    """The portions of a publication, in their order; those that come next are laid out meanwhile."""

    def __init__(self, copy: Copy, observed: Sequence[Observed]) -> None:
        self._copy = copy
        self._portions = portions(copy, observed)
        self._turn = asyncio.Lock()
        self._begun = deque(self._begin() for _ in range(AHEAD))
        self._laid_out = deque[Coming]()

    async def next(self) -> Coming | None:
        """The next portion; None behind the last."""
        self._begun.append(self._begin())
        await self._begun.popleft()
        return self._laid_out.popleft() if self._laid_out else None

    @property
    def waiting(self) -> Coming | None:
        """The portion behind that one, once it is laid out."""
        return self._laid_out[0] if self._laid_out else None

    async def close(self) -> None:
        """Lay out nothing any more."""
        for one in self._begun:
            one.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)
        await self._portions.aclose()

    def _begin(self) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._lay_out())

    async def _lay_out(self) -> None:
        async with self._turn:
            portion = await anext(self._portions, None)
            if portion is not None:
                batch = await _sorted(self._copy, portion)
                self._laid_out.append(Coming(self._copy, batch, is_last=portion.is_last))
