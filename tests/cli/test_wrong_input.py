"""Wrong inputs of every kind: a clear error with its code on standard error, its status, and nothing on the output."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import TIEOUT
from tieout.cli import exits
from tieout.cli.exits import status_of
from tieout.errors import ApprovalNeeded, ConfigError, DatabaseFull, DefinitionError, NotAllowed, Refused

NOWHERE = "postgresql://u@127.0.0.1:1/x?connect_timeout=2"
WHY = ["--reason", "why"]
ID = "ab" * 16


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["process", "show", ID], 3, "unknown-process"),
        (["process", "show", "nonsense"], 3, "unknown-process"),
        (["process", "show", "é" * 32], 3, "unknown-process"),
        (["process", "show", "--type", "redeem", "--owner", "nobody", "--key", "r"], 3, "unknown-process"),
        (["process", "show", "--type", "redeem", "--key", ""], 3, "invalid-key"),
        (["process", "show", "--type", "redeem", "--key", "k" * 256], 3, "invalid-key"),
        (["process", "show", "--key", "r-1"], 2, "config"),
        (["process", "show", ID, "--key", "r-1", "--type", "redeem"], 2, "config"),
        (["process", "show"], 2, "config"),
        (["process", "list", "--after", ID], 3, "unknown-process"),
        (["process", "list", "--limit", "0"], 2, "usage"),
        (["process", "list", "--limit", "1001"], 2, "usage"),
        (["process", "list", "--limit", "many"], 2, "usage"),
        (["process", "list", "--status", "lost"], 2, "usage"),
        (["process", "list", "--since", "yesterday"], 2, "config"),
        (["process", "retry", ID, *WHY], 3, "unknown-process"),
        (["process", "retry", ID], 2, "usage"),
        (["process", "hold", ID, "--reason", ""], 3, "not-allowed"),
        (["process", "hold", ID, *WHY, "--actor", " "], 3, "not-allowed"),
        (["process", "query", ID, *WHY], 3, "unknown-process"),
        (["process", "resume", ID, *WHY], 3, "unknown-process"),
        (["process", "settle", ID, "--call", "0", "--as", "failed", *WHY], 2, "usage"),
        (["process", "settle", ID, "--call", "1", "--as", "failed", *WHY], 3, "unknown-process"),
        (["process", "graph", "nothing"], 2, "config"),
        (["process", "graph", "--format", "svg"], 2, "usage"),
        (["alarm", "acknowledge", ID, *WHY], 3, "unknown-alarm"),
        (["alarm", "list", "--after", ID], 3, "unknown-alarm"),
        (["process", "list", "--db", "oracle://u@h/x"], 2, "config"),
        (["process", "list", "--db", "shop.db"], 2, "config"),
        (["process", "list", "--db", "sqlite://"], 2, "config"),
        (["process", "list", "--db", "sqlite:///shop.db?mode=ro"], 2, "config"),
        (["process", "list", "--db", "postgresql://u@h/x?pool=0"], 2, "config"),
        (["process", "list", "--db", NOWHERE], 4, "database-unavailable"),
        (["migrate", NOWHERE], 4, "database-unavailable"),
        (["demo", "points", "--rate", "0"], 2, "config"),
        (["demo", "points", "--seconds", "nan"], 2, "config"),
        (["demo", "hotels", "--seconds", "nan"], 2, "config"),
        (["demo", "hotels", "--full"], 2, "config"),
        (["demo", "hotels", "--small", "--full"], 2, "config"),
        (["process", "lst"], 2, "usage"),
        (["nothing"], 2, "usage"),
        (["version", "now"], 2, "usage"),
    ],
)
def test_each_is_told_with_its_code(shop, arguments, status, code):
    """An error has its code and message on standard error, for people or as JSON; the output stays empty."""
    plain, as_json = shop.run(*arguments), shop.run(*arguments, "--json")
    assert (plain.status, plain.out, as_json.status, as_json.out) == (status, "", status, "")
    assert plain.err.startswith(f"tieout: [{code}] ")
    assert f'"code":"{code}"' in as_json.err


def test_arguments_that_are_no_text_are_refused(shop):
    """Bytes that are no UTF-8 can neither be stored nor told."""
    for told in (
        shop.command("process", "hold", ID, "--reason", "\udcff"),
        shop.command("process", "list", "--type", "\udcff"),
    ):
        assert (told.status, told.err) == (2, "tieout: [usage] an argument is no text in UTF-8\n")


def test_an_output_of_few_letters_is_written(shop):
    """What its encoding has not is escaped; a closed one takes all."""
    process = shop.start()
    shown = shop.command("process", "show", process, PYTHONIOENCODING="ascii")
    assert (shown.status, "\\u25cf immediate" in shown.out) == (0, True)
    closed = ["sh", "-c", f"exec {TIEOUT} process show {process} >&-"]
    told = subprocess.run(closed, cwd=shop.folder, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")


def test_commands_without_arguments_explain_themselves(shop):
    """`tieout`, a noun alone and `--help` print what there is, with status 0."""
    for arguments in ([], ["process"], ["alarm"], ["process", "settle", "--help"]):
        page = shop.run(*arguments)
        assert (page.status, page.err) == (0, "")
        assert "Usage: tieout" in page.out


@contextmanager
def unprivileged():
    """Run as somebody who is bound by permissions."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_read_only_file_is_told(bare):
    """A file that may not be written is a database error, not an empty answer."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        url = f"sqlite:///{folder}/read.db"
        assert bare.run("migrate", url).status == 0
        (folder / "read.db").chmod(0o444)
        with unprivileged():
            refused, found = bare.run("process", "list", "--db", url), bare.run("doctor", url, "--json")
    finally:
        shutil.rmtree(folder)
    assert (refused.status, refused.out) == (4, "")
    assert "[database-read-only]" in refused.err
    assert (found.status, found.document["findings"][0]["name"]) == (1, "connection")


def test_what_is_no_database_is_told(bare):
    """A file of something else is a wrong setting; it is not touched."""
    bare.file.write_text("This is not a database. " * 100)
    before = bare.file.read_bytes()
    for arguments in (["process", "list", "--db", bare.url], ["migrate", bare.url], ["doctor", bare.url]):
        refused = bare.run(*arguments)
        assert refused.status == 2
        assert "not a SQLite database" in refused.err
    assert bare.file.read_bytes() == before


@pytest.mark.parametrize(
    ("missing", "arguments", "said"),
    [
        ("cyclopts", ["version"], "pip install 'tieout[cli]'"),
        ("rich", ["version"], "pip install 'tieout[cli]'"),
        ("asyncpg", ["doctor", "postgresql://u@h/x"], "pip install tieout[postgres]"),
        ("aiohttp", ["demo", "points"], "pip install 'tieout[demo]'"),
        ("numpy", ["demo", "hotels"], "pip install 'tieout[demo,mirror,server]'"),
        ("litestar", ["demo", "hotels"], "pip install 'tieout[demo,mirror,server]'"),
    ],
)
def test_a_missing_extra_is_named(missing, arguments, said):
    """Without a package that a command needs, the line that installs it is said, with status 2."""
    script = f"import sys; sys.modules[{missing!r}] = None; from tieout.cli import main; sys.exit(main({arguments!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "[config]" in done.stderr
    assert said in done.stderr


def test_a_fault_of_our_own_shows_where(shop, monkeypatch):
    """What nobody expected ends with a status of its own, and with the traceback that a report needs."""
    monkeypatch.setattr("tieout.cli.process.show_list", lambda _: 1 / 0)
    broken = shop.run("process", "list")
    assert broken.status == exits.BUG
    assert "ZeroDivisionError" in broken.err


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ApprovalNeeded("x"), 1),
        (ConfigError("x"), 2),
        (DefinitionError("x"), 2),
        (NotAllowed("x"), 3),
        (Refused("x"), 3),
        (DatabaseFull("x"), 4),
    ],
)
def test_statuses_of_errors(error, status):
    """A status says which kind of error it was: usage 2, refused 3, database 4; a second person needed is 1."""
    assert status_of(error) == status


def test_the_command_is_installed(shop):
    """The installed command does what `main` does: the same status, output and errors."""
    for arguments in (["process", "list", "--json"], ["process", "show", ID]):
        there, here = shop.command(*arguments), shop.run(*arguments)
        assert (there.status, there.out, there.err) == (here.status, here.out, here.err)
