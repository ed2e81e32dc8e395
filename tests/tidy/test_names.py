"""Names say what is inside."""

from __future__ import annotations

from tests.tidy import tree

SAYS_NOTHING = {"base", "common", "helper", "helpers", "misc", "util", "utils"}
SPECIAL = {"__init__", "__main__", "conftest"}


def test_no_module_has_a_name_that_says_nothing() -> None:
    """No module or folder of code is a drawer for odds and ends."""
    named = [
        tree.shown(path)
        for path in tree.modules(*tree.CODE)
        if SAYS_NOTHING & {path.stem, *path.relative_to(tree.ROOT).parts}
    ]
    assert named == []


def test_no_module_hides_behind_an_underscore() -> None:
    """What is public is said by `__all__`, not by underscores in the names of modules."""
    hidden = [
        tree.shown(path)
        for path in tree.modules(*tree.CODE)
        if any(part.startswith("_") for part in (path.stem, *path.relative_to(tree.ROOT).parent.parts))
        and path.stem not in SPECIAL
    ]
    assert hidden == []


def test_every_shipped_folder_is_a_package() -> None:
    """Each folder of src that holds Python has an `__init__.py`, so that tools and wheels find it."""
    folders = {path.parent for path in tree.modules("src")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_every_test_says_what_it_shows() -> None:
    """Each test has a docstring: the behaviour that it holds the code to."""
    silent = [
        f"{tree.shown(path, function)} {function.name}"
        for path in tree.modules("tests")
        if path.stem.startswith("test_")
        for function in tree.functions(path)
        if function.name.startswith("test_") and not tree.docstring(function)
    ]
    assert silent == []


def test_no_test_is_skipped() -> None:
    """A test that does not run shows nothing: none is skipped or expected to fail."""
    banned = {"skip", "skipif", "xfail", "importorskip"}
    found = [
        f"{tree.shown(path, node)} {node.attr}"
        for path in tree.modules("tests")
        for node in tree.attributes(path)
        if node.attr in banned and tree.dotted(node).startswith("pytest.")
    ]
    assert found == []
