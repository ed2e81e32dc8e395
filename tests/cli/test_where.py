"""Which App or database a command works on, said in one way everywhere."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("name", ["app", "made", "awaited", "entered"])
def test_an_app_or_what_makes_one(shop, name):
    """`module:app` names an App, or a function without arguments that returns one, awaited or entered if need be."""
    process = shop.start()
    assert shop.run("process", "list", "--json", "--app", f"shop:{name}").document["id"] == process
    assert [(shop.folder / mark).exists() for mark in ("entered", "left")] == [name == "entered"] * 2


@pytest.mark.parametrize(
    ("name", "said"), [("no_app", "is of type str"), ("Redeem", "is of type type"), ("burst", "OSError")]
)
def test_what_makes_no_app(shop, name, said):
    """Something else than an App, a class, and a function that raises are told with what they are."""
    refused = shop.run("process", "list", "--app", f"shop:{name}")
    assert (refused.status, refused.out) == (2, "")
    assert "[config]" in refused.err
    assert said in refused.err


def test_what_is_said_comes_before_the_environment(shop, monkeypatch):
    """An option wins over the environment; in the environment, the App wins over the database."""
    process = shop.start()
    monkeypatch.setenv("TIEOUT_DB", "sqlite:///elsewhere.db")
    assert shop.run("process", "list", "--json").document["id"] == process
    assert "elsewhere.db" in shop.run("process", "list", "--db", "sqlite:///elsewhere.db").err
    monkeypatch.setenv("TIEOUT_APP", "shop:nothing")
    assert shop.run("process", "list", "--json", "--db", shop.url).document["id"] == process
    assert shop.run("process", "list", "--json", "--app", "shop:app").document["id"] == process


def test_commands_about_the_whole_take_it_as_an_argument(shop, monkeypatch):
    """Worker, migrate, doctor, check and graph take the App, or the URL where that will do, as first argument."""
    monkeypatch.delenv("TIEOUT_APP")
    for place in ("shop:app", shop.url):
        assert shop.run("migrate", place).status == 0
        assert shop.run("doctor", place, "--json").document["findings"][0]["level"] == "ok"
    assert shop.run("process", "check", "shop:app").status == 0
    assert shop.run("process", "graph", "shop:app", "redeem").status == 0


def test_commands_do_not_change_tables(bare):
    """A command finds the tables missing and says how to make them; it does not make them in passing."""
    bare.file.touch()
    for where in (["--app", "shop:app"], ["--db", bare.url]):
        refused = bare.run("process", "list", *where)
        assert refused.status == 4
        assert "[schema-mismatch]" in refused.err
        assert "tieout migrate" in refused.err


def test_a_misspelt_file_is_not_made(bare):
    """The URL of a file that is not there is refused, and no empty file is left behind."""
    refused = bare.run("process", "list", "--db", "sqlite:///shpo.db")
    assert (refused.status, refused.out) == (2, "")
    assert "no database file" in refused.err
    assert not (bare.folder / "shpo.db").exists()


def test_nothing_named_is_told(bare):
    """Without an App or database, the ways to name one are said."""
    refused = bare.run("process", "list")
    assert refused.status == 2
    assert all(way in refused.err for way in ("--app", "--db", "TIEOUT_APP", "TIEOUT_DB"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import nothing_like_it\n",
            "broken cannot be imported: ModuleNotFoundError: No module named 'nothing_like_it'",
        ),
        ("1 / 0\n", "broken cannot be imported: ZeroDivisionError"),
        ("import os\nos.nothing\n", "broken cannot be imported: AttributeError"),
        ("def f(:\n", "broken cannot be imported: SyntaxError"),
    ],
)
def test_a_module_that_fails_says_where(bare, text, said):
    """A module that cannot be imported is told apart from one that is not there, with the place of its error."""
    (bare.folder / "broken.py").write_text(text)
    refused = bare.run("worker", "broken:app")
    assert (refused.status, refused.out) == (2, "")
    assert said in refused.err


def test_errors_of_the_definition_keep_their_code(bare):
    """What tieout itself finds wrong with a module while it is imported is told under its own code."""
    (bare.folder / "broken.py").write_text("import tieout\napp = tieout.App('mongo://x')\n")
    assert "[config]" in bare.run("worker", "broken:app").err
    (bare.folder / "wrong.py").write_text("import tieout\ntieout.App('sqlite://').register(int)\n")
    refused = bare.run("worker", "wrong:app")
    assert refused.status == 2
    assert "[definition]" in refused.err
