"""The rule of the proof, followed by `tieout recon worker tests.recon.proved:app`; the environment says where."""

from __future__ import annotations

import os

import tieout
from tieout.recon import reached, same, side, within

GRACE = "2s"

app = tieout.App(os.environ["PROVED_APP"], sweep=False)
app.rule(
    "proved",
    upstream=side(
        os.environ["PROVED_UP"],
        table="change",
        key=("shop", "id"),
        when=reached("state", {"done", "closed"}),
        at="done",
    ),
    downstream=side(
        os.environ["PROVED_DOWN"],
        table="prize",
        key=("shop", "change_id"),
        when=reached("state", {"issued"}),
        at="issued",
    ),
    agree=[
        same("sku"),
        same("quantity", "qty"),
        same("cost", "value"),
        within("fee", "fee", "0.05"),
        within("seen", "seen", "5s"),
        same("class", "kind", mapping={"a": "A", "b": "B"}),
    ],
    grace=GRACE,
)
