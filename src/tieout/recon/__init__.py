"""Two sides compared by one rule, offline over a period. Needs the extra `recon`."""

from tieout.recon.book import Recon
from tieout.recon.define import (
    Agreement,
    File,
    Ignored,
    Moment,
    Reached,
    Rule,
    Side,
    csv,
    epoch,
    ignore,
    parquet,
    present,
    reached,
    same,
    side,
    sums,
    within,
)
from tieout.recon.paged import Cursor, Paged, http
from tieout.recon.periods import Period, between, day
from tieout.recon.rules import Difference, Field, Judged, Record, Verdict, judge
from tieout.recon.store import Break, Run

__all__ = [
    "Agreement",
    "Break",
    "Cursor",
    "Difference",
    "Field",
    "File",
    "Ignored",
    "Judged",
    "Moment",
    "Paged",
    "Period",
    "Reached",
    "Recon",
    "Record",
    "Rule",
    "Run",
    "Side",
    "Verdict",
    "between",
    "csv",
    "day",
    "epoch",
    "http",
    "ignore",
    "judge",
    "parquet",
    "present",
    "reached",
    "same",
    "side",
    "sums",
    "within",
]
