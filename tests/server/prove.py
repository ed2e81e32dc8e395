"""Attack a real node: forged callbacks and pushes, every request, secrets: `python -m tests.server.prove`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.prove.telling import Told, tell
from tests.server import described, planting, pushing, reporting
from tests.server.conftest import Place, place_of
from tests.server.node import Node, migrate, wait_for
from tests.server.profiles import PROFILES

FULL = {"forgeries": 100_000, "mutations": 100_000, "originals": 2_000, "secrets": 10_000, "examples": 500}
SMALL = {"forgeries": 10_000, "mutations": 10_000, "originals": 200, "secrets": 1_000, "examples": 10}
"""Half of the forgeries and mutations are of one profile, half of the other."""

DESCRIBED_SECONDS = 360.0
"""Longest that requests of every kind are made for."""

FLAT = 33_554_432
"""Bytes by which a node may grow over nine tenths of the forged messages: what it keeps of each would show."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run them; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of each, or less")
    parser.add_argument("--seed", type=int, default=0, help="draws what is planted and asked")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=list(ATTACKS), help="default: all")
    parser.add_argument("--json", action="store_true", help="has no effect: the last line is JSON always")
    options = parser.parse_args(arguments)
    size, began = SMALL if options.small else FULL, time.monotonic()
    counts: Counter[str] = Counter()
    never: list[str] = []
    violations: list[str] = []
    for name in options.attacks:
        with a_place() as place:
            ATTACKS[name](place, size, options.seed, counts, never, violations)
        print(f"{name}: {dict(counts)}", file=sys.stderr, flush=True)
    return tell(Told("server", dict(counts), never, violations, [options.seed], time.monotonic() - began))


@contextmanager
def a_place() -> Iterator[Place]:
    """A node of its own, with callers."""
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder), migrate(f"sqlite:///{folder}/shop.db"))
        try:
            place = place_of(node.start())
            yield place
            place.close()
        finally:
            node.kill()


def forge(
    place: Place, size: dict[str, int], seed: int, counts: Counter[str], never: list[str], violations: list[str]
) -> None:
    """Forged callbacks in each profile, of which none may be accepted; and the originals, which all have to be."""
    del seed
    for profile in PROFILES:
        share = size["forgeries"] // len(PROFILES)
        tried = reporting.attack(place.node, place.started, place.url, profile=profile, forgeries=share)
        counts.update({f"forged {profile.name} {name}": number for name, number in tried.counts.items()})
        counts["forgeries"] += sum(tried.counts.values())
        counts["forgeries accepted"] += tried.accepted
        never += [f"forged {profile.name} {name}" for name in profile.classes if not tried.counts[name]]
        violations += [f"accepted: {leak}" for leak in tried.leaks]
        violations += ["an original was refused"] * tried.originals_refused
        violations += [f"a server error: {one}" for one in tried.broken]
        check_memory(f"forged {profile.name}", tried.memory, counts, violations)


def push(
    place: Place, size: dict[str, int], seed: int, counts: Counter[str], never: list[str], violations: list[str]
) -> None:
    """Pushes in each profile: every original has to be accepted, and of mutations none; the node does not grow."""
    for profile in PROFILES:
        mutations, originals = size["mutations"] // len(PROFILES), size["originals"] // len(PROFILES)
        tried = pushing.attack(place.node, profile=profile, mutations=mutations, originals=originals, seed=seed)
        counts.update({f"pushed {profile.name} {name}": number for name, number in tried.counts.items()})
        counts.update({f"pushes answered with {status}": number for status, number in tried.statuses.items()})
        counts["original pushes"] += tried.originals
        counts["mutated pushes"] += sum(tried.counts.values())
        counts["mutated pushes accepted"] += len(tried.accepted)
        never += [f"pushed {profile.name} {name}" for name in pushing.classes_of(profile) if not tried.counts[name]]
        violations += [f"an original push was refused: {one}" for one in tried.refused]
        violations += [f"accepted: {one}" for one in tried.accepted]
        violations += [f"a server error: {one}" for one in tried.broken]
        check_memory(f"pushed {profile.name}", tried.memory, counts, violations)


def check_memory(what: str, memory: tuple[int, int], counts: Counter[str], violations: list[str]) -> None:
    """The node must not keep anything of each message that it refused."""
    before, after = memory
    counts[f"MiB after a tenth, {what}"], counts[f"MiB after all, {what}"] = before >> 20, after >> 20
    if after - before > FLAT:
        violations.append(f"the node has grown from {before} to {after} bytes: {what}")


def describe(
    place: Place, size: dict[str, int], seed: int, counts: Counter[str], never: list[str], violations: list[str]
) -> None:
    """Requests of every kind, whose answers all have to be described, and none a server error."""
    came_to = described.check_all(
        place.node.address, place.tokens["admin"], examples=size["examples"], chance=seed, seconds=DESCRIBED_SECONDS
    )
    counts["operations described"] = len(came_to.requests)
    counts["requests described"] = sum(came_to.requests.values())
    counts.update({f"answers {status}": number for status, number in came_to.statuses.items()})
    never += [f"answer {status}" for status in (200, 201, 202, 400, 404) if not came_to.statuses[status]]
    violations += came_to.failures
    violations += [f"answer {status}" for status in came_to.statuses if status >= 500]


def plant(
    place: Place, size: dict[str, int], seed: int, counts: Counter[str], never: list[str], violations: list[str]
) -> None:
    """Secrets planted everywhere, none of which may come to light."""
    planted = planting.plant(place.node, place.tokens["client"], secrets=size["secrets"], seed=seed)
    told = [place.admin.get(path).text for path in ("/metrics", "/v1/openapi.json", "/v1/audit", "/v1/docs")]
    wait_for(lambda: place.nobody.get("/healthz").status_code == 200, "the node")
    told += planting.seen(place.node, place.tokens["viewer"])
    planting.search_node(place.node, planted, *told)
    counts["accepted secrets in the dump"] = planting.search_dump(place.node, planted)
    counts.update({f"planted in {where}": number for where, number in Counter(planted.secrets.values()).items()})
    counts["secrets found"] += len(planted.found)
    never += [] if "Error" in place.node.log.read_text(errors="replace") else ["an error of the node's own code"]
    violations += planted.found


ATTACKS = {attack.__name__: attack for attack in (forge, push, describe, plant)}

if __name__ == "__main__":
    sys.exit(main())
