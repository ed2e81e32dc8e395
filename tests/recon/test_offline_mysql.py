"""Comparing offline what MariaDB and MySQL alone have: collations, and numbers that are shown with zeros."""

from __future__ import annotations

from tests.recon.conftest import NOON, at, compared
from tieout.recon import same, side


async def test_keys_are_compared_byte_by_byte_on_mysql(app, made, tmp_path) -> None:
    """A collation that folds case and spaces does not tie keys that differ; it is named as a possible cause."""
    table = "CREATE TABLE t (k VARCHAR(20), v INT, d DATETIME(6)) COLLATE utf8mb4_general_ci"
    ours = await made("mysql", "up", table, f"INSERT INTO t VALUES ('Abc', 1, {at(NOON)}), ('x', 1, {at(NOON)})")
    theirs = await made("mysql", "down", table, f"INSERT INTO t VALUES ('abc', 1, {at(NOON)}), ('x', 1, {at(NOON)})")
    async with app() as opened:
        opened.rule(
            "r",
            upstream=side(ours, table="t", key="k", at="d"),
            downstream=side(theirs, table="t", key="k", at="d"),
            agree=[same("v")],
        )
        ended, breaks = await compared(opened, "r", tmp_path)
    assert ended.totals["tied"] == 1
    assert {key: one.outcome for key, one in breaks.items()} == {("Abc",): "missing", ("abc",): "orphan"}
    assert breaks["Abc",].detail["causes"] == ["downstream has abc, which is written differently"]


async def test_padded_numbers_are_numbers_on_mysql(app, made, tmp_path) -> None:
    """ZEROFILL is how a number is shown, and no other number: it pairs with itself, and differs from others only."""
    padded = "CREATE TABLE t (k BIGINT(20) ZEROFILL, v INT(8) ZEROFILL, d DATETIME(6))"
    plain = "CREATE TABLE t (k BIGINT, v INT, d DATETIME(6))"
    ours = await made("mysql", "up", padded, f"INSERT INTO t VALUES (42, 7, {at(NOON)}), (43, 7, {at(NOON)})")
    theirs = await made("mysql", "down", plain, f"INSERT INTO t VALUES (42, 7, {at(NOON)}), (43, 8, {at(NOON)})")
    async with app() as opened:
        opened.rule(
            "r",
            upstream=side(ours, table="t", key="k", at="d"),
            downstream=side(theirs, table="t", key="k", at="d"),
            agree=[same("v")],
        )
        ended, breaks = await compared(opened, "r", tmp_path)
    assert (ended.totals["tied"], {key: one.outcome for key, one in breaks.items()}) == (1, {("43",): "differs"})
    assert [one["upstream"] for one in breaks["43",].detail["differences"]] == ["7"]
