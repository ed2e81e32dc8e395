"""Each guard has a test that notices when it is gone; the list of guards does not rot."""

from __future__ import annotations

import json
import os

import pytest

from tests.mutants import prove
from tests.mutants.mutant import ROOT, SOURCE
from tests.mutants.prove import MUTANTS
from tests.mutants.running import read, tried
from tests.tidy import tree

SEED = int(os.environ.get("TIEOUT_SEED", "1"))


def test_each_guard_is_where_it_was():
    """The text of a guard stands exactly once in its file, names are unique, and without it the file still compiles."""
    assert len({one.name for one in MUTANTS}) == len(MUTANTS) >= 40
    for one in MUTANTS:
        changed = one.applied((SOURCE / one.file).read_text())
        if one.file.endswith(".py"):
            compile(changed, one.file, "exec")


def test_each_named_test_is_there():
    """A mutant names tests that exist, and that stand for a behaviour by their docstring."""
    for one in MUTANTS:
        for test in one.tests:
            file, _, function = test.partition("::")
            path = ROOT / "tests" / file
            assert path.exists(), one.name
            inherited = "Test" in function
            places = [SOURCE / "testing" / name for name in ("database_rules.py", "process_store_suite.py")]
            found = {f.name: f for place in (places if inherited else [path]) for f in tree.functions(place)}
            assert not function or tree.docstring(found[function.rpartition("::")[2]]), one.name


def test_a_guard_that_moved_is_told():
    """A mutant whose text is gone cannot be applied in silence."""
    with pytest.raises(ValueError, match="stands 0 times"):
        MUTANTS[0].applied("something else")


def test_a_survivor_is_told():
    """A change that nobody notices, a test that is not there and one that cannot be run are survivors."""
    harmless = MUTANTS[0]._replace(
        name="harmless", file="identity.py", old="JSON_DEPTH = 64\n", new="JSON_DEPTH = 64  # the same\n"
    )
    for test in ("unit/test_keys.py", "unit/test_keys.py::test_that_is_not_there", "unit/not_there.py"):
        outcome = tried(harmless._replace(tests=(test,), on=""))
        assert outcome.survived.startswith(f"harmless: not caught by {test}")
    broken = harmless._replace(new="JSON_DEPTH = None.nothing\n", tests=("unit/test_keys.py",), on="")
    assert tried(broken).survived


def test_what_goes_wrong_outside_a_test_catches_nothing(tmp_path):
    """Only a failed test counts: not an error of a fixture, and not a skipped one."""
    report = tmp_path / "report.xml"
    cases = "".join(
        f'<testcase classname="tests.a" name="{kind}[x]"><{kind}/></testcase>' for kind in ("error", "skipped")
    )
    failed = '<testcase classname="tests.a" name="one[x]"><failure/></testcase>'
    report.write_text(f'<testsuite>{cases}{failed}<testcase classname="tests.a" name="two"/></testsuite>')
    assert read(report) == ({"tests/a::two"}, {"tests/a::one"})


def test_a_share_of_all_is_caught(capsys):
    """A few mutants that a seed draws are caught by the tests that are named for them, which pass without them."""
    assert prove.main(["--small", "--seed", str(SEED), "--jobs", "2"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["counts"]["caught"], told["counts"]["survived"]) == (prove.SMALL, 0)
    assert told["counts"]["tests without a mutant"] >= prove.SMALL
