"""Kills of a migration: at every statement and commit; whoever migrates next completes it, to the same tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.kill import lives
from tests.kill.campaign import ACT, RECOVERY, Share, Tally
from tests.kill.ground import ServerGround, SqliteGround, connected
from tests.kill.lives import Life, live
from tests.kill.node import Node, Places

EMPTYING = {
    "postgres": ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"),
    "mysql": ("DROP DATABASE {name}", "CREATE DATABASE {name}", "USE {name}"),
}

COLUMNS = "SELECT table_name, column_name, {details} FROM information_schema.columns WHERE table_schema = {schema}"
SORTED = " ORDER BY table_name, ordinal_position"

INDEXES = """
    SELECT table_name, index_name, seq_in_index, column_name, non_unique, sub_part, collation, index_type
    FROM information_schema.statistics
    WHERE table_schema = DATABASE()
    ORDER BY 1, 2, 3
"""

TABLES = {
    "sqlite": ("SELECT name, sql FROM sqlite_master WHERE name LIKE 'tieout%' ORDER BY name",),
    "postgres": (
        COLUMNS.format(details="data_type, is_nullable, column_default", schema="'public'") + SORTED,
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY conrelid::regclass::text, conname",
    ),
    "mysql": (
        COLUMNS.format(details="column_type, is_nullable, column_default, collation_name", schema="DATABASE()")
        + SORTED,
        INDEXES,
    ),
}
"""What tells every table, column and index that there is, and no estimate of what is in them."""

APPLIED = "SELECT number, name, digest FROM tieout_migration ORDER BY number"


PAIRS = 2
"""Points of each recovery that are tried at most, drawn by the seed."""


class Bare:
    """A database without tables, emptied before each play."""

    def __init__(self, dialect: str, url: str, folder: Path) -> None:
        self.dialect = dialect
        self._file = SqliteGround(folder) if dialect == "sqlite" else None
        self.ground = self._file or ServerGround(dialect, url, connected(url))
        self.name = url.rpartition("/")[2]

    def empty(self) -> None:
        if self._file is not None:
            for path in self._file.path.parent.glob(f"{self._file.path.name}*"):
                path.unlink()
            return
        for statement in EMPTYING[self.dialect]:
            self.ground.connection.cursor().execute(statement.format(name=self.name))

    def tables(self) -> list[Any]:
        """Everything that the migrations make, and which were applied."""
        return [self.ground.rows(sql) for sql in (*TABLES[self.dialect], APPLIED)]


async def migrate(node: Node) -> None:
    await node.app.migrate()


def killed(dialect: str, url: str, folder: Path, share: Share) -> Tally:
    """Kill it at each point, and whoever goes on with it at each point of that."""
    bare, places = Bare(dialect, url, folder), Places(folder)
    lives.warm_up(bare.ground.url, places)
    try:
        return _killed(bare, _player(bare, places), share)
    finally:
        bare.ground.close()


def most_pairs(share: Share) -> int:
    """How many points of each recovery are tried: a migration has hundreds, where each statement commits."""
    return PAIRS if share.pairs is None else min(share.pairs, PAIRS)


def _player(bare: Bare, places: Places) -> Callable[..., list[Life]]:
    def play(*deadly: int | None) -> list[Life]:
        bare.empty()
        return [live(bare.ground.url, places, migrate, hours=0, deadly=point, opens=False) for point in (*deadly, None)]

    return play


def _killed(bare: Bare, play: Callable[..., list[Life]], share: Share) -> Tally:
    tally = Tally()
    (whole,) = play()
    wanted = bare.tables()
    tally.counts["points: migration"] += len(whole.passed)
    tally.passed = {(ACT, name) for name in whole.passed}

    def judge(lives_lived: list[Life], *deadly: int) -> None:
        where = f"{bare.dialect}, migration, killed at {deadly} {[life.killed_at for life in lives_lived[:-1]]}"
        tally.counts["pairs" if len(deadly) > 1 else "singles"] += 1
        tally.counts["lives"] += len(lives_lived)
        for part, life in zip((ACT, RECOVERY), lives_lived[:-1], strict=False):
            tally.counts["kills"] += life.killed_at is not None
            if life.killed_at is None:
                tally.never.append(f"{where}: {part} did not come so far")
            else:
                tally.killed.add((part, life.killed_at))
        tally.violations += [f"{where}: {life.error}" for life in lives_lived if life.error]
        if bare.tables() != wanted:
            tally.violations.append(f"{where}: the tables are not those of a migration that nobody killed")

    for first in share.of(len(whole.passed), share.singles, bare.dialect)[share.part :: share.parts]:
        lived = play(first)
        judge(lived, first)
        for second in share.of(len(lived[-1].passed), most_pairs(share), bare.dialect, first):
            judge(play(first, second), first, second)
    return tally
