"""Numbers and times are compared as such where they are kept as such, and nothing of them is lost by it."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.recon.conftest import DAY, NOON, compared, run
from tieout.database import connect
from tieout.recon import epoch, same, side, within
from tieout.recon.dialects import DIALECTS, Column
from tieout.recon.snapshot import take
from tieout.recon.sources import opened

TABLE = "CREATE TABLE {name} (id {key}, money {money}, fee {fee}, pieces {pieces}, done bigint)"
UP = {"name": "up", "key": "bigint", "money": "numeric(12,2)", "fee": "numeric(18,9)", "pieces": "smallint"}
DOWN = {"name": "down", "key": "varchar(20)", "money": "numeric(10,4)", "fee": "numeric(9,1)", "pieces": "bigint"}
ROWS = {
    "1": (("1.50", "0.05", "7"), ("1.5", "0.1", "7")),
    "2": (("1.50", "0.05", "7"), ("1.5001", "0.1", "7")),
    "3": (("NULL", "NULL", "NULL"), ("NULL", "NULL", "NULL")),
    "4": (("NULL", "0", "7"), ("0", "0", "7")),
    "5": (("-0.10", "-0.000000001", "-7"), ("-0.1", "0", "-7")),
    "6": (("99999.99", "999999999.999999999", "7"), ("99999.99", "0", "7")),
    "7": (("1", "0", "7"), ("1", "0", "8")),
}
TIED = {"1", "3", "5"}


def insert(table: str, number: int, rows=ROWS) -> str:
    told = ", ".join(f"({key}, {', '.join(both[number])}, {NOON})" for key, both in rows.items())
    return f"INSERT INTO {table} VALUES {told}"


def ruled(app, upstream: str, downstream: str):
    return app.rule(
        "kept",
        upstream=side(upstream, table="up", key="id", at=epoch("done", "us")),
        downstream=side(downstream, table="down", key="id", at=epoch("done", "us")),
        agree=[same("money"), within("fee", "fee", "0.05"), same("pieces")],
    )


@pytest.mark.parametrize(("ours", "theirs"), [("postgres", "postgres"), ("postgres", "mysql"), ("mysql", "postgres")])
async def test_numbers_of_different_types_agree_by_value(app, made, tmp_path, ours, theirs) -> None:
    """Scale and width are the database's own: what is the same number is tied, and a difference keeps its digits."""
    upstream = await made(ours, "up", TABLE.format(**UP), insert("up", 0))
    downstream = await made(theirs, "down", TABLE.format(**DOWN), insert("down", 1))
    async with app() as started:
        rule = ruled(started, upstream, downstream)
        async with opened(rule, DAY) as both:
            assert both.numbers == {0, 1, 2}
        ended, breaks = await compared(started, "kept", tmp_path)
    assert (ended.totals["tied"], {key[0] for key in breaks}) == (len(TIED), ROWS.keys() - TIED)
    assert breaks["2",].detail["differences"] == [
        {"field": "money", "upstream": "1.5", "downstream": "1.5001", "why": "differs"}
    ]


async def test_what_is_no_number_is_told_as_it_stands(app, made, tmp_path) -> None:
    """One NaN among numbers agrees with nothing, not with itself, and leaves the others as they are."""
    rows = {**ROWS, "8": (("'NaN'", "0", "7"), ("'NaN'", "0", "7")), "9": (("'NaN'", "0", "7"), ("NULL", "0", "7"))}
    upstream = await made("postgres", "up", TABLE.format(**UP), insert("up", 0, rows))
    downstream = await made("postgres", "down", TABLE.format(**DOWN), insert("down", 1, rows))
    async with app() as started:
        ruled(started, upstream, downstream)
        ended, breaks = await compared(started, "kept", tmp_path)
    assert (ended.totals["tied"], {key[0] for key in breaks}) == (len(TIED), rows.keys() - TIED)
    assert breaks["8",].detail["differences"][0]["why"] == "is no finite number"


async def test_a_snapshot_of_other_columns_is_not_taken_up(app, made, tmp_path) -> None:
    """A file that is whole is kept, and read anew once a column has become of another type."""
    upstream = await made("postgres", "up", TABLE.format(**UP), insert("up", 0))
    file = tmp_path / "up.parquet"

    async def taken(rule) -> pa.Schema:
        async with opened(rule, DAY) as both:
            await take(both.upstream, DAY, file, quiet, both.upstream.reading.numbers)
        return pq.read_schema(file)

    async with app() as started:
        rule = ruled(started, upstream, await made("postgres", "down", TABLE.format(**DOWN)))
        first = await taken(rule)
        await run(upstream, "DELETE FROM up WHERE id = 1")
        assert (await taken(rule), pq.read_metadata(file).num_rows) == (first, len(ROWS))
        await run(upstream, "ALTER TABLE up ALTER money TYPE numeric")
        second = await taken(rule)
    assert [schema.field("v0").type for schema in (first, second)] == [pa.decimal128(12, 2), pa.string()]
    assert pq.read_metadata(file).num_rows == len(ROWS) - 1


async def quiet(what: str, count: int) -> None:
    """Nobody is told."""


@pytest.mark.parametrize("kind", ["timestamp with time zone", "timestamp without time zone"])
async def test_times_are_exact_to_the_microsecond_in_all_years(made, kind) -> None:
    """A time is told as whole microseconds, whether a double would hold it or not."""
    chance = Random(5)
    ends = [-2_208_988_800_000_000, 0, 4_102_444_800_000_000, 4_294_967_296_000_000, 253_370_764_800_000_000]
    times = {end + less for end in ends for less in (-1, 0, 1)}
    times |= {chance.randrange(-(10**16), 10**16) for _ in range(2_000)}
    times |= {chance.randrange(ends[0], ends[2]) for _ in range(2_000)}
    url = await made("postgres", "times", f"CREATE TABLE t (n bigint, done {kind})")
    epoch_of = "TIMESTAMPTZ" if "with time" in kind else "TIMESTAMP"
    fill = (
        f"INSERT INTO t SELECT n, {epoch_of} 'epoch' + n * INTERVAL '1 microsecond' FROM unnest(CAST(:n AS bigint[])) n"
    )
    told = DIALECTS["postgres"].text(Column("done", kind, "moment", local="without" in kind))
    database = connect(url)
    await database.open()
    await database.transact(lambda tx: tx.execute(fill, n=sorted(times)))
    rows = await database.read(
        lambda tx: tx.fetch(f"SELECT (extract(epoch FROM done) * 1000000)::bigint AS n, {told} AS told FROM t")
    )
    await database.close()
    assert len(rows) == len(times)
    assert [n for n, text in rows if str(n) != text] == []
