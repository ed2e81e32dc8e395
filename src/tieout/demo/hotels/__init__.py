"""Hotels: a copy of suppliers' prices that follows them within their limits while they fail, and an auditor of it.

`run` is the whole demo; `tieout demo hotels` is its command.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tieout import ConfigError
from tieout.demo.services import ServiceFailed

DEFAULT_SPEED = 60.0
DEFAULT_PER_MINUTE = 60
SMALL_SECONDS, FULL_SECONDS = 8.0, 120.0
BOOKINGS_VARIABLE = "TIEOUT_DEMO_BOOKINGS"


def run(
    *,
    db: str = "sqlite",
    full: bool = False,
    suppliers: int | None = None,
    hotels: int | None = None,
    seconds: float | None = None,
    speed: float = DEFAULT_SPEED,
    per_minute: int = DEFAULT_PER_MINUTE,
    seed: int = 1,
    bookings: str | None = None,
    json: bool = False,
    keep: bool = False,
) -> int:
    """Run the demo and print its result; return the exit status, 0 only when every promise was kept.

    db          "sqlite" (a file in a temporary folder), or a `postgresql://` or `mysql://` URL where it may create one.
    full        200 suppliers with 30,000 hotels and 300,000 rooms, on a server; else 5 suppliers with 300 hotels.
    suppliers   how many suppliers instead, 1 to 500; hotels: how many of each instead, 1 to 5,000.
    seconds     how long people come and faults strike, 3 to 86,400; the first load comes before that.
    speed       how many times faster than the clock everything goes, 1 to 600; days stay those of the calendar.
    per_minute  queries that each supplier allows in a minute of the demo's time, 1 to 6,000.
    bookings    a CSV file with a column `lead_time`, plain or zipped, to draw demand from (`TIEOUT_DEMO_BOOKINGS`).
    json        print the figures as the last line of standard output, and everything else on standard error.
    keep        keep what was made.
    """
    lasting = (FULL_SECONDS if full else SMALL_SECONDS) if seconds is None else seconds
    for name, value, low, high in (
        ("seconds", lasting, 3, 86_400),
        ("speed", speed, 1, 600),
        ("per-minute", per_minute, 1, 6_000),
        ("suppliers", 5 if suppliers is None else suppliers, 1, 500),
        ("hotels", 60 if hotels is None else hotels, 1, 5_000),
    ):
        if not low <= value <= high:
            raise ConfigError(f"--{name} is {low} to {high}, not {value}")
    if full and db == "sqlite":
        raise ConfigError("--full needs a server: --db postgresql://user@host/database")
    given = bookings or os.environ.get(BOOKINGS_VARIABLE)
    try:
        import granian  # noqa: F401 - the door is served by it
        import litestar  # noqa: F401 - and is written with this

        from tieout.demo.hotels.director import Options, direct, size_of
    except ImportError as error:
        raise ConfigError(f"the demo needs {error.name}: pip install 'tieout[demo,mirror,server]'") from error
    size = size_of(full=full, suppliers=suppliers, hotels=hotels)
    options = Options(db, size, lasting, speed, per_minute, seed, Path(given) if given else None, json, keep)
    try:
        return asyncio.run(direct(options))
    except ServiceFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
