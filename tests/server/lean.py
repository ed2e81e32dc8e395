"""A caller for attacks of many requests, which spends little on each: one connection for each thread."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from threading import local
from typing import Any, NamedTuple, Self

from tests.server.node import PATIENCE, Node


class Answer(NamedTuple):
    """A status and a body."""

    status_code: int
    body: bytes

    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


class LeanCaller:
    """Posts, over a connection that is made anew when the node has closed it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._kept = local()
        self._all: list[HTTPConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._all:
            connection.close()

    def post(self, path: str, *, content: bytes, headers: dict[str, str]) -> Answer:
        """Send it; what a closed connection has swallowed is sent again once."""
        try:
            return self._sent(path, content, headers)
        except (HTTPException, OSError):
            self._kept.connection.close()
            return self._sent(path, content, headers)

    def _sent(self, path: str, content: bytes, headers: dict[str, str]) -> Answer:
        connection = getattr(self._kept, "connection", None)
        if connection is None:
            connection = self._kept.connection = HTTPConnection("127.0.0.1", self.node.port, timeout=PATIENCE)
            self._all.append(connection)
        connection.request("POST", path, content, headers)
        with connection.getresponse() as answer:
            return Answer(answer.status, answer.read())
