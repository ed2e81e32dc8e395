"""A node that follows the suppliers: `python -m tieout.demo.hotels.node --help`. Its port tells its figures."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
import time

import msgspec
from aiohttp import ClientSession, TCPConnector

from tieout.demo.hotels.agency import Terms, agency


async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell whoever connects the most memory that was used, in bytes, and the seconds of computing; then hang up."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    writer.write(msgspec.json.encode({"memory": memory, "cpu": time.process_time()}))
    writer.close()


async def run(said: argparse.Namespace) -> None:
    """Follow until SIGTERM; when it is tied, it dies as soon as whoever holds its standard input is gone."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if said.tied:
        loop.add_reader(sys.stdin.fileno(), os._exit, 1)
    terms = Terms(said.url, said.suppliers, said.limit, said.window, said.speed, said.catalogue_every)
    async with ClientSession(connector=TCPConnector(limit=0)) as http:
        app, _ = agency(said.db, terms, http, asker="plan", follows=True)
        async with app, await asyncio.start_server(tell, "127.0.0.1", said.port, reuse_address=True):
            await stop.wait()


def main() -> None:
    """What was said on the command line is done."""
    parser = argparse.ArgumentParser(description="A node of the travel agency.")
    parser.add_argument("--db", required=True, help="sqlite:///…, postgresql://… or mysql://…")
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--url", required=True, help="where the suppliers are")
    parser.add_argument("--suppliers", required=True, type=int)
    parser.add_argument("--limit", required=True, type=int, help="queries that each allows in its window")
    parser.add_argument("--window", required=True, type=float, help="seconds")
    parser.add_argument("--speed", required=True, type=float)
    parser.add_argument("--catalogue_every", type=float, default=60.0, help="seconds")
    parser.add_argument("--tied", action="store_true", help="end when standard input ends")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
