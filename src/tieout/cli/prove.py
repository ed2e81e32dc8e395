"""`tieout prove`: every kind of proof that the source tree holds, and one table of what they came to."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

from cyclopts import Parameter

import tieout
from tieout.cli.printing import SWITCH, Json
from tieout.errors import ConfigError

RUNNER = Path("tests/prove/__main__.py")


def prove(
    *kinds: Annotated[str, Parameter(help="Which kinds; all of them without any.")],
    small: Annotated[bool, SWITCH, Parameter(help="A share of each kind, in minutes.")] = False,
    schedules: Annotated[int | None, Parameter(help="Simulated schedules. Default: 100,000.")] = None,
    seed: Annotated[int | None, Parameter(help="Where chance begins. Default: drawn, and told.")] = None,
    output: Annotated[Path | None, Parameter(help="Folder of the table. Default: build/prove of the tree.")] = None,
    json: Json = False,
) -> None:
    """Try to make two systems disagree, in every way that the source tree knows; exit 0 if all held.

    Writes what was tried, what was never reached and what came of it to prove.html and prove.json. Ctrl-C ends it, and
    writes what there is.
    """
    root = source_tree()
    options = {"--schedules": schedules, "--seed": seed, "--output": None if output is None else output.absolute()}
    given = [part for name, value in options.items() if value is not None for part in (name, str(value))]
    switches = [name for name, is_set in (("--small", small), ("--json", json)) if is_set]
    _become([sys.executable, "-m", "tests.prove", *kinds, *given, *switches], root)


def source_tree() -> Path:
    """The clone that this is run in, else the one that the package is run from; raise `ConfigError` without either."""
    here = Path.cwd()
    for folder in (here, *here.parents, *Path(tieout.__file__).parents):
        if (folder / RUNNER).is_file() and (folder / "src" / "tieout").is_dir():
            return folder
    raise ConfigError("proofs are run from the source tree, and there is none here: run this in a clone of tieout")


def _become(command: list[str], root: Path) -> NoReturn:
    """Be this command from now on, in the tree and on its code: signals and the exit status are its own."""
    path = os.pathsep.join(filter(None, (str(root / "src"), os.environ.get("PYTHONPATH"))))
    os.chdir(root)
    os.execve(command[0], command, os.environ | {"PYTHONPATH": path})  # noqa: S606 - our own runner, without a shell
