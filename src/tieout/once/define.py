"""A handler that runs once for each key, as users write it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, get_type_hints

import msgspec

from tieout.config import duration, microseconds
from tieout.contracts import Transaction
from tieout.errors import ConfigError, DefinitionError, InvalidParams
from tieout.identity import encode_json
from tieout.once.answers import Absent, Answered, InFlight
from tieout.once.engine import Engine
from tieout.once.rules import Kept, Stored, identify, params_fingerprint

T = TypeVar("T")

Handler: TypeAlias = Callable[..., Awaitable[T]]
"""`async def handler(tx: Transaction, ...) -> T`: its effect, in the transaction that it is given, and its answer."""

SCOPE_LENGTH = 63
"""Longest name of a scope: what every database and metric label takes."""

RESERVED = frozenset({"key", "owner", "wait"})
"""Names that a handler's params may not have: they are arguments of `run`."""

NO_FINGERPRINT = b""
"""Of a request that is only looked for."""


class Options(NamedTuple):
    """How long a duplicate waits (seconds), and how long an answer is kept (microseconds)."""

    wait: float
    keep: int


class Once(Generic[T]):
    """A handler whose effect happens once for each key of an owner, and whose answer is given again.

    Made by `@app.once(scope)`; not called itself, but through `run`.
    """

    def __init__(
        self, engine: Engine, scope: str, handler: Handler[T], options: Options, given: Any = Transaction
    ) -> None:
        hints = _hints(handler, scope)
        self.scope = scope
        self.handler = handler
        self.options = options
        self._engine = engine
        self._params = _params_struct(handler, hints, scope, given)
        self._defaults = _plain_defaults(self._params, scope)
        self._decoder = _decoder(hints.get("return", Any), scope)

    async def run(self, key: str, /, *, owner: str = "", wait: float | str | None = None, **params: Any) -> Answered[T]:
        """The answer to this key: of the handler, run now in one transaction with its answer, or of the first time.

        `owner` is who the key belongs to: keys of different owners are different. `wait` is how long to wait for a
        request with the same key that is at work; without it, as the scope says. What the handler raises rolls all
        back and stores nothing; what it returns is kept, refusals too.

        Raise `InvalidKey`, `InvalidParams`, `ParamsChanged`, `KeyInFlight`, what the handler raised, or a
        `DatabaseError`: then repeat the same request. A lost answer to COMMIT is followed up here, for some seconds.
        """
        typed = self._typed(params)
        request = identify(self.scope, owner, key, self._fingerprint(typed))

        fresh: Any = None

        async def work(tx: Any) -> Kept:
            nonlocal fresh
            text, fresh = self._encode(await self.handler(tx, **msgspec.structs.asdict(typed)))
            return Kept(text)

        patience = self.options.wait if wait is None else duration(wait)
        given = await self._engine.run(request, work, keep=self.options.keep, wait=patience)
        return Answered(self._decode(given.kept) if given.replayed else fresh, given.replayed)

    async def find(self, key: str, /, *, owner: str = "") -> Answered[T] | InFlight | Absent:
        """What became of a key, for whoever lost the answer.

        Answered   the effect and this answer are committed.
        InFlight   a request with this key is at work, in this process or in another one. It will commit or roll back.
        Absent     no answer is kept, and every transaction that had begun to work on this key before has ended without
                   one. A request that had not come so far, on the wire, waiting for a connection, or pausing between
                   two tries in another process, can still commit: so a caller believes this after a settle time only.

        A key whose answer was kept for long enough and purged is absent too. Raise `InvalidKey` or a `DatabaseError`.
        """
        match await self._engine.find(identify(self.scope, owner, key, NO_FINGERPRINT)):
            case Stored(kept=kept):
                return Answered(self._decode(kept), replayed=True)
            case found:
                return found

    def _typed(self, params: dict[str, Any]) -> Any:
        try:
            return msgspec.convert(params, self._params)
        except (msgspec.ValidationError, TypeError, UnicodeError, RecursionError) as error:
            raise InvalidParams(f"params of {self.scope}: {error}") from error

    def _fingerprint(self, typed: Any) -> bytes:
        try:
            return params_fingerprint(msgspec.to_builtins(typed, str_keys=True), self._defaults)
        except (TypeError, ValueError, UnicodeError, RecursionError) as error:
            raise InvalidParams(f"params of {self.scope}: {error}") from error

    def _encode(self, value: T) -> tuple[str, T]:
        """The answer as it is stored, and as it is read again."""
        try:
            text = encode_json(value)
            return text, self._decoder.decode(text)
        except (msgspec.ValidationError, TypeError, ValueError, UnicodeError) as error:
            raise InvalidParams(f"answer of {self.scope}: {error}") from error

    def _decode(self, kept: Kept) -> T:
        try:
            value: T = self._decoder.decode(kept.answer or "")
        except msgspec.DecodeError as error:
            raise InvalidParams(f"the stored answer does not fit the answers of {self.scope} now: {error}") from error
        return value


def options(wait: float | str, keep: float | str) -> Options:
    """Checked options; raise `DefinitionError`."""
    try:
        return Options(duration(wait), microseconds(keep))
    except ConfigError as error:
        raise DefinitionError(str(error)) from error


def check_scope(scope: str) -> str:
    """The scope; raise `DefinitionError` unless it is a name."""
    plain = scope.replace("_", "").replace(".", "").replace("-", "")
    if not (0 < len(scope) <= SCOPE_LENGTH and scope.isascii() and plain.isalnum()):
        raise DefinitionError(f"a scope is 1 to {SCOPE_LENGTH} ASCII letters, digits, '_', '-', '.': {scope!r}")
    return scope


def _hints(handler: Handler[Any], scope: str) -> dict[str, Any]:
    if not inspect.iscoroutinefunction(handler):
        raise DefinitionError(f"the handler of {scope} must be async: this App runs on an event loop")
    try:
        return get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise DefinitionError(f"the handler of {scope}: {error}; annotate with importable types") from error


def _params_struct(handler: Handler[Any], hints: dict[str, Any], scope: str, given: Any) -> type[Any]:
    first, *rest = inspect.signature(handler).parameters.values() or (None,)
    if first is None or not _is_tx(hints.get(first.name, Any), given):
        name = given.__name__
        raise DefinitionError(f"the handler of {scope} must take its transaction first: (tx: {name}, ...)")
    if any(param.kind in {param.VAR_POSITIONAL, param.VAR_KEYWORD, param.POSITIONAL_ONLY} for param in rest):
        raise DefinitionError(f"the handler of {scope} must take named params only")
    if reserved := RESERVED & {param.name for param in rest}:
        raise DefinitionError(f"the handler of {scope}: {', '.join(sorted(reserved))} is an argument of run")
    fields: list[Any] = [
        (param.name, hints.get(param.name, Any))
        if param.default is param.empty
        else (param.name, hints.get(param.name, Any), param.default)
        for param in rest
    ]
    try:
        struct = msgspec.defstruct(f"{scope}_params", fields, kw_only=True, forbid_unknown_fields=True)
        msgspec.json.Decoder(struct)  # says at once what cannot be checked
    except (TypeError, ValueError) as error:
        raise DefinitionError(f"params of {scope}: {error}") from error
    return struct


def _is_tx(hint: Any, given: Any) -> bool:
    """Whether an annotation says what this App's steps are given as their `tx`."""
    if hint is given or hint is Any:
        return True
    return given is not Transaction and isinstance(hint, type) and issubclass(hint, given)


def _plain_defaults(struct: Any, scope: str) -> dict[str, Any]:
    defaults = {
        field.name: field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        for field in msgspec.structs.fields(struct)
        if not field.required
    }
    try:
        plain: dict[str, Any] = msgspec.to_builtins(defaults, str_keys=True)
    except TypeError as error:
        raise DefinitionError(f"params of {scope}: {error}") from error
    return plain


def _decoder(kind: Any, scope: str) -> msgspec.json.Decoder[Any]:
    try:
        return msgspec.json.Decoder(kind)
    except TypeError as error:
        raise DefinitionError(f"the answer of {scope} cannot be stored: {error}") from error
