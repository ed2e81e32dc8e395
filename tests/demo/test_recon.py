"""The demo with `--recon`: what is planted behind the services' backs is found in time, live and offline."""

from __future__ import annotations

import json

import pytest

from tests.demo.test_run import Demo
from tests.feeds.sources import mariadb_server
from tieout import ConfigError
from tieout.demo.points import run
from tieout.demo.points.planter import KINDS
from tieout.demo.points.reconciling import GRACE_SECONDS, WITHIN_SECONDS, Found, Planted, summary


def check(status: int, out: str, err: str) -> None:
    """Each was found, and nothing else."""
    assert status == 0, err
    figures = json.loads(out)
    assert figures["planted"] == {kind.name: 3 for kind in KINDS}
    assert (figures["found_live"], figures["found_offline"]) == (21, 18)
    assert (figures["false_live"], figures["false_offline"], figures["moved"], figures["equal"]) == (0, 0, 0, True)
    assert figures["agreement"] is True


def test_each_planted_difference_is_found_on_postgresql(tmp_path, postgres):
    """All seven kinds, through kills of both services, and nothing else; databases and slots are gone at the end."""
    before = postgres.psql("SELECT datname FROM pg_database")
    check(*Demo(tmp_path, seconds=8, rate=30, seed=5, db=postgres.url(), recon=True).end())
    assert postgres.psql("SELECT datname FROM pg_database") == before
    assert postgres.psql("SELECT count(*) FROM pg_replication_slots") == "0"
    assert list(tmp_path.iterdir()) == []


def test_each_planted_difference_is_found_on_mariadb(tmp_path, logged):
    """The same through MariaDB's binlog."""
    before = logged.sql("SHOW DATABASES")
    check(*Demo(tmp_path, seconds=8, rate=30, seed=6, db=logged.url(), recon=True).end())
    assert logged.sql("SHOW DATABASES") == before
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def logged():
    """A server that logs whole rows."""
    server = mariadb_server()
    try:
        server.create()
        yield server
    finally:
        server.remove()


def test_a_file_cannot_be_followed():
    """On SQLite the demo says that it needs a server, and makes nothing."""
    with pytest.raises(ConfigError, match="--recon follows the log of a server"):
        run(recon=True)


class Told:
    """A break, as far as it is counted."""

    def __init__(self, outcome: str, at: float) -> None:
        self.outcome, self.first_at = outcome, int(at * 1e6)


@pytest.mark.parametrize("wrong", ["", "missed", "slow", "false", "named", "offline", "moved"])
def test_whatever_is_not_as_planted_is_no_agreement(wrong):
    """A difference that is missed, late, called otherwise or not planted, or unlike offline: each fails the run."""
    in_time = 100.0 + GRACE_SECONDS + 1.0
    planted = [Planted("lost prize", "a", "missing", 100.0), Planted("late arrival", "b", "missing", 100.0)]
    live = {"a": Told("missing", in_time), "b": Told("missing", in_time)}
    offline = {"a": Told("missing", 200.0)}
    if wrong == "missed":
        del live["a"]
    if wrong == "slow":
        live["a"] = Told("missing", in_time + WITHIN_SECONDS)
    if wrong == "false":
        live["c"] = Told("orphan", in_time)
    if wrong == "named":
        live["a"] = Told("differs", in_time)
    if wrong == "offline":
        offline["d"] = Told("missing", 200.0)
    still = {key: one for key, one in live.items() if key != "b"}
    figures = summary(planted, Found(still, live, offline, int(wrong == "moved")))
    assert figures["agreement"] is (not wrong)
