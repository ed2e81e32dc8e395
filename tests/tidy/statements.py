"""Named SQL and its callers, compared without running either.

A statement stands in a file of a noun's `sql` folder, behind `-- name: some_name`; `:word` is a parameter, and a
dialect's file replaces by name what `common.sql` holds. It is called as `tx.fetch(self.sql.some_name, word=...)`.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.tidy import tree

if TYPE_CHECKING:
    from pathlib import Path

HEADER = re.compile(r"^-- name: *(\S+) *$", re.MULTILINE)
NOT_SQL = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"", re.DOTALL)
PARAM = re.compile(r"(?<![:\w]):([A-Za-z_]\w*)")
NAME = re.compile(r"[a-z][a-z0-9_]*")
OPTIONS = {"stream": {"batch"}}
"""Keywords of a method that are no parameters of its statement."""


@dataclass(frozen=True)
class Statement:
    """One statement as one file has it."""

    name: str
    text: str
    where: str

    @property
    def params(self) -> frozenset[str]:
        """The names behind its colons; casts, strings and comments hold none."""
        return frozenset(PARAM.findall(NOT_SQL.sub(" ", self.text)))


@dataclass(frozen=True)
class Noun:
    """A folder of code with its named SQL."""

    folder: Path

    def dialects(self) -> dict[str, dict[str, Statement]]:
        """The statements of each file, under the file's name."""
        return {path.stem: read(path) for path in sorted((self.folder / "sql").glob("*.sql"))}

    def params(self) -> dict[str, frozenset[str]]:
        """The parameters of each statement, those of every dialect put together."""
        found: dict[str, frozenset[str]] = {}
        for statements in self.dialects().values():
            for name, statement in statements.items():
                found[name] = found.get(name, frozenset()) | statement.params
        return found

    def modules(self) -> list[Path]:
        """The code beside the SQL, without that of nouns within."""
        within = [path.parent for path in self.folder.glob("*/**/sql") if path.is_dir()]
        code = [path for path in tree.walk(self.folder) if tree.is_python(path)]
        return [path for path in code if not any(path.is_relative_to(folder) for folder in within)]


def nouns() -> list[Noun]:
    """Every folder below src that has named SQL."""
    return [Noun(path.parent) for path in sorted(tree.PACKAGE.rglob("sql")) if path.is_dir()]


def read(path: Path) -> dict[str, Statement]:
    """The statements of one file; a name that stands there twice, or text before the first name, is an error."""
    text = path.read_text()
    head, *parts = HEADER.split(text)
    if NOT_SQL.sub("", head).strip():
        raise AssertionError(f"{tree.shown(path)}: text before the first name")
    statements: dict[str, Statement] = {}
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        line = text[: text.index(f"{name}", text.index(body) - len(name) - 1)].count("\n") + 1
        if name in statements or not NAME.fullmatch(name):
            raise AssertionError(f"{tree.shown(path, line)}: {name} is there twice, or is no name")
        statements[name] = Statement(name, body.strip(), tree.shown(path, line))
    return statements


def complaints(noun: Noun) -> list[str]:
    """What is wrong between a noun's SQL and its code; nothing when all is well."""
    return [*dialect_complaints(noun), *call_complaints(noun)]


def dialect_complaints(noun: Noun) -> list[str]:
    """Statements that a dialect lacks, repeats, or gives other parameters than the others."""
    dialects = noun.dialects()
    common = dialects.pop("common", {})
    wrong = []
    for dialect, statements in dialects.items():
        wrong += [
            f"{statement.where} {name}: the same as in common.sql"
            for name, statement in statements.items()
            if name in common and common[name].text == statement.text
        ]
        for name, params in noun.params().items():
            own = statements.get(name) or common.get(name)
            if own is None:
                wrong.append(f"{noun.folder.name}: {dialect} has no {name}")
            elif own.params != params:
                wrong.append(f"{own.where} {name}: without {sorted(params - own.params)}, which another dialect takes")
    return wrong


def call_complaints(noun: Noun) -> list[str]:
    """Statements that are never called, and calls that do not give exactly the statement's parameters."""
    params = noun.params()
    wrong, used = [], set()
    for path in noun.modules():
        for reference, call in references(path):
            where, name = tree.shown(path, reference), reference.attr
            used.add(name)
            if name not in params:
                wrong.append(f"{where} {name}: there is no such statement")
            elif call is None:
                wrong.append(f"{where} {name}: not called here, so that nobody sees what it is given")
            else:
                wrong += [f"{where} {name}: {text}" for text in argument_complaints(noun, call, params[name])]
    return wrong + [f"{noun.folder.name}: {name} is never used" for name in sorted(params.keys() - used)]


def references(path: Path) -> list[tuple[ast.Attribute, ast.Call | None]]:
    """Every `sql.name` of a module, with the call that it is the first argument of."""
    calls: dict[ast.expr, ast.Call] = {}
    for node in ast.walk(tree.parse(path)):
        if isinstance(node, ast.Call) and node.args:
            first = node.args[0]
            choices = (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,)
            calls.update(dict.fromkeys(choices, node))
    return [(node, calls.get(node)) for node in tree.attributes(path) if is_sql(node.value)]


def is_sql(node: ast.expr) -> bool:
    """Whether this is the bundle of a noun's statements: `sql`, or `something.sql`."""
    return tree.dotted(node).rpartition(".")[2] == "sql"


def argument_complaints(noun: Noun, call: ast.Call, params: frozenset[str]) -> list[str]:
    """How the arguments of a call differ from the statement's parameters."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method == "execute_many":
        given = keys_of_rows(noun, call.args[1]) if len(call.args) > 1 else None
    else:
        given = keys_of_keywords(noun, call.keywords)
    if given is None:
        return ["what it is given cannot be read off the code: spell the parameters out"]
    given -= OPTIONS.get(method, set())
    wrong = [f"given {word}, which it does not take" for word in sorted(given - params)]
    return wrong + [f"not given {word}" for word in sorted(params - given)]


def keys_of_keywords(noun: Noun, keywords: list[ast.keyword]) -> set[str] | None:
    """The names of keyword arguments, those behind `**` included; None when they cannot be told."""
    found: set[str] = set()
    for keyword in keywords:
        keys = {keyword.arg} if keyword.arg is not None else keys_of_dict(noun, keyword.value)
        if keys is None:
            return None
        found |= keys
    return found


def keys_of_rows(noun: Noun, rows: ast.expr) -> set[str] | None:
    """The keys of the dicts that a list or comprehension holds; None when they cannot be told or differ."""
    if isinstance(rows, (ast.ListComp, ast.GeneratorExp)):
        return keys_of_dict(noun, rows.elt)
    if isinstance(rows, (ast.List, ast.Tuple)) and rows.elts:
        keys = [keys_of_dict(noun, row) for row in rows.elts]
        return keys[0] if all(some == keys[0] for some in keys) else None
    return None


def keys_of_dict(noun: Noun, node: ast.expr) -> set[str] | None:
    """The keys of a dict display, of `dict(...)`, or of what a function of this noun returns."""
    if isinstance(node, ast.Dict):
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        return set(keys) if len(keys) == len(node.keys) else None
    if not isinstance(node, ast.Call):
        return None
    name = tree.dotted(node.func).rpartition(".")[2]
    if name == "dict":
        return None if node.args else keys_of_keywords(noun, node.keywords)
    return keys_returned(noun, name)


def keys_returned(noun: Noun, name: str) -> set[str] | None:
    """The keys of the dict that the noun's function of this name returns, the same on every return."""
    returned = [
        statement.value
        for path in noun.modules()
        for function in tree.functions(path)
        if function.name == name
        for statement in ast.walk(function)
        if isinstance(statement, ast.Return) and statement.value is not None
    ]
    keys = [keys_of_dict(noun, value) for value in returned if not is_call_of(value, name)]
    return keys[0] if keys and all(some == keys[0] for some in keys) else None


def is_call_of(node: ast.expr, name: str) -> bool:
    """Whether this calls the function of this name: following it would not end."""
    return isinstance(node, ast.Call) and tree.dotted(node.func).rpartition(".")[2] == name
