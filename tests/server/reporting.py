"""An attack on the callbacks of a node: forgeries of every class, and then the originals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from tests.server.callbacks import body_for, report
from tests.server.forging import Message
from tests.server.lean import LeanCaller
from tests.server.node import Node, stored
from tests.server.profiles import Profile
from tests.server.request_forging import path_of

THREADS = 8


class Original(NamedTuple):
    """A report that its sender may repeat: for which call, its body, and what it is known by."""

    call: str
    body: bytes
    id: str


@dataclass
class Tried:
    """What an attack came to; memory in bytes: after the first tenth of it, and at its end."""

    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    accepted: int = 0
    originals_refused: int = 0
    replays_with_effect: int = 0
    leaks: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    memory: tuple[int, int] = (0, 0)


def attack(
    node: Node, started: Callable[..., dict[str, Any]], url: str, *, profile: Profile, forgeries: int, calls: int = 20
) -> Tried:
    """Forge so many messages on open calls of a node; then send the originals, and replay those.

    A forgery is accepted when it is answered with a success, or when its process has moved.
    """
    tried, names = Tried(), list(profile.classes)
    originals = [_original(started("pending")["id"]) for _ in range(calls)]
    with LeanCaller(node) as http, ThreadPoolExecutor(THREADS) as pool:

        def send(number: int) -> None:
            chance = Random(number)
            name = names[number % len(names)]
            original = _fresh(profile, originals[chance.randrange(calls)])
            forged = profile.classes[name](original, chance)
            if forged == original:
                return
            status = report(http, *forged).status_code
            tried.counts[name] += 1
            tried.statuses[name, status] += 1
            if status < 300:
                tried.accepted += 1
                tried.leaks.append(f"{name}: {forged}")
            if status >= 500:
                tried.broken.append(f"{name}: {status} for {forged}")

        for share in (range(forgeries // 10), range(forgeries // 10, forgeries)):
            list(pool.map(send, share))
            tried.memory = (tried.memory[1], node.memory)
        moved = [one.call for one in originals if stored(url, one.call[:32]).state != "issue"]
        tried.accepted += len(moved)
        tried.leaks += moved
        for original in originals:
            fresh = _fresh(profile, original)
            tried.originals_refused += report(http, *fresh).json().get("effect") != "advanced"
            fence = stored(url, original.call[:32]).fence
            tried.originals_refused += not report(http, *fresh).json()["replayed"]
            tried.replays_with_effect += stored(url, original.call[:32]).fence != fence
    tried.accepted += tried.replays_with_effect
    return tried


def _original(process: str) -> Original:
    call = f"{process}:1"
    return Original(call, body_for(call), f"msg_{process}")


def _fresh(profile: Profile, original: Original) -> Message:
    """The message as its sender repeats it: signed now, so that only what is forged about it can be wrong."""
    signed = profile.sign(path_of(original.call), original.body, id=original.id)
    return Message(original.call, original.body, signed)
