"""Runs one kind of proof in a process of its own, and reads what it came to."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.prove.kinds import ROOT, Kind

Verdict = Literal["held", "violated", "too little", "broken", "stopped", "absent"]

GRACE = 20.0
"""Seconds that a kind has to tell what it has, once it was asked to end."""

SAID = 4_000
"""Characters kept of what a kind has printed last when it broke."""


@dataclass
class Share:
    """What one kind came to, or why it came to nothing."""

    kind: Kind
    verdict: Verdict
    told: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    seconds: float = 0.0
    why: str = ""


def run(kind: Kind, wanted: Mapping[str, Any]) -> Share:
    """Run a kind with those options that it takes; a Ctrl-C meanwhile ends it, and is raised again by nobody."""
    if not kind.is_there:
        return Share(kind, "absent", why=f"there is no tests/{kind.name}/prove.py")
    module = ["-m", f"tests.{kind.name}.prove"]
    chosen = [*module, *fitting(wanted, options_of(module)), "--json"]
    command = " ".join(["python", *chosen])
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *chosen],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    printed, stopped = output_of(process)
    share = judged(kind, printed, process.returncode, stopped=stopped)
    share.command, share.seconds = command, time.monotonic() - began
    return share


def output_of(process: subprocess.Popen[str]) -> tuple[str, bool]:
    """What it prints until it ends, and whether it was ended by Ctrl-C; nothing of it is left running."""
    stopped = False
    try:
        printed, _ = process.communicate()
    except KeyboardInterrupt:
        stopped = True
        printed = ended(process)
    finally:
        end_group(process, signal.SIGKILL)
    return printed, stopped


def ended(process: subprocess.Popen[str]) -> str:
    """What a process still tells that is asked to end."""
    end_group(process, signal.SIGINT)
    try:
        printed, _ = process.communicate(timeout=GRACE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        end_group(process, signal.SIGKILL)
        printed, _ = process.communicate()
    return printed


def end_group(process: subprocess.Popen[str], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def judged(kind: Kind, printed: str, status: int, *, stopped: bool) -> Share:
    """The verdict on what a kind printed; a last line that says too little is no proof."""
    told = last_line(printed)
    if told is None:
        why = f"it ended with status {status} and told nothing:\n{printed[-SAID:]}"
        return Share(kind, "stopped" if stopped else "broken", why=why)
    if stopped or told.get("interrupted"):
        return Share(kind, "violated" if told["violations"] else "stopped", told, why="it was stopped by hand")
    if told["violations"]:
        return Share(kind, "violated", told)
    if told["never"] or not any(told["counts"].values()):
        return Share(kind, "too little", told)
    if status or told["held"] is not True:
        return Share(kind, "broken", told, why=f"it ended with status {status}, and names nothing that was violated")
    return Share(kind, "held", told)


def last_line(printed: str) -> dict[str, Any] | None:
    """The JSON object on the last line, if it has all that a kind has to tell."""
    lines = printed.strip().splitlines()
    try:
        told = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    wanted = {"kind": str, "held": bool, "counts": dict, "never": list, "violations": list}
    fits = isinstance(told, dict) and all(isinstance(told.get(name), kind) for name, kind in wanted.items())
    return told if fits else None


def options_of(module: list[str]) -> set[str]:
    """The options that a kind takes, as its help tells them."""
    shown = subprocess.run([sys.executable, *module, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    return options_in(shown.stdout)


def options_in(shown: str) -> set[str]:
    """The options that a help names."""
    return set(re.findall(r"--[a-z][a-z-]*", shown))


def fitting(wanted: Mapping[str, Any], taken: set[str]) -> list[str]:
    """The options of a command line: those that are wanted and taken."""
    return [
        part
        for name, value in wanted.items()
        if name in taken and value not in (None, False)
        for part in ([name] if value is True else [name, str(value)])
    ]
