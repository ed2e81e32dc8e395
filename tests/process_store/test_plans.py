"""The hot statements find their rows by the index that is meant for them, however many final processes there are."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.process_store.explained import FINALS, Explained, loaded

BY_ID = ("read_process", "read_winner", "save_process", "postpone_process", "hasten_process", "count_duplicate")
KEYS = {"sqlite": "sqlite_autoindex_tieout_process_1", "postgres": "tieout_process_pkey", "mysql": "PRIMARY"}
CLAIMS = {"sqlite": ("claim_processes",), "postgres": ("claim_processes",), "mysql": ("claim_processes", "lanes_due")}


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mysql"])
def explained(request, tmp_path_factory):
    """A store with few running and many final processes, whose statistics are up to date."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans')}/plans.db"
    else:
        url = request.getfixturevalue({"postgres": "postgres_url", "mysql": "mariadb_url"}[request.param])
    asyncio.run(loaded(url))
    return Explained(url)


def test_what_names_a_process_goes_by_its_id(explained):
    """Reads, saves and postponements touch one row."""
    for name in BY_ID:
        plan = explained.plan(name)
        assert KEYS[explained.dialect] in plan, (name, plan)
        assert explained.scans(plan) == [], (name, plan)


def test_a_claim_goes_by_lane_and_due_time(explained):
    """An index that holds running processes alone, or begins with what final ones do not have."""
    for name in CLAIMS[explained.dialect]:
        plan = explained.plan(name)
        assert "tieout_process_due" in plan, (name, plan)
        assert explained.scans(plan) == [], (name, plan)


def test_the_lanes_in_use_are_few_looks(explained):
    """What is asked once a minute does not read the final processes either."""
    plan = explained.plan("lanes_in_use")
    assert "tieout_process_due" in plan
    assert explained.scans(plan) == [], plan


def test_retention_goes_by_age(explained):
    """The oldest come first, and no more are read than are taken."""
    for name in ("finals_to_retire", "purge_tombstones"):
        plan = explained.plan(name)
        assert "tieout_process_created" in plan, (name, plan)


def test_an_empty_claim_reads_no_final_process(explained):
    """What the server has read for a claim that finds nothing does not grow with the finals."""
    if explained.dialect == "postgres":
        plan = explained.plan("claim_processes", "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, SUMMARY OFF)")
        read = [int(number) for number in re.findall(r"shared hit=(\d+)", plan.partition("Planning")[0])]
        assert max(read) < FINALS // 100
    else:
        assert explained.rows_read("claim_processes") < FINALS // 10
