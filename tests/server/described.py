"""The API against its own description: schemathesis makes requests of every kind, fitting and not."""

from __future__ import annotations

from collections import Counter
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


@dataclass
class Described:
    """What came of it."""

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def check_all(address: str, token: str, *, examples: int, chance: int = 0) -> Described:
    """Make so many requests for each operation, and check every answer with every check."""
    schema = schemathesis.openapi.from_url(f"{address}/v1/openapi.json")
    came_to = Described()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path not in STREAMS:
            _check(operation, address, token, came_to, examples, chance)
    return came_to


def _unfit(path: str) -> list[Any]:
    """What may be refused though it fits: no schema tells a Decimal's text, an owner's bytes, what goes with what."""
    is_ruled = path.startswith("/v1/types/") or path.endswith("/settle")
    return [CHECKS.get_one("positive_data_acceptance")] if is_ruled else []


def _check(operation: Any, address: str, token: str, came_to: Described, examples: int, chance: int) -> None:
    headers = {"Authorization": f"Bearer {token}"}

    def run(case: Any) -> None:
        answer = case.call(base_url=address, headers=headers, timeout=60)
        came_to.requests[operation.label] += 1
        came_to.statuses[answer.status_code] += 1
        try:
            case.validate_response(answer, headers=headers, excluded_checks=_unfit(operation.path))
        except FailureGroup as group:
            came_to.failures += [f"{operation.label} {answer.status_code}: {one}" for one in group.exceptions]

    for mode in schemathesis.GenerationMode:
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
