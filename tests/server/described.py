"""The API against its own description: schemathesis makes requests of every kind, fitting and not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import SkipTest

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS
from schemathesis.core.failures import FailureGroup

STREAMS = {"/v1/events"}
"""What never ends is left to tests of its own."""


EXPECTED = ("got `429", "(was Authorization)")
"""Failures that are none: whoever tries many wrong tokens is held back, and a token is put into every request here."""

BUSY_SECONDS = 60.0
"""Longest that a node may be busy: until then it is asked again, as its answer says."""


@dataclass
class Described:
    """What came of it."""

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def check_all(address: str, token: str, *, examples: int, chance: int = 0, seconds: float = float("inf")) -> Described:
    """Make so many requests for each operation, of either kind, and check every answer with every check.

    What takes longer than its share of `seconds` is left at fewer requests.
    """
    schema = schemathesis.openapi.from_url(f"{address}/v1/openapi.json")
    came_to = Described()
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        if operation.path not in STREAMS:
            share = seconds / len(operations) / len(schemathesis.GenerationMode)
            _check(operation, address, token, came_to, examples, chance, share)
    return came_to


def _unfit(path: str) -> list[Any]:
    """What may be refused though it fits: no schema tells a Decimal's text, an owner's letters, what goes with what."""
    is_ruled = path.startswith("/v1/types/") or path.endswith(("/settle", "/own"))
    return [CHECKS.get_one("positive_data_acceptance")] if is_ruled else []


def _answered(ask: Callable[[], Any]) -> Any:
    """The answer of a node that is not busy: 503 with Retry-After is a wish to be asked again."""
    ends = time.monotonic() + BUSY_SECONDS
    while (answer := ask()).status_code == 503 and "retry-after" in answer.headers and time.monotonic() < ends:
        time.sleep(float(answer.headers["retry-after"][0]))
    return answer


def _check(
    operation: Any, address: str, token: str, came_to: Described, examples: int, chance: int, share: float
) -> None:
    headers, ends = {"Authorization": f"Bearer {token}"}, 0.0

    def run(case: Any) -> None:
        if time.monotonic() > ends:
            raise SkipTest("its share of the time is over")
        answer = _answered(lambda: case.call(base_url=address, headers=headers, timeout=60))
        came_to.requests[operation.label] += 1
        came_to.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, headers=headers, excluded_checks=_unfit(operation.path))
        except FailureGroup as group:
            failures = [one for one in group.exceptions if not any(text in str(one) for text in EXPECTED)]
            told = f"{answer.request.method} {answer.request.url} {str(answer.request.body)[:500]}: {answer.text[:500]}"
            came_to.failures += [f"{operation.label} {answer.status_code}: {one}: {told}" for one in failures]

    for mode in schemathesis.GenerationMode:
        ends = time.monotonic() + share
        limits = settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        try:
            limits(seed(chance)(given(case=operation.as_strategy(generation_mode=mode))(run)))()
        except (Unsatisfiable, SkipTest):
            continue
