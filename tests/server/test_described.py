"""The API answers as its description says, whatever it is asked."""

from __future__ import annotations

from tests.server import described


def test_every_answer_is_described(place):
    """No server error and no undocumented answer, to requests that fit the description and to those that do not."""
    came_to = described.check_all(place.node.address, place.tokens["admin"], examples=3)
    assert came_to.failures == []
    assert sum(came_to.requests.values()) > 120
    assert {200, 201, 202, 400, 404} <= set(came_to.statuses)
    assert not any(status >= 500 for status in came_to.statuses)
