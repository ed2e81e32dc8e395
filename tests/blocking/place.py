"""A database to run blocking Apps on, and looks at what it holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.blocking.shop import EMPTIED, POINTS, TABLES, Shop
from tieout import ProcessView, blocking
from tieout.database.driving import drive

WAITED = 60.0
"""Seconds after which something that should come true has not."""


class Place:
    """One database, and the Apps that a test has opened on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.apps: list[blocking.App] = []

    def app(self, *types: Any, shop: Shop | None = None, **options: Any) -> blocking.App:
        """An App that knows these types, not open. It sweeps only when told to."""
        app = blocking.App(self.url, deps=shop or Shop(), **({"sweep": False, "migrate": True} | options))
        for process_type in types:
            app.register(process_type)
        return app

    def open(self, *types: Any, shop: Shop | None = None, **options: Any) -> blocking.App:
        app = self.app(*types, shop=shop, **options)
        app.__enter__()
        self.apps.append(app)
        return app

    def close(self) -> None:
        for app in self.apps:
            app.close()

    def prepare(self) -> None:
        """Empty tables, and one account."""
        with self.app() as app:

            def work(tx: blocking.Transaction) -> None:
                for statement in TABLES:
                    tx.execute(statement)
                for table in EMPTIED:
                    tx.execute(f"DELETE FROM {table}")
                tx.execute("INSERT INTO account (name, points) VALUES ('ann', :points)", points=POINTS)

            app.database.transact(work)


def rows(app: blocking.App, sql: str, **params: Any) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return [tuple(row) for row in app.database.read(lambda tx: tx.fetch(sql, **params))]


def points(app: blocking.App) -> int:
    """What is left on the account."""
    return rows(app, "SELECT points FROM account")[0][0]


def done(app: blocking.App, process: ProcessView) -> list[str]:
    """What the steps of a process have written, in no order."""
    return sorted(what for (what,) in rows(app, "SELECT what FROM posting WHERE process = :id", id=process.id))


def sweep(app: blocking.App) -> None:
    """Everything that runs is due: one round of the sweep, to its end."""
    app.database.transact(lambda tx: tx.execute("UPDATE tieout_process SET due = {now} - 1 WHERE status = 'running'"))
    drive(app.core.worker.sweep())
    until(lambda: app.core.worker.in_flight == 0)


def until(true: Callable[[], Any]) -> Any:
    """Wait until it is true, and return what it is then."""
    ends = time.monotonic() + WAITED
    while not (value := true()):
        assert time.monotonic() < ends
        time.sleep(0.002)
    return value
