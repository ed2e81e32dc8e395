"""`tieout migrate`: what it would do, what it did, and who may do it."""

from __future__ import annotations

import sqlite3


def tables(shop) -> int:
    with sqlite3.connect(shop.file) as database:
        counted = database.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'tieout_%'").fetchone()[0]
    database.close()
    return counted


def test_plans_without_doing(bare):
    """`--plan` names what would be applied and applies nothing; the same names are applied then, and no more after."""
    bare.file.touch()
    planned = bare.run("migrate", bare.url, "--plan", "--json").document["planned"]
    assert planned[0] == "0001_process"
    assert tables(bare) == 0
    assert bare.run("migrate", "shop:app", "--json").document == {"applied": planned}
    assert tables(bare) > 0
    assert bare.run("migrate", "--app", "shop:app", "--json").document == {"applied": []}
    assert bare.run("migrate", bare.url, "--plan", "--json").document == {"planned": []}


def test_makes_the_file(bare):
    """Migrating makes a SQLite file that is not there yet; planning does not."""
    assert bare.run("migrate", bare.url, "--plan").status == 2
    assert not bare.file.exists()
    assert "applied 0001_process" in bare.run("migrate", bare.url).out
    assert bare.run("migrate", bare.url).out == "The tables are up to date.\n"


def test_several_may_migrate_at_once(bare):
    """Nodes that migrate at the same time all succeed, and each migration is applied once."""
    running = [bare.spawn("migrate", bare.url, "--json") for _ in range(3)]
    ended = [(process.communicate(timeout=60), process.returncode) for process in running]
    assert [status for _, status in ended] == [0, 0, 0], ended
    assert sum("0001_process" in out for (out, _), _ in ended) == 1


def test_newer_tables_are_left_alone(shop):
    """Tables of newer code are an error with its own code, and stay as they are."""
    with sqlite3.connect(shop.file) as database:
        database.execute("INSERT INTO tieout_migration VALUES (9999, 'future', 'x', 0)")
    database.close()
    refused = shop.run("migrate")
    assert refused.status == 4
    assert "[schema-mismatch]" in refused.err
    found = {one["name"]: one["level"] for one in shop.run("doctor", "--json").document["findings"]}
    assert found["migrations"] == "wrong"
