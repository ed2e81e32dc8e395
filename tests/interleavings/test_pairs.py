"""Every order of two use cases' statements on a real server: one result, whichever it was."""

from __future__ import annotations

import pytest

from tests.interleavings.counting import count
from tests.interleavings.pairs import PAIRS


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
async def test_every_order_comes_to_one_result(arena, pair, capsys):
    """One row, each business write once at most, one final, one alarm where finals differ, no error that is not due."""
    counted = await count(arena, pair)
    with capsys.disabled():
        print(f"\n{counted}")
    assert counted.broken == []
    assert counted.orders >= pair.least
