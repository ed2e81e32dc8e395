"""What an App may be given as `session`, and how a step writes through what it makes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import psycopg
import pymysql
from django.db import models
from django.db import transaction as django_transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg_pool import ConnectionPool
from pymysql.constants.CLIENT import FOUND_ROWS
from sqlalchemy import String, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from tests.sessions.kinds import driver_url, mysql_address

LEDGER = "CREATE TABLE IF NOT EXISTS ledger (process VARCHAR(100), step VARCHAR(40), PRIMARY KEY (process, step))"


class Base(DeclarativeBase):
    """The user's models."""


class Entry(Base):
    """One step that was run: a second time it cannot be written."""

    __tablename__ = "ledger"
    process: Mapped[str] = mapped_column(String(100), primary_key=True)
    step: Mapped[str] = mapped_column(String(40), primary_key=True)


@cache
def django_entry() -> Any:
    """The same, as Django sees it; made once Django is set up."""

    class Meta:
        app_label = "tests"
        db_table = "ledger"
        managed = False

    fields = {
        "process": models.CharField(max_length=100, primary_key=True),
        "step": models.CharField(max_length=40),
        "Meta": Meta,
        "__module__": __name__,
    }
    return type("Entry", (models.Model,), fields)


@dataclass
class Maker:
    """A kind of session: what steps are given, whether it blocks, and how to write a ledger entry through it."""

    name: str
    dialect: str
    given: type
    blocking: bool
    write: Callable[[Any, str, str], Any]

    def __repr__(self) -> str:
        return self.name

    @asynccontextmanager
    async def made(self, url: str, **options: Any):
        """What to give an App as `session`."""
        if self.given is BaseDatabaseWrapper:
            yield partial(django_transaction.atomic, using=self.dialect)
        elif self.name == "psycopg-pool":
            with ConnectionPool(url, min_size=0, max_size=10, kwargs=options) as pool:
                yield pool
        elif self.given in PLAIN:
            yield PLAIN[self.given](url, options)
        elif self.blocking:
            engine = create_engine(driver_url(url, self.name), **options)
            yield sessionmaker(engine)
            engine.dispose()
        else:
            engine = create_async_engine(driver_url(url, self.name), **options)
            yield async_sessionmaker(engine)
            await engine.dispose()


async def write_async(session: Any, process: str, step: str) -> None:
    session.add(Entry(process=process, step=step))


def write_plain(session: Any, process: str, step: str) -> None:
    session.add(Entry(process=process, step=step))


def write_django(connection: Any, process: str, step: str) -> None:
    entry = django_entry()
    entry.objects.using(connection.alias).bulk_create([entry(process=process, step=step)])


def write_statement(connection: Any, process: str, step: str) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"INSERT INTO ledger (process, step) VALUES ('{process}', '{step}')")


def new_sqlite(url: str, options: Any) -> Callable[[], sqlite3.Connection]:
    """A function of the user's, whose annotation says what it gives."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=20, check_same_thread=False, **options)

    return connect


PLAIN = {
    psycopg.Connection: lambda url, options: partial(psycopg.connect, url, **options),
    pymysql.Connection: lambda url, options: partial(
        pymysql.connect, client_flag=FOUND_ROWS, **mysql_address(url), **options
    ),
    sqlite3.Connection: new_sqlite,
}
"""Functions that give a new connection."""

MAKERS = (
    Maker("asyncpg", "postgres", AsyncSession, blocking=False, write=write_async),
    Maker("aiosqlite", "sqlite", AsyncSession, blocking=False, write=write_async),
    Maker("asyncmy", "mysql", AsyncSession, blocking=False, write=write_async),
    Maker("psycopg", "postgres", Session, blocking=True, write=write_plain),
    Maker("pysqlite", "sqlite", Session, blocking=True, write=write_plain),
    Maker("pymysql", "mysql", Session, blocking=True, write=write_plain),
    Maker("django-postgres", "postgres", BaseDatabaseWrapper, blocking=True, write=write_django),
    Maker("django-sqlite", "sqlite", BaseDatabaseWrapper, blocking=True, write=write_django),
    Maker("django-mysql", "mysql", BaseDatabaseWrapper, blocking=True, write=write_django),
    Maker("psycopg-pool", "postgres", psycopg.Connection, blocking=True, write=write_statement),
    Maker("psycopg-connect", "postgres", psycopg.Connection, blocking=True, write=write_statement),
    Maker("pymysql-connect", "mysql", pymysql.Connection, blocking=True, write=write_statement),
    Maker("sqlite3-connect", "sqlite", sqlite3.Connection, blocking=True, write=write_statement),
)
