"""Locks that tieout took by GET_LOCK in a user's session: they belong to the connection, and are freed with it.

Without this a claim would go back to the user's pool with its connection, and its key would look in flight for as long
as that connection lives.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection

from tieout.sessions.mysql import OUR_LOCK

_HELD = "tieout.locks"
"""Under which name a connection of the pool keeps that it holds some."""


def free_with(connection: Connection) -> None:
    """Let the engine of this connection free our locks whenever one of its connections goes back to its pool."""
    engine = connection.engine
    if not event.contains(engine, "before_cursor_execute", _note):
        event.listen(engine, "before_cursor_execute", _note)
        event.listen(engine.pool, "reset", _free)


def _note(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    if OUR_LOCK in statement:
        connection.info[_HELD] = True


def _free(driver: Any, record: Any, state: Any) -> None:
    if state.terminate_only or record is None or not record.info.pop(_HELD, False):
        return
    cursor = driver.cursor()
    cursor.execute("DO RELEASE_ALL_LOCKS()")
    cursor.close()
