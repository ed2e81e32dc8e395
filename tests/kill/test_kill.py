"""A process killed at any point of any story, on any database, leaves what the next one brings to its end."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence

import pytest

from tests.kill import prove
from tests.kill.broken import BREAKS, play_broken
from tests.kill.campaign import ACT, Share, Tally
from tests.kill.stories import STORIES
from tests.kill.troupe import DIALECTS, MIGRATION, Part, grounds, played, scratch
from tests.prove.kills import together

JOBS = os.cpu_count() or 1
SAMPLE = 2
"""Points of each story that are tried on each server."""

SEED = int(os.environ.get("TIEOUT_SEED", "1"))


def tried(parts: Sequence[tuple[str, str, Share]], dialects: tuple[str, ...]) -> Tally:
    """What these shares of stories come to, in several processes."""
    whole = Tally()
    with scratch() as folder, grounds(dialects) as servers:
        given = []
        for n, (dialect, story, share) in enumerate(parts):
            server = servers[dialect]
            url = "" if server is None else server.url(server.database())
            given.append(Part(dialect, story, share, url, str(folder / str(n))))
        for _, tally in together(played, given, JOBS):
            whole.add(tally)
    return whole


def test_every_point_on_sqlite(capsys):
    """Killed before or after any statement, commit or call: both sides agree in the end, everything once."""
    stories = [story.name for story in STORIES]
    whole = tried([("sqlite", name, Share(None, 0)) for name in stories], ("sqlite",))
    with capsys.disabled():
        print(f"\n{whole.counts['kills']} kills in {len(stories)} stories, at points of {len(whole.killed)} names")
    assert whole.violations == []
    assert whole.missing(ACT) == []
    assert whole.counts["kills"] > 20 * len(stories)


@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name != "sqlite"])
def test_points_on_servers(dialect, capsys):
    """The same on PostgreSQL and MariaDB, for points that a seed draws, each recovery killed once too."""
    share = Share(SAMPLE, 1, SEED)
    whole = tried([(dialect, story.name, share) for story in STORIES], (dialect,))
    with capsys.disabled():
        print(f"\n{dialect}: {whole.counts['kills']} kills, {whole.counts['pairs']} of them twice; seed {SEED}")
    assert (whole.violations, whole.never) == ([], [])
    assert whole.counts["pairs"] >= len(STORIES)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_migration_goes_on(dialect, capsys):
    """Killed at any statement of a migration, the next one completes it, to the same tables as if nobody was."""
    whole = tried([(dialect, MIGRATION, Share(60 if dialect == "sqlite" else 10, 0, SEED))], (dialect,))
    with capsys.disabled():
        print(f"\n{dialect}: a migration killed {whole.counts['kills']} times")
    assert (whole.violations, whole.never) == ([], [])
    assert whole.counts["kills"] >= 10


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_engine_is_found_out(broken, folder):
    """Without one of its guards some kill leaves the two sides apart, and the auditor says so."""
    told = play_broken(broken, folder)
    assert told
    assert all(re.search(r": (I\d: |the business has )", line) for line in told), told


def test_prove_tells_and_replays(capsys):
    """The command counts what it has killed on its last line; one play can be told again, life by life."""
    chosen = ["--databases", "sqlite", "--stories", "once", "--singles", "--jobs", "1"]
    assert prove.main(chosen) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["counts"]["kills"] == told["counts"]["points: once"] > 10
    assert prove.main(["--replay", "sqlite", "once", "3", "2"]) == 0
    printed = capsys.readouterr().out
    assert "life 1: before" in printed and "life 3: to its end" in printed
