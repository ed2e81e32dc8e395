"""Following both sides live: row events from commit to durable verdict, beside bare readers of the same logs.

`python -m bench.live [--db NAME] [--pairs N] [--rounds N]`, on private servers that flush at every commit and hold both
sources and what tieout keeps. So many rows are committed on each side, a transaction each, with nobody reading; then
each follows them in its turn. *Ours* follows until every pair is tied. A bare reader decodes whole transactions to rows
by column, and counts them: our own feeds do, and a library does (psycopg2 with pgoutput decoded by hand;
mysql-replication). Before that each has to tell what was done, as `live_asked` asks; what a reader lacks is told, and
the ratio is to the fastest that lacks nothing. After that rows are committed at half the rate of ours while it follows;
p99 is from a row's statement until the commit of the verdict that it led to. The last lines are one JSON object for
each database: row events per second (medians of the rounds), those of the fastest reader, their ratio, and
milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import live_asked as asked
from bench.live_sources import KINDS, Sources
from bench.peer import environment
from bench.turns import HERE, run, tell

SECONDS = 20
"""How long rows are committed at half the rate."""

PEERS = {"postgres": "psycopg2", "mariadb": "mysql_replication"}


class Bench:
    """Both sources on one server, and those who read them."""

    def __init__(self, sources: Sources, folder: Path) -> None:
        self.sources, self.place, self.peer_place = sources, folder / "places", folder / "peer"
        self.peer = PEERS[sources.name]
        self.python = environment(f"live_{self.peer}", HERE / f"live_{self.peer}_requirements.txt")

    def begin(self) -> dict[str, str]:
        """Let everybody go on from here; what each bare reader lacks that it has to tell, "" for nothing."""
        self.sources.begin()
        self._begin_all()
        for statement in asked.statements(self.sources.name):
            self.sources.execute(statement, "up")
        lacking = {name: self._lacking(name) for name in self._bare}
        self.sources.execute("TRUNCATE points", "up")
        self.sources.execute("INSERT INTO points (id) VALUES (0)", "up")
        for name in self._bare:
            lacking[name] = lacking[name] or self._passes_over(name)
        self.sources.execute("DELETE FROM points", "up")
        self._begin_all()
        return lacking

    @property
    def _bare(self) -> list[str]:
        return ["feeds"] if self.python is None else ["feeds", self.peer]

    def _begin_all(self) -> None:
        run("-m", "bench.live_ours", "begin", self.place)
        if self.python is not None:
            self._peer("begin")

    def _told(self, name: str, changes: int, stderr: int | None = None) -> list[Any]:
        if name == "feeds":
            found = run("-m", "bench.live_ours", "told", self.place, changes, stderr=stderr)
        else:
            found = self._peer("told", changes, stderr=stderr)
        told: list[Any] = found["told"]
        return told

    def _lacking(self, name: str) -> str:
        dialect = self.sources.name
        first = self._told(name, asked.FIRST)
        return asked.lacking([*first, *self._told(name, asked.CHANGES - asked.FIRST)], dialect)

    def _passes_over(self, name: str) -> str:
        """Whether a reader goes on where rows went without a word."""
        try:
            self._told(name, 1, stderr=subprocess.PIPE)
        except subprocess.CalledProcessError as error:
            tell(f"{name} ends at TRUNCATE, as it has to: {error.stderr.strip().splitlines()[-1]}")
            return ""
        return "it passes over TRUNCATE"

    def readers(self, pairs: int) -> dict[str, Callable[[], dict[str, Any]]]:
        """Who reads, ours first."""
        sides: dict[str, Callable[[], dict[str, Any]]] = {
            "ours": lambda: run("-m", "bench.live_ours", "ours", self.place, pairs, self.sources.rows),
            "feeds": lambda: run("-m", "bench.live_ours", "reader", self.place, pairs),
        }
        if self.python is not None:
            sides[self.peer] = lambda: self._peer(pairs)
        return sides

    def latency(self, rate: float) -> dict[str, float]:
        """Milliseconds from commit to verdict at a rate of row events per second."""
        first = self.sources.rows + 1
        self.sources.rows += max(1, int(rate / 2 * SECONDS))
        return run("-m", "bench.live_ours", "follow", self.place, first, self.sources.rows, rate / 2)

    def _peer(self, what: object, *more: object, stderr: int | None = None) -> dict[str, Any]:
        command = ("-m", f"bench.live_{self.peer}", what, self.peer_place, *more)
        return run(*command, python=str(self.python), stderr=stderr)


def measured(sources: Sources, pairs: int, rounds: int) -> dict[str, Any]:
    """The line of one database."""
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
        bench = Bench(sources, Path(folder))
        try:
            lacking = bench.begin()
            for name, what in lacking.items():
                tell(f"{sources.name} {name}: {what or 'tells all that a feed has to tell'}")
            for number in range(rounds):
                sources.load(pairs)
                sides = list(bench.readers(pairs).items())
                for name, read in sides[number % len(sides) :] + sides[: number % len(sides)]:
                    rates.setdefault(name, []).append(read()["rate"])
                    tell(f"{sources.name} round {number + 1} {name:17} {rates[name][-1]:8.0f} row events/s")
            medians = {name: statistics.median(several) for name, several in rates.items()}
            ours = medians.pop("ours")
            waited = bench.latency(ours / 2)
        finally:
            sources.remove()
    tell(f"at {ours / 2:.0f} row events/s: p50 {waited['p50_ms']:.0f} ms, p99 {waited['p99_ms']:.0f} ms")
    fastest = max((name for name, what in lacking.items() if not what), key=lambda name: medians[name])
    return {
        "bench": "live",
        "db": sources.name,
        "ours": round(ours),
        "reader": round(medians[fastest]),
        "ratio_reader": round(ours / medians[fastest], 3),
        "p99_ms": round(waited["p99_ms"]),
        "fastest": fastest,
        "readers": {name: round(rate) for name, rate in medians.items()},
        "lacking": {name: what for name, what in lacking.items() if what},
    }


def main() -> None:
    """Run it and print the results as the last lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", choices=sorted(KINDS), action="append", help="default: both")
    parser.add_argument("--pairs", type=int, help="rows on each side in a round; default: 60000, MariaDB 20000")
    parser.add_argument("--rounds", type=int, default=3)
    said = parser.parse_args()
    lines = []
    for name in said.db or KINDS:
        pairs = said.pairs or (60_000 if name == "postgres" else 20_000)
        lines.append(json.dumps(measured(KINDS[name](), pairs, said.rounds)))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
