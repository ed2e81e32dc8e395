"""Every exception from a lint rule or a type has its reason beside it."""

from __future__ import annotations

import re

import pytest

from tests.tidy import tree

RUFF = re.compile(r"^\[tool\.ruff\.lint\]$.*?^ignore = \[$(.*?)^\]$", re.MULTILINE | re.DOTALL)
PER_FILE = re.compile(r"^\[tool\.ruff\.lint\.per-file-ignores\]$(.*?)^\[", re.MULTILINE | re.DOTALL)
IGNORED = re.compile(r'^ +"(?P<rule>[A-Z]+\d*)",(?: *# (?P<reason>\S.+))?$', re.MULTILINE)
MARK = "no" + "qa"
NOQA = re.compile(rf"# {MARK}\b(?P<rest>.*)")
NOQA_FORM = re.compile(r": [A-Z]+\d+(, [A-Z]+\d+)* - \S+ \S+.*")
TYPE_IGNORE = re.compile(r"# type: ignore(?P<rest>.*)")
TYPE_FORM = re.compile(r"\[[a-z-]+(, ?[a-z-]+)*\] +# \S+ \S+.*")
TWO_WORDS = 2


def ignores() -> list[re.Match[str]]:
    text = (tree.ROOT / "pyproject.toml").read_text()
    lists = [*RUFF.findall(text), *PER_FILE.findall(text)]
    return [match for entries in lists for match in IGNORED.finditer(entries)]


def test_each_ignored_rule_has_a_reason() -> None:
    """A rule that is off for the tree or a folder says in a few words why."""
    assert len(ignores()) > TWO_WORDS
    unexplained = [match["rule"] for match in ignores() if len((match["reason"] or "").split()) < TWO_WORDS]
    assert unexplained == []


def test_no_ignore_escapes_this_test() -> None:
    """Every rule that the configuration quotes stands on a line of its own, where its reason can stand too."""
    text = (tree.ROOT / "pyproject.toml").read_text()
    lists = "".join([*RUFF.findall(text), *PER_FILE.findall(text)])
    assert len(re.findall(r'"[A-Z]+\d*"', lists)) == len(ignores())


def unexplained(mark: re.Pattern[str], form: re.Pattern[str]) -> list[str]:
    return [
        f"{tree.shown(path, number)} {line.strip()}"
        for path in tree.modules(*tree.CODE)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := mark.search(line)) and not form.fullmatch(match["rest"])
    ]


def test_each_exception_in_the_code_has_a_reason() -> None:
    """An exception on a line names its rule and says why: `: RULE - reason`."""
    assert unexplained(NOQA, NOQA_FORM) == []


def test_each_untyped_line_has_a_reason() -> None:
    """A line that the type checker passes over names the error and says why, in a second comment."""
    assert [text for text in unexplained(TYPE_IGNORE, TYPE_FORM) if "test_exceptions" not in text] == []


@pytest.mark.parametrize(("rest", "fine"), [(": S608 - names are ours", True), (": S608", False), ("", False)])
def test_forms_of_exceptions_are_told_apart(rest: str, fine: bool) -> None:
    """A bare exception and one without a reason are refused."""
    assert bool(NOQA_FORM.fullmatch(rest)) is fine
