"""The code of a page: files to write, and commands to run with what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FENCE = re.compile(r"^```(?P<kind>\w*)(?P<rest>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r'title="([\w.]+)"')
LIMIT = 60
"""Seconds for one command: far more than any of them needs."""


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, the file that it is or goes on with, and its text."""

    kind: str
    title: str
    body: str


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = (ROOT / page).read_text()
    return [
        Block(match["kind"], title[1] if (title := TITLE.search(match["rest"])) else "", match["body"])
        for match in FENCE.finditer(text)
    ]


def write(page: str, folder: Path) -> list[Path]:
    """Write the Python files of a page; blocks with one title are one file."""
    files: dict[str, str] = {}
    for block in blocks(page):
        if block.kind == "python":
            assert block.title, f"a block of {page} names no file: {block.body[:60]}"
            files[block.title] = files.get(block.title, "") + block.body
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def commands(page: str) -> list[tuple[str, str]]:
    """Every command of the console blocks, with what it prints; `…` there stands for anything."""
    found = []
    for block in blocks(page):
        if block.kind == "console":
            for part in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                found.append((command, output))
    return found


def run(command: str, folder: Path) -> str:
    """What a command prints, in a folder of its own and with this environment's programs."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "160"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def prints(expected: str, found: str) -> bool:
    """Whether this is what was to be printed, runs of blanks counting as one."""
    pattern = r".*?".join(re.escape(" ".join(part.split())) for part in expected.split("…"))
    return re.fullmatch(rf"\s*{pattern}\s*".replace(r"\ ", r"\s*"), " ".join(found.split())) is not None
