"""tieout's tables beside a user's own in a real Alembic project."""

from __future__ import annotations

import asyncio
import sys

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from tieout.alembic import upgrade
from tieout.database import connect
from tieout.database.migrate import migrate, plan

ENV = """
from alembic import context
from sqlalchemy import create_engine

import tieout.alembic
from models import metadata

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
try:
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, include_name=tieout.alembic.include_name)
        with context.begin_transaction():
            context.run_migrations()
finally:
    engine.dispose()
"""

MODELS = """
import sqlalchemy as sa

metadata = sa.MetaData()
sa.Table("account", metadata, sa.Column("name", sa.String(40), primary_key=True), sa.Column("points", sa.BigInteger))
"""

REVISION = """
from alembic import op
import sqlalchemy as sa
import tieout.alembic

revision, down_revision = "{number}", {before!r}


def upgrade():
    {body}


def downgrade():
    pass
"""

ACCOUNT = """op.create_table(
        "account", sa.Column("name", sa.String(40), primary_key=True), sa.Column("points", sa.BigInteger)
    )"""
DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


class Project:
    """A project with a folder of revisions."""

    def __init__(self, folder, url):
        self.url = url
        self.driver_url = DRIVERS[url.partition("://")[0]] + url[url.index(":") :]
        self.versions = folder / "migrations" / "versions"
        self.versions.mkdir(parents=True)
        (folder / "migrations" / "env.py").write_text(ENV)
        (folder / "migrations" / "script.py.mako").write_text("")
        (folder / "models.py").write_text(MODELS)
        self.config = Config()
        self.config.set_main_option("script_location", str(folder / "migrations"))
        self.config.set_main_option("sqlalchemy.url", self.driver_url)
        self._made = 0

    def revise(self, body):
        before, self._made = f"r{self._made}" if self._made else None, self._made + 1
        number = f"r{self._made}"
        (self.versions / f"{number}.py").write_text(REVISION.format(number=number, before=before, body=body))

    def forget(self):
        """Begin without any revision."""
        for file in self.versions.glob("*.py"):
            file.unlink()
        self._made = 0

    def upgrade(self):
        command.upgrade(self.config, "head")

    def tables(self):
        engine = sa.create_engine(self.driver_url)
        try:
            return set(sa.inspect(engine).get_table_names())
        finally:
            engine.dispose()

    def pending(self):
        """How many of tieout's migrations are missing."""

        async def look():
            database = connect(self.url)
            await database.open()
            try:
                return len(await plan(database))
            finally:
                await database.close()

        return asyncio.run(look())


@pytest.fixture
def project(tmp_path, url, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Project(tmp_path, url)
    sys.modules.pop("models", None)


def test_tieouts_tables_come_with_ones_own(project):
    """One upgrade makes both; a second one finds nothing to do; a later revision brings what was left out."""
    project.revise(ACCOUNT)
    project.revise("tieout.alembic.upgrade(op.get_bind(), to=1)")
    project.upgrade()
    assert {"account", "tieout_process"} <= project.tables() and "tieout_once" not in project.tables()
    assert project.pending() > 0
    project.upgrade()
    project.revise("assert tieout.alembic.upgrade(op.get_bind())[0].startswith('0002_')")
    project.upgrade()
    assert project.pending() == 0 and "tieout_once" in project.tables()


def test_autogenerate_leaves_them_alone(project):
    """Alembic finds nothing to change where tieout's tables are; without the filter it would drop them."""
    project.revise(ACCOUNT)
    project.revise("tieout.alembic.upgrade(op.get_bind())")
    project.upgrade()
    command.check(project.config)
    env = project.versions.parent / "env.py"
    env.write_text(ENV.replace(", include_name=tieout.alembic.include_name", ""))
    with pytest.raises(CommandError, match="tieout_process"):
        command.check(project.config)


def test_it_goes_on_from_what_there_is(project):
    """Where `tieout migrate` was before, the revision does nothing."""

    async def before():
        database = connect(project.url)
        await database.open()
        await migrate(database)
        await database.close()

    asyncio.run(before())
    project.revise("assert tieout.alembic.upgrade(op.get_bind()) == []")
    project.upgrade()
    assert project.pending() == 0


def test_the_lock_is_given_back(project):
    """Whoever migrates next need not wait for a connection that stays open, such as one of a pool."""
    engine = sa.create_engine(project.driver_url)
    try:
        with engine.connect() as connection:
            assert upgrade(connection)
            connection.commit()
            with engine.connect() as another:
                assert upgrade(another) == []
    finally:
        engine.dispose()


def test_what_fails_afterwards_takes_it_back(project):
    """On SQLite and PostgreSQL a revision that fails leaves nothing of tieout's; on MySQL the next try goes on."""
    project.revise("tieout.alembic.upgrade(op.get_bind()); op.execute('SELECT no_such_thing()')")
    with pytest.raises(sa.exc.DBAPIError):
        project.upgrade()
    if not project.url.startswith("mysql"):
        assert not [name for name in project.tables() if name.startswith("tieout_")]
    project.forget()
    project.revise("tieout.alembic.upgrade(op.get_bind())")
    project.upgrade()
    assert project.pending() == 0
