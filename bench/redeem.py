"""Points for a prize: tieout beside the same writes by hand, in turn, on every database and in both colours.

`python -m bench.redeem [--only postgres,mariadb,sqlite] [--colours asyncio,blocking] [--redemptions N] [--rounds N]
[--in-flight N] [--pool N] [--no-dbos]`. Servers are private and flush at every commit. The last lines are one JSON
object for each database and colour: redemptions per second of ours and of the floor (medians over the rounds), their
ratio, and the statements and commits of one redemption as they were counted, the same on both sides. Beside PostgreSQL
a line of DBOS follows.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.peer import compare
from bench.redeem_given import prepare, statements
from bench.servers import Counting, CountingMariaDB, CountingPostgres, running
from bench.turns import in_turn, line, run, same, tell

COLOURS = ("asyncio", "blocking")
OURS = {"asyncio": "bench.redeem_ours", "blocking": "bench.redeem_ours_blocking"}


class OnServer:
    """Both sides of one colour on a server."""

    def __init__(self, server: Counting, colour: str, options: argparse.Namespace) -> None:
        self.server, self.colour, self.options = server, colour, options
        self.url = server.url(pool=options.pool)
        self.given = statements(server.dialect)

    def reset(self) -> None:
        """Begin with empty tables."""
        asyncio.run(prepare(self.url))
        self.server.settle()

    def ours(self, redemptions: int | None = None, *rate: float) -> dict[str, Any]:
        """On tieout."""
        amount = (self.options.in_flight, redemptions or self.options.redemptions)
        return run("-m", OURS[self.colour], self.url, *amount, *rate)

    def floor(self, redemptions: int | None = None, *rate: float) -> dict[str, Any]:
        """By hand, on the bare driver."""
        amount = (self.options.pool, self.options.in_flight, redemptions or self.options.redemptions, self.given)
        if self.colour == "blocking":
            return run("-m", "bench.redeem_floor_threads", self.server.dialect, *self.server.address, *amount)
        return run("-m", f"bench.redeem_floor_{self.server.dialect}", *self.server.address, *amount, *rate)

    def compare(self) -> str:
        """The line of this database and colour."""
        tell(f"{self.server.name}, {self.colour}")
        counts = {}
        for name, side in (("ours", self.ours), ("floor", self.floor)):
            self.reset()
            counts[name] = self.server.count(side)
        shared = same(counts)
        rates = in_turn({"ours": self.ours, "floor": self.floor}, self.options.rounds, self.reset)
        return line("redeem", rates, db=self.server.name, colour=self.colour, **shared)


class OnSqlite:
    """Both sides of one colour on SQLite.

    On an event loop the floor is a hand-written writer thread that makes batches of at most the size that ours was
    seen to make; in threads it is what threads do without one: a transaction and a commit each.
    """

    def __init__(self, folder: Path, colour: str, options: argparse.Namespace) -> None:
        self.folder, self.colour, self.options = folder, colour, options
        self.file = folder / "bench.db"
        self.url = f"sqlite:///{self.file}"
        self.given = statements("sqlite")
        self.batches: list[float] = []

    def reset(self) -> None:
        """Begin with empty tables."""
        for old in self.folder.iterdir():
            old.unlink()
        asyncio.run(prepare(self.url))

    def ours(self, redemptions: int | None = None, *more: str | float) -> dict[str, Any]:
        """On tieout."""
        redemptions = redemptions or self.options.redemptions
        result = run("-m", OURS[self.colour], self.url, self.options.in_flight, redemptions, *more)
        self.batches.append(2 * redemptions / result["commits"])
        return result

    def floor(self, redemptions: int | None = None, *more: str | float) -> dict[str, Any]:
        """By hand, on bare sqlite3."""
        amount = (self.options.in_flight, redemptions or self.options.redemptions, self.given)
        if self.colour == "blocking":
            return run("-m", "bench.redeem_floor_threads", "sqlite", self.file, 1, *amount)
        return run("-m", "bench.redeem_floor_sqlite", self.file, max(1, round(max(self.batches))), *amount, *more)

    def compare(self) -> str:
        """The line of this colour."""
        tell(f"sqlite, {self.colour}")
        self.reset()
        counts = {"ours": _per_redemption(self.ours(None, "count"))}
        counts["floor"] = _per_redemption(self.floor(None, "count")) if self.colour == "asyncio" else counts["ours"]
        shared = same(counts)
        self.batches.clear()
        self.ours()
        rates = in_turn({"ours": self.ours, "floor": self.floor}, self.options.rounds, self.reset)
        batch = round(statistics.median(self.batches), 1)
        return line("redeem", rates, db="sqlite", colour=self.colour, **shared, batch=batch)


def _per_redemption(result: dict[str, Any]) -> dict[str, float]:
    """The statements and transactions of one redemption, as a side counted what it ran."""
    return {"statements": result["statements"], "commits": result["transactions"]}


def on_servers(options: argparse.Namespace) -> list[str]:
    """The lines of PostgreSQL, with DBOS beside it, and of MariaDB."""
    lines = []
    for kind in (CountingPostgres, CountingMariaDB):
        if kind.name not in options.only:
            continue
        with running(kind()) as server:
            lines += [OnServer(server, colour, options).compare() for colour in options.colours]
            if kind is CountingPostgres and options.dbos:
                lines += compare(OnServer(server, "asyncio", options))
    return lines


def on_sqlite(options: argparse.Namespace) -> list[str]:
    """The lines of SQLite."""
    lines = []
    for colour in options.colours if "sqlite" in options.only else ():
        with tempfile.TemporaryDirectory(prefix="tieout-bench-") as folder:
            lines.append(OnSqlite(Path(folder), colour, options).compare())
    return lines


def main() -> None:
    """Run them all and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="postgres,mariadb,sqlite", type=lambda text: text.split(","))
    parser.add_argument(
        "--colours", default=",".join(COLOURS), type=lambda text: [one for one in COLOURS if one in text]
    )
    parser.add_argument("--redemptions", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--pool", type=int, default=16)
    parser.add_argument("--dbos", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    lines = [*on_servers(options), *on_sqlite(options)]
    sys.stderr.flush()
    print("\n".join(lines))


if __name__ == "__main__":
    main()
