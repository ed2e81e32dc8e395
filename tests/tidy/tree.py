"""The tree as the tidy tests see it: its files, and its Python parsed once."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "src" / "tieout"
CODE = ("src", "tests", "bench", "scripts", "examples")
MADE = {".cache", ".git", ".venv", "__pycache__", "build", "dist", "node_modules", "site"}
"""Folders that tools make; other dotted ones, where linters keep their caches, end in `_cache`."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def text_files() -> Iterator[Path]:
    """Every file that belongs to the tree and holds text."""
    for path in walk(ROOT):
        if b"\0" not in path.read_bytes()[:1024]:
            yield path


def walk(folder: Path) -> Iterator[Path]:
    """The files below `folder`, without those that tools make."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name in MADE or path.name.endswith("_cache") or path.name == ".hypothesis":
            continue
        if path.is_dir():
            yield from walk(path)
        elif path.suffix not in {".db", ".db-wal", ".db-shm", ".pyc"}:
            yield path


def modules(*folders: str) -> list[Path]:
    """The Python files below these folders of the tree."""
    return [path for folder in folders if (ROOT / folder).is_dir() for path in walk(ROOT / folder) if is_python(path)]


def is_python(path: Path) -> bool:
    """Whether this is a Python module."""
    return path.suffix == ".py"


@cache
def parse(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(path.read_text(), filename=str(path))


def functions(path: Path) -> list[Function]:
    """Every function of a module, methods and nested ones included."""
    return [node for node in ast.walk(parse(path)) if isinstance(node, Function)]


def length(function: Function) -> int:
    """The lines of a function from `def` to its end, docstring included, decorators not."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def shown(path: Path, node: ast.AST | int | None = None) -> str:
    """Where something stands, as an editor takes it."""
    line = node if isinstance(node, int) else getattr(node, "lineno", 1)
    return f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}:{line}"


def imported(module: ast.Module) -> list[tuple[str, ast.stmt]]:
    """Every module or name that is imported anywhere in it, as a dotted name, with its statement."""
    found: list[tuple[str, ast.stmt]] = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found += [(alias.name, node) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(f"{node.module}.{alias.name}", node) for alias in node.names]
    return found


def docstring(function: Function) -> str | None:
    """The docstring of a function, if it has one."""
    return ast.get_docstring(function)


def attributes(path: Path) -> list[ast.Attribute]:
    """Every `something.name` of a module."""
    return [node for node in ast.walk(parse(path)) if isinstance(node, ast.Attribute)]


def dotted(node: ast.expr) -> str:
    """`a.b.c` as text; "" in place of what is neither a name nor an attribute."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def classes(path: Path) -> list[ast.ClassDef]:
    """Every class of a module."""
    return [node for node in ast.walk(parse(path)) if isinstance(node, ast.ClassDef)]
