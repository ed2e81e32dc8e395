"""A flush that fails: the writer stops, and says so; what it had accepted before is there."""

from __future__ import annotations

import errno
import os

import pytest

from tests.disk.plans import failing
from tests.disk.recording import Mark, Resize, Sync, Write, record
from tests.disk.workload import FILE, Load
from tieout import CommitUnknown, DatabaseFull, DatabaseUnavailable
from tieout.database.sqlite_files import write_anew

LOG = f"{FILE}-wal"


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """What an App did from the moment on when its first requests could not be flushed, until it was closed; and all."""
    for flush in range(4, 40):
        folder = tmp_path_factory.mktemp("disk") / "data"
        folder.mkdir()
        operations = record(folder, Load("failing", 60), failing(flush))
        opened = operations.index(Mark(("opened",))) if Mark(("opened",)) in operations else len(operations)
        if Sync(LOG, ok=False) in operations[opened:]:
            fails = operations.index(Sync(LOG, ok=False))
            return operations[fails + 1 : operations.index(Mark(("closing",)))], operations
    raise AssertionError("no flush is one of requests")


def test_the_writer_stops(failed):
    """Nothing more is written or flushed: a second flush would succeed, and tell nothing about the first."""
    after, _ = failed
    assert [one for one in after if isinstance(one, (Write, Resize, Sync))] == []


def test_clients_are_told(failed):
    """Whose commit failed hears that its outcome is unknown, who comes later that the database is unavailable."""
    after, _ = failed
    codes = {one.words[1] for one in after if isinstance(one, Mark) and one.words[0] == "refused"}
    assert CommitUnknown.code in codes
    assert codes <= {CommitUnknown.code, DatabaseUnavailable.code}


def test_reads_are_served(failed):
    """Everybody who was refused could still read."""
    after, _ = failed
    told = [one.words[0] for one in after if isinstance(one, Mark)]
    assert told.count("read") == told.count("refused") > 0


def test_it_goes_on_when_it_is_opened_anew(failed):
    """Closed and opened again, it takes requests."""
    _, operations = failed
    reopened = operations[operations.index(Mark(("closing",))) :]
    assert any(isinstance(one, Mark) and one.words[0] == "accepted" for one in reopened)


def test_a_log_is_written_anew(tmp_path):
    """Its content stays; one that is not there needs nothing."""
    (tmp_path / "log").write_bytes(b"x" * 3_000_000)
    write_anew(tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"x" * 3_000_000
    write_anew(tmp_path / "no such log")


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EIO, DatabaseUnavailable), (errno.ENOSPC, DatabaseFull), (errno.EDQUOT, DatabaseFull)]
)
def test_a_log_that_cannot_be_flushed_is_told(tmp_path, monkeypatch, number, kind):
    """An App does not open on it: an error of the database, by code."""
    (tmp_path / "log").write_bytes(b"x")

    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind) as refused:
        write_anew(tmp_path / "log")
    assert (refused.value.sqlstate, refused.value.outcome) == (errno.errorcode[number], "failed")
