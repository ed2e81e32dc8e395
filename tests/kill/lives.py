"""Lives: each is a child, forked from a process that has imported everything, and ends by itself or by SIGKILL."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.kill.node import CLOCK, Node, Places
from tests.kill.points import Points
from tieout.database import query
from tieout.database.query import DIALECTS, load
from tieout.sessions import values

LONGEST = 60
"""Seconds that a life may last, on a busy machine."""

HOUR = 3_600_000_000
"""Microseconds."""

PACKAGES = ("tieout.process", "tieout.once", "tieout.alarm", "tieout.audit", "tieout.messages")

NOW = {name: dialect.macros["now"] for name, dialect in DIALECTS.items() if "now" in dialect.macros}
"""How servers tell their time. SQLite's is a value: see `CLOCK`."""

Work = Callable[[Node], Awaitable[None]]
Tell = Callable[[dict[str, Any]], None]


@dataclass
class Life:
    """How a life went: the points that it came past, where it was killed, what it raised."""

    passed: list[str] = field(default_factory=list)
    killed_at: str | None = None
    error: str = ""


def live(url: str, places: Places, work: Work, *, hours: int, deadly: int | None = None, opens: bool = True) -> Life:
    """Live in a child, `hours` after the beginning in the server's time, until the work is done or the point comes.

    The App is open, unless the work `opens` nothing: then its database is.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be(writing, lambda tell: _work(Node(url, places, Points(deadly, tell)), work, hours, opens=opens))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    return _life(told, status)


def _be(writing: int, run: Callable[[Tell], None]) -> None:
    """Be the child, and nothing of its parent's: it never returns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.alarm(LONGEST)
        run(lambda what: _tell(writing, what))
    except BaseException:  # noqa: BLE001 - a child that fails must not go on as its parent
        _tell(writing, {"error": traceback.format_exc()})
    finally:
        os._exit(1)


def _tell(writing: int, what: dict[str, Any]) -> None:
    text = f"{json.dumps(what)}\n".encode()
    while text:
        text = text[os.write(writing, text) :]


def _life(told: str, status: int) -> Life:
    life = Life(**{name: value for line in told.splitlines() for name, value in json.loads(line).items()})
    was_killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    if was_killed is not (life.killed_at is not None) or (status and not was_killed and not life.error):
        life.error = life.error or f"a life ended with {status}, having told {told!r:.200}"
    return life


def _work(node: Node, work: Work, hours: int, *, opens: bool) -> None:
    later(hours)

    async def run() -> None:
        await (node.app.__aenter__() if opens else node.app.database.open())
        node.points.counting = True
        await work(node)
        # What would be closed now is left open: at rest it makes no difference, and the system closes it.
        node.points.tell({"passed": node.points.passed})
        os._exit(0)

    asyncio.run(run())


def warm_up(url: str, places: Places) -> None:
    """Read every statement and every process type, so that no child has to."""
    for dialect, macro in NOW.items():
        macros: Any = DIALECTS[dialect].macros
        macros["now"] = f"({macro} + {hours_as_text(0)})"
    load.cache_clear()
    places.clear()
    Node(url, places, Points(None, lambda _: None))
    gc.collect()
    gc.freeze()


def later(hours: int) -> None:
    """Let the servers' time be so much later, for every statement of this process."""
    gc.disable()
    CLOCK.late = hours * HOUR
    values.microseconds = CLOCK
    for dialect, macro in NOW.items():
        macros: Any = DIALECTS[dialect].macros
        macros["now"] = f"({macro} + {hours_as_text(hours)})"
        for package in PACKAGES:
            for statement in load(package, dialect):
                statement.text = statement.text.replace(hours_as_text(0), hours_as_text(hours))
    query._ad_hoc.cache_clear()  # noqa: SLF001 - what it keeps was written for another time


def hours_as_text(hours: int) -> str:
    """Hours in microseconds, in digits that nothing else is written in."""
    return f"{hours * HOUR:018}"
