"""Which App or database a command works on: `--app module:app` or `--db URL`, the same for every command."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any

from cyclopts import Parameter

from tieout.app import App
from tieout.blocking import App as BlockingApp
from tieout.contracts import Transaction
from tieout.database.url import sqlite_path
from tieout.errors import ConfigError, TieoutError

Place = str | None
"""The first argument of commands that are about a whole App or database: `module:app`, or a database URL."""


@Parameter(name="*")
@dataclass(frozen=True)
class Where:
    """An App or a database."""

    app: Annotated[str | None, Parameter(help="The App, as module:app. Default: $TIEOUT_APP.")] = None
    db: Annotated[str | None, Parameter(help="The database's URL, instead of an App. Default: $TIEOUT_DB.")] = None

    def at(self, place: Place) -> Where:
        """The same with what was given as an argument; raise `ConfigError` when it was given twice."""
        given = [self.app, self.db, place]
        if sum(one is not None for one in given) > 1:
            raise ConfigError("name one App (module:app) or one database URL, not several")
        if place is None:
            return self
        return Where(db=place) if "://" in place else Where(app=place)

    @property
    def options(self) -> list[str]:
        """What was said on the command line, as it would be said again."""
        said = (("--app", self.app), ("--db", self.db))
        return [part for name, value in said if value is not None for part in (name, value)]


ANYWHERE = Where()
"""What the environment says."""


@asynccontextmanager
async def opened(where: Where, *, code: bool = False) -> AsyncIterator[App]:
    """The App, open. It neither sweeps nor changes tables; with `code`, a database URL alone is refused."""
    async with found(where, code=code) as app:
        app.sweeps = app.migrates = False
        async with app:
            yield app


@asynccontextmanager
async def found(where: Where, *, code: bool = False, creates: bool = False) -> AsyncIterator[App]:
    """The App, not open; of a database URL, one without process types. Raise `ConfigError` for what cannot be one."""
    async with AsyncExitStack() as stack:
        app, db = _chosen(where)
        if app is not None:
            yield await _made(imported(app), app, stack)
        elif db is None:
            raise ConfigError("name the App (--app module:app or $TIEOUT_APP) or its database (--db URL or $TIEOUT_DB)")
        elif code:
            raise ConfigError("this runs the code of process types: name the App (--app module:app or $TIEOUT_APP)")
        else:
            _check_file(db, creates=creates)
            yield App(db, sweep=False, migrate=False)


async def server_now(app: App) -> int:
    """The database server's time, in microseconds."""

    async def work(tx: Transaction) -> int:
        row = await tx.fetch_one("SELECT {now} AS now")
        return 0 if row is None else int(row[0])

    return await app.database.read(work)


def imported(spec: str) -> Any:
    """What `module:name` names, imported with the current folder on the path; raise `ConfigError`."""
    module_name, _, name = spec.partition(":")
    if not (module_name and name):
        raise ConfigError(f"an App is named as module:app, for instance shop.points:app; not {spec!r}")
    if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds strings
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - sys.path holds strings
    try:
        return attrgetter(name)(importlib.import_module(module_name))
    except TieoutError:
        raise
    except AttributeError as error:
        if error.obj is not sys.modules.get(module_name):
            raise _not_imported(module_name, error) from error
        raise ConfigError(f"{module_name} has no {name!r}{_apps_of(module_name)}") from error
    except Exception as error:
        raise _not_imported(module_name, error) from error


def _chosen(where: Where) -> tuple[str | None, str | None]:
    """What was said, else what the environment says; there, an App comes before a URL."""
    if where.app or where.db:
        where.at(None)
        return where.app, where.db
    app = os.environ.get("TIEOUT_APP") or None
    return app, None if app else os.environ.get("TIEOUT_DB") or None


async def _made(thing: Any, spec: str, stack: AsyncExitStack) -> App:
    """The App that a name stands for: itself, or what its factory returns, awaited or entered where that is needed.

    Of one without an event loop it is its core, which is an App too: none of its awaits suspends.
    """
    try:
        if callable(thing) and not isinstance(thing, (App, BlockingApp, type)):
            thing = thing()
            if inspect.isawaitable(thing):
                thing = await thing
        if isinstance(thing, AbstractAsyncContextManager) and not isinstance(thing, App):
            thing = await stack.enter_async_context(thing)
        elif isinstance(thing, AbstractContextManager) and not isinstance(thing, BlockingApp):
            thing = stack.enter_context(thing)
    except TieoutError:
        raise
    except Exception as error:
        raise ConfigError(f"{spec} raised {type(error).__name__}: {error}{_place_of(error)}") from error
    if isinstance(thing, BlockingApp):
        return thing.core
    if not isinstance(thing, App):
        raise ConfigError(f"{spec} is no tieout.App and makes none: it is of type {type(thing).__name__}")
    return thing


def _not_imported(module: str, error: Exception) -> ConfigError:
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{module}.".startswith(f"{missing}."):
        return ConfigError(f"there is no module {missing!r} in this folder or on the path")
    return ConfigError(f"{module} cannot be imported: {type(error).__name__}: {error}{_place_of(error)}")


def _place_of(error: Exception) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if len(frames) > 1 else ""


def _apps_of(module: str) -> str:
    names = [name for name, value in vars(sys.modules[module]).items() if isinstance(value, (App, BlockingApp))]
    return f"; its Apps are: {', '.join(names)}" if names else ", and no App at all"


def _check_file(url: str, *, creates: bool) -> None:
    """Refuse a SQLite file that is not there: opening it would make an empty one, and hide a misspelt name."""
    if not url.startswith("sqlite"):
        return
    path = sqlite_path(url)
    if path is None:
        raise ConfigError("a database in memory belongs to the process that made it: name a file")
    if not creates and not path.exists():
        raise ConfigError(f"there is no database file {path}: `tieout migrate` makes one")
