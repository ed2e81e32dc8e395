"""Statements that MariaDB takes apart once for each connection, as text: PREPARE, and EXECUTE with values.

MySQL's EXECUTE takes no values but variables, which would have to be set by a statement of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tieout.database.mysql_errors import number_of
from tieout.database.mysql_hosts import Link
from tieout.database.mysql_text import encoded, literal, literals
from tieout.database.query import Compiled

REFUSED = 0
"""Stands for the number of a statement that a server did not prepare, or has forgotten."""

_REFUSALS = {1047, 1064, 1142, 1227, 1295, 1461}
"""What a server or a proxy says that does not prepare this one, or no more; the session is as good as before."""

_UNKNOWN = 1243
"""What it says, and runs nothing, when the session does not have the statement: a proxy may have changed it."""


async def run_prepared(link: Link, statement: Compiled, values: Mapping[str, Any]) -> Any:
    """The result of a statement; None, and it was not run, where it has to be sent whole. Errors are the driver's."""
    if link.server.flavour != "MariaDB":
        return None
    number = link.prepared.get(statement.text)
    if number is None:
        number = link.prepared[statement.text] = await _prepared(link, statement)
    if number == REFUSED:
        return None
    given = ", ".join(literals(statement, values))
    link.has_locks = link.has_locks or "GET_LOCK(" in statement.text
    try:
        return await link.query(encoded(statement, f"EXECUTE tieout_{number} USING {given}"))
    except Exception as error:
        if number_of(error) != _UNKNOWN:
            raise
        link.prepared[statement.text] = REFUSED
        return None


async def _prepared(link: Link, statement: Compiled) -> int:
    """The number under which this session has the statement from now on."""
    number = len(link.prepared) + 1
    text = statement.text % tuple(["?"] * len(statement.params))
    try:
        await link.query(encoded(statement, f"PREPARE tieout_{number} FROM {literal(text)}"))
    except Exception as error:
        if number_of(error) not in _REFUSALS:
            raise
        return REFUSED
    return number
