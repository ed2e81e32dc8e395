"""The public face is written down, and exactly so."""

from __future__ import annotations

import ast
import importlib
from typing import TYPE_CHECKING

import pytest

from tests.tidy import tree

if TYPE_CHECKING:
    from pathlib import Path

NOT_IMPORTED = {"cli", "demo"}
"""Commands: users run them, and import nothing from them."""

PACKAGES = [
    path
    for path in tree.modules("src")
    if path.name == "__init__.py" and not NOT_IMPORTED & set(path.relative_to(tree.PACKAGE).parts)
]


def module_name(path: Path) -> str:
    parts = path.relative_to(tree.ROOT / "src").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def bound(path: Path) -> set[str]:
    """The public names that a module's top level imports, assigns or defines."""
    names: set[str] = set()
    for node in tree.parse(path).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, (tree.Function, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")} - {"annotations", "TYPE_CHECKING"}


def listed(path: Path) -> list[str]:
    """What `__all__` names; nothing when there is none."""
    for node in tree.parse(path).body:
        if isinstance(node, ast.Assign) and any(tree.dotted(target) == "__all__" for target in node.targets):
            return list(ast.literal_eval(node.value))
    return []


@pytest.mark.parametrize("path", PACKAGES, ids=module_name)
def test_all_is_exact(path: Path) -> None:
    """A package's `__all__` names everything that its `__init__` offers, in order, and nothing else."""
    names = listed(path)
    assert names == sorted(set(names))
    assert set(names) == bound(path)


@pytest.mark.parametrize("path", PACKAGES, ids=module_name)
def test_all_can_be_imported(path: Path) -> None:
    """Each name of `__all__` is there when the package is imported."""
    module = importlib.import_module(module_name(path))
    assert [name for name in listed(path) if not hasattr(module, name)] == []


def test_nothing_is_defined_at_the_root() -> None:
    """`tieout` collects public names; what they mean is defined where it belongs."""
    root = tree.PACKAGE / "__init__.py"
    kinds = (ast.Import, ast.ImportFrom, ast.Assign, ast.Expr)
    body = tree.parse(root).body if root.exists() else []
    assert [tree.shown(root, node) for node in body if not isinstance(node, kinds)] == []
