"""Every file operation of a process, in the order in which the kernel was asked: recorded with strace.

strace needs no compiler, sees what reaches the kernel whoever asked for it, puts the answers to clients into the same
order as the writes, and can make an operation fail.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.disk.workload import Load

CALLS = "openat,creat,pwrite64,pwritev,write,writev,fsync,fdatasync,ftruncate,fallocate,unlink,unlinkat,rename,renameat"
BY_NAME = ("openat", "creat", "unlink", "unlinkat", "rename", "renameat")
"""Those that are given a name, and not a file that is open."""

DELETED = " (deleted)"
"""What strace writes behind the name of a file that is open and has none any more."""

LONGEST = 1 << 20
"""Bytes of one write that are recorded: far more than any has."""

RUN_SECONDS = 120

LINE = re.compile(r"(\d+) +(.*)")
RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)$")
RESULT = re.compile(r"\) += (-?\d+)(.*)$")
QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
HANDLE = re.compile(r"\d+<((?:\\x[0-9a-f]{2})*)>")


class Create(NamedTuple):
    name: str


class Write(NamedTuple):
    name: str
    offset: int
    data: bytes


class Resize(NamedTuple):
    name: str
    size: int


class Sync(NamedTuple):
    """A flush; name "." is the folder itself. `ok` is False when it failed."""

    name: str
    ok: bool


class Unlink(NamedTuple):
    name: str


class Mark(NamedTuple):
    """Something that the world outside has seen."""

    words: tuple[str, ...]


Operation = Create | Write | Resize | Sync | Unlink | Mark


class UnknownOperationError(Exception):
    """A file was changed in a way that the model of a disk does not know."""


def record(folder: Path, load: Load, fault: str = "") -> list[Operation]:
    """Run a load on `folder`, where there may be a database already, and return what it did to it.

    `fault` is one of strace's: "fdatasync:error=EIO:when=5".
    """
    strace = shutil.which("strace")
    if strace is None:
        raise RuntimeError("strace is not installed: apt-get install strace")
    trace = folder.parent / "trace"
    injected = ("-e", f"inject={fault}") if fault else ()
    workload = (sys.executable, "-m", "tests.disk.workload", folder, msgspec.json.encode(load).decode())
    options = ("-f", "-y", "-xx", "-s", LONGEST, "--seccomp-bpf", "-e", f"trace={CALLS}", *injected, "-o", trace)
    command = [str(word) for word in (strace, *options, *workload)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    operations = list(parsed(trace.read_text(), folder))
    if Mark(("ended",)) not in operations and not fault:
        raise RuntimeError(f"the load did not end:\n{done.stderr[-2_000:]}")
    trace.unlink()
    return operations


def parsed(trace: str, folder: Path) -> Iterator[Operation]:
    """The operations of a trace that concern the files of a folder, and the marks beside it.

    What was asked for takes effect when it was asked; a flush is worth something when it was answered.
    """
    interesting = hexed(str(folder.parent))
    asked: dict[str, str] = {}
    for line in trace.splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        thread, text = match.groups()
        if resumed := RESUMED.match(text):
            whole = asked.pop(thread, "") + resumed[2]
        elif text.endswith("<unfinished ...>"):
            asked[thread] = whole = text.removesuffix(" <unfinished ...>")
            if interesting in whole and whole.startswith(("pwrite64", "ftruncate", "write")):
                yield from operation(f"{whole}) = 0", folder)
            continue
        else:
            whole = text
        is_late = resumed is not None and whole.startswith(("pwrite64", "ftruncate", "write"))
        if interesting in whole and not is_late:
            yield from operation(whole, folder)


def operation(text: str, folder: Path) -> Iterator[Operation]:
    """What one call did, if it did it to one of our files."""
    call, _, rest = text.partition("(")
    result = RESULT.search(rest)
    if result is None or (int(result[1]) < 0 and not call.endswith("sync")):
        return
    succeeded, strings = int(result[1]) >= 0, [unhexed(string) for string in QUOTED.findall(rest)]
    place = place_of(call, rest, strings)
    if place == folder.parent / "marks" and call == "write":
        yield Mark(tuple(strings[0].decode().split()))
    elif place == folder and call in ("fsync", "fdatasync"):
        yield Sync(".", succeeded)
    elif place is not None and place.parent == folder and not place.name.endswith("-shm"):
        name = "" if place.name.endswith(DELETED) else place.name
        numbers = [int(number) for number in re.findall(r", (\d+)", rest[: result.start()])]
        yield from changed(call, name, strings, numbers, succeeded=succeeded, creates="O_CREAT" in rest)


def place_of(call: str, rest: str, strings: list[bytes]) -> Path | None:
    """Which file a call is about."""
    if call in BY_NAME:
        return Path(strings[0].decode())
    handle = HANDLE.match(rest)
    return None if handle is None else Path(unhexed(handle[1]).decode())


def changed(
    call: str, name: str, strings: list[bytes], numbers: list[int], *, succeeded: bool, creates: bool
) -> Iterator[Operation]:
    """What a call did to a file of ours."""
    match call:
        case "openat":
            if creates:
                yield Create(name)
        case "pwrite64":
            yield Write(name, numbers[-1], strings[0])
        case "ftruncate":
            yield Resize(name, numbers[-1])
        case "fsync" | "fdatasync":
            yield Sync(name, succeeded)
        case "unlink":
            yield Unlink(name)
        case _:
            raise UnknownOperationError(f"{call} of {name}")


def hexed(text: str) -> str:
    """As strace writes a string with -xx."""
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def unhexed(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))
