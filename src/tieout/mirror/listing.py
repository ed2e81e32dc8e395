"""Reading one supplier's catalogue, beside the queries of its plan, while this node leads its copy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tieout.coordination.lease import LostLease
from tieout.errors import DatabaseError
from tieout.mirror.catalogues import Catalogue, Changes
from tieout.mirror.copying import Copy
from tieout.mirror.define import SlowDown
from tieout.mirror.suppliers import Following
from tieout.mirror.words import Garbled

log = logging.getLogger("tieout.mirror")

TIMEOUT = 3_600.0
"""Longest that reading a catalogue may take, in seconds."""

FIRST_PAUSE = 1.0
"""Seconds until a catalogue is read again that could not be used; doubled for each further time."""

LONGEST_PAUSE = 300.0
"""Longest such pause, in seconds."""


class Listing:
    """The catalogue of one supplier: whether it is time for it, its reading, and what was read until it is stored.

    When it `brings_changes` nothing may be asked until they are stored. What the `first` one of all brings the copy
    knows as soon as it is read, so that the supplier can be asked about it at once.
    `hold` makes sure of the lead; `ended` is told when a catalogue was read, or what ends the lead.
    """

    def __init__(
        self,
        following: Following,
        *,
        hold: Callable[[], Awaitable[None]],
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self.following = following
        self.catalogue: Catalogue | None = None
        self.brings_changes = False
        self.first: Changes | None = None
        self._hold, self._tell = hold, ended
        self._clock = following.world.clock
        self._task: asyncio.Task[None] | None = None
        self._failures = 0
        self._not_before = 0.0

    def __bool__(self) -> bool:
        return self._task is not None or self.catalogue is not None

    @property
    def is_under_way(self) -> bool:
        """Whether a catalogue is being read."""
        return self._task is not None

    @property
    def is_due(self) -> bool:
        """Whether a catalogue is to be read, or is being read."""
        if self or self.following.paused or self._clock.monotonic() < self._not_before:
            return self.is_under_way
        return self.following.is_catalogue_due()

    def begin(self, copy: Copy) -> None:
        """Read it, unless it is being read."""
        if self._task is None:
            self._task = asyncio.create_task(self._read(copy))
            self._task.add_done_callback(self._ended)

    def forget(self) -> None:
        """What was read is stored."""
        self.catalogue, self.brings_changes, self.first = None, False, None

    async def finish(self) -> None:
        """Wait until what is being read is read, for as long as one query may take: the next leader reads it anew."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=self.following.terms.timeout)

    async def drop(self) -> None:
        """Let nothing go on, and keep nothing."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.forget()

    async def _read(self, copy: Copy) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                catalogue = await self.following.read_catalogue(copy, self._hold)
        except (LostLease, DatabaseError):
            raise
        except (Garbled, SlowDown, TimeoutError) as error:
            log.warning("%s: the catalogue is not used: %s", self.following.name, error)
        except Exception:
            log.exception("%s: the catalogue is not used", self.following.name)
        else:
            self._failures = 0
            changes = self.following.news(copy, catalogue)
            if copy.is_new:
                copy.begin(changes.new_groups, changes.new_items)
                self.first = changes
            self.brings_changes = bool(changes) and self.first is None
            self.catalogue = catalogue
            return
        self._failures += 1
        self._not_before = self._clock.monotonic() + min(FIRST_PAUSE * 2 ** min(self._failures, 30), LONGEST_PAUSE)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._tell(None if task.cancelled() else task.exception())
