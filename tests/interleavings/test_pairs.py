"""Every order of two use cases' statements on a real server: one result, whichever it was."""

from __future__ import annotations

import pytest

from tests.interleavings.laws import violations
from tests.interleavings.pairs import PAIRS
from tests.interleavings.schedule import Orders


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
async def test_every_order_comes_to_one_result(arena, pair, capsys):
    """One row, each business write once at most, one final, one alarm where finals differ, no error that is not due."""
    await arena.prepare(pair.prepare)
    seen = [one async for one in arena.every_order(pair.acts, pair.desk, Orders(reads_apart=pair.reads_apart))]
    broken = [what for one in seen for what in violations(pair, one)]
    with capsys.disabled():
        print(f"\n{arena.database.dialect} {pair.name}: {len(seen)} interleavings, {len(broken)} violations")
    assert broken == []
    assert len(seen) >= pair.least
