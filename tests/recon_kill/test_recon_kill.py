"""A node that follows both sources is killed at any point, and the next one too: nothing lost, nothing told twice."""

from __future__ import annotations

import os

import pytest

from tests.kill.troupe import scratch
from tests.prove.kills import Share
from tests.recon_kill.campaign import Tally
from tests.recon_kill.prove import ALL
from tests.recon_kill.stories import STORIES
from tests.recon_kill.troupe import DIALECTS, theatre_of, tried
from tieout.recon.fact_store import FactStore

SEED = int(os.environ.get("TIEOUT_SEED", "1"))
SAMPLE = {"sqlite": 3, "postgres": 1, "mysql": 1}
"""Points of each story that are tried on each database."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_next_one_goes_on(dialect, capsys):
    """Killed while it keeps, tells, loads and mends, once or twice: all ends as if nobody had died."""
    whole = Tally()
    for _, tally in tried([dialect], ALL, Share(SAMPLE[dialect], SEED), jobs=1, parts=1):
        whole.add(tally)
    with capsys.disabled():
        print(f"\n{dialect}: {whole.counts['kills']} kills")
    assert whole.violations == []
    assert whole.counts["kills"] >= len(ALL) * SAMPLE[dialect] - 1


@pytest.fixture(scope="module")
def theatre():
    with scratch() as folder, theatre_of("sqlite", folder / "here") as theatre:
        yield theatre


async def _nothing(*_, **__):
    return None


@pytest.mark.parametrize("lost", ["begin", "write", "mend"])
def test_what_is_not_kept_or_not_mended_is_noticed(theatre, monkeypatch, lost):
    """When facts are not kept though their position is, or a break is not closed, that is told."""
    monkeypatch.setattr("tests.recon_kill.nodes.SETTLING", 4.0)
    monkeypatch.setattr(FactStore, lost, _nothing)
    tally, _ = theatre.play(STORIES[0], [])
    assert any("what is told is not what there is" in one for one in tally.violations)
