"""Joins, timers and children as the engine uses them: compiled once from what the user wrote."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType
from typing import Any, get_args

import msgspec

from tieout.errors import DefinitionError
from tieout.process.call_type import argument_types, method_hints
from tieout.process.codec import Codec
from tieout.process.waits import Children, Join, Timer


class JoinType:
    """A compiled join: the calls that it waits for, and those of them that may be left out."""

    def __init__(self, type_name: str, join: Join) -> None:
        self.name = join.name
        self.handler = join.handler
        self.lane = f"{type_name}.{join.name}"
        hints = method_hints(join.handler.method, type_name)
        self.parts = argument_types(join.handler.method, hints, self.lane)
        self.optional = {name for name, hint in self.parts.items() if NoneType in get_args(hint)}
        if not self.parts:
            raise DefinitionError(f"{self.lane} must take (self, tx, ...) and one argument for each call it waits for")


class TimerType:
    """A compiled timer, with a codec for its arguments."""

    def __init__(self, type_name: str, timer: Timer[Any]) -> None:
        self.name = timer.name
        self.handler = timer.handler
        self.lane = f"{type_name}.{timer.name}"
        method = timer.handler.method
        parameters = argument_types(method, method_hints(method, type_name), self.lane)
        # `after` is kept with the arguments: it decides, together with when the state was reached, when it passes.
        fields = [*parameters.items(), ("tieout_after", int)]
        self.args = Codec(msgspec.defstruct(f"{timer.name}_args", fields, kw_only=True), f"arguments of {self.lane}")
        self._names = tuple(parameters)

    def arguments(self, stored: msgspec.Raw) -> dict[str, Any]:
        """The typed arguments of the step, by name."""
        struct = self.args.decode(stored)
        return {name: getattr(struct, name) for name in self._names}

    def after(self, stored: msgspec.Raw) -> int:
        """How long the state lasts, in microseconds."""
        return int(self.args.decode(stored).tieout_after)


class ChildrenType:
    """A compiled state of children."""

    def __init__(self, type_name: str, children: Children) -> None:
        self.name = children.name
        self.handler = children.handler
        self.lane = f"{type_name}.{children.name}"
        _check_arguments(children.handler.method, self.lane)


def _check_arguments(method: Callable[..., Any], where: str) -> None:
    if len(inspect.signature(method).parameters) != 3:
        raise DefinitionError(f"{where} must take (self, tx, ended)")
