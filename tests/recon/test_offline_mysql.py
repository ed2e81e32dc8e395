"""Comparing offline what MariaDB and MySQL alone have: collations, and numbers that are shown with zeros."""

from __future__ import annotations

import pytest

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


PADDED = {"SMALLINT": "0", "BIGINT": "10", "DECIMAL(12,2)": "0.5"}
"""Types that can be shown with zeros, and a number of each that has zeros of its own."""


@pytest.mark.parametrize("other", ["the same type", "text"])
@pytest.mark.parametrize("kind", PADDED)
async def test_padded_numbers_are_numbers_on_mysql(app, made, tmp_path, kind, other) -> None:
    """ZEROFILL is how a number is shown, and no other number: it pairs with itself, and differs from others only."""
    number = PADDED[kind]
    padded = f"CREATE TABLE t (k {kind} ZEROFILL, v INT(8) ZEROFILL, m DECIMAL(8,2) ZEROFILL, d DATETIME(6))"
    plain = f"CREATE TABLE t (k {'VARCHAR(9)' if other == 'text' else kind}, v INT, m DECIMAL(8,2), d DATETIME(6))"
    rows = "INSERT INTO t VALUES ({number}, 7, 1.5, {at}), (43, {v}, 0.5, {at}), (44, 8, {m}, {at})"
    ours = await made("mysql", "up", padded, rows.format(number=number, v=7, m="0.5", at=at(NOON)))
    theirs = await made("mysql", "down", plain, rows.format(number=number, v=8, m="10.5", at=at(NOON)))
    async with app() as opened:
        opened.rule(
            "r",
            upstream=side(ours, table="t", key="k", at="d"),
            downstream=side(theirs, table="t", key="k", at="d"),
            agree=[same("v"), same("m")],
        )
        ended, breaks = await compared(opened, "r", tmp_path)
    told = {key: [one["upstream"] for one in found.detail["differences"]] for key, found in breaks.items()}
    assert (ended.totals["tied"], told) == (1, {("43",): ["7"], ("44",): ["0.5"]})
