"""Named SQL statements, compiled once to what a driver takes.

A package keeps its statements in `sql/common.sql`; `sql/{dialect}.sql` overrides, by name, those that differ:

    -- name: deduct
    UPDATE account SET points = points - :cost, moved_at = {now} WHERE name = :user AND points >= :cost

`:name` is a parameter and `{now}` a macro. Casts, literals, quoted identifiers and comments are left alone.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib import resources
from operator import itemgetter
from typing import Any

from tieout.contracts import Statement
from tieout.errors import StatementError

AD_HOC_STATEMENTS = 1_000
"""How many strings are kept compiled, for each dialect: far more than a service has, in about a megabyte."""

NOW = "now()"
"""The name of the time among a statement's values, where it is one of them: no parameter can be called so."""

_TOKENS = r"""
      (?P<comment> --[^\n]* )
    | (?P<verbatim>
          /\*.*?\*/
        | [eE]'(?:[^'\\]|\\.|'')*'
        | '(?:[^']|'')*'
        | "(?:[^"]|"")*"
        | `(?:[^`]|``)*`
        | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)
        | :: | :=
        | \w+
      )
    | :(?P<param>[A-Za-z_]\w*)
    | \{(?P<macro>\w+)\}
    | (?P<mark>[?%])
    | (?P<end>;)
    """

_TOKEN = re.compile(_TOKENS, re.VERBOSE | re.DOTALL)

_MYSQL_TOKEN = re.compile(
    _TOKENS.replace("--[^\\n]*", r"(?:--(?=\s|$)|\#)[^\n]*")
    .replace("'(?:[^']|'')*'", r"'(?:[^'\\]|\\.|'')*'")
    .replace('"(?:[^"]|"")*"', r'"(?:[^"\\]|\\.|"")*"'),
    re.VERBOSE | re.DOTALL,
)
"""In MySQL a backslash escapes, # begins a comment, and -- does so before white space only."""

_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_CONTROL = re.compile(r"\s*(?:$|(?:begin|start|commit|end|rollback|abort|savepoint|release)\b)", re.IGNORECASE)
_NAME_LINE = re.compile(r"^--[ \t]*name:[ \t]*(.*?)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")


_EACH = "each"
"""The macro of statements that `execute_many` runs once for all rows, parameters being lists of their values:

    UPDATE account AS a SET points = one.points
    FROM {each}(:name::text[], :points::bigint[]) AS one (name, points) WHERE a.name = one.name

PostgreSQL only: there a row costs a tenth of what it does as a statement. Lists of `bigint[]` go as text, which the
driver makes many times as fast as an array. A parameter that is no list has one value for all rows.
"""

_NUMBERS = re.compile(r":(\w+)::bigint\[\]")
_LISTS = re.compile(r":(\w+)::\w+\[\]")


@dataclass(frozen=True)
class Dialect:
    """How one driver wants its statements.

    `placeholder` is "numbered" (`$1`, a repeated name keeps its number), "?" or "%s" (each use is one more value).
    """

    name: str
    placeholder: str
    macros: Mapping[str, str] = field(default_factory=dict)


DIALECTS: Mapping[str, Dialect] = {
    "postgres": Dialect(
        name="postgres",
        placeholder="numbered",
        macros={
            "now": "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint",
            "for_update": "FOR UPDATE",
            "skip_locked": "FOR UPDATE SKIP LOCKED",
            _EACH: "unnest",
        },
    ),
    "mysql": Dialect(
        name="mysql",
        placeholder="%s",
        macros={
            # Not from UNIX_TIMESTAMP or NOW: those go through the session's time zone, whose clock may turn back.
            "now": "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
            "for_update": "FOR UPDATE",
            "skip_locked": "FOR UPDATE SKIP LOCKED",
            "was_there": "LAST_INSERT_ID(9223372036854775807)",
        },
    ),
    "sqlite": Dialect(
        name="sqlite",
        placeholder="?",
        macros={"for_update": "", "skip_locked": ""},
    ),
}
"""`{now}` is the server's time, in microseconds since 1970 UTC, the same throughout one statement. SQLite has no
server; there it is one more value, bound as `NOW`.

MySQL has no ON CONFLICT DO NOTHING, and counts a row that it leaves as it is. `{was_there}` tells the driver that there
was one: `ON DUPLICATE KEY UPDATE id = IF({was_there}, id, id)` matches no row.
"""


class Compiled:
    """A statement as its driver takes it; `params` are the names of its values, in the order they go.

    One that takes `lists` is for `execute_many` alone; those of `numbers` it takes as the text of an array. One that
    `takes_time` is given the time as `NOW`.
    """

    __slots__ = ("_count", "_pick", "dialect", "lists", "name", "numbers", "params", "takes_time", "text")

    def __init__(
        self,
        name: str,
        text: str,
        params: tuple[str, ...],
        dialect: str,
        *,
        lists: Collection[str] = (),
        numbers: Collection[str] = (),
    ) -> None:
        self.name = name
        self.text = text
        self.params = params
        self.dialect = dialect
        self.lists = frozenset(lists)
        self.numbers = frozenset(numbers)
        self.takes_time = NOW in params
        self._pick = _picker(params)
        self._count = len(set(params))

    def __repr__(self) -> str:
        return f"<{self.dialect} statement {self.name}>"

    def bind(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """The values in the driver's order; raise `StatementError` when a name is missing or one too many."""
        try:
            picked = self._pick(values)
        except KeyError:
            raise self._misnamed(values) from None
        if len(values) != self._count:
            raise self._misnamed(values)
        return picked

    def bind_all(self, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        """The same of many rows."""
        rows = list(rows)
        try:
            picked = list(map(self._pick, rows))
        except KeyError:
            return [self.bind(row) for row in rows]
        return picked if set(map(len, rows)) <= {self._count} else [self.bind(row) for row in rows]

    def columns(self, rows: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Bound rows as the lists that it takes; raise `StatementError` when what is no list has two values."""
        columns = zip(self.params, zip(*rows, strict=True), strict=True)
        return [self._column(name, column) for name, column in columns]

    def _column(self, name: str, column: tuple[Any, ...]) -> Any:
        if name in self.numbers:
            return _array(column)
        if name in self.lists:
            return list(column)
        if len(set(column)) > 1:
            raise StatementError(f"{self.name!r} has one {name!r} for all rows")
        return column[0]

    def _misnamed(self, values: Mapping[str, Any]) -> StatementError:
        missing = sorted(set(self.params) - set(values))
        unknown = sorted(set(values) - set(self.params))
        wrong = [f"missing: {', '.join(missing)}"] if missing else []
        wrong += [f"unknown: {', '.join(unknown)}"] if unknown else []
        return StatementError(f"wrong parameters for {self.name!r} ({'; '.join(wrong)})")


def _array(numbers: Iterable[int | None]) -> str:
    return f"{{{','.join(map(str, numbers))}}}".replace("None", "NULL")


def _picker(params: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    if not params:
        return lambda _: ()
    if len(params) == 1:
        only = params[0]
        return lambda values: (values[only],)
    return itemgetter(*params)


class Statements:
    """The statements of one package for one dialect, each an attribute under its name."""

    def __init__(self, statements: Mapping[str, Compiled]) -> None:
        self.__dict__.update(statements)

    def __getattr__(self, name: str) -> Compiled:
        raise AttributeError(f"no statement is named {name!r}")

    def __iter__(self) -> Iterator[Compiled]:
        return iter(self.__dict__.values())

    def __len__(self) -> int:
        return len(self.__dict__)


@cache
def load(package: str, dialect: str) -> Statements:
    """The statements in `sql/common.sql` and `sql/{dialect}.sql` of a package, compiled once.

    Raises `StatementError` for a malformed file, a name used twice in one file, and an unknown dialect.
    """
    texts: dict[str, str] = {}
    for file in ("common.sql", f"{dialect}.sql"):
        source = resources.files(package) / "sql" / file
        if source.is_file():
            texts |= _sections(source.read_text(encoding="utf-8"), f"{package}/sql/{file}")
    if not texts:
        raise StatementError(f"{package} has no statements for {dialect}")
    return Statements({name: compile_statement(text, dialect, name) for name, text in texts.items()})


def _sections(source: str, where: str) -> dict[str, str]:
    head, *parts = _NAME_LINE.split(source)
    if any(line.strip() and not line.startswith("--") for line in head.splitlines()):
        raise StatementError(f"{where} must start with `-- name: x`")
    sections: dict[str, str] = {}
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        if not _NAME.fullmatch(name) or name in sections:
            raise StatementError(f"{where}: {name!r} is not a name or is there twice")
        sections[name] = text
    return sections


@lru_cache(maxsize=AD_HOC_STATEMENTS)
def _ad_hoc(text: str, dialect: str) -> Compiled:
    return compile_statement(text, dialect, " ".join(text.split())[:80])


def compiled(sql: str | Statement, dialect: str) -> Compiled:
    """The compiled form of what a transaction was given; strings are compiled once, the latest being kept."""
    if isinstance(sql, Compiled):
        return sql
    if isinstance(sql, str):
        return _ad_hoc(sql, dialect)
    raise StatementError(f"a statement is a str or comes from `load`, and is not a {type(sql).__name__}")


def compile_statement(text: str, dialect: str, name: str) -> Compiled:
    """Compile one statement; raise `StatementError` for several in one, an unknown macro or a driver's own marks."""
    if dialect not in DIALECTS:
        raise StatementError(f"no dialect is named {dialect!r}")
    compiler, lists, numbers = _Compiler(DIALECTS[dialect], name), set[str](), set[str]()
    if f"{{{_EACH}}}" in text:
        lists, numbers = set(_LISTS.findall(text)), set(_NUMBERS.findall(text))
        text = _NUMBERS.sub(r":\1::text::bigint[]", text)
    body = compiler.translate(text)
    if _CONTROL.match(_COMMENTS.sub("", body)):
        raise StatementError(f"{name!r} must be one statement that neither begins nor ends a transaction")
    return Compiled(name, body, tuple(compiler.params), dialect, lists=lists, numbers=numbers)


def split(text: str, dialect: str) -> Iterator[str]:
    """The statements in a text, without their semicolons; those in literals, bodies and comments do not count."""
    ends = [token.start() for token in _tokens(text, dialect) if token["end"]]
    start = 0
    for end in [*ends, len(text)]:
        if dialect == "sqlite" and end < len(text) and not sqlite3.complete_statement(text[start : end + 1]):
            continue  # inside the body of a trigger
        statement = text[start:end].strip()
        start = end + 1
        if _COMMENTS.sub("", statement).strip():
            yield statement


def _tokens(text: str, dialect: str) -> Iterator[re.Match[str]]:
    return (_MYSQL_TOKEN if dialect == "mysql" else _TOKEN).finditer(text)


class _Compiler:
    def __init__(self, dialect: Dialect, name: str) -> None:
        self.dialect = dialect
        self.name = name
        self.params: list[str] = []
        self._ended = False

    def translate(self, text: str) -> str:
        parts: list[str] = []
        position = 0
        for token in _tokens(text, self.dialect.name):
            parts.append(self._plain(text[position : token.start()]))
            parts.append(self._token(token))
            position = token.end()
        parts.append(self._plain(text[position:]))
        return "".join(parts).strip()

    def _plain(self, text: str) -> str:
        if self._ended and text.strip():
            raise StatementError(f"{self.name!r} holds more than one statement")
        return text

    def _token(self, token: re.Match[str]) -> str:
        if token["comment"] is not None:
            return ""
        if token["end"]:
            self._ended = True
            return ""
        self._plain(token[0])
        if token["param"]:
            return self._param(token["param"])
        if token["macro"]:
            return self._macro(token["macro"])
        if token["mark"]:
            return self._mark(token["mark"])
        return self._escaped(token[0])

    def _param(self, name: str) -> str:
        if self.dialect.placeholder == "numbered":
            if name not in self.params:
                self.params.append(name)
            return f"${self.params.index(name) + 1}"
        self.params.append(name)
        return self.dialect.placeholder

    def _macro(self, name: str) -> str:
        if name == "now" and self.dialect.name == "sqlite":
            return self._param(NOW)
        if name not in self.dialect.macros:
            raise StatementError(f"{self.name!r} uses an unknown macro {{{name}}}")
        return self.dialect.macros[name]

    def _mark(self, mark: str) -> str:
        if mark == "?" and self.dialect.placeholder == "?":
            raise StatementError(f"{self.name!r}: write parameters as :name, not as ?")
        return self._escaped(mark)

    def _escaped(self, text: str) -> str:
        return text.replace("%", "%%") if self.dialect.placeholder == "%s" else text
