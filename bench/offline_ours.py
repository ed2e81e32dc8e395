"""One offline comparison: `python -m bench.offline_ours UPSTREAM DOWNSTREAM FOLDER`. Prints one JSON line."""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import tieout
from tieout.cli.recon import Progress
from tieout.recon import day, reached, same, side
from tieout.recon.comparing import Comparison

DAY = day("2026-11-22", ZoneInfo("UTC"))


async def run(upstream: str, downstream: str, folder: Path) -> dict[str, Any]:
    """Compare as `tieout recon run` does, and time the whole, and of it what comes after the snapshots."""
    comparing: list[float] = []
    for name in ("__init__", "classify"):
        setattr(Comparison, name, _timed(comparing, getattr(Comparison, name)))
    async with tieout.App(f"sqlite:///{folder}/app.db", sweep=False) as app:
        paid = reached("currency", {"EUR", "USD", "CNY"})
        ours, theirs = (side(url, table="payment", key="id", when=paid, at="paid_at") for url in (upstream, downstream))
        app.rule("payments", upstream=ours, downstream=theirs, agree=[same("amount"), same("currency")])
        began, cpu = time.monotonic(), time.process_time()
        ended = await app.recon.run("payments", DAY, folder=folder / "snapshots", progress=Progress())
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    found = {name: ended.totals[name] for name in ("tied", "missing", "orphan", "differs", "duplicate")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "compare": sum(comparing), "cpu": cpu, "peak_mb": peak, "found": found}


def _timed(seconds: list[float], work: Any) -> Any:
    def timed(*args: Any) -> Any:
        began = time.monotonic()
        result = work(*args)
        seconds.append(time.monotonic() - began)
        return result

    return timed


if __name__ == "__main__":
    _, ours, theirs, where = sys.argv
    print(json.dumps(asyncio.run(run(ours, theirs, Path(where)))))
