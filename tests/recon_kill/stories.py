"""What both sources go through while they are followed; each act may be done twice, and has no effect then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.recon_kill.sources import TABLES, Sources

KEYS = 100
"""Keys and rows of one play."""

Act = Callable[[Sources, int, str], None]
"""Given the sources, the first key of the play, and the business time of all its rows."""


class Story(NamedTuple):
    """`before` is done while nobody follows; `acts` by whoever follows, each once what was before is judged.

    `begins`: the rule was never followed before. `loses`: the log of one side is cut off while nobody follows.
    """

    name: str
    before: Act
    acts: Mapping[str, Act]
    begins: bool = False
    loses: bool = False


def _written(sources: Sources, base: int, done: str) -> None:
    """Pairs; rows without a partner, with another value, twice; what ties and is changed, or comes and goes."""
    ours = [sources.insert(0, base + n, base + n, done=done) for n in (1, 2, 3, 5, 6, 7)]
    ours.append(sources.insert(0, base + 8, base + 8, state="open", done=done))
    theirs = [sources.insert(1, base + n, base + n, done=done) for n in (1, 4, 5, 6, 7)]
    theirs += [sources.insert(1, base + 3, base + 3, cost=11, done=done)]
    theirs += [sources.insert(1, base + 15, base + 5, done=done)]
    sources.run(0, *ours)
    sources.run(1, *theirs)
    sources.run(1, f"UPDATE {TABLES[1]} SET cost = 9 WHERE place = {base + 6}")
    for side, table in enumerate(TABLES):
        sources.run(side, f"DELETE FROM {table} WHERE place = {base + 7}")


def _mended(sources: Sources, base: int, done: str) -> None:
    """Some breaks mend: a partner comes late, a value is put back, a repetition goes."""
    theirs = TABLES[1]
    sources.run(1, sources.insert(1, base + 2, base + 2, done=done))
    sources.run(1, f"UPDATE {theirs} SET cost = 10 WHERE place = {base + 6}")
    sources.run(1, f"DELETE FROM {theirs} WHERE place = {base + 15}")


def _nothing(_sources: Sources, _base: int, _done: str) -> None:
    """Nothing happens."""


STORIES = (
    Story("follow", _nothing, {"write": _written, "mend": _mended}),
    Story("begin", _written, {"mend": _mended}, begins=True),
    Story("gap", _written, {"mend": _mended}, loses=True),
)
