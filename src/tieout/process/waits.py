"""What a user writes for states that wait for more than one call: joins, timers, children; and for cancelling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Generic, ParamSpec

import msgspec

from tieout.errors import InvalidParams
from tieout.process.define import Handler, Moves, Next, states_of
from tieout.process.outcomes import Failed, Succeeded

P = ParamSpec("P")


class Join:
    """Several calls at a time: `next(pay=self.pay.next(...), ship=self.ship.next(...))` opens them all."""

    def __init__(self, method: Callable[..., Moves], to: tuple[str, ...]) -> None:
        self.name = ""
        self.handler = Handler(method, to)
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def next(self, **calls: Next) -> Next:
        """Move to this state and open these calls; a call whose argument of the step may be None can be left out."""
        if not calls:
            raise InvalidParams(f"{self.name}.next(...) needs at least one call")
        return Next(self.name, calls=calls)


def join(*, to: str | tuple[str, ...]) -> Callable[[Callable[..., Moves]], Join]:
    """A transaction step that runs, once, when the last of several calls is final.

    Its arguments after `tx` are named as the calls that it waits for; each is given `Succeeded` or `Failed`, or None
    for a call that was not opened. Those calls have no `succeeded` and `failed` steps of their own.
    """
    return lambda method: Join(method, states_of(to))


class Timer(Generic[P]):
    """A state that passes by itself: `next("10m", ...)` moves a process to it for so long."""

    def __init__(self, method: Callable[..., Moves], to: tuple[str, ...]) -> None:
        self.name = ""
        self.handler = Handler(method, to)
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def next(self, after: float | str, /, *args: P.args, **kwargs: P.kwargs) -> Next:
        """Wait `after` (0: not at all), then run the step with these arguments; give them by keyword."""
        if args:
            raise InvalidParams(f"give the arguments of {self.name}.next(...) by keyword")
        return Next(self.name, dict(kwargs), after=after)


def timer(*, to: str | tuple[str, ...]) -> Callable[[Callable[Concatenate[Any, Any, P], Moves]], Timer[P]]:
    """A transaction step that runs, once, when its time has come."""
    return lambda method: Timer(method, states_of(to))


class ChildrenEnded(msgspec.Struct, frozen=True):
    """How the children of a process ended: how many in each final state ("refused" for those that never started).

    `ended` tells each one, in the order in which they were given: its id, type, final state and result.
    """

    counts: dict[str, int]
    ended: list[ChildEnd]


class ChildEnd(msgspec.Struct, frozen=True):
    """How one child ended; `result` is plain JSON values."""

    id: str
    type: str
    final: str
    result: Any


class Children:
    """A state in which other processes run: `next([Parcel(...), ...])` starts them and waits for all."""

    def __init__(self, method: Callable[..., Moves], to: tuple[str, ...]) -> None:
        self.name = ""
        self.handler = Handler(method, to)
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def next(self, requests: Sequence[Any]) -> Next:
        """Move to this state; the requests are stored with the move, and started from there, each under its own key."""
        return Next(self.name, children=tuple(requests))


def children(*, to: str | tuple[str, ...]) -> Callable[[Callable[[Any, Any, ChildrenEnded], Moves]], Children]:
    """A transaction step that runs, once, when every child has reached a final state."""
    return lambda method: Children(method, states_of(to))


class Cancelled(msgspec.Struct, frozen=True):
    """A wish to cancel, at the moment when nothing of the process is on its way any more.

    `outcomes` are those of the calls that were open when it was wished, by step: what has succeeded must be undone.
    """

    reason: str
    actor: str
    state: str
    outcomes: dict[str, Succeeded[Any] | Failed]


class CancelStep:
    """What `@tieout.cancel` leaves on the class."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler


def cancel(*, to: str | tuple[str, ...]) -> Callable[[Callable[[Any, Any, Cancelled], Moves]], CancelStep]:
    """The transaction step that a cancelled process runs instead of the one that would come next.

    An open call first becomes final, by whichever way: nobody can know before what there is to undo.
    """
    return lambda method: CancelStep(Handler(method, states_of(to)))
