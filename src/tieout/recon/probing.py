"""Keys whose time has come, asked for at both sources before anything is told of them.

What the sources say counts only for keys that nothing has changed from before they were asked until everything that
they had committed by then was read: so what is kept of a key is always what its feeds have told up to one position.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from tieout.recon.asking import states
from tieout.recon.columns import Key
from tieout.recon.following import Follower
from tieout.recon.live import Followed, Live, Settlement, World
from tieout.recon.rules import Record, judge
from tieout.recon.translating import key_parts

EVERY = 0.1
"""Seconds between two looks at what is due."""

MOST = 2_000
"""Keys that are asked for at a time."""


class Prober:
    """Asks for the due keys of one rule."""

    def __init__(self, world: World, live: Live, rule: Followed, followers: Mapping[str, Follower]) -> None:
        self._database, self._store, self._clock = world.database, world.store, world.clock
        self._live, self._rule = live, rule
        self._followers = {name: followers[name] for name in rule.feeds}

    async def probe_forever(self) -> None:
        """Ask for what is due, round after round."""
        while True:
            keys = await self._due()
            if keys:
                await self._probe(keys)
            else:
                await self._clock.sleep(EVERY)

    async def _due(self) -> list[str]:
        rule, until = self._rule, self._live.watermark(self._rule)
        keys = await self._database.read(lambda tx: self._store.due(tx, rule.number, until, MOST))
        return self._live.ask(rule, keys)

    async def _probe(self, keys: Sequence[str]) -> None:
        try:
            answers = await self._answers(keys)
            for name, follower in self._followers.items():
                await follower.reach(await self._followers[name].feed.here())
        except BaseException:
            self._live.forgo(self._rule, keys)
            raise
        await self._live.settle(answers)
        said = {one.key for one in answers}
        self._live.forgo(self._rule, [key for key in keys if key not in said])

    async def _answers(self, keys: Sequence[str]) -> list[Settlement]:
        """What both sources have for these keys; for one that is NULL in part, what is kept of it."""
        rule, parts = self._rule, {key: key_parts(key) for key in keys}
        asked: dict[str, Key] = {key: tuple(map(str, part)) for key, part in parts.items() if None not in part}
        found = await asyncio.gather(*(side.reading.find(side.rows, list(asked.values())) for side in rule.both.sides))
        unasked = [key for key in keys if key not in asked]
        kept = await self._database.read(lambda tx: self._store.kept(tx, rule.number, unasked)) if unasked else {}
        both = {key: (found[0].get(part, []), found[1].get(part, [])) for key, part in asked.items()}
        both |= {key: one.records for key, one in kept.items()}
        causes = await self._causes({key: asked[key] for key in asked}, both)
        return [Settlement(rule.number, key, *pair, causes.get(key, [])) for key, pair in both.items()]

    async def _causes(
        self, asked: Mapping[str, Key], both: Mapping[str, tuple[list[Record], list[Record]]]
    ) -> dict[str, list[str]]:
        """What may have caused that a key is not there."""
        causes: dict[str, list[str]] = {}
        lacking = {key: judge(self._rule.judged, *both[key]) for key in asked}
        for side in self._rule.both.sides:
            name = side.reading.name
            keys = {
                asked[key]: key
                for key, verdict in lacking.items()
                if verdict.outcome in {"missing", "orphan"} and name in verdict.sides
            }
            for part, state in (await states(side, list(keys))).items():
                causes.setdefault(keys[part], []).append(state)
        return causes
