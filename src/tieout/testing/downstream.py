"""Calls in a play: scripted or by the user's own handler, recorded, in virtual time."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from tieout.eventloop import LoopCaller
from tieout.process.call_type import CallType
from tieout.process.process_type import ProcessType
from tieout.testing.crash import Points
from tieout.testing.script import Garbage, Lost, PlayFailed, Real, Script, Slow, Way


class Try(msgspec.Struct, frozen=True):
    """One send or query of a call: its key, number and arguments, and when, in seconds since the play began."""

    step: str
    way: Way
    key: str
    attempt: int
    args: dict[str, Any]
    at: float


def steps_of(process_types: Sequence[ProcessType]) -> dict[str, tuple[str, CallType]]:
    """Every call step with its type's name: under its own name, or `type.step` when several types have one of it."""
    found = [(process_type.name, call) for process_type in process_types for call in process_type.calls.values()]
    count = Counter(call.name for _, call in found)
    return {(call.name if count[call.name] == 1 else f"{name}.{call.name}"): (name, call) for name, call in found}


class ScriptedCaller:
    """Answers from the script where there is one, else lets the handler answer; keeps what was asked."""

    def __init__(
        self,
        steps: Mapping[str, tuple[str, CallType]],
        script: Script,
        points: Points,
        note: Callable[[str], None],
        fail: Callable[[PlayFailed], None],
    ) -> None:
        self.tries: list[Try] = []
        self._script = script
        self._points = points
        self._note = note
        self._fail = fail
        self._caller = LoopCaller()
        self._handlers: dict[tuple[str, Callable[..., Any]], tuple[str, Way]] = {}
        for name, (type_name, call) in steps.items():
            self._handlers[type_name, call.method] = (name, "send")
            if call.query is not None:
                self._handlers[type_name, call.query] = (name, "query")

    async def attempt(
        self,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        timeout: float,
        late: Callable[[Any], Awaitable[None]],
    ) -> Any:
        """As the contract says; in virtual time."""
        return await self._caller.attempt(_ask, (self, method, args, kwargs), {}, timeout, late)

    async def ask(self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """One send or query, from the point before it to the point after it."""
        process, sending = args
        step, way = self._handlers[process.tieout_type.name, method]
        kind = "call" if way == "send" else "query"
        number = self._points.reach(kind)
        await self._come_between()
        now = asyncio.get_running_loop().time()
        self.tries.append(Try(step, way, sending.key, sending.attempt, dict(kwargs), now))
        label = f"{way} {step}, try {sending.attempt}, {sending.key[:8]}…{sending.key[32:]}"
        planned = self._planned(step, way)
        try:
            answer = await self._answer(planned, lambda: _called(method, args, kwargs))
        except Exception as error:
            self._note(f"{label}: raised {error!r}")
            await self._done(kind, number)
            raise
        lost = isinstance(planned, Lost)
        self._note(f"{label}: " + ("the answer is lost" if lost else repr(answer)))
        await self._done(kind, number)
        if lost:
            await asyncio.get_running_loop().create_future()
        return answer

    def _planned(self, step: str, way: Way) -> Any:
        if not self._script.covers(step, way):
            return Real()
        try:
            return self._script.following(step, way)
        except PlayFailed as error:
            self._fail(error)
            return Lost()

    async def _answer(self, planned: Any, real: Callable[[], Awaitable[Any]]) -> Any:
        match planned:
            case Real():
                return await real()
            case Lost(answer):
                return None if answer is None else await self._answer(answer, real)
            case Slow(seconds, answer):
                await asyncio.sleep(seconds)
                return await self._answer(answer, real)
            case Garbage(raw):
                return raw
            case Exception():
                raise planned
        return planned

    async def _done(self, kind: str, number: int) -> None:
        self._points.after(kind, number)
        await self._come_between()

    async def _come_between(self) -> None:
        """Let run first what a test has planned for the point that was just passed."""
        await asyncio.sleep(0)
        self._points.outlive()


async def _ask(
    caller: ScriptedCaller, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Any:
    return await caller.ask(method, args, kwargs)


async def _called(method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    answer = method(*args, **kwargs)
    return await answer if inspect.isawaitable(answer) else answer
