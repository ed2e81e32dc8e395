"""Leave many groups at about the moment at which each gives its partitions out: a program, since it may stand still."""

from __future__ import annotations

import asyncio

from tests.channels.cases import KafkaCase
from tieout.channels.kafka import KafkaChannel

GROUPS = 40
SHARED_OUT = 3.0
"""Seconds that a new group waits for more members, in the cluster that the client imitates."""

FIRST, LAST = SHARED_OUT - 0.1, SHARED_OUT + 0.4


async def join_and_leave(case: KafkaCase, number: int) -> None:
    channel = KafkaChannel(case.server.url, group=f"group{number}", settings={"session.timeout.ms": 6_000})
    await case.make(f"topic{number}")
    subscription = await channel.subscribe(f"topic{number}")
    await asyncio.sleep(FIRST + (LAST - FIRST) * (number % GROUPS) / GROUPS)
    await subscription.close()


async def main() -> None:
    case = KafkaCase()
    case.server.start()
    for first in (0, GROUPS, 2 * GROUPS):
        await asyncio.gather(*(join_and_leave(case, first + number) for number in range(GROUPS)))
    case.server.remove()


if __name__ == "__main__":
    asyncio.run(main())
