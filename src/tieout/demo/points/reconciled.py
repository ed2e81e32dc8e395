"""Both services' tables under one rule, followed by `tieout recon worker tieout.demo.points.reconciled:tied`.

Where they are is told by the environment: DEMO_MALL, DEMO_PRIZES, and DEMO_RECON for what tieout keeps; DEMO_GRACE.
"""

from __future__ import annotations

import asyncio
import os
import sys

from tieout import App
from tieout.recon import epoch, reached, same, side

RULE = "redemption"


def tied() -> App:
    """The same for a worker that dies as soon as whoever holds its standard input is gone."""
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 1)
    return make()


def make() -> App:
    """An App with the rule."""
    app = App(os.environ["DEMO_RECON"], sweep=False)
    app.rule(
        RULE,
        upstream=side(
            os.environ["DEMO_MALL"],
            table="redemption",
            key="order_key",
            when=reached("state", {"completed"}),
            at=epoch("completed_at", "us"),
        ),
        downstream=side(
            os.environ["DEMO_PRIZES"],
            table="prize",
            key="order_key",
            when=reached("status", {"SUCCEEDED"}),
            at=epoch("issued_at", "us"),
        ),
        agree=[same("sku"), same("quantity")],
        grace=os.environ["DEMO_GRACE"],
        owner="points-team",
    )
    return app
