"""A node that follows a supplier is killed at any point, and the other one goes on: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.kill.troupe import DIALECTS, scratch
from tests.mirror_kill.auditor import LIMIT, Evidence, violations
from tests.mirror_kill.campaign import Tally, opened
from tests.mirror_kill.prove import ALL, BESIDE
from tests.mirror_kill.stories import STORIES, Story
from tests.mirror_kill.troupe import tried
from tests.prove.kills import Share
from tieout.coordination.store import CoordinationStore
from tieout.mirror.store import MirrorStore

SEED = int(os.environ.get("TIEOUT_SEED", "1"))
SAMPLE = {"sqlite": 6, "postgres": 2, "mysql": 2}
"""Points of each story that are tried on each database."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_node_goes_on(dialect, capsys):
    """Killed at points of a sync, of merged pushes and of a publication: the other ends each as if nobody had died."""
    whole = Tally()
    for _, tally in tried([dialect], ALL, Share(SAMPLE[dialect], SEED), BESIDE * (os.cpu_count() or 1), parts=1):
        whole.add(tally)
    with capsys.disabled():
        print(f"\n{dialect}: {whole.counts['kills']} kills, taken over at most {whole.latest:.2f} s after a lease")
    assert whole.violations == []
    assert whole.counts["kills"] >= len(ALL) * (SAMPLE[dialect] - 1)
    assert whole.counts["taken over at the end of a lease"] > whole.counts["kills"] / 2


@pytest.fixture(scope="module")
def theatre():
    with scratch() as folder, opened("sqlite", "", folder / "here") as theatre:
        yield theatre


async def _nothing(*_, **__):
    return None


async def _none_held(*_):
    return frozenset()


async def _taken_always(self, tx, name, holder, ttl):
    await tx.execute(self.sql.add_lease, name=name)
    await tx.execute(
        "UPDATE tieout_lease SET holder = :holder, fence = fence + 1, until = {now} + :ttl WHERE name = :name",
        name=name,
        holder=holder,
        ttl=ttl,
    )
    return await self.read_lease(tx, name)


def test_a_push_that_is_not_stored_is_missed(theatre, monkeypatch):
    """When a node acknowledges what it has not kept, the copy is not the truth in the end, and that is told."""
    monkeypatch.setattr("tests.mirror_kill.nodes.SETTLING", 3.0)
    monkeypatch.setattr(MirrorStore, "post", _nothing)
    tally, _ = theatre.play(STORIES[1], None)
    assert any("at the end: h1-a on day 3" in what for what in tally.violations)


def test_two_that_lead_at_a_time_are_noticed(theatre, monkeypatch):
    """When a lease is taken from a node that lives, that is told."""
    monkeypatch.setattr(CoordinationStore, "take_lease", _taken_always)
    monkeypatch.setattr(CoordinationStore, "held_leases", _none_held)

    async def linger(*_):
        while not any(one["what"] == "leads" and one["node"] == "other" for one in theatre.places.noted()):  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.01)

    tally, _ = theatre.play(Story("lingering", False, STORIES[0].change, {"linger": linger}), None)
    assert any("before it was over" in what for what in tally.violations)


def note(what, at, **fields):
    return {"what": what, "at": at, **fields}


def evidence(*notes, until=0, fence=2, differences=()):
    return Evidence([note("settled", 9.0, node="other"), *notes], 5.0, until, fence, differences)


def asked(node, begun, ended=None, kind="fetch"):
    query = f"{node} {begun}"
    return [note("asked", begun, node=node, kind=kind, query=query)] + (
        [] if ended is None else [note("answered", ended, query=query)]
    )


@pytest.mark.parametrize(
    ("found", "what"),
    [
        (evidence(*asked("first", 1.0, 2.0), *asked("other", 1.5, 1.6)), "ask at a time"),
        (evidence(*asked("first", 4.0), *asked("other", 4.9, 5.2)), "ask at a time"),
        (evidence(*asked("first", 1.0, 1.1), *asked("other", 1.5, 1.6), fence=1), "2 turns under 1 leases"),
        (
            evidence(*(one for n in range(LIMIT + 1) for one in asked("other", n / 20, n / 20, "check"))),
            "queries within",
        ),
        (evidence(*(one for n in range(8) for one in asked("other", n / 50, n / 50))), "queries of the plan within"),
        (
            evidence(
                note("holds", 0.5, node="first", until=1_000_000), note("leads", 1.0, node="other", server=900_000)
            ),
            "before it was over",
        ),
        (evidence(note("leads", 1.0, node="other", server=90_000_000, fence=2), until=1_000_000), "after it was over"),
        (evidence(differences=["h0-a is there"]), "at the end"),
        (Evidence([], 1.0, 0, 1, []), "has not settled"),
    ],
)
def test_the_auditor_notices(found, what):
    """Each thing that must not be is told."""
    assert any(what in one for one in violations(found))


def test_the_auditor_is_content():
    """Of two turns, one after the other, at the supplier's rate, nothing is told."""
    took = note("leads", 6.0, node="other", server=1_100_000, fence=2)
    turns = [one for n in range(4) for one in asked("first", n / 10, n / 10 + 0.05)]
    turns += [one for n in range(4) for one in asked("other", 6 + n / 10, 6.05 + n / 10)]
    assert violations(evidence(*turns, took, until=1_000_000)) == []
