"""Where suppliers push to: the agency's App as `tieout serve tieout.demo.hotels.door:app` takes it.

Every fifth supplier pushes; each has a key of its own.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import ClientSession

from tieout import App
from tieout.demo.hotels.agency import Terms, agency, supplier_names

EVERY = 5
"""One supplier in so many pushes."""

VARIABLE = "TIEOUT_DEMO_DOOR"
"""The environment variable that says on what terms, and in which database."""


def pushers(suppliers: int) -> list[str]:
    """Those that push."""
    return supplier_names(suppliers)[EVERY - 1 :: EVERY]


def key_of(secret: bytes, supplier: str) -> str:
    """A supplier's key, as the server's settings have it."""
    return f"whsec_{base64.b64encode(hmac.digest(secret, supplier.encode(), 'sha256')).decode()}"


def write_settings(file: Path, secret: bytes, suppliers: int) -> None:
    """The server's settings: who may push for whom. The stranger has a key too, and may push for nobody."""
    lines = [f'[server.senders.{name}]\nkeys = ["{key_of(secret, name)}"]\n' for name in pushers(suppliers)]
    file.write_text("\n".join([*lines, f'[server.senders.stranger]\nkeys = ["{key_of(secret, "stranger")}"]\n']))


def told(terms: Terms, db: str) -> str:
    """What the environment variable has to hold."""
    return msgspec.json.encode({**terms._asdict(), "db": db}).decode()


@asynccontextmanager
async def app() -> AsyncIterator[App]:
    """The App; it dies as soon as whoever holds its standard input is gone."""
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)
    said = msgspec.json.decode(os.environ[VARIABLE])
    db = said.pop("db")
    async with ClientSession() as http:
        made, _ = agency(db, Terms(**said), http, asker="door", follows=False)
        yield made
