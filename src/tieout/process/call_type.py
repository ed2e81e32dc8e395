"""A call step as the engine uses it: compiled once, with a codec for its arguments and for its answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast, get_args, get_origin, get_type_hints

import msgspec

from tieout.config import microseconds
from tieout.errors import ConfigError, DefinitionError
from tieout.process.codec import Codec
from tieout.process.define import Call, Handler
from tieout.process.outcomes import Succeeded
from tieout.process.rules import CallRules

NAME_LENGTH = 63
"""Longest name of a type, step, final or lane: what every database and metric label takes."""


class CallType:
    """A compiled call step."""

    def __init__(self, type_name: str, call: Call[..., Any], hints: dict[str, Any]) -> None:
        self.name = call.name
        self.method = call.method
        self.query = call.query_method
        self.on_succeeded = call.on_succeeded
        self.on_failed = call.on_failed
        self.join: str | None = None
        where = f"{type_name}.{call.name}"
        parameters = argument_types(call.method, hints, where)
        if call.query_method is not None and _argument_names(call.query_method) != tuple(parameters):
            raise DefinitionError(f"{where}: the query must take the same arguments as the call")
        struct = msgspec.defstruct(f"{call.name}_args", list(parameters.items()), kw_only=True)
        self.takes = frozenset(parameters)
        self.args = Codec(struct, f"arguments of {where}")
        self.answer = Codec(_answer_type(hints, where), f"answer of {where}")
        self.rules = _call_rules(where, call, self.answer)
        self.lane = call.options.lane or where
        _check_echo(where, self.rules, tuple(parameters))
        check_name(self.lane, "lane")

    def handler(self, kind: str) -> Handler:
        """The transaction step that a final outcome of this kind runs, when the call is not part of a join."""
        return cast("Handler", self.on_succeeded if kind == "succeeded" else self.on_failed)

    def check_handlers(self, join: str | None) -> None:
        """Note the join that it is part of; raise `DefinitionError` unless its outcomes have one place to go."""
        self.join = join
        own = [handler for handler in (self.on_succeeded, self.on_failed) if handler is not None]
        if join is None and len(own) != 2:
            raise DefinitionError(f"call {self.name!r} needs both @{self.name}.succeeded and @{self.name}.failed")
        if join is not None and own:
            raise DefinitionError(f"call {self.name!r} is part of {join!r}: it has no steps of its own")

    def arguments(self, stored: msgspec.Raw) -> dict[str, Any]:
        """The typed arguments that were stored when the call was opened, by name."""
        return msgspec.structs.asdict(self.args.decode(stored))


def method_hints(method: Callable[..., Any], where: str) -> dict[str, Any]:
    """The resolved annotations of a step; raise `DefinitionError` for names that cannot be found."""
    try:
        return get_type_hints(method)
    except NameError as error:
        name = f"{where}.{method.__name__}"
        raise DefinitionError(f"{name}: {error}; types in annotations must be importable at module level") from error


def _argument_names(method: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(method).parameters)[2:]


def argument_types(method: Callable[..., Any], hints: dict[str, Any], where: str) -> dict[str, Any]:
    """The types of a step's own arguments, behind (self, send) or (self, tx); raise `DefinitionError`."""
    parameters = list(inspect.signature(method).parameters.values())
    if len(parameters) < 2 or any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
        raise DefinitionError(f"{where} must take self, then send or tx, then named arguments only")
    return {p.name: hints.get(p.name, Any) for p in parameters[2:]}


def _answer_type(hints: dict[str, Any], where: str) -> Any:
    for part in get_args(hints.get("return")):
        if get_origin(part) is Succeeded:
            return get_args(part)[0]
    raise DefinitionError(f"{where} must be annotated to return tieout.Answer[...], the type of its success")


def _call_rules(where: str, call: Call[..., Any], answer: Codec) -> CallRules:
    options = call.options
    timeout = micros(options.timeout, f"{where}: timeout")
    query_after = micros(options.query_after, f"{where}: query_after")
    settle = timeout + 2 * query_after if options.settle is None else micros(options.settle, f"{where}: settle")
    return CallRules(
        timeout=timeout,
        query_after=query_after,
        settle=settle,
        key_valid=None if options.key_valid is None else micros(options.key_valid, f"{where}: key_valid"),
        retry_cap=max(query_after, micros(options.retry_cap, f"{where}: retry_cap")),
        identity=options.identity,
        echo=tuple(options.echo.items()),
        spellings=answer.spellings,
        idempotent=options.idempotent,
        has_query=call.query_method is not None,
    )


def _check_echo(where: str, rules: CallRules, arguments: tuple[str, ...]) -> None:
    unknown = [argument for _, argument in rules.echo if argument not in arguments]
    if unknown:
        raise DefinitionError(f"{where}: echo= names arguments that the call does not take: {', '.join(unknown)}")


def check_name(name: str, what: str) -> None:
    """Raise `DefinitionError` unless a name fits every database, metric and log."""
    if not (
        0 < len(name) <= NAME_LENGTH
        and name.isascii()
        and name.replace("_", "").replace(".", "").replace("-", "").isalnum()
    ):
        raise DefinitionError(f"the {what} must be 1 to {NAME_LENGTH} ASCII letters, digits, '_', '-', '.': {name!r}")


def micros(value: float | str, what: str) -> int:
    """A duration in microseconds; raise `DefinitionError`."""
    try:
        return microseconds(value)
    except ConfigError as error:
        raise DefinitionError(f"{what}: {error}") from error
