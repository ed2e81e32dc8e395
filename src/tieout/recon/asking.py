"""Single keys asked for at both sources as they are now, whether or not anybody follows them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tieout.recon.columns import Key
from tieout.recon.define import Rule
from tieout.recon.evidence import told_break
from tieout.recon.rules import judge
from tieout.recon.sources import Opened, opened
from tieout.recon.store import NewBreak


async def judged_now(rule: Rule, key: Key) -> NewBreak | None:
    """The break that a key is, by what both sources have now; None when it agrees."""
    async with opened(rule, None) as both:
        found = await asyncio.gather(*(side.reading.find(side.rows, [key]) for side in both.sides))
        ours, theirs = (one.get(key, []) for one in found)
        verdict = judge(both.judged, ours, theirs)
        causes = [why for side in both.sides for why in (await states(side, [key])).values() if verdict.sides]
    return told_break(both.judged, key, verdict, ours, theirs, causes) if verdict.is_break else None


async def states(side: Opened, keys: Sequence[Key]) -> dict[Key, str]:
    """Why keys that a side lacks may be lacking: they are there, and their event has not happened."""
    if not keys or not side.probes:
        return {}
    found = await side.reading.states(side.rows, keys)
    return {key: f"{side.reading.name} has it, with {state}" for key, state in found.items()}
