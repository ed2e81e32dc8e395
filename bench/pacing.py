"""How requests come: so many at a time, or, for latencies, at a rate that does not wait for answers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from threading import Thread

SEED = 7
"""Of the times between requests that come at a rate: the same for both sides."""


async def drive(
    one: Callable[[int], Awaitable[None]], requests: int, in_flight: int, rate: float = 0.0
) -> dict[str, float]:
    """Run the requests, `in_flight` at a time, or at `rate` a second: requests a second, CPU, and milliseconds.

    A request that comes at a rate is timed from when it was to come, so that one that had to wait shows it.
    """
    took: list[float] = []
    left = iter(range(requests))

    async def client() -> None:
        for number in left:
            began = time.perf_counter()
            await one(number)
            took.append(time.perf_counter() - began)

    async def visitor(number: int, due: float) -> None:
        await one(number)
        took.append(time.perf_counter() - due)

    began, cpu = time.perf_counter(), time.process_time()
    if rate:
        await _come(visitor, requests, rate)
    else:
        await asyncio.gather(*(client() for _ in range(in_flight)))
    return _measured(took, time.perf_counter() - began, time.process_time() - cpu)


async def _come(visitor: Callable[[int, float], Awaitable[None]], requests: int, rate: float) -> None:
    chance = random.Random(SEED)
    due = time.perf_counter()
    running = set()
    for number in range(requests):
        due += chance.expovariate(rate)
        if (pause := due - time.perf_counter()) > 0:
            await asyncio.sleep(pause)
        running.add(asyncio.ensure_future(visitor(number, due)))
    await asyncio.gather(*running)


def drive_threads(one: Callable[[int], None], requests: int, threads: int) -> dict[str, float]:
    """Run the requests in so many threads."""
    took: list[float] = []
    left = iter(range(requests))
    failed: list[BaseException] = []

    def client() -> None:
        try:
            for number in left:
                began = time.perf_counter()
                one(number)
                took.append(time.perf_counter() - began)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failed.append(error)

    running = [Thread(target=client) for _ in range(threads)]
    began, cpu = time.perf_counter(), time.process_time()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if failed:
        raise failed[0]
    return _measured(took, time.perf_counter() - began, time.process_time() - cpu)


def _measured(took: list[float], seconds: float, cpu: float) -> dict[str, float]:
    ordered = sorted(took)
    return {
        "rate": len(took) / seconds,
        "cpu": cpu / seconds,
        "p50": round(1e3 * ordered[len(ordered) // 2], 3),
        "p99": round(1e3 * ordered[len(ordered) * 99 // 100], 3),
    }
