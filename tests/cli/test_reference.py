"""The reference pages name every command, option, status, check and setting that there is, and no other."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import cyclopts
import pytest

import tieout
from tieout.cli import exits
from tieout.cli.commands import root
from tieout.cli.doctor import machine, mysql, postgres, sqlite, tables
from tieout.database.postgres_hosts import Settings
from tieout.process.bulk import BulkCommand

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
CLI = (REFERENCE / "cli.md").read_text()
SETTINGS = (REFERENCE / "settings.md").read_text()
PACKAGE = Path(tieout.__file__).parent
IN_COMMON = {"--app", "--db", "--json", "--actor", "--reason", "--type", "--owner", "--key"}
"""Options that the first section explains for all commands that have them."""
OF_MANY = {"--all", "--state", "--status", "--lane", "--note", "--since", "--until", "--after", "--limit", "--yes"}
"""Options that the same section explains for the commands that have `--all`."""


def leaves(app: cyclopts.App, path: tuple[str, ...] = ()) -> Iterator[tuple[str, cyclopts.App]]:
    """Every command with its full name."""
    for name in app:
        if name.startswith("-"):
            continue
        command = app[name]
        inner = [*leaves(command, (*path, name))]
        yield from inner or [(" ".join(("tieout", *path, name)), command)]


def options(command: cyclopts.App) -> set[str]:
    arguments = command.assemble_argument_collection(parse_docstring=False)
    return {name for argument in arguments for name in argument.names if name.startswith("--")}


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level."""
    level = heading.split(maxsplit=1)[0]
    found = re.search(rf"^{re.escape(heading)}[^\n]*\n(.*?)(?=^{level} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def first_cells(text: str) -> set[str]:
    """Every `word` in the first column of the tables of a text."""
    rows = re.findall(r"^\| (`[^|]*?) \|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


COMMANDS = dict(leaves(root))


def test_each_command_has_its_section():
    """One section for each command, and none for another."""
    assert set(re.findall(r"^## `(tieout [a-z -]+)`$", CLI, re.MULTILINE)) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_explained(name):
    """A command's section explains exactly the options that it has, beside those that are explained in common."""
    explained = {word for word in first_cells(section(CLI, f"## `{name}`")) if word.startswith("--")}
    has = options(COMMANDS[name])
    of_many = OF_MANY if "--all" in has else set()
    assert of_many <= has
    assert explained <= has
    assert has - IN_COMMON - of_many <= explained
    in_common = section(CLI, "## In common")
    assert all(option in in_common for option in IN_COMMON)


def test_each_option_of_many_is_explained():
    """The section on many at once explains exactly the options that mean something with `--all`."""
    explained = {word for word in first_cells(section(CLI, "### Many at once")) if word.startswith("--")}
    assert explained == OF_MANY | {"--type"}


def test_many_can_be_told_what_one_can():
    """Every command on one process that only needs a reason has `--all`."""
    many = {name for name in COMMANDS if "--all" in options(COMMANDS[name])}
    assert many == {f"tieout process {name}" for name in get_args(BulkCommand)}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_json_and_says_what_it_does(name):
    """Every command has `--json`, help of its own, and help for each of its options."""
    command = COMMANDS[name]
    assert "--json" in options(command)
    assert command.help
    arguments = command.assemble_argument_collection(parse_docstring=True)
    assert [argument.name for argument in arguments if argument.show and not argument.parameter.help] == []


def test_what_needs_the_app_says_so():
    """A command that runs the code of process types is marked as such on the page, and no other one is."""
    marked = {name for name in COMMANDS if "*Needs the App" in section(CLI, f"## `{name}`")}
    running = {
        "worker",
        "serve",
        "process query",
        "process recheck",
        "process resume",
        "process cancel",
        "process settle",
        "process graph",
        "alarm test-route",
    }
    assert marked == {f"tieout {name}" for name in (*running, "process check")}


def test_each_status_is_in_the_table():
    """The table of exit statuses is that of the code, with those of signals."""
    table = section(CLI, "### Exit status")
    ours = {value for name, value in vars(exits).items() if name.isupper() and name != "SIGNALLED"}
    assert {int(row) for row in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == {*ours, 130, 141, 143}


def test_each_check_of_the_doctor_is_named():
    """Every check has a line, under the name that it gives its finding."""
    checks = [*sqlite.CHECKS, *postgres.CHECKS, *mysql.CHECKS, machine.clock, tables.migrations, *tables.CHECKS]
    names = {check.__name__.replace("_", "-") for check in checks} | {"connection"}
    assert first_cells(section(CLI, "## `tieout doctor`")) == names


def test_each_variable_is_named():
    """Each variable of the environment that the code reads stands in the settings, and on the page of commands."""
    read = {
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch("TIEOUT_[A-Z_]+", node.value)
    }
    assert read == first_cells(section(SETTINGS, "## Environment"))
    assert all(name in CLI for name in read)


def parameters(function: object) -> set[str]:
    keep = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {name for name, it in inspect.signature(function).parameters.items() if it.kind in keep and name != "self"}


ONCE = parameters(tieout.App.once) | set(tieout.HttpRules.__struct_fields__)


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("## `tieout.App(url", parameters(tieout.App.__init__)),
        ("## `tieout.Limits(", set(tieout.Limits.__struct_fields__)),
        ("## Database URLs", set(Settings.__dataclass_fields__) - {"dsns", "hosts"}),
        ("## Process types", parameters(tieout.Process.__init_subclass__)),
        ("## Call steps", parameters(tieout.call)),
        ("## The receiving side", ONCE),
        ("## Alarms", {*tieout.AlarmSettings.__struct_fields__, *tieout.Route.__struct_fields__}),
    ],
)
def test_each_setting_is_explained(heading, names):
    """Every argument and field that a user can set has its line, and no other has."""
    assert first_cells(section(SETTINGS, heading)) == names


def test_defaults_are_those_of_the_code():
    """Where the code has a plain default, the page says the same."""
    page = section(SETTINGS, "## `tieout.Limits(") + section(SETTINGS, "## Database URLs")
    said = dict(re.findall(r"^\| `([a-z_]+)` \| ([\d.]+) \|", page, re.MULTILINE))
    kept = {**Settings.__dataclass_fields__}
    limits = tieout.Limits()
    assert said
    for name, value in said.items():
        assert float(value) == (kept[name].default if name in kept else getattr(limits, name)), name
