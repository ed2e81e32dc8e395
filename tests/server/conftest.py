"""Nodes on SQLite, PostgreSQL and MariaDB, and callers of every role."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.node import Node, migrate, token
from tests.servers.postgres import Postgres

ROLES = ("client", "viewer", "operator", "approver", "admin", "metrics")

numbers = itertools.count(1)


@dataclass
class Place:
    """A node, and a caller of each role; `stranger` is another client."""

    node: Node
    callers: dict[str, httpx.Client] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.node.url

    def close(self) -> None:
        for caller in self.callers.values():
            caller.close()

    def __getattr__(self, role: str) -> httpx.Client:
        try:
            return self.callers[role]
        except KeyError as error:
            raise AttributeError(role) from error

    def start(
        self, sku: str = "mug", *, key: str = "", user: str = "bob", by: str = "client", **headers: str
    ) -> httpx.Response:
        """Start a redemption as a client does."""
        body = {"user": user, "sku": sku}
        return self.callers[by].post(
            "/v1/types/redeem/processes",
            json=body,
            headers={"Idempotency-Key": key or f"key-{next(numbers)}", **headers},
        )

    def started(self, sku: str = "mug", **more: Any) -> dict[str, Any]:
        """A redemption that came to rest, or did not within 10 s."""
        answer = self.start(sku, Prefer="wait=0" if sku == "pending" else "wait=10", **more)
        assert answer.status_code in (200, 201, 202), answer.text
        return answer.json()


def place_of(node: Node) -> Place:
    tokens = {role: token(node.url, f"the-{role}", role) for role in ROLES}
    tokens |= {"stranger": token(node.url, "stranger", "client"), "second": token(node.url, "second", "approver")}
    return Place(node, {name: node.client(text) for name, text in tokens.items()} | {"nobody": node.client()}, tokens)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One node on SQLite, for tests that keep to keys of their own."""
    folder = tmp_path_factory.mktemp("node")
    node = Node(folder, migrate(f"sqlite:///{folder}/shop.db"))
    try:
        made = place_of(node.start())
        yield made
        made.close()
    finally:
        node.kill()


@pytest.fixture
def node_of(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Starts nodes with options of their own; those on SQLite share one database."""
    nodes: list[Node] = []

    def make(url: str = "", *options: str, **more: Any) -> Node:
        where = url or f"sqlite:///{tmp_path}/shop.db"
        nodes.append(Node(tmp_path, migrate(where), options=options, **more))
        return nodes[-1].start()

    yield make
    for node in nodes:
        node.kill()


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    return postgres_server.url(postgres_server.database())
