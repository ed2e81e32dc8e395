"""The tree of errors is drawn as it is, and each code is explained."""

from __future__ import annotations

import inspect
import re

from tests.tidy import tree
from tieout import errors

REFERENCE = tree.ROOT / "docs" / "reference" / "errors.md"
DRAWN = re.compile(r"^    (?P<bars>[│├└─ ]*)(?P<name>[A-Z]\w+)", re.MULTILINE)
EVERY = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, errors.TieoutError)]


def drawn() -> dict[str, str]:
    """The parent of each error in the drawing at the top of the module, "" for the root."""
    above: list[tuple[int, str]] = []
    parents: dict[str, str] = {}
    for match in DRAWN.finditer(errors.__doc__ or ""):
        depth = len(match["bars"].rstrip())
        above = [(d, name) for d, name in above if d < depth]
        parents[match["name"]] = above[-1][1] if above else ""
        above.append((depth, match["name"]))
    return parents


def test_the_drawing_is_right() -> None:
    """The module's docstring draws every error under the one that it inherits from."""
    parents = {error.__name__: error.__base__.__name__ for error in EVERY}
    assert drawn() == parents | {"TieoutError": ""}


def test_codes_are_unique() -> None:
    """Each error has a code of its own, in lower case, so that callers can tell them apart."""
    codes = [vars(error).get("code", "") for error in EVERY]
    assert [code for code in codes if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)] == []
    assert len(set(codes)) == len(codes)


def test_the_tree_is_whole() -> None:
    """No error of the tree has children outside the package of errors: what is drawn there is all there is."""
    elsewhere = [
        f"{tree.shown(path, node)} {node.name}"
        for path in tree.modules("src")
        if not path.is_relative_to(tree.PACKAGE / "errors") and not path.is_relative_to(tree.PACKAGE / "demo")
        for node in tree.classes(path)
        if {tree.dotted(base).rpartition(".")[2] for base in node.bases} & {error.__name__ for error in EVERY}
    ]
    assert elsewhere == []


def test_each_code_is_explained() -> None:
    """The reference has one section for each code, in the order of the tree, and none for others."""
    sections = re.findall(r"^## `([a-z-]+)` ", REFERENCE.read_text(), re.MULTILINE)
    order = list(drawn())
    assert sections == [error.code for error in sorted(EVERY, key=lambda error: order.index(error.__name__))]


def test_each_section_names_its_error_and_says_what_to_do() -> None:
    """A section has the name of the error, and says what happened, what is certain and what to do."""
    text = REFERENCE.read_text()
    for error in EVERY:
        section = re.search(rf"^## `{error.code}` (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert section, error.code
        assert section[1] == error.__name__
        assert all(f"**{word}**" in section[2] for word in ("What happened.", "Certain.", "To do.")), error.code
