"""Process types of the blocking colour that wait for more than a call."""

from __future__ import annotations

from typing import Any

import tieout
from tieout import Answer, Next, Sending, Succeeded, blocking


class Leaf(tieout.Process[Any], name="leaf", key="request_id"):
    request_id: str
    done = tieout.Final[str]()

    @tieout.start(to="done")
    def begin(self, tx: blocking.Transaction) -> Next:
        return self.done(self.request_id)


class Tree(tieout.Process[Any], name="tree", key="request_id"):
    request_id: str
    done = tieout.Final[list[str]]()
    stopped = tieout.Final[str]()

    @tieout.start(to="both")
    def begin(self, tx: blocking.Transaction) -> Next:
        return self.both.next(left=self.left.next(n=1), right=self.right.next(n=2))

    @tieout.call(timeout=2)
    def left(self, send: Sending, n: int) -> Answer[int]:
        return Succeeded(n)

    @tieout.call(timeout=2)
    def right(self, send: Sending, n: int) -> Answer[int]:
        return Succeeded(n)

    @tieout.join(to="pause")
    def both(self, tx: blocking.Transaction, left: Any, right: Any) -> Next:
        return self.pause.next(0, total=left.value + right.value)

    @tieout.timer(to="leaves")
    def pause(self, tx: blocking.Transaction, total: int) -> Next:
        return self.leaves.next([Leaf(request_id=f"{self.request_id}-{n}") for n in range(total)])

    @tieout.children(to=("done", "night"))
    def leaves(self, tx: blocking.Transaction, ended: Any) -> Next:
        if self.request_id == "long":
            return self.night.next("1d")
        return self.done(sorted(one.result for one in ended.ended))

    @tieout.timer(to="done")
    def night(self, tx: blocking.Transaction) -> Next:
        return self.done([])

    @tieout.cancel(to="stopped")
    def stop(self, tx: blocking.Transaction, why: Any) -> Next:
        return self.stopped(why.reason)
