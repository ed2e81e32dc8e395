"""The service's own tables, in the database that tieout's tables are in too."""

from __future__ import annotations

import os

from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}

database_url = os.environ.get("POINTS_DB", "sqlite:///points.db")
address = make_url(database_url)
engine = create_async_engine(address.set(drivername=DRIVERS[address.drivername]))
Session = async_sessionmaker(engine, expire_on_commit=False)


class Table(DeclarativeBase):
    """What the tables share."""


class Account(Table):
    """A user's points."""

    __tablename__ = "account"
    name: Mapped[str] = mapped_column(primary_key=True)
    points: Mapped[int]


class Visit(Table):
    """Who wanted what: one row for each redemption, since both commit together."""

    __tablename__ = "visit"
    id: Mapped[int] = mapped_column(primary_key=True)
    user: Mapped[str]
    sku: Mapped[str]
