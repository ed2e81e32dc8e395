"""What a test says that a downstream answers, in the order in which it is asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import msgspec

from tieout.errors import NotSent
from tieout.process.outcomes import Failed, NotFound, Pending, Succeeded, Unknown

Way: TypeAlias = Literal["send", "query"]


class PlayFailed(AssertionError):
    """A play did not go as its test says: a script that is used up or left over, a difference, a crash not reached."""


class Real(msgspec.Struct, frozen=True):
    """The process type's own handler answers."""


class Lost(msgspec.Struct, frozen=True):
    """The downstream did it and nobody is told: the call times out. `Lost(Real())` runs the handler to do it."""

    answer: Any = None


class Slow(msgspec.Struct, frozen=True):
    """`answer` comes after `seconds`; past the time-out it is a late answer."""

    seconds: float
    answer: Any


class Garbage(msgspec.Struct, frozen=True):
    """Something that is no outcome, such as the error page of a proxy."""

    raw: Any = "<html>502 Bad Gateway</html>"


class Always(msgspec.Struct, frozen=True):
    """`answer` from here on, however often it is asked."""

    answer: Any


_PLAIN = (Real, Garbage, Succeeded, Failed, Pending, Unknown, NotFound, Exception)


class Script:
    """The answers of every scripted call."""

    def __init__(self, steps: Iterable[str]) -> None:
        self._steps = sorted(steps)
        self._lines: dict[str, _Lines] = {}

    def add(self, step: str, both: tuple[Any, ...], sends: Iterable[Any] | None, queries: Iterable[Any] | None) -> None:
        """Add answers behind those that are there: for sends and queries in one order, or for each in its own."""
        if step not in self._steps:
            raise PlayFailed(f"there is no call {step!r} to script; the calls are: {', '.join(self._steps)}")
        if bool(both) == (sends is not None or queries is not None):
            raise PlayFailed("script(step, ...) takes answers in one order, or send=[...] and query=[...], not both")
        lines = self._lines.setdefault(step, _Lines(mixed=bool(both)))
        if lines.mixed != bool(both):
            raise PlayFailed(f"the script of {step} mixes one order for all with one for sends and one for queries")
        for key, answers in (("any", both or None), ("send", sends), ("query", queries)):
            lines.add(key, answers)

    def copy(self) -> Script:
        """The same answers, to be used up anew."""
        other = Script(self._steps)
        other._lines = {step: lines.copy() for step, lines in self._lines.items()}
        return other

    def covers(self, step: str, way: Way) -> bool:
        """Whether the script answers here, in place of the handler."""
        return step in self._lines and self._lines[step].key(way) in self._lines[step].queues

    def following(self, step: str, way: Way) -> Any:
        """The next answer; raise `PlayFailed` when there is none, or it cannot stand here."""
        lines = self._lines[step]
        key = lines.key(way)
        queue = lines.queues[key]
        if not queue:
            raise PlayFailed(
                f"the script of {step} is used up: all {lines.given[key]} answers were given, and here is one more "
                f"{way}. Add one, or end the script with Always(...)"
            )
        answer = queue[0] if isinstance(queue[0], Always) else queue.popleft()
        answer = answer.answer if isinstance(answer, Always) else answer
        if way == "send" and isinstance(answer, NotFound):
            raise PlayFailed(f"the script of {step} answers a send with NotFound, which only a query can answer")
        return answer

    def left(self) -> list[str]:
        """What has not been asked for, as text."""
        return [
            f"the script of {step} was not used up, left are: {', '.join(map(repr, rest))}"
            for step, lines in self._lines.items()
            for queue in lines.queues.values()
            if (rest := [answer for answer in queue if not isinstance(answer, Always)])
        ]


class _Lines:
    """The answers for one step: one queue ("any"), or one for sends and one for queries."""

    def __init__(self, *, mixed: bool) -> None:
        self.mixed = mixed
        self.queues: dict[str, deque[Any]] = {}
        self.given: dict[str, int] = {}

    def key(self, way: Way) -> str:
        return "any" if self.mixed else way

    def add(self, key: str, answers: Iterable[Any] | None) -> None:
        if answers is None:
            return
        queue = self.queues.setdefault(key, deque())
        for answer in answers:
            if queue and isinstance(queue[-1], Always):
                raise PlayFailed(f"{answer!r} stands behind an Always and would never be given")
            queue.append(_checked(answer))
        self.given[key] = len(queue)

    def copy(self) -> _Lines:
        other = _Lines(mixed=self.mixed)
        other.queues = {key: queue.copy() for key, queue in self.queues.items()}
        other.given = dict(self.given)
        return other


def _checked(answer: Any, *, inner: bool = False) -> Any:
    """The answer, an exception's class made an instance; raise `PlayFailed` for what is none."""
    if isinstance(answer, type) and issubclass(answer, Exception):
        return answer("scripted")
    if isinstance(answer, (Lost, Slow, Always)) and answer.answer is not None and not inner:
        return msgspec.structs.replace(answer, answer=_checked(answer.answer, inner=not isinstance(answer, Always)))
    if isinstance(answer, _PLAIN) or (isinstance(answer, (Lost, Slow, Always)) and not inner):
        return answer
    known = ", ".join(kind.__name__ for kind in (Lost, Slow, Always, *_PLAIN[:-1], NotSent))
    raise PlayFailed(f"{answer!r} is no answer here: give one of {known}, or an exception")
