"""A broker that is killed under load loses nothing and doubles nothing, and an auditor who is not fooled says so."""

from __future__ import annotations

import sqlite3

import pytest

from tests.messages.prove import SMALL_KILLS, through
from tests.messages.traffic import CASES, audit

MESSAGES = 20_000
"""Through each broker."""


@pytest.mark.parametrize("name", CASES)
def test_a_broker_killed_under_load_loses_and_doubles_nothing(name):
    """Every message of twenty thousand has one effect, though the broker was killed while they were sent."""
    outcome = through(name, MESSAGES, SMALL_KILLS[name], seed=1)
    assert outcome.violations == []
    assert outcome.counts["kills"] == SMALL_KILLS[name]


def test_the_auditor_notices(tmp_path):
    """A message without an effect, one with two, one that nobody sent, and one that was given up are each named."""
    file = tmp_path / "receiver.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE effect (number INTEGER)")
        database.execute("CREATE TABLE tieout_letter (id INTEGER)")
        database.executemany("INSERT INTO effect VALUES (?)", [(0,), (2,), (2,), (7,)])
    assert audit(file, 3) == ["message 1 has no effect", "message 2 has 2 effects", "message 7 was never sent"]
    with sqlite3.connect(file) as database:
        database.execute("INSERT INTO tieout_letter VALUES (1)")
    database.close()
    assert audit(file, 1)[-1] == "1 messages could not be taken in"
