"""What concerns this machine as much as the database: its clock, its disk."""

from __future__ import annotations

import time

from tieout.app import App
from tieout.cli.doctor.finding import Finding
from tieout.cli.where import server_now

SKEW_ALLOWED = 1.0
"""Seconds: tieout decides by the server's clock alone, but logs and people compare the two."""


async def clock(app: App) -> Finding:
    """How far this machine's clock is from the database server's."""
    before = time.time()
    server = await server_now(app) / 1e6
    after = time.time()
    return judge_clock(server - (before + after) / 2, (after - before) / 2)


def judge_clock(ahead: float, uncertain: float) -> Finding:
    """The verdict on a server that is `ahead` of this machine, give or take `uncertain`, in seconds."""
    found = f"the server is {ahead:+.3f} s from this machine, give or take {uncertain:.3f} s"
    if abs(ahead) - uncertain <= SKEW_ALLOWED:
        return Finding("clock", "ok", found)
    return Finding("clock", "wrong", found, "run a time service (chrony, systemd-timesyncd) on both machines")
