"""Run the kinds of proof, one after the other, and write one table of what they came to, as JSON and as HTML.

Ends with 0 only when every kind that was run has held and has reached enough. Ctrl-C ends it, and writes what there is.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.prove.environment import environment
from tests.prove.kinds import ROOT, Kind, all_kinds
from tests.prove.page import page
from tests.prove.running import Share, run

OUTPUT = ROOT / "build" / "prove"

SEEDS = 1_000_000_000
"""A seed that is drawn is below this: short enough to be typed again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; the exit status."""
    options = parse(arguments)
    seed = secrets.randbelow(SEEDS) if options.seed is None else options.seed
    wanted = {"--seed": seed, "--small": options.small, "--schedules": options.schedules}
    table: dict[str, Any] = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "small": options.small,
        "environment": environment(),
    }
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has had Ctrl-C ignored
        signal.signal(number, interrupt)
    began = time.monotonic()
    shares: list[Share] = []
    whole = table
    for kind in options.kinds or all_kinds():
        say(f"== {kind.title}: {'tests.' + kind.name + '.prove' if kind.is_there else 'not there'}")
        shares.append(run(kind, wanted))
        say(f"   {kind.name}: {shares[-1].verdict}, {shares[-1].seconds:.1f} s")
        whole = table | outcome(shares, began, named=bool(options.kinds))
        write(options.output, whole)
        if shares[-1].verdict == "stopped":
            break
    say(f"{'HELD' if whole['held'] else 'NOT HELD'}: {options.output / 'prove.html'}, {options.output / 'prove.json'}")
    print(json.dumps(whole) if options.json else summary(shares))
    return status_of(whole, shares)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    kinds = {kind.name: kind for kind in all_kinds()}

    def named(name: str) -> Kind:
        if name not in kinds:
            raise argparse.ArgumentTypeError(f"{name!r} is no kind of proof: these are {', '.join(kinds)}")
        return kinds[name]

    parser = argparse.ArgumentParser(prog="tieout prove", description=__doc__)
    parser.add_argument("kinds", nargs="*", type=named, metavar="kind", help=f"default: all: {', '.join(kinds)}")
    parser.add_argument("--small", action="store_true", help="a share of each kind, in minutes")
    parser.add_argument("--schedules", type=int, help="simulated schedules; default: what the simulation thinks right")
    parser.add_argument("--seed", type=int, help="where chance begins; default: drawn, and told")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "prove", help="folder of the table; %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    return parser.parse_args(arguments)


def outcome(shares: Sequence[Share], began: float, *, named: bool) -> dict[str, Any]:
    """What the shares came to together. A kind that is not there counts against a run only that has named it."""
    run_at_all = [share for share in shares if named or share.verdict != "absent"]
    return {
        "held": bool(run_at_all) and all(share.verdict == "held" for share in run_at_all),
        "seconds": round(time.monotonic() - began, 1),
        "kinds": [told(share) for share in shares],
    }


def told(share: Share) -> dict[str, Any]:
    """One kind's row of the table."""
    return {
        "name": share.kind.name,
        "title": share.kind.title,
        "does": share.kind.does,
        "verdict": share.verdict,
        "command": share.command,
        "why": share.why,
        **share.told,
        "seconds": round(share.seconds, 1),
    }


def write(folder: Path, table: dict[str, Any]) -> None:
    """Write the table, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("prove.json", json.dumps(table, indent=1)), ("prove.html", page(table))):
        new = folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(folder / name)


def summary(shares: Sequence[Share]) -> str:
    """A line for each kind."""
    return "\n".join(f"{share.kind.name:<14}{share.verdict:<12}{share.seconds:8.1f} s" for share in shares)


def status_of(whole: dict[str, Any], shares: Sequence[Share]) -> int:
    """0 when all has held, 130 when it was stopped, else 1."""
    if any(share.verdict == "stopped" for share in shares):
        return 130
    return 0 if whole["held"] else 1


def interrupt(*_: object) -> None:
    """Asked to end, in whichever way: the kind at work is asked in turn, and is not told to ignore that."""
    raise KeyboardInterrupt


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
