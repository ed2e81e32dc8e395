"""Redemptions over HTTP: `tieout serve` beside the same handler on bare Litestar and asyncpg, in turn.

`python -m bench.http [--seconds N] [--rounds N] [--connections N] [--pool N]`. On a private PostgreSQL with fsync on.
The last line is one JSON object: the highest rates of ours and of the floor (medians over the rounds), their ratio,
what a request costs each side's process, and at half of our rate, in an open loop, the median and 99th percentile of
both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import tieout
from bench.redeem_given import prepare, statements
from bench.turns import run, tell
from tests.servers.postgres import Postgres
from tests.servers.process import free_port
from tieout.access import Tokens

PATIENCE = 60.0

OURS = {"ours": "bench.http_ours:app", "traced": "bench.http_traced:app"}
"""What `tieout serve` serves."""

SHARE = 0.5
"""Of our highest rate: where times are measured."""


def main() -> None:
    """Run both sides in turn."""
    options = options_of(__doc__)
    with private_server() as server:
        print(json.dumps(measure(server, options)))


def options_of(description: str | None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--pool", type=int, default=16)
    return parser.parse_args()


@contextmanager
def private_server() -> Iterator[Postgres]:
    """A PostgreSQL of its own."""
    server = Postgres()
    server.create()
    try:
        yield server
    finally:
        server.remove()


def measure(server: Postgres, options: argparse.Namespace) -> dict[str, Any]:
    """Both sides' highest rates, and their times at the same lower rate."""
    found = highest_rates(("ours", "floor"), server, options)
    highest = {side: statistics.median(one.rates) for side, one in found.items()}
    times = {}
    for side in found:
        with serving(side, server, options) as served:
            load(served, 1, options.connections)
            times[side] = load(served, options.seconds, options.connections, SHARE * highest["ours"])
    return {
        "bench": "http",
        "ours": round(highest["ours"]),
        "floor": round(highest["floor"]),
        "ratio_floor": round(highest["ours"] / highest["floor"], 3),
        "cpu_ms": round(statistics.median(found["ours"].cpu_ms), 3),
        "floor_cpu_ms": round(statistics.median(found["floor"].cpu_ms), 3),
        "open_loop_rate": round(SHARE * highest["ours"]),
        "p50_ms": round(times["ours"]["p50_ms"], 2),
        "p99_ms": round(times["ours"]["p99_ms"], 2),
        "floor_p50_ms": round(times["floor"]["p50_ms"], 2),
        "floor_p99_ms": round(times["floor"]["p99_ms"], 2),
    }


class Served(NamedTuple):
    """A side that serves: its port, a token that it lets in, and its process."""

    port: int
    token: str
    pid: int

    def cpu_seconds(self) -> float:
        """The processor time that it has taken so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Highest(NamedTuple):
    """What one side did in each round: requests a second, and milliseconds of its processor for each."""

    rates: list[float]
    cpu_ms: list[float]


def highest_rates(sides: tuple[str, str], server: Postgres, options: argparse.Namespace) -> dict[str, Highest]:
    """The highest rate of each side in each round; who is first changes with each round."""
    highest = {side: Highest([], []) for side in sides}
    for number in range(options.rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            with serving(side, server, options) as served:
                load(served, 1, options.connections)
                began = served.cpu_seconds()
                found = load(served, options.seconds, options.connections)
                cpu = 1e3 * (served.cpu_seconds() - began) / (found["rate"] * options.seconds)
            highest[side].rates.append(found["rate"])
            highest[side].cpu_ms.append(cpu)
            told = f"{found['rate']:8.0f}/s  p99 {found['p99_ms']:.1f} ms  CPU {cpu:.2f} ms each"
            tell(f"round {number + 1} {side:6} {told}")
    return highest


def load(served: Served, seconds: float, connections: int, *rate: float) -> dict[str, float]:
    """What the load generator says."""
    return run("-m", "bench.http_load", served.port, served.token, seconds, connections, *rate)


@contextmanager
def serving(side: str, server: Postgres, options: argparse.Namespace) -> Iterator[Served]:
    """One side on an empty database."""
    url, port = server.url(pool=options.pool), free_port()
    asyncio.run(prepare(url))
    token = asyncio.run(new_token(url))
    server.psql("VACUUM ANALYZE")
    server.psql("CHECKPOINT")
    if side in OURS:
        tieout_command = Path(sys.executable).parent / "tieout"
        command = [tieout_command, "serve", OURS[side], "--port", port, "--log-level", "warning"]
    else:
        command = [
            sys.executable,
            "-m",
            "bench.http_floor",
            server.url(),
            options.pool,
            port,
            statements("postgres"),
            token,
        ]
    limits = {"BENCH_DB": url, "TIEOUT_RATE": "1e9", "TIEOUT_BURST": "1e9"}
    process = subprocess.Popen([*map(str, command)], env=os.environ | limits)
    try:
        wait_until_it_listens(port, process)
        yield Served(port, token, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


async def new_token(url: str) -> str:
    """A token of a client."""
    async with tieout.App(url, sweep=False) as app:
        tokens = Tokens(app.database, app.operate.audit, app.engine.world.clock)
        made = await tokens.create("bench", ("client",), lifetime=10**10, actor="bench", reason="load")
        return made.text


def wait_until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until a connection can be opened."""
    ends = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("the server did not start")


if __name__ == "__main__":
    main()
