"""What an App may be given as `session`, and how a step writes through what it makes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from django.db import models
from django.db import transaction as django_transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from sqlalchemy import String, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from tests.sessions.kinds import driver_url

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
)
