"""Statements: how they are named, read from packages, and compiled to what each driver takes."""

from __future__ import annotations

import itertools
import sqlite3
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieout.database import load
from tieout.database.query import AD_HOC_STATEMENTS, NOW, _ad_hoc, compile_statement, compiled, split
from tieout.errors import StatementError


def both(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The statement as SQLite and as PostgreSQL take it."""
    done = [compile_statement(text, dialect, "x") for dialect in ("sqlite", "postgres")]
    return [(statement.text, statement.params) for statement in done]


def test_parameters_become_the_drivers_own():
    """A name used twice is one numbered value for PostgreSQL, and two values for SQLite."""
    assert both("SELECT :a + :b, :a") == [("SELECT ? + ?, ?", ("a", "b", "a")), ("SELECT $1 + $2, $1", ("a", "b"))]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT ':a', 'it''s :a', '{now}'",
        'SELECT ":a", "x"":a" FROM t',
        "SELECT `:a`",
        "SELECT x::text, y::bigint",
        "SELECT 1 /* :a ; ? */",
        "SELECT $$ :a; $$, $tag$ :a $$ ; $tag$",
        r"SELECT E'\' :a', e'\\'",
        "SELECT 12:30",
        "SELECT a[1:2]",
    ],
)
def test_what_is_no_parameter_stays(text):
    """Literals, quoted identifiers, casts, comments and slices are passed on as they are written."""
    assert both(text) == [(text, ()), (text, ())]


def test_macros_are_each_dialects_own():
    """The server's time and the locking clauses are written once and mean the same."""
    lite, (postgres, _) = both("SELECT {now} FROM t {for_update}")
    assert lite == ("SELECT ? FROM t", (NOW,))
    assert "statement_timestamp()" in postgres and postgres.endswith("FOR UPDATE")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT {nothing}",
        "SELECT 1; SELECT 2",
        "SELECT ?",
        "-- only this",
        "",
        "COMMIT",
        "/* a */ begin",
        "savepoint x",
    ],
)
def test_wrong_statements_are_refused(text):
    """Unknown macros, several statements in one, a driver's own marks and transaction control are errors."""
    with pytest.raises(StatementError):
        compile_statement(text, "sqlite", "x")


def test_comments_and_a_last_semicolon_fall_away():
    """What a file has around a statement is not sent."""
    assert both("-- who: :a\nSELECT 1; -- done\n")[0] == ("SELECT 1", ())


def test_values_are_bound_by_name():
    """Values go in the driver's order; a missing or an unknown name is an error that tells both."""
    statement = compile_statement("SELECT :b, :a, :b", "sqlite", "pair")
    assert statement.bind({"a": 1, "b": 2}) == (2, 1, 2)
    assert compile_statement("SELECT :only", "sqlite", "x").bind({"only": 1}) == (1,)
    with pytest.raises(StatementError, match=r"'pair' \(missing: b; unknown: c\)"):
        statement.bind({"a": 1, "c": 2})
    with pytest.raises(StatementError, match="unknown: c"):
        statement.bind({"a": 1, "b": 2, "c": 3})


@given(st.text(), st.text())
def test_any_text_survives_as_a_literal(one, two):
    """Whatever stands in a quoted literal reaches the server unchanged, and is no parameter."""
    quoted = [f"'{text.replace(chr(39), chr(39) * 2)}'" for text in (one, two)]
    text = f"SELECT {quoted[0]}, :a, {quoted[1]}"
    assert both(text)[0] == (f"SELECT {quoted[0]}, ?, {quoted[1]}", ("a",))


def test_ad_hoc_strings_are_compiled_once_and_not_for_ever():
    """A string is compiled once, and the least used are forgotten."""
    assert compiled("SELECT :a", "sqlite") is compiled("SELECT :a", "sqlite")
    assert compiled("SELECT :a", "sqlite") is not compiled("SELECT :a", "postgres")
    for n in range(AD_HOC_STATEMENTS + 10):
        compiled(f"SELECT {n}", "sqlite")
    assert _ad_hoc.cache_info().currsize == AD_HOC_STATEMENTS


numbers = itertools.count()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose SQL files the test writes."""

    def write(**files: str) -> str:
        folder = tmp_path / f"noun_{next(numbers)}"
        (folder / "sql").mkdir(parents=True)
        (folder / "__init__.py").touch()
        for name, text in files.items():
            (folder / "sql" / f"{name}.sql").write_text(text)
        return folder.name

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in [name for name in sys.modules if name.startswith("noun_")]:
        del sys.modules[name]


def test_statements_are_loaded_by_name(package):
    """Common statements are there in every dialect, and a dialect overrides by name."""
    name = package(
        common="-- Both.\n-- name: one\nSELECT :a\n\n-- name: two\nSELECT 2\n", sqlite="-- name: two\nSELECT :b\n"
    )
    lite, postgres = load(name, "sqlite"), load(name, "postgres")
    assert (lite.one.text, lite.two.params, postgres.two.text) == ("SELECT ?", ("b",), "SELECT 2")
    assert (len(lite), {statement.name for statement in lite}) == (2, {"one", "two"})
    assert load(name, "sqlite") is lite
    with pytest.raises(AttributeError, match="three"):
        lite.three  # noqa: B018 - looking it up is what is tested


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "-- name: a\nSELECT 1\n-- name: a\nSELECT 2",
        "-- name: a\nSELECT 1\n-- name: Not one\nSELECT 2",
        "-- name:\nSELECT 1",
    ],
)
def test_malformed_files_are_refused(package, text):
    """A statement without a name, a name used twice and what is no name are errors."""
    with pytest.raises(StatementError):
        load(package(common=text), "sqlite")


def test_a_package_without_statements_is_refused(package):
    """Loading from a package that has none is a mistake, as is an unknown dialect."""
    with pytest.raises(StatementError):
        load(package(), "sqlite")
    with pytest.raises(StatementError):
        load(package(common="-- name: a\nSELECT 1"), "oracle")


TRIGGER = "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET n = 1; DELETE FROM b; END"
FUNCTION = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN NEW; END $$"


@pytest.mark.parametrize(
    ("dialect", "body"), [("sqlite", TRIGGER), ("postgres", FUNCTION), ("sqlite", "SELECT ';', \"a;b\" -- c; d")]
)
def test_texts_are_split_at_the_right_semicolons(dialect, body):
    """Semicolons in literals, comments and the bodies of triggers and functions do not end a statement."""
    text = f"-- first; of all\nCREATE TABLE a (n);\n\n{body}\n;\n/* last; */ SELECT 1\n;\n-- and no more;\n"
    statements = list(split(text, dialect))
    assert len(statements) == 3
    assert statements[0].endswith("CREATE TABLE a (n)") and statements[2].endswith("SELECT 1")
    assert body.split(" -- ")[0] in statements[1]


def test_split_statements_run():
    """Every statement that comes out of a text is complete for SQLite."""
    connection = sqlite3.connect(":memory:")
    for statement in split(
        f"CREATE TABLE a (n); CREATE TABLE b (n);\n{TRIGGER};\nINSERT INTO a VALUES (';');", "sqlite"
    ):
        connection.execute(statement)
    assert connection.execute("SELECT n FROM a").fetchall() == [(1,)]
    connection.close()
