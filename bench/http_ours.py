"""The redemption behind `tieout serve`: `BENCH_DB=URL tieout serve bench.http_ours:app`."""

from __future__ import annotations

import os

import tieout
from bench.redeem_ours import Redeem

app = tieout.App(os.environ["BENCH_DB"], migrate=False)
app.register(Redeem)
