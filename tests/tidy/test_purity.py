"""Rules decide, and the demo uses only what users use."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

import pytest

from tests.tidy import tree
from tieout import browser, mirror, recon, server

if TYPE_CHECKING:
    from pathlib import Path

IMPURE = {
    *("asyncio", "concurrent", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets"),
    *("select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading"),
    *("time", "urllib", "uuid"),
}
"""Modules of the standard library that know the time, draw chance, or reach outside the process."""

CLOCKS = {"now", "today", "utcnow", "fromtimestamp"}
RULES = [path for path in tree.modules("src") if path.name == "rules.py"]
DEMO = tree.modules("src/tieout/demo")
APART = ("prize_service", "supplier_service", "auditor", "planter", "tables")
"""Parts of the demo that stand for somebody else's code; auditors and the planter share how tables are reached."""

SHOWN = {f"{part.__name__}.{name}" for part in (browser, mirror, recon, server) for name in part.__all__}
SHOWN |= {"tieout.channels.rabbitmq.RabbitMQChannel", "tieout.server.node.serve"}
"""What the documentation has users import from below the root."""


INNER = {path.stem for path in tree.PACKAGE.iterdir()}
"""Modules and packages below tieout: a name that users import is none of them."""


def short(path: Path) -> str:
    return str(path.relative_to(tree.PACKAGE))


def awaits(path: Path) -> bool:
    return any(isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)) for node in ast.walk(tree.parse(path)))


def own_module(path: Path, name: str) -> Path | None:
    """The file of a sibling that is imported as `name`, a module or something in it."""
    parts = name.split(".")
    for end in (len(parts), len(parts) - 1):
        file = tree.ROOT.joinpath("src", *parts[:end]).with_suffix(".py")
        if file.exists() and file.parent == path.parent:
            return file
    return None


def may_import(path: Path, name: str) -> bool:
    """Whether a rules module may import this: what is pure, and pure modules of its own noun."""
    top = name.partition(".")[0]
    if top != "tieout":
        if f"{name}.".startswith("numpy.random."):
            return False
        return top in {"msgspec", "numpy"} or (top in sys.stdlib_module_names and top not in IMPURE)
    if name.startswith(("tieout.errors.", "tieout.identity.")):
        return True
    sibling = own_module(path, name)
    return sibling is not None and sibling.stem not in {"store", "engine"} and not awaits(sibling)


@pytest.mark.parametrize("path", RULES, ids=short)
def test_rules_are_pure(path: Path) -> None:
    """A rules module imports only what is pure, awaits nothing and asks no clock: it decides."""
    module = tree.parse(path)
    assert [
        f"{tree.shown(path, node)} {name}" for name, node in tree.imported(module) if not may_import(path, name)
    ] == []
    assert not awaits(path)
    assert not [node.name for node in tree.functions(path) if isinstance(node, ast.AsyncFunctionDef)]
    assert [tree.shown(path, node) for node in tree.attributes(path) if node.attr in CLOCKS] == []


def test_purity_is_told_apart() -> None:
    """The clock, chance, the store and other nouns are refused; values, errors and keys are allowed."""
    path = tree.PACKAGE / "process" / "rules.py"
    refused = [
        "asyncio",
        "random.Random",
        "numpy.random.default_rng",
        "time.monotonic",
        "tieout.alarm.store.AlarmStore",
        "tieout.database",
        "aiohttp",
    ]
    allowed = ["math", "numpy", "dataclasses.dataclass", "msgspec", "tieout.errors.Refused", "tieout.identity.digest"]
    assert [name for name in refused if may_import(path, name)] == []
    assert [name for name in allowed if not may_import(path, name)] == []


def demo_may_take(path: Path, name: str, node: ast.AST) -> bool:
    """Whether a module of the demo may import or use this name of tieout's."""
    parts = path.relative_to(tree.PACKAGE / "demo").with_suffix("").parts
    apart = next((part for part in parts if part in APART), None)
    if apart:
        theirs = [f"tieout.demo.{parts[0]}.{apart}.", *["tieout.demo.tables."] * (apart in {"auditor", "planter"})]
        return f"{name}.".startswith(tuple(theirs))
    if name in SHOWN:
        return True
    if f"{name}.".startswith("tieout.demo."):
        return True
    inner = name.split(".")[1:]
    return len(inner) <= (not isinstance(node, ast.Import)) and not set(inner) & INNER


@pytest.mark.parametrize("path", DEMO, ids=short)
def test_demo_takes_what_users_take(path: Path) -> None:
    """The demo takes from tieout what stands at its root, and no more; the other side takes nothing at all."""
    taken: list[tuple[str, ast.AST]] = [*tree.imported(tree.parse(path))]
    taken += [(tree.dotted(node), node) for node in tree.attributes(path) if tree.dotted(node.value) == "tieout"]
    wrong = [
        f"{tree.shown(path, node)} {name}"
        for name, node in taken
        if name.partition(".")[0] == "tieout" and not demo_may_take(path, name, node)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("file", "statement", "allowed"),
    [
        ("points/mall.py", "import tieout", True),
        ("points/mall.py", "from tieout import App", True),
        ("points/mall.py", "from tieout.demo.points.view import show", True),
        ("points/mall.py", "from tieout import process", False),
        ("points/mall.py", "import tieout.process", False),
        ("points/mall.py", "from tieout.process.engine import Engine", False),
        ("points/mall.py", "from tieout.server.app import asgi", False),
        ("points/reached.py", "from tieout.server import Settings", True),
        ("hotels/agency.py", "from tieout.mirror import days", True),
        ("hotels/agency.py", "from tieout.mirror.rules import merge", False),
        ("points/auditor.py", "from tieout import App", False),
        ("hotels/auditor.py", "from tieout.mirror import days", False),
        ("hotels/auditor.py", "from tieout.demo.tables import rows", True),
        ("hotels/supplier_service/routes.py", "from tieout.demo.tables import rows", False),
        ("points/auditor.py", "from tieout.demo.points.mall import schema", False),
        ("points/prize_service/store.py", "from tieout.demo.points.prize_service.prizes import Prize", True),
        ("points/prize_service/store.py", "import tieout", False),
    ],
)
def test_what_the_demo_takes_is_told_apart(file: str, statement: str, allowed: bool) -> None:
    """The root is the users'; inner modules are not, and what stands apart may not even take the root."""
    ((name, node),) = tree.imported(ast.parse(statement))
    assert demo_may_take(tree.PACKAGE / "demo" / file, name, node) is allowed
