"""A node whose process waits for a downstream that does not answer, until it is killed: `killed.py URL TRACEPARENT`."""

from __future__ import annotations

import asyncio
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tests.tracing.shop import Shop, start


async def main(url: str, traceparent: str) -> None:
    trace.set_tracer_provider(TracerProvider())
    shop = Shop(url)
    shop.answers = False
    async with shop.app() as app:
        process = await start(app, "killed", traceparent=traceparent)
        while not shop.asked:  # noqa: ASYNC110 - the downstream tells nobody else
            await asyncio.sleep(0.01)
        print(process, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
