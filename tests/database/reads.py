"""Small answers read from a PostgreSQL server, alone in a process: `python -m tests.database.reads URL`.

Prints how often the kernel gave this process a page of memory meanwhile, for each of so many answers, and how long a
long answer was.
"""

from __future__ import annotations

import asyncio
import resource
import sys

from tieout.database import connect

ANSWERS = 500


def _pages() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


async def main(url: str) -> None:
    """Read and tell."""
    database = connect(url)
    await database.open()

    async def work(tx) -> tuple[float, int]:
        await tx.fetch_one("SELECT 1")
        before = _pages()
        for _ in range(ANSWERS):
            await tx.fetch_one("SELECT 1")
        pages = _pages() - before
        (long,) = await tx.fetch_one("SELECT repeat('x', 3000000)")
        return pages / ANSWERS, len(long)

    print(*await database.read(work))
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
