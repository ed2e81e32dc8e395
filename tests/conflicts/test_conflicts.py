"""Claims that contradict each other are told to a person, once; claims that agree are told to nobody."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tests.conflicts import auditor
from tests.conflicts.batch import carried_out
from tests.conflicts.plan import AGREEMENTS, CONTRADICTIONS
from tests.conflicts.prove import never


async def test_every_contradiction_is_told_once_and_nothing_else():
    """Every kind of pair at every moment on every two ways, planted by another process among those that agree."""
    tally = await carried_out(0, 1_000, 1_500)
    assert tally.violations == []
    assert never(tally) == []
    assert all(tally.counts[what] >= 10 for what in (*CONTRADICTIONS, *AGREEMENTS))


PLAN = {
    "key": "c1",
    "what": "another code",
    "first_way": "push",
    "first": {"kind": "succeeded", "said": {"code": "A"}},
    "second_way": "push",
    "second": {"kind": "succeeded", "said": {"code": "B"}},
    "moment": "after the final",
    "conflict": True,
}
CLAIMS = [{"kind": "succeeded", "value": {"code": code}} for code in "AB"]


def written(alarms: list[tuple[str, int]], evidence: list[dict], state: str) -> sqlite3.Connection:
    """A database as an engine might leave it: alarms about the only process, by kind and count."""
    looking = sqlite3.connect(":memory:")
    looking.executescript(
        "CREATE TABLE tieout_process (id, request_key, status, state);"
        "CREATE TABLE tieout_alarm (id, kind, object, count);"
        "CREATE TABLE tieout_evidence (alarm, body);"
    )
    looking.execute("INSERT INTO tieout_process VALUES (x'00', x'6331', 'final', ?)", (state,))
    for kind, count in alarms:
        looking.execute("INSERT INTO tieout_alarm VALUES (x'01', ?, '00:1', ?)", (kind, count))
    looking.executemany("INSERT INTO tieout_evidence VALUES (x'01', ?)", [(json.dumps(one),) for one in evidence])
    return looking


@pytest.mark.parametrize(
    ("alarms", "evidence", "state", "is_right"),
    [
        ([("conflict", 1)], CLAIMS, "completed", True),
        ([], [], "completed", False),
        ([("conflict", 2)], CLAIMS, "completed", False),
        ([("conflict", 1), ("conflict", 1)], CLAIMS, "completed", False),
        ([("conflict", 1), ("deadline", 1)], CLAIMS, "completed", False),
        ([("conflict", 1)], CLAIMS[:1], "completed", False),
        ([("conflict", 1)], [*CLAIMS, {"kind": "failed"}], "completed", False),
        ([("conflict", 1)], CLAIMS, "refunded", False),
    ],
)
def test_the_auditor_notices(alarms, evidence, state, is_right):
    """No alarm, two, one of another kind, too little evidence, too much, and a final that was overwritten."""
    found = auditor.audited(written(alarms, evidence, state), json.dumps([PLAN]).encode())
    assert (found == []) is is_right


def test_the_auditor_notices_a_false_alarm():
    """Nothing may be told of claims that agree."""
    plan = json.dumps([PLAN | {"conflict": False, "what": "the same"}]).encode()
    assert auditor.audited(written([("conflict", 1)], CLAIMS, "completed"), plan)
    assert auditor.audited(written([], [], "completed"), plan) == []
