"""A backlog worked off: a million final processes, a hundred thousand that are due, and some downstreams dead.

`python -m bench.backlog [--final N] [--due N]`, on a private PostgreSQL with fsync on. The last line is JSON: the
seconds to drain what can be drained, and the median and 99th percentile of claims, with one and with two workers, of
the statement and of the whole with its wait for a connection; processes that were worked on twice; CPU seconds of
workers and server for each second; what an idle sweep costs without and with the final rows; and what a claim costs
while another transaction holds an old snapshot, from the low-water mark on and without it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tieout
from bench.backlog_worker import Timed, opened
from tests.servers.postgres import Postgres, binary
from tests.servers.process import children

HERE = Path(__file__).parent
LANES, DEAD = 10, 2
"""Downstreams, and how many of them do not answer."""

CREATED = 1_700_000_000_000_000
"""When everything was created, in microseconds: long ago, so that all of it is due."""

IDLE_SWEEPS = 200
HELD = 20_000
"""Processes that are worked off while a snapshot is held."""

TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run all of it and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--final", type=int, default=1_000_000)
    parser.add_argument("--due", type=int, default=100_000)
    options = parser.parse_args()
    server = Postgres(max_wal_size="4GB")
    server.create()
    try:
        print(json.dumps({"bench": "backlog", "db": "postgres", **measured(server, options.final, options.due)}))
    finally:
        server.remove()


def measured(server: Postgres, final: int, due: int) -> dict[str, Any]:
    """The figures, in the order in which they are taken."""
    asyncio.run(migrated(server.url()))
    result: dict[str, Any] = {"final": final, "due": due, "idle_ms_without_finals": idle(server)}
    load(server, "finals", final)
    result["idle_ms_with_finals"] = idle(server)
    for workers in (1, 2):
        load(server, "dues", due, name=f"w{workers}-")
        result |= {f"{name}_{workers}": value for name, value in drained(server, workers).items()}
        server.psql("DELETE FROM tieout_process WHERE status = 'running'")
    with snapshot(server):
        load(server, "dues", HELD, name="held-")
        drained(server, 1)
        server.psql("DELETE FROM tieout_process WHERE status = 'running'")
        result |= asyncio.run(held_claims(server.url()))
    return result


async def migrated(url: str) -> None:
    """An empty database with tieout's tables."""
    app = tieout.App(url)
    await app.migrate()
    await app.database.close()


def load(server: Postgres, what: str, count: int, name: str = "") -> None:
    """Put rows into the table, as the server makes them; then let it know them."""
    text = (HERE / "backlog_load.sql").read_text().split(f"-- name: {what}\n")[1].split("-- name:")[0]
    values = {"created": CREATED, "count": count, "lanes": LANES, "round": f"'{name}'"}
    for word, value in values.items():
        text = text.replace(f":{word}", str(value))
    began = time.monotonic()
    server.psql(text)
    server.psql("VACUUM ANALYZE tieout_process")
    server.psql("CHECKPOINT")
    say(f"{count} {what} loaded in {time.monotonic() - began:.1f} s")


def drained(server: Postgres, workers: int) -> dict[str, Any]:
    """What so many worker processes do with what is due."""
    command = [sys.executable, "-m", "bench.backlog_worker", server.url(), str(LANES), str(DEAD)]
    cpu = server_cpu(server)
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(workers)]
    told = [json.loads(process.communicate(timeout=600)[0]) for process in running]
    cpu = server_cpu(server) - cpu
    seconds = max(one["seconds"] for one in told)
    asked: Counter[str] = Counter()
    for one in told:
        asked.update(one["asked"])
    result = {
        "drain_seconds": round(seconds, 1),
        "drained_per_second": round(len(asked) / seconds),
        **spread("claim", [each for one in told for each in one["statements"]]),
        **spread("whole_claim", [each for one in told for each in one["claims"]]),
        "double_claims": asked.total() - len(asked),
        "worker_cpu": round(sum(one["cpu"] for one in told) / seconds, 2),
        "server_cpu": round(cpu / seconds, 2),
    }
    say(f"{workers} workers: {result}")
    return result


def spread(name: str, seconds: list[float]) -> dict[str, float]:
    """The median and the 99th percentile, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {f"{name}_p50_ms": round(cuts[49] * 1e3, 2), f"{name}_p99_ms": round(cuts[98] * 1e3, 2)}


def idle(server: Postgres) -> dict[str, float]:
    """What one sweep costs that finds nothing: on the clock, and of the server's processor, in milliseconds."""
    seconds, cpu = asyncio.run(idle_sweeps(server))
    result = {"p50": round(statistics.median(seconds) * 1e3, 2), "server_cpu": round(cpu / len(seconds) * 1e3, 2)}
    say(f"idle sweep: {result}")
    return result


async def idle_sweeps(server: Postgres) -> tuple[list[float], float]:
    app = opened(server.url(), LANES, DEAD, sweep=False)
    timed = Timed(app)
    async with app:
        await app.worker.sweep()
        cpu = server_cpu(server)
        timed.clear()
        for _ in range(IDLE_SWEEPS):
            await app.worker.sweep()
        return timed.whole, server_cpu(server) - cpu


async def held_claims(url: str) -> dict[str, float]:
    """Empty claims among index entries that nothing may remove: a full one, and those from the low-water mark on."""
    app = opened(url, LANES, DEAD, sweep=False)
    timed = Timed(app)
    async with app:
        await app.worker.sweep()
        (full,) = timed.statement
        timed.clear()
        for _ in range(IDLE_SWEEPS):
            await app.worker.sweep()
    result = {"held_full_scan_ms": round(full * 1e3, 2), **spread("held_claim", timed.statement)}
    say(f"while a snapshot is held: {result}")
    return result


@contextmanager
def snapshot(server: Postgres) -> Any:
    """Somebody's transaction that began before all that follows."""
    where = ["-h", str(server.folder), "-p", str(server.port), "-U", "u", "-d", "postgres"]
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tieout_alarm;\n"
    psql = subprocess.Popen([binary("psql"), "-XqAt", *where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    psql.stdin.write(begin)
    psql.stdin.flush()
    psql.stdout.readline()
    try:
        yield
    finally:
        psql.communicate("ROLLBACK;\n", timeout=30)


def server_cpu(server: Postgres) -> float:
    """Seconds of processor time that the server and all that it has started have used."""
    main = server.process.pid
    own, ended = cpu_of(main)
    return own + ended + sum(cpu_of(child)[0] for child in children(main))


def cpu_of(pid: int) -> tuple[float, float]:
    """Seconds of processor time of a process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS, (int(fields[13]) + int(fields[14])) / TICKS


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
