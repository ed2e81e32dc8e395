"""Every SQL statement is used, and called with exactly its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tidy import statements, tree

if TYPE_CHECKING:
    from pathlib import Path

COMMON = "-- name: add\nINSERT INTO t VALUES (:id, {now}, :size::int, ':no', 'a:no') -- :no\n\n-- name: all\nSELECT 1\n"
GOOD = """
class Store:
    async def add(self, tx):
        await tx.execute(self.sql.add, id=1, size=2)
        return await tx.fetch(self.sql.all)
"""


@pytest.mark.parametrize("noun", statements.nouns(), ids=lambda noun: noun.folder.name)
def test_statements_and_calls_agree(noun: statements.Noun) -> None:
    """Each statement is called somewhere beside its SQL, each call gives what it takes, in every dialect."""
    assert statements.complaints(noun) == []


def test_all_named_sql_stands_in_a_noun() -> None:
    """SQL stands in a noun's `sql` folder or among the migrations, where it is checked; nowhere else."""
    folders = {path.parent.name for path in tree.PACKAGE.rglob("*.sql")}
    assert folders <= {"sql", "migrations"}


def complaints(folder: Path, code: str, **files: str) -> list[str]:
    noun = folder / "noun"
    (noun / "sql").mkdir(parents=True)
    (noun / "store.py").write_text(code)
    for name, text in files.items():
        (noun / "sql" / f"{name}.sql").write_text(text)
    return statements.complaints(statements.Noun(noun))


def test_agreement_is_silent(tmp_path: Path) -> None:
    """Casts, macros, strings and comments hold no parameters; a statement without any is called without any."""
    assert complaints(tmp_path, GOOD, common=COMMON) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ((", size=2", ""), "not given size"),
        (("size=2", "size=2, colour=3"), "given colour, which it does not take"),
        (("self.sql.all", "'SELECT 1'"), "all is never used"),
        (("self.sql.all", "self.sql.every"), "every: there is no such statement"),
        (("id=1, size=2", "**row"), "spell the parameters out"),
        (("tx.fetch(self.sql.all)", "run(tx, self.sql.all)"), "all: not called here"),
    ],
)
def test_disagreement_of_a_call_is_found(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    """A call that gives too little, too much or something unreadable is found, and so is an unused statement."""
    found = complaints(tmp_path, GOOD.replace(*change), common=COMMON)
    assert any(complaint in text for text in found), found


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ("[{'id': i, 'size': 1} for i in x]", None),
        ("(dict(id=i, size=1) for i in x)", None),
        ("[self.row(i) for i in x]", None),
        ("[{'id': i} for i in x]", "not given size"),
        ("x", "spell the parameters out"),
    ],
)
def test_bulk_calls_are_read_too(tmp_path: Path, rows: str, complaint: str | None) -> None:
    """The rows of a bulk call are checked like the keywords of a single one."""
    code = GOOD.replace("execute(self.sql.add, id=1, size=2)", f"execute_many(self.sql.add, {rows})")
    code += "\n    def row(self, i):\n        return {'id': i, 'size': 1}\n"
    found = complaints(tmp_path, code, common=COMMON)
    assert found == [] if complaint is None else any(complaint in text for text in found), found


@pytest.mark.parametrize(
    ("dialect", "complaint"),
    [
        ("-- name: all\nSELECT 2\n", None),
        ("-- name: all\nSELECT 1\n", "the same as in common.sql"),
        ("-- name: all\nSELECT :n\n", "without ['n'], which another dialect takes"),
        ("-- name: more\nSELECT 3\n", "more is never used"),
        ("-- name: more\nSELECT 3\n", "sqlite has no more"),
    ],
)
def test_disagreement_of_dialects_is_found(tmp_path: Path, dialect: str, complaint: str | None) -> None:
    """A dialect has every statement, takes the same parameters as the others, and repeats nothing."""
    found = complaints(tmp_path, GOOD, common=COMMON, postgres=dialect, sqlite="-- nothing here\n")
    assert found == [] if complaint is None else any(complaint in text for text in found), found


@pytest.mark.parametrize("text", ["SELECT 1\n", "-- name: all\nSELECT 1\n-- name: all\nSELECT 2\n", "-- name: No\nx\n"])
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, text: str) -> None:
    """Text without a name, a name that stands there twice and a name in another spelling are errors."""
    path = tmp_path / "common.sql"
    path.write_text(text)
    with pytest.raises(AssertionError, match=r"text before|there twice"):
        statements.read(path)
