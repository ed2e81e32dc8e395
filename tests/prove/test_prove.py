"""One table of all kinds of proof: who held, who did not, and what too little, nothing or a Ctrl-C is taken for."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from tests.prove import __main__ as command
from tests.prove.kinds import KINDS, ROOT, Kind, all_kinds
from tests.prove.running import judged, options_in
from tests.prove.telling import Told, tell

KIND = Kind("kill", "Kill", "Kills.")
HELD = {"kind": "kill", "held": True, "counts": {"kills": 3}, "never": [], "violations": [], "seeds": [], "seconds": 1}


def verdict(status: int = 0, *, stopped: bool = False, **changes: object) -> str:
    return judged(KIND, f"progress\n{json.dumps(HELD | changes)}\n", status, stopped=stopped).verdict


def test_a_kind_holds_only_when_it_says_all_of_it():
    """A kind that reached too little, tried nothing or ended badly has not held, whatever it says of itself."""
    assert verdict() == "held"
    assert verdict(violations=["two prizes"]) == "violated"
    assert verdict(never=["failover"]) == "too little"
    assert verdict(counts={"kills": 0}) == "too little"
    assert verdict(status=1) == "broken"
    assert verdict(held=False) == "broken"
    assert verdict(counts=None) == "broken"
    assert judged(KIND, "Traceback\n", 1, stopped=False).verdict == "broken"


def test_what_was_stopped_has_not_held():
    """After a Ctrl-C nothing is proved; what was violated until then still is."""
    assert verdict(stopped=True) == "stopped"
    assert verdict(130, interrupted=True) == "stopped"
    assert verdict(stopped=True, violations=["two prizes"]) == "violated"
    assert judged(KIND, "", -9, stopped=True).verdict == "stopped"


def test_what_a_kind_tells_is_what_the_table_reads(capsys):
    """The last line that a kind prints with `tell` is one that the runner understands, and so is the exit status."""
    good = Told("kill", Counter(kills=3), [], [], [7], 1.0)
    assert tell(good) == 0
    assert judged(KIND, capsys.readouterr().out, 0, stopped=False).verdict == "held"
    many = Told("kill", {"kills": 3}, ["a point"], [f"lost {n}" for n in range(50)], [7], 1.0, more={"points": 9})
    assert tell(many) == 1
    share = judged(KIND, capsys.readouterr().out, 1, stopped=False)
    assert (share.verdict, len(share.told["violations"]), share.told["points"]) == ("violated", 20, 9)


def test_every_kind_has_its_place():
    """Every folder with a `prove.py` is run, named or not, and a kind that is not there yet is told as such."""
    there = {path.parent.name for path in (ROOT / "tests").glob("*/prove.py")}
    kinds = all_kinds()
    assert there <= {kind.name for kind in kinds}
    assert len({kind.name for kind in kinds}) == len(kinds)
    assert all(kind.does for kind in KINDS)


@pytest.mark.parametrize("kind", [kind for kind in all_kinds() if kind.is_there], ids=lambda kind: kind.name)
def test_every_kind_takes_what_the_runner_gives_it(kind, capsys):
    """Whatever is run by name has a small share, and tells the JSON that the runner asks of each."""
    with pytest.raises(SystemExit):
        import_module(f"tests.{kind.name}.prove").main(["--help"])
    assert {"--small", "--json"} <= options_in(capsys.readouterr().out)


@pytest.fixture
def run(tmp_path):
    """Run the command on a tree of its own, whose kinds are scripts."""
    (tmp_path / "tests").mkdir()
    for folder in ("prove", "servers"):
        (tmp_path / "tests" / folder).symlink_to(ROOT / "tests" / folder)

    def begin(*arguments: str, **scripts: str) -> subprocess.Popen[str]:
        for name, script in scripts.items():
            folder = tmp_path / "tests" / name
            folder.mkdir()
            (folder / "prove.py").write_text(script)
        return subprocess.Popen(
            [sys.executable, "-c", RUN.format(root=str(tmp_path)), *arguments, "--output", str(tmp_path / "out")],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return begin


RUN = """
import sys
from pathlib import Path
from tests.prove import kinds, running
kinds.ROOT = running.ROOT = Path({root!r})
from tests.prove.__main__ import main
sys.exit(main())
"""
TELLS = f"import sys\nprint({json.dumps(HELD)!r})\n"
WAITS = "import sys, time\nif '--help' not in sys.argv:\n    open('begun', 'w').close()\n    time.sleep(600)\n"


def test_one_table_of_those_that_are_there(run, tmp_path):
    """All that is there is run, the rest is named; the seed that is drawn is told; the page needs nothing else."""
    process = run("--json", kill=TELLS)
    printed, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    table = json.loads(printed.splitlines()[-1])
    assert table == json.loads((tmp_path / "out" / "prove.json").read_text())
    verdicts = {kind["name"]: kind["verdict"] for kind in table["kinds"]}
    assert verdicts == {kind.name: "held" if kind.name == "kill" else "absent" for kind in KINDS}
    assert isinstance(table["seed"], int)
    assert table["environment"]["python"]
    page = (tmp_path / "out" / "prove.html").read_text()
    assert "It held." in page
    assert re.findall(r"(?:src=|href=[\"']?http|@import|url\()", page) == []


def test_a_kind_that_is_named_has_to_be_there(run):
    """Who asks for a kind that is not there yet is not told that it held; who asks for nonsense is told the names."""
    process = run("kill", "proxy", kill=TELLS)
    process.communicate(timeout=60)
    assert process.returncode == 1
    with pytest.raises(SystemExit) as ended:
        command.main(["nonsense"])
    assert ended.value.code == 2


def test_options_go_to_whoever_takes_them(run, tmp_path):
    """The seed and the size reach a kind whose help names them, and nobody else."""
    takes = f"import sys\nif '--help' in sys.argv:\n    print('--seed --small')\nelse:\n    told = {HELD!r}\n"
    takes += "    told['seeds'] = sys.argv[1:]\n    import json; print(json.dumps(told))\n"
    process = run("--seed", "7", "--small", "--schedules", "3", kill=takes, clock=TELLS)
    process.communicate(timeout=60)
    table = json.loads((tmp_path / "out" / "prove.json").read_text())
    commands = {kind["name"]: kind["command"] for kind in table["kinds"]}
    assert commands["kill"] == "python -m tests.kill.prove --seed 7 --small --json"
    assert commands["clock"] == "python -m tests.clock.prove --json"


def test_ctrl_c_writes_what_there_is(run, tmp_path):
    """A run that is stopped leaves a table of what was done until then, ends with 130, and leaves nothing running."""
    process = run("kill", "proxy", "clock", kill=TELLS, proxy=WAITS, clock=TELLS)
    ends = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert process.poll() is None and time.monotonic() < ends
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    table = json.loads((tmp_path / "out" / "prove.json").read_text())
    assert [(kind["name"], kind["verdict"]) for kind in table["kinds"]] == [("kill", "held"), ("proxy", "stopped")]
    assert not table["held"]
    assert "It did not hold." in Path(tmp_path / "out" / "prove.html").read_text()
