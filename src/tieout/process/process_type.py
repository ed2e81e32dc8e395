"""A process type as the engine uses it: compiled once from the class, with a codec for everything that is stored."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin, get_type_hints

import msgspec

from tieout.errors import ConfigError, DefinitionError, ReturnedWrongStep
from tieout.identity import Spelling, client_owner, key_bytes, process_id
from tieout.messages.rules import address
from tieout.process.call_type import CallType, check_name, method_hints, micros
from tieout.process.codec import Codec
from tieout.process.define import Call, Final, Handler, Next, StartStep, Volatile, snapshot
from tieout.process.wait_type import ChildrenType, JoinType, TimerType
from tieout.process.waits import CancelStep, Children, Join, Timer

RESERVED = frozenset({"id", "deps", "identity", "looked_up", "bound_deps"})
"""What every process has under these names; a param so called would be hidden by it."""

OPTIONS = frozenset({"tieout_options", "tieout_type"})
"""The class attributes of every process type."""


STEPS = (Call, CancelStep, Children, Final, Join, StartStep, Timer, snapshot)
"""What the decorators leave on a class."""

CANCEL = "*"
"""Where the edges of a machine begin that a wish to cancel takes: at any state."""


class TypeOptions(NamedTuple):
    """The class arguments of a process type, as written."""

    name: str | None
    key: str | None
    owner: str | None
    version: int
    deadline: float | str | None


class Identity(msgspec.Struct, frozen=True):
    """What makes a process itself; `id` is the hash of the other two and the type's name."""

    id: bytes
    owner: bytes
    key: bytes


class ProcessType:
    """A compiled process type: its states, codecs and limits."""

    def __init__(self, cls: type[Any], options: TypeOptions) -> None:
        hints = _type_hints(cls)
        self.cls = cls
        self.name = options.name or ""
        check_name(self.name, "process type name")
        self.version = _positive(options.version, f"version of {self.name}")
        self.deadline = None if options.deadline is None else micros(options.deadline, f"deadline of {self.name}")
        _check_params(cls, hints, self.name)
        self.params = _params_codec(cls, hints, self.name)
        self.params_reader = _params_reader(cls, self.params.kind, self.name)
        self.volatile = frozenset(name for name, hint in hints.items() if _is_volatile(hint))
        self.stored = tuple(name for name in self.params.kind.__struct_fields__ if name not in self.volatile)
        _forget_volatile(cls, self.volatile)
        self.key_field = self._scope_field(options.key, "key", required=True)
        self.owner_field = self._scope_field(options.owner, "owner", required=False)
        self.snapshots = {item.name: item for item in _members(cls, snapshot)}
        self.snapshot_codecs = {
            name: Codec(_returned(item.method, self.name), f"snapshot {self.name}.{name}")
            for name, item in self.snapshots.items()
        }
        self.finals = {name: _final_codec(cls, name) for name, _ in _named(cls, Final)}
        self.published = _published(cls)
        self.calls = {
            item.name: CallType(self.name, item, method_hints(item.method, self.name)) for item in _members(cls, Call)
        }
        self.joins = {item.name: JoinType(self.name, item) for item in _members(cls, Join)}
        self.timers = {item.name: TimerType(self.name, item) for item in _members(cls, Timer)}
        self.children = {item.name: ChildrenType(self.name, item) for item in _members(cls, Children)}
        self.start = cast("Handler", _only_handler(cls, StartStep, self.name, required=True))
        self.cancel = _only_handler(cls, CancelStep, self.name, required=False)
        _assign_joins(self)
        _check_states(self)
        self.is_blocking = _is_blocking(self)
        self.look_ups: dict[str, Callable[..., Awaitable[Any]]] = {
            name: _awaitable(item.method) if self.is_blocking else item.method for name, item in self.snapshots.items()
        }

    @cached_property
    def states(self) -> dict[str, CallType | JoinType | TimerType | ChildrenType]:
        """Every state that is not final, by name. A call that is part of a join is no state of its own."""
        calls = {name: call for name, call in self.calls.items() if call.join is None}
        return {**calls, **self.joins, **self.timers, **self.children}

    def check_params(self, params: dict[str, Any]) -> dict[str, Any]:
        """All fields with their values, defaults filled in; raise `InvalidParams` for what does not fit."""
        checked = self.params.typed(params)
        values = msgspec.structs.asdict(checked)
        if self.params.spellings:
            self.params.check_finite(values)
        return values

    def identify(self, params: Mapping[str, Any], client: str = "") -> Identity:
        """The identity of a request with these params, of a client's where there is one; raise `InvalidKey`."""
        key = key_bytes(params[cast("str", self.key_field)])
        owner = b"" if self.owner_field is None else key_bytes(params[self.owner_field], "owner")
        owner = client_owner(client, owner) if client else owner
        return Identity(process_id(self.name, owner, key), owner, key)

    def stored_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The plain values of every param that is not volatile, defaults included; raise `InvalidParams`."""
        return cast("dict[str, Any]", self.params.unchecked({name: params[name] for name in self.stored}))

    def read_params(self, text: str) -> dict[str, Any]:
        """The typed params of a stored process; those that it never stored are left out."""
        stored = msgspec.structs.asdict(self.params_reader.decode(text))
        return {name: value for name, value in stored.items() if value is not msgspec.UNSET}

    def read_snapshots(self, text: str) -> dict[str, Any]:
        """The typed values of a stored process's look-ups."""
        codecs = self.snapshot_codecs
        if not codecs:
            return {}
        return {name: codecs[name].typed(value) for name, value in msgspec.json.decode(text).items() if name in codecs}

    def check_next(self, handler: Handler, moved: Any) -> Next:
        """What a transaction step returned, when its `to=` allows it; raise `ReturnedWrongStep`."""
        if not isinstance(moved, Next) or moved.state not in handler.to:
            said = moved.state if isinstance(moved, Next) else repr(moved)
            allowed = ", ".join(handler.to)
            raise ReturnedWrongStep(f"{self.name}.{handler.method.__name__} moved to {said}; its to= allows: {allowed}")
        return moved

    @property
    def spellings(self) -> dict[str, Spelling]:
        """The params whose equal values may be written in several ways."""
        return self.params.spellings

    def handlers(self) -> Iterator[tuple[str, str, Handler]]:
        """Every (state, outcome, transaction step) of the machine."""
        yield "", "start", self.start
        for name, call in self.calls.items():
            if call.on_succeeded is not None and call.on_failed is not None:
                yield name, "succeeded", call.on_succeeded
                yield name, "failed", call.on_failed
        for name, join in self.joins.items():
            yield name, "joined", join.handler
        for name, timer in self.timers.items():
            yield name, "elapsed", timer.handler
        for name, children in self.children.items():
            yield name, "ended", children.handler
        if self.cancel is not None:
            yield CANCEL, "cancelled", self.cancel

    def _scope_field(self, field: str | None, role: str, *, required: bool) -> str | None:
        if field is None and not required:
            return None
        known = {info.name: info for info in msgspec.structs.fields(self.params.kind)}
        if field not in known or _base_type(known[field].type) is not str:
            raise DefinitionError(f"{self.name}: {role}= must name a param of type str, not {field!r}")
        if field in self.volatile or not known[field].required:
            raise DefinitionError(f"{self.name}: the {role} field {field!r} can be neither volatile nor optional")
        return field


def compile_type(cls: type[Any], options: TypeOptions) -> ProcessType:
    """Check a class and compile it; raise `DefinitionError` that names what is wrong."""
    try:
        return ProcessType(cls, options)
    except (ConfigError, TypeError) as error:
        raise DefinitionError(f"{cls.__name__}: {error}") from error


def _named(cls: type[Any], kind: type) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for owner in cls.__mro__:
        for name, value in vars(owner).items():
            if name not in seen and isinstance(value, kind):
                yield name, value
            seen.add(name)


def _members(cls: type[Any], kind: type) -> list[Any]:
    return [value for _, value in _named(cls, kind)]


def _type_hints(cls: type[Any]) -> dict[str, Any]:
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise DefinitionError(f"{cls.__name__}: {error}; define the types of params at module level") from error
    return {name: hint for name, hint in hints.items() if not _is_ours(name)}


def _returned(method: Callable[..., Awaitable[Any]], where: str) -> Any:
    return method_hints(method, where).get("return", Any)


def _params_codec(cls: type[Any], hints: dict[str, Any], name: str) -> Codec:
    fields: list[Any] = []
    for field, hint in hints.items():
        default = getattr(cls, field, msgspec.NODEFAULT)
        fields.append((field, hint) if default is msgspec.NODEFAULT else (field, hint, default))
    struct = msgspec.defstruct(f"{cls.__name__}Params", fields, kw_only=True, forbid_unknown_fields=True)
    return Codec(struct, f"params of {name}")


def _check_params(cls: type[Any], hints: dict[str, Any], name: str) -> None:
    taken = {field for kind in STEPS for field, _ in _named(cls, kind)}
    lost = {field for owner in cls.__mro__ for field in vars(owner).get("__annotations__", {}) if _is_ours(field)}
    if wrong := sorted((hints.keys() & (RESERVED | taken)) | (lost - OPTIONS)):
        raise DefinitionError(f"{name}: a param cannot be named {', '.join(wrong)}: the process needs that name itself")


def _is_ours(name: str) -> bool:
    return name.startswith("tieout_")


def _params_reader(cls: type[Any], params: Any, name: str) -> Codec:
    fields = [(info.name, info.type | msgspec.UnsetType, msgspec.UNSET) for info in msgspec.structs.fields(params)]
    return Codec(msgspec.defstruct(f"Stored{cls.__name__}", fields, kw_only=True), f"stored params of {name}")


def _is_volatile(hint: Any) -> bool:
    return get_origin(hint) is Annotated and any(isinstance(mark, Volatile) for mark in get_args(hint)[1:])


class Forgotten:
    """In place of a volatile param's default: subclasses still find it, steps after the start do not."""

    def __init__(self, name: str, default: Any) -> None:
        self.name = name
        self.default = default

    def __get__(self, process: object | None, owner: type) -> Any:
        if process is None:
            return self.default
        raise AttributeError(f"{self.name!r} is volatile: it can be read in the start step only")


def _forget_volatile(cls: type[Any], volatile: frozenset[str]) -> None:
    for name in volatile:
        setattr(cls, name, Forgotten(name, getattr(cls, name, msgspec.NODEFAULT)))


def _base_type(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _final_codec(cls: type[Any], name: str) -> Codec:
    declared = getattr(getattr(cls, name), "__orig_class__", None)
    return Codec(get_args(declared)[0] if declared else Any, f"result of {name}")


def _published(cls: type[Any]) -> dict[str, str]:
    """Where the results of finals are told, by state; raise `ConfigError` for what is no address."""
    published = {name: final.publish for name, final in _named(cls, Final) if final.publish}
    for to in published.values():
        address(to)
    return published


def _only_handler(cls: type[Any], kind: type[StartStep | CancelStep], name: str, *, required: bool) -> Handler | None:
    found = [value.handler for _, value in _named(cls, kind)]
    if len(found) > 1 or (required and not found):
        what = "exactly one @tieout.start" if required else "at most one @tieout.cancel"
        raise DefinitionError(f"{name} needs {what} step, not {len(found)}")
    return found[0] if found else None


def _assign_joins(process_type: ProcessType) -> None:
    joined: dict[str, str] = {}
    for join in process_type.joins.values():
        for part in join.parts:
            if part not in process_type.calls or part in joined:
                raise DefinitionError(f"{join.lane}: {part!r} is no call of {process_type.name}, or of another join")
            joined[part] = join.name
    for name, call in process_type.calls.items():
        call.check_handlers(joined.get(name))


def _check_states(process_type: ProcessType) -> None:
    name, states = process_type.name, {*process_type.states, *process_type.finals}
    for state in states:
        check_name(state, "state")
    if not process_type.finals:
        raise DefinitionError(f"{name} has no final state: declare one with tieout.Final[...]()")
    reached: set[str] = set()
    for state, _, handler in process_type.handlers():
        unknown = set(handler.to) - states
        if unknown or not handler.to:
            raise DefinitionError(f"{name}.{handler.method.__name__}: to= names no state of {name}: {sorted(unknown)}")
        reached.update(set(handler.to) - {state})
    if states - reached:
        raise DefinitionError(f"{name}: no step leads to {', '.join(sorted(states - reached))}")


def _is_blocking(process_type: ProcessType) -> bool:
    """Whether its steps are plain functions; raise `DefinitionError` when some are and some are not."""
    steps = [handler.method for _, _, handler in process_type.handlers()]
    steps += [item.method for item in process_type.snapshots.values()]
    plain = [method for method in steps if not inspect.iscoroutinefunction(method)]
    if not plain:
        return False
    calls = [method for call in process_type.calls.values() for method in (call.method, call.query) if method]
    for method in (*steps, *calls):
        if inspect.iscoroutinefunction(method):
            named = f"{process_type.name}.{method.__name__} is `async def` and {plain[0].__name__} is `def`"
            raise DefinitionError(f"{named}: steps are all the one or all the other")
    return True


def _awaitable(method: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    async def run(*args: Any) -> Any:
        return method(*args)

    return run


def _positive(value: int, what: str) -> int:
    if not isinstance(value, int) or value < 1:
        raise DefinitionError(f"the {what} must be a whole number from 1")
    return value
