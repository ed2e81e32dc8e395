"""Says what does not agree between the clients' log, the company's books and the database; knows nothing of tieout."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

What = Literal["redeem", "write"]
"""A request for a process, which may be asked again with its key; or a plain transaction, which may not."""

Outcome = Literal["done", "failed", "unknown", "foreign"]
"""What a client was told: it is done, nothing was done, it may have been done, or something that it cannot read."""

LONGEST = 25.0
"""Most seconds of an operation: 10 for a connection, the time of its attempts, and as much for a busy machine."""

PATIENCE = 60.0
"""Most seconds from the last fault to the end of everything."""

WHOLE, RETURNED, NOTHING = (1, 1, 1, 0), (1, 0, 0, 1), (0, 0, 0, 0)
"""What may be found of a request: how often it was deducted, issued, completed and given back."""

WRITTEN: Mapping[Outcome, tuple[int, ...]] = {"done": (1,), "failed": (0,)}
"""How often a write may be there."""

Read = Callable[[str], str]
"""Asks the database itself, past the network: rows one a line."""


@dataclass(frozen=True)
class Told:
    """One operation of a client: what was asked, what it was told, and after how many seconds."""

    what: What
    request: str
    outcome: Outcome
    code: str
    seconds: float


def wait_for_the_end(read: Read) -> int:
    """Until no process runs any more, as far as patience goes; how many still do."""
    ends = time.monotonic() + PATIENCE
    while running := int(read("SELECT count(*) FROM tieout_process WHERE status <> 'final'")):
        if time.monotonic() > ends:
            break
        time.sleep(0.2)
    return running


def audit(log: Iterable[Told], issued: Mapping[str, str], read: Read) -> Iterator[str]:
    """Each thing that is wrong, in words. `issued` are the company's books: its key, and the request that it is for."""
    log = list(log)
    yield from _answers(log)
    yield from _writes(log, read)
    yield from _redeemed(_requests(log), issued, read)


def _redeemed(requests: Mapping[str, Outcome], issued: Mapping[str, str], read: Read) -> Iterator[str]:
    rows = [line.replace("|", "\t").split("\t") for line in read("SELECT request, what FROM taken").splitlines()]
    taken = Counter((request, what) for request, what in rows)
    prizes = Counter(issued.values())
    for request, outcome in requests.items():
        whats = (taken[request, "deducted"], prizes[request], taken[request, "completed"], taken[request, "given back"])
        if whats not in _allowed(outcome):
            yield f"{request}, {outcome}: deducted, issued, completed, given back {whats} times"
    for request in ({name for name, _ in taken} | set(prizes)) - set(requests):
        yield f"{request} has effects, and nobody asked for it"
    points = int(read("SELECT sum(points) FROM account"))
    kept = sum(what == "deducted" for _, what in rows) - sum(what == "given back" for _, what in rows)
    if -points != kept:
        yield f"{-points} points were taken, and {kept} by what is written"
    processes = int(read("SELECT count(*) FROM tieout_process"))
    if processes != sum(taken[request, "deducted"] > 0 for request in requests):
        yield f"{processes} processes for {sum(taken[request, 'deducted'] > 0 for request in requests)} requests"


def _answers(log: Iterable[Told]) -> Iterator[str]:
    for told in log:
        if told.outcome == "foreign":
            yield f"{told.request} was told {told.code}"
        if told.seconds > LONGEST:
            yield f"{told.request} was told {told.outcome} ({told.code}) only after {told.seconds:.1f} s"


def _writes(log: Iterable[Told], read: Read) -> Iterator[str]:
    rows = Counter(read("SELECT request FROM written").split())
    for told in log:
        if told.what == "write":
            found = rows.pop(told.request, 0)
            if found not in WRITTEN.get(told.outcome, (0, 1)):
                yield f"the write {told.request}, {told.outcome}, is there {found} times"
    yield from (f"the write {request} is there, and nobody made it" for request in rows)


def _requests(log: Iterable[Told]) -> dict[str, Outcome]:
    """What all that a client was told of a request comes to."""
    outcomes: dict[str, Outcome] = {}
    for told in log:
        if told.what == "write":
            continue
        known = outcomes.get(told.request, "failed")
        outcomes[told.request] = "done" if "done" in (known, told.outcome) else _worse(known, told.outcome)
    return outcomes


def _worse(one: Outcome, other: Outcome) -> Outcome:
    return "failed" if one == other == "failed" else "unknown"


def _allowed(outcome: Outcome) -> tuple[tuple[int, int, int, int], ...]:
    if outcome == "done":
        return WHOLE, RETURNED
    return (NOTHING,) if outcome == "failed" else (WHOLE, RETURNED, NOTHING)
