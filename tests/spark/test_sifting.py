"""What Spark takes out is what DuckDB would have counted; what it leaves is compared as if nothing had been taken."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings

from tests.recon.cases import FIELDS, PERIOD, many_cases, written
from tests.servers.process import free_port
from tests.servers.proxy import Proxy
from tieout.errors import ConfigError, EngineFailed
from tieout.recon import Field, Judged, Period
from tieout.recon.comparing import Comparison
from tieout.recon.facts import SIDES
from tieout.recon.spark import Sieve, reach

SUMMED = Field("cost", "value", "number", Decimal(0), summed=True)
RULES = {
    "pairs": Judged(FIELDS, grace=50),
    "sums": Judged((*FIELDS[:2], SUMMED, *FIELDS[3:]), frozenset({"upstream", "downstream"}), grace=50),
}


@pytest.fixture(scope="module")
def sieve(cluster):
    made = Sieve(cluster.url)
    yield made
    made.close()


def found(files, rule: Judged, sample: float = 1.0, period: Period = PERIOD):
    """The counts of a comparison, and all else that it tells."""
    comparison = Comparison(files, rule, period, 1, sample)
    counts = comparison.classify()
    keys = sorted(key for page in comparison.candidates(50) for key in page)
    told = [
        (
            sorted(map(str, comparison.unkeyed(side))),
            comparison.undated(side)[0],
            {key: sorted(map(str, rows)) for key, rows in comparison.found(side, keys).records.items()},
            comparison.similar(side, keys),
        )
        for side in SIDES
    ]
    comparison.close()
    return counts, keys, told


def sifted_alike(sieve, files, rule: Judged, sample: float = 1.0):
    """What Spark leaves, which with what it took comes to the same as all; and nothing else lies about."""
    left = sieve.sift(files, rule, PERIOD, 1, sample)
    (counts, *rest), (whole, *whole_rest) = found(left.files, rule, sample), found(files, rule, sample)
    assert left.taken.plus(counts) == whole
    assert rest == whole_rest
    assert set(files["upstream"].parent.iterdir()) == {*files.values(), *left.files.values()}
    return left


@pytest.mark.parametrize("name", RULES)
def test_nothing_is_told_otherwise_for_having_been_sifted(sieve, tmp_path_factory, name) -> None:
    """Odd values, doubled keys, keys alike but for case, rows without key or time, sums: the same keys in doubt."""

    @settings(max_examples=2, phases=[Phase.generate])
    @given(many_cases())
    def alike(cases) -> None:
        folder = tmp_path_factory.mktemp("sifted")
        files = {side: written(folder, side, rows) for side, rows in zip(SIDES, cases, strict=True) if rows}
        if len(files) == len(SIDES):
            sifted_alike(sieve, files, RULES[name])

    alike()


def test_what_plainly_agrees_is_taken_out(sieve, tmp_path) -> None:
    """Of a thousand pairs the one that differs is left, on both sides."""
    rows = [(f"key {n}", 150, ("x",)) for n in range(1_000)]
    files = {"upstream": written(tmp_path, "upstream", rows)}
    files["downstream"] = written(tmp_path, "downstream", [*rows[:-1], ("key 999", 150, ("y",))])
    left = sifted_alike(sieve, files, Judged((Field("a", "a"),)))
    assert left.taken.tied == 999
    assert [pq.read_metadata(file).num_rows for file in left.files.values()] == [1, 1]


def test_a_sample_is_the_same_share_of_the_keys(sieve, tmp_path) -> None:
    """Whatever characters a key has, Spark and DuckDB have it in the sample, or neither has."""
    kinds = ["key", "ключ", "e\u0301", "\U0001f3e8", "a:b", " "]
    rows = [(f"{kinds[n % len(kinds)]}{n}", 150, ("x" if n % 7 else None,)) for n in range(1_500)]
    files = {side: written(tmp_path, side, rows) for side in SIDES}
    files["downstream"] = written(
        tmp_path, "downstream", [*rows[:-300], *[(key, at, ("z",)) for key, at, _ in rows[-300:]]]
    )
    left = sifted_alike(sieve, files, Judged((Field("a", "a"),)), sample=0.25)
    assert 200 < left.taken.tied < 400


def test_mapped_texts_are_taken_as_they_stand(sieve, tmp_path) -> None:
    """A quote or a backslash in what a rule maps is a character like any other, and so is the end of a line."""
    mapping = {"it's": "a\\b", "\\": "'", "n": "new\nline"}
    rows = [[(f"{n}", 150, (pair[side], "1")) for n, pair in enumerate(mapping.items())] for side in (0, 1)]
    odd = [("odd", 150, ("n", "12\n"))], [("odd", 150, ("new\nline", "12\n"))]
    files = {name: written(tmp_path, name, own + more) for name, own, more in zip(SIDES, rows, odd, strict=True)}
    rule = Judged((Field("a", "a", mapping=mapping), Field("n", "n", "number")))
    assert sifted_alike(sieve, files, rule).taken.tied == len(mapping)


def test_numbers_and_keys_kept_as_numbers(sieve, tmp_path) -> None:
    """Numbers that are kept as such are compared as such, and one that is no number is left, with its text."""
    files = {}
    for side, costs in zip(SIDES, (["1.50", "2", None, None], ["1.5", "3", None, None]), strict=True):
        columns = {"k0": pa.array([1, 2, 3, 4]), "at_us": pa.array([150] * 4)}
        columns["v0"] = pa.array([None if one is None else Decimal(one) for one in costs], pa.decimal128(30, 4))
        columns["x0"] = pa.array([None, None, None, "NaN"], pa.string())
        files[side] = tmp_path / f"{side}.parquet"
        pq.write_table(pa.table(columns), files[side])
    assert sifted_alike(sieve, files, Judged((Field("cost", "value", "number"),))).taken.tied == 2


def test_work_that_is_stopped_ends_and_leaves_nothing(sieve, tmp_path) -> None:
    """Whoever stops a comparison need not wait for it to have been made."""
    rows = [(f"key {n}", 150, (f"value {n}",)) for n in range(400_000)]
    files = {side: written(tmp_path, side, rows) for side in SIDES}
    failed: list[EngineFailed] = []

    def work() -> None:
        with pytest.raises(EngineFailed) as caught:
            sieve.sift(files, Judged((Field("a", "a"),)), PERIOD, 1, 1.0)
        failed.append(caught.value)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        sieve.stop()
        thread.join(0.1)
    assert "OPERATION_CANCELED" in str(failed[0])
    assert set(tmp_path.iterdir()) == set(files.values())


def test_a_server_that_does_not_answer() -> None:
    """It is told at once that there is none, whatever patience the client has."""
    with pytest.raises(EngineFailed, match="does not answer"):
        reach(f"sc://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("url", ["", "spark://127.0.0.1:7077", "http://127.0.0.1"])
def test_an_address_that_is_none_of_spark_connect(url) -> None:
    """The address is looked at before anything is asked."""
    with pytest.raises(ConfigError, match="sc://"):
        reach(url)


async def test_a_server_that_goes_away(cluster, tmp_path, monkeypatch) -> None:
    """It is asked again a few times, and then told in one line what its connection died of."""
    monkeypatch.setattr("tieout.recon.spark.TRIES", 1)
    rows = [(f"key {n}", 150, (f"value {n}",)) for n in range(1_000)]
    files = {side: written(tmp_path, side, rows) for side in SIDES}
    async with Proxy(cluster.connect.port).running() as proxy:
        sieve = await asyncio.to_thread(Sieve, f"sc://127.0.0.1:{proxy.port}")
    with pytest.raises(EngineFailed, match=r"^Spark: failed to connect .*$"):
        sieve.sift(files, Judged((Field("a", "a"),)), PERIOD, 1, 1.0)
    sieve.close()
    assert set(tmp_path.iterdir()) == set(files.values())
