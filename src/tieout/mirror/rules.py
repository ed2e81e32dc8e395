"""What an observation means for the cells that are kept: decisions without effects, on many cells at a time.

Times are the database server's, in microseconds. An observation holds for some moment of an interval: a pull from its
start to its end, a push from the time of its event, less the clocks' skew, to its receipt. Of two disjoint intervals
one is newer. Overlapping ones cannot be ordered: where they say different things, the cell is suspect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tieout.mirror.calendar import NEVER, Bools, Cells, Checks, Ints
from tieout.mirror.fields import Field

VANISHED_SHARE = 0.75
"""Share of a supplier's groups that may vanish from its catalogue at once; of more, a person decides."""

VANISHED = 1_000
"""Groups of a supplier that may vanish at once, whatever their share."""

SMALL = 4
"""Groups of which all may vanish at once: a share of so few says nothing."""


class Sighting(NamedTuple):
    """What one observation says of the cells of n items: arrays of shape (n, ring); times of shape (n,).

    `seen` are the cells that it speaks of; those of them that are not `present` are absent: closed, for the answer was
    complete. `whole` tells that it speaks of whole groups, so that their check times can stand for its own: all items
    of a group have the same times then. `told` says of each field which cells it was told of, where a push left some
    fields out.
    """

    seen: Bools
    present: Bools
    values: Mapping[str, NDArray[Any]]
    start: Ints
    end: Ints
    whole: bool
    told: Mapping[str, Bools] | None = None

    @property
    def partial(self) -> Bools:
        """The cells of which only some fields were told."""
        if self.told is None:
            return np.zeros_like(self.seen)
        partial = np.zeros_like(self.seen)
        for of_field in self.told.values():
            partial |= self.seen & ~of_field
        return partial


class Merged(NamedTuple):
    """What a sighting did: cells that were taken, that changed, that became suspect, and items whose rows to write."""

    taken: Bools
    changed: Bools
    suspect: Bools
    written: Bools


def merge(
    fields: Mapping[str, Field],
    kept: Cells,
    checks: Checks,
    group: Ints,
    sighting: Sighting,
    *,
    rest_holds: bool = False,
) -> Merged:
    """Take into `kept` what a sighting says that is newer; item i is of the group `group[i]` in `checks`.

    The newer interval wins. Of overlapping ones the one that began later is kept, and where they differ the cell is
    suspect. A cell of which only some fields are told is taken when it is known and these are certainly newer; it is
    suspect then, unless `rest_holds`: whoever told them would have told of the others had they changed. Of one that
    was absent whenever it was observed the others are not known at all. `checks` is not changed; see `note_check`.
    """
    newer, older, later = _order(kept, checks, group, sighting)
    becomes = _becomes(fields, kept, sighting)
    differs = ~kept.known
    for name, values in becomes.items():
        differs |= values != kept.values[name]
    differs &= sighting.seen
    takes = sighting.seen & ~older & (newer | later)
    suspect = differs & kept.known & ~newer & ~older
    if sighting.told is not None:
        partial = sighting.partial
        takes &= ~partial | (kept.known & newer & ~_never_present(fields, kept, sighting))
        suspect |= partial & np.where(takes, not rest_holds, differs)
    changed: Bools = takes & differs
    for name, values in becomes.items():
        np.copyto(kept.values[name], values, where=changed)
    kept.known |= takes
    restamped = _restamp(kept, takes, sighting)
    return Merged(takes, changed, suspect, changed.any(axis=1) | restamped)


def note_check(checks: Checks, window: Bools, start: Ints, end: Ints) -> None:
    """Note that whole groups were asked for the cells of `window` from `start` to `end`; an older check is no news."""
    newer = window & (start[:, None] > checks.start)
    np.copyto(checks.start, start[:, None], where=newer)
    np.copyto(checks.end, end[:, None], where=newer)


def times(kept: Cells, checks: Checks, group: Ints) -> tuple[Ints, Ints]:
    """The interval in which each cell was observed last: its own, or that of its group, whichever began later."""
    of_group = checks.start[group]
    own = kept.start > of_group
    return np.where(own, kept.start, of_group), np.where(own, kept.end, checks.end[group])


def is_mass_drop(groups: int, vanished: int, share: float = VANISHED_SHARE, most: float = VANISHED) -> bool:
    """Whether so many groups, or items, of a catalogue have vanished at once that it is more likely wrong than true."""
    return groups > SMALL and (vanished > most or vanished > share * groups)


def _order(kept: Cells, checks: Checks, group: Ints, sighting: Sighting) -> tuple[Bools, Bools, Bools]:
    """Whether a sighting is wholly newer than what is kept of each cell, wholly older, or began later."""
    if kept.is_any_apart or not sighting.whole:
        kept_start, kept_end = times(kept, checks, group)
        start, end = sighting.start[:, None], sighting.end[:, None]
        return start > kept_end, end < kept_start, start > kept_start
    # All cells have the times of their groups: these are compared once for all of a group's items.
    of_groups = np.full((2, len(checks.base), 1), NEVER, dtype=np.int64)
    of_groups[:, group, 0] = sighting.start, sighting.end
    start, end = of_groups
    newer, older, later = start > checks.end, end < checks.start, start > checks.start
    return newer[group], older[group], later[group]


def _becomes(fields: Mapping[str, Field], kept: Cells, sighting: Sighting) -> dict[str, NDArray[Any]]:
    """What each field of each seen cell would be: as seen, or what absence makes of what it was."""
    if sighting.told is None and not (sighting.seen & ~sighting.present).any():
        return dict(sighting.values)
    becomes = {}
    for name, field in fields.items():
        absent = kept.values[name] if field.absent is None else np.asarray(field.absent, kept.values[name].dtype)
        becomes[name] = np.where(sighting.present, sighting.values[name], absent)
        if sighting.told is not None:
            becomes[name] = np.where(sighting.told[name], becomes[name], kept.values[name])
    return becomes


def _never_present(fields: Mapping[str, Field], kept: Cells, sighting: Sighting) -> Bools:
    """Cells that are as absence left them, with nothing yet in some field that it leaves alone and that is not told."""
    absent, lacks = np.ones_like(sighting.seen), np.zeros_like(sighting.seen)
    for name, field in fields.items():
        if field.absent is not None:
            absent &= kept.values[name] == field.absent
        elif sighting.told is not None:
            lacks |= ~sighting.told[name] & (kept.values[name] == 0)
    return absent & lacks


def _restamp(kept: Cells, takes: Bools, sighting: Sighting) -> Bools:
    """Set the own times of cells that were taken; which items' rows that changes.

    Cells of whole groups need none: the group's check time says it, and what they had is dropped.
    """
    if sighting.whole and not kept.is_any_apart:
        return np.zeros(len(kept), dtype=np.bool_)
    if sighting.whole:
        stamped = takes & (kept.start != NEVER)
        kept.start[stamped] = NEVER
        kept.end[stamped] = NEVER
    else:
        stamped = takes
        kept.start[takes] = np.broadcast_to(sighting.start[:, None], takes.shape)[takes]
        kept.end[takes] = np.broadcast_to(sighting.end[:, None], takes.shape)[takes]
    restamped: Bools = stamped.any(axis=1)
    return restamped
