"""What plainly agrees, taken out of two snapshots by Spark: for comparisons past what one machine joins.

Spark runs the statements of `plain`, as DuckDB does, so that no verdict is its own. What it leaves is compared as ever.
"""

from __future__ import annotations

import re
import shutil
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tieout.errors import ConfigError, EngineFailed
from tieout.recon.facts import SIDES
from tieout.recon.periods import Period
from tieout.recon.plain import (
    CANDIDATE,
    CARRIED,
    LATE_TIED,
    TIED,
    Counts,
    Plain,
    Sifted,
    folded,
    held,
    sampled,
    text_of,
)
from tieout.recon.rules import Judged, SideName

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

SCHEME = "sc://"

PORT = 15_002
"""Where a Spark Connect server listens unless it is told otherwise."""

PATIENCE = 10.0
"""Seconds in which it has to take a connection."""

TRIES = 8
"""How often it is asked again that has gone away: for a minute or so."""

LONGEST = 10_000
"""Milliseconds between two of these."""

FUNCTIONS = (
    r"regexp_full_match(text STRING, pattern STRING) RETURNS BOOLEAN RETURN text RLIKE ('\\A(?:' || pattern || ')\\z')",
    "strlen(text STRING) RETURNS INT RETURN octet_length(text)",
)
"""What DuckDB has, and Spark under other names."""

DIED_OF = re.compile(r'details = "(.*)"')
"""Where an error of the connection tells its cause."""

COUNTED = {"tied": TIED, "late_tied": LATE_TIED, "carried": CARRIED}
SUMS = ", ".join(f"sum({name}) AS {name}" for name in COUNTED)
"""Keys that are taken out, by what became of them."""


class Sieve:
    """A session on a Spark Connect server, for one comparison.

    Its workers read and write the folder of the snapshots, at the same path as this process does.
    """

    def __init__(self, url: str) -> None:
        self._session = _session(url)

    def sift(
        self,
        files: dict[SideName, Path],
        judged: Judged,
        period: Period,
        parts: int,
        sample: float,
        written: frozenset[int] = frozenset(),
    ) -> Sifted:
        """Take out what plainly agrees, or belongs to no period; files of what is left stand beside those given.

        A key that differs from one in doubt only in case or spaces is left with it. Raise `EngineFailed`, and nothing
        is left behind.
        """
        there = held(files, len(judged.fields), parts)
        plain = Plain(judged, period, there, written, _quoted)
        folder, stem = files["upstream"].parent.absolute(), files["upstream"].stem
        work = {name: folder / f"{stem}.{name}.sifting" for name in (*SIDES, "doubt")}
        alike = [folded(text_of(key)) if key in there.texts else key for key in there.keys]
        try:
            with _told():
                for side in SIDES:
                    self._view(side, plain.rows(side, _rows(files[side]), sample))
                    self._view(f"{side}_keyed", plain.keyed(side))
                self._write(_doubt(plain.pairs(), alike), work["doubt"])
                self._view("doubt", f"SELECT * FROM {_rows(work['doubt'])}")  # noqa: S608 - a path of our own, quoted
                for side in SIDES:
                    names = pq.read_schema(files[side]).names
                    self._view("whole", sampled(_rows(files[side]), names, there.keys, {}, sample))
                    self._write(_left(names, there.keys, alike), work[side])
                taken = self._taken()
            return Sifted({side: _as_one_file(work[side], like=files[side]) for side in SIDES}, taken)
        finally:
            for leftover in work.values():
                shutil.rmtree(leftover, ignore_errors=True)

    def stop(self) -> None:
        """Have what it is at end soon, with `EngineFailed`."""
        with _told():
            self._session.interruptAll()

    def close(self) -> None:
        """End the session: a server that has gone away forgets it by itself."""
        with _told():
            _ask_again(self._session, 0)
            self._session.stop()

    def _view(self, name: str, sql: str) -> None:
        self._session.sql(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {sql}").collect()

    def _write(self, sql: str, folder: Path) -> None:
        self._session.sql(sql).write.mode("overwrite").parquet(str(folder))

    def _taken(self) -> Counts:
        """Keys that are not left, by what became of them."""
        (row,) = self._session.sql(f"SELECT {SUMS} FROM doubt WHERE NOT is_left").collect()  # noqa: S608 - names are our own
        return Counts(row.tied or 0, row.late_tied or 0, row.carried or 0, 0)


def reach(url: str) -> None:
    """Raise `EngineFailed` unless a server takes connections there, for which the client itself would ask for minutes.

    Raise `ConfigError` for what is no address of Spark Connect.
    """
    if not url.startswith(SCHEME):
        raise ConfigError("Spark is reached at the address of a Spark Connect server: sc://host:15002")
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname or "", place.port or PORT), PATIENCE).close()
    except (OSError, ValueError) as error:
        raise EngineFailed(f"Spark does not answer at {place.hostname}: {error}") from error


def _doubt(pairs: str, alike: Sequence[str]) -> str:
    """The keys of which one is left to the judge, at most, and one row with the counts of all others."""
    keys = ", ".join(f"{key} AS a{n}" for n, key in enumerate(alike))
    counted = ", ".join(f"count_if(class = {kind}) AS {name}" for name, kind in COUNTED.items())
    grouped = (
        f"SELECT {keys}, bool_or(class = {CANDIDATE}) AS is_left, {counted} FROM ({pairs}) GROUP BY {', '.join(alike)}"  # noqa: S608 - names are our own
    )
    only = ", ".join(f"CASE WHEN is_left THEN a{n} END AS a{n}" for n in range(len(alike)))
    return f"SELECT {only}, is_left, {SUMS} FROM ({grouped}) GROUP BY ALL"  # noqa: S608 - names are our own


def _left(names: Sequence[str], keys: Sequence[str], alike: Sequence[str]) -> str:
    """The rows whose key is in doubt, and those that the comparison tells of by themselves: no key, or no time."""
    listed = ", ".join(names)
    apart = " OR ".join(f"{column} IS NULL" for column in ("at_us", *keys))
    same = " AND ".join(f"{key} = a{n}" for n, key in enumerate(alike))
    doubted = f"SELECT {listed} FROM whole LEFT SEMI JOIN doubt ON is_left AND {same} WHERE NOT ({apart})"  # noqa: S608 - names are our own
    return f"{doubted} UNION ALL SELECT {listed} FROM whole WHERE {apart}"  # noqa: S608 - names are our own


def _as_one_file(folder: Path, *, like: Path) -> Path:
    """What Spark's workers have written, beside the snapshot that it is a part of."""
    schema, file = pq.read_schema(like), like.with_suffix(".left.parquet")
    with pq.ParquetWriter(file, schema, compression="lz4") as writer:
        for batch in ds.dataset(folder, schema=schema, format="parquet").to_batches():
            writer.write_batch(batch)
    return file


def _rows(file: Path) -> str:
    """A Parquet file or folder as a statement of Spark names it."""
    quoted = str(file.absolute()).replace("`", "``")
    return f"parquet.`{quoted}`"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _session(url: str) -> SparkSession:
    """A session of its own at this address."""
    try:
        from pyspark.sql.connect.session import SparkSession
    except ImportError as error:
        raise ConfigError(f"comparing in Spark needs {error.name}: pip install 'tieout[spark]'") from error
    with _told():
        session = SparkSession.builder.remote(url).create()
        _ask_again(session, TRIES)
        session.conf.set("spark.sql.ansi.enabled", "true")
        for function in FUNCTIONS:
            session.sql(f"CREATE OR REPLACE TEMPORARY FUNCTION {function}").collect()
        return session


def _ask_again(session: SparkSession, tries: int) -> None:
    """How often a server that does not answer is asked again; in the end it is an error, without warnings before it."""
    from pyspark.sql.connect.client.retries import DefaultPolicy

    session.client.set_retry_policies([DefaultPolicy(max_retries=tries, max_backoff=LONGEST)])
    warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]")


@contextmanager
def _told() -> Iterator[None]:
    """What Spark says, or what its connection died of, in one line."""
    from pyspark.errors import PySparkException

    try:
        yield
    except PySparkException as error:
        died = DIED_OF.search(str(error))
        said = died[1] if died else str(error).strip().partition("\n")[0]
        raise EngineFailed(f"Spark: {said:.300}") from error
