"""A house: a provider, and a node whose people log in there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.logins.house import House, made, settings
from tests.server.node import Node


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = made(tmp_path_factory.mktemp("house"))
    yield house
    for browser in house.browsers:
        browser.close()
    house.node.kill()
    house.openid.close()


@pytest.fixture
def another(house: House, tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Starts further nodes in the house, one at a time in the place of the first, with settings of their own."""
    nodes: list[Node] = []

    def start(*more: str) -> Node:
        for node in (house.node, *nodes):
            node.kill()
        nodes.append(Node(tmp_path, house.node.url, settings=settings(house.openid, *more), port=house.node.port))
        return nodes[-1].start()

    yield start
    for node in nodes:
        node.kill()
    house.node.start()
