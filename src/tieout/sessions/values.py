"""Values and placeholders as the users' drivers take them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import lru_cache
from types import NoneType
from typing import Any

from tieout.database.query import NOW, Compiled
from tieout.database.sqlite import microseconds
from tieout.errors import StatementError

REWRITTEN = 2_000
"""Statements kept with other placeholders: all of tieout's and a service's own."""

_TOKEN = re.compile(
    r"""
      (?P<verbatim>
          /\*.*?\*/
        | [eE]'(?:[^'\\]|\\.|'')*'
        | '(?:[^']|'')*'
        | "(?:[^"]|"")*"
        | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)
        | [A-Za-z_][\w$]*
      )
    | \$(?P<number>\d+)
    | %
    """,
    re.VERBOSE | re.DOTALL,
)


@lru_cache(maxsize=REWRITTEN)
def with_percent(statement: Compiled) -> Compiled:
    """A statement of PostgreSQL's with `%s` in place of `$1`, as most drivers take it: each use is one more value."""
    params: list[str] = []

    def rewritten(token: re.Match[str]) -> str:
        if token["number"]:
            params.append(statement.params[int(token["number"]) - 1])
            return "%s"
        return token[0].replace("%", "%%")

    text = _TOKEN.sub(rewritten, statement.text)
    return Compiled(statement.name, text, tuple(params), statement.dialect)


def bound(statement: Compiled, values: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values in the driver's order; raise `StatementError` for one that the database cannot hold."""
    args = statement.bind({**values, NOW: microseconds()} if statement.takes_time else values)
    kinds = _BINDABLE.get(statement.dialect)
    return args if kinds is None else tuple([_checked(value, kinds) for value in args])


_PLAIN = (NoneType, bool, int, str, bytes, float)
_BINDABLE: Mapping[str, tuple[type, ...]] = {"sqlite": _PLAIN, "mysql": (*_PLAIN, date, Decimal)}
"""What tieout's own drivers take; the users' would make text of other things."""


def _checked(value: Any, kinds: tuple[type, ...]) -> Any:
    """The value, a list as JSON; what cannot be held as it is gets refused, not changed."""
    if isinstance(value, (list, tuple)):
        return json.dumps(value)
    if not isinstance(value, kinds):
        raise StatementError(f"a {type(value).__name__} cannot be bound to a statement")
    if isinstance(value, float) and math.isnan(value):
        raise StatementError("NaN cannot be stored")
    return value
