"""Sides that take turns, each in a process of its own, so that a slow minute of the machine hits them all."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

Side = Callable[[], dict[str, Any]]
"""Runs one side once; returns its rate, and what else it measured."""


def run(*command: object, python: str = sys.executable, stderr: int | None = None) -> dict[str, Any]:
    """What a side printed on its last line; what it says of its errors goes to `stderr`, by default ours."""
    process = subprocess.run(
        [python, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=True,
        timeout=600,
        cwd=HERE.parent,
    )
    result: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return result


def in_turn(sides: Mapping[str, Side], rounds: int, reset: Callable[[], None]) -> dict[str, float]:
    """The median rate of each side over the rounds; who is first changes with each round."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides) if number % 2 == 0 else list(reversed(sides)):
            reset()
            result = sides[name]()
            rates[name].append(result["rate"])
            tell(f"round {number + 1} {name:6} {result['rate']:8.0f}/s  client CPU {result['cpu']:.2f}")
    return {name: statistics.median(values) for name, values in rates.items()}


def tell(text: str) -> None:
    """Progress, for people."""
    print(f"  {text}", file=sys.stderr, flush=True)


def line(bench: str, rates: Mapping[str, float], **more: Any) -> str:
    """The last line of one database and colour: both rates, their ratio, and what else is told of it."""
    names = {name: more.pop(name) for name in ("db", "colour") if name in more}
    result = {"bench": bench, **names, "ours": round(rates["ours"]), "floor": round(rates["floor"])}
    return json.dumps({**result, "ratio_floor": round(rates["ours"] / rates["floor"], 3), **more})


def same(counts: Mapping[str, dict[str, float]]) -> dict[str, float]:
    """The counts that both sides share; ends the run when they do not do the same work."""
    tell(f"statements and commits of one: {counts}")
    if counts["ours"] != counts["floor"]:
        raise SystemExit(f"the sides do not do the same work: {counts}")
    return counts["ours"]
